package head_test

import (
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
)

// A head's entity tag lets HTTP clients say what they have seen.
func ExampleHead_ETag() {
	ref, err := changeset.ParseRef("order-4711@7.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10")
	if err != nil {
		fmt.Println(err)
		return
	}
	h := head.Head{Ref: ref}
	fmt.Println("ETag:", h.ETag())
	fmt.Println("none yet:", head.Head{}.ETag() == "")
	// Output:
	// ETag: "7.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10"
	// none yet: true
}

// The value of an If-Match header admits a head, or it does not.
func ExampleHead_Matches() {
	ref, err := changeset.ParseRef("order-4711@7.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10")
	if err != nil {
		fmt.Println(err)
		return
	}
	h := head.Head{Ref: ref}
	fmt.Println(h.Matches(`"6.01991f3c-0000-7c1b-9d0e-5b1c6a7f2e10", "7.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10"`))
	fmt.Println(h.Matches(`"6.01991f3c-0000-7c1b-9d0e-5b1c6a7f2e10"`))
	fmt.Println(h.Matches(`W/"7.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10"`)) // weak tags never match
	fmt.Println(h.Matches("*"))
	// Output:
	// true
	// false
	// false
	// true
}
