//go:build integration

package integration_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/smithy-go/logging"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/s3store"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// odd returns the same account through a proxy with an oddity.
func (a *awsAccount) odd(t testing.TB, odd oddity) *awsAccount {
	a.needsEmulator(t)
	proxied := *a
	proxied.endpoint = newOddProxy(t, a.endpoint, odd)
	proxied.config.Logger = logging.Nop{} // it writes of every odd reply
	return &proxied
}

// attempts are the operations of both interfaces. Each returns the error that it
// ended with, also of a listing.
func attempts(t *testing.T, objects *s3store.Store, heads head.Store) map[string]func(context.Context) error {
	c, first := newAWSAppend(t, head.Head{})
	return map[string]func(context.Context) error{
		"put":        func(ctx context.Context) error { return objects.Put(ctx, c) },
		"get":        func(ctx context.Context) error { _, err := objects.Get(ctx, c.Ref, nil); return err },
		"stat":       func(ctx context.Context) error { _, err := objects.Stat(ctx, c.Ref); return err },
		"delete":     func(ctx context.Context) error { return objects.Delete(ctx, c.Ref) },
		"objects":    func(ctx context.Context) error { return drainAWS(objects.Objects(ctx, c.AggregateID)) },
		"aggregates": func(ctx context.Context) error { return drainAWS(objects.Aggregates(ctx, "")) },
		"load":       func(ctx context.Context) error { _, err := heads.Load(ctx, c.AggregateID); return err },
		"list":       func(ctx context.Context) error { return drainAWS(heads.List(ctx, "")) },
		"create":     func(ctx context.Context) error { _, err := heads.Swap(ctx, head.Head{}, first); return err },
		"swap": func(ctx context.Context) error {
			old := first.WithToken(`"1"`)
			_, err := heads.Swap(ctx, old, link.Fence(old))
			return err
		},
	}
}

// TestAWSRepliesOfAnotherServer: when another server replies, nothing is
// acknowledged, nothing is called missing or empty, and every call ends.
func TestAWSRepliesOfAnotherServer(t *testing.T) {
	place := newLocalStack(t)
	for name, odd := range notTheService {
		var requests atomic.Int32
		counted := oddity{answer: func(w http.ResponseWriter, r *http.Request) bool {
			requests.Add(1)
			return odd.answer(w, r)
		}}
		a := place.odd(t, counted)
		objects, inTable := a.objects(t), a.heads(t)
		for where, heads := range map[string]head.Store{"S3": objects, "DynamoDB": inTable} {
			for operation, attempt := range attempts(t, objects, heads) {
				t.Run(strings.Join([]string{name, where, operation}, ", "), func(t *testing.T) {
					requests.Store(0)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					err := attempt(ctx)
					require.Error(t, err)
					require.NoError(t, ctx.Err())
					require.NotErrorIs(t, err, changeset.ErrNotFound)
					_, conflict := errors.AsType[*head.ConflictError](err)
					_, refused := errors.AsType[*head.NotAppliedError](err)
					_, corrupt := errors.AsType[*changeset.CorruptError](err)
					require.False(t, conflict || refused || corrupt, "%v", err)
					_, setup := errors.AsType[*s3store.SetupError](err)
					require.True(t, setup, "%v", err)
					require.LessOrEqual(t, requests.Load(), int32(6))
				})
			}
		}
		for _, check := range []func(context.Context) ([]s3store.Finding, error){objects.Check, inTable.Check} {
			found, err := check(t.Context())
			require.NoError(t, err)
			require.False(t, found[0].OK, "%s: %v", name, found)
		}
		require.Error(t, objects.Provision(t.Context()), name)
		require.Error(t, inTable.Provision(t.Context()), name)
	}
}

