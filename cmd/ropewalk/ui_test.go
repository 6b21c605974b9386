package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/inspector"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/faults"
)

// uiVisit is a browser that has opened the link of an inspector.
type uiVisit struct {
	*testing.T
	site    *inspector.Site
	cookies []*http.Cookie
}

const uiAddress = "127.0.0.1:4711"

func visitUI(t *testing.T, s *store) *uiVisit {
	t.Helper()
	v := &uiVisit{T: t, site: inspector.New(&uiSource{s, ui.NewStreams(nil, io.Discard, io.Discard, nil), "test:"}, inspector.Options{Store: "test:", Address: uiAddress})}
	link, err := url.Parse(v.site.Link())
	require.NoError(t, err)
	answer := v.get(link.RequestURI())
	require.Equal(t, http.StatusSeeOther, answer.Code)
	v.cookies = answer.Result().Cookies()
	return v
}

func (v *uiVisit) get(path string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(v.Context(), http.MethodGet, "http://"+uiAddress+path, nil)
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	v.site.ServeHTTP(w, r)
	return w
}

// page returns the text of a page as a person reads it.
func (v *uiVisit) page(path string, pairs ...string) string {
	v.Helper()
	w := v.get(withQuery(path, pairs...))
	require.Equal(v, http.StatusOK, w.Code, w.Body)
	return readable(w.Body.String())
}

func withQuery(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return path + "?" + q.Encode()
}

var (
	fieldValues = regexp.MustCompile(`<input[^>]* value="[^"]*"`)
	htmlTags    = regexp.MustCompile(`<[^>]*>`)
	rowBreaks   = regexp.MustCompile(`\s+`)
)

func readable(page string) string {
	return rowBreaks.ReplaceAllString(html.UnescapeString(htmlTags.ReplaceAllString(page, " ")), " ")
}

// uiStores are stores of every kind that a test can have without a server.
func uiStores(t *testing.T) map[string]*store {
	stores := map[string]*store{"memory": newTestPlace().store(t)}
	bare := newTestPlace()
	bare.bare = true
	stores["without a log"] = bare.store(t)
	stores["packed"] = newTestPlace().store(t).with(ropewalk.Options{Packed: true, TipSize: 4096})
	a := newCommand(strings.NewReader(""), io.Discard, io.Discard, nil)
	s, err := a.open(t.Context(), "file:"+filepath.Join(t.TempDir(), "ropewalk.db"), true)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.close()) })
	stores["SQLite"] = s
	return stores
}

// fill appends versions to an aggregate.
func fillUI(t *testing.T, s *store, id string, contents ...string) (refs []string) {
	t.Helper()
	for _, content := range contents {
		h, err := s.Chain(id).Head(t.Context())
		if err != nil {
			require.ErrorIs(t, err, ropewalk.ErrNotFound)
		}
		h, err = s.Chain(id).Append(t.Context(), h, changeset.Draft{Content: []byte(content), ContentType: "application/json", Metadata: map[string]string{"by": "ann"}})
		require.NoError(t, err)
		refs = append(refs, h.Ref.String())
	}
	return refs
}

// Every page shows what the command of its name prints, whatever the storage.
func TestUIPages(t *testing.T) {
	for name, s := range uiStores(t) {
		t.Run(name, func(t *testing.T) {
			var contents []string
			for n := range 40 {
				contents = append(contents, fmt.Sprintf(`{"amount":%d}`, n))
			}
			refs := fillUI(t, s, "order-1", contents...)
			fillUI(t, s, "order-2", `{}`)
			fillUI(t, s, "parcel", `{}`)
			v := visitUI(t, s)

			list := v.page("/")
			for _, id := range []string{"order-1", "order-2", "parcel"} {
				require.Contains(t, list, id)
			}
			require.NotContains(t, list, "$")
			list = v.page("/", "prefix", "order-")
			require.Contains(t, list, "2 on this page")
			require.NotContains(t, list, "parcel")

			chain := v.page("/chain", "id", "order-1", "n", "5")
			require.Contains(t, chain, "version 39")
			require.Contains(t, chain, "35 older versions")
			require.Regexp(t, ` 39 …\w+ [\d-]+ [\d:]+Z \d+B head by=ann `, chain)

			page := v.page("/changeset", "ref", refs[38])
			require.Contains(t, page, refs[37])
			require.Contains(t, page, `{ "amount" : 38 }`)
			require.Contains(t, page, "✓ the stored content has this SHA-256")
			require.Contains(t, page, "the digest of the parent are what the digest commits to")
			require.Regexp(t, `one step leads from here to .* 3\d −\d`, page)
			require.Regexp(t, `(object|stored in) (a pack, |the tip of )?.*order-1`, page)
			require.Contains(t, page, "Later")
			require.NotContains(t, v.page("/changeset", "ref", "order-1"), "Later")

			diff := v.page("/diff", "from", "order-1@1", "to", refs[2])
			require.Regexp(t, `/amount 1 2 `, diff)
			require.Contains(t, v.page("/diff", "from", "order-1@1", "to", refs[1]), "the contents are equal")
			require.Contains(t, v.page("/diff"), "Compare")
			require.Contains(t, v.page("/live"), "Changes appear here")
		})
	}
}

