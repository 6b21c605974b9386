package dynamostore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"ropewalk/head"
	"ropewalk/internal/awscall"
	"ropewalk/internal/parallel"
	"ropewalk/internal/pause"
)

const (
	// newsPause is the pause between two reads of a shard while there is news, and
	// idlePause the longest pause, before jitter.
	newsPause = 250 * time.Millisecond
	idlePause = 2 * time.Second
	// discoverEvery is the longest time between two looks at the list of shards.
	discoverEvery = 10 * time.Second
	// shardsAtOnce is how many shards are read at once.
	shardsAtOnce = 16
	// safeAge is how old what was read last may be. Records are kept for 24 hours;
	// later they go without a word from a shard of which nothing was read yet.
	safeAge = 20 * time.Hour
)

// SourceName returns "dynamodb-streams".
func (s *Store) SourceName() string { return "dynamodb-streams" }

// Hints yields hints from the table's stream, as [head.Source] demands. The stream
// must have the view type NEW_IMAGE or NEW_AND_OLD_IMAGES for hints to bring the
// heads along.
//
// DynamoDB keeps the records of a stream for 24 hours. A page is Lost if the cursor
// is nil, older than 20 hours, of another stream, or not readable, if DynamoDB no
// longer has what comes next, and if the stream is disabled. A table without a
// stream, and a disabled stream that was read to its end, are a [*SetupError]. So
// is a reply that DynamoDB Streams cannot have sent.
//
// At most two processes should read a stream at a time: DynamoDB throttles more. A
// shard that was throttled for a minute ends the sequence with DynamoDB's error.
func (s *Store) Hints(ctx context.Context, cursor []byte) iter.Seq2[head.Hints, error] {
	return func(yield func(head.Hints, error) bool) {
		f := &follower{store: s, shards: map[string]*shard{}, yield: yield}
		f.restore(ctx, cursor)
		if err := f.follow(ctx); !errors.Is(err, errStopped) {
			yield(head.Hints{}, fmt.Errorf("read the stream of table %s: %w", s.table, err))
		}
	}
}

// errStopped means that the loop over the hints has ended.
var errStopped = errors.New("stopped")

// follower reads a stream for one call of Hints. All times are of the service's clock,
// except nextLook.
type follower struct {
	store    *Store
	stream   string // its ARN
	disabled bool   // it takes no more records
	shards   map[string]*shard
	start    time.Time // when the call began
	since    time.Time // all that happened before was read, or was reported as lost
	listed   time.Time // when the shards were listed last
	nextLook time.Time // when they must be listed again
	lost     error     // why hints may be missing; nil if none are
	yield    func(head.Hints, error) bool
}

// restore takes up the position of a cursor. A text that is not a cursor of this
// source leads to another stream than the table's, and so to a loss.
func (f *follower) restore(ctx context.Context, cursor []byte) {
	if cursor == nil {
		return
	}
	var p position
	if err := json.Unmarshal(cursor, &p); err != nil {
		f.store.log.WarnContext(ctx, "the cursor of a stream is not readable", "table", f.store.table, "cause", err)
		return
	}
	f.stream, f.since = p.Stream, p.Since
	for id, place := range p.Shards {
		f.shards[id] = &shard{id: id, place: place}
	}
}

func (f *follower) follow(ctx context.Context) error {
	for pauses := pause.New(pause.First(newsPause), pause.Max(idlePause)); ; {
		news, err := f.round(ctx)
		if err != nil {
			return err
		}
		if news || !f.caughtUp() && f.lost == nil {
			pauses.Reset()
		}
		if err := pauses.Wait(ctx); err != nil {
			return err
		}
	}
}

// round looks for shards if that is due, and reads a page of each. It reports
// whether there were hints.
func (f *follower) round(ctx context.Context) (news bool, err error) {
	if !time.Now().Before(f.nextLook) {
		if err := f.discover(ctx); err != nil {
			return false, err
		}
		if f.disabled && f.allRead() {
			return false, f.store.noStream("the stream of table %s is disabled", nil)
		}
	}
	moved, news, err := f.read(ctx)
	if lost, ok := errors.AsType[*lossError](err); ok {
		f.lose(lost.err)
		return news, nil
	}
	switch {
	case err != nil:
		return news, err
	case f.disabled && f.allRead():
		f.nextLook = time.Time{} // there may be another stream by now
	case !moved && f.caughtUp():
		err = f.emit(head.Hints{})
	}
	return news, err
}

// lose notes that hints may be missing. The reading begins again with the next look
// at the list of shards.
func (f *follower) lose(err error) { f.lost, f.nextLook = err, time.Time{} }

