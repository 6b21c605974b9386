package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/internal/finding"
)

// The limits above which a finding needs something done.
const (
	largeSkew    = 30 * time.Second
	largeWAL     = 64 << 20
	longUnfed    = time.Minute
	longLag      = 10 * time.Minute
	probedHeads  = 1000 // for heads from the future
	probedTimes  = 5
	probeTimeout = 30 * time.Second
)

// clock compares the clock of this machine with the clock of the service.
func clock(ctx context.Context, p location.Location) []finding.Finding {
	clocked, ok := p.(location.Clocked)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	ahead, err := clocked.Skew(ctx)
	f := finding.Finding{Name: "clock", OK: err == nil && ahead.Abs() < largeSkew}
	switch {
	case err != nil:
		f.Detail, f.Hint = "the service did not report its time: "+err.Error(), "check the endpoint, the region and the network"
	case ahead.Abs() < 2*time.Second: // the service's time has whole seconds
		f.Detail = "agrees with the service"
	case ahead > 0:
		f.Detail = ui.FormatDuration(ahead.Truncate(time.Second)) + " ahead of the service"
	default:
		f.Detail = ui.FormatDuration(-ahead.Truncate(time.Second)) + " after the service"
	}
	if err == nil && !f.OK {
		f.Hint = "set the clock of this machine: recorded times would be wrong, and from four minutes on requests are refused"
	}
	return []finding.Finding{f}
}

// walSize looks at the write-ahead log of a SQLite file. It grows while a reader keeps a
// transaction open.
func walSize(file string) finding.Finding {
	f := finding.Finding{Name: "wal", OK: true, Detail: "none"}
	info, err := os.Stat(file + "-wal")
	if err != nil {
		return f
	}
	f.Detail = ui.ByteSize(info.Size())
	if f.OK = info.Size() < largeWAL; !f.OK {
		f.Hint = "a program keeps a read transaction open, such as a backup or an SQL shell: end it"
	}
	return f
}

// probing examines an open store. It keeps the changeset that it has read, for the probe
// of writing; nil until a changeset was read. A request that takes longer than slow is a
// finding.
type probing struct {
	*store
	slow time.Duration
	read *changeset.Changeset
}

// reading loads a head that is missing, and a changeset if the store has any.
func (s *probing) reading(ctx context.Context) ([]finding.Finding, error) {
	took, err := median(func() error {
		_, err := s.heads.Load(ctx, "doctor-"+uuid.NewString())
		return err
	})
	if err != nil {
		return nil, err
	}
	all := []finding.Finding{s.timed("a head", took)}
	newest, future, err := s.someHeads(ctx)
	if err != nil {
		return nil, err
	}
	if future != "" {
		all = append(all, finding.Finding{Name: "heads", Detail: future, Hint: "set the clock of the machine that wrote it; histories are in order anyway"})
	}
	if object, ok := objectOf(newest); ok {
		var c changeset.Changeset
		took, err := median(func() (err error) {
			c, err = s.objects.Get(ctx, object, nil)
			return err
		})
		switch {
		case isDamage(err):
			all = append(all, finding.Finding{Name: "reading an object", Detail: object.String() + ": " + err.Error(), Hint: "ropewalk verify " + ui.Quote(object.AggregateID)})
		case err != nil:
			return nil, err
		default:
			s.read, all = &c, append(all, s.timed("an object", took))
		}
	}
	return all, nil
}

func isDamage(err error) bool {
	_, damaged := errors.AsType[*changeset.CorruptError](err)
	return damaged || errors.Is(err, changeset.ErrNotFound)
}

