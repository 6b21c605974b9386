package aggregate

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Types that a struct can embed, with names in common.
type (
	Base  struct{ X, Y int }
	Other struct {
		X int
		Z string `json:"Y"`
	}
	Deep  struct{ Base }
	Loop  struct{ *Loop }
	Label string
	lower struct{ X int }
	word  string
)

// Types with methods for their form.
type (
	stamped struct {
		time.Time
		Note string
	}
	stampedPointer struct {
		Note string
		*stamp
	}
	stamp struct{ time.Time }

	overridden struct {
		time.Time
		Note string
	}
	oneWay    struct{ N int }
	otherWay  struct{ N int }
	byPointer struct{ N int }
	asText    struct{ N int }
	fromText  struct{ N int }
	checked   string
)

func (o overridden) MarshalJSON() ([]byte, error) { return json.Marshal([]any{o.Time, o.Note}) }
func (o *overridden) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&o.Time, &o.Note})
}
func (o oneWay) MarshalJSON() ([]byte, error)        { return json.Marshal(fmt.Sprint(o.N)) }
func (*otherWay) UnmarshalJSON([]byte) error         { return nil }
func (b *byPointer) MarshalJSON() ([]byte, error)    { return json.Marshal(b.N) }
func (b *byPointer) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &b.N) }
func (asText) MarshalText() ([]byte, error)          { return []byte("x"), nil }
func (*fromText) UnmarshalText([]byte) error         { return nil }
func (c *checked) UnmarshalText(text []byte) error {
	*c = checked(text)
	return nil
}

// Check agrees with what encoding/json does to a value of which every part is set.
func TestCheckAgreesWithJSON(t *testing.T) {
	for _, c := range []struct {
		value any
		lost  bool
	}{
		{stamped{}, true},
		{stampedPointer{}, true},
		{stamp{}, false},
		{overridden{}, false},
		{oneWay{}, true},
		{otherWay{}, true},
		{asText{}, true},
		{fromText{}, true},
		{checked(""), false},
		{byPointer{}, true},
		{[]byPointer{}, false},
		{&byPointer{}, false},
		{map[string]byPointer{}, true},
		{map[string]*byPointer{}, false},
		{struct{ Base }{}, false},
		{struct{ *Base }{}, false},
		{struct{ lower }{}, false},
		{struct{ *lower }{}, true},
		{struct{ word }{}, true},
		{struct{ Label }{}, false},
		{struct{ *Label }{}, false},
		{Loop{}, true},
		{struct {
			Base
			Other
		}{}, true},
		{struct {
			Base
			X int
		}{}, true},
		{struct {
			Deep
			Base
		}{}, true},
		{struct {
			A int `json:"B"`
			B int
		}{}, true},
		{struct {
			A int `json:"n"`
			B int `json:"N"`
		}{}, false},
		{struct {
			Base `json:"base"`
			X    int
		}{}, false},
		{map[float64]int{}, true},
		{map[checked]int{}, false},
		{map[asText]int{}, true},
		{map[fromText]int{}, true},
		{map[time.Time]int{}, false},
	} {
		of := reflect.TypeOf(c.value)
		t.Run(of.String(), func(t *testing.T) {
			require.Equal(t, c.lost, lostInJSON(of) != "", lostInJSON(of))
			if sample, ok := sampleOf(of); ok {
				require.Equal(t, c.lost, !survives(sample), "encoding/json disagrees")
			}
		})
	}
}

// sampleOf returns a value of which every part is set. Types with a form of
// their own, and types that hold themselves, are left alone.
func sampleOf(t reflect.Type) (reflect.Value, bool) {
	v := reflect.New(t).Elem()
	n := 0
	return v, set(v, &n, 0)
}

