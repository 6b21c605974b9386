package names

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"ropewalk"
	"ropewalk/changeset"
)

// Result is what a race left.
type Result struct {
	Owners   map[string]string // of the contested addresses that have an owner
	Claims   int               // of free names
	Releases int
	Swaps    int // of a name from one customer to another
}

// Prove reads all that a race left. Its error says that a name had two owners, that a
// customer lost a name without a change of the customer's own, that a commit is not whole, or
// that a changeset that was acknowledged is missing.
func Prove(ctx context.Context, c Customers, acknowledged []ropewalk.Ref) (*Result, error) {
	p := &proof{c, map[string][]entry{}, map[changeset.Commit]map[string]entry{}, &Result{Owners: map[string]string{}}}
	for n := range customers {
		if err := p.read(ctx, customer(n)); err != nil {
			return nil, err
		}
	}
	for _, email := range Contested {
		if err := p.read(ctx, c.nameID(email)); err != nil {
			return nil, err
		}
	}
	for mark, entries := range p.commits {
		if err := p.judge(mark, entries); err != nil {
			return nil, err
		}
	}
	for _, ref := range acknowledged {
		if chain := p.chains[ref.AggregateID]; ref.Version >= uint64(len(chain)) || chain[ref.Version].ref != ref {
			return nil, fmt.Errorf("%s was acknowledged, and is missing", ref)
		}
	}
	return p.result, p.agree()
}

// proof is what was read of a race.
type proof struct {
	Customers
	chains  map[string][]entry
	commits map[changeset.Commit]map[string]entry // by aggregate
	result  *Result
}

// entry is a changeset of a customer or of a name, and what was before it.
type entry struct {
	ref           ropewalk.Ref
	before, after state
}

func (p *proof) read(ctx context.Context, id string) error {
	r, err := p.Store.Chain(id).Reader(ctx)
	if errors.Is(err, ropewalk.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	var before state
	for c, err := range r.All(ctx) {
		if err != nil {
			return err
		}
		e := entry{ref: c.Ref, before: before}
		if err := json.Unmarshal(c.Content, &e.after); err != nil {
			return err
		}
		before = e.after
		p.chains[id] = append(p.chains[id], e)
		if p.commits[c.Commit()] == nil {
			p.commits[c.Commit()] = map[string]entry{}
		}
		p.commits[c.Commit()][id] = e
	}
	return nil
}

// judge judges one commit: each name that it hands over is given up by the customer who had
// it, and taken by the one who has it then, in the same commit; and the other way round.
func (p *proof) judge(mark changeset.Commit, entries map[string]entry) error {
	if mark.Members != len(entries) {
		return fmt.Errorf("commit %s is in %d aggregates", mark, len(entries))
	}
	for id, e := range entries {
		if e.before == e.after {
			return fmt.Errorf("%s changes nothing", e.ref)
		}
		if has := e.before.Owner; has != "" && p.name(entries[has].before) != id {
			return fmt.Errorf("%s takes the name from %s, who does not give it up", e.ref, has)
		}
		if gets := e.after.Owner; gets != "" && p.name(entries[gets].after) != id {
			return fmt.Errorf("%s gives the name to %s, who does not take it", e.ref, gets)
		}
		had, has := p.name(e.before), p.name(e.after)
		if had != has && (had != "" && entries[had].before.Owner != id || has != "" && entries[has].after.Owner != id) {
			return fmt.Errorf("%s is a change without the names", e.ref)
		}
		p.count(e)
	}
	return nil
}

// name returns the aggregate of the name of a customer.
func (p *proof) name(s state) string {
	if s.Email == "" {
		return ""
	}
	return p.nameID(s.Email)
}

func (p *proof) count(e entry) {
	switch before, after := e.before.Owner, e.after.Owner; {
	case before != "" && after != "":
		p.result.Swaps++
	case before != "":
		p.result.Releases++
	case after != "":
		p.result.Claims++
	}
}

// agree compares the names and the customers as they are in the end.
func (p *proof) agree() error {
	owners := map[string]string{}
	for _, email := range Contested {
		if chain := p.chains[p.nameID(email)]; len(chain) > 0 && chain[len(chain)-1].after.Owner != "" {
			owners[p.nameID(email)] = chain[len(chain)-1].after.Owner
			p.result.Owners[email] = chain[len(chain)-1].after.Owner
		}
	}
	has := map[string]string{}
	for n := range customers {
		chain := p.chains[customer(n)]
		if len(chain) == 0 {
			continue
		}
		if name := p.name(chain[len(chain)-1].after); name != "" && has[name] != "" {
			return fmt.Errorf("%s and %s have the same name", has[name], customer(n))
		} else if name != "" {
			has[name] = customer(n)
		}
	}
	if fmt.Sprint(owners) != fmt.Sprint(has) {
		return fmt.Errorf("the names say %v, and the customers say %v", owners, has)
	}
	return nil
}