// discover lists the shards, and finds out whether the reading can go on.
func (f *follower) discover(ctx context.Context) error {
	stream, err := f.store.latestStream(ctx, f.stream)
	if err != nil {
		return err
	}
	l, err := f.store.streams.list(ctx, stream)
	if awscall.Code(err) == codeNoTable {
		return f.store.noStream("table %s no longer has a stream", err)
	}
	if err != nil {
		return err
	}
	if f.start.IsZero() {
		f.start = l.at
	}
	if err := f.lossBy(stream, l); err != nil {
		f.lose(err)
	}
	f.stream, f.disabled, f.listed, f.nextLook = stream, l.disabled(), l.at, time.Now().Add(discoverEvery)
	if f.lost != nil {
		return f.beginAgain(ctx, l)
	}
	f.merge(l)
	return nil
}

// latestStream returns the ARN of the table's stream. A table may no longer name a stream
// that is disabled: then it is the known one.
func (s *Store) latestStream(ctx context.Context, known string) (string, error) {
	table, err := s.describe(ctx)
	if err != nil {
		return "", err
	}
	if latest := aws.ToString(table.LatestStreamArn); latest != "" {
		return latest, nil
	}
	if known == "" {
		return "", s.noStream("table %s has no stream", nil)
	}
	return known, nil
}

// noStream returns the error of a table whose changes nothing reports.
func (s *Store) noStream(what string, err error) error {
	return &SetupError{What: fmt.Sprintf(what, s.table), Hint: "run ropewalk init again, or enable a stream of the table with the view type NEW_IMAGE", Err: err}
}

// lossBy returns why hints may be missing, by what is listed now.
func (f *follower) lossBy(stream string, l listing) error {
	switch {
	case f.stream == "":
		return errors.New("nothing was read before")
	case stream != f.stream:
		return fmt.Errorf("the table has another stream than %s", f.stream)
	case l.disabled() && !f.disabled:
		return errors.New("the stream is disabled")
	case l.at.Sub(f.since) > safeAge:
		return fmt.Errorf("what was read last is of %s", f.since)
	}
	for id, sh := range f.shards {
		if _, listed := l.shards[id]; !listed && sh.place != done {
			return fmt.Errorf("shard %s is no longer there", id)
		}
	}
	return nil
}

// beginAgain yields the page that admits a loss. Each shard is read from its oldest
// record on.
func (f *follower) beginAgain(ctx context.Context, l listing) error {
	f.store.log.InfoContext(ctx, "hints may be missing", "table", f.store.table, "cause", f.lost)
	f.shards, f.since, f.lost = map[string]*shard{}, l.at, nil
	f.merge(l)
	return f.emit(head.Hints{Lost: true})
}

// merge takes up the shards that are listed, and forgets those that are not.
func (f *follower) merge(l listing) {
	maps.DeleteFunc(f.shards, func(id string, _ *shard) bool { _, listed := l.shards[id]; return !listed })
	for id, closed := range l.shards {
		if f.shards[id] == nil {
			f.shards[id] = &shard{id: id, place: horizon}
		}
		f.shards[id].confirm(closed || l.status == streamDisabled)
	}
}

// read reads a page of each shard. It reports whether there were records, and
// whether there were hints.
func (f *follower) read(ctx context.Context) (moved, news bool, err error) {
	for p, err := range parallel.Map(ctx, shardsAtOnce, f.open, f.readPage) {
		if err != nil {
			return moved, news, err
		}
		if p.shard.take(p, f.listed); p.shard.ended {
			f.nextLook = time.Time{}
		}
		f.advance()
		if p.place == "" {
			continue
		}
		moved, news = true, news || len(p.hints) > 0
		if err := f.emit(head.Hints{Hints: p.hints}); err != nil {
			return moved, news, err
		}
	}
	return moved, news, nil
}

// open yields the shards that have more to read.
func (f *follower) open(context.Context) iter.Seq2[*shard, error] {
	return func(yield func(*shard, error) bool) {
		for _, id := range slices.Sorted(maps.Keys(f.shards)) {
			if sh := f.shards[id]; !sh.ended && sh.place != done && !yield(sh, nil) {
				return
			}
		}
	}
}

// advance moves since on to what was read of all shards.
func (f *follower) advance() {
	oldest := f.listed
	for _, sh := range f.shards {
		if sh.place != done && sh.until.Before(oldest) {
			oldest = sh.until
		}
	}
	if oldest.After(f.since) {
		f.since = oldest
	}
}

// caughtUp reports whether all was read that happened before the call. It never
// is in a disabled stream: what happens is no longer in it.
func (f *follower) caughtUp() bool {
	return !f.disabled && f.lost == nil && len(f.shards) > 0 && f.allRead()
}

func (f *follower) allRead() bool {
	for _, sh := range f.shards {
		if sh.place != done && sh.until.Before(f.start) {
			return false
		}
	}
	return true
}

// emit yields a page, with the cursor after it.
func (f *follower) emit(page head.Hints) error {
	p := position{f.stream, f.since, map[string]string{}}
	for id, sh := range f.shards {
		p.Shards[id] = sh.place
	}
	var err error
	if page.Cursor, err = p.encode(); err != nil {
		return err
	}
	page.CaughtUp = f.caughtUp()
	if !f.yield(page, nil) {
		return errStopped
	}
	return nil
}
