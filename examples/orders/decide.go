package main

// Refusal is why an order does not allow what was asked for: the domain's
// answer, not a failure.
type Refusal string

// Error returns the reason.
func (r Refusal) Error() string { return string(r) }

// create decides on the first events of an order.
func create(customer string) ([]Event, error) {
	if customer == "" {
		return nil, Refusal("an order needs a customer")
	}
	return []Event{Created{customer}}, nil
}

// addLine decides whether items can be added.
func (o Order) addLine(item string, quantity int) ([]Event, error) {
	switch {
	case o.Shipped:
		return nil, Refusal("the order is shipped already")
	case item == "" || quantity < 1 || quantity > 1000:
		return nil, Refusal("a line needs an item and a quantity from 1 to 1000")
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
