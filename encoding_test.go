package ropewalk_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
	"ropewalk/internal/link"
)

func compressing(limit int64) *ropewalk.Options {
	return &ropewalk.Options{Compress: true, MaxContentSize: limit}
}

var (
	long  = strings.Repeat("a line of a log\n", 1000)
	short = "short"
)

// Readers get what was appended, whatever Compress is now, and was at the time
// of each append.
func TestCompressionIsInvisible(t *testing.T) {
	db, err := sqlitestore.Open(t.TempDir()+"/ropewalk.db", nil)
	require.NoError(t, err)
	defer db.Close()
	memory := memstore.New()
	for name, open := range map[string]func(*ropewalk.Options) *ropewalk.Store{
		"put and swap": func(o *ropewalk.Options) *ropewalk.Store { return ropewalk.New(memory, twoSteps{memory}, o) },
		"one step":     func(o *ropewalk.Options) *ropewalk.Store { return ropewalk.New(db, db, o) },
	} {
		t.Run(name, func(t *testing.T) {
			plain, compressing := open(nil).Chain("log"), open(compressing(0)).Chain("log")
			want := writeMixed(t, plain, compressing)
			for _, c := range []*ropewalk.Chain{plain, compressing} {
				requireEveryReader(t, c, want)
			}
		})
	}
}

// twoSteps hides that the heads can be committed together with the changesets.
type twoSteps struct{ head.Store }

// writeMixed appends in every way there is, by turns, and returns what.
func writeMixed(t *testing.T, plain, compressing *ropewalk.Chain) []string {
	t.Helper()
	h, err := plain.Create(t.Context(), chaintest.Draft(long+"0"))
	require.NoError(t, err)
	h, err = compressing.Append(t.Context(), h, chaintest.Draft(long+"1"), chaintest.Draft(short), chaintest.Draft(""))
	require.NoError(t, err)
	_, err = plain.Append(t.Context(), h, chaintest.Draft(long+"4"))
	require.NoError(t, err)
	_, err = compressing.NewAppender(nil).Append(t.Context(), chaintest.Draft(long+"5"))
	require.NoError(t, err)
	_, err = plain.NewAppender(nil).Append(t.Context(), chaintest.Draft(long+"6"))
	require.NoError(t, err)
	_, err = compressing.Update(t.Context(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
		return []changeset.Draft{chaintest.Draft(long + "7")}, nil
	})
	require.NoError(t, err)
	return []string{long + "0", long + "1", short, "", long + "4", long + "5", long + "6", long + "7"}
}

// requireEveryReader reads the chain in every way, and within an Update that a
// conflict repeats.
func requireEveryReader(t *testing.T, c *ropewalk.Chain, want []string) {
	t.Helper()
	r, err := c.Reader(t.Context())
	require.NoError(t, err)
	requireEncodings(t, r, want)
	requireSequences(t, r, want)
	before, err := c.HeadAt(t.Context(), 2)
	require.NoError(t, err)
	requireContents(t, want[3:], r.Since(t.Context(), before))
	for i := range want {
		got, err := r.At(t.Context(), uint64(i))
		require.NoError(t, err)
		require.Equal(t, want[i], string(got.Content), i)
	}

	_, err = c.Update(t.Context(), func(_ context.Context, r *ropewalk.Reader) ([]changeset.Draft, error) {
		requireSequences(t, r, want)
		requireSequences(t, r, want) // now from what Update has kept
		return nil, nil
	})
	require.NoError(t, err)
}

func requireSequences(t *testing.T, r *ropewalk.Reader, want []string) {
	t.Helper()
	ctx, last := t.Context(), uint64(len(want)-1)
	backward := slices.Clone(want)
	slices.Reverse(backward)
	requireContents(t, want, r.All(ctx))
	requireContents(t, backward, r.Backward(ctx))
	requireContents(t, want[1:5], r.Changesets(ctx, ropewalk.Range{First: 1, Last: 4}))
	requireContents(t, backward[:last], r.Changesets(ctx, ropewalk.Range{First: 1, Last: last, Backward: true}))
	requireContents(t, want[3:], r.Changesets(ctx, ropewalk.Range{First: 3, Last: ropewalk.Newest}))
}

func requireContents(t *testing.T, want []string, seq iter.Seq2[changeset.Changeset, error]) {
	t.Helper()
	var got []string
	for c, err := range seq {
		require.NoError(t, err)
		got = append(got, string(c.Content))
	}
	require.True(t, slices.Equal(want, got), "%d contents, %d of them", len(want), len(got))
}

// requireEncodings demands that some are stored compressed and some are not,
// and that all of them can be proved as they are read.
func requireEncodings(t *testing.T, r *ropewalk.Reader, want []string) {
	t.Helper()
	var parent changeset.Digest
	for c, err := range r.All(t.Context()) {
		require.NoError(t, err)
		require.NoError(t, c.Verify(parent))
		parent = c.Digest
		if slices.Contains([]uint64{1, 5, 7}, c.Version) {
			require.Equal(t, changeset.EncodingZstd, c.Encoding, c.Version)
			require.Less(t, c.BodySize, int64(len(long)/10), c.Version)
		} else {
			require.Empty(t, c.Encoding, c.Version)
			require.Equal(t, want[c.Version], string(c.Body), c.Version)
		}
	}
}

