package aggregate

import (
	"context"
	"fmt"
	"maps"
	"time"

	"ropewalk/changeset"
)

// Option is a setting of one [Repository.Save], [Repository.Create],
// [Repository.Update], [Repository.Upsert] or [Repository.Change].
type Option func(*call) error

// Once makes the call happen once, however often and from wherever it is made
// with the same key: a repeated one stores nothing, and returns the aggregate
// as it is, with [Loaded.Repeated] set. The key becomes the command ID of the
// changeset: UTF-8 of 1 to [changeset.MaxCommandID] bytes once percent-encoded;
// any other gives [ErrInvalidKey]. An empty key is an error, too: the caller
// meant the command to happen once, and it would not. It belongs to one aggregate, or
// to one [Commit]; contents are not compared: what was stored first stands.
//
// A key is recognised where the aggregate was read when it was in use: among
// all changesets that a load has read, and the last [CommandWindow] command
// IDs that the snapshot carries. So the window is the whole history without
// snapshots, and at least the last CommandWindow commands with them.
//
//	first call            then, before the repeated one         the repeated call
//	committed             nothing                               Repeated
//	committed             others have saved, within the window  Repeated; nothing is sent where the load has shown it
//	committed             others have saved, beyond the window  happens again
//	committed             decided again, other events           Repeated; the first events stand
//	conflict, error       anything                              happens
//	uncertain             its swap took effect                  Repeated
//	uncertain             its swap is still under way           happens; the first can no longer take effect, or is
//	                                                            found to have been faster: Repeated
//
// A call that stores no events is not remembered.
func Once(key string) Option {
	return func(c *call) error {
		if key == "" {
			return fmt.Errorf("%w: it is empty", ErrInvalidKey)
		}
		if err := (changeset.Draft{CommandID: key}).Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalidKey, err)
		}
		c.key = key
		return nil
	}
}

// With adds metadata to each event of the call. It replaces metadata of the
// context that has the same key.
func With(key, value string) Option {
	return func(c *call) error {
		c.metadata[key] = value
		return nil
	}
}

// IfMatch makes the call depend on the head that its state was read at: the
// value of an HTTP If-Match header, such as what [head.Head.ETag] returned.
// If it does not match, the error is a [*PreconditionError]. An empty value
// is no condition, as in a request without the header. The empty key of [Once],
// by contrast, is an error. A command that [Once] recognises is recognised first.
func IfMatch(header string) Option {
	return func(c *call) error {
		c.ifMatch = header
		return nil
	}
}

// At sets the time of the call's events; the present time by default.
func At(t time.Time) Option {
	return func(c *call) error {
		if y := t.UTC().Year(); y < 0 || y > 9999 {
			return fmt.Errorf("time of events: year %d has not four digits", y)
		}
		c.at = t
		return nil
	}
}

// call is what the options of one call say.
type call struct {
	key      string // empty: none
	metadata map[string]string
	ifMatch  string
	at       time.Time
}

// call gathers the settings of one call, with the metadata of its context.
func (o *Options) call(ctx context.Context, options []Option) (*call, error) {
	c := &call{metadata: maps.Clone(metadataOf(ctx))}
	if c.metadata == nil {
		c.metadata = map[string]string{}
	}
	if o.Metadata != nil {
		maps.Copy(c.metadata, o.Metadata(ctx))
	}
	for _, option := range options {
		if err := option(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// The keys of metadata that have a meaning for others.
const (
	// Correlation is the key of the ID that all which one request caused shares.
	Correlation = "correlation"
	// Causation is the key of the ID of the command or event that caused this one.
	Causation = "causation"
	// Traceparent is the key of the W3C trace context's header of that name.
	Traceparent = "traceparent"
)

type metadataKey struct{}

// WithMetadata returns a context under which every event that is saved has the
// metadata too, such as a [Correlation], a [Causation] or a [Traceparent].
// If the metadata comes from somewhere else, see [Options.Metadata].
func WithMetadata(ctx context.Context, key, value string) context.Context {
	m := maps.Clone(metadataOf(ctx))
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return context.WithValue(ctx, metadataKey{}, m)
}

func metadataOf(ctx context.Context) map[string]string {
	m, _ := ctx.Value(metadataKey{}).(map[string]string)
	return m
}
