package backendtest

import (
	"context"
	"errors"
	"iter"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// bare and bareHeads have no optional interface.
type (
	bare      struct{ changeset.Store }
	bareHeads struct{ head.Store }
)

var ofAll = changeset.Ref{AggregateID: "a", ID: changeset.NewID()}

var changesetOptions = []option[changeset.Store]{
	having[changeset.Store](changeset.As[changeset.Store], wholeStore, bare{&probe{}}, map[string]func(context.Context, changeset.Store) error{
		"Put":  func(ctx context.Context, s changeset.Store) error { return s.Put(ctx, changeset.Changeset{}) },
		"Get":  func(ctx context.Context, s changeset.Store) error { _, err := s.Get(ctx, ofAll, nil); return err },
		"Stat": func(ctx context.Context, s changeset.Store) error { _, err := s.Stat(ctx, ofAll); return err },
	}),
	having[changeset.Store](changeset.As[changeset.ManyGetter], wholeStore, struct {
		changeset.Store
		changeset.ManyGetter
	}{bare{&probe{}}, &probe{}}, map[string]func(context.Context, changeset.ManyGetter) error{
		"GetMany": func(ctx context.Context, s changeset.ManyGetter) error {
			got, err := s.GetMany(ctx, []changeset.Ref{ofAll}, nil)
			return some(len(got), err)
		},
	}),
	having[changeset.Store](changeset.As[changeset.Lister], wholeStore, struct {
		changeset.Store
		changeset.Lister
	}{bare{&probe{}}, &probe{}}, map[string]func(context.Context, changeset.Lister) error{
		"Objects":    func(ctx context.Context, s changeset.Lister) error { return listed(s.Objects(ctx, "a")) },
		"Aggregates": func(ctx context.Context, s changeset.Lister) error { return listed(s.Aggregates(ctx, "")) },
	}),
	having[changeset.Store](changeset.As[changeset.Scanner], wholeStore, struct {
		changeset.Store
		changeset.Scanner
	}{bare{&probe{}}, &probe{}}, map[string]func(context.Context, changeset.Scanner) error{
		"Scan": func(ctx context.Context, s changeset.Scanner) error { return listed(s.Scan(ctx, []string{"a"}, nil)) },
	}),
	having[changeset.Store](changeset.As[changeset.Deleter], wholeStore, struct {
		changeset.Store
		changeset.Deleter
	}{bare{&probe{}}, &probe{}}, map[string]func(context.Context, changeset.Deleter) error{
		"Delete": func(ctx context.Context, s changeset.Deleter) error { return s.Delete(ctx, ofAll) },
	}),
	having[changeset.Store](changeset.As[changeset.Locator], wholeStore, struct {
		changeset.Store
		changeset.Locator
	}{bare{&probe{}}, &probe{}}, map[string]func(context.Context, changeset.Locator) error{
		"Locate": func(_ context.Context, s changeset.Locator) error { return some(len(s.Locate(ofAll)), nil) },
	}),
}

var headOptions = []option[head.Store]{
	having[head.Store](head.As[head.Store], wholeHeads, bareHeads{&headProbe{}}, map[string]func(context.Context, head.Store) error{
		"Load": func(ctx context.Context, s head.Store) error { _, err := s.Load(ctx, "a"); return err },
		"Swap": func(ctx context.Context, s head.Store) error {
			_, err := s.Swap(ctx, head.Head{}, firstHead())
			return err
		},
		"List": func(ctx context.Context, s head.Store) error { return listed(s.List(ctx, "")) },
	}),
	having[head.Store](head.As[head.Refresher], wholeHeads, struct {
		head.Store
		head.Refresher
	}{bareHeads{&headProbe{}}, &headProbe{}}, map[string]func(context.Context, head.Refresher) error{
		"Refresh": func(ctx context.Context, s head.Refresher) error { _, err := s.Refresh(ctx, firstHead()); return err },
	}),
	having[head.Store](head.As[head.Combined], wholeHeads, struct {
		head.Store
		head.Combined
	}{bareHeads{&headProbe{}}, &headProbe{}}, map[string]func(context.Context, head.Combined) error{
		"Commit": func(ctx context.Context, s head.Combined) error {
			_, err := s.Commit(ctx, nil, head.Head{}, firstHead())
			return err
		},
	}),
	having[head.Store](head.As[head.Transactor], wholeHeads, struct {
		head.Store
		head.Transactor
	}{bareHeads{&headProbe{}}, &headProbe{}}, map[string]func(context.Context, head.Transactor) error{
		"SwapAll": func(ctx context.Context, s head.Transactor) error {
			if s.Members() != probeMembers {
				return errors.New("it has another number of members")
			}
			heads, err := s.SwapAll(ctx, []head.Exchange{{AggregateID: "a", Next: firstHead()}})
			return some(len(heads), err)
		},
	}),
	having[head.Store](head.As[head.Log], wholeHeads, struct {
		head.Store
		head.Log
	}{bareHeads{&headProbe{}}, &headProbe{}}, map[string]func(context.Context, head.Log) error{
		"Entries": func(ctx context.Context, s head.Log) error {
			return listed(s.Entries(ctx, head.LogPosition{}, false))
		},
		"LogEnd": func(ctx context.Context, s head.Log) error { _, err := s.LogEnd(ctx); return err },
	}),
	having[head.Store](head.As[head.Source], wholeHeads, struct {
		head.Store
		head.Source
	}{bareHeads{&headProbe{}}, &headProbe{}}, map[string]func(context.Context, head.Source) error{
		"SourceName": func(_ context.Context, s head.Source) error { return some(len(s.SourceName()), nil) },
		"Hints":      func(ctx context.Context, s head.Source) error { return listed(s.Hints(ctx, nil)) },
	}),
	having[head.Store](head.As[head.Tagger], wholeHeads, struct {
		head.Store
		head.Tagger
	}{bareHeads{&headProbe{}}, &headProbe{}}, map[string]func(context.Context, head.Tagger) error{
		"Tags": func(ctx context.Context, s head.Tagger) error { return listed(s.Tags(ctx, "")) },
	}),
	having[head.Store](head.As[head.Tipper], wholeHeads, struct {
		head.Store
		head.Tipper
	}{bareHeads{&headProbe{}}, &headProbe{}}, map[string]func(context.Context, head.Tipper) error{
		"TipSize": func(_ context.Context, s head.Tipper) error { return some(s.TipSize(), nil) },
	}),
	having[head.Store](head.As[head.Locator], wholeHeads, struct {
		head.Store
		head.Locator
	}{bareHeads{&headProbe{}}, &headProbe{}}, map[string]func(context.Context, head.Locator) error{
		"LocateHead": func(_ context.Context, s head.Locator) error { return some(len(s.LocateHead("a")), nil) },
	}),
}

// some fails if there is nothing.
func some(n int, err error) error {
	if err == nil && n == 0 {
		return errors.New("it returned nothing")
	}
	return err
}

func listed[T any](listing iter.Seq2[T, error]) error {
	n := 0
	for _, err := range listing {
		if n++; err != nil {
			return err
		}
	}
	return some(n, nil)
}

// probe is a store of changesets with all optional interfaces. It keeps
// nothing, and counts its calls.
type probe struct{ calls }

func wholeStore() (changeset.Store, *calls) {
	p := &probe{}
	return p, &p.calls
}

func (p *probe) Put(context.Context, changeset.Changeset) error {
	p.count("Put")
	return nil
}

func (p *probe) Get(context.Context, changeset.Ref, changeset.Admission) (changeset.Changeset, error) {
	p.count("Get")
	return changeset.Changeset{}, nil
}

func (p *probe) Stat(context.Context, changeset.Ref) (changeset.Info, error) {
	p.count("Stat")
	return changeset.Info{}, nil
}

func (p *probe) GetMany(_ context.Context, refs []changeset.Ref, _ changeset.Admission) ([]changeset.Changeset, error) {
	p.count("GetMany")
	return make([]changeset.Changeset, len(refs)), nil
}

func (p *probe) Objects(context.Context, string) iter.Seq2[changeset.Object, error] {
	return func(yield func(changeset.Object, error) bool) {
		p.count("Objects")
		yield(changeset.Object{}, nil)
	}
}

func (p *probe) Aggregates(context.Context, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		p.count("Aggregates")
		yield("a", nil)
	}
}

