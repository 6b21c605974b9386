package inspect

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"

	"ropewalk/changeset"
	"ropewalk/internal/headlist"
)

// The limits of a scan. An aggregate with more objects than maxScanned is surveyed alone.
// The contents of a scan have at most maxBatchBytes.
const (
	maxAggregates = 64
	maxScanned    = 256
	maxScans      = 8 // under way
)

// scans reports whether many aggregates are read together.
func (in *Inspector) scans() bool { return in.scanner != nil && !in.headersOnly }

// scansUnderWay returns how many scans are under way. Each keeps a processor busy, so that
// more of them take memory and save no time.
func (in *Inspector) scansUnderWay() int {
	return min(in.parallel, runtime.GOMAXPROCS(0)+1, maxScans)
}

// scanBytes returns how many bytes of contents a scan may hold.
func (in *Inspector) scanBytes() int64 { return min(maxBatchBytes, in.maxBytes/maxScans) }

// entryBatches yields all aggregates, many together.
func (in *Inspector) entryBatches(ctx context.Context) iter.Seq2[[]headlist.Entry, error] {
	return func(yield func([]headlist.Entry, error) bool) {
		var batch []headlist.Entry
		for e, err := range in.entries(ctx) {
			if err != nil {
				if len(batch) == 0 || yield(batch, nil) {
					yield(nil, err)
				}
				return
			}
			if batch = append(batch, e); len(batch) == maxAggregates {
				if !yield(batch, nil) {
					return
				}
				batch = nil
			}
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

// verifyBatch verifies aggregates that were listed.
func (in *Inspector) verifyBatch(ctx context.Context, batch []headlist.Entry) (reports []Report, _ error) {
	for len(batch) > 0 {
		surveys := in.scan(ctx, batch)
		for i, s := range surveys {
			of, err := in.verifyListed(ctx, batch[i].AggregateID, s)
			if err != nil {
				return reports, err
			}
			reports = append(reports, of...)
			surveys[i] = nil
		}
		batch = batch[len(surveys):]
	}
	return reports, nil
}

// scan begins the surveys of the first aggregates of a batch, at least one, by listing and
// reading their objects together. A survey is nil if it must be made alone: the head does
// not decode or may have moved since it was listed, or the aggregate has too much. If the
// scan fails, all are nil: then the requests for each may succeed, or say why not.
func (in *Inspector) scan(ctx context.Context, batch []headlist.Entry) []*survey {
	g := gathering{in: in, surveys: make([]*survey, len(batch))}
	ids := make([]string, len(batch))
	for i, e := range batch {
		ids[i] = e.AggregateID
		g.surveys[i] = &survey{in: in, id: e.AggregateID, head: e.Head, scanned: []changeset.Changeset{}}
	}
	end, err := g.gather(ctx, ids)
	if err != nil {
		return make([]*survey, len(batch))
	}
	surveys := g.surveys[:end]
	for i, s := range surveys { // a head that does not decode is listed as the zero Head
		if s.head.IsZero() || s.objects.len() > maxScanned || s.exceedsHead() || s.begin() != nil {
			surveys[i] = nil
		}
	}
	return surveys
}

// gathering takes the objects of a scan.
type gathering struct {
	in      *Inspector
	surveys []*survey
	bytes   int64 // of the contents
}

// gather takes objects until the contents of whole aggregates are enough. It returns the
// place after the last aggregate that has all its objects, or has too many of them.
func (g *gathering) gather(ctx context.Context, ids []string) (end int, err error) {
	done, err := g.in.request(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	for found, err := range g.in.scanner.Scan(ctx, ids, g.admit) {
		if err != nil {
			return 0, err
		}
		for end < len(ids) && ids[end] != found.AggregateID {
			if end++; g.bytes >= g.in.scanBytes() {
				return end, nil
			}
		}
		if end == len(ids) {
			return 0, fmt.Errorf("scan: an object of %q is out of order", found.AggregateID)
		}
		if !g.surveys[end].take(found) {
			return end + 1, nil
		}
	}
	return len(ids), nil
}

var errEnough = errors.New("the contents of the scan are enough")

// admit admits contents that the scan may hold, and that may be proved.
func (g *gathering) admit(h changeset.Header) error {
	if g.in.tooLarge(h) != nil {
		return errRefused
	}
	if g.bytes+h.BodySize > g.in.scanBytes() {
		return errEnough
	}
	g.bytes += h.BodySize
	return nil
}

// take takes an object of a scan. It returns false if the aggregate has too many. Contents
// that are not all scanned are read again.
func (s *survey) take(found changeset.Scanned) bool {
	s.objects.list(found.Object)
	switch {
	case found.Changeset == nil || s.objects.len() > maxScanned:
		s.scanned = nil
	case s.scanned != nil:
		s.scanned = append(s.scanned, *found.Changeset)
	}
	return s.objects.len() <= maxScanned
}
