//go:build integration

package integration_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/faults"
)

// pictures is the folder for the pictures of the documents.
var pictures = flag.String("pictures", "", "write the pictures of the pages to this `folder`")

// hostile is an ID that would be a script if it were not text.
const hostile = `<script>document.title="taken"</script>`

// A person looks through a store in a real browser: the list, a chain with forks, changesets
// and their difference, text that pretends to be HTML, and changes as they come.
func TestUIInABrowser(t *testing.T) {
	folder, c := t.TempDir(), buildCommand(t)
	fillShop(t, filepath.Join(folder, "shop.db"))
	site := c.serveUI(t, folder)
	b := openBrowser(t, site)
	b.do(chromedp.Navigate(site))
	for _, step := range []struct {
		name string
		see  func(*browser)
	}{
		{"list", (*browser).seesTheList},
		{"chain", (*browser).seesAChain},
		{"changeset", (*browser).seesAChangeset},
		{"difference", (*browser).seesADifference},
		{"text is no HTML", (*browser).seesTextAsText},
		{"live", func(b *browser) { b.seesChanges(c, folder) }},
		{"feed", (*browser).seesTheFeed},
	} {
		done := t.Run(step.name, func(t *testing.T) {
			b.T = t
			step.see(b)
			b.clean()
		})
		if b.T = t; !done {
			return // the next step starts where this one should have ended
		}
	}
	b.wouldNotice()
}

// wouldNotice shows that what the other steps must not meet would have been seen: a request
// that the policy refuses.
func (b *browser) wouldNotice() {
	b.do(chromedp.Evaluate[chromedp.Void](`fetch("https://example.com/").catch(() => {})`))
	require.Eventually(b, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return strings.Contains(strings.Join(b.faults, "\n"), "example.com")
	}, 10*time.Second, 10*time.Millisecond)
}

// seesTheList: a page of a hundred, the search, and the keys.
func (b *browser) seesTheList() {
	b.shows("Aggregates")
	require.Equal(b, 100, eval[int](b, `document.querySelectorAll("tr[data-row]").length`))
	b.press("n", "Aggregates")
	b.until(`document.querySelectorAll("tr[data-row]").length < 100 && document.body.innerText.includes("order-4739")`)
	b.types("/")
	b.types("order-471\r")
	b.until(`location.search === "?prefix=order-471" && document.querySelectorAll("tr[data-row]").length === 10`)
	b.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
	b.types("jj")
	b.until(`document.querySelector(".selected").innerText.includes("order-4711")`)
	b.press("\r", "order-4711")
}

// seesAChain: every changeset drawn, with the fates of those that are not in the history.
func (b *browser) seesAChain() {
	require.Equal(b, "8", eval[string](b, `document.querySelector(".facts b").innerText`))
	require.Equal(b, 9+2+1, eval[int](b, `document.querySelectorAll("li[data-row]").length`))
	require.Equal(b, 2, eval[int](b, `document.querySelectorAll("li.lost").length`))
	require.Equal(b, 1, eval[int](b, `document.querySelectorAll("li.open").length`))
	require.Contains(b, b.text(), "ropewalk settle order-4711@9.")
	require.Equal(b, 9+2+1, eval[int](b, `new Set([...document.querySelectorAll("svg.lanes circle")].map((c) => c.getAttribute("cy"))).size`))
	require.Zero(b, eval[int](b, `document.documentElement.scrollWidth - innerWidth`), "the page is wider than the window")
	b.picture("chain")
	light := eval[string](b, `getComputedStyle(document.body).backgroundColor`)
	b.colours("dark")
	require.NotEqual(b, light, eval[string](b, `getComputedStyle(document.body).backgroundColor`))
	b.picture("chain-dark")
	b.colours("light")
	b.types("/")
	b.types("5\r")
	b.until(`document.querySelector(".badge.open")?.innerText.startsWith("as of")`)
	require.NotContains(b, b.text(), "settle")
	b.do(chromedp.Click(chromedp.CSS(".facts a")))
	b.until(`location.search === "?id=order-4711"`)
}

