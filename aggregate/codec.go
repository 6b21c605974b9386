package aggregate

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// Codec turns events into the data that is stored of them, and back. An
// implementation must be safe for concurrent use.
//
// Every event is decoded before it is saved, and refused if it does not come
// back equal. A codec whose events hold more in memory than they mean, such as
// caches, may have a method Equal(a, b E) bool, which then decides.
type Codec[E any] interface {
	// Encode must return the event's data: one JSON value of any kind.
	// [Base64] makes one from any bytes.
	Encode(event E) ([]byte, error)

	// Decode must return the event that Encode, now or in an earlier version
	// of the program, has made the data of. The prototype is the event's value
	// in [Events]; it has the Go type to return, and must not be changed.
	Decode(data []byte, prototype E) (E, error)
}

// comparer is a codec that says which events are equal.
type comparer[E any] interface{ Equal(a, b E) bool }

// JSON returns the codec that is used where a [Type] names none: encoding/json.
// Fields that a stored event has and the struct has not are left out, and
// fields that it lacks keep the value of the prototype.
func JSON[E any]() Codec[E] { return jsonCodec[E]{} }

type jsonCodec[E any] struct{}

func (jsonCodec[E]) Encode(event E) ([]byte, error) { return marshal(event) }

func (jsonCodec[E]) Decode(data []byte, prototype E) (E, error) {
	target, value := clone[E](prototype)
	err := json.Unmarshal(data, target)
	return value(), err
}

// clone returns a pointer to a copy of what the prototype holds, to decode
// into, and a function that returns the event that the copy has become.
func clone[E any](prototype E) (target any, value func() E) {
	v := reflect.ValueOf(prototype)
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			p.Elem().Set(v.Elem())
			unshare(p.Elem())
		}
		return p.Interface(), func() E { return p.Interface().(E) }
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	unshare(p.Elem())
	return p.Interface(), func() E { return p.Elem().Interface().(E) }
}

// unshare gives a value, into which JSON is to be decoded, maps, slices and
// pointers of its own: decoding writes into those that it finds.
func unshare(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				unshare(v.Field(i))
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			unshare(v.Index(i))
		}
	case reflect.Slice, reflect.Map, reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			v.Set(unshared(v))
		}
	}
}

// unshared returns a copy of what a value refers to.
func unshared(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Slice:
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		for i := range c.Len() {
			unshare(c.Index(i))
		}
		return c
	case reflect.Map:
		c := reflect.MakeMapWithSize(v.Type(), v.Len())
		for entry := v.MapRange(); entry.Next(); {
			value := copied(entry.Value())
			unshare(value)
			c.SetMapIndex(entry.Key(), value)
		}
		return c
	case reflect.Pointer:
		c := reflect.New(v.Type().Elem())
		c.Elem().Set(v.Elem())
		unshare(c.Elem())
		return c
	default:
		c := copied(v.Elem())
		unshare(c)
		return c
	}
}

// marshal is json.Marshal that leaves <, > and & readable.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Base64 returns a codec that stores the data of a binary codec, such as CBOR
// or protocol buffers, as a JSON string in base64.
func Base64[E any](binary Codec[E]) Codec[E] { return base64Codec[E]{binary} }

type base64Codec[E any] struct{ binary Codec[E] }

func (c base64Codec[E]) Encode(event E) ([]byte, error) {
	data, err := c.binary.Encode(event)
	if err != nil {
		return nil, err
	}
	return json.Marshal(data)
}

func (c base64Codec[E]) Decode(data []byte, prototype E) (E, error) {
	var raw []byte
	if err := json.Unmarshal(data, &raw); err != nil {
		var none E
		return none, err
	}
	return c.binary.Decode(raw, prototype)
}