func median(do func() error) (time.Duration, error) {
	var all []time.Duration
	for range probedTimes {
		start := time.Now()
		if err := do(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	return all[len(all)/2], nil
}

func (s *probing) timed(what string, took time.Duration) finding.Finding {
	f := finding.Finding{Name: "reading " + what, OK: took <= s.slow, Detail: "takes " + took.Round(10*time.Microsecond).String()}
	if !f.OK {
		f.Hint = "run the program in the region of the store; each round trip takes as long"
	}
	return f
}

// someHeads looks at some heads. It returns a head with changesets, and what is known of
// the first head that was written in the future, by the clock of this machine.
func (s *probing) someHeads(ctx context.Context) (newest head.Head, future string, err error) {
	seen := 0
	for h, err := range s.heads.List(ctx, "") {
		if isDamage(err) {
			break // ropewalk verify names it
		}
		if err != nil {
			return newest, future, err
		}
		if _, ok := objectOf(h); ok {
			newest = h
		}
		if ahead := time.Until(h.UpdatedAt); ahead > largeSkew && future == "" {
			future = fmt.Sprintf("%s was written %s in the future", h.AggregateID, ui.FormatDuration(ahead.Truncate(time.Second)))
		}
		if seen++; seen == probedHeads {
			break
		}
	}
	return newest, future, nil
}

// objectOf returns the object that a head names; false for a packed chain, whose newest
// changesets are in the head.
func objectOf(h head.Head) (changeset.Ref, bool) {
	return h.Ref, h.State == head.Live && !h.IsPacked()
}

// writing tries a swap that must be refused, and puts the object that was read.
func (s *probing) writing(ctx context.Context) ([]finding.Finding, error) {
	never := head.Head{Ref: changeset.Ref{AggregateID: "doctor-" + uuid.NewString(), ID: changeset.NewID()}, Revision: 1, State: head.Live, UpdatedAt: time.Now()}
	never.Ancestors = never.Ancestors.Push(never.ID)
	next := never
	next.Revision++
	_, err := s.heads.Swap(ctx, never.WithToken(`"doctor"`), next)
	if _, refused := errors.AsType[*head.ConflictError](err); !refused {
		return nil, errors.Join(err, errors.New("a swap that expects a missing head was not refused as a conflict"))
	}
	all := []finding.Finding{{Name: "swapping a head", OK: true, Detail: "is permitted"}}
	if s.read == nil {
		return all, nil
	}
	if err := s.objects.Put(ctx, *s.read); err != nil {
		return nil, err
	}
	return append(all, finding.Finding{Name: "putting an object", OK: true, Detail: "is permitted"}), nil
}

// feeding looks at what the feed lacks.
func (s *probing) feeding(ctx context.Context) ([]finding.Finding, error) {
	status, err := s.feed().Status(ctx)
	if errors.Is(err, feed.ErrNoFeed) {
		return []finding.Finding{{Name: "feed", OK: true, Detail: "none"}}, nil
	}
	if err != nil {
		return nil, err
	}
	f := finding.Finding{Name: "feed", OK: !status.Unfed || !status.OldestUnfed.IsZero() && time.Since(status.OldestUnfed) < longUnfed, Detail: "lacks " + unfedText(status, time.Now())}
	if !f.OK {
		f.Hint = "run a relay all the time: ropewalk relay"
	}
	return []finding.Finding{f}, nil
}

// subscribing looks at each subscription.
func (s *probing) subscribing(ctx context.Context) ([]finding.Finding, error) {
	standings, err := measureAll(ctx, s.feed())
	if err != nil && !errors.Is(err, feed.ErrNoFeed) {
		return nil, err
	}
	var all []finding.Finding
	for _, s := range standings {
		f := finding.Finding{Name: "subscription " + s.name(), OK: true, Detail: fmt.Sprintf("%d changes to come", s.lag.Changes)}
		switch late := !s.lag.Oldest.IsZero() && time.Since(s.lag.Oldest) > longLag; {
		case s.lagErr != nil:
			f.OK, f.Detail, f.Hint = false, s.lagErr.Error(), "ropewalk subscriptions shows what to do"
		case len(s.Parked) > 0:
			f.OK, f.Detail, f.Hint = false, fmt.Sprintf("%d changes are parked", len(s.Parked)), "ropewalk subscriptions "+ui.Quote(s.name())+" shows why; --replay delivers them again"
		case late:
			f.OK, f.Hint = false, "see whether its program runs, and keeps up"
		}
		all = append(all, f)
	}
	return all, nil
}
