package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ropewalk"
	"ropewalk/head"
	"ropewalk/internal/finding"
	"ropewalk/internal/pause"
)

// RelayOptions are the settings of a [Relay]. Zero values stand for the defaults.
type RelayOptions struct {
	// BatchEvery is the shortest time between two batches; 100 milliseconds by
	// default. Changes that come in the meantime share a batch, which is one object
	// and one swap.
	BatchEvery time.Duration
	// ListEvery is the pause between two listings of all heads, for backends that have
	// no source of hints; 10 seconds by default.
	ListEvery time.Duration
	// Parallel is the largest number of heads that are judged at once; 160 by default.
	Parallel int
	// Progress, if not nil, is called after each batch with the number of its
	// advances, by one goroutine at a time for each call of a method of the relay.
	Progress func(advances int)
}

// Relay finds out which aggregates have advanced, and appends their advances to
// the feed. Any number of relays may run at once, in any number of processes. They
// are safe together: one works, and the others stand by until news stays unfed.
// A Relay is safe for concurrent use, and needs no closing.
type Relay struct {
	feed    *Feed
	options RelayOptions
	source  source
}

// RelayReport says what a relay has done.
type RelayReport struct {
	// Batches and Advances count what was appended to the feed.
	Batches, Advances int
	// Restored are aggregates whose heads are not in the history that was fed: a
	// backup was restored. The relay leaves them alone.
	Restored []string
	// Unread are aggregates whose heads do not decode. The relay tries them again
	// when it starts.
	Unread []string

	pages int
}

func (r *RelayReport) restored(aggregateID string) {
	if !slices.Contains(r.Restored, aggregateID) {
		r.Restored = append(r.Restored, aggregateID)
	}
}

// standby is how often a relay that stands by looks at the feed, and takeover how
// long news may stay unfed before it becomes active.
const (
	standby  = 5 * time.Second
	takeover = 10 * time.Second
)

func (o *RelayOptions) withDefaults() RelayOptions {
	out := *cmp.Or(o, &RelayOptions{})
	out.BatchEvery = cmp.Or(max(out.BatchEvery, 0), 100*time.Millisecond)
	out.ListEvery = cmp.Or(max(out.ListEvery, 0), 10*time.Second)
	out.Parallel = cmp.Or(max(out.Parallel, 0), 160)
	if out.Progress == nil {
		out.Progress = func(int) {}
	}
	return out
}

// Relay returns a relay of the feed. It does no I/O. Nil options stand for the
// defaults.
func (f *Feed) Relay(options *RelayOptions) *Relay {
	o := options.withDefaults()
	r := &Relay{feed: f, options: o}
	if own, ok := head.As[head.Source](f.heads); ok {
		r.source = backendSource{own}
		return r
	}
	tagger, _ := head.As[head.Tagger](f.heads)
	r.source = listing{f.heads, tagger, o.ListEvery}
	return r
}

// Run feeds until the context ends, and then returns the context's error. If the
// store has no feed, Run makes it. If the backend writes a log, there is nothing
// to do, and Run only waits.
//
// A failure of the storage or of the source is logged and tried again, unless the
// source has never answered, or only a change of its setup helps: its stream was
// disabled. Run returns at once an error that matches
// [ErrFeedReplaced] if the feed was dropped, [ropewalk.ErrHeadLost] if the feed's own
// head was restored, [ropewalk.ErrUnsupportedFormat] if a head is of a newer
// version, and a [*ropewalk.CorruptError] if the feed is damaged.
func (r *Relay) Run(ctx context.Context) error {
	if r.feed.log != nil {
		<-ctx.Done()
		return ctx.Err()
	}
	st, err := r.start(ctx)
	if err != nil {
		return err
	}
	report := &RelayReport{}
	for pauses := pause.New(pause.Max(10 * time.Second)); ; {
		before := st.head
		err := r.session(st, forever, report).run(ctx)
		if st.head != before {
			pauses.Reset()
		}
		if r.fatal(ctx, err, report) {
			return replacedIfErased(err)
		}
		if errors.Is(err, ropewalk.ErrConflict) {
			err = r.standBy(ctx, st)
		} else {
			r.feed.options.Logger.WarnContext(ctx, "relay begins again at the feed's cursor", "cause", err)
			if err = pauses.Wait(ctx); err == nil {
				_, err = st.catchUp(ctx)
			}
		}
		if err != nil && r.fatal(ctx, err, report) {
			return replacedIfErased(err)
		}
	}
}

