//go:build integration

package integration_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/head"
)

// vault changes what a storage keeps, not through a store but by the service's
// own means and without any condition.
type vault interface {
	object(t testing.TB, name string) item
	putObject(t testing.TB, name string, i item)
	removeObject(t testing.TB, name string)
	head(t testing.TB, id string) item
	putHead(t testing.TB, id string, i item)
	removeHead(t testing.TB, id string)
}

// item is one object, or one head, as its storage keeps it: heads of DynamoDB
// have fields alone, heads of SQLite both, all others a body.
type item struct {
	body        []byte
	contentType string
	fields      map[string]string
}

func (i item) clone() item {
	return item{bytes.Clone(i.body), i.contentType, maps.Clone(i.fields)}
}

// s3Vault keeps both interfaces in a bucket.
type s3Vault struct{ *awsAccount }

func (v s3Vault) key(name string) *string { return aws.String(v.prefix + name) }

func (v s3Vault) object(t testing.TB, name string) item {
	t.Helper()
	out, err := v.s3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &v.bucket, Key: v.key(name)})
	require.NoError(t, err, name)
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	require.NoError(t, err)
	return item{body, aws.ToString(out.ContentType), out.Metadata}
}

func (v s3Vault) putObject(t testing.TB, name string, i item) {
	t.Helper()
	_, err := v.s3().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &v.bucket, Key: v.key(name), Body: bytes.NewReader(i.body), ContentType: &i.contentType, Metadata: i.fields,
	})
	require.NoError(t, err)
}

func (v s3Vault) removeObject(t testing.TB, name string) {
	t.Helper()
	_, err := v.s3().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &v.bucket, Key: v.key(name)})
	require.NoError(t, err)
}

func (v s3Vault) head(t testing.TB, id string) item { return v.object(t, head.ObjectName(id)) }

func (v s3Vault) putHead(t testing.TB, id string, i item) { v.putObject(t, head.ObjectName(id), i) }

func (v s3Vault) removeHead(t testing.TB, id string) { v.removeObject(t, head.ObjectName(id)) }

// awsVault keeps the heads in a table.
type awsVault struct{ s3Vault }

func (v awsVault) itemKey(id string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{head.FieldAggregateID: &types.AttributeValueMemberS{Value: v.prefix + changeset.Escape(id)}}
}

// head spells each attribute as its type and its text.
func (v awsVault) head(t testing.TB, id string) item {
	t.Helper()
	out, err := v.dynamodb().GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &v.table, Key: v.itemKey(id), ConsistentRead: aws.Bool(true)})
	require.NoError(t, err)
	i := item{fields: map[string]string{}}
	for name, value := range out.Item {
		switch value := value.(type) {
		case *types.AttributeValueMemberS:
			i.fields[name] = "S" + value.Value
		case *types.AttributeValueMemberN:
			i.fields[name] = "N" + value.Value
		case *types.AttributeValueMemberB:
			i.fields[name] = "B" + base64.StdEncoding.EncodeToString(value.Value)
		}
	}
	delete(i.fields, head.FieldAggregateID)
	return i
}

func (v awsVault) putHead(t testing.TB, id string, i item) {
	t.Helper()
	attributes := v.itemKey(id)
	for name, text := range i.fields {
		switch text[0] {
		case 'S':
			attributes[name] = &types.AttributeValueMemberS{Value: text[1:]}
		case 'N':
			attributes[name] = &types.AttributeValueMemberN{Value: text[1:]}
		case 'B':
			raw, err := base64.StdEncoding.DecodeString(text[1:])
			require.NoError(t, err)
			attributes[name] = &types.AttributeValueMemberB{Value: raw}
		}
	}
	_, err := v.dynamodb().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &v.table, Item: attributes})
	require.NoError(t, err)
}

func (v awsVault) removeHead(t testing.TB, id string) {
	t.Helper()
	_, err := v.dynamodb().DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &v.table, Key: v.itemKey(id)})
	require.NoError(t, err)
}

func (s awsSite) vault() vault {
	if s.scheme == "aws" {
		return awsVault{s3Vault{s.awsAccount}}
	}
	return s3Vault{s.awsAccount}
}

// azureVault keeps both interfaces in containers.
type azureVault struct{ *azureAccount }

func (s azureSite) vault() vault { return azureVault(s) }

func (v azureVault) blob(t testing.TB, name string) *blockblob.Client {
	container := v.options.ChangesetsContainer
	if strings.HasPrefix(name, head.Folder) {
		container = v.options.HeadsContainer
	}
	return v.client(t, nil).NewContainerClient(container).NewBlockBlobClient(v.options.Prefix + name)
}

func (v azureVault) object(t testing.TB, name string) item {
	t.Helper()
	out, err := v.blob(t, name).DownloadStream(t.Context(), nil)
	require.NoError(t, err)
	defer out.Body.Close()
	i := item{contentType: *out.ContentType, fields: map[string]string{}}
	i.body, err = io.ReadAll(out.Body)
	require.NoError(t, err)
	for key, value := range out.Metadata {
		i.fields[strings.ToLower(key)] = *value
	}
	return i
}

func (v azureVault) putObject(t testing.TB, name string, i item) {
	t.Helper()
	metadata := map[string]*string{}
	for key, value := range i.fields {
		metadata[key] = &value
	}
	_, err := v.blob(t, name).Upload(t.Context(), streaming.NopCloser(bytes.NewReader(i.body)),
		&blockblob.UploadOptions{Metadata: metadata, HTTPHeaders: &blob.HTTPHeaders{BlobContentType: &i.contentType}})
	require.NoError(t, err)
}

func (v azureVault) removeObject(t testing.TB, name string) {
	t.Helper()
	_, err := v.blob(t, name).Delete(t.Context(), nil)
	require.NoError(t, err)
}