// TestAWSChangedTags: a proxy that changes or removes ETags makes appends fail,
// at once and for good or as uncertain, and loses none; the check finds it.
func TestAWSChangedTags(t *testing.T) {
	for server, place := range map[string]*awsAccount{"LocalStack": newLocalStack(t).provisionedBucket(t), "another S3": newOtherS3(t).provisionedBucket(t)} {
		for name, odd := range changedTags {
			t.Run(server+", "+name, func(t *testing.T) {
				objects := place.odd(t, odd).objects(t)
				found, err := objects.Check(t.Context())
				require.NoError(t, err)
				usable := found[1].OK // both servers take an ETag without its quotes
				if usable = usable && name == "unquoted ETag"; !usable {
					requireFinding(t, found, "conditional writes", "ETag")
				}

				_, first := newAWSAppend(t, head.Head{})
				options := &ropewalk.Options{SettleTimeout: actPatience}
				if name == "no ETag" {
					options.SettleTimeout = time.Second // the outcome stays unknown
				}
				odd := ropewalk.New(objects, objects, options).Chain(first.AggregateID)
				acknowledged := 0
				h := head.Head{}
				for range 3 {
					next, err := odd.Append(t.Context(), h, changeset.Draft{Content: []byte("x")})
					if err == nil {
						h, acknowledged = next, acknowledged+1
						continue
					}
					_, setup := errors.AsType[*s3store.SetupError](err)
					require.True(t, setup, "%v", err)
					_, uncertain := errors.AsType[*ropewalk.UncertainError](err)
					require.False(t, uncertain && name != "no ETag", "412 with an unchanged head is definite: %v", err)
				}
				require.Equal(t, usable, acknowledged == 3)
				r, err := ropewalk.New(place.objects(t), place.objects(t), nil).Chain(first.AggregateID).Reader(t.Context())
				if acknowledged == 0 && errors.Is(err, changeset.ErrNotFound) {
					return
				}
				require.NoError(t, err)
				stored, err := ropewalk.Collect(r.All(t.Context()))
				require.NoError(t, err)
				require.GreaterOrEqual(t, len(stored), acknowledged)
			})
		}
	}
}

// pagesOfOne makes every page of a scan have one item.
var pagesOfOne = oddity{answer: func(_ http.ResponseWriter, r *http.Request) bool {
	if awsOperation(r) == "Scan" {
		body, _ := io.ReadAll(r.Body)
		body = append(bytes.TrimSuffix(bytes.TrimSpace(body), []byte("}")), `,"Limit":1}`...)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return false
}}

// skewed has a clock that is an hour ahead, and refuses what is signed for
// another time.
var skewed = oddity{
	answer: func(w http.ResponseWriter, r *http.Request) bool {
		now := time.Now().Add(time.Hour).UTC()
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || now.Sub(signed).Abs() < 5*time.Minute {
			return false
		}
		w.Header().Set("Date", now.Format(http.TimeFormat))
		if r.Header.Get("X-Amz-Target") != "" {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"Signature not yet current"}`)
			return true
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>RequestTimeTooSkewed</Code><Message>m</Message></Error>`)
		return true
	},
	change: func(r *http.Response) error {
		r.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		return nil
	},
}

// throttling refuses the first five writes to a table.
func throttling() oddity {
	var refused atomic.Int32
	return oddity{answer: func(w http.ResponseWriter, r *http.Request) bool {
		if op := awsOperation(r); op != "UpdateItem" || refused.Add(1) > 5 {
			return false
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"com.amazon.coral.service#ThrottlingException","message":"slow down"}`)
		return true
	}}
}

// TestAWSOddButWhole: with a proxy that leaves out what can be done without,
// with a wrong clock, or throttled, everything works.
func TestAWSOddButWhole(t *testing.T) {
	odd := maps.Clone(harmless)
	odd["an hour ahead"], odd["pages of one"], odd["throttled"] = skewed, pagesOfOne, throttling()
	for name, setUp := range awsSetUps {
		place := setUp.account(t)
		for oddName, oddity := range odd {
			if name == "another S3" && oddName == "an hour ahead" {
				continue // it looks at the clock, and its own is right
			}
			t.Run(name+", "+oddName, func(t *testing.T) {
				a := place.odd(t, oddity)
				objects, heads := a.objects(t), setUp.heads(t, a)
				_, first := newAWSAppend(t, head.Head{})
				chain := ropewalk.New(objects, heads, nil).Chain(first.AggregateID)
				var h head.Head
				var want []string
				for i := range 3 {
					var err error
					want = append(want, fmt.Sprint("content ", i))
					h, err = chain.Append(t.Context(), h, changeset.Draft{Content: []byte(want[i])})
					require.NoError(t, err)
				}
				r, err := chain.Reader(t.Context())
				require.NoError(t, err)
				stored, err := ropewalk.Collect(r.All(t.Context()))
				require.NoError(t, err)
				require.Equal(t, want, awsContents(stored))
				for _, c := range stored {
					info, err := objects.Stat(t.Context(), c.Ref)
					require.NoError(t, err)
					require.Equal(t, c.Header, info.Header)
				}
				require.Equal(t, 3, count(t, objects.Objects(t.Context(), h.AggregateID)))
				require.NotZero(t, count(t, heads.List(t.Context(), "")))
				found, err := objects.Check(t.Context())
				require.NoError(t, err)
				awsLines(t, found)
			})
		}
	}
}

func count[T any](t *testing.T, listing iter.Seq2[T, error]) (n int) {
	t.Helper()
	for _, err := range listing {
		require.NoError(t, err)
		n++
	}
	return n
}