// A list of many aggregates comes in pages that together have each once.
func TestUIPagesOfTheList(t *testing.T) {
	for name, s := range uiStores(t) {
		t.Run(name, func(t *testing.T) {
			for n := range 250 {
				fillUI(t, s, fmt.Sprintf("order-%03d", n), "{}")
			}
			v := visitUI(t, s)
			seen, path, next := map[string]bool{}, "/", regexp.MustCompile(`href="([^"]*)" rel="next"`)
			for pages := 1; ; pages++ {
				body := v.get(path).Body.String()
				for _, id := range regexp.MustCompile(`>(order-\d+)<`).FindAllStringSubmatch(body, -1) {
					require.False(t, seen[id[1]], id[1])
					seen[id[1]] = true
				}
				to := next.FindStringSubmatch(body)
				if to == nil {
					require.Equal(t, 3, pages)
					break
				}
				path = html.UnescapeString(to[1])
			}
			require.Len(t, seen, 250)
		})
	}
}

// A chain as of a version or a time ends there, and is said to.
func TestUIAsOf(t *testing.T) {
	for name, s := range uiStores(t) {
		t.Run(name, func(t *testing.T) {
			fillUI(t, s, "order", `1`, `2`, `3`)
			h, err := s.Chain("order").Head(t.Context())
			require.NoError(t, err)
			v := visitUI(t, s)
			page := v.page("/chain", "id", "order", "at", "1", "n", "1")
			require.Contains(t, page, "as of version 1")
			require.Regexp(t, ` 1 …\w+ .*head`, page)
			require.NotRegexp(t, ` 2 …\w+ `, page)
			require.Contains(t, page, "1 older version")
			page = v.page("/chain", "id", "order", "at", changeset.FormatTime(h.UpdatedAt))
			require.Contains(t, page, "version 2")
			require.Contains(t, v.page("/chain", "id", "order", "at", "2999-12-31"), "as of 2999-12-31T23:59:59.999999999Z")
			require.NotContains(t, v.get("/chain?id=order&at=1").Body.String(), "data-live", "the past does not change")
			for at, status := range map[string]int{"7": 404, "2001-01-01": 404, "tomorrow": 400, "1..2": 400} {
				require.Equal(t, status, v.get(withQuery("/chain", "id", "order", "at", at)).Code, at)
			}
		})
	}
}

// The changesets beside the chain are drawn, and shown with their fate.
func TestUIForks(t *testing.T) {
	p := newTestPlace()
	fillUI(t, p.store(t), "order", "1")
	lost := p.pend(t, "order")
	fillUI(t, p.store(t), "order", "2")
	pending := p.pend(t, "order")
	v := visitUI(t, p.store(t))
	body := v.get("/chain?id=order").Body.String()
	require.Contains(t, body, `<path class="lane lost dashed"`)
	require.Contains(t, body, `<path class="lane open dashed"`)
	require.Contains(t, readable(body), "lost to …")
	require.Contains(t, readable(body), "pending ropewalk settle "+pending.String())
	require.Contains(t, v.page("/changeset", "ref", lost.String()), "not in the chain: lost, built on revision 1, the head is at 2")
	require.Contains(t, v.page("/changeset", "ref", pending.String()), "not in the chain: pending")
}