func (v azureVault) head(t testing.TB, id string) item { return v.object(t, head.ObjectName(id)) }

func (v azureVault) putHead(t testing.TB, id string, i item) { v.putObject(t, head.ObjectName(id), i) }

func (v azureVault) removeHead(t testing.TB, id string) { v.removeObject(t, head.ObjectName(id)) }

// sqliteVault keeps both interfaces in a file.
type sqliteVault struct{ *sql.DB }

// newSQLite returns a store in a file of its own, its vault, and the file's path.
func newSQLite(t testing.TB) (*sqlitestore.Store, vault, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	store, err := sqlitestore.Open(path, nil)
	require.NoError(t, err)
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		require.NoError(t, db.Close())
		require.NoError(t, store.Close())
	})
	return store, sqliteVault{db}, path
}

func (v sqliteVault) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	_, err := v.Exec(statement, args...)
	require.NoError(t, err)
}

// row takes the name of a changeset's object apart into the row's key.
func row(t testing.TB, name string) (aggregate string, object []byte) {
	t.Helper()
	ref, err := changeset.ParseObjectName(name)
	require.NoError(t, err)
	return changeset.Escape(ref.AggregateID), append(binary.BigEndian.AppendUint64(nil, ref.Version), ref.ID[:]...)
}

// blobs are the columns of a changeset's row that are bytes: fields of an item
// as they are, where they are not empty.
var blobs = []string{"ancestors", "content_sha256", "digest"}

func (v sqliteVault) object(t testing.TB, name string) item {
	t.Helper()
	aggregate, object := row(t, name)
	var i item
	var header []byte
	var r changeset.Row
	err := v.QueryRow(`SELECT header, coalesce(fields, ''), coalesce(content_type, ''), content, ancestors, content_sha256, digest FROM changesets WHERE aggregate_id = ? AND object = ?`, aggregate, object).
		Scan(&header, &r.Metadata, &i.contentType, &i.body, &r.Ancestors, &r.BodySHA256, &r.Digest)
	require.NoError(t, err, name)
	if header != nil {
		h := v.header(t, name, header, int64(len(i.body)))
		i.contentType = h.ContentType
		r, err = changeset.EncodeRow(h)
		require.NoError(t, err)
	}
	require.NoError(t, json.Unmarshal([]byte(r.Metadata), &i.fields))
	for n, value := range [][]byte{r.Ancestors, r.BodySHA256, r.Digest} {
		if len(value) > 0 {
			i.fields[blobs[n]] = string(value)
		}
	}
	return i
}

// header decodes the binary form of a row.
func (v sqliteVault) header(t testing.TB, name string, header []byte, size int64) changeset.Header {
	t.Helper()
	ref, err := changeset.ParseObjectName(name)
	require.NoError(t, err)
	var upper changeset.Upper
	if bases, ok := changeset.BinaryBases(ref, header); ok {
		var b []byte
		aggregate, object := row(t, bases[0].ObjectName())
		require.NoError(t, v.QueryRow(`SELECT header FROM changesets WHERE aggregate_id = ? AND object = ?`, aggregate, object).Scan(&b))
		upper, err = changeset.BinaryUpper(bases[0], b)
		require.NoError(t, err)
	}
	h, err := changeset.DecodeBinary(changeset.Stored{Ref: ref, Size: size}, header, upper)
	require.NoError(t, err)
	return h
}

func (v sqliteVault) putObject(t testing.TB, name string, i item) {
	t.Helper()
	aggregate, object := row(t, name)
	texts := maps.Clone(i.fields)
	values := make([][]byte, len(blobs))
	for n, column := range blobs {
		values[n] = []byte(texts[column])
		delete(texts, column)
	}
	metadata, err := json.Marshal(texts)
	require.NoError(t, err)
	if i.body == nil {
		i.body = []byte{}
	}
	v.exec(t, `INSERT OR REPLACE INTO changesets (aggregate_id, object, fields, ancestors, content_sha256, digest, content_type, last_modified, content)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		aggregate, object, string(metadata), values[0], values[1], values[2], i.contentType, changeset.FormatTime(time.Now()), i.body)
}

func (v sqliteVault) removeObject(t testing.TB, name string) {
	t.Helper()
	aggregate, object := row(t, name)
	v.exec(t, `DELETE FROM changesets WHERE aggregate_id = ? AND object = ?`, aggregate, object)
}

// head spells columns of bytes like the attributes of a DynamoDB table.
func (v sqliteVault) head(t testing.TB, id string) item {
	t.Helper()
	var i item
	var ancestors, digest []byte
	err := v.QueryRow(`SELECT record, ancestors, digest FROM heads WHERE aggregate_id = ?`, changeset.Escape(id)).Scan(&i.body, &ancestors, &digest)
	require.NoError(t, err, id)
	i.fields = map[string]string{
		"ancestors": "B" + base64.StdEncoding.EncodeToString(ancestors), "digest": "B" + base64.StdEncoding.EncodeToString(digest),
	}
	return i
}

func (v sqliteVault) putHead(t testing.TB, id string, i item) {
	t.Helper()
	bytesOf := func(column string) []byte {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(i.fields[column], "B"))
		require.NoError(t, err)
		return raw
	}
	v.exec(t, `INSERT OR REPLACE INTO heads (aggregate_id, record, ancestors, digest) VALUES (?, ?, ?, ?)`,
		changeset.Escape(id), string(i.body), bytesOf("ancestors"), bytesOf("digest"))
}

func (v sqliteVault) removeHead(t testing.TB, id string) {
	t.Helper()
	v.exec(t, `DELETE FROM heads WHERE aggregate_id = ?`, changeset.Escape(id))
}
