package inspector

import (
	"bytes"
	"mime"
	"net/http"
	"path"
	"strconv"
)

const (
	// pageSize is the number of aggregates on a page of the list.
	pageSize = 100
	// chainSize is the number of versions that a chain is drawn with, unless asked for more.
	chainSize = 100
)

// page is what a template draws: its data, and what the frame around it needs.
type page struct {
	Store string
	Title Text
	// Live is the path of the stream of the changes that concern the page; empty if none
	// does.
	Live string
	Data any
}

// show draws a page by the template of the name. It is drawn in full before a byte is
// sent, so that no failure leaves half a page.
func (s *Site) show(w http.ResponseWriter, status int, name string, p page) {
	p.Store = s.options.Store
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, p); err != nil {
		http.Error(w, "the page could not be drawn", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a browser that is gone needs no page
}

// answer draws a page, or the error of its data.
func (s *Site) answer(w http.ResponseWriter, r *http.Request, name string, p page, err error) {
	if err != nil {
		f := s.source.Explain(r.Context(), err)
		s.show(w, f.Status, "failure.html", page{Title: "Not shown", Data: f})
		return
	}
	s.show(w, http.StatusOK, name, p)
}

// headsPage is the list of aggregates with what was searched for.
type headsPage struct {
	Heads
	Prefix, Start string
}

// Next leads to the next page.
func (p headsPage) Next() Link { return link("/", "prefix", p.Prefix, "after", p.After) }

// First leads back to the first page.
func (p headsPage) First() Link { return link("/", "prefix", p.Prefix) }

func (s *Site) heads(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	out := headsPage{Prefix: q.Get("prefix"), Start: q.Get("after")}
	var err error
	out.Heads, err = s.source.Heads(r.Context(), out.Prefix, out.Start, pageSize)
	s.answer(w, r, "heads.html", page{Title: "Aggregates", Live: "/changes", Data: out}, err)
}

// chainPage is a chain with what was asked for.
type chainPage struct {
	Chain
	At string
}

// All leads to the whole chain.
func (p chainPage) All() Link { return link("/chain", "id", string(p.ID), "at", p.At, "n", "0") }

// Now leads to the chain as it is now.
func (p chainPage) Now() Link { return link("/chain", "id", string(p.ID)) }

func (s *Site) chain(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit := uint64(chainSize)
	if n, err := strconv.ParseUint(q.Get("n"), 10, 64); err == nil {
		limit = n
	}
	c, err := s.source.Chain(r.Context(), q.Get("id"), q.Get("at"), limit)
	p := page{Title: c.ID, Data: chainPage{c, q.Get("at")}}
	if c.AsOf == "" { // the past does not change
		l := link("/changes", "id", string(c.ID))
		p.Live = string(l.URL())
	}
	s.answer(w, r, "chain.html", p, err)
}

func (s *Site) changeset(w http.ResponseWriter, r *http.Request) {
	c, err := s.source.Changeset(r.Context(), r.URL.Query().Get("ref"))
	s.answer(w, r, "changeset.html", page{Title: c.Ref, Data: c}, err)
}

// diffPage is a difference, or the form that asks for one.
type diffPage struct {
	Diff
	AskedFrom, AskedTo string
	Asked              bool
}

func (s *Site) diff(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	out := diffPage{AskedFrom: q.Get("from"), AskedTo: q.Get("to")}
	var err error
	if out.Asked = out.AskedFrom != "" && out.AskedTo != ""; out.Asked {
		out.Diff, err = s.source.Diff(r.Context(), out.AskedFrom, out.AskedTo)
	}
	s.answer(w, r, "diff.html", page{Title: "Difference", Data: out}, err)
}

func (s *Site) feed(w http.ResponseWriter, r *http.Request) {
	f, err := s.source.Feed(r.Context())
	s.answer(w, r, "feed.html", page{Title: "Feed", Live: "/changes", Data: f}, err)
}

func (s *Site) live(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	l := link("/changes", "id", id)
	s.answer(w, r, "live.html", page{Title: "Live", Live: string(l.URL()), Data: Text(id)}, nil)
}

func (s *Site) unknown(w http.ResponseWriter, _ *http.Request) {
	s.show(w, http.StatusNotFound, "failure.html", page{Title: "Not shown", Data: Failure{Message: "there is no such page"}})
}

// asset serves a file that the pages use.
func asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	text, err := assets.ReadFile("assets/" + name)
	if err != nil || path.Ext(name) == ".html" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	_, _ = w.Write(text)
}