// Errors have a status, the words of the command, and its hint.
func TestUIErrors(t *testing.T) {
	p := newTestPlace()
	refs := fillUI(t, p.store(t), "order", "1")
	v := visitUI(t, p.store(t))
	for path, status := range map[string]int{
		"/chain": 400, "/chain?id=none": 404, "/changeset": 400, "/changeset?ref=order@9": 404, "/changeset?ref=order@0..1": 400,
		"/diff?from=order&to=none": 404, "/nothing": 404, "/assets/heads.html": 404, "/assets/none.css": 404,
	} {
		require.Equal(t, status, v.get(path).Code, path)
	}
	p.script.Every(faults.Load, faults.Fault{Kind: faults.Dropped})
	require.GreaterOrEqual(t, v.get("/chain?id=order").Code, 500)
	p.script.Every(faults.Load, faults.Fault{})
	require.Zero(t, p.run(t.Context(), "", "erase", "order", "--yes").exit)
	require.Equal(t, 410, v.get("/chain?id=order").Code)
	require.Equal(t, 410, v.get("/changeset?ref="+refs[0]).Code)
	require.Contains(t, v.page("/"), "erased")
}

// No text of the store becomes markup, or hides what is in it.
func TestUIHostileText(t *testing.T) {
	for name, s := range uiStores(t) {
		t.Run(name, func(t *testing.T) {
			script, turned := `<script>alert("x")</script>`, "a\u202eb'\"&%41+/?#"
			for _, id := range []string{script, turned} {
				h, err := s.Chain(id).Create(t.Context(), changeset.Draft{
					Content: []byte(`{"type":"<img src=x onerror=alert(1)>","data":"</pre><script>"}`), ContentType: "application/x-ndjson",
					Metadata: map[string]string{"k": `"><script>`},
				})
				require.NoError(t, err)
				_, err = s.Chain(id).Append(t.Context(), h, changeset.Draft{Content: []byte("</span><script>\n\u202e"), ContentType: `text/html`})
				require.NoError(t, err)
			}
			v := visitUI(t, s)
			check := func(path string, pairs ...string) string {
				w := v.get(withQuery(path, pairs...))
				body := w.Body.String()
				require.Equal(t, 1, strings.Count(body, "<script"), path)
				require.NotContains(t, body, "<img src=x")
				require.NotContains(t, fieldValues.ReplaceAllString(body, ""), "\u202e", "only a form sends text back as it was")
				require.NotRegexp(t, `href="(javascript|data):`, body)
				return readable(body)
			}
			list := check("/")
			require.Contains(t, list, script)
			require.Contains(t, list, `a\u202eb'"&%41+/?#`)
			for _, id := range []string{script, turned} {
				require.Contains(t, check("/chain", "id", id), "version 1")
				require.Contains(t, check("/changeset", "ref", id+"@0"), `<img src=x onerror=alert(1)>`)
				require.Contains(t, check("/changeset", "ref", id+"@1"), `</span><script> \u202e`)
				require.Contains(t, check("/diff", "from", id+"@0", "to", id+"@1"), "+</span><script>")
				check("/live", "id", id)
				check("/", "prefix", id)
				check("/chain", "id", id+"\u202e")
				check("/chain", "id", id, "at", script)
			}
			link := regexp.MustCompile(`href="(/chain[^"]*)"`).FindAllStringSubmatch(v.get("/").Body.String(), -1)
			require.Len(t, link, 2)
			for _, l := range link {
				require.Equal(t, http.StatusOK, v.get(html.UnescapeString(l[1])).Code, "the links lead to what has the text in its name")
			}
		})
	}
}

