//go:build integration

package integration_test

import (
	"context"
	"iter"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// browser is a page of a real browser. What goes wrong on any page that it shows fails the
// test: messages on the console, exceptions, refused loads, and requests to other hosts.
type browser struct {
	*testing.T
	ctx  context.Context // chromedp keeps the page in its context
	host string

	mu      sync.Mutex
	faults  []string // what the console has shown
	own     int      // requests to the site
	foreign []string // requests to other hosts
}

// openBrowser starts a browser with a page for a site.
func openBrowser(t *testing.T, site string) *browser {
	t.Helper()
	path := os.Getenv("ROPEWALK_TEST_CHROMIUM")
	if path == "" {
		t.Fatal("ROPEWALK_TEST_CHROMIUM is not set: it must name a Chromium; make test finds or installs one and sets it")
	}
	link, err := url.Parse(site)
	require.NoError(t, err)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	b := &browser{T: t, host: link.Host}
	page, _ := chromedp.NewContext(allocator, chromedp.WithListener(b.listen))
	b.ctx = page
	t.Cleanup(func() {
		defer stop()
		ending, cancel := context.WithTimeout(page, 20*time.Second)
		defer cancel()
		require.NoError(t, chromedp.Cancel(ending))
	})
	require.NoError(t, chromedp.Do(page)) // starts the browser, which lives as long as this context
	go b.readConsole(chromedp.Console(page))
	b.do(chromedp.EmulateViewport(1180, 640, chromedp.EmulateScale(1.5)))
	return b
}

// listen counts the requests. It must not wait for the browser.
func (b *browser) listen(event any) {
	r, ok := event.(*network.EventRequestWillBeSent)
	if !ok {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if u, err := url.Parse(r.Request.URL); err == nil && u.Host == b.host {
		b.own++
	} else {
		b.foreign = append(b.foreign, r.Request.URL)
	}
}

// readConsole takes all messages, until the page is closed.
func (b *browser) readConsole(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range messages {
		if err != nil {
			return
		}
		b.mu.Lock()
		b.faults = append(b.faults, m.String())
		b.mu.Unlock()
	}
}

// clean fails the test if a page has met an error or has asked another host for anything.
func (b *browser) clean() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b, b.faults, "on the console")
	require.Empty(b, b.foreign, "requests to other hosts")
	require.NotZero(b, b.own, "the requests are not seen")
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	require.NoError(b, chromedp.Do(ctx, steps...))
}

// eval returns what an expression is on the page.
func eval[T any](b *browser, expression string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	require.NoError(b, err, expression)
	return v
}

// until waits for an expression to become true on a page that is loaded and handles keys,
// whichever page that is by then.
func (b *browser) until(expression string) {
	b.Helper()
	require.Eventually(b, func() bool {
		v, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.readyState === "complete" && !!(`+expression+`)`))
		return err == nil && v
	}, 30*time.Second, 20*time.Millisecond, "%s\n%s", expression, b.text())
}

// press types keys, after which the page with the title is shown.
func (b *browser) press(keys, title string) {
	b.Helper()
	b.types(keys)
	b.shows(title)
}

// types presses keys one by one, as a keyboard does: a page that handles a key keeps its
// character out of the field that the key has led to.
func (b *browser) types(keys string) {
	b.Helper()
	for _, char := range keys {
		press := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Text: string(char), Key: string(char)}
		if char == '\r' {
			press.Key, press.Code, press.WindowsVirtualKeyCode = "Enter", "Enter", '\r'
		}
		_, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, press)
		require.NoError(b, err)
		press.Type, press.Text = input.DispatchKeyEventTypeKeyUp, ""
		_, err = chromedp.Call(b.ctx, input.DispatchKeyEvent, press)
		require.NoError(b, err)
	}
}

// shows waits for the page whose title begins so.
func (b *browser) shows(title string) {
	b.Helper()
	b.until(`document.title.startsWith(` + quoted(title) + `)`)
}

// text is the text of the page as a person reads it.
func (b *browser) text() string {
	v, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body?.innerText ?? ""`))
	return v
}

// colours makes the system's colours light or dark.
func (b *browser) colours(scheme string) {
	b.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	require.NoError(b, err)
}

func quoted(text string) string { return `"` + strings.ReplaceAll(text, `"`, `\"`) + `"` }
