package faults_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
)

// pager is a store whose log, source, tags and scans have three pages each. It counts
// the pages that it was asked for.
type pager struct {
	*memstore.Store
	asked int
}

func three[T any](ctx context.Context, p *pager, page func(n uint64) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for n := range uint64(3) {
			p.asked++
			if err := ctx.Err(); err != nil {
				yield(page(0), err)
				return
			}
			if !yield(page(n+1), nil) {
				return
			}
		}
		p.asked++
	}
}

func (p *pager) Tags(ctx context.Context, _ string) iter.Seq2[head.Tag, error] {
	return three(ctx, p, func(uint64) head.Tag { return head.Tag{} })
}

func (p *pager) Entries(ctx context.Context, _ head.LogPosition, _ bool) iter.Seq2[[]head.LogEntry, error] {
	return three(ctx, p, func(n uint64) []head.LogEntry { return make([]head.LogEntry, n) })
}

func (p *pager) LogEnd(context.Context) (head.LogPosition, error) {
	p.asked++
	return head.LogPosition{Row: 3}, nil
}

func (p *pager) SourceName() string { return "pager" }

func (p *pager) Hints(ctx context.Context, _ []byte) iter.Seq2[head.Hints, error] {
	return three(ctx, p, func(n uint64) head.Hints { return head.Hints{Hints: make([]head.Hint, n)} })
}

func (p *pager) Scan(ctx context.Context, _ []string, _ changeset.Admission) iter.Seq2[changeset.Scanned, error] {
	return three(ctx, p, func(uint64) changeset.Scanned { return changeset.Scanned{} })
}

var sequences = []faults.Op{faults.Tags, faults.Entries, faults.Hints, faults.Scan}

// drain reads a sequence of the pager, under the script, to its end. It returns the number of pages that
// came, and the error.
func drain(ctx context.Context, script *faults.Script, p *pager, op faults.Op) (pages int, err error) {
	s := script.Heads(p)
	switch op {
	case faults.Tags:
		tagger, _ := head.As[head.Tagger](s)
		return count(tagger.Tags(ctx, ""))
	case faults.Entries:
		log, _ := head.As[head.Log](s)
		return count(log.Entries(ctx, head.LogPosition{}, false))
	case faults.Scan:
		scanner, _ := changeset.As[changeset.Scanner](script.Changesets(p))
		return count(scanner.Scan(ctx, []string{"a"}, nil))
	default:
		source, _ := head.As[head.Source](s)
		return count(source.Hints(ctx, nil))
	}
}

func count[T any](sequence iter.Seq2[T, error]) (pages int, err error) {
	for _, err := range sequence {
		if err != nil {
			return pages, err
		}
		pages++
	}
	return pages, nil
}

// A fault of a sequence strikes one of its pages, or its end, and ends it.
func TestFaultsOfSequences(t *testing.T) {
	for _, op := range sequences {
		for kind, arrives := range map[faults.Kind]bool{
			faults.Dropped: false, faults.Refused: false, faults.Late: false, faults.HangBefore: false,
			faults.Lost: true, faults.HangAfter: true,
		} {
			for n := 1; n <= 4; n++ {
				synctest.Test(t, func(t *testing.T) {
					var script faults.Script
					p := &pager{Store: memstore.New()}
					script.On(op, n, faults.Fault{Kind: kind, Err: errCause})
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					pages, err := drain(ctx, &script, p, op)
					require.ErrorIs(t, err, errCause)
					require.ErrorContains(t, err, "is "+kind.String())
					require.Equal(t, n-1, pages)
					require.Equal(t, n, script.Calls(op))
					require.Empty(t, script.Unused())
					asked := n - 1
					if arrives {
						asked++
					}
					require.Equal(t, asked, p.asked)
					script.Release()
					require.Equal(t, asked, p.asked, "nothing comes later")
				})
			}
		}
	}
}

func TestSequencesPassWithoutAFault(t *testing.T) {
	var script faults.Script
	p := &pager{Store: memstore.New()}
	s := script.Heads(p)
	for _, op := range sequences {
		pages, err := drain(t.Context(), &script, p, op)
		require.NoError(t, err)
		require.Equal(t, 3, pages)
		require.Equal(t, 4, script.Calls(op), "the last one finds the end")

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = drain(ended, &script, p, op)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 4, script.Calls(op), "nothing was sent")
	}
	tagger, _ := head.As[head.Tagger](s)
	for range tagger.Tags(t.Context(), "") {
		break // which must not leave a goroutine: the store's loop ends
	}
	require.Equal(t, 5, script.Calls(faults.Tags))
}

func TestLogEndIsACallOfEntries(t *testing.T) {
	var script faults.Script
	log, _ := head.As[head.Log](script.Heads(&pager{Store: memstore.New()}))
	script.Next(faults.Entries, faults.Fault{Kind: faults.Late})
	_, err := log.LogEnd(t.Context())
	require.EqualError(t, err, "injected fault: entries 1 is late")
	require.Zero(t, script.Pending())
	end, err := log.LogEnd(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, end.Row)
}
