package webhook_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/publish/webhook"
)

var sentAt = time.Unix(1614265330, 0)

// published is the request whose signature the libraries of Standard Webhooks are
// tested with.
func published() (http.Header, []byte) {
	return http.Header{
		webhook.HeaderID:        {"msg_p5jXN8AQM9LWM0D4loKWxJek"},
		webhook.HeaderTimestamp: {"1614265330"},
		webhook.HeaderSignature: {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}, []byte(`{"test": 2432232314}`)
}

func verifierAt(age time.Duration) webhook.Verifier {
	return webhook.Verifier{Secrets: []webhook.Secret{secret}, Now: func() time.Time { return sentAt.Add(age) }}
}

func TestVerifiesWhatStandardWebhooksSigns(t *testing.T) {
	header, body := published()
	id, err := verifierAt(0).Verify(header, body)
	require.NoError(t, err)
	require.Equal(t, "msg_p5jXN8AQM9LWM0D4loKWxJek", id)
}

func TestBadSignatures(t *testing.T) {
	const good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	raw := strings.TrimPrefix(good, "v1,")
	set := func(name string, values ...string) func(http.Header) {
		return func(h http.Header) { h[name] = values }
	}
	for name, change := range map[string]func(http.Header){
		"no signature":                   set(webhook.HeaderSignature),
		"an empty signature":             set(webhook.HeaderSignature, ""),
		"another signature":              set(webhook.HeaderSignature, "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="),
		"a signature without version":    set(webhook.HeaderSignature, raw),
		"a signature of another version": set(webhook.HeaderSignature, "v1a,"+raw),
		"half a signature":               set(webhook.HeaderSignature, good[:20]),
		"an empty HMAC":                  set(webhook.HeaderSignature, "v1,"),
		"hexadecimal":                    set(webhook.HeaderSignature, "v1,8348"),
		"no ID":                          set(webhook.HeaderID),
		"another ID":                     set(webhook.HeaderID, "msg_p5jXN8AQM9LWM0D4loKWxJeK"),
		"two IDs":                        set(webhook.HeaderID, "msg_p5jXN8AQM9LWM0D4loKWxJek", "x"),
		"no time":                        set(webhook.HeaderTimestamp),
		"a later time":                   set(webhook.HeaderTimestamp, "1614265331"),
		"two times":                      set(webhook.HeaderTimestamp, "1614265330", "1614265331"),
		"a signed time":                  set(webhook.HeaderTimestamp, "+1614265330"),
		"a padded time":                  set(webhook.HeaderTimestamp, " 1614265330"),
		"a time with zeros":              set(webhook.HeaderTimestamp, "01614265330"),
		"a fraction":                     set(webhook.HeaderTimestamp, "1614265330.0"),
		"a huge time":                    set(webhook.HeaderTimestamp, "99999999999999999999"),
	} {
		header, body := published()
		change(header)
		id, err := verifierAt(0).Verify(header, body)
		require.ErrorIs(t, err, webhook.ErrSignature, name)
		require.Empty(t, id, name)
	}
	header, body := published()
	_, err := verifierAt(0).Verify(header, append(body, ' '))
	require.ErrorIs(t, err, webhook.ErrSignature)
	_, err = verifierAt(0).Verify(nil, nil)
	require.ErrorIs(t, err, webhook.ErrSignature)
}

// An ID with a dot could move the border between ID, time and body.
func TestAnotherBorderIsNotVerified(t *testing.T) {
	m := always(200)
	e := placed()
	require.NoError(t, e.SetData("application/json", 1))
	require.NoError(t, sender(t, m, webhook.Options{}).Send(t.Context(), e))
	r := m.all()[0]
	moved := fmt.Sprintf("%s.%s", r.id(), r.header.Get(webhook.HeaderTimestamp))
	header := r.header.Clone()
	header.Set(webhook.HeaderID, moved)
	head, tail, _ := strings.Cut(string(r.body), ".")
	_, err := strconv.Atoi(head)
	require.Error(t, err, "a body that begins with a number would be another border")
	_, err = webhook.Verifier{Secrets: []webhook.Secret{secret}}.Verify(header, []byte(tail))
	require.ErrorIs(t, err, webhook.ErrSignature)
	require.ErrorContains(t, err, "not one ID")
}

func TestReplayedRequestsAreStale(t *testing.T) {
	header, body := published()
	for age, want := range map[time.Duration]error{
		0:                            nil,
		5 * time.Minute:              nil,
		5*time.Minute + time.Second:  webhook.ErrStale,
		time.Hour:                    webhook.ErrStale,
		-5 * time.Minute:             nil,
		-5*time.Minute - time.Second: webhook.ErrStale,
		100 * 365 * 24 * time.Hour:   webhook.ErrStale,
	} {
		_, err := verifierAt(age).Verify(header, body)
		require.ErrorIs(t, err, want, age)
	}
	v := verifierAt(time.Hour)
	v.Tolerance = 2 * time.Hour
	_, err := v.Verify(header, body)
	require.NoError(t, err)

	header.Set(webhook.HeaderSignature, "v1,AAAA")
	_, err = verifierAt(time.Hour).Verify(header, body)
	require.ErrorIs(t, err, webhook.ErrSignature, "the time of a request without signature means nothing")
}

// A request of far in the past or in the future is stale, although the difference
// between such times overflows.
func TestTimesFarAwayAreStale(t *testing.T) {
	for _, unix := range []int64{-1 << 63, -62135596800, 0, 1 << 40, 1<<63 - 1} {
		body := []byte("{}")
		header := http.Header{
			webhook.HeaderID:        {"a"},
			webhook.HeaderTimestamp: {fmt.Sprint(unix)},
			webhook.HeaderSignature: {signature(secret, "a", unix, body)},
		}
		_, err := verifierAt(0).Verify(header, body)
		require.ErrorIs(t, err, webhook.ErrStale, unix)
	}
}

func signature(s webhook.Secret, id string, unix int64, body []byte) string {
	return "v1," + base64.StdEncoding.EncodeToString(webhook.Sign(s, id, unix, body))
}

// The sender signs with the new and the old secret, so that the receiver may change
// at any time; a receiver may know both, so that the sender may change at any time.
func TestSecretsRotate(t *testing.T) {
	first, second, third := newSecret, webhook.NewSecret(), webhook.NewSecret()
	for name, test := range map[string]struct {
		signs, knows []webhook.Secret
		valid        bool
	}{
		"one":                   {[]webhook.Secret{first}, []webhook.Secret{first}, true},
		"two, the first":        {[]webhook.Secret{first, second}, []webhook.Secret{first}, true},
		"two, the second":       {[]webhook.Secret{first, second}, []webhook.Secret{second}, true},
		"the receiver has both": {[]webhook.Secret{second}, []webhook.Secret{first, second}, true},
		"another":               {[]webhook.Secret{first, second}, []webhook.Secret{third}, false},
		"none":                  {[]webhook.Secret{first}, nil, false},
		"after the rotation":    {[]webhook.Secret{second}, []webhook.Secret{first}, false},
	} {
		m := always(200)
		s, err := webhook.New(receiverURL, test.signs, &webhook.Options{Transport: m})
		require.NoError(t, err)
		require.NoError(t, s.Send(t.Context(), placed()))
		r := m.all()[0]
		id, err := webhook.Verifier{Secrets: test.knows}.Verify(r.header, r.body)
		require.Equal(t, test.valid, err == nil, name)
		require.Equal(t, test.valid, id == "0199-0", name)
	}
}

// The HMAC of the zero Secret has a key that anybody can compute.
func TestTheZeroSecretVerifiesNothing(t *testing.T) {
	body := []byte("{}")
	header := http.Header{
		webhook.HeaderID:        {"a"},
		webhook.HeaderTimestamp: {fmt.Sprint(sentAt.Unix())},
		webhook.HeaderSignature: {signature(webhook.Secret{}, "a", sentAt.Unix(), body)},
	}
	v := verifierAt(0)
	v.Secrets = []webhook.Secret{{}}
	_, err := v.Verify(header, body)
	require.ErrorIs(t, err, webhook.ErrSignature)
}

// A request with one changed byte is not valid.
func TestChangedRequestsAreNotValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		header, body := published()
		part := rapid.SampledFrom([]string{webhook.HeaderID, webhook.HeaderTimestamp, "body"}).Draw(t, "part")
		text := body
		if part != "body" {
			text = []byte(header.Get(part))
		}
		i := rapid.IntRange(0, len(text)-1).Draw(t, "place")
		text[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		if part != "body" {
			header[part] = []string{string(text)}
		}
		_, err := verifierAt(0).Verify(header, body)
		require.ErrorIs(t, err, webhook.ErrSignature)
	})
}

func TestSecretsHaveATextThatTheyDoNotShow(t *testing.T) {
	s := webhook.NewSecret()
	require.NotEqual(t, s, webhook.NewSecret())
	text := s.Reveal()
	require.Regexp(t, `^whsec_[A-Za-z0-9+/]{43}=$`, text)
	for _, form := range []string{text, strings.TrimPrefix(text, "whsec_")} {
		parsed, err := webhook.ParseSecret(form)
		require.NoError(t, err)
		require.Equal(t, s, parsed)
	}
	encoded, err := json.Marshal(map[string]any{"secret": s})
	require.NoError(t, err)
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %q", s, s, s, s), string(encoded)} {
		require.NotContains(t, shown, text[6:])
		require.Contains(t, shown, "whsec_…")
	}
	for _, wrong := range []string{"", "whsec_", "hidden!", "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 23)), base64.StdEncoding.EncodeToString(make([]byte, 65))} {
		_, err := webhook.ParseSecret(wrong)
		require.Error(t, err, wrong)
		require.NotContains(t, err.Error(), "hidden")
	}
}
