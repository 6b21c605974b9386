package inspector

import (
	"html/template"
	"net/url"

	"ropewalk/cmd/ropewalk/internal/figure"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// Text is text of the store. A page shows it cut to [ui.MaxCell] bytes, with hidden
// characters escaped; templates escape it for HTML besides.
type Text string

// String returns the text as a page shows it.
func (t Text) String() string { return ui.Escape(string(t), ui.MaxCell) }

// Exact returns the text as it is, for the value of a field of a form.
func (t Text) Exact() string { return string(t) }

// Link is a link to a page: its path, and its parameters.
type Link struct {
	path   string
	values url.Values
}

// link returns a link with pairs of names and values; empty values are left out.
func link(path string, pairs ...string) Link {
	l := Link{path, url.Values{}}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			l.values.Set(pairs[i], pairs[i+1])
		}
	}
	return l
}

// URL returns the link as an attribute may have it.
func (l Link) URL() template.URL { return template.URL(l.path + "?" + l.values.Encode()) }

// Heads is a page of the list of aggregates.
type Heads struct {
	Items []Head
	// After is the last ID of the page if more aggregates follow.
	After string
}

// Head is an aggregate in the list.
type Head struct {
	ID      Text
	Version uint64
	Updated string
	State   string
	Fault   Text // why the head does not decode
}

// Link leads to the chain.
func (h Head) Link() Link { return link("/chain", "id", string(h.ID)) }

// Chain is the drawing of a chain.
type Chain struct {
	ID      Text
	Head    Text // the reference of its newest changeset, or of the newest one at the time
	Packed  bool
	Version uint64
	Fault   Text // what is wrong with the head
	// AsOf says when the chain was so; empty for now.
	AsOf  string
	Rows  []Row
	Lanes template.HTML
}

// Row is a row of the drawing.
type Row struct {
	figure.Row
	Ref      Text
	Recorded string
	Size     string
	Type     Text
	Metadata Text
	Head     bool
	Settle   Text // the command that settles a pending append
}

// Link leads to the changeset.
func (r Row) Link() Link { return link("/changeset", "ref", string(r.Ref)) }

// Field is a name with a value.
type Field struct {
	Name  string
	Value Text
	// To is where the value leads, if it leads anywhere.
	To *Link
}

// RefField is a field that leads to a changeset.
func RefField(name, ref string) Field {
	to := link("/changeset", "ref", ref)
	return Field{name, Text(ref), &to}
}

// Check is a proof that a changeset has passed.
type Check struct {
	Name   string
	Digest Text
	Proves string
}

// Jump is an entry of the index of a changeset.
type Jump struct {
	Version uint64
	Back    uint64 // how many versions it leads back
	Ref     Text
	Title   Text
}

// Link leads to the changeset at the version.
func (j Jump) Link() Link { return link("/changeset", "ref", string(j.Ref)) }

// Changeset is a changeset with its fields, proofs, index and content.
type Changeset struct {
	Aggregate Text
	Ref       Text
	Version   uint64
	// Fate is what has become of a changeset that is not in the chain; empty if it is.
	Fate     Text
	Fields   []Field
	Metadata []Field
	Checks   []Check
	// Index says what the jumps lead to.
	Index string
	Jumps []Jump
	// Earlier and Later are the neighbours in the chain; empty without a neighbour.
	Earlier, Later string
	Content        Content
}

// Chain leads to the chain of the changeset.
func (c Changeset) Chain() Link { return link("/chain", "id", string(c.Aggregate)) }

// EarlierLink and LaterLink lead to the neighbours.
func (c Changeset) EarlierLink() Link { return link("/changeset", "ref", c.Earlier) }

// LaterLink leads to the next changeset.
func (c Changeset) LaterLink() Link { return link("/changeset", "ref", c.Later) }

// DiffLink leads to the difference from the changeset before.
func (c Changeset) DiffLink() Link {
	return link("/diff", "from", c.Earlier, "to", string(c.Ref))
}

// Content is content as a page shows it.
type Content struct {
	// Kind says what it is shown as: events, JSON, text or bytes.
	Kind   string
	Blocks []Block
	// Cut says what is not shown; empty if all is.
	Cut string
}

// Block is a piece of content: an event, or all of it.
type Block struct {
	Title Text
	Notes []Text
	// Text has its hidden characters escaped already.
	Text string
	JSON bool
}

// Tokens returns the text in pieces, each with the class that colours it.
func (b Block) Tokens() []Token {
	if b.JSON {
		return tokens(b.Text)
	}
	return []Token{{"", b.Text}}
}

// Diff is the difference of two changesets.
type Diff struct {
	From, To Text
	// Words say what is equal, and what differs beside the contents.
	Words   []Text
	Changes []PathChange
	Lines   []DiffLine
	Cut     string
}

// FromLink leads to the first changeset.
func (d Diff) FromLink() Link { return link("/changeset", "ref", string(d.From)) }

// ToLink leads to the second changeset.
func (d Diff) ToLink() Link { return link("/changeset", "ref", string(d.To)) }

// PathChange is a difference of two JSON values. From is empty if the value was added,
// and To if it was removed.
type PathChange struct {
	Kind           string // added, removed or changed
	Path, From, To Text
}

// DiffLine is a line of a difference of texts.
type DiffLine struct {
	Kind string // added, removed, place or same
	Text string // with hidden characters escaped
}

// Feed is where the feed stands.
type Feed struct {
	Fields        []Field
	Behind        bool // the feed lacks changes
	Problem       *Failure
	Subscriptions []Subscription
	// Ended is why no further subscription is listed.
	Ended *Failure
}

// Subscription is how far a subscription has come.
type Subscription struct {
	Name, Lag, Oldest, Owner, Position Text
	Late                               bool
	Parked                             []Text
	Problem                            *Failure
}

// Change is a change that the feed has brought.
type Change struct {
	Aggregate string
	Ref       string
	Position  string
	Recorded  string
	Size      string
	Type      string
	Erased    bool
}

// Failure is an error in words.
type Failure struct {
	Status  int
	Message Text
	Hint    Text
}
