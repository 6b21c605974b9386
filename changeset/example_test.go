package changeset_test

import (
	"fmt"

	"ropewalk/changeset"
)

func ExampleParseRef() {
	ref, err := changeset.ParseRef("order-4711@7.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("aggregate:", ref.AggregateID)
	fmt.Println("version:", ref.Version)
	fmt.Println("changeset:", ref.ID)
	fmt.Println("stored as:", ref.ObjectName())
	// Output:
	// aggregate: order-4711
	// version: 7
	// changeset: 01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10
	// stored as: changesets/order-4711/00000000000000000007-01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10
}

func ExampleEscape() {
	fmt.Println(changeset.Escape("order-4711"))
	fmt.Println(changeset.Escape("../Straße 5"))
	// Output:
	// order-4711
	// %2E%2E%2FStra%C3%9Fe%205
}
