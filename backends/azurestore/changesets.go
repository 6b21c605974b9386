package azurestore

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc64"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"ropewalk/changeset"
	"ropewalk/internal/announced"
)

// Put stores the changeset as one blob, by one request. Where that is told
// that the blob is already there, a second one makes sure of it.
func (s *Store) Put(ctx context.Context, c changeset.Changeset) error {
	metadata, err := changeset.Encode(c.Header, changeset.NoHyphens)
	if err != nil {
		return err
	}
	target := s.changeset(c.Ref)
	options := uploadOptions(c.Content, c.ContentType, onlyNew)
	options.Metadata = make(map[string]*string, len(metadata))
	for key, value := range metadata {
		options.Metadata[key] = &value
	}
	_, err = do(ctx, s, "put", target.URL(), func() (blockblob.UploadResponse, error) {
		return target.Upload(ctx, streaming.NopCloser(bytes.NewReader(c.Content)), options)
	})
	if exists(err) {
		return s.confirm(ctx, c.Ref)
	}
	return err
}

// confirm makes sure that a blob which is said to be there can be read: the
// service may say so as well while an earlier attempt is still on its way.
func (s *Store) confirm(ctx context.Context, ref changeset.Ref) error {
	target := s.changeset(ref)
	_, err := do(ctx, s, "confirm", target.URL(), func() (blob.GetPropertiesResponse, error) {
		return target.GetProperties(ctx, nil)
	})
	return err
}

// Get returns the changeset, header and content, by one request. Where the
// connection breaks within the content, the rest is requested again.
func (s *Store) Get(ctx context.Context, ref changeset.Ref) (changeset.Changeset, error) {
	source := s.changeset(ref)
	response, err := do(ctx, s, "get", source.URL(), func() (blob.DownloadStreamResponse, error) {
		return source.DownloadStream(ctx, nil)
	})
	if err != nil {
		return changeset.Changeset{}, notFound(ref, err)
	}
	body := response.NewRetryReader(ctx, nil)
	defer body.Close()
	info, err := s.decode(ref, properties{response.Metadata, response.ContentType, response.ContentLength, response.LastModified})
	if err != nil {
		return changeset.Changeset{}, err
	}
	if err := changeset.Admit(ctx, info.Header); err != nil {
		return changeset.Changeset{}, err
	}
	content, err := announced.Read(body, info.ContentSize)
	if err != nil {
		return changeset.Changeset{}, explain("get", s.Locate(ref), err)
	}
	return changeset.Changeset{Header: info.Header, Content: content}, nil
}

// Stat returns the header of the changeset, by one request.
func (s *Store) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	source := s.changeset(ref)
	response, err := do(ctx, s, "stat", source.URL(), func() (blob.GetPropertiesResponse, error) {
		return source.GetProperties(ctx, nil)
	})
	if err != nil {
		return changeset.Info{}, notFound(ref, err)
	}
	return s.decode(ref, properties{response.Metadata, response.ContentType, response.ContentLength, response.LastModified})
}

// Delete removes the changeset's blob and its snapshots. Soft delete and
// versioning, where the account has them, keep a copy for their time.
func (s *Store) Delete(ctx context.Context, ref changeset.Ref) error {
	target := s.changeset(ref)
	options := &blob.DeleteOptions{DeleteSnapshots: to.Ptr(blob.DeleteSnapshotsOptionTypeInclude)}
	_, err := do(ctx, s, "delete", target.URL(), func() (blob.DeleteResponse, error) {
		return target.Delete(ctx, options)
	})
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil
	}
	return err
}

// properties are what a reply's headers tell of a blob.
type properties struct {
	metadata     map[string]*string
	contentType  *string
	size         *int64
	lastModified *time.Time
}

func (s *Store) decode(ref changeset.Ref, p properties) (changeset.Info, error) {
	if p.size == nil || p.contentType == nil || p.lastModified == nil {
		return changeset.Info{}, fmt.Errorf("%s: the reply lacks size, type or time: something on the way has changed it", s.Locate(ref))
	}
	metadata := make(map[string]string, len(p.metadata))
	for key, value := range p.metadata { // the case of the keys does not survive HTTP
		metadata[strings.ToLower(key)] = *value
	}
	h, err := changeset.Decode(changeset.Stored{
		Ref: ref, Object: s.Locate(ref), Metadata: metadata, ContentType: *p.contentType, Size: *p.size,
	}, changeset.NoHyphens)
	if err != nil {
		return changeset.Info{}, err
	}
	return changeset.Info{Header: h, LastModified: p.lastModified.UTC()}, nil
}

// notFound makes the reply for a missing blob [changeset.ErrNotFound]. A
// missing container is another matter.
func notFound(ref changeset.Ref, err error) error {
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return fmt.Errorf("%s: %w: %w", ref, changeset.ErrNotFound, err)
	}
	return err
}

// onlyNew is the condition that there is no blob yet.
var onlyNew = blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}

// crcTable has the polynomial by which Azure Storage computes checksums.
var crcTable = crc64.MakeTable(0x9A6C9329AC4BC9B5)

// uploadOptions returns the options of an upload in one request. The service
// refuses a body that does not have the checksum.
func uploadOptions(body []byte, contentType string, condition blob.ModifiedAccessConditions) *blockblob.UploadOptions {
	return &blockblob.UploadOptions{
		HTTPHeaders:             &blob.HTTPHeaders{BlobContentType: &contentType},
		AccessConditions:        &blob.AccessConditions{ModifiedAccessConditions: &condition},
		TransactionalValidation: blob.TransferValidationTypeCRC64(crc64.Checksum(body, crcTable)),
	}
}
