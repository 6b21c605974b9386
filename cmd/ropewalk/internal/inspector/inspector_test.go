package inspector

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// stub answers with next to nothing.
type stub struct {
	follow iter.Seq2[Change, error]
}

func (stub) Heads(context.Context, string, string, int) (Heads, error) { return Heads{}, nil }

func (stub) Chain(context.Context, string, string, uint64) (Chain, error) { return Chain{}, nil }

func (stub) Changeset(context.Context, string) (Changeset, error) {
	return Changeset{}, errors.New("no")
}

func (stub) Diff(context.Context, string, string) (Diff, error) { return Diff{}, nil }

func (stub) Feed(context.Context) (Feed, error) { return Feed{}, nil }

func (stub) Explain(_ context.Context, err error) Failure {
	return Failure{Status: 418, Message: Text(err.Error())}
}
func (s stub) Follow(context.Context, string, string) iter.Seq2[Change, error] { return s.follow }

const address = "127.0.0.1:4711"

// request asks a site, with what change makes of a request that it would answer.
func request(s *Site, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://"+address+path, nil)
	r.AddCookie(&http.Cookie{Name: "ropewalk-4711", Value: s.guard.secret})
	change(r)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// Each of the requests is refused for one reason alone, and with all headers.
func TestRefusals(t *testing.T) {
	s := New(stub{}, Options{Address: address})
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }
	method := func(method string) func(*http.Request) { return func(r *http.Request) { r.Method = method } }
	cookie := func(value string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("Cookie")
			if value != "" {
				r.Header.Set("Cookie", value)
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"as it should be":       {func(*http.Request) {}, 200},
		"HEAD":                  {method("HEAD"), 200},
		"localhost":             {host("localhost:4711"), 200},
		"own origin":            {set("Origin", "http://"+address), 200},
		"own page":              {set("Sec-Fetch-Site", "same-origin"), 200},
		"typed":                 {set("Sec-Fetch-Site", "none"), 200},
		"POST":                  {method("POST"), 405},
		"PUT":                   {method("PUT"), 405},
		"OPTIONS":               {method("OPTIONS"), 405},
		"CONNECT":               {method("CONNECT"), 405},
		"rebound name":          {host("evil.example:4711"), 421},
		"other port":            {host("127.0.0.1:80"), 421},
		"no port":               {host("127.0.0.1"), 421},
		"no host":               {host(""), 421},
		"other origin":          {set("Origin", "http://evil.example"), 403},
		"origin of other port":  {set("Origin", "http://127.0.0.1:80"), 403},
		"origin with TLS":       {set("Origin", "https://"+address), 403},
		"no origin":             {set("Origin", "null"), 403},
		"page of another site":  {set("Sec-Fetch-Site", "cross-site"), 403},
		"page of another port":  {set("Sec-Fetch-Site", "same-site"), 403},
		"no cookie":             {cookie(""), 403},
		"wrong cookie":          {cookie("ropewalk-4711=x"), 403},
		"cookie of other port":  {cookie("ropewalk-80=" + s.guard.secret), 403},
		"token as cookie":       {cookie("ropewalk-4711=" + s.guard.token), 403},
		"empty cookie":          {cookie("ropewalk-4711="), 403},
		"second cookie is good": {cookie("ropewalk-4711=x; ropewalk-4711=" + s.guard.secret), 200},
	} {
		for _, path := range []string{"/", "/chain?id=x", "/feed", "/live", "/diff", "/assets/style.css"} {
			w := request(s, path, c.change)
			require.Equal(t, c.status, w.Code, "%s: %s", name, path)
			requireHeaders(t, w)
		}
	}
	for path, status := range map[string]int{"/changeset": 418, "/nothing": 404, "/assets/nothing": 404, "/assets/frame.html": 404} {
		w := request(s, path, func(*http.Request) {})
		require.Equal(t, status, w.Code, path)
		requireHeaders(t, w)
	}
}

func requireHeaders(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
		"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
	} {
		require.Equal(t, want, w.Header().Get(name))
	}
	csp := w.Header().Get("Content-Security-Policy")
	require.Contains(t, csp, "default-src 'none'")
	require.Contains(t, csp, "frame-ancestors 'none'")
	require.NotContains(t, csp, "unsafe")
	require.NotContains(t, csp, "*")
	require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
}

// The token of the link is exchanged for a cookie that scripts cannot read and that no
// other site sends.
func TestTokens(t *testing.T) {
	s := New(stub{}, Options{Address: address})
	visit := func(path string, change func(*http.Request)) *httptest.ResponseRecorder {
		return request(s, path, func(r *http.Request) {
			r.Header.Del("Cookie")
			change(r)
		})
	}
	nothing := func(*http.Request) {}
	path := strings.TrimPrefix(s.Link(), "http://"+address)
	require.Regexp(t, `^/\?token=[A-Z2-7]{26}$`, path)
	for _, change := range []func(*http.Request){nothing, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }} {
		w := visit(path, change)
		require.Equal(t, http.StatusSeeOther, w.Code)
		require.Equal(t, "/", w.Header().Get("Location"))
		requireHeaders(t, w)
		c := w.Result().Cookies()
		require.Len(t, c, 1)
		require.True(t, c[0].HttpOnly)
		require.Equal(t, http.SameSiteStrictMode, c[0].SameSite)
		require.Equal(t, s.guard.secret, c[0].Value)
		require.NotEqual(t, s.guard.token, c[0].Value)
		require.Zero(t, c[0].MaxAge, "the browser forgets it at its end")
	}
	for _, wrong := range []string{"/", "/?token=", "/?token=x", path + "x", path[:len(path)-1], strings.ToLower(path), strings.Replace(path, "/?", "/chain?", 1)} {
		w := visit(wrong, nothing)
		require.Equal(t, http.StatusForbidden, w.Code, wrong)
		require.Empty(t, w.Result().Cookies())
	}
	require.Equal(t, http.StatusMisdirectedRequest, visit(path, func(r *http.Request) { r.Host = "evil.example:4711" }).Code)
	other := New(stub{}, Options{Address: address})
	require.NotEqual(t, s.Link(), other.Link())
	require.NotEqual(t, s.guard.secret, other.guard.secret)
}

