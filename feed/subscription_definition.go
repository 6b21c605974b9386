package feed

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

// Share is a part of a subscription: number Index, from 1, of Of parts. The zero
// Share is the whole.
//
// Each aggregate belongs to exactly one of the Of parts. Parts of another Of are
// other subscriptions, which begin at [SubscriptionOptions.From].
type Share struct {
	Index int `json:"index"`
	Of    int `json:"of"`
}

// maxShares is the largest number of parts of a subscription.
const maxShares = 1024

// String returns "2-of-4", and nothing for the zero Share.
func (s Share) String() string {
	if s == (Share{}) {
		return ""
	}
	return fmt.Sprintf("%d-of-%d", s.Index, s.Of)
}

func (s Share) check() error {
	if s != (Share{}) && (s.Index < 1 || s.Index > s.Of || s.Of > maxShares) {
		return fmt.Errorf("share %s: the number must be from 1 to the number of shares, which is at most %d", s, maxShares)
	}
	return nil
}

// has reports whether an aggregate belongs to the share. Stored checkpoints
// depend on this function: it must never change.
func (s Share) has(aggregateID string) bool {
	if s.Of <= 1 {
		return true
	}
	sum := sha256.Sum256([]byte(aggregateID))
	return binary.BigEndian.Uint64(sum[:8])%uint64(s.Of) == uint64(s.Index-1)
}

// definition is the content of the newest changeset of a subscription's chain. A
// subscription that is made again after its deletion gets another definition.
type definition struct {
	Format  int      `json:"format"`
	Name    string   `json:"name"`
	Share   *Share   `json:"share,omitempty"`
	From    Position `json:"from"`
	Deleted bool     `json:"deleted,omitempty"`
}

var validName = regexp.MustCompile(`^[0-9A-Za-z._@~-]{1,64}$`)

// check returns what makes the name or the options unusable.
func (s *Subscription) check() error {
	err := s.options.Share.check()
	if err == nil && !validName.MatchString(s.name) {
		err = errors.New("a name has 1 to 64 letters, digits, or characters of -_.@~")
	}
	if err == nil && s.options.FromNow && !s.options.From.IsZero() {
		err = errors.New("only one of From and FromNow can be set")
	}
	if err == nil {
		err = changeset.ValidateAggregateID(s.chainID())
	}
	if err != nil {
		return fmt.Errorf("subscription %q: %w", s.name, err)
	}
	return nil
}

// key names the subscription and its share.
func (s *Subscription) key() string {
	if s.options.Share.Of == 0 {
		return s.name
	}
	return s.name + "/" + s.options.Share.String()
}

func (s *Subscription) chainID() string { return reserved.Subscription(s.key()) }

func (s *Subscription) chain() *ropewalk.Chain { return s.feed.store.Chain(s.chainID()) }

// record is a subscription as it is stored. Without a head, and if the definition
// is deleted, the subscription does not exist.
type record struct {
	head head.Head
	definition
	checkpoint
}

func (r record) exists() bool { return r.head.Exists() && !r.Deleted }

// load returns the present record, given an earlier one. Its error matches
// [ropewalk.ErrHeadLost] if the present one cannot follow the earlier one.
func (s *Subscription) load(ctx context.Context, seen record) (record, error) {
	h, err := within(ctx, s.options.Standby/beats, func(ctx context.Context) (head.Head, error) {
		return s.chain().Refresh(ctx, seen.head)
	})
	if errors.Is(err, ropewalk.ErrNotFound) && !seen.head.Exists() {
		return record{}, nil
	}
	if errors.Is(err, ropewalk.ErrNotFound) || err == nil && h.Revision == seen.head.Revision && !sameRecord(h, seen.head) {
		err = fmt.Errorf("chain %q: %w", s.chainID(), ropewalk.ErrHeadLost)
	}
	if err != nil {
		return record{}, err
	}
	d := seen.definition
	if h.Ref != seen.head.Ref {
		if d, err = s.readDefinition(ctx, h); err != nil {
			return record{}, err
		}
	}
	return recordOf(h, d)
}

// sameRecord reports whether two heads are one stored record.
func sameRecord(h, other head.Head) bool {
	return h.SameRecord(other) && h.Checkpoint == other.Checkpoint
}