func (p *probe) Scan(context.Context, []string, changeset.Admission) iter.Seq2[changeset.Scanned, error] {
	return func(yield func(changeset.Scanned, error) bool) {
		p.count("Scan")
		yield(changeset.Scanned{}, nil)
	}
}

func (p *probe) Delete(context.Context, changeset.Ref) error {
	p.count("Delete")
	return nil
}

func (p *probe) Locate(changeset.Ref) string {
	p.count("Locate")
	return "here"
}

// headProbe is a store of heads with all optional interfaces. It keeps nothing,
// and counts its calls.
type headProbe struct{ calls }

func wholeHeads() (head.Store, *calls) {
	p := &headProbe{}
	return p, &p.calls
}

// firstHead returns the head of a new chain.
func firstHead() head.Head {
	_, next, err := link.Extend(head.Head{}, "a", make([]changeset.Draft, 1), time.Now())
	if err != nil {
		panic(err) // an empty draft is valid
	}
	return next
}

func (p *headProbe) Load(context.Context, string) (head.Head, error) {
	p.count("Load")
	return firstHead(), nil
}

func (p *headProbe) Swap(_ context.Context, _, next head.Head) (head.Head, error) {
	p.count("Swap")
	return next, nil
}

func (p *headProbe) List(context.Context, string) iter.Seq2[head.Head, error] {
	return func(yield func(head.Head, error) bool) {
		p.count("List")
		yield(firstHead(), nil)
	}
}

