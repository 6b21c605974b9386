package main

import (
	"fmt"
	"strings"

	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/internal/meter"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	appends, reads, size, parallel int
	yes                            bool
}

// benchRead is the number of changesets that bench reads at a time.
const benchRead = 100

// chain returns the length of the chain that is read.
func (f benchFlags) chain() int { return max(f.appends, benchRead) }

// together returns the number of changesets that all writers append, each the same
// number.
func (f benchFlags) together() int { return (f.appends + f.parallel - 1) / f.parallel * f.parallel }

// requestPrices are the prices of a million requests in US dollars. Deletes are free
// everywhere.
type requestPrices struct {
	put, get, load, swap, list float64
	of                         string
}

func (p requestPrices) free() bool { return p == requestPrices{} }

// benchPrices are example list prices by the scheme of the store's URL, from
// docs/aws.md and docs/azure.md; a store on this machine costs nothing.
var benchPrices = map[string]requestPrices{
	"s3":    {5, 0.40, 0.40, 5, 5, "S3 Standard, us-east-1, 2025"},
	"aws":   {5, 0.40, 0.125, 0.625, 5, "S3 Standard and DynamoDB on demand, us-east-1, 2025"},
	"azure": {5, 0.40, 0.40, 5, 5, "Azure Blob Storage, hot tier, 2025"},
}

// dollars returns the price of the requests.
func (p requestPrices) dollars(c meter.Counts) float64 {
	return (float64(c.Put)*p.put + float64(c.Get+c.GetMany+c.Stat)*p.get + float64(c.Load)*p.load +
		float64(c.Swap)*p.swap + float64(c.List)*p.list) / 1e6
}

// estimate returns the requests of a run without faults.
func (f benchFlags) estimate(scheme string) meter.Counts {
	appends, aggregates := f.chain()+f.together(), f.parallel+1
	c := meter.Counts{
		Put: appends, Swap: appends + aggregates, // and one for each tombstone
		Get:    f.reads * (benchRead + 1),
		Load:   f.chain() + f.reads + aggregates,
		List:   4 * aggregates, // of its objects and of its snapshots, until nothing is found
		Delete: appends,
	}
	if scheme == "file" || scheme == "mem" { // put and swap are one request there
		c.Commit, c.Put, c.Swap = appends, 0, aggregates
	}
	return c
}

// benchCostJSON is the cost of a run of bench with --json, estimated or actual.
type benchCostJSON struct {
	ui.Kind
	Phase    string         `json:"phase"`
	Requests map[string]int `json:"requests"`
	USD      float64        `json:"usd"`
	// Prices names the list of prices; empty if the requests are free.
	Prices string `json:"prices,omitempty"`
	// Tombstones is the number of heads that remain of erased aggregates.
	Tombstones int `json:"tombstones,omitempty"`
}

func newBenchCost(phase string, p requestPrices, c meter.Counts) benchCostJSON {
	requests := map[string]int{}
	for name, n := range map[string]int{
		"put": c.Put, "get": c.Get, "stat": c.Stat, "load": c.Load, "swap": c.Swap, "commit": c.Commit, "list": c.List, "delete": c.Delete,
		"get-many": c.GetMany,
	} {
		if n > 0 {
			requests[name] = n
		}
	}
	return benchCostJSON{Kind: ui.KindOf("bench-cost"), Phase: phase, Requests: requests, USD: p.dollars(c), Prices: p.of}
}

func printBenchCost(std *ui.Streams, c benchCostJSON) error {
	if std.JSON {
		return std.Emit(c)
	}
	total := 0
	for _, n := range c.Requests {
		total += n
	}
	text := ui.Plural(int64(total), "request")
	if c.Phase == "estimate" {
		text = "about " + text
	}
	if c.Prices != "" {
		text += fmt.Sprintf(", %.4f USD at list prices (%s), storage and traffic aside", c.USD, c.Prices)
	} else {
		text += ", which cost nothing"
	}
	if c.Tombstones > 0 {
		text += "; tombstones that remain: " + ui.Thousands(int64(c.Tombstones))
	}
	return std.Print("%s\n", strings.TrimSpace(text))
}
