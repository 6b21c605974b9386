package watermill_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/publish/watermill"
)

const changesetID = "0199a0b2-0000-7000-8000-000000000001"

func TestMessagesOfEvents(t *testing.T) {
	c := change(aggregate.ContentType, `{"type":"placed","id":"e1","time":"2026-11-28T12:00:00+02:00","data":{"b":1, "a":[1e2]},"meta":{"correlation":"91c2","traceparent":"00-1","other":"x","version":"99"}}

		{"type":"paid","data":"äöü"}`)
	messages, err := watermill.Form{Metadata: []string{aggregate.Traceparent, "missing", watermill.Version}}.Messages(c)
	require.NoError(t, err)
	require.Len(t, messages, 2)
	require.Equal(t, changesetID+"-0", messages[0].UUID)
	require.Equal(t, `{"b":1, "a":[1e2]}`, string(messages[0].Payload), "to the letter")
	require.Equal(t, message.Metadata{
		"aggregate": "order-1", "version": "7", "changeset": changesetID, "index": "0",
		"position": "l.0123456789abcdef.42.0011223344556677.7", "type": "placed", "time": "2026-11-28T10:00:00.000000000Z",
		"content_type": "application/json", "correlation_id": "91c2", "traceparent": "00-1",
	}, messages[0].Metadata)
	require.Equal(t, "91c2", middleware.MessageCorrelationID(messages[0]), "Watermill finds it")
	require.Equal(t, changesetID+"-1", messages[1].UUID)
	require.Equal(t, `"äöü"`, string(messages[1].Payload))
	require.Equal(t, message.Metadata{
		"aggregate": "order-1", "version": "7", "changeset": changesetID, "index": "1",
		"position": "l.0123456789abcdef.42.0011223344556677.7", "type": "paid", "time": "2026-11-28T10:02:11.123456789Z",
		"content_type": "application/json",
	}, messages[1].Metadata)

	messages, err = watermill.Form{}.Messages(change(aggregate.ContentType, "\n"))
	require.NoError(t, err)
	require.Empty(t, messages)
}

func TestMessagesOfChangesets(t *testing.T) {
	metadata := message.Metadata{
		"aggregate": "order-1", "version": "7", "changeset": changesetID,
		"position": "l.0123456789abcdef.42.0011223344556677.7", "time": "2026-11-28T10:02:11.123456789Z",
	}
	for _, c := range []struct {
		form                 watermill.Form
		contentType, content string
	}{
		{watermill.Form{}, "image/png", "\x89PNG"},
		{watermill.Form{}, "", `{"type":"placed","data":1}`},
		{watermill.Form{Changesets: true}, aggregate.ContentType, `{"type":"placed","data":1}` + "\n" + `{"type":"paid","data":1}`},
		{watermill.Form{Changesets: true}, aggregate.ContentType, "no event"},
	} {
		messages, err := c.form.Messages(change(c.contentType, c.content))
		require.NoError(t, err)
		require.Len(t, messages, 1)
		require.Equal(t, changesetID, messages[0].UUID)
		require.Equal(t, c.content, string(messages[0].Payload))
		want := maps.Clone(metadata)
		if c.contentType != "" {
			want["content_type"] = c.contentType
		}
		require.Equal(t, want, messages[0].Metadata)
	}

	c := change("image/png", "")
	c.Metadata = map[string]string{"tenant": "acme", "other": "x"}
	messages, err := watermill.Form{Metadata: []string{"tenant"}}.Messages(c)
	require.NoError(t, err)
	require.Equal(t, "acme", messages[0].Metadata["tenant"])
	require.NotContains(t, messages[0].Metadata, "other")
}

