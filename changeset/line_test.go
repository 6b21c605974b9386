package changeset_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// goodLines are texts that are lines after the parent.
func goodLines(t testing.TB) []string {
	t.Helper()
	all := linesOf(sealedLines(t, before))
	first := linesOf(sealedLines(t, changeset.Header{Ref: changeset.Ref{AggregateID: "order/4711"}}))
	good := []string{all, first}
	for _, value := range []string{
		`null`, `true`, `false`, `0`, `-0`, `-1.50e+07`, `1E400`, `""`, `"é\"\\\b\f\n\r\t\u0000\u001f"`, "\"<>&/\u007f\u2028\"", `[]`, `{}`,
		`[1,"a",[null,{}]]`, `{"b":{"content":"x"},"":1,"b":[]}`, strings.Repeat("[", 16) + strings.Repeat("]", 16), strings.Repeat(`{"a":`, 15) + "[]" + strings.Repeat("}", 15),
	} {
		good = append(good, withFields(all, value))
	}
	return good
}

// withFields adds fields of a later version to each line: at the beginning of the
// header, in the middle, and at the end.
func withFields(lines, value string) string {
	return strings.NewReplacer(
		`{"after-revision"`, `{"a":`+value+`,"after-revision"`, `,"recorded-at"`, `,"kind-2":`+value+`,"recorded-at"`,
		`,"content":"`, `,"z":`+value+`,"content":"`, `,"content-base64":"`, `,"z":`+value+`,"content-base64":"`,
	).Replace(lines)
}

