package ui

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Foreign text writes no more than characters, and begins no line; JSON has the
// escapes of JSON.
func TestOutputIsEscaped(t *testing.T) {
	var out, errs strings.Builder
	s := NewStreams(nil, &out, &errs, nil)
	s.Guard(t.Context())
	require.NoError(t, s.Print("%s %d\n", "a\x1b[2J\nb\u202e", 7))
	require.Equal(t, `a\u001b[2J\u000ab\u202e 7`+"\n", out.String())
	out.Reset()
	require.NoError(t, s.Emit(struct {
		Kind
		Text string `json:"text"`
	}{KindOf("test"), "<a>\u202e"}))
	require.Equal(t, `{"v":1,"kind":"test","text":"<a>\u202e"}`+"\n", out.String())
	out.Reset()
	_, err := Raw(s.Out).Write([]byte("\x1b"))
	require.NoError(t, err)
	require.Equal(t, "\x1b", out.String())
	s.Warn("%s", "a\nb")
	require.Equal(t, "warning: a; b\n", errs.String())
}

// Messages are redacted; the results of a command are not.
func TestMessagesAreRedacted(t *testing.T) {
	var out, errs strings.Builder
	s := NewStreams(nil, &out, &errs, nil)
	s.Redact = func(text string) string { return strings.ReplaceAll(text, "secret", "***") }
	require.Equal(t, "no *** here; at all", s.Message(errors.New("no secret here\n at all")))
	s.Warn("a %s", "secret")
	require.NoError(t, s.Print("a secret"))
	require.Equal(t, "warning: a ***\n", errs.String())
	require.Equal(t, "a secret", out.String())
}

func TestShortIDsAreForTerminals(t *testing.T) {
	s := NewStreams(nil, nil, nil, nil)
	require.Equal(t, "0123456789", s.ShortID("0123456789"))
	require.Equal(t, "0123456789", s.ShortDigest("0123456789"))
	s.IsTerminal = func(any) bool { return true }
	require.Equal(t, "…23456789", s.ShortID("0123456789"))
	require.Equal(t, "0123…", s.ShortDigest("0123456789"))
}
