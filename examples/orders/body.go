package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"
)

const maxBody = 64 << 10

// read decodes the request's body: one JSON object of known fields, in UTF-8.
// The media type is required, since pages of other sites can have a browser
// send text/plain without asking the service first.
func read(r *http.Request, body any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return rejected{http.StatusUnsupportedMediaType, "the body needs the header Content-Type: application/json"}
	}
	text, err := io.ReadAll(r.Body)
	switch {
	case is[*http.MaxBytesError](err):
		return rejected{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxBody)}
	case err != nil:
		return badRequest("the body did not arrive")
	case !utf8.Valid(text):
		return badRequest("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(body); err != nil {
		return badRequest("the body cannot be read: " + err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badRequest("the body is more than one JSON object")
	}
	return nil
}

// readNothing checks that a request has no body, or an empty JSON object.
func readNothing(r *http.Request) error {
	if r.ContentLength == 0 {
		return nil
	}
	return read(r, &struct{}{})
}
