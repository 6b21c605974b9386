// Package ledger lets clients move money between accounts while requests go wrong. Each
// account is an aggregate, and each move is one commit of several aggregates. The sum of
// all accounts never changes: every move stands in all its accounts or in none.
//
// A history is what the clients of one ledger saw. [Run] lives one, and [History.Check]
// judges it.
package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
)

const (
	// Accounts is how many accounts there are.
	Accounts = 5

	opened         = 3 // accounts that exist in the beginning
	openingName    = "open"
	openingBalance = 100
	total          = opened * openingBalance

	clients = 5
	// moves is how many operations each client does, without its reads.
	moves = 6
	// maxLate is the largest delay of a request, in units.
	maxLate = 10

	lastReader = -1 // the client that reads when everything has arrived
)

// Place is a storage under test, without faults.
type Place struct {
	Changesets changeset.Store
	Heads      head.Store
	// Unit is the unit of all waiting. In virtual time it is a second; in real time it must
	// be above a request's duration.
	Unit time.Duration
	// Gradual says that the heads of a commit may change one after the other, as in
	// DynamoDB. Reads of several accounts then need not agree.
	Gradual bool
}

// History is what the clients of one ledger saw.
type History struct {
	Seed       uint64
	Gradual    bool
	Operations []*Operation
	Violations []string

	mu   sync.Mutex
	open []*uncertain
}

// uncertain is a move whose outcome its caller does not know.
type uncertain struct {
	op     *Operation
	doubts []ropewalk.Unsettled // any of them settles it
}

// Run lives the history of a seed in a ledger of its own.
func Run(ctx context.Context, place Place, seed uint64) (*History, error) {
	h := &History{Seed: seed, Gradual: place.Gradual}
	ledger := fmt.Sprintf("ledger-%d", seed)
	direct := ropewalk.New(place.Changesets, place.Heads, nil)
	if err := Open(ctx, direct, ledger); err != nil {
		return h, err
	}
	script := &faults.Script{}
	script.Draw(trouble(seed, place))
	heads := script.Heads(place.Heads)
	if seed%3 > 0 { // where a storage can put and swap in one step, it does so in every third history
		heads = faults.TwoSteps(heads)
	}
	var group sync.WaitGroup
	for n := range clients {
		options := formats[(seed/2+uint64(n))%uint64(len(formats))]
		options.SettleTimeout = place.Unit * time.Duration(1+seed%3)
		store := ropewalk.New(script.Changesets(place.Changesets), heads, &options)
		c := &Client{
			Store: store, Ledger: ledger, Number: n, Rand: rand.New(rand.NewPCG(seed, uint64(n))),
			Pause: place.Unit / 3, Timeout: 2 * place.Unit, History: h,
		}
		group.Go(func() { c.Do(ctx, moves) })
	}
	group.Wait()
	script.Draw(nil)
	time.Sleep((maxLate + 1) * place.Unit)
	script.Release()
	return h, h.Close(ctx, direct, ledger)
}

// formats are the options of the clients, who share the accounts.
var formats = []ropewalk.Options{{}, {Packed: true, TipSize: 64 << 10}, {}, {Packed: true, TipSize: 700}, {Packed: true, TipSize: -1}}

// Open puts money into some of a ledger's accounts.
func Open(ctx context.Context, store *ropewalk.Store, ledger string) error {
	for account := range opened {
		if _, err := store.Chain(chainID(ledger, account)).Create(ctx, draft(entry(openingName, openingBalance))); err != nil {
			return err
		}
	}
	return nil
}

func chainID(ledger string, account int) string { return fmt.Sprintf("%s/%d", ledger, account) }

func draft(entry string) changeset.Draft { return changeset.Draft{Content: []byte(entry)} }

