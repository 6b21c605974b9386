package inspect

import (
	"bytes"

	"ropewalk/changeset"
)

// contents is what the changesets in an object show. A changeset of format 1 is the
// only one in its object.
type contents struct {
	first, last changeset.Header
	size        int64 // of the contents of all
	marks       marks // through, or none
	// ids are the IDs of all, if the object overlaps others.
	ids []changeset.ID
	// holder is the changeset that has the kept digest; zero if none has it.
	holder changeset.Ref
	// headers are wanted for a graph alone.
	headers []changeset.Header
	appends appends
	parts   []part // of commits of several aggregates
}

// open looks at the changesets in the object at a place.
func (s *survey) open(place int, all []changeset.Changeset, text []byte) *contents {
	r := s.objects.at(place)
	in := &contents{first: all[0].Header, last: all[len(all)-1].Header, parts: partsIn(all, place)}
	overlaps := s.objects.overlap[place]
	for i, c := range all {
		in.size += c.BodySize
		if overlaps {
			in.ids = append(in.ids, c.ID)
		}
		if s.wantsHeaders {
			in.headers = append(in.headers, c.Header)
		}
		if c.Digest == s.kept {
			in.holder = c.Ref
		}
		if c.Ref == s.head.Ref && c.Digest == s.head.Digest && (i+1 == len(all) || all[i+1].AfterRevision >= s.head.Revision) {
			in.marks = through
		}
	}
	if s.tips != nil {
		in.appends = appendsIn(r.ref(s.id), all, text)
	}
	return in
}

// appends is what an object shows of the ends of appends. A nil base stands for what
// the first append in the object was built on, which is known from the object before.
type appends struct {
	begun bool // the first append began in an object before this one
	ended bool // an append ends in the object
	// base is what the first append that ends here was built on.
	base *Tip
	// last is the end of the last append that ends here, and lastBase is what that was
	// built on.
	last, lastBase *Tip
	// open is what the append of the object's last changeset was built on.
	open *Tip
}

// appendsIn finds the ends of appends in an object.
func appendsIn(object changeset.Ref, all []changeset.Changeset, text []byte) appends {
	out := appends{begun: all[0].Part.Number > 1}
	var base, newest *Tip
	size := 0 // of the lines so far
	for i, c := range all {
		if c.Part.Number <= 1 {
			base = newest
		}
		size += bytes.IndexByte(text[size:], '\n') + 1
		if !c.Part.Last() {
			continue
		}
		newest = &Tip{Ref: c.Ref, Digest: c.Digest, AfterRevision: c.AfterRevision, RecordedAt: c.RecordedAt, Object: object}
		if i+1 < len(all) {
			newest.size = size
		}
		if !out.ended {
			out.base = base
		}
		out.ended, out.last, out.lastBase = true, newest, base
	}
	out.open = base
	return out
}

// ends is what is carried from an object to the next one.
type ends struct {
	// at is the object's newest changeset, if an append ends there; nil otherwise.
	at *Tip
	// base is what the append of the newest changeset was built on; nil for the first append.
	base *Tip
	// before is what the bases that are nil in the appends of the object stand for.
	before *Tip
}

// next returns the ends after an object, given the ends after the object before it.
func (e ends) next(in *contents) ends {
	if in == nil {
		return ends{}
	}
	before := e.at
	if in.appends.begun {
		before = e.base
	}
	out := ends{base: or(in.appends.open, before), before: before}
	if in.last.Part.Last() {
		out.at = in.appends.last
	}
	return out
}

// or returns the tip, or the other one if the tip is nil.
func or(tip, other *Tip) *Tip {
	if tip == nil {
		return other
	}
	return tip
}