// A page shows a part of large content, and says so; bytes are shown as numbers.
func TestUICutsContent(t *testing.T) {
	s := newTestPlace().store(t)
	put := func(id, kind string, content []byte) {
		_, err := s.Chain(id).Create(t.Context(), changeset.Draft{Content: content, ContentType: kind})
		require.NoError(t, err)
	}
	put("binary", "application/octet-stream", bytes.Repeat([]byte{0, 1, 0xff, '<'}, 3000))
	put("text", "text/plain", bytes.Repeat([]byte("line\n"), 100_000))
	put("object", "application/json", []byte(`{"a":"`+strings.Repeat("x", 500_000)+`"}`))
	put("deep", "application/json", []byte(strings.Repeat("[", 9000)+strings.Repeat("]", 9000)))
	put("events", "application/x-ndjson", bytes.Repeat([]byte(`{"type":"t","data":{"n":1}}`+"\n"), 50_000))
	put("empty", "text/plain", nil)
	v := visitUI(t, s)
	for _, id := range []string{"binary", "text", "object", "events"} {
		w := v.get("/changeset?ref=" + id)
		require.Less(t, w.Body.Len(), 2<<20, id)
		require.Regexp(t, `Cut short: about the first (262.1|4.1) kB of [\d.]+ [kM]B are shown\. ropewalk cat `+id+`@0\.`, readable(w.Body.String()))
	}
	require.Contains(t, v.page("/changeset", "ref", "binary"), "00000000 00 01 ff 3c")
	require.Less(t, v.get("/changeset?ref=deep").Body.Len(), 2<<20)
	require.Contains(t, v.page("/changeset", "ref", "empty"), "The content is empty.")
	fillUI(t, s, "wide", manyFields(0), manyFields(1))
	w := v.get("/diff?from=wide@0&to=wide@1")
	require.Less(t, w.Body.Len(), 2<<20)
	require.Contains(t, readable(w.Body.String()), "Cut short: the first 1,000 differences are shown.")
}

func manyFields(value int) string {
	fields := map[string]int{}
	for n := range 5000 {
		fields[fmt.Sprint(n)] = value
	}
	text, _ := json.Marshal(fields) // of numbers
	return string(text)
}

// What does not prove is not shown as if it did.
func TestUIShowsNoForgedContent(t *testing.T) {
	p := newTestPlace()
	refs := fillUI(t, p.store(t), "order", `{"amount":42}`)
	c, err := p.memory.Get(t.Context(), mustRef(t, refs[0]), nil)
	require.NoError(t, err)
	p.memory.Tamper(func(all *memstore.Contents) { all.Objects[c.ObjectName()].Body[0] ^= 1 })
	v := visitUI(t, p.store(t))
	w := v.get("/changeset?ref=order")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, readable(w.Body.String()), "corrupt")
	require.NotContains(t, w.Body.String(), "amount")
}

func mustRef(t *testing.T, text string) changeset.Ref {
	ref, err := changeset.ParseRef(text)
	require.NoError(t, err)
	return ref
}

// The page of the feed has what feed status and subscriptions print.
func TestUIFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		p.bare = true
		fillUI(t, p.store(t), "order", "{}")
		v := visitUI(t, p.store(t))
		page := v.page("/feed")
		require.Contains(t, page, "No subscription has begun.")
		require.Contains(t, page, "ropewalk relay")
		require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
		p.subscribe(t, "invoices", failsOn("order"))
		fillUI(t, p.store(t), "parcel", "{}")
		require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
		page = v.page("/feed")
		require.Regexp(t, `invoices 1 \d+s 1 `, page)
		require.Contains(t, page, "parked order from version 0 on, after: ")
		require.Contains(t, page, "unfed nothing")
	})
}

// serveUI runs the command, and returns its link and what ends it. The end has the exit
// code.
func serveUI(t *testing.T, p *testPlace, args ...string) (link string, end func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	a := p.app("")
	a.Out = w
	done := make(chan int, 1)
	go func() { done <- a.run(ctx, append([]string{"ui"}, args...)) }()
	line, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return strings.TrimSpace(line), func() int {
		cancel()
		exit := <-done
		require.NoError(t, w.Close())
		return exit
	}
}

// browser returns a client that has opened the link.
func browser(t *testing.T, link string) (*http.Client, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(client.CloseIdleConnections)
	answer, err := client.Get(link)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusSeeOther, answer.StatusCode)
	client.Transport = withCookies{client.Transport, answer.Cookies()}
	base, _, _ := strings.Cut(link, "/?")
	return client, base
}

type withCookies struct {
	http.RoundTripper
	cookies []*http.Cookie
}

func (w withCookies) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for _, c := range w.cookies {
		r.AddCookie(c)
	}
	return w.RoundTripper.RoundTrip(r)
}

