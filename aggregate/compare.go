package aggregate

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"sync"
	"time"
	"unsafe"
)

// lost compares a value with what came back from its stored form. It returns
// the first difference that Evolve could observe, such as "the field
// Order.lines"; empty if there is no difference.
//
// Two values are equal if reflect.DeepEqual says so, with these exceptions:
//   - times are equal if they are the same instant with the same offset from
//     UTC. The names of zones and monotonic clocks are never stored.
//   - a [json.RawMessage] may differ in the space between tokens, and a
//     [big.Int] or [big.Rat] in how it is held in memory.
//   - two NaN are equal; 0 and -0 are not.
//   - messages of protocol buffers are compared by their exported fields. The
//     other fields are caches, which encoding changes.
//   - types that have a JSON or text form of their own and a method Equal are
//     compared by that method. Without such a form the method is not asked: it
//     may compare identities, and miss a field that was lost.
//
// So a nil slice or map differs from an empty one, unexported fields count,
// and functions are equal only if both are nil.
func lost[T any](value, back T) string {
	var c comparison
	if c.equal(reflect.ValueOf(&value).Elem(), reflect.ValueOf(&back).Elem()) {
		return ""
	}
	if c.field == "" {
		return "a value of type " + reflect.TypeFor[T]().String()
	}
	return "the field " + c.field
}

// comparison is one walk through two values.
type comparison struct {
	met   map[met]bool // what is being compared, or was: cycles end here
	field string       // the innermost field that differs
}

type met struct {
	a, b unsafe.Pointer
	of   reflect.Type
	len  int
}

// equal compares two addressable values without restrictions on their use.
func (c *comparison) equal(a, b reflect.Value) bool {
	if a.Type() != b.Type() {
		return false
	}
	if same := equalityOf(a.Type()); same != nil {
		return same(a, b)
	}
	switch a.Kind() {
	case reflect.Struct:
		return c.equalFields(a, b)
	case reflect.Array:
		return c.equalElements(a, b)
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return c.equalReferences(a, b)
	case reflect.Interface:
		return a.IsNil() == b.IsNil() && (a.IsNil() || c.equal(copied(a.Elem()), copied(b.Elem())))
	case reflect.Float32, reflect.Float64:
		return sameFloat(a.Float(), b.Float())
	case reflect.Complex64, reflect.Complex128:
		return sameFloat(real(a.Complex()), real(b.Complex())) && sameFloat(imag(a.Complex()), imag(b.Complex()))
	case reflect.Func:
		return a.IsNil() && b.IsNil()
	default:
		return a.Equal(b)
	}
}

func (c *comparison) equalFields(a, b reflect.Value) bool {
	for i := range a.NumField() {
		f := a.Field(i)
		if !f.CanInterface() && ignored(a.Type(), i) || c.equal(open(f), open(b.Field(i))) {
			continue
		}
		if c.field == "" {
			c.field = a.Type().String() + "." + a.Type().Field(i).Name
		}
		return false
	}
	return true
}

// ignored reports whether an unexported field has nothing that counts.
func ignored(t reflect.Type, i int) bool {
	f := t.Field(i)
	return f.Name == "_" || !f.Anonymous && isMessage(t)
}

func (c *comparison) equalElements(a, b reflect.Value) bool {
	for i := range a.Len() {
		if !c.equal(a.Index(i), b.Index(i)) {
			return false
		}
	}
	return true
}

func (c *comparison) equalReferences(a, b reflect.Value) bool {
	if a.IsNil() || b.IsNil() {
		return a.IsNil() == b.IsNil()
	}
	m := met{a: a.UnsafePointer(), b: b.UnsafePointer(), of: a.Type()}
	if a.Kind() == reflect.Slice {
		m.len = a.Len()
	}
	if c.met[m] {
		return true
	}
	if c.met == nil {
		c.met = map[met]bool{}
	}
	c.met[m] = true
	switch a.Kind() {
	case reflect.Pointer:
		return c.equal(a.Elem(), b.Elem())
	case reflect.Slice:
		return a.Len() == b.Len() && c.equalElements(a, b)
	default:
		return a.Len() == b.Len() && c.equalEntries(a, b)
	}
}

func (c *comparison) equalEntries(a, b reflect.Value) bool {
	for entry := a.MapRange(); entry.Next(); {
		other := b.MapIndex(entry.Key())
		if !other.IsValid() || !c.equal(copied(entry.Value()), copied(other)) {
			return false
		}
	}
	return true
}

// isMessage reports whether a struct is a message of protocol buffers.
func isMessage(t reflect.Type) bool {
	_, ok := reflect.PointerTo(t).MethodByName("ProtoReflect")
	return ok && t.Kind() == reflect.Struct
}

// open returns a field, exported or not, as if it were exported.
func open(field reflect.Value) reflect.Value {
	if field.CanInterface() {
		return field
	}
	return reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
}

// copied returns an addressable copy.
func copied(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

func sameFloat(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b)
}

// equality compares two addressable values of one type.
type equality func(a, b reflect.Value) bool

var equalities sync.Map // of reflect.Type: equality, nil for most types

// equalityOf returns what compares values of a type, nil if their parts are to
// be compared.
func equalityOf(t reflect.Type) equality {
	if t.PkgPath() == "" {
		return nil // predeclared, or without a name and so without methods of its own, apart from promoted ones
	}
	if found, ok := equalities.Load(t); ok {
		return found.(equality)
	}
	found := newEquality(t)
	equalities.Store(t, found)
	return found
}

func newEquality(t reflect.Type) equality {
	switch t {
	case reflect.TypeFor[time.Time]():
		return by(sameTime)
	case reflect.TypeFor[json.RawMessage]():
		return by(sameJSON)
	case reflect.TypeFor[big.Int]():
		return by(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })
	case reflect.TypeFor[big.Rat]():
		return by(func(a, b *big.Rat) bool { return a.Cmp(b) == 0 })
	}
	if !formOf(t, true).own() || t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return nil
	}
	for _, of := range []reflect.Type{t, reflect.PointerTo(t)} {
		if m, ok := of.MethodByName("Equal"); ok && m.Type == reflect.FuncOf([]reflect.Type{of, of}, []reflect.Type{reflect.TypeFor[bool]()}, false) {
			return func(a, b reflect.Value) bool {
				if of != t {
					a, b = a.Addr(), b.Addr()
				}
				return m.Func.Call([]reflect.Value{a, b})[0].Bool()
			}
		}
	}
	return nil
}

// by returns the equality of a type that a function compares pointers to.
func by[T any](same func(a, b *T) bool) equality {
	return func(a, b reflect.Value) bool {
		return same(a.Addr().Interface().(*T), b.Addr().Interface().(*T))
	}
}

func sameTime(a, b *time.Time) bool {
	_, inA := a.Zone()
	_, inB := b.Zone()
	return a.Equal(*b) && inA == inB
}

func sameJSON(a, b *json.RawMessage) bool {
	var compactA, compactB bytes.Buffer
	if json.Compact(&compactA, *a) != nil || json.Compact(&compactB, *b) != nil {
		return bytes.Equal(*a, *b) && (*a == nil) == (*b == nil)
	}
	return bytes.Equal(compactA.Bytes(), compactB.Bytes())
}
