// Package browsertest lets a test use the Playground as a person does: in a
// real browser, by clicking. Only tests import it.
//
// A test that opens a page is skipped where Chromium is not installed or the
// Playground is not built. It fails when the page asks any host but the server
// under test for anything, when the content security policy had to stop the
// page, and when a script of the page throws. On failure a screenshot is
// written to the test's artifact directory, which `go test -artifacts` keeps.
package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/dezky/platform/graph/playground"
)

// patience is how long a page may take to show what a test waits for, in
// milliseconds by the browser's own clock.
const patience = 15_000

// Page is an open Playground. Its methods fail the test rather than return an
// error, and are called from the test's goroutine.
type Page struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	requests []string // the addresses that the page asked for
	protests []string // what the browser says went wrong in the page
}

// Open starts a browser with an empty profile on the given address, and closes
// it when the test ends.
func Open(t testing.TB, address string) *Page {
	t.Helper()
	if !playground.Built() {
		t.Skip("the Playground has not been built (make playground), so it was not tried in a browser")
	}
	browser := chromium()
	if browser == "" {
		t.Skip("Chromium is not installed, so the Playground was not tried in a browser")
	}
	server, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.DisableGPU,
		chromedp.WindowSize(1280, 800),
		// Otherwise the browser itself calls home, and is refused at length
		// on a machine without a way out.
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("no-sandbox", os.Geteuid() == 0), // the sandbox does not start as root
	)
	// The test's context ends before its cleanup, which still needs the page.
	ctx, closeBrowser := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(closeBrowser)
	ctx, closePage := chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf))
	t.Cleanup(closePage)

	p := &Page{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatalf("start %s: %v", browser, err)
	}
	t.Cleanup(func() { p.judge(server.Host) })
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		t.Fatalf("open %s: %v", address, err)
	}
	p.ready()
	return p
}

func chromium() string {
	for _, name := range []string{"chromium", "/usr/bin/chromium"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	return ""
}

// hear runs in the browser's message loop, so it only notes.
func (p *Page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	case *network.EventWebSocketCreated:
		p.requests = append(p.requests, e.URL)
	case *log.EventEntryAdded:
		// A refused policy is a security entry; an answer of 401 is not.
		if e.Entry.Source == log.EntrySourceSecurity {
			p.protests = append(p.protests, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			text += " " + thrown.Description
		}
		p.protests = append(p.protests, text)
	}
}

// judge holds the page to its promises once the test has done its part.
func (p *Page) judge(host string) {
	p.mu.Lock()
	requests, protests := p.requests, p.protests
	p.mu.Unlock()
	if len(requests) == 0 {
		p.t.Error("the browser reported no request at all, so nothing is known about other hosts")
	}
	for _, request := range requests {
		target, err := url.Parse(request)
		if err != nil || target.Host != host && target.Scheme != "data" && target.Scheme != "blob" {
			p.t.Errorf("the page asked another host: %s", request)
		}
	}
	for _, protest := range protests {
		p.t.Errorf("the browser protested: %s", protest)
	}
	if p.t.Failed() {
		p.Screenshot("failure.png")
	}
}

const (
	queryEditor   = ".graphiql-query-editor .CodeMirror"
	resultPane    = ".graphiql-response .CodeMirror"
	executeButton = ".graphiql-execute-button"
)

// Click waits for the element, which must be visible, and clicks it with the
// mouse.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.Wait(`document.querySelector(` + quote(selector) + `)?.checkVisibility()`)
	if err := chromedp.Do(p.ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		p.t.Fatalf("click %s: %v", selector, err)
	}
}

// Type waits for the element, focuses it and types the text on the keyboard.
func (p *Page) Type(selector, text string) {
	p.t.Helper()
	p.Wait(`document.querySelector(` + quote(selector) + `)?.checkVisibility()`)
	if err := chromedp.Do(p.ctx, chromedp.SendKeys(chromedp.CSS(selector), text)); err != nil {
		p.t.Fatalf("type into %s: %v", selector, err)
	}
}

