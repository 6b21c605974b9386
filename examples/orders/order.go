package main

import (
	"maps"

	"ropewalk/aggregate"
)

// Order is the state of an order, folded from its events.
type Order struct {
	Customer string         `json:"customer"`
	Lines    map[string]int `json:"lines,omitempty"` // quantities by item
	Shipped  bool           `json:"shipped"`
}

// Event is what can happen to an order: it is created, lines are added to it,
// and in the end it is shipped.
type Event interface{ isEvent() }

// The events, as they are stored.
type (
	Created   struct{ Customer string }
	LineAdded struct {
		Item     string
		Quantity int
	}
	Shipped struct{}
)

func (Created) isEvent()   {}
func (LineAdded) isEvent() {}
func (Shipped) isEvent()   {}

var orders = aggregate.Type[Order, Event]{
	Name:   "order",
	Events: aggregate.Events[Event]{"created": Created{}, "line-added": LineAdded{}, "shipped": Shipped{}},
	Evolve: func(o Order, e Event) Order {
		switch e := e.(type) {
		case Created:
			o.Customer = e.Customer
		case LineAdded:
			lines := map[string]int{}
			maps.Copy(lines, o.Lines) // the old state keeps its own map
			lines[e.Item] += e.Quantity
			o.Lines = lines
		case Shipped:
			o.Shipped = true
		}
		return o
	},
	Snapshots: aggregate.Snapshots[Order]{Every: 64, Schema: "1"},
}
