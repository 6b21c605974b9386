package aggregate_test

import (
	"fmt"
	"log"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"ropewalk/aggregate"
)

// protobuf is a codec for events that are messages of protocol buffers.
type protobuf struct{}

func (protobuf) Encode(event proto.Message) ([]byte, error) { return proto.Marshal(event) }

func (protobuf) Decode(data []byte, prototype proto.Message) (proto.Message, error) {
	event := proto.Clone(prototype)
	return event, proto.UnmarshalOptions{Merge: true}.Unmarshal(data, event)
}

// Events as protocol buffers: the messages are the event types, and their
// binary form is kept as base64 in the NDJSON line. The message here is a
// ready-made one; a program has those that protoc made for it.
func ExampleBase64_protobuf() {
	balance := aggregate.Type[int64, proto.Message]{
		Name:   "balance",
		Events: aggregate.Events[proto.Message]{"moved": &wrapperspb.Int64Value{}},
		Codec:  aggregate.Base64[proto.Message](protobuf{}),
		Evolve: func(cents int64, event proto.Message) int64 {
			return cents + event.(*wrapperspb.Int64Value).Value
		},
	}
	show(balance, proto.Message(wrapperspb.Int64(250)))
	// Output:
	// "CPoB"
	// 250
}

// cborCodec is a codec for events that are structs, in CBOR (RFC 8949).
type cborCodec struct{}

func (cborCodec) Encode(event Moved) ([]byte, error) { return cbor.Marshal(event) }

func (cborCodec) Decode(data []byte, prototype Moved) (Moved, error) {
	return prototype, cbor.Unmarshal(data, &prototype)
}

// Moved is the one event of a balance.
type Moved struct{ Cents int64 }

// Events as CBOR: smaller than JSON, and still without a schema.
func ExampleBase64_cbor() {
	balance := aggregate.Type[int64, Moved]{
		Name:   "balance",
		Events: aggregate.Events[Moved]{"moved": {}},
		Codec:  aggregate.Base64[Moved](cborCodec{}),
		Evolve: func(cents int64, event Moved) int64 { return cents + event.Cents },
	}
	show(balance, Moved{250})
	// Output:
	// "oWVDZW50cxj6"
	// 250
}

// show prints the data that is stored of an event, and the state that comes of it.
func show[E any](t aggregate.Type[int64, E], event E) {
	content, err := t.Encode(aggregate.Recorded[E]{Event: event})
	if err != nil {
		log.Fatal(err)
	}
	stored, err := t.Decode(content)
	if err != nil || len(stored) != 1 {
		log.Fatal(err)
	}
	data, err := t.Codec.Encode(event)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(data))
	fmt.Println(t.Fold(0, stored[0].Event))
}
