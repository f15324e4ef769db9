package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/dezky/platform/platform"
)

// TestTwoProcesses: whoever follows on one process sees what the other did, and
// an idempotency key counts on both.
func TestTwoProcesses(t *testing.T) {
	f := newFleet(t, 2)
	acme := f.create(t, 0, "acme")
	followers := f.follow(t, []platform.ID{acme}, 2)
	followers.standing(t)
	f.quiet(t, acme)
	if _, err := f.insist(t.Context(), 1, reconcileTenant, map[string]any{"id": acme}); err != nil {
		t.Fatal(err)
	}
	f.quiet(t, acme)
	events, _ := followers.complete(t)
	t.Logf("two followers on two processes saw %d events", events)

	// One key, twenty times at once, on both.
	var all sync.WaitGroup
	ids := make([]platform.ID, 20)
	for i := range ids {
		all.Go(func() {
			for {
				a, err := f.ask(t.Context(), f.at(i), createTenant, map[string]any{"slug": "once", "key": "a key"})
				if err != nil {
					t.Error(err)
					return
				}
				if a.later() {
					continue
				}
				if a.Data["did"].Tenant == nil {
					t.Errorf("number %d: %+v", i, a)
					return
				}
				ids[i] = a.Data["did"].Tenant.ID
				return
			}
		})
	}
	all.Wait()
	if len(slices.Compact(ids)) != 1 {
		t.Errorf("one key made %v", ids)
	}
	f.quiet(t, acme, ids[0])
	f.once(t, acme, ids[0])
}

