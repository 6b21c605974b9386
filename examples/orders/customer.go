package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"ropewalk"
	"ropewalk/aggregate"
)

// The aggregates of customers and of e-mail addresses have IDs that begin with these. The
// version of an address's normal form is part of its prefix.
const (
	customerPrefix = "customer-"
	addressPrefix  = "email1-"
)

// Customer is a customer with an e-mail address that no other customer has.
type Customer struct {
	Email string `json:"email"`
}

// EmailSet says that a customer has an address from now on.
type EmailSet struct{ Email string }

var people = aggregate.Type[Customer, EmailSet]{
	Name:   "customer",
	Events: aggregate.Events[EmailSet]{"email-set": EmailSet{}},
	Evolve: func(_ Customer, e EmailSet) Customer { return Customer(e) },
}

// Address is an e-mail address, and who has it: a customer's ID, or empty.
type Address struct{ Owner string }

// Given says who has an address from now on. An empty owner means that it is free.
type Given struct{ Owner string }

var addresses = aggregate.Type[Address, Given]{
	Name:   "address",
	Events: aggregate.Events[Given]{"given": Given{}},
	Evolve: func(_ Address, e Given) Address { return Address(e) },
}

// give decides on an address: from gives it to to. Without an owner it is free.
func (a Address) give(from, to string) ([]Given, error) {
	switch a.Owner {
	case to:
		return nil, nil // done before
	case from:
		return []Given{{to}}, nil
	default:
		return nil, Refusal("another customer has this address")
	}
}

// customers keeps the customers and their addresses.
type customers struct {
	people    *aggregate.Repository[Customer, EmailSet]
	addresses *aggregate.Repository[Address, Given]
	key       []byte // of the HMACs that stand for addresses
}

func newCustomers(store *ropewalk.Store, key []byte, o *aggregate.Options) customers {
	return customers{aggregate.New(store, people, o), aggregate.New(store, addresses, o), key}
}

// addressID returns the ID of an address, which does not show the address.
func (c customers) addressID(email string) string {
	mac := hmac.New(sha256.New, c.key)
	mac.Write([]byte(strings.ToLower(strings.TrimSpace(email))))
	return addressPrefix + hex.EncodeToString(mac.Sum(nil))
}

// setEmail gives a customer an address, new or in place of the one before. The customer, the
// new address and the old one change in one commit. After a conflict it decides again.
func (c customers) setEmail(ctx context.Context, id, email string) (aggregate.Loaded[Customer], error) {
	if !strings.Contains(email, "@") || len(email) > maxText {
		return aggregate.Loaded[Customer]{}, Refusal(fmt.Sprintf("a customer needs an e-mail address of at most %d bytes", maxText))
	}
	for {
		customer, changes, err := c.change(ctx, id, email)
		if err != nil {
			return customer.Loaded(), err
		}
		err = aggregate.Commit(ctx, append(changes, customer)...)
		if !errors.Is(err, ropewalk.ErrConflict) {
			return customer.Loaded(), err
		}
		select {
		case <-ctx.Done():
			return customer.Loaded(), errors.Join(ctx.Err(), err)
		case <-time.After(rand.N(50 * time.Millisecond)):
		}
	}
}

// change decides on the customer and the addresses.
func (c customers) change(ctx context.Context, id, email string) (customer *aggregate.ChangeOf[Customer, EmailSet], changes []aggregate.Change, err error) {
	loaded, err := loadOrNew(ctx, c.people, customerPrefix+id)
	customer = c.people.Unchanged(loaded)
	if err != nil || loaded.State.Email == email {
		return customer, nil, err
	}
	customer = c.people.Change(loaded, []EmailSet{{email}})
	before, after := "", c.addressID(email)
	if loaded.State.Email != "" {
		before = c.addressID(loaded.State.Email)
	}
	give := func(address, from, to string) error {
		known, err := loadOrNew(ctx, c.addresses, address)
		if err != nil {
			return err
		}
		given, err := known.State.give(from, to)
		changes = append(changes, c.addresses.Change(known, given))
		return err
	}
	if before == after { // the same address, written in another way
		return customer, changes, give(after, loaded.ID, loaded.ID)
	}
	if err := give(after, "", loaded.ID); err != nil || before == "" {
		return customer, changes, err
	}
	err = give(before, loaded.ID, "")
	return customer, changes, err
}

// loadOrNew loads an aggregate that need not exist.
func loadOrNew[S, E any](ctx context.Context, repo *aggregate.Repository[S, E], id string) (aggregate.Loaded[S], error) {
	loaded, err := repo.Load(ctx, id)
	if errors.Is(err, ropewalk.ErrNotFound) {
		return aggregate.Loaded[S]{ID: id}, nil
	}
	return loaded, err
}