func TestMessagesOfErasures(t *testing.T) {
	c := change("", "")
	c.Erased, c.Changeset = true, ropewalk.Changeset{Header: ropewalk.Header{Ref: c.Ref}}
	for _, form := range []watermill.Form{{}, {Changesets: true}} {
		messages, err := form.Messages(c)
		require.NoError(t, err)
		require.Len(t, messages, 1)
		require.Equal(t, changesetID+"-erased", messages[0].UUID, "not the UUID of the last changeset, which a broker may have")
		require.Equal(t, "null", string(messages[0].Payload))
		require.Equal(t, message.Metadata{
			"aggregate": "order-1", "version": "7", "changeset": changesetID, "erased": "true",
			"position": "l.0123456789abcdef.42.0011223344556677.7", "content_type": "application/json",
		}, messages[0].Metadata)
	}
}

func TestLinesThatAreNoEvents(t *testing.T) {
	for _, line := range []string{"no JSON", `{"data":1}`, `{"type":"a"}`, `{"type":"a","data":1,"time":"noon"}`, `{"type":"a","type":"b","data":1}`} {
		c := change(aggregate.ContentType, `{"type":"placed","data":1}`+"\n"+line)
		_, err := watermill.Form{}.Messages(c)
		require.ErrorContains(t, err, "event 1 of order-1@7."+changesetID)
	}
}

// SQS and SNS allow ten attributes, none of them empty, and 128 characters of ASCII in
// IDs. Watermill itself adds an attribute. SNS drops a message with more attributes
// after it has accepted it.
func TestMessagesFitIntoSQS(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringN(1, 40, 128).Filter(func(s string) bool { return changeset.ValidateAggregateID(s) == nil }).Draw(t, "id")
		lines := rapid.IntRange(0, 30).Draw(t, "lines")
		line := rapid.SampledFrom([]string{`{"type":"a","data":1}`, `{"type":"a","id":"e","time":"2026-11-28T12:00:00Z","data":1,"meta":{"correlation":"c","causation":"d"}}`}).Draw(t, "line")
		c := change(rapid.SampledFrom([]string{"", "image/png", aggregate.ContentType}).Draw(t, "type"), strings.Repeat(line+"\n", lines))
		c.AggregateID, c.Version = id, rapid.Uint64().Draw(t, "version")
		c.Erased = rapid.Bool().Draw(t, "erased")
		form := watermill.Form{Changesets: rapid.Bool().Draw(t, "changesets")}
		messages, err := form.Messages(c)
		require.NoError(t, err)
		again, err := form.Messages(c)
		require.NoError(t, err)
		seen := map[string]bool{}
		for i, m := range messages {
			require.True(t, m.Equals(again[i]), "the same message each time")
			require.False(t, seen[m.UUID], m.UUID)
			seen[m.UUID] = true
			require.Regexp(t, `^[-0-9a-z]{36,57}$`, m.UUID)
			require.LessOrEqual(t, len(m.Metadata), 9)
			require.NotContains(t, slices.Collect(maps.Values(m.Metadata)), "")
			require.Regexp(t, `^[-A-Za-z0-9_~%]{1,128}$`, watermill.GroupID(id))
			key, err := watermill.Key("any", m)
			require.NoError(t, err)
			require.Equal(t, id, key)
		}
	})
}

func TestKeyOfAnotherMessage(t *testing.T) {
	_, err := watermill.Key("any", message.NewMessage("m1", nil))
	require.ErrorContains(t, err, `message "m1" has no metadata "aggregate"`)
}

func TestFIFO(t *testing.T) {
	b := &broker{}
	var groups []string
	b.misbehave = func(_ int, _ string, messages []*message.Message) error {
		for _, m := range messages {
			groups = append(groups, fmt.Sprint(m.Metadata["MessageGroupId"], " ", m.Metadata["MessageDeduplicationId"]))
		}
		return nil
	}
	publisher, err := message.MessageTransformPublisherDecorator(watermill.FIFO)(b)
	require.NoError(t, err)
	c := change("", "x")
	c.AggregateID = "Größe 1"
	require.NoError(t, watermill.New(publisher, watermill.Topic("orders"), nil).Handle(t.Context(), c))
	require.Equal(t, []string{"Gr%C3%B6%C3%9Fe%201 " + changesetID}, groups)
}

var (
	_ feed.Handler      = (*watermill.Sender)(nil).Handle
	_ feed.BatchHandler = (*watermill.Sender)(nil).HandleBatch
)
