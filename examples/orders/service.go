package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"ropewalk"
	"ropewalk/aggregate"
)

const (
	requestTimeout = 15 * time.Second
	// writeTimeout is how long a client can take to read an answer.
	writeTimeout    = 5 * time.Second
	requestIDHeader = "X-Request-Id"
)

// service answers HTTP requests about orders. It keeps nothing between them:
// any number of processes may serve the same orders.
type service struct {
	store     *ropewalk.Store
	repo      *aggregate.Repository[Order, Event]
	customers customers
	log       *slog.Logger
}

func newService(store *ropewalk.Store, key []byte, log *slog.Logger) *service {
	o := &aggregate.Options{Logger: log}
	return &service{store, aggregate.New(store, orders, o), newCustomers(store, key, o), log}
}

// handler answers a request, or returns the error that is its outcome.
type handler func(http.ResponseWriter, *http.Request) error

// handlers returns all that the service does, by pattern.
func (s *service) handlers() map[string]handler {
	return map[string]handler{
		"GET /orders/{id}":        s.get,
		"PUT /orders/{id}":        s.create,
		"POST /orders/{id}/lines": s.addLine,
		"POST /orders/{id}/ship":  s.ship,
		"GET /customers/{id}":     s.getCustomer,
		"PUT /customers/{id}":     s.putCustomer,
		"POST /settle/{ref}":      s.settle,
	}
}

// routes returns the handler of all requests.
func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, answer := range s.handlers() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.handle(w, r, answer) })
	}
	return mux
}

// sameOrigin stops pages of other sites from sending requests through a browser.
var sameOrigin = http.NewCrossOriginProtection()

// handle answers one request, which gets an ID and a deadline.
func (s *service) handle(w http.ResponseWriter, r *http.Request, answer handler) {
	w.Header().Set(requestIDHeader, uuid.NewString())
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	err := checkOrigin(r)
	if err == nil {
		err = answer(w, r)
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

func checkOrigin(r *http.Request) error {
	if sameOrigin.Check(r) != nil {
		return rejected{http.StatusForbidden, "requests from pages of other sites are not accepted"}
	}
	return nil
}

// get asks for the head alone first where the client has the order: an
// unchanged one costs one request.
func (s *service) get(w http.ResponseWriter, r *http.Request) error {
	id, err := orderID(r)
	if err != nil {
		return err
	}
	// A proxy that compresses weakens tags, and for reading weak ones do.
	if seen := strings.ReplaceAll(r.Header.Get("If-None-Match"), `W/"`, `"`); seen != "" {
		h, err := s.store.Chain(id).Head(r.Context())
		if err != nil {
			return err
		}
		if h.Matches(seen) {
			w.Header().Set("ETag", h.ETag())
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	order, err := s.repo.Load(r.Context(), id)
	return s.show(w, http.StatusOK, order, err)
}

// create is a PUT that never replaces.
func (s *service) create(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get("If-None-Match") != "*" {
		return missing("If-None-Match: *")
	}
	var body struct{ Customer string }
	if err := read(r, &body); err != nil {
		return err
	}
	id, err := orderID(r)
	if err != nil {
		return err
	}
	events, err := create(body.Customer)
	if err != nil {
		return err
	}
	order, err := s.repo.Create(r.Context(), id, events, options(r)...)
	return s.show(w, http.StatusCreated, order, err)
}

// addLine takes If-Match, but does not need it: a line may be added to
// whatever the order is by then.
func (s *service) addLine(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Item     string
		Quantity int
	}
	if err := read(r, &body); err != nil {
		return err
	}
	return s.update(w, r, func(o Order) ([]Event, error) { return o.addLine(body.Item, body.Quantity) })
}

// ship needs If-Match: an order is shipped only as the client saw it.
func (s *service) ship(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get("If-Match") == "" {
		return missing("If-Match")
	}
	if err := readNothing(r); err != nil {
		return err
	}
	return s.update(w, r, Order.ship)
}

func (s *service) update(w http.ResponseWriter, r *http.Request, decide func(Order) ([]Event, error)) error {
	id, err := orderID(r)
	if err != nil {
		return err
	}
	order, err := s.repo.Update(r.Context(), id, decide, options(r)...)
	return s.show(w, http.StatusOK, order, err)
}

// settle finds out what became of a save that a 503 has left uncertain, and
// shows the order as it is then.
func (s *service) settle(w http.ResponseWriter, r *http.Request) error {
	if err := readNothing(r); err != nil {
		return err
	}
	ref, err := ropewalk.ParseRef(r.PathValue("ref"))
	if err != nil || !isOrder(ref.AggregateID) {
		return badRequest("this is not the link of an uncertain answer")
	}
	afterRevision, err := strconv.ParseUint(r.URL.Query().Get("after-revision"), 10, 64)
	if err != nil {
		return badRequest("this is not the link of an uncertain answer: its after-revision is missing")
	}
	_, err = s.store.Chain(ref.AggregateID).Settle(r.Context(), ref, afterRevision)
	var order aggregate.Loaded[Order]
	if err == nil {
		order, err = s.repo.Load(r.Context(), ref.AggregateID)
	}
	if err != nil && answerTo(err).status >= 500 { // the client knows no more than before: the link stays
		err = &ropewalk.UncertainError{Ref: ref, AfterRevision: afterRevision, Err: err}
	}
	return s.show(w, http.StatusOK, order, err)
}

// options are what a request's headers say of the save.
func options(r *http.Request) []aggregate.Option {
	o := []aggregate.Option{aggregate.IfMatch(r.Header.Get("If-Match"))}
	if keys := r.Header.Values("Idempotency-Key"); len(keys) > 0 {
		o = append(o, aggregate.Once(keys[0]))
	}
	return o
}

func (s *service) show(w http.ResponseWriter, status int, order aggregate.Loaded[Order], err error) error {
	if err != nil {
		return err
	}
	w.Header().Set("ETag", order.Head.ETag())
	s.write(w, status, order.State)
	return nil
}

// write sends an answer. If that fails the client is gone, or too slow.
func (s *service) write(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		s.log.Error("answer not encoded", "error", err)
	}
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		s.log.Debug("answer without a deadline", "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(append(text, '\n')); err != nil {
		s.log.Debug("answer not sent", "error", err)
	}
}
