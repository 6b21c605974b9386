package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"ropewalk"
)

// getCustomer answers with a customer.
func (s *service) getCustomer(w http.ResponseWriter, r *http.Request) error {
	customer, err := s.customers.people.Load(r.Context(), customerPrefix+r.PathValue("id"))
	if err != nil {
		return ofCustomer(err)
	}
	s.write(w, http.StatusOK, customer.State)
	return nil
}

// putCustomer sets a customer's address. It can be sent any number of times.
func (s *service) putCustomer(w http.ResponseWriter, r *http.Request) error {
	var body struct{ Email string }
	if err := read(r, &body); err != nil {
		return err
	}
	customer, err := s.customers.setEmail(r.Context(), r.PathValue("id"), body.Email)
	if err != nil {
		return ofCustomer(err)
	}
	s.write(w, http.StatusOK, customer.State)
	return nil
}

// ofCustomer returns an error in words for a client that asked about a customer. The cause
// is for the log alone.
func ofCustomer(err error) error {
	rejection := rejected{}
	switch {
	case errors.Is(err, ropewalk.ErrUncertain):
		rejection = rejected{http.StatusServiceUnavailable, "it is unknown yet whether the customer has the address: send the same request again"}
	case errors.Is(err, errors.ErrUnsupported):
		rejection = rejected{http.StatusNotImplemented, "this store cannot keep addresses unique"}
	case errors.Is(err, ropewalk.ErrErased):
		rejection = rejected{http.StatusGone, "the customer, or the address, was erased"}
	case errors.Is(err, ropewalk.ErrNotFound):
		rejection = rejected{http.StatusNotFound, "there is no such customer"}
	case errors.Is(err, ropewalk.ErrInvalidAggregateID):
		rejection = rejected{http.StatusBadRequest, "this cannot be the ID of a customer"}
	default:
		return err
	}
	return fmt.Errorf("%w: %v", rejection, err)
}

// orderID returns the ID of the order that a request is about. Customers and addresses are
// no orders.
func orderID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if !isOrder(id) {
		return "", badRequest("this cannot be the ID of an order")
	}
	return id, nil
}

func isOrder(id string) bool {
	return !strings.HasPrefix(id, customerPrefix) && !strings.HasPrefix(id, addressPrefix)
}