func (p *headProbe) Refresh(_ context.Context, seen head.Head) (head.Head, error) {
	p.count("Refresh")
	return seen, nil
}

func (p *headProbe) Commit(_ context.Context, _ []changeset.Changeset, _, next head.Head) (head.Head, error) {
	p.count("Commit")
	return next, nil
}

func (p *headProbe) Holds(changeset.Store) bool { return true }

const probeMembers = 7

func (p *headProbe) Members() int { return probeMembers }

func (p *headProbe) SwapAll(_ context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	p.count("SwapAll")
	return make([]head.Head, len(exchanges)), nil
}

func (p *headProbe) Entries(context.Context, head.LogPosition, bool) iter.Seq2[[]head.LogEntry, error] {
	return func(yield func([]head.LogEntry, error) bool) {
		p.count("Entries")
		yield([]head.LogEntry{{}}, nil)
	}
}

func (p *headProbe) LogEnd(context.Context) (head.LogPosition, error) {
	p.count("LogEnd")
	return head.LogPosition{}, nil
}

func (p *headProbe) SourceName() string {
	p.count("SourceName")
	return "probe"
}

func (p *headProbe) Hints(context.Context, []byte) iter.Seq2[head.Hints, error] {
	return func(yield func(head.Hints, error) bool) {
		p.count("Hints")
		yield(head.Hints{}, nil)
	}
}

func (p *headProbe) Tags(context.Context, string) iter.Seq2[head.Tag, error] {
	return func(yield func(head.Tag, error) bool) {
		p.count("Tags")
		yield(head.Tag{}, nil)
	}
}

func (p *headProbe) LocateHead(string) string {
	p.count("LocateHead")
	return "here"
}

func (p *headProbe) TipSize() int {
	p.count("TipSize")
	return 1
}
