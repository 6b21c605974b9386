package names

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"

	"ropewalk"
)

// Rivals is how many claimants race for the names, two for each customer.
const Rivals = 64

const customers = Rivals / 2

// Contested are the addresses that the customers race for; most of them for the first.
var Contested = []string{"Ann@example.com", "info@example.com", "sales@example.com"}

// Claimant does random changes for one customer.
type Claimant struct {
	Customers
	Number int
	Rand   *rand.Rand
	// Acknowledged receives the references of the heads that an acknowledged change returned.
	Acknowledged func([]ropewalk.Ref)
	// Settle makes the claimant find out what became of an uncertain change.
	Settle bool
}

// RaceUntilKilled lets all claimants race, and prints the references of each change that was
// acknowledged. It ends with the first error.
func RaceUntilKilled(ctx context.Context, c Customers, seed uint64, out io.Writer) error {
	lines := log.New(out, "", 0)
	failed := make(chan error)
	for n := range Rivals {
		claimant := &Claimant{Customers: c, Number: n, Rand: rand.New(rand.NewPCG(seed, uint64(n))), Acknowledged: func(refs []ropewalk.Ref) {
			for _, ref := range refs {
				lines.Println(ref, "acknowledged")
			}
		}}
		go func() {
			for {
				if err := claimant.Do(ctx); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

func customer(number int) string { return fmt.Sprintf("customer-%d", number%customers) }

// Do claims a name, releases one, or swaps names with another customer. Its error says that
// the change failed, and not that it was refused.
func (c *Claimant) Do(ctx context.Context) error {
	wanted, err := c.want(ctx)
	if err != nil || len(wanted) == 0 {
		return err
	}
	heads, err := c.SetEmails(ctx, wanted)
	if doubt, ok := errors.AsType[*ropewalk.UncertainError](err); ok && c.Settle {
		_, err := c.Store.Chain(doubt.Ref.AggregateID).Settle(ctx, doubt.Ref, doubt.AfterRevision)
		return err
	}
	if errors.Is(err, ErrTaken) {
		return nil
	}
	if err != nil {
		return err
	}
	var refs []ropewalk.Ref
	for _, h := range heads {
		if h.Exists() {
			refs = append(refs, h.Ref)
		}
	}
	c.Acknowledged(refs)
	return nil
}

// want chooses what to change: one customer in five releases its name, one swaps the
// customers of two names, and all others claim a name, most of them the first.
func (c *Claimant) want(ctx context.Context) (map[string]string, error) {
	me, names := customer(c.Number), c.Rand.Perm(len(Contested))
	switch c.Rand.IntN(5) {
	case 0:
		return map[string]string{me: ""}, nil
	case 1:
		a, err := c.owner(ctx, Contested[names[0]])
		if err != nil || a == "" {
			return map[string]string{}, err
		}
		b, err := c.owner(ctx, Contested[names[1]])
		if err != nil || b == "" || b == a {
			return map[string]string{}, err
		}
		return map[string]string{a: Contested[names[1]], b: Contested[names[0]]}, nil
	default:
		return map[string]string{me: Contested[names[0]*c.Rand.IntN(2)]}, nil
	}
}

// owner returns the customer who has an address; empty if no customer has it.
func (c Customers) owner(ctx context.Context, email string) (string, error) {
	r, err := c.Store.Chain(c.nameID(email)).Reader(ctx)
	if errors.Is(err, ropewalk.ErrNotFound) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	s, err := newest(ctx, r)
	return s.Owner, err
}
