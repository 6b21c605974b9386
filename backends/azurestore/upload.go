package azurestore

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
)

// upload is the content of a write. It gives each attempt a reader of its own:
// the transport may still read the body of an attempt whose reply has come, while
// the SDK rewinds the body for the next attempt.
// It also knows whether any attempt has begun to read the content. A write whose
// content was never read, because there was no connection or no token to sign
// the request with, has no effect.
type upload struct {
	content []byte
	state   atomic.Int32
}

const (
	untouched = iota
	begun
	withheld
)

type uploadKey struct{}

// to sends the content to the blob.
func (u *upload) to(ctx context.Context, target *blockblob.Client, options *blockblob.UploadOptions) (blockblob.UploadResponse, error) {
	ctx = context.WithValue(ctx, uploadKey{}, u)
	return target.Upload(ctx, streaming.NopCloser(bytes.NewReader(u.content)), options)
}

// withBodyOfItsOwn returns the request with a body that no other attempt reads.
func withBodyOfItsOwn(r *http.Request) *http.Request {
	u, ok := r.Context().Value(uploadKey{}).(*upload)
	if !ok || r.Body == nil {
		return r
	}
	r = r.WithContext(r.Context())
	r.Body = io.NopCloser(&attempt{upload: u, content: bytes.NewReader(u.content)})
	return r
}

// withhold reports whether nothing was read yet. If so, nothing will be read.
func (u *upload) withhold() bool { return u.state.CompareAndSwap(untouched, withheld) }

// attempt reads the content for one attempt.
type attempt struct {
	upload  *upload
	content *bytes.Reader
}

func (a *attempt) Read(p []byte) (int, error) {
	if !a.upload.state.CompareAndSwap(untouched, begun) && a.upload.state.Load() == withheld {
		return 0, io.ErrClosedPipe
	}
	return a.content.Read(p)
}
