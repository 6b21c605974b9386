package main

import "fmt"

// The limits of an order. They also bound the size of every answer.
const (
	maxText     = 200 // bytes of a customer or an item
	maxLines    = 200 // items of an order
	maxQuantity = 1000
)

// Refusal is why an order does not allow what was asked for: the domain's
// answer, not a failure.
type Refusal string

// Error returns the reason.
func (r Refusal) Error() string { return string(r) }

// create decides on the first events of an order.
func create(customer string) ([]Event, error) {
	if customer == "" || len(customer) > maxText {
		return nil, Refusal(fmt.Sprintf("an order needs a customer of at most %d bytes", maxText))
	}
	return []Event{Created{customer}}, nil
}

// addLine decides whether items can be added.
func (o Order) addLine(item string, quantity int) ([]Event, error) {
	switch {
	case o.Shipped:
		return nil, Refusal("the order is shipped already")
	case item == "" || len(item) > maxText || quantity < 1 || quantity > maxQuantity:
		return nil, Refusal(fmt.Sprintf("a line needs an item of at most %d bytes and a quantity from 1 to %d", maxText, maxQuantity))
	case o.Lines[item] == 0 && len(o.Lines) >= maxLines:
		return nil, Refusal(fmt.Sprintf("an order has at most %d items", maxLines))
	}
	return []Event{LineAdded{item, quantity}}, nil
}

// ship decides whether the order can be shipped.
func (o Order) ship() ([]Event, error) {
	switch {
	case o.Shipped:
		return nil, Refusal("the order is shipped already")
	case len(o.Lines) == 0:
		return nil, Refusal("the order is empty")
	}
	return []Event{Shipped{}}, nil
}