// TestTakeover kills whoever holds a tenant, again and again: on one machine
// the other process takes over at once (R1).
func TestTakeover(t *testing.T) {
	f := newFleet(t, 1)
	f.identity.Stage().Hold()
	acme := f.create(t, 0, "acme")
	owner := func() platform.ID {
		doc, err := f.documents.Provisioning(t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		return doc.Owner
	}
	until(t, "the tenant is in somebody's hands", func() bool { return owner() != "" })
	holder := f.places[0].Load()
	var took []time.Duration
	for range 8 {
		next := f.launch(t).ready(t)
		before := owner()
		holder.stop(t, syscall.SIGKILL)
		begun := time.Now()
		until(t, "another process has taken over", func() bool { return owner() != before })
		took = append(took, time.Since(begun))
		holder = next
		f.places[0].Store(next)
	}
	f.identity.Stage().Release()
	f.quiet(t, acme)
	f.once(t, acme)
	slices.Sort(took)
	t.Logf("taken over after %v (the median of %v)", took[len(took)/2], took)
	// Far less than the two seconds for which a beat has to stand still.
	if took[len(took)/2] > time.Second {
		t.Error("the death of a process on this machine is to be seen at once")
	}
}

// TestFiveAtOnce starts five processes on a database that does not exist (R29).
func TestFiveAtOnce(t *testing.T) {
	f := &fleet{outside: newOutside(t)}
	var all []*process
	for range 5 {
		all = append(all, f.launch(t))
	}
	for _, p := range all {
		p.ready(t)
		if got := status(t, *p.url.Load()+"/healthz/ready"); got != http.StatusOK {
			t.Errorf("a process answers %d", got)
		}
	}
	f.open(t)
	f.quiet(t)
	f.once(t) // the default tenant
	tenants, err := f.documents.CountTenants(t.Context(), platform.TenantScope{All: true}, platform.TenantQuery{})
	if err != nil || tenants != 1 {
		t.Errorf("there are %d tenants: %v", tenants, err)
	}
	if sessions, err := f.documents.Sessions(t.Context()); err != nil || len(sessions) != 5 {
		t.Errorf("there are %d sessions: %v", len(sessions), err)
	}
	for _, p := range all {
		p.stop(t, syscall.SIGTERM)
	}
	if sessions, err := f.documents.Sessions(t.Context()); err != nil || len(sessions) != 0 {
		t.Errorf("in the end there are %d sessions: %v", len(sessions), err)
	}
	if left, err := os.ReadDir(f.database + ".sessions"); err != nil || len(left) != 0 {
		t.Errorf("in the end there are locks %v: %v", left, err)
	}
}

// status is 0 where nobody answers.
func status(t *testing.T, url string) int {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	return res.StatusCode
}

// TestDrain tells a process to stop that has streams, sockets and mutations under
// way (P11, R20): it says first that it is not ready, finishes what runs, ends
// streams in a way that clients come again, and nobody misses anything.
func TestDrain(t *testing.T) {
	f := newFleet(t, 1, "STOP_DELAY=1s")
	tenants := []platform.ID{f.create(t, 0, "acme"), f.create(t, 0, "bolt"), f.create(t, 0, "core")}
	f.quiet(t, tenants...)
	followers := f.follow(t, tenants, sized(100, 500))
	followers.standing(t)
	var sockets []*websocket.Conn
	for range 20 {
		sockets = append(sockets, f.socket(t, tenants[0]))
	}
	var slow []*slowMutation
	for i := range 40 {
		slow = append(slow, f.half(t, fmt.Sprintf("slow-%d", i)))
	}

	leaving := f.places[0].Load()
	url, begun := *leaving.url.Load(), time.Now()
	leaving.signal(t, syscall.SIGTERM)
	until(t, "the server is not ready", func() bool { return status(t, url+"/healthz/ready") == http.StatusServiceUnavailable })
	a, err := f.ask(t.Context(), url, createTenant, map[string]any{"slug": "late"})
	if err != nil || a.Data["did"].Tenant == nil {
		t.Fatalf("a mutation while others learn that the server is not ready: %+v, %v", a, err)
	}
	tenants = append(tenants, a.Data["did"].Tenant.ID)
	if a, err = f.ask(t.Context(), url, reconcileTenant, map[string]any{"id": tenants[0]}); err != nil || a.Data["did"].Tenant == nil {
		t.Fatalf("another: %+v, %v", a, err)
	}
	until(t, "nobody is let in", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	for _, m := range slow {
		tenants = append(tenants, m.finish(t))
	}
	for _, ws := range sockets {
		for err == nil {
			_, _, err = ws.Read(t.Context())
		}
		if code := websocket.CloseStatus(err); code != websocket.StatusGoingAway {
			t.Errorf("a socket ends with %d: %v", code, err)
		}
		err = nil
	}
	<-leaving.ended
	t.Logf("with %d streams, %d sockets and %d mutations it ended after %v, %v", len(followers.all), len(sockets), len(slow), time.Since(begun), leaving.err)
	if leaving.err != nil || time.Since(begun) > 10*time.Second {
		t.Error("it was to end well, and within ten seconds")
	}

	next := f.launch(t)
	f.places[0].Store(next)
	next.ready(t)
	f.quiet(t, tenants...)
	f.once(t, tenants...)
	events, streams := followers.complete(t)
	t.Logf("%d events over %d streams", events, streams)
}

// sized is a number for every day, or the one that is promised where DEZKY_LOAD is
// set.
func sized(usual, load int) int {
	if os.Getenv("DEZKY_LOAD") != "" {
		return load
	}
	return usual
}

// socket opens a graphql-transport-ws with a subscription that has begun.
func (f *fleet) socket(t *testing.T, tenant platform.ID) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), f.at(0)+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}}) //nolint:bodyclose // the library's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	for _, say := range []string{
		`{"type":"connection_init","payload":{"Authorization":"Bearer ` + f.token + `"}}`,
		`{"id":"1","type":"subscribe","payload":{"query":"subscription { provisioningStatus(tenantId: \"` + string(tenant) + `\") { sequence } }"}}`,
	} {
		if err := ws.Write(t.Context(), websocket.MessageText, []byte(say)); err != nil {
			t.Fatal(err)
		}
		if _, text, err := ws.Read(t.Context()); err != nil || strings.Contains(string(text), "error") {
			t.Fatalf("the socket answers %s, %v", text, err)
		}
	}
	return ws
}

// slowMutation is a request of which the server has one half.
type slowMutation struct {
	rest   *io.PipeWriter
	half   []byte
	answer chan answer
}

