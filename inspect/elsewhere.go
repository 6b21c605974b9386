package inspect

import (
	"context"
	"errors"
	"sort"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/headlist"
)

// findCommits finds the commits of several aggregates that the head could be rolled forward
// to, or rebuilt with, and that other chains have. Such a commit was committed.
func (s *survey) findCommits(ctx context.Context) error {
	_, outside := s.parts()
	for _, p := range outside {
		if r := s.objects.at(p.place); r.is(above) || s.head.IsZero() && r.is(sound) {
			s.commits = append(s.commits, Torn{Commit: p.commit, RecordedAt: time.Unix(0, p.at).UTC(), Outside: []changeset.Ref{p.ref}})
		}
	}
	if len(s.commits) == 0 {
		return nil
	}
	for e, err := range headlist.All(ctx, s.in.heads, "") {
		if err != nil {
			return err
		}
		if e.AggregateID == s.id || e.Fault != nil || e.Head.State != head.Live || !s.in.wants(e.AggregateID) {
			continue
		}
		for i := range s.commits {
			if err := s.in.locate(ctx, e.Head, &s.commits[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// locate looks for a commit in the chain of a head. All parts of a commit have one time, and
// no time in a chain is before an earlier one. So a few headers show the only versions that
// can have the commit. A damaged chain is passed over.
func (in *Inspector) locate(ctx context.Context, h head.Head, t *Torn) error {
	if h.UpdatedAt.Before(t.RecordedAt) {
		return nil
	}
	reader := ropewalk.New(in.changesets, in.heads, nil).Chain(h.AggregateID).ReaderAt(h)
	var failed error
	at := func(version int) (c changeset.Header) {
		for c, err := range reader.Headers(ctx, ropewalk.Range{First: uint64(version), Last: uint64(version)}) {
			failed = errors.Join(failed, err)
			return c
		}
		return c
	}
	first := sort.Search(int(h.Len()), func(v int) bool { return failed != nil || !at(v).RecordedAt.Before(t.RecordedAt) })
	for v := first; v < int(h.Len()) && failed == nil; v++ {
		c := at(v)
		if c.Commit() == t.Commit {
			t.In = append(t.In, c.Ref)
			break
		}
		if !c.RecordedAt.Equal(t.RecordedAt) {
			break
		}
	}
	if _, corrupt := errors.AsType[*changeset.CorruptError](failed); corrupt || errors.Is(failed, changeset.ErrNotFound) || errors.Is(failed, ropewalk.ErrErased) {
		return nil
	}
	return failed
}