func set(v reflect.Value, n *int, depth int) bool {
	*n++
	if depth > 4 {
		return false
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(int64(*n), 0).UTC()))
		return true
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int8:
		v.SetInt(int64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(fmt.Sprint("é<", *n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return set(v.Elem(), n, depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		return set(v.Index(0), n, depth+1) && set(v.Index(1), n, depth+1)
	case reflect.Array:
		for i := range v.Len() {
			set(v.Index(i), n, depth+1)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		ok := set(key, n, depth+1) && set(value, n, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
		return ok
	case reflect.Struct:
		for i := range v.NumField() {
			if !set(open(v.Field(i)), n, depth+1) {
				return false
			}
		}
	}
	return true
}

// survives reports whether a value comes back from JSON deeply equal.
func survives(v reflect.Value) (equal bool) {
	defer func() { _ = recover() }() // a promoted method of a nil pointer
	text, err := marshal(v.Interface())
	back := reflect.New(v.Type())
	return err == nil && json.Unmarshal(text, back.Interface()) == nil && reflect.DeepEqual(v.Interface(), back.Elem().Interface())
}

var (
	fieldTypes = []reflect.Type{
		reflect.TypeFor[int](), reflect.TypeFor[string](), reflect.TypeFor[*bool](), reflect.TypeFor[[]string](), reflect.TypeFor[map[string]int](),
		reflect.TypeFor[map[int8]*Base](), reflect.TypeFor[time.Time](), reflect.TypeFor[[]Deep](),
		reflect.TypeFor[struct{ n int }](), reflect.TypeFor[[]byte](), reflect.TypeFor[Label](), reflect.TypeFor[[2]float64](),
	}
	embeddedTypes = []reflect.Type{reflect.TypeFor[Base](), reflect.TypeFor[Other](), reflect.TypeFor[Deep](), reflect.TypeFor[Label](), reflect.TypeFor[*Base]()}
	fieldTags     = []string{"", `json:"X"`, `json:"x"`, `json:"-"`, `json:"-,"`, `json:"Y,omitempty"`, `json:",omitzero"`, `json:",string"`, `json:"a\"b"`, `json:"F0"`}
)

var anyStruct = rapid.Custom(func(t *rapid.T) reflect.Type {
	var fields []reflect.StructField
	names := map[string]bool{}
	for i := range rapid.IntRange(1, 4).Draw(t, "fields") {
		f := reflect.StructField{Name: fmt.Sprint("F", i), Tag: reflect.StructTag(rapid.SampledFrom(fieldTags).Draw(t, "tag"))}
		if rapid.IntRange(0, 2).Draw(t, "embedded") == 0 {
			f.Type, f.Anonymous = rapid.SampledFrom(embeddedTypes).Draw(t, "type"), true
			f.Name = f.Type.Name()
			if f.Type.Kind() == reflect.Pointer {
				f.Name = f.Type.Elem().Name()
			}
		} else {
			f.Type = rapid.SampledFrom(fieldTypes).Draw(t, "type")
		}
		if !names[f.Name] {
			names[f.Name] = true
			fields = append(fields, f)
		}
	}
	return reflect.StructOf(fields)
})

// Fields that Check finds lost are lost by encoding/json, and no others.
func TestCheckAgreesWithJSONOnAnyStruct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := anyStruct.Draw(t, "type")
		sample, ok := sampleOf(of)
		require.True(t, ok)
		found := lostInJSON(of)
		require.Equal(t, survives(sample), found == "", "%s: %s", of, found)
	})
}

// Values that the comparison calls equal are deeply equal, with the exceptions
// that its comment lists; and it finds every difference.
func TestComparisonAgreesWithDeepEqual(t *testing.T) {
	type all struct {
		I  int8
		S  string
		F  float64
		P  *string
		L  []string
		M  map[string]*int
		A  [2]any
		T  struct{ t []bool }
		Fn func()
	}
	some := rapid.Custom(func(t *rapid.T) all {
		p := rapid.Ptr(rapid.Int(), true)
		v := all{
			I: rapid.Int8Range(0, 1).Draw(t, "i"), S: rapid.SampledFrom([]string{"", "a"}).Draw(t, "s"),
			F: rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, math.Inf(1)}).Draw(t, "f"),
			P: rapid.Ptr(rapid.SampledFrom([]string{"", "a"}), true).Draw(t, "p"),
			L: rapid.SampledFrom([][]string{nil, {}, {"a"}, {"b"}}).Draw(t, "l"),
			M: rapid.SampledFrom([]map[string]*int{nil, {}, {"a": nil}, {"a": p.Draw(t, "m")}, {"b": nil}}).Draw(t, "map"),
			A: [2]any{nil, rapid.SampledFrom([]any{nil, 1, 1.0, "a", []any{}, map[string]any{"a": nil}}).Draw(t, "any")},
		}
		v.T.t = rapid.SampledFrom([][]bool{nil, {}, {true}}).Draw(t, "hidden")
		return v
	})
	rapid.Check(t, func(t *rapid.T) {
		a := some.Draw(t, "a")
		b := a
		if rapid.Bool().Draw(t, "other") {
			b = some.Draw(t, "b")
		}
		want := reflect.DeepEqual(a, b) && math.Signbit(a.F) == math.Signbit(b.F)
		require.Equal(t, want, lost(a, b) == "", "%v %v", a, b)
	})
}

