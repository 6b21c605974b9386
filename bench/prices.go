package main

import (
	"math"

	"ropewalk/internal/meter"
)

// List prices of us-east-1 in US dollars without the free tier, of 2025: S3
// Standard, and DynamoDB on demand with the Standard table class. They are not
// kept up to date.
const (
	priceS3Put       = 5.00  // a million PUTs
	priceS3Get       = 0.40  // a million GETs
	priceS3Month     = 0.023 // a GB for a month
	priceWriteUnit   = 0.625 // a million write request units: 1 KB each
	priceReadUnit    = 0.125 // a million read request units: 4 KB each, consistent
	priceTableMonth  = 0.25  // a GB for a month
	priceS3List      = 5.00  // a million LISTs
	priceStreamRead  = 0.20  // a million reads of a stream, GetRecords
	kilobyte         = 1024.0
	itemOverhead     = 120  // names, key, version and time of an event's item, in bytes
	metadataOverhead = 1400 // name and metadata of a changeset's object, in bytes
)

// costs are what a million of something cost, in dollars.
type costs struct{ append, read, month float64 }

// tableCosts returns the costs of an event of that size in a table. Reading is
// by Query, which rounds up for each page and not for each event.
func tableCosts(size int) costs {
	item := float64(size + itemOverhead)
	return costs{
		append: math.Ceil(item/kilobyte) * priceWriteUnit,
		read:   item / (4 * kilobyte) * priceReadUnit,
		month:  item / 1e3 * priceTableMonth,
	}
}

// ropewalkCosts returns the costs of a changeset of that size, with its share
// of the head in an append of several.
func ropewalkCosts(size, together int) costs {
	return costs{
		append: priceS3Put + priceWriteUnit/float64(together),
		read:   priceS3Get,
		month:  float64(size+metadataOverhead) / 1e3 * priceS3Month,
	}
}

// feedCosts are the requests of a relay or a follower, with objects in S3 and heads
// in DynamoDB. The head of a feed takes two write units and one read unit: its index
// soon is full.
func feedCosts(c meter.Counts) float64 {
	puts, gets := float64(c.Put), float64(c.Get+c.Stat)
	swaps, loads := float64(c.Swap), float64(c.Load)
	return (puts*priceS3Put + gets*priceS3Get + swaps*2*priceWriteUnit + loads*priceReadUnit) / 1e6
}