// trouble returns the faults of a seed.
func trouble(seed uint64, place Place) func(faults.Op, int) faults.Fault {
	r := rand.New(rand.NewPCG(seed, 1000))
	upTo := func(share float64) time.Duration {
		return time.Duration(r.Float64() * share * float64(place.Unit))
	}
	kinds := []faults.Kind{faults.Dropped, faults.Lost, faults.Late, faults.Refused, faults.HangBefore, faults.HangAfter}
	return func(op faults.Op, _ int) faults.Fault {
		f := faults.Fault{DelayBefore: upTo(0.05), DelayAfter: upTo(0.05)}
		odds := 12
		if op == faults.Swap || op == faults.Commit || op == faults.SwapAll {
			odds = 3
		}
		if r.IntN(odds) == 0 {
			f.Kind = kinds[r.IntN(len(kinds))]
			f.Retryable = r.IntN(2) == 0
			f.LateBy = time.Millisecond + upTo(maxLate-1)
		}
		if place.Gradual && op == faults.SwapAll {
			between := upTo(0.3)
			f.Between = func(int) { time.Sleep(between) }
		}
		return f
	}
}

// Close reads all accounts after everything has arrived. It notes moves that stand in
// some of their accounts and not in others, and what else contradicts an outcome that was reported.
func (h *History) Close(ctx context.Context, store *ropewalk.Store, ledger string) error {
	c := &Client{Store: store, Ledger: ledger, Number: lastReader, Timeout: time.Minute, History: h}
	for account := range Accounts {
		if !c.read(ctx, account) {
			return fmt.Errorf("account %d cannot be read: %s", account, h.Operations[len(h.Operations)-1].Err)
		}
	}
	h.checkEnd()
	return nil
}

// checkEnd compares the outcomes that the clients got with the last reads, one of each
// account.
func (h *History) checkEnd() {
	last := map[int][]string{}
	var all []string
	for _, op := range h.Operations {
		if op.Client == lastReader {
			last[op.Account], all = op.Seen, append(all, op.Seen...)
		}
	}
	if n, err := sum(all); err != nil || n != total {
		h.violated("the sum is %d, and was %d: %v", n, total, err)
	}
	for _, op := range h.Operations {
		there, parts := 0, 0
		for _, p := range op.Parts {
			if p.Entry != "" {
				parts++
				there += count(last[p.Account], p.Entry)
			}
		}
		if op.Kind != Settle && !op.explains(there, parts) {
			h.violated("%s %s, %s, stands in %d of %d accounts", op.Kind, op.Name, op.Outcome, there, parts)
		}
	}
}

// explains reports whether an operation of that outcome may stand in so many accounts.
func (op *Operation) explains(there, parts int) bool {
	switch op.Outcome {
	case Done:
		return there == parts
	case Unknown:
		return there == 0 || there == parts
	}
	return there == 0
}

func count(entries []string, entry string) (n int) {
	for _, e := range entries {
		if e == entry {
			n++
		}
	}
	return n
}

func (h *History) violated(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Violations = append(h.Violations, fmt.Sprintf(format, args...))
}

func (h *History) record(op *Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Operations = append(h.Operations, op)
}

// Check looks for an order of the operations, of all accounts and of each, and notes what
// no order explains. The timeout bounds each search. It returns false if a search took
// longer.
func (h *History) Check(timeout time.Duration) (decided bool) {
	results := map[string]porcupine.CheckResult{"the moves": Linearizable(h.Operations, timeout)}
	if h.Gradual {
		for account := range Accounts {
			results[fmt.Sprintf("account %d", account)] = LinearizableAccount(h.Operations, account, timeout)
		}
	} else {
		results["the moves and reads"] = LinearizableReads(h.Operations, timeout)
	}
	decided = true
	for of, result := range results {
		switch result {
		case porcupine.Illegal:
			h.violated("no order of the operations explains %s", of)
		case porcupine.Unknown:
			decided = false
		}
	}
	return decided
}

// String returns the history as text.
func (h *History) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, gradual %t\n%s\n", h.Seed, h.Gradual, strings.Join(h.Violations, "\n"))
	sorted := slices.SortedFunc(slices.Values(h.Operations), func(a, b *Operation) int { return int(a.Call - b.Call) })
	for _, op := range sorted {
		fmt.Fprintf(&b, "client %d  %d to %d  %s %s %s %v %d %v %s\n", op.Client, op.Call, op.Return, op.Kind, op.Name, op.Outcome, op.Parts, op.Account, op.Seen, op.Err)
	}
	return b.String()
}
