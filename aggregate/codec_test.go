package aggregate_test

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"log"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/aggregate"
)

// gobCodec encodes events with encoding/gob. A codec for CBOR or protocol
// buffers is the same, with Marshal and Unmarshal of its package.
type gobCodec struct{}

func (gobCodec) Encode(event Event) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(event)
	return b.Bytes(), err
}

func (gobCodec) Decode(data []byte, prototype Event) (Event, error) {
	p := reflect.New(reflect.TypeOf(prototype))
	err := gob.NewDecoder(bytes.NewReader(data)).DecodeValue(p)
	return p.Elem().Interface().(Event), err
}

// A binary codec: its data is stored in base64.
func ExampleBase64() {
	binary := orders
	binary.Codec = aggregate.Base64[Event](gobCodec{})
	content, err := binary.Encode(aggregate.Recorded[Event]{Event: LineAdded{"rope", 2}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(content[:28]))
	records, err := binary.Decode(content)
	fmt.Println(records[0].Event, err)
	// Output:
	// {"type":"line-added","data":
	// {rope 2} <nil>
}

func TestBinaryCodecs(t *testing.T) {
	binary := orders
	binary.Codec = aggregate.Base64[Event](gobCodec{})
	for _, event := range []Event{Created{"ann"}, LineAdded{"rope", 2}} {
		content, err := binary.Encode(aggregate.Recorded[Event]{Event: event})
		require.NoError(t, err)
		records, err := binary.Decode(content)
		require.NoError(t, err)
		require.Equal(t, event, records[0].Event)
	}
	for _, data := range []string{`"%"`, `{}`, `"AAAA"`} {
		_, err := binary.Decode([]byte(`{"type":"created","data":` + data + `}`))
		require.ErrorAs(t, err, new(*aggregate.DecodeError), data)
	}
}

// The cost of the codec and the names for each event, beside a request.
func BenchmarkEncodeDecode(b *testing.B) {
	record := aggregate.Recorded[Event]{Event: LineAdded{"rope", 2}, ID: "01a1fbf0-010a-7048-aeec-beff8de7cfde"}
	b.ReportAllocs()
	for b.Loop() {
		content, err := orders.Encode(record)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := orders.Decode(content); err != nil {
			b.Fatal(err)
		}
	}
}