// The pages are the program's own: no address of another host, nothing inline.
func TestAssetsAreSelfContained(t *testing.T) {
	entries, err := assets.ReadDir("assets")
	require.NoError(t, err)
	require.Greater(t, len(entries), 8)
	for _, e := range entries {
		text, err := assets.ReadFile("assets/" + e.Name())
		require.NoError(t, err)
		own := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")
		require.NotRegexp(t, `https?://|@import|url\(|innerHTML|insertAdjacent|document\.write|eval\(|\bon\w+="|style="|<style|javascript:`, own, e.Name())
		if path.Ext(e.Name()) == ".html" {
			require.NotRegexp(t, `<script(?: [^>]*)?>[^<]`, own, e.Name())
			continue
		}
		w := request(New(stub{}, Options{Address: address}), "/assets/"+e.Name(), func(*http.Request) {})
		require.Equal(t, http.StatusOK, w.Code)
		require.Regexp(t, `^(text/(javascript|css); charset=utf-8|image/svg\+xml)$`, w.Header().Get("Content-Type"))
	}
}

func TestTokensOfJSON(t *testing.T) {
	text := "{\n  \"a\\\"b\" : [\"x\", -1.5e3, true, null],\n  \"c\": {\"\": \"\"}\n}"
	var whole strings.Builder
	classes := map[string][]string{}
	for _, token := range tokens(text) {
		whole.WriteString(token.Text)
		classes[token.Class] = append(classes[token.Class], token.Text)
	}
	require.Equal(t, text, whole.String())
	require.Equal(t, []string{`"a\"b"`, `"c"`, `""`}, classes["name"])
	require.Equal(t, []string{`"x"`, `""`}, classes["string"])
	require.Equal(t, []string{"-1.5e3"}, classes["number"])
	require.Equal(t, []string{"true", "null"}, classes["word"])
}

// A browser that never reads what it has asked for does not hold the end up.
func TestServeEndsWhileABrowserDoesNotRead(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l, err := Listen(ctx, "127.0.0.1:0")
	require.NoError(t, err)
	site := New(nil, Options{Address: l.Addr().String()})
	written, big := make(chan struct{}, 1), strings.Repeat("x", 1<<20)
	site.source = stub{follow: func(yield func(Change, error) bool) {
		for yield(Change{Ref: "a@0", Type: base64.StdEncoding.EncodeToString([]byte(big))}, nil) {
			select {
			case written <- struct{}{}:
			default:
			}
		}
	}}
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, site) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /changes HTTP/1.1\r\nHost: "+l.Addr().String()+"\r\nCookie: "+site.guard.cookie()+"="+site.guard.secret+"\r\n\r\n")
	require.NoError(t, err)
	<-written
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// A stream that fails says why, and stays open until the browser closes it.
func TestStreamsSayWhyTheyEnd(t *testing.T) {
	s := New(stub{follow: func(yield func(Change, error) bool) {
		_ = yield(Change{Aggregate: "a", Ref: "a@1", Position: "p1", Erased: true, Type: "erased"}, nil) && yield(Change{}, errors.New("gone\nid: forged"))
	}}, Options{Address: address})
	ctx, cancel := context.WithCancel(t.Context())
	pipe, w := io.Pipe()
	go func() {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/changes", nil)
		r.AddCookie(&http.Cookie{Name: "ropewalk-4711", Value: s.guard.secret})
		s.ServeHTTP(piped{httptest.NewRecorder(), w}, r)
		_ = w.Close()
	}()
	var got strings.Builder
	buffer := make([]byte, 1000)
	for !strings.Contains(got.String(), "event: failed") {
		n, err := pipe.Read(buffer)
		require.NoError(t, err)
		got.Write(buffer[:n])
	}
	cancel()
	rest, err := io.ReadAll(pipe)
	require.NoError(t, err)
	got.Write(rest)
	require.Equal(t, ": follows\n\n"+
		"event: change\ndata: {\"href\":\"/chain?id=a\",\"ref\":\"a@1\",\"recorded\":\"\",\"size\":\"\",\"type\":\"erased\"}\nid: p1\n\n"+
		"event: failed\ndata: \"gone\\\\u000aid: forged\"\n\n", got.String())
}

// piped is an answer that is read as it is written.
type piped struct {
	*httptest.ResponseRecorder
	io.Writer
}

func (p piped) Write(text []byte) (int, error) { return p.Writer.Write(text) }

// A text is cut, and nothing in it is hidden.
func TestText(t *testing.T) {
	require.Equal(t, `a\u202eb\u000a`, Text("a\u202eb\n").String())
	require.Regexp(t, regexp.MustCompile(`^x{1000}…$`), Text(strings.Repeat("x", 2000)).String())
	require.Equal(t, "/chain?id=a%26b%22%E2%80%AE", string(link("/chain", "id", "a&b\"\u202e", "n", "").URL()))
}
