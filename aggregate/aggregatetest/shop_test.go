package aggregatetest_test

import (
	"errors"
	"slices"
	"time"

	"ropewalk/aggregate"
)

type basket struct {
	Items []string
	Paid  bool
}

type event interface{ happened() }

type (
	itemAdded struct {
		Item  string
		Count int `json:"count,omitempty"`
		Since *time.Time
		Tags  map[string][]bool
	}
	paid struct{ Method string }
)

func (itemAdded) happened() {}
func (paid) happened()      {}

var errEmpty = errors.New("the basket is empty")

func (b basket) pay() ([]event, error) {
	if len(b.Items) == 0 {
		return nil, errEmpty
	}
	if b.Paid {
		return nil, nil
	}
	return []event{paid{"card"}}, nil
}

func evolve(b basket, e event) basket {
	switch e := e.(type) {
	case itemAdded:
		b.Items = append(slices.Clip(b.Items), e.Item)
	case paid:
		b.Paid = true
	}
	return b
}

var baskets = aggregate.Type[basket, event]{
	Name:   "basket",
	Events: aggregate.Events[event]{"item-added": itemAdded{}, "paid": paid{}},
	Evolve: evolve,
}