// The limit applies to content, not to what it is compressed to.
func TestCompressedContentIsLimited(t *testing.T) {
	db := memstore.New()
	limit := int64(len(long))
	store, lower := ropewalk.New(db, db, compressing(limit)), ropewalk.New(db, db, compressing(limit-1))
	_, err := lower.Chain("log").Create(t.Context(), chaintest.Draft(long))
	require.ErrorIs(t, err, ropewalk.ErrTooLarge)
	_, err = lower.Chain("log").NewAppender(nil).Append(t.Context(), chaintest.Draft(long))
	require.ErrorIs(t, err, ropewalk.ErrTooLarge)

	h, err := store.Chain("log").Create(t.Context(), chaintest.Draft(short), chaintest.Draft(long))
	require.NoError(t, err)
	read, err := ropewalk.Collect(lower.Chain("log").ReaderAt(h).All(t.Context()))
	require.ErrorIs(t, err, ropewalk.ErrStoredTooLarge)
	require.Len(t, read, 1, "what comes before is read")
	c, err := lower.Chain("log").ReaderAt(h).At(t.Context(), 1)
	require.ErrorIs(t, err, ropewalk.ErrStoredTooLarge)
	require.Zero(t, c)
	headers, err := ropewalk.Collect(lower.Chain("log").ReaderAt(h).Headers(t.Context(), ropewalk.Range{Last: 1}))
	require.NoError(t, err, "headers need no content")
	require.Len(t, headers, 2)
	c, err = store.Chain("log").ReaderAt(h).At(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, long, string(c.Content))
}

// A body that is what the digest commits to, but that is not what its encoding
// says, is corrupt. The error names the object, and what comes before is read.
func TestBodyThatCannotBeDecoded(t *testing.T) {
	db := memstore.New()
	h, err := ropewalk.New(db, db, nil).Chain("log").Create(t.Context(), chaintest.Draft(short))
	require.NoError(t, err)
	built, next, err := link.Extend(h, "log", []changeset.Draft{chaintest.Draft(long)}, time.Now())
	require.NoError(t, err)
	c := built[0]
	c.Encoding = changeset.EncodingZstd
	c.Digest = c.ComputeDigest(h.Digest)
	next.Digest = c.Digest
	require.NoError(t, db.Put(t.Context(), c))
	_, err = db.Swap(t.Context(), h, next)
	require.NoError(t, err)

	r := ropewalk.New(db, db, nil).Chain("log").ReaderAt(next)
	read, err := ropewalk.Collect(r.All(t.Context()))
	var corrupt *ropewalk.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, c.Ref, corrupt.Ref)
	require.Equal(t, db.Locate(c.Ref), corrupt.Object)
	require.Contains(t, corrupt.Reason, "zstd frame")
	require.Len(t, read, 1)
	read, err = ropewalk.Collect(r.Backward(t.Context()))
	require.ErrorAs(t, err, &corrupt)
	require.Empty(t, read)
}

// A writer with a command ID finds what it stored before, whatever it compresses now.
func TestCompressedCommandsAreIdempotent(t *testing.T) {
	db := memstore.New()
	var heads []head.Head
	for i := range 4 {
		store := ropewalk.New(db, db, &ropewalk.Options{Compress: i%2 == 0})
		h, err := store.Chain("log").Create(t.Context(), changeset.Draft{CommandID: "once", Content: []byte(long)})
		require.NoError(t, err, "call %d", i)
		heads = append(heads, h)
	}
	for _, h := range heads {
		require.Equal(t, heads[0].Ref, h.Ref)
	}
}

// putRecorder keeps the bodies that are put, and interferes once, after the first.
type putRecorder struct {
	changeset.Store
	interfere func(c changeset.Changeset)
	once      sync.Once
	mu        sync.Mutex
	bodies    []*byte
}

func (p *putRecorder) Put(ctx context.Context, c changeset.Changeset) error {
	p.mu.Lock()
	p.bodies = append(p.bodies, &c.Body[0])
	p.mu.Unlock()
	err := p.Store.Put(ctx, c)
	p.once.Do(func() { p.interfere(c) })
	return err
}

// A draft that has to be built again is not compressed again: every attempt
// puts the very same slice.
func TestDraftIsCompressedOnce(t *testing.T) {
	db := memstore.New()
	plain := ropewalk.New(db, db, nil).Chain("log")
	_, err := plain.Create(t.Context(), chaintest.Draft(short))
	require.NoError(t, err)
	fenced := &putRecorder{Store: db, interfere: func(c changeset.Changeset) {
		_, err := plain.Settle(t.Context(), c.Ref, c.AfterRevision)
		require.True(t, chaintest.IsConflict(err), "%v", err)
	}}
	h, err := plain.Head(t.Context())
	require.NoError(t, err)
	_, err = ropewalk.New(fenced, twoSteps{db}, compressing(0)).Chain("log").Append(t.Context(), h, chaintest.Draft(long))
	require.NoError(t, err)

	overtaken := &putRecorder{Store: db, interfere: func(changeset.Changeset) {
		h, err := plain.Head(t.Context())
		require.NoError(t, err)
		_, err = plain.Append(t.Context(), h, chaintest.Draft(short))
		require.NoError(t, err)
	}}
	_, err = ropewalk.New(overtaken, twoSteps{db}, compressing(0)).Chain("log").NewAppender(nil).Append(t.Context(), chaintest.Draft(long))
	require.NoError(t, err)

	for name, p := range map[string]*putRecorder{"Append": fenced, "Appender": overtaken} {
		require.Len(t, p.bodies, 2, "%s puts again what was refused", name)
		require.Same(t, p.bodies[0], p.bodies[1], name)
	}
	r, err := plain.Reader(t.Context())
	require.NoError(t, err)
	requireContents(t, []string{short, long, short, long}, r.All(t.Context()))
}
