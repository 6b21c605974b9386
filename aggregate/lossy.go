package aggregate

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
)

// lostInJSON returns what of a type does not survive encoding/json, in words;
// empty if all of it does. A state that silently lost a field in a snapshot
// would be wrong for good.
func lostInJSON(t reflect.Type, outer []reflect.Type) string {
	if slices.Contains(outer, t) || encodesItself(t) {
		return ""
	}
	outer = append(slices.Clip(outer), t)
	switch t.Kind() {
	case reflect.Struct:
		return lostField(t, outer)
	case reflect.Map:
		if lost := lostKey(t.Key()); lost != "" {
			return lost
		}
		return lostInJSON(t.Elem(), outer)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return lostInJSON(t.Elem(), outer)
	case reflect.Interface:
		return "what is in an interface (" + t.String() + ")"
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Uintptr:
		return "a " + t.String()
	default:
		return ""
	}
}

func lostField(t reflect.Type, outer []reflect.Type) string {
	for f := range t.Fields() {
		if f.Tag.Get("json") == "-" || !f.IsExported() && !f.Anonymous {
			return "the field " + t.String() + "." + f.Name
		}
		if lost := lostInJSON(f.Type, outer); lost != "" {
			return lost
		}
	}
	return ""
}

// lostKey allows the keys of maps that JSON takes.
func lostKey(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return ""
	}
	if encodesItself(t) {
		return ""
	}
	return "a map's key of type " + t.String()
}

// encodesItself reports whether a type has a JSON form of its own making.
func encodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Marshaler]()) && p.Implements(reflect.TypeFor[json.Unmarshaler]()) ||
		p.Implements(reflect.TypeFor[encoding.TextMarshaler]()) && p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}
