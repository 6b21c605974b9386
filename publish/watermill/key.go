package watermill

import (
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"ropewalk/changeset"
)

// Key returns the aggregate ID of a message, by which brokers keep the messages of an
// aggregate in order. It has the form of Watermill's kafka.GeneratePartitionKey. It
// fails for a message that [Form.Messages] has not made.
func Key(_ string, m *message.Message) (string, error) {
	id := m.Metadata.Get(Aggregate)
	if id == "" {
		return "", fmt.Errorf("message %q has no metadata %q", m.UUID, Aggregate)
	}
	return id, nil
}

// FIFO sets the metadata from which Watermill's publisher for SNS takes the group and
// the deduplication ID of a message for a FIFO topic. The group is the aggregate, in
// the form of [GroupID]. Wrap the publisher:
//
//	publisher, err = message.MessageTransformPublisherDecorator(watermill.FIFO)(publisher)
func FIFO(m *message.Message) {
	m.Metadata.Set("MessageGroupId", GroupID(m.Metadata.Get(Aggregate)))
	m.Metadata.Set("MessageDeduplicationId", m.UUID)
}

// GroupID returns the percent-encoded form of an aggregate ID. Its at most 128
// characters can be the MessageGroupId of a FIFO queue of SQS; an aggregate ID itself
// may have spaces or letters that SQS refuses.
func GroupID(aggregateID string) string { return changeset.Escape(aggregateID) }
