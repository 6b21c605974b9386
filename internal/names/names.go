package names

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"ropewalk"
)

// ErrTaken says that another customer has the address.
var ErrTaken = errors.New("the address is taken")

// errMoved says that a customer no longer has the address that was read before.
var errMoved = errors.New("a customer's address has changed")

// Customers are the customers of a shop. No two of them have the same e-mail address.
type Customers struct {
	Store *ropewalk.Store
	Key   []byte // a secret of the application, for ever the same
}

// nameID returns the ID of the aggregate that stands for an address.
func (c Customers) nameID(email string) string {
	mac := hmac.New(sha256.New, c.Key)
	mac.Write([]byte(normal(email)))
	return "email1-" + hex.EncodeToString(mac.Sum(nil))
}

// normal is version 1 of the normal form: addresses with the same form are one name.
func normal(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// hand decides on a name: from gives it to to. An empty from means that the name is to be
// free, and an empty to that it becomes free.
func hand(owner, from, to string) ([]ropewalk.Draft, error) {
	switch owner {
	case to:
		return nil, nil // done before
	case from:
		return draft(state{Owner: to}), nil
	default:
		return nil, ErrTaken
	}
}

// Email returns the address of a customer; empty if the customer has no address.
func (c Customers) Email(ctx context.Context, customer string) (string, error) {
	r, err := c.Store.Chain(customer).Reader(ctx)
	if errors.Is(err, ropewalk.ErrNotFound) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	s, err := newest(ctx, r)
	return s.Email, err
}

// SetEmails gives each customer the address in the map, or none if it is empty: all or
// nothing. It returns the new heads. If the outcome is uncertain, call it again.
func (c Customers) SetEmails(ctx context.Context, emails map[string]string) ([]ropewalk.Head, error) {
	for {
		p, err := c.plan(ctx, emails)
		if err != nil {
			return nil, err
		}
		heads, err := c.Store.UpdateAll(ctx, slices.Concat(p.customers, p.names), p.decide)
		if !errors.Is(err, errMoved) {
			return heads, err
		}
	}
}

// plan is what a change reads and wants.
type plan struct {
	customers, names []string          // the aggregates
	before, after    map[string]string // the addresses of the customers
	from, to         map[string]string // the owners of the names
}

// plan reads which addresses the customers have: it depends on them which names are to change.
func (c Customers) plan(ctx context.Context, emails map[string]string) (p plan, err error) {
	p.before, p.after, p.customers = map[string]string{}, emails, slices.Sorted(maps.Keys(emails))
	for _, customer := range p.customers {
		if p.before[customer], err = c.Email(ctx, customer); err != nil {
			return p, err
		}
	}
	if p.from, err = c.owners(p.before); err != nil {
		return p, err
	}
	if p.to, err = c.owners(p.after); err != nil {
		return p, err
	}
	all := maps.Clone(p.from)
	maps.Copy(all, p.to)
	p.names = slices.Sorted(maps.Keys(all))
	return p, nil
}

// decide decides on the customers, and then on the names.
func (p plan) decide(ctx context.Context, r []*ropewalk.Reader) (all [][]ropewalk.Draft, err error) {
	for i, customer := range p.customers {
		s, err := newest(ctx, r[i])
		if err != nil {
			return nil, err
		}
		if s.Email != p.before[customer] {
			return nil, errMoved
		}
		var drafts []ropewalk.Draft
		if email := p.after[customer]; email != s.Email {
			drafts = draft(state{Email: email})
		}
		all = append(all, drafts)
	}
	for i, name := range p.names {
		s, err := newest(ctx, r[len(p.customers)+i])
		if err != nil {
			return nil, err
		}
		drafts, err := hand(s.Owner, p.from[name], p.to[name])
		if err != nil {
			return nil, err
		}
		all = append(all, drafts)
	}
	return all, nil
}

// owners returns the customer of each name.
func (c Customers) owners(emails map[string]string) (map[string]string, error) {
	owners := map[string]string{}
	for customer, email := range emails {
		if email == "" {
			continue
		}
		name := c.nameID(email)
		if owners[name] != "" {
			return nil, ErrTaken
		}
		owners[name] = customer
	}
	return owners, nil
}

// state is what the newest changeset says: the address of a customer, or the owner of a name.
type state struct {
	Email string `json:"email,omitempty"`
	Owner string `json:"owner,omitempty"`
}

func draft(s state) []ropewalk.Draft {
	content, _ := json.Marshal(s) // two strings always have a JSON form
	return []ropewalk.Draft{{Content: content, ContentType: "application/json"}}
}

func newest(ctx context.Context, r *ropewalk.Reader) (s state, err error) {
	if !r.Head().Exists() {
		return s, nil
	}
	c, err := r.At(ctx, r.Head().Version)
	if err == nil {
		err = json.Unmarshal(c.Content, &s)
	}
	return s, err
}