// Run puts the text, which is one operation, into the editor and clicks the
// execute button. What ran before is stopped first. It returns at once: the
// result pane is empty until an answer comes.
func (p *Page) Run(query string) {
	p.t.Helper()
	p.Stop()
	// The text is set and not typed, because the editor closes brackets by
	// itself. GraphiQL looks at it only after a pause in typing, and a click
	// before that would run what it knew before: the name of the last
	// operation, or a choice of several, which the button offers as a menu.
	Eval[chromedp.Void](p, `void document.querySelector("`+queryEditor+`").CodeMirror.setValue(`+quote(query)+`)`)
	p.Wait(`document.querySelector("` + queryEditor + `").CodeMirror.documentAST?.loc.source.body === ` + quote(query))
	p.Wait(`document.querySelector("` + executeButton + `:not([aria-haspopup])")`)
	Eval[chromedp.Void](p, `void document.querySelector("`+resultPane+`").CodeMirror.setValue("")`)
	p.Click(executeButton)
}

// Stop ends a subscription by a click on the stop button, if one is running.
func (p *Page) Stop() {
	p.t.Helper()
	const running = `document.querySelector("` + executeButton + `[aria-label^=Stop]")`
	if Eval[bool](p, running+` !== null`) {
		p.Click(executeButton)
		p.Wait(running + ` === null`)
	}
}

// Result is the text of the result pane.
func (p *Page) Result() string {
	p.t.Helper()
	return Eval[string](p, `document.querySelector("`+resultPane+`").CodeMirror.getValue()`)
}

// WaitForResult waits until the result pane shows what the test wants, and
// returns it. A subscription replaces the text with each event, so of events
// that follow each other quickly it may see only the last.
func (p *Page) WaitForResult(good func(text string) bool) string {
	p.t.Helper()
	const now = `Math.round(performance.now())`
	end := Eval[int](p, now) + patience
	seen := p.Result()
	for !good(seen) {
		left := end - Eval[int](p, now)
		if left <= 0 || !p.wait(`document.querySelector("`+resultPane+`").CodeMirror.getValue() !== `+quote(seen), left) {
			p.t.Fatalf("the result pane does not show what was expected; it shows:\n%s", p.Result())
		}
		seen = p.Result()
	}
	return seen
}

// Text waits for the element and returns its text.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	p.Wait(`document.querySelector(` + quote(selector) + `)`)
	return Eval[string](p, `document.querySelector(`+quote(selector)+`).innerText`)
}

// Reload loads the page again, in the same tab.
func (p *Page) Reload() {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Reload()); err != nil {
		p.t.Fatalf("reload: %v", err)
	}
	p.ready()
}

// ready waits for the editors, which GraphiQL loads after itself.
func (p *Page) ready() {
	p.t.Helper()
	p.Wait(`["` + queryEditor + `", "` + resultPane + `"].every((pane) => document.querySelector(pane)?.CodeMirror)`)
}

// Wait waits until the JavaScript expression is true.
func (p *Page) Wait(condition string) {
	p.t.Helper()
	if !p.wait(condition, patience) {
		p.t.Fatalf("waited %d ms in vain for %s", patience, condition)
	}
}

// wait polls in the page. chromedp's own Poll compiles its condition there,
// which the content security policy forbids.
func (p *Page) wait(condition string, milliseconds int) bool {
	p.t.Helper()
	return Eval[bool](p, fmt.Sprintf(`(async () => {
		const end = performance.now() + %d;
		while (!(%s)) {
			if (performance.now() > end) return false;
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
		return true;
	})()`, milliseconds, condition))
}

// Eval is the value of a JavaScript expression in the page, awaited if it is a
// promise.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%v in the page, at %s", err, expression)
	}
	return value
}

// Screenshot writes what the page shows to the test's artifact directory.
func (p *Page) Screenshot(name string) {
	p.t.Helper()
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Logf("no screenshot: %v", err)
		return
	}
	file := filepath.Join(p.t.ArtifactDir(), strings.ReplaceAll(name, "/", "-"))
	if err := os.WriteFile(file, picture, 0o644); err != nil {
		p.t.Logf("no screenshot: %v", err)
		return
	}
	p.t.Logf("screenshot: %s", file)
}

// quote writes text as a JavaScript string, for which JSON is enough.
func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(quoted)
}
