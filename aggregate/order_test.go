package aggregate_test

import (
	"errors"
	"maps"

	"ropewalk/aggregate"
)

// Order is the state of an order, folded from its events.
type Order struct {
	Customer string
	Quantity map[string]int
	Shipped  bool
}

// Event is what can happen to an order.
type Event interface{ isEvent() }

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

var (
	errEmpty   = errors.New("the order is empty")
	errShipped = errors.New("the order is shipped already")
)

// orders is all that the library needs to know of orders.
var orders = aggregate.Type[Order, Event]{
	Name:   "order",
	Events: aggregate.Events[Event]{"created": Created{}, "line-added": LineAdded{}, "shipped": Shipped{}},
	Evolve: func(o Order, e Event) Order {
		switch e := e.(type) {
		case Created:
			o.Customer = e.Customer
		case LineAdded:
			quantity := maps.Clone(o.Quantity)
			if quantity == nil {
				quantity = map[string]int{}
			}
			quantity[e.Item] += e.Quantity
			o.Quantity = quantity
		case Shipped:
			o.Shipped = true
		}
		return o
	},
}

// Ship decides whether the order can be shipped.
func (o Order) Ship() ([]Event, error) {
	switch {
	case o.Shipped:
		return nil, errShipped
	case len(o.Quantity) == 0:
		return nil, errEmpty
	}
	return []Event{Shipped{}}, nil
}