// seesAChangeset: content, fields, proofs, jumps, and the way to its neighbours.
func (b *browser) seesAChangeset() {
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("li.head a").click()`))
	b.shows("order-4711@8")
	require.Contains(b, b.text(), `"carrier"`)
	require.Contains(b, b.text(), "correlation-id")
	require.Positive(b, eval[int](b, `document.querySelectorAll(".proof .ok").length`))
	require.Positive(b, eval[int](b, `document.querySelectorAll(".jumps a").length`))
	b.picture("changeset")
	b.press("p", "order-4711@7")
	b.press("n", "order-4711@8")
	b.press("d", "Difference")
}

// seesADifference by path.
func (b *browser) seesADifference() {
	b.until(`document.querySelectorAll("tr.changed, tr.added, tr.removed").length > 2`)
	require.Equal(b, "delivered", eval[string](b, `[...document.querySelectorAll("ins")].find((e) => e.innerText.includes("delivered")).innerText.replaceAll('"', "")`))
	b.picture("difference")
	b.press("u", "order-4711@8")
	b.press("u", "order-4711 ")
	b.press("a", "Aggregates")
}

// seesTextAsText: the HTML of an ID and of content.
func (b *browser) seesTextAsText() {
	b.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("td a")].find((a) => a.innerText.startsWith("<script>")).click()`))
	b.shows(hostile)
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("li.head a").click()`))
	b.shows(hostile + "@0")
	require.Contains(b, b.text(), `<img src=x onerror=alert(1)>`)
	require.Zero(b, eval[int](b, `document.querySelectorAll("main script, main img").length`))
}

// seesChanges that the command appends meanwhile: in the list of changes, and in a chain.
func (b *browser) seesChanges(c command, folder string) {
	appendMore := func(id string) {
		r := c.run(b.T, []string{"ROPEWALK_STORE=file:" + filepath.Join(folder, "shop.db")}, `{"type":"returned"}`, "append", id, "--any")
		require.Zero(b, r.exit, r.stderr)
	}
	b.press("l", "Live")
	b.until(`document.getElementById("state").innerText === "live"`)
	appendMore("order-4711")
	b.until(`document.querySelector("#changes tr")?.innerText.includes("order-4711@9")`)
	b.do(chromedp.Click(chromedp.CSS("#changes a")))
	b.shows("order-4711@9")
	b.press("u", "order-4711 ")
	b.until(`document.getElementById("state").innerText === "live"`)
	appendMore("order-4711")
	b.until(`document.querySelector("li.head .version").innerText === "10" && document.querySelector("li.head").classList.contains("new")`)
}

// seesTheFeed, which the log of the file is.
func (b *browser) seesTheFeed() {
	b.press("f", "Feed")
	require.Contains(b, b.text(), "No subscription has begun.")
}

// picture writes what is seen, if pictures are asked for.
func (b *browser) picture(name string) {
	b.Helper()
	if *pictures == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	require.NoError(b, err)
	require.NoError(b, os.WriteFile(filepath.Join(*pictures, "ui-"+name+".png"), png, 0o644))
}

// serveUI runs the inspector until the test has ended, and returns its link.
func (c command) serveUI(t *testing.T, folder string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ui := exec.CommandContext(ctx, c.path, "ui")
	ui.Cancel = func() error { return ui.Process.Signal(syscall.SIGINT) }
	ui.WaitDelay = 20 * time.Second
	ui.Dir, ui.Env, ui.Stderr = folder, []string{"HOME=" + folder, "ROPEWALK_STORE=file:shop.db"}, os.Stderr
	out, err := ui.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, ui.Start())
	t.Cleanup(func() {
		cancel()
		_ = ui.Wait() // its exit code says that it was interrupted
		require.Equal(t, 130, ui.ProcessState.ExitCode())
	})
	link, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(link)
}

// fillShop makes a store of 121 aggregates. The chain of order-4711 has two changesets that
// lost a race, and one whose outcome is still open.
func fillShop(t *testing.T, file string) {
	t.Helper()
	db, err := sqlitestore.Open(file, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for n := range 120 {
		if n != 91 {
			shop{t, ropewalk.New(db, db, nil)}.append(fmt.Sprintf("order-%d", 4620+n), ropewalk.Head{}, `{"type":"created"}`)
		}
	}
	shop{t, ropewalk.New(db, db, nil)}.append(hostile, ropewalk.Head{}, `{"html":"<img src=x onerror=alert(1)>"}`)

	heads := faults.TwoSteps(db) // as in a cloud: what loses a race has been put
	s := shop{t, ropewalk.New(db, heads, nil)}
	var h, before ropewalk.Head
	for version, content := range shopEvents {
		if version == 3 || version == 6 {
			_, err := s.store.Chain("order-4711").Append(t.Context(), before, s.draft(`{"type":"cancelled","by":"a customer who was too late"}`))
			require.ErrorIs(t, err, ropewalk.ErrConflict)
		}
		before, h = h, s.append("order-4711", h, content)
	}
	var script faults.Script
	script.Every(faults.Swap, faults.Fault{Kind: faults.Dropped})
	lost := ropewalk.New(db, script.Heads(heads), &ropewalk.Options{SettleTimeout: 100 * time.Millisecond})
	_, err = lost.Chain("order-4711").Append(t.Context(), h, s.draft(`{"type":"returned"}`))
	require.ErrorIs(t, err, ropewalk.ErrUncertain)
}

// shop appends to a store.
type shop struct {
	t     *testing.T
	store *ropewalk.Store
}

func (s shop) append(id string, h ropewalk.Head, content string) ropewalk.Head {
	s.t.Helper()
	h, err := s.store.Chain(id).Append(s.t.Context(), h, s.draft(content))
	require.NoError(s.t, err)
	return h
}

func (shop) draft(content string) ropewalk.Draft {
	return ropewalk.Draft{Content: []byte(content), ContentType: "application/json", Metadata: map[string]string{"correlation-id": "91c2", "user": "ann"}}
}

var shopEvents = []string{
	`{"type":"created","customer":"cust-1","currency":"EUR"}`,
	`{"type":"item-added","sku":"rope-12mm","quantity":40,"price":1.85}`,
	`{"type":"item-added","sku":"shackle-6","quantity":4,"price":7.2}`,
	`{"type":"address-set","street":"Reeperbahn 1","city":"Hamburg"}`,
	`{"type":"confirmed","total":102.8}`,
	`{"type":"paid","total":102.8,"method":"transfer"}`,
	`{"type":"packed","parcels":2,"weight_kg":11.4}`,
	`{"type":"shipped","carrier":"post","parcels":2,"tracking":["JD0146","JD0147"]}`,
	`{"type":"delivered","carrier":"post","parcels":2,"signed_by":"C. Mann"}`,
}