// A change arrives at a page that follows, also after the stream was cut.
func TestUIFollowsChanges(t *testing.T) {
	p := newTestPlace()
	fillUI(t, p.store(t), "order", "1")
	link, end := serveUI(t, p)
	client, base := browser(t, link)
	follow := func(last string) (next func(prefix string) string, stop func() error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/changes?id=order", nil)
		require.NoError(t, err)
		r.Header.Set("Last-Event-ID", last)
		answer, err := client.Do(r)
		require.NoError(t, err)
		require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
		lines := bufio.NewReader(answer.Body)
		return func(prefix string) string {
			for {
				line, err := lines.ReadString('\n')
				require.NoError(t, err)
				if text, ok := strings.CutPrefix(line, prefix); ok {
					return strings.TrimSpace(text)
				}
			}
		}, answer.Body.Close
	}
	next, stop := follow(seenEnd(t, p))
	fillUI(t, p.store(t), "parcel", "1")
	refs := fillUI(t, p.store(t), "order", "2", "3")
	for _, ref := range refs {
		require.Equal(t, "change", next("event: "))
		var e map[string]string
		require.NoError(t, json.Unmarshal([]byte(next("data: ")), &e))
		require.Equal(t, ref, e["ref"])
		require.Equal(t, withQuery("/changeset", "ref", ref), e["href"])
	}
	last := next("id: ")
	require.NoError(t, stop())
	refs = fillUI(t, p.store(t), "order", "4")
	next, stop = follow(last)
	require.Contains(t, next("data: "), refs[0])
	require.NoError(t, stop())
	next, stop = follow("nonsense")
	require.Equal(t, "failed", next("event: "))
	require.NoError(t, stop())
	require.Equal(t, 130, end())
}

// seenEnd returns the position after all changes so far.
func seenEnd(t *testing.T, p *testPlace) string {
	end, err := p.store(t).feed().End(t.Context())
	require.NoError(t, err)
	return end.String()
}

// Without a feed, the stream says so and how to have one.
func TestUIFollowsNothingWithoutAFeed(t *testing.T) {
	p := newTestPlace()
	p.bare = true
	link, end := serveUI(t, p)
	client, base := browser(t, link)
	answer, err := client.Get(base + "/changes")
	require.NoError(t, err)
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "data: ") {
	}
	require.Contains(t, lines.Text(), "ropewalk relay")
	require.NoError(t, answer.Body.Close())
	require.Equal(t, 130, end())
}

// An interrupt ends the command while streams are open, and while a browser does not
// read its stream.
func TestUIEndsWhileABrowserHangs(t *testing.T) {
	p := newTestPlace()
	link, end := serveUI(t, p, "--json")
	var out struct{ Kind, URL string }
	require.NoError(t, json.Unmarshal([]byte(link), &out))
	require.Equal(t, "ui", out.Kind)
	require.NoError(t, compileSchemas(t).check([]byte(link)))
	client, base := browser(t, out.URL)
	answer, err := client.Get(base + "/changes")
	require.NoError(t, err)
	defer answer.Body.Close()
	hung := rawGet(t, client, base, "/changes")
	defer hung.Close()
	fillUI(t, p.store(t), "order", "{}")
	silent, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	require.NoError(t, err)
	defer silent.Close()
	require.Equal(t, 130, end())
	_, err = io.Copy(io.Discard, answer.Body)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	_, err = net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	require.Error(t, err, "nothing listens any longer")
}

// rawGet sends a request, and never reads the answer.
func rawGet(t *testing.T, client *http.Client, base, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	require.NoError(t, err)
	cookie := client.Transport.(withCookies).cookies[0]
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nCookie: %s=%s\r\n\r\n", path, strings.TrimPrefix(base, "http://"), cookie.Name, cookie.Value)
	require.NoError(t, err)
	return conn
}

// Only addresses that other machines cannot reach are listened on.
func TestUIListensOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:80", "example.org:80", "127.0.0.1", "::1", ""} {
		got := newTestPlace().run(t.Context(), "", "ui", "--listen", address)
		require.Equal(t, 2, got.exit, address)
		require.Contains(t, got.stderr, "is no loopback address with a port")
		require.Empty(t, got.stdout)
	}
	for _, address := range []string{"localhost:0", "127.0.0.2:0"} {
		link, end := serveUI(t, newTestPlace(), "--listen", address)
		require.Regexp(t, `^http://127\.0\.0\.[12]:\d+/\?token=[A-Z2-7]{26}$`, link)
		require.Equal(t, 130, end())
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	got := newTestPlace().run(t.Context(), "", "ui", "--listen", taken.Addr().String())
	require.Equal(t, 1, got.exit)
}
