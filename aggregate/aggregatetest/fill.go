package aggregatetest

import (
	"encoding"
	"encoding/json"
	"reflect"
	"time"
	"unsafe"
)

// depth bounds the samples of types that hold themselves.
const depth = 4

// filled returns a copy of an event with every field that it has set to
// something, exported or not, so that its stored form shows the field, or loses
// it and fails the test.
func filled[E any](prototype E) E {
	v := reflect.New(reflect.TypeOf(prototype)).Elem()
	v.Set(reflect.ValueOf(prototype))
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v.Set(reflect.New(v.Type().Elem())) // Events keeps its own
		v.Elem().Set(reflect.ValueOf(prototype).Elem())
		fill(v.Elem(), depth)
	}
	fill(v, depth)
	return v.Interface().(E)
}

func fill(v reflect.Value, depth int) {
	if !v.CanSet() || depth == 0 || !v.IsZero() && v.Kind() != reflect.Struct {
		return
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(7.5)
	case reflect.String:
		v.SetString("seven")
	default:
		fillHolder(v, depth-1)
	}
}

// hasForm reports whether a type encodes itself: what it holds is its own matter.
func hasForm(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	_, message := p.MethodByName("ProtoReflect")
	return message || p.Implements(reflect.TypeFor[json.Marshaler]()) || p.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// fillHolder fills what holds other values.
func fillHolder(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Field(i)
			if !field.CanSet() && v.Type().Field(i).Name != "_" && !hasForm(v.Type()) {
				field = reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
			}
			fill(field, depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), depth)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth)
		fill(value, depth)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	}
}
