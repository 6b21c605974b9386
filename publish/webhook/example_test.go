package webhook_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
	"ropewalk/publish/webhook"
)

// publish sends the changes of a store to a partner until the context ends.
func publish(ctx context.Context, store *ropewalk.Store, secret webhook.Secret, options *webhook.Options) error {
	sender, err := webhook.New("https://partner.example/hooks", []webhook.Secret{secret}, options)
	if err != nil {
		return err
	}
	partner := feed.Open(store, nil).Subscription("partner", &feed.SubscriptionOptions{
		Park:     true, // an aggregate whose event is rejected waits; the others go on
		Parallel: 16,   // events of different aggregates at the same time
	})
	return partner.Run(ctx, sender.Handle)
}

// publishSome is publish for the events that a partner may see.
func publishSome(ctx context.Context, sub *feed.Subscription, sender *webhook.Sender, public map[string]bool) error {
	return sub.Run(ctx, func(ctx context.Context, change feed.Change) error {
		events, err := sender.Events(change)
		if err != nil {
			return err
		}
		for _, e := range events {
			if !public[e.Type()] {
				continue
			}
			if err := sender.Send(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// receiver handles each event once.
type receiver struct {
	verifier webhook.Verifier
	mu       sync.Mutex
	handled  map[string]bool // a real receiver stores the IDs together with what the events change
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, 1<<20))
	if err != nil {
		http.Error(w, "the body is too large or incomplete", http.StatusRequestEntityTooLarge)
		return
	}
	id, err := r.verifier.Verify(request.Header, body) // before the body is parsed
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	var e event.Event
	if err := e.UnmarshalJSON(body); err != nil || e.ID() != id {
		http.Error(w, "the body is not the event of the header", http.StatusBadRequest)
		return
	}
	r.once(e)
	w.WriteHeader(http.StatusNoContent) // not earlier: the next event of the aggregate may come now
}

func (r *receiver) once(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.handled[e.ID()] {
		fmt.Println("handled before:", e.Type())
		return
	}
	fmt.Printf("%s, version %s: %s %s\n", e.Subject(), e.Extensions()["version"], e.Type(), e.Data())
	r.handled[e.ID()] = true
}

// A receiver handles each event once. It rejects a request that is replayed after an
// hour, and recognizes an event that it has handled.
func Example() {
	now, secret := time.Now(), webhook.NewSecret()
	r := &receiver{handled: map[string]bool{}, verifier: webhook.Verifier{
		Secrets: []webhook.Secret{secret},
		Now:     func() time.Time { return now }, // a real receiver leaves it nil
	}}
	ctx, stop := context.WithCancel(context.Background())
	partner := &wiretap{receiver: r, stop: stop}

	db := memstore.New()
	store := ropewalk.New(db, db, nil)
	_, err := store.Chain("order-1").Create(ctx, ropewalk.Draft{
		ContentType: aggregate.ContentType,
		Content:     []byte(`{"type":"placed","data":{"total":12}}` + "\n" + `{"type":"paid","data":{"by":"card"}}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := publish(ctx, store, secret, &webhook.Options{TypePrefix: "example.", Transport: partner}); err != nil {
		log.Fatal(err)
	}

	fmt.Println("replayed at once:", partner.replay())
	now = now.Add(time.Hour)
	fmt.Println("replayed after an hour:", partner.replay())
	// Output:
	// order-1, version 0: example.placed {"total":12}
	// order-1, version 0: example.paid {"by":"card"}
	// handled before: example.paid
	// replayed at once: 204 No Content
	// replayed after an hour: 401 Unauthorized
}

// wiretap takes requests to a receiver and keeps the last one. After the second
// request the subscription may end.
type wiretap struct {
	receiver http.Handler
	stop     context.CancelFunc
	requests int
	header   http.Header
	body     []byte
}

func (w *wiretap) RoundTrip(request *http.Request) (response *http.Response, err error) {
	w.header = request.Header
	if w.body, err = io.ReadAll(request.Body); err != nil {
		return nil, err
	}
	if w.requests++; w.requests == 2 {
		defer w.stop()
	}
	return w.send(), nil
}

// send gives the last request to the receiver.
func (w *wiretap) send() *http.Response {
	request := httptest.NewRequest(http.MethodPost, "/hooks", bytes.NewReader(w.body))
	request.Header = w.header
	recorder := httptest.NewRecorder()
	w.receiver.ServeHTTP(recorder, request)
	return recorder.Result()
}

func (w *wiretap) replay() string {
	code := w.send().StatusCode
	return fmt.Sprint(code, " ", http.StatusText(code))
}
