package difference

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestJSONByPath(t *testing.T) {
	for _, test := range []struct {
		name, from, to string
		want           []Change
	}{
		{"equal", `{"a":1,"b":[1,2]}`, ` { "b" : [ 1, 2 ], "a" : 1 }`, nil},
		{"a field", `{"a":1,"b":"x","c":null}`, `{"a":2,"b":"x","d":"<é>"}`, changes("/a", `1`, `2`, "/c", `null`, ``, "/d", ``, `"<é>"`)},
		{"null is not missing", `{"a":null}`, `{}`, changes("/a", `null`, ``)},
		{"deep", `{"a":{"b":[{"c":true}]}}`, `{"a":{"b":[{"c":false},7]}}`, changes("/a/b/0/c", `true`, `false`, "/a/b/1", ``, `7`)},
		{"another type", `{"a":[1]}`, `{"a":{"0":1}}`, changes("/a", `[1]`, `{"0":1}`)},
		{"a scalar to an object", `{"a":1}`, `{"a":{}}`, changes("/a", `1`, `{}`)},
		{"the whole", `1`, `"1"`, changes("", `1`, `"1"`)},
		{"exact numbers", `{"a":9007199254740993}`, `{"a":9007199254740992}`, changes("/a", `9007199254740993`, `9007199254740992`)},
		{"odd names", `{"a/b~":1,"":2}`, `{}`, changes("/", `2`, ``, "/a~1b~0", `1`, ``)},
		{"lines", "{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}\n\n{\"a\":3}\n", changes("/1/a", `2`, `3`)},
		{"more lines", "{\"a\":1}\n", "{\"a\":1}\n{}\n", changes("/1", ``, `{}`)},
	} {
		got, ok := JSON([]byte(test.from), []byte(test.to))
		require.True(t, ok, test.name)
		require.Equal(t, test.want, got, test.name)
	}
	for _, text := range []string{"", "text", "{}\ntext\n", "\xff"} {
		_, ok := JSON([]byte(text), []byte("{}"))
		require.False(t, ok, "%q", text)
		_, ok = JSON([]byte("{}"), []byte(text))
		require.False(t, ok, "%q", text)
	}
}

// changes returns differences, each as path, from and to; empty is missing.
func changes(texts ...string) (all []Change) {
	value := func(text string) json.RawMessage {
		if text == "" {
			return nil
		}
		return json.RawMessage(text)
	}
	for i := 0; i < len(texts); i += 3 {
		all = append(all, Change{texts[i], value(texts[i+1]), value(texts[i+2])})
	}
	return all
}

// Contents have no differences exactly if they are equal values, and the other
// direction has the same differences.
func TestJSONProperties(t *testing.T) {
	values := rapid.Deferred(func() *rapid.Generator[any] { return anyValue(3) })
	rapid.Check(t, func(t *rapid.T) {
		a, b := values.Draw(t, "a"), values.Draw(t, "b")
		from, to := raw(a), raw(b)
		there, ok := JSON(from, to)
		require.True(t, ok)
		require.Equal(t, string(from) == string(to), len(there) == 0)
		back, _ := JSON(to, from)
		require.Len(t, back, len(there))
		for i, c := range back {
			require.Equal(t, there[i], Change{c.Path, c.To, c.From})
		}
	})
}

func anyValue(depth int) *rapid.Generator[any] {
	all := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.IntRange(0, 3).AsAny(), rapid.SampledFrom([]string{"", "x", "/"}).AsAny(),
	}
	if depth > 0 {
		inner := anyValue(depth - 1)
		all = append(all, rapid.SliceOfN(inner, 0, 3).AsAny(), rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "/", "~"}), inner, 0, 3).AsAny())
	}
	return rapid.OneOf(all...)
}

func TestText(t *testing.T) {
	require.Equal(t, "--- x\n+++ y\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n", Text("x", []byte("one\ntwo\n"), "y", []byte("one\nthree\n")))
	require.Empty(t, Text("x", []byte("one\n"), "y", []byte("one\n")))
	require.Contains(t, Text("x", []byte("a"), "y", []byte("b")), `\ No newline at end of file`)
}
