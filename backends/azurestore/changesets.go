package azurestore

import (
	"context"
	"fmt"
	"hash/crc64"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"ropewalk/changeset"
	"ropewalk/internal/admission"
	"ropewalk/internal/bodyread"
	"ropewalk/internal/transport"
)

// Put stores the changeset as one blob, by one request. If the service says
// that the blob exists, a second request makes sure of it.
func (s *Store) Put(ctx context.Context, c changeset.Changeset) error {
	metadata, err := changeset.Encode(c.Header, changeset.Joined)
	if err != nil {
		return err
	}
	target := s.changeset(c.Ref)
	options := uploadOptions(c.Body, c.ContentType, onlyNew)
	options.Metadata = make(map[string]*string, len(metadata))
	for key, value := range metadata {
		options.Metadata[key] = &value
	}
	response, err := do(ctx, s, "put", target.URL(), func(ctx context.Context) (blockblob.UploadResponse, error) {
		return (&upload{content: c.Body}).to(ctx, target, options)
	})
	switch {
	case exists(err):
		return s.confirm(ctx, c.Ref)
	case err != nil:
		return conditional(err)
	case response.ETag == nil: // the service always sends it
		return explain("put", s.Locate(c.Ref), errNoETag)
	}
	return nil
}

// confirm makes sure that a blob can be read after the service said that it
// exists: the service may say so while an earlier attempt is still on its way.
func (s *Store) confirm(ctx context.Context, ref changeset.Ref) error {
	target := s.changeset(ref)
	_, err := do(ctx, s, "confirm", target.URL(), func(ctx context.Context) (blob.GetPropertiesResponse, error) {
		return target.GetProperties(ctx, nil)
	})
	return err
}

// Get returns the changeset, header and content, by one request, which is
// repeated if the connection breaks within the content. If a proxy removes the
// size of the content from the reply, another request asks for the size.
func (s *Store) Get(ctx context.Context, ref changeset.Ref, admit changeset.Admission) (changeset.Changeset, error) {
	once, _ := admission.Once(admit)
	return whole(ctx, func() (changeset.Changeset, error) { return s.get(ctx, ref, once) })
}

func (s *Store) get(ctx context.Context, ref changeset.Ref, admit changeset.Admission) (changeset.Changeset, error) {
	source := s.changeset(ref)
	response, err := do(ctx, s, "get", source.URL(), func(ctx context.Context) (blob.DownloadStreamResponse, error) {
		return source.DownloadStream(transport.WithLimit(ctx, -1), nil)
	})
	if err != nil {
		return changeset.Changeset{}, notFound(ref, err)
	}
	defer response.Body.Close()
	size := response.ContentLength
	if size == nil {
		asked, err := s.properties(ctx, ref)
		if err != nil {
			return changeset.Changeset{}, err
		}
		size = asked.ContentLength
	}
	h, err := s.decode(ref, response.Metadata, response.ContentType, size)
	if err != nil {
		return changeset.Changeset{}, err
	}
	if err := admit.Admit(h); err != nil {
		return changeset.Changeset{}, err
	}
	content, err := bodyread.Read(response.Body, h.BodySize)
	if err != nil {
		return changeset.Changeset{}, explain("get", s.Locate(ref), &brokenError{err})
	}
	return changeset.Changeset{Header: h, Body: content}, nil
}

// Stat returns the header of the changeset, by one request. LastModified is zero
// if a proxy has removed it from the reply.
func (s *Store) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	response, err := s.properties(ctx, ref)
	if err != nil {
		return changeset.Info{}, err
	}
	h, err := s.decode(ref, response.Metadata, response.ContentType, response.ContentLength)
	if err != nil {
		return changeset.Info{}, err
	}
	info := changeset.Info{Header: h}
	if response.LastModified != nil {
		info.LastModified = response.LastModified.UTC()
	}
	return info, nil
}

func (s *Store) properties(ctx context.Context, ref changeset.Ref) (blob.GetPropertiesResponse, error) {
	source := s.changeset(ref)
	response, err := do(ctx, s, "stat", source.URL(), func(ctx context.Context) (blob.GetPropertiesResponse, error) {
		return source.GetProperties(ctx, nil)
	})
	return response, notFound(ref, err)
}

// Delete removes the changeset's blob and its snapshots. Soft delete and
// versioning, where the account has them, keep a copy for their time.
func (s *Store) Delete(ctx context.Context, ref changeset.Ref) error {
	target := s.changeset(ref)
	options := &blob.DeleteOptions{DeleteSnapshots: to.Ptr(blob.DeleteSnapshotsOptionTypeInclude)}
	_, err := do(ctx, s, "delete", target.URL(), func(ctx context.Context) (blob.DeleteResponse, error) {
		return target.Delete(ctx, options)
	})
	if hasCode(err, bloberror.BlobNotFound) {
		return nil
	}
	return err
}

// decode reads a changeset's header from the headers of a reply.
func (s *Store) decode(ref changeset.Ref, stored map[string]*string, contentType *string, size *int64) (changeset.Header, error) {
	if size == nil || contentType == nil {
		return changeset.Header{}, fmt.Errorf("%s: the reply lacks the size or the type: something on the way has changed it", s.Locate(ref))
	}
	metadata := make(map[string]string, len(stored))
	for key, value := range stored { // the case of the keys does not survive HTTP
		if value != nil {
			metadata[strings.ToLower(key)] = *value
		}
	}
	return changeset.Decode(changeset.Stored{
		Ref: ref, Object: s.Locate(ref), Metadata: metadata, ContentType: *contentType, Size: *size,
	}, changeset.Joined)
}

// notFound makes the reply for a missing blob [changeset.ErrNotFound]. A
// missing container is another matter.
func notFound(ref changeset.Ref, err error) error {
	if hasCode(err, bloberror.BlobNotFound) {
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