// badLines are texts that are not lines, each by one change.
func badLines(t testing.TB) map[string]string {
	t.Helper()
	all := sealedLines(t, before)
	full := linesOf(all[:2])
	bad := map[string]string{"nothing": "", "a line end": "\n", "half a line": full[:len(full)/3]}
	replace := func(what, old, by string) {
		require.Contains(t, full, old, what)
		bad[what] = strings.Replace(full, old, by, 1)
	}
	for what, change := range map[string][2]string{
		"no end":                        {"\"}\n{", `"}{`},
		"another line end":              {"\"}\n{", "\"}\r\n{"},
		"an empty line":                 {"\"}\n{", "\"}\n\n{"},
		"a space after the line":        {"\"}\n{", "\"} \n{"},
		"a space after a key":           {`"version":`, `"version": `},
		"a space after a comma":         {`,"version"`, `, "version"`},
		"a space before the line":       {`{"after`, ` {"after`},
		"an array":                      {`{"after`, `["after`},
		"a key with an escape":          {`"version"`, `"v\u0065rsion"`},
		"a key in upper case":           {`"content":"{`, `"Zone":1,"content":"{`},
		"a key that begins upper case":  {`{"after`, `{"A":1,"after`},
		"a key with an underscore":      {`,"content":"{`, `,"z_1":1,"content":"{`},
		"a key that is not ASCII":       {`,"content":"{`, `,"zé":1,"content":"{`},
		"a key that is empty":           {`{"after`, `{"":1,"after`},
		"a key that is not a string":    {`{"after`, `{1:1,"after`},
		"a key that is cut off":         {full, `{"after-revision`},
		"a key without a value":         {full, `{"after-revision":`},
		"keys in another order":         {`"user"`, `"b":1,"user"`},
		"a repeated key":                {`,"version":43`, `,"version":43,"version":43`},
		"a repeated unknown key":        {`,"content":"{`, `,"z":1,"z":1,"content":"{`},
		"a key after the content":       {"\\\"}\"}\n", "\\\"}\",\"z\":1}\n"},
		"content twice":                 {`,"content":"{`, `,"content":"","content":"{`},
		"content of both kinds":         {`,"content":"{`, `,"content-base64":"/w==","content":"{`},
		"content before a field":        {`,"version":43`, `,"content":"","version":43`},
		"no content":                    {`,"content":""`, ``},
		"nothing but content":           {full, "{\"content\":\"\"}\n"},
		"content that is a number":      {`"content":""`, `"content":1`},
		"content that is null":          {`"content":""`, `"content":null`},
		"content in base64 that is not": {`"content":"{`, `"content-base64":"{`},
		"text in base64":                {`"content":""`, `"content-base64":"YQ=="`},
		"nothing in base64":             {`"content":""`, `"content-base64":""`},
		"base64 without padding":        {`"content":""`, `"content-base64":"/w"`},
		"base64 with stray bits":        {`"content":""`, `"content-base64":"/x=="`},
		"base64 for URLs":               {`"content":""`, `"content-base64":"_w=="`},
		"base64 with a line end":        {`"content":""`, `"content-base64":"/w==\n"`},
		"base64 with an escape":         {`"content":""`, `"content-base64":"\u002fw=="`},
		"content that is not UTF-8":     {`"content":"{`, "\"content\":\"\xff{"},
		"half a character":              {`"content":"{`, "\"content\":\"\xc3{"},
		"a surrogate as an escape":      {`"content":"{`, `"content":"\ud800{`},
		"a surrogate in UTF-8":          {`"content":"{`, "\"content\":\"\xed\xa0\x80{"},
		"an escape without need":        {`"content":"{`, `"content":"\u007b`},
		"an escaped slash":              {`"content":"{`, `"content":"\/{`},
		"a long escape":                 {`"content":"{`, `"content":"\u000a{`},
		"an escape in upper case":       {`"content":"{`, `"content":"\u001F{`},
		"an escape that is cut off":     {full, full[:strings.Index(full, `\"`)+1]},
		"a long escape, cut off":        {full, full[:strings.Index(full, `\"`)] + `\u00`},
		"a raw control character":       {`"content":"{`, "\"content\":\"\t{"},
		"a raw zero":                    {`"content":"{`, "\"content\":\"\x00{"},
		"no revision":                   {`"after-revision":43,`, ``},
		"a revision as a text":          {`"after-revision":43`, `"after-revision":"43"`},
		"a revision of 65 bits":         {`"after-revision":43`, `"after-revision":18446744073709551616`},
		"a revision with a zero":        {`"after-revision":43`, `"after-revision":043`},
		"a revision with a fraction":    {`"after-revision":43`, `"after-revision":43.0`},
		"a revision with an exponent":   {`"after-revision":43`, `"after-revision":43e0`},
		"a revision below zero":         {`"after-revision":43`, `"after-revision":-43`},
		"a revision that is null":       {`"after-revision":43`, `"after-revision":null`},
		"no version":                    {`,"version":42`, ``},
		"another version":               {`,"version":42`, `,"version":43`},
		"a version of format 1":         {`,"version":42`, `,"version":"42"`},
		"no ID":                         {`,"id":"` + id(42).String() + `"`, ``},
		"an ID of zeros":                {id(42).String(), strings.Repeat("0", 8) + "-0000-0000-0000-000000000000"},
		"an ID in upper case":           {id(42).String(), strings.ToUpper(id(42).String())},
		"an ID without hyphens":         {id(42).String(), strings.ReplaceAll(id(42).String(), "-", "")},
		"an ID that is null":            {`"id":"` + id(42).String() + `"`, `"id":null`},
		"no time":                       {`,"recorded-at":"2026-11-21T00:31:02.000000000Z"`, ``},
		"a time with eight decimals":    {`02.000000000Z`, `02.00000000Z`},
		"a time of another zone":        {`02.000000000Z`, `02.000000000+`},
		"a day too many":                {`2026-11-21T00:31:02`, `2026-11-31T00:31:02`},
		"hour 24":                       {`2026-11-21T00:31:02`, `2026-11-21T24:31:02`},
		"second 60":                     {`2026-11-21T00:31:02`, `2026-11-21T00:31:60`},
		"month 0":                       {`2026-11-21T00:31:02`, `2026-00-21T00:31:02`},
		"the default content type":      {`,"id"`, `,"content-type":"application/octet-stream","id"`},
		"an empty content type":         {`,"id"`, `,"content-type":"","id"`},
		"a content type with a space":   {`,"id"`, `,"content-type":"text/plain ","id"`},
		"a content type of no ASCII":    {`,"id"`, `,"content-type":"tüxt","id"`},
		"a content type with a tab":     {`,"id"`, `,"content-type":"text\t","id"`},
		"a content type of 129 bytes":   {`,"id"`, `,"content-type":"` + strings.Repeat("t", 129) + `","id"`},
		"a content type as a number":    {`,"id"`, `,"content-type":1,"id"`},
		"an empty command ID":           {`,"id"`, `,"command-id":"","id"`},
		"a command ID as it is":         {`cmd%201`, `cmd 1`},
		"a command ID in lower case":    {`cmd%201`, `cmd%c3%a9`},
		"a command ID of no UTF-8":      {`cmd%201`, `cmd%FF`},
		"a command ID of 65 bytes":      {`cmd%201`, strings.Repeat("c", 65)},
		"part 0 of 0":                   {`,"id"`, `,"append":"0/0","id"`},
		"part 1 of 1":                   {`,"id"`, `,"append":"1/1","id"`},
		"part 3 of 2":                   {`,"id"`, `,"append":"3/2","id"`},
		"part 1 of 257":                 {`,"id"`, `,"append":"1/257","id"`},
		"a part with a zero":            {`,"id"`, `,"append":"01/2","id"`},
		"a part of one number":          {`,"id"`, `,"append":"1","id"`},
		"an append in the middle":       {`,"id"`, `,"append":"1/2","id"`},
		"user without an end":           {`Z=&`, `Z=&&`},
		"user not sorted":               {`Z=&a%20key=a%3Db%26c`, `a%20key=a%3Db%26c&Z=`},
		"user with a key twice":         {`Z=&`, `Z=&Z=&`},
		"user without a key":            {`Z=&`, `=&Z=&`},
		"user of no UTF-8":              {`Z=&`, `Z=%FF&`},
		"user of 193 bytes":             {`Z=&`, `Z=` + strings.Repeat("z", 193-len("Z=&a%20key=a%3Db%26c&trace=00-4bf9")) + `&`},
		"an empty user":                 {`,"version":42`, `,"user":"","version":42`},
		"a revision below the parent's": {`"after-revision":44`, `"after-revision":43`},
		"a time before the parent's":    {`00:31:07.123456789Z`, `00:31:01.123456789Z`},
	} {
		replace(what, change[0], change[1])
	}
	for _, value := range []string{
		``, ` 1`, `1 `, `01`, `-`, `+1`, `.5`, `1.`, `1e`, `1e+`, `0x1`, `NaN`, `nul`, `True`, `'a'`, `"\x"`, `"\u0041"`, `"\/"`, "\"\t\"", "\"\n\"", "\"\xff\"", `"`, `[`, `[1`, `[1,`, `[1,]`,
		`[1 ]`, `[,]`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{"a" :1}`, `{"a",1}`, `{1:1}`, `{"\u0061":1}`, `[}`, `{]`, `1]`,
		strings.Repeat("[", 17) + strings.Repeat("]", 17), strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17),
	} {
		bad["value "+value[:min(len(value), 20)]] = withFields(full, value)
	}
	return bad
}

func TestLinesAreDecoded(t *testing.T) {
	all := sealedLines(t, before)
	require.Equal(t, all, requireSame(t, before, []byte(linesOf(all))))
	for _, text := range goodLines(t) {
		parent := before
		if strings.Contains(text, `"version":0,`) {
			parent = changeset.Header{Ref: changeset.Ref{AggregateID: "order/4711"}}
		}
		require.Len(t, requireSame(t, parent, []byte(text)), 5, text)
	}
}

// TestLinesAreJSON reads lines by package json, as other tools read them.
func TestLinesAreJSON(t *testing.T) {
	all := sealedLines(t, before)
	dec := json.NewDecoder(strings.NewReader(linesOf(all)))
	for _, c := range all {
		var line struct {
			Version uint64
			Content *string
			Binary  []byte `json:"content-base64"`
		}
		require.NoError(t, dec.Decode(&line))
		require.Equal(t, c.Version, line.Version)
		if line.Content != nil {
			line.Binary = []byte(*line.Content)
		}
		require.Equal(t, string(c.Content), string(line.Binary))
	}
	require.False(t, dec.More())
}

func TestWhatIsNotALineIsNamed(t *testing.T) {
	for what, text := range badLines(t) {
		require.Nil(t, requireSame(t, before, []byte(text)), "%s: %s", what, text)
		_, err := changeset.DecodeLines(before, []byte(text))
		require.NotContains(t, err.Error(), "%!", what)
		if text != "" {
			require.ErrorContains(t, err, "corrupt: head of order/4711: line of version 4", what)
		}
	}
}

// TestFieldsOfLaterVersionsAreProved holds that a later version may add fields: they
// stay in the text, and the digest covers them.
func TestFieldsOfLaterVersionsAreProved(t *testing.T) {
	plain := sealedLines(t, before)
	text := withFields(linesOf(plain), `{"z":[1e3,"\u0000"],"a":null}`)
	all, err := changeset.DecodeLines(before, []byte(text))
	require.NoError(t, err)
	parent := before
	for i, c := range all {
		require.Equal(t, plain[i].Content, c.Content)
		require.NotEqual(t, plain[i].Digest, c.Digest)
		require.NoError(t, c.Verify(parent.Digest))
		parent = c.Header
	}
	require.Equal(t, text, linesOf(all))
	other, err := changeset.DecodeLines(before, []byte(strings.Replace(text, "1e3", "1E3", 1)))
	require.NoError(t, err)
	require.NotEqual(t, all[0].Digest, other[0].Digest)
}

// TestContentsDoNotOverlap holds that contents stay as they are when a caller appends to
// one, whether they stand in the text or had to be decoded.
func TestContentsDoNotOverlap(t *testing.T) {
	all, err := changeset.DecodeLines(before, []byte(linesOf(sealedLines(t, before))))
	require.NoError(t, err)
	for _, c := range all {
		_ = append(c.Content, "xxxxxxxx"...)
	}
	for _, c := range all {
		require.NoError(t, c.VerifyBody())
	}
}

func TestEncodedLinesAreForLaterVersions(t *testing.T) {
	text := linesOf(sealedLines(t, before)[:1])
	text = strings.Replace(text, `,"id"`, `,"encoding":"br","id"`, 1)
	require.Nil(t, requireSame(t, before, []byte(text)))
	_, err := changeset.DecodeLines(before, []byte(text))
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
	require.EqualError(t, err, `line of version 42: unsupported format: content encoding "br"`)
	object := changeset.NewPack(id(1000), math.MaxUint64, changeset.ObjectIndexAt(42), before, sealedLines(t, before)[0].Header, []byte(text))
	_, err = changeset.Unpack(object, object.Body)
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
	require.ErrorContains(t, err, object.Ref.String())
}

// TestEveryFlipOfALineIsNoticed changes each byte of the lines in each bit, and to each
// byte of the syntax: the text is refused, or the digest is another one.
func TestEveryFlipOfALineIsNoticed(t *testing.T) {
	all := sealedLines(t, before)
	digest := all[len(all)-1].Digest
	flipEach([]byte(linesOf(all)), func(text []byte, at int) {
		decoded, err := changeset.DecodeLines(before, text)
		if err == nil && decoded[len(decoded)-1].Digest == digest {
			t.Fatalf("byte %d: a change passes: %s", at, text)
		}
	})
}

// flipEach calls f with the text and each byte of it changed.
func flipEach(text []byte, f func(text []byte, at int)) {
	for at, was := range text {
		others := []byte("\"\\{}[]:,/0aZ \n\x00\xff")
		for bit := range 8 {
			others = append(others, was^1<<bit)
		}
		for _, other := range others {
			if text[at] = other; other != was {
				f(text, at)
			}
		}
		text[at] = was
	}
}

func TestSealRefusesWhatIsNotALine(t *testing.T) {
	_, err := changeset.Seal(changeset.Changeset{Header: changeset.Header{Ref: changeset.Ref{AggregateID: "a", ID: id(0)}}}, changeset.Header{})
	require.ErrorContains(t, err, "content type")
}
