package main

import (
	"bytes"
	"context"
	_ "embed"
	"html/template"
	"net/http"
	"time"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("open orders").Parse(pageSource))

// ServeHTTP shows the open orders by customer, as far as the read model has come: an
// order appears a moment after it was created.
func (m *openOrders) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	customers, err := m.byCustomer(ctx, r.URL.Query().Get("customer"))
	var content bytes.Buffer
	if err == nil {
		err = page.Execute(&content, customers)
	}
	if err != nil {
		m.log.Error("open orders not shown", "error", err)
		http.Error(w, "the open orders cannot be shown now", http.StatusServiceUnavailable)
		return
	}
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		m.log.Debug("answer without a deadline", "error", err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.Header().Set("Cache-Control", "no-store")
	if _, err := content.WriteTo(w); err != nil {
		m.log.Debug("answer not sent", "error", err)
	}
}