func (f *fleet) half(t *testing.T, slug string) *slowMutation {
	t.Helper()
	body, rest := io.Pipe()
	m := &slowMutation{rest: rest, answer: make(chan answer, 1)}
	req, err := f.request(t.Context(), f.at(0), createTenant, map[string]any{"slug": slug}, "application/json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	req.Body, m.half = body, text[len(text)/2:]
	go func() {
		defer close(m.answer)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("a request that was under way: %v", err)
			return
		}
		defer res.Body.Close()
		var a answer
		if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
			t.Error(err)
		}
		m.answer <- a
	}()
	if _, err := io.Copy(rest, bytes.NewReader(text[:len(text)/2])); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *slowMutation) finish(t *testing.T) platform.ID {
	t.Helper()
	if _, err := m.rest.Write(m.half); err != nil {
		t.Fatal(err)
	}
	m.rest.Close()
	a := <-m.answer
	if a.Data["did"].Tenant == nil {
		t.Fatalf("a mutation that was under way: %+v", a)
	}
	return a.Data["did"].Tenant.ID
}

// pause stops a process where it is not in the middle of a write: SQLite has one
// writer, and one that is stopped with the lock in its hand stops everybody.
func (f *fleet) pause(t *testing.T, p *process) {
	t.Helper()
	until(t, "it was stopped between two writes", func() bool {
		p.signal(t, syscall.SIGSTOP)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := f.documents.Prune(ctx, platform.At(time.Unix(0, 0))); err == nil { // it needs the lock, and changes nothing
			return true
		}
		p.signal(t, syscall.SIGCONT)
		return false
	})
}

// TestPaused stops a process while it works, for longer than a beat may stand
// still, and wakes it when another has done its work (R4): it writes nothing of
// it, and calls nobody.
func TestPaused(t *testing.T) {
	f := newFleet(t, 1)
	f.quiet(t)
	before := len(f.files.Stage().Calls())
	f.files.Stage().Hold()
	var tenants []platform.ID
	for i := range 10 {
		tenants = append(tenants, f.create(t, 0, fmt.Sprintf("acme-%d", i)))
	}
	paused := f.places[0].Load()
	until(t, "its calls are on their way", func() bool { return len(f.files.Stage().Calls()) == before+8 }) // as many as go out at once
	next := f.launch(t).ready(t)
	f.pause(t, paused)
	stopped := time.Now()
	until(t, "the other has taken over", func() bool {
		owners, err := f.documents.ProvisioningOwners(t.Context())
		sessions, err2 := f.documents.Sessions(t.Context())
		return err == nil && err2 == nil && len(owners) == 1 && len(sessions) == 1
	})
	t.Logf("taken over %v after the stop", time.Since(stopped))
	f.files.Stage().Release()
	f.quiet(t, tenants...)
	until(t, "three seconds are over", func() bool { return time.Since(stopped) > 3*time.Second })

	calls, written := f.callsOf(paused.cmd.Process.Pid), f.written(t, tenants)
	paused.signal(t, syscall.SIGCONT)
	until(t, "it has found out, and begun anew", func() bool {
		sessions, err := f.documents.Sessions(t.Context())
		return err == nil && len(sessions) == 2
	})
	f.places[0].Store(next)
	if got := f.callsOf(paused.cmd.Process.Pid); got != calls {
		t.Errorf("woken, it called %d times", got-calls)
	}
	if got := f.written(t, tenants); got != written {
		t.Errorf("woken, it wrote %d times", got-written)
	}
	f.once(t, tenants...)
	// It is as good as new.
	next.stop(t, syscall.SIGTERM)
	f.places[0].Store(paused)
	more := f.create(t, 0, "more")
	f.quiet(t, more)
	f.once(t, append(tenants, more)...)
}

// written is how often anything was written of the tenants' provisioning.
func (f *fleet) written(t *testing.T, tenants []platform.ID) (n int64) {
	t.Helper()
	docs, err := f.documents.ProvisioningsByID(t.Context(), tenants)
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range docs {
		n += doc.Version
	}
	return n
}
