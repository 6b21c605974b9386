package main

import (
	"fmt"
	"math/bits"
	"strings"

	"ropewalk/cmd/ropewalk/internal/ui"
)

// statsJSON is the result of stats with --json.
type statsJSON struct {
	ui.Kind
	Aggregates int64  `json:"aggregates"`
	Erased     int64  `json:"erased"`
	Changesets uint64 `json:"changesets"`
	// Heads counts all heads, also the heads of erased aggregates and of the library's own
	// chains; TipBytes is the size of their tips.
	Heads    int64 `json:"heads"`
	TipBytes int64 `json:"tip_bytes"`
	// Objects are all objects. The others are among them.
	Objects  countJSON `json:"objects"`
	Internal countJSON `json:"internal"`
	Orphans  countJSON `json:"orphans"`
	Pending  countJSON `json:"pending"`
	Unknown  countJSON `json:"unknown"`
	// Chains counts the chains by their lengths, the shortest first.
	Chains []lengthJSON `json:"chains"`
	// Month is the cost of storing all of it in US dollars; Prices names the list of
	// prices, and is empty if the store costs nothing.
	Month  float64 `json:"usd_month"`
	Prices string  `json:"prices,omitempty"`
}

// lengthJSON is the number of chains that have from First to Last changesets.
type lengthJSON struct {
	First      uint64 `json:"first"`
	Last       uint64 `json:"last"`
	Aggregates int64  `json:"aggregates"`
}

// addChain counts a chain, which is not empty. The lengths of a group have the same
// number of bits.
func (t *statsJSON) addChain(length uint64) {
	for n := bits.Len64(length); len(t.Chains) < n; {
		first := uint64(1) << len(t.Chains)
		t.Chains = append(t.Chains, lengthJSON{First: first, Last: first<<1 - 1})
	}
	t.Chains[bits.Len64(length)-1].Aggregates++
}

// monthPrices are the prices of a GB for a month in US dollars.
type monthPrices struct {
	objects, heads float64
	of             string
}

// storagePrices are example list prices by the scheme of the store's URL; a store on
// this machine costs nothing.
var storagePrices = map[string]monthPrices{
	"s3":    {0.023, 0.023, benchPrices["s3"].of},
	"aws":   {0.023, 0.25, benchPrices["aws"].of},
	"azure": {0.018, 0.018, benchPrices["azure"].of},
}

const (
	// headerBytes is about the size of the name and the metadata of an object, which is
	// billed as well.
	headerBytes = 1400
	// headBytes is about the size of a head without its tip.
	headBytes = 1000
)

func (t *statsJSON) estimate(p monthPrices) {
	objects := float64(t.Objects.Bytes + t.Objects.Objects*headerBytes)
	heads := float64(t.TipBytes + t.Heads*headBytes)
	t.Month, t.Prices = (objects*p.objects+heads*p.heads)/1e9, p.of
}

func (t *statsJSON) print(std *ui.Streams) error {
	if std.JSON {
		return std.Emit(*t)
	}
	var b strings.Builder
	line := func(name, text string) { fmt.Fprintf(&b, "%-10s  %s\n", name, text) }
	aggregates := ui.Thousands(t.Aggregates)
	if t.Erased > 0 {
		aggregates += ", and " + ui.Thousands(t.Erased) + " erased"
	}
	line("aggregates", aggregates)
	line("changesets", ui.Thousands(int64(t.Changesets)))
	line("objects", counted(t.Objects))
	for _, part := range []struct {
		name string
		countJSON
	}{{"internal", t.Internal}, {"orphans", t.Orphans}, {"pending", t.Pending}, {"unknown", t.Unknown}} {
		if part.Objects > 0 || part.name == "orphans" {
			line(part.name, counted(part.countJSON))
		}
	}
	if t.TipBytes > 0 {
		line("tips", ui.SpacedSize(t.TipBytes)+" in heads")
	}
	line("cost", t.cost())
	if err := std.Print("%s", ui.Safe(b.String())); err != nil || len(t.Chains) == 0 {
		return err
	}
	return t.printChains(std)
}

func counted(c countJSON) string {
	return ui.Thousands(c.Objects) + ", " + ui.SpacedSize(c.Bytes)
}

func (t *statsJSON) cost() string {
	if t.Prices == "" {
		return "nothing: the store is on this machine"
	}
	return fmt.Sprintf("about %.2f USD a month for storage at list prices (%s), without requests and traffic", t.Month, t.Prices)
}

// maxBar is the length of the longest bar of the histogram.
const maxBar = 40

// printChains prints the histogram of the lengths of the chains.
func (t *statsJSON) printChains(std *ui.Streams) error {
	if err := std.Print("\n"); err != nil {
		return err
	}
	var most int64
	for _, c := range t.Chains {
		most = max(most, c.Aggregates)
	}
	out := ui.NewTable(std.Out, "LENGTH", "AGGREGATES", "").AlignRight(0, 1)
	for _, c := range t.Chains {
		length := ui.Thousands(int64(c.First))
		if c.Last > c.First {
			length += "–" + ui.Thousands(int64(c.Last))
		}
		bar := strings.Repeat("#", int((c.Aggregates*maxBar+most-1)/most))
		if err := out.Row(length, ui.Thousands(c.Aggregates), bar); err != nil {
			return err
		}
	}
	return out.Flush()
}