// A value that holds itself ends the comparison, as it ends encoding/json.
func TestCyclesEnd(t *testing.T) {
	type node struct {
		N    int
		Next *node
		Map  map[string]any
		List []any
	}
	circle := func(n int) *node {
		a := &node{N: 1, Map: map[string]any{}, List: make([]any, 1)}
		a.Next, a.Map["self"], a.List[0] = &node{N: n, Next: a}, a.Map, a.List
		return a
	}
	require.Empty(t, lost(circle(2), circle(2)))
	require.Equal(t, "the field aggregate.node.N", lost(circle(2), circle(3)))
}

func TestExceptionsOfTheComparison(t *testing.T) {
	type hidden struct{ at time.Time }
	now := time.Now()
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.FixedZone("CEST", 7200))
	require.Empty(t, lost(hidden{now}, hidden{now.Round(0)}), "the clock's reading")
	require.Empty(t, lost(hidden{at}, hidden{at.In(time.FixedZone("", 7200))}), "the zone's name")
	require.NotEmpty(t, lost(hidden{at}, hidden{at.UTC()}))
	require.NotEmpty(t, lost(hidden{at}, hidden{at.Add(1)}))
	require.Empty(t, lost(math.NaN(), math.NaN()))
	require.Empty(t, lost(json.RawMessage(`{"a": [1 ]}`), json.RawMessage(`{"a":[1]}`)))
	require.NotEmpty(t, lost(json.RawMessage(nil), json.RawMessage(`null`)))
	require.NotEmpty(t, lost(json.RawMessage(nil), json.RawMessage{}))
	var sum big.Int
	sum.Sub(big.NewInt(1<<62), big.NewInt(1<<62)) // it has room for more
	require.Empty(t, lost(sum, *big.NewInt(0)))
	require.NotEmpty(t, lost(big.NewInt(1), big.NewInt(2)))
	require.Empty(t, lost(big.NewRat(1, 2), big.NewRat(2, 4)))

	require.Empty(t, lost(price{10, "1.0"}, price{10, "1.00"}), "a form of its own, and Equal")
	require.Equal(t, "the field aggregate.person.note", lost(person{7, "a"}, person{7, "b"}), "Equal alone compares identities")
}

// price has a form of its own, and says what is equal.
type price struct {
	cents int
	text  string
}

func (p price) Equal(q price) bool           { return p.cents == q.cents }
func (p price) MarshalText() ([]byte, error) { return []byte(p.text), nil }
func (p *price) UnmarshalText([]byte) error  { return nil }

// person says which persons are the same one.
type person struct {
	ID   int
	note string
}

func (p person) Equal(q person) bool { return p.ID == q.ID }