func (s *Subscription) readDefinition(ctx context.Context, h head.Head) (d definition, err error) {
	c, err := s.chain().ReaderAt(h).At(ctx, h.Version)
	if err != nil {
		return d, err
	}
	err = json.Unmarshal(c.Content, &d)
	switch {
	case err == nil && d.Format > formatOfSubscriptions:
		return d, fmt.Errorf("%s: %w: it is a definition of format %d, this version reads %d", c.Ref, ropewalk.ErrUnsupportedFormat, d.Format, formatOfSubscriptions)
	case err == nil && (d.Name != s.name || !d.isOf(s.options.Share)):
		err = fmt.Errorf("it defines %q, share %v", d.Name, d.Share)
	}
	if err != nil {
		return d, &ropewalk.CorruptError{Ref: c.Ref, Reason: "it does not define the subscription: " + err.Error()}
	}
	return d, nil
}

func (d definition) isOf(s Share) bool {
	return d.Share == nil && s == Share{} || d.Share != nil && *d.Share == s
}

// recordOf returns the record of a head. A checkpoint of an earlier definition
// counts for its fence alone, which never goes down.
func recordOf(h head.Head, d definition) (record, error) {
	start := checkpoint{of: h.Version, position: d.From, parked: map[string]Parked{}}
	if h.Checkpoint == "" {
		return record{h, d, start}, nil
	}
	c, err := parseCheckpoint(h)
	if err != nil {
		return record{}, err
	}
	if c.of != h.Version {
		start.fence, start.beat = c.fence, c.beat
		c = start
	}
	return record{h, d, c}, nil
}

// create defines the subscription after the record of a subscription that does
// not exist.
func (s *Subscription) create(ctx context.Context, after record) (record, error) {
	from := s.options.From
	err := s.feed.checkPosition(ctx, from)
	if s.options.FromNow {
		from, err = s.feed.End(ctx)
	}
	if err != nil {
		return record{}, err
	}
	if err := s.feed.addToIndex(ctx, s.key()); err != nil {
		return record{}, err
	}
	return s.define(ctx, after, definition{From: from})
}

func (s *Subscription) define(ctx context.Context, after record, d definition) (record, error) {
	d.Format, d.Name = formatOfSubscriptions, s.name
	if s.options.Share != (Share{}) {
		d.Share = &s.options.Share
	}
	content, err := json.Marshal(d)
	if err != nil {
		return record{}, err
	}
	draft := ropewalk.Draft{Content: content, ContentType: "application/json"}
	h, err := s.chain().Append(reserved.Open(ctx), after.head, draft)
	if err != nil {
		return record{}, err
	}
	return recordOf(h, d)
}

// index is the content of the newest changeset of the chain that lists all names
// of subscriptions that were ever used. Without it, a list of the subscriptions
// would take a look at all heads.
type index struct {
	Format int      `json:"format"`
	Keys   []string `json:"subscriptions"`
}

func (f *Feed) indexChain() *ropewalk.Chain { return f.store.Chain(reserved.Subscription("")) }

// addToIndex adds the key of a subscription to the index, unless it is there.
func (f *Feed) addToIndex(ctx context.Context, key string) error {
	_, err := f.indexChain().Update(reserved.Open(ctx), func(ctx context.Context, r *ropewalk.Reader) ([]ropewalk.Draft, error) {
		in, err := readIndex(ctx, r)
		if err != nil || slices.Contains(in.Keys, key) {
			return nil, err
		}
		in.Keys = append(in.Keys, key)
		slices.Sort(in.Keys)
		content, err := json.Marshal(in)
		return []ropewalk.Draft{{Content: content, ContentType: "application/json"}}, err
	})
	return err
}

func readIndex(ctx context.Context, r *ropewalk.Reader) (index, error) {
	in := index{Format: formatOfSubscriptions}
	if !r.Head().Exists() {
		return in, nil
	}
	c, err := r.At(ctx, r.Head().Version)
	if err != nil {
		return in, err
	}
	if err := json.Unmarshal(c.Content, &in); err != nil {
		return in, &ropewalk.CorruptError{Ref: c.Ref, Reason: "it is not a list of subscriptions: " + err.Error()}
	}
	if in.Format > formatOfSubscriptions {
		return in, fmt.Errorf("%s: %w: it is a list of format %d, this version reads %d", c.Ref, ropewalk.ErrUnsupportedFormat, in.Format, formatOfSubscriptions)
	}
	return in, nil
}