// Once feeds everything that has happened before the call, and some of what happens
// meanwhile. It is what a scheduled function does. It returns the errors of
// [Relay.Run], and the errors of the storage and the source.
func (r *Relay) Once(ctx context.Context) (RelayReport, error) { return r.once(ctx, false) }

// Sweep is [Relay.Once] that looks at every head, even if the source reports nothing.
func (r *Relay) Sweep(ctx context.Context) (RelayReport, error) { return r.once(ctx, true) }

func (r *Relay) once(ctx context.Context, sweeping bool) (RelayReport, error) {
	report := &RelayReport{}
	if r.feed.log != nil {
		return *report, nil
	}
	st, err := r.start(ctx)
	for err == nil {
		s := r.session(st, once, report)
		if s.sweeping = sweeping; sweeping {
			s.source = r.stillSource(st)
		}
		if err = s.run(ctx); err == nil {
			report.Unread = st.newest.Unread
			return *report, nil
		}
		if errors.Is(err, ropewalk.ErrConflict) || errors.Is(err, ropewalk.ErrUncertain) && ctx.Err() == nil {
			_, err = st.catchUp(ctx)
		}
	}
	return *report, replacedIfErased(err)
}

// stillSource returns a source without hints for a sweep, which must succeed even if
// the source is broken. Its cursor is the cursor of the feed. Without a cursor the
// source itself must say where it begins.
func (r *Relay) stillSource(st *state) source {
	if cursor := st.newest.cursorOf(r.source.name()); cursor != nil {
		return still{r.source.name(), cursor}
	}
	return r.source
}

// start reads the feed, and makes a feed if the store has none.
func (r *Relay) start(ctx context.Context) (*state, error) {
	registered, err := r.feed.registerNew(ctx, r.source.name())
	if err != nil {
		return nil, err
	}
	return r.feed.newState(ctx, registered.Generation)
}

func (r *Relay) session(st *state, m mode, report *RelayReport) *session {
	return &session{state: st, source: r.source, options: r.options, mode: m, report: report}
}

// standBy watches the feed while another relay works. It returns nil when news has
// stayed unfed for too long.
func (r *Relay) standBy(ctx context.Context, st *state) error {
	r.feed.options.Logger.InfoContext(ctx, "another relay is active, standing by", "generation", st.generation)
	if _, err := st.catchUp(ctx); err != nil {
		return err
	}
	for {
		moved, err := r.watch(ctx, st, standby)
		if err != nil {
			return err
		}
		if moved {
			continue
		}
		err = r.session(st, look, &RelayReport{}).run(ctx)
		if err != nil && !errors.Is(err, errNews) {
			return err
		}
		if err == nil {
			continue
		}
		if moved, err = r.watch(ctx, st, takeover); err != nil || !moved {
			return err
		}
	}
}

// watch waits, and folds what was fed meanwhile. It reports whether anything was.
func (r *Relay) watch(ctx context.Context, st *state, d time.Duration) (bool, error) {
	if err := pause.Sleep(ctx, d); err != nil {
		return false, err
	}
	return st.catchUp(ctx)
}

// fatal reports whether an error ends Run.
func (r *Relay) fatal(ctx context.Context, err error, report *RelayReport) bool {
	_, corrupt := errors.AsType[*ropewalk.CorruptError](err)
	_, source := errors.AsType[*sourceError](err)
	_, setup := errors.AsType[*finding.SetupError](err)
	return ctx.Err() != nil || corrupt || source && (setup || report.pages == 0) ||
		errors.Is(err, ErrFeedReplaced) || errors.Is(err, ropewalk.ErrErased) || errors.Is(err, ropewalk.ErrHeadLost) ||
		errors.Is(err, ropewalk.ErrUnsupportedFormat) || errors.Is(err, errTooManyUnread)
}

// replacedIfErased returns the error of a feed whose chain was erased.
func replacedIfErased(err error) error {
	if errors.Is(err, ropewalk.ErrErased) && !errors.Is(err, ErrFeedReplaced) {
		return fmt.Errorf("%w: %w", ErrFeedReplaced, err)
	}
	return err
}
