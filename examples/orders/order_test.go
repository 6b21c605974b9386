package main

import (
	"fmt"
	"strings"
	"testing"

	"ropewalk/aggregate/aggregatetest"
)

func TestDecisions(t *testing.T) {
	add := func(item string, quantity int) func(Order) ([]Event, error) {
		return func(o Order) ([]Event, error) { return o.addLine(item, quantity) }
	}
	order := func(more ...Event) *aggregatetest.Spec[Order, Event] {
		return aggregatetest.For(t, orders).Given(Created{"ann"}).Given(more...)
	}
	const badLine = Refusal("a line needs an item of at most 200 bytes and a quantity from 1 to 1000")
	order().When(add("rope", 2)).Then(LineAdded{"rope", 2})
	order().When(add("", 2)).ThenError(badLine)
	order().When(add("rope", 1001)).ThenError(badLine)
	order().When(add(strings.Repeat("r", maxText+1), 1)).ThenError(badLine)
	order().When(Order.ship).ThenError(Refusal("the order is empty"))

	many := make([]Event, maxLines)
	for i := range many {
		many[i] = LineAdded{fmt.Sprint("item ", i), 1}
	}
	order(many...).When(add("item 0", 1)).Then(LineAdded{"item 0", 1})
	order(many...).When(add("rope", 1)).ThenError(Refusal("an order has at most 200 items"))

	full := []Event{LineAdded{"rope", 2}, LineAdded{"rope", 1}}
	order(full...).When(Order.ship).Then(Shipped{})
	order(append(full, Shipped{})...).When(Order.ship).ThenError(Refusal("the order is shipped already"))
	order(append(full, Shipped{})...).When(add("hook", 1)).ThenError(Refusal("the order is shipped already"))
}

// TestStoredEvents holds events to the form that they are stored in: to rename
// one, or a field of one, would make old orders unreadable.
func TestStoredEvents(t *testing.T) {
	aggregatetest.For(t, orders).Golden("testdata/events", Created{"ann"}, LineAdded{"rope", 2}, Shipped{})
}
