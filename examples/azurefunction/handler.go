package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"ropewalk/feed"
)

// limit is how long one tick may work. It is less than functionTimeout in host.json,
// after which the host ends the whole process.
const limit = 4 * time.Minute

// handler answers the host's calls.
type handler struct {
	work func(context.Context) (feed.RelayReport, error)
}

// mux has a path for each function: its name.
func (h handler) mux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /relay", h.relay)
	return mux
}

// reply is what the host of a custom handler expects.
type reply struct {
	Outputs map[string]any
	Logs    []string
}

// relay works for one tick. A failure is a failed execution of the function.
func (h handler) relay(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	report, err := h.work(ctx)
	done := fmt.Sprintf("fed %d advances in %d batches", report.Advances, report.Batches)
	status := http.StatusOK
	if err != nil {
		done, status = done+": "+err.Error(), http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(reply{Outputs: map[string]any{}, Logs: []string{done}}); err != nil {
		slog.Warn("the host did not take the reply", "cause", err)
	}
}
