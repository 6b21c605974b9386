package aggregate

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"unicode"
)

// form says by which methods encoding/json encodes and decodes a type.
type form struct{ toJSON, fromJSON, toText, fromText bool }

// formOf returns the form of a type, for a pointer the form of its element. The
// methods of a type's pointer encode only values that are addressable; they
// always decode.
func formOf(t reflect.Type, addressable bool) form {
	if t.Kind() == reflect.Pointer {
		t, addressable = t.Elem(), true
	}
	p := reflect.PointerTo(t)
	encoder := t
	if addressable {
		encoder = p
	}
	return form{
		toJSON:   encoder.Implements(reflect.TypeFor[json.Marshaler]()),
		fromJSON: p.Implements(reflect.TypeFor[json.Unmarshaler]()),
		toText:   encoder.Implements(reflect.TypeFor[encoding.TextMarshaler]()),
		fromText: p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()),
	}
}

func (f form) encodes() bool { return f.toJSON || f.toText }
func (f form) decodes() bool { return f.fromJSON || f.fromText }

// own reports whether a type has a form of its own making, both ways.
func (f form) own() bool { return f.encodes() && f.decodes() }

// notInName reports whether encoding/json ignores a tag's name for a character.
func notInName(r rune) bool {
	return !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}
