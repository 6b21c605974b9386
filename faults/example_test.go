package faults_test

import (
	"context"
	"fmt"
	"log"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
)

// The reply of a swap is lost. The library looks the outcome up: the append is
// committed. Unused shows that the fault has struck, so that the test has
// tested what it says.
func Example() {
	ctx, db := context.Background(), memstore.New() // puts and swaps in one step
	var script faults.Script
	store := ropewalk.New(script.Changesets(db), script.Heads(db), nil)

	script.Next(faults.Swap, faults.Fault{Kind: faults.Lost})
	h, err := store.Chain("order-4711").Create(ctx, changeset.Draft{Content: []byte("created")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("committed at version", h.Version)
	fmt.Println("faults that never struck:", script.Unused())

	script.Next(faults.Put, faults.Fault{Kind: faults.Dropped}) // there is no put
	if _, err := store.Chain("order-4711").Append(ctx, h, changeset.Draft{Content: []byte("paid")}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("faults that never struck:", script.Unused())
	// Output:
	// committed at version 0
	// faults that never struck: []
	// faults that never struck: [put 1: dropped]
}
