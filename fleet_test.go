package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	authentik "github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
	"github.com/dezky/platform/store/sqlite"
)

// serveOn is production, but that it signs its calls outside with its number,
// and that its log has no line an operation.
func serveOn() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	config, err := FromEnv(os.LookupEnv)
	if err != nil {
		return err
	}
	return serve(ctx, config, seams{
		log:       slog.New(terse{slog.NewTextHandler(os.Stderr, nil)}),
		transport: func(next http.RoundTripper) http.RoundTripper { return signing{next} },
	})
}

type terse struct{ slog.Handler }

func (h terse) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "graphql" {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

type signing struct{ next http.RoundTripper }

func (s signing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(callerHeader, strconv.Itoa(os.Getpid()))
	return s.next.RoundTrip(r)
}

// process is a server in a process of its own.
type process struct {
	cmd   *exec.Cmd
	url   atomic.Pointer[string]
	ended chan struct{}
	err   error
}

// launch starts a process. It may not be ready yet.
func (o *outside) launch(t *testing.T, orders ...string) *process {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(binary), ended: make(chan struct{})}
	// The race detector would hold up each process's end by a second.
	p.cmd.Env = append(append(append(os.Environ(), o.env...), childRole+"="+roleServe, "GORACE=atexit_sleep_ms=0"), orders...)
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			if _, rest, ready := strings.Cut(scan.Text(), "msg=ready url="); ready {
				url, _, _ := strings.Cut(rest, " ")
				p.url.Store(&url)
			}
			fmt.Fprintf(t.Output(), "%d: %s\n", p.cmd.Process.Pid, scan.Text())
		}
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// ready waits until a process serves.
func (p *process) ready(t *testing.T) *process {
	t.Helper()
	until(t, "a process is ready", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("a process ended before it was ready: %v", p.err)
		default:
		}
		return p.url.Load() != nil
	})
	return p
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("send %v: %v", s, err)
	}
}

// stop ends a process by a signal, and says how long that took. One that is told
// to stop ends well, within the ten seconds that it has.
func (p *process) stop(t *testing.T, s syscall.Signal) time.Duration {
	t.Helper()
	begun := time.Now()
	p.signal(t, s)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		t.Fatal("a process does not end within ten seconds")
	}
	if s == syscall.SIGTERM && p.err != nil {
		t.Errorf("a process that was told to stop ended with %v", p.err)
	}
	return time.Since(begun)
}

// until waits until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for late := time.Now().Add(2 * patience); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

// fleet is an operator, in front of some places in which processes run.
type fleet struct {
	*outside
	documents *store.Store
	token     string
	places    []atomic.Pointer[process]
}

// newFleet has so many places, in each of which a process is ready.
func newFleet(t *testing.T, n int, orders ...string) *fleet {
	t.Helper()
	f := &fleet{outside: newOutside(t), places: make([]atomic.Pointer[process], n)}
	for i := range f.places {
		f.places[i].Store(f.launch(t, orders...))
	}
	for i := range f.places {
		f.places[i].Load().ready(t)
	}
	f.open(t)
	return f
}

// open looks into the database, and lets the operator in.
func (f *fleet) open(t *testing.T) {
	t.Helper()
	engine, err := sqlite.Open(t.Context(), f.database, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	if f.documents, err = store.New(t.Context(), engine); err != nil {
		t.Fatal(err)
	}
	const olga = "00000000-0000-4000-8000-00000000000a"
	clock := platform.NewSystemClock()
	err = platform.New(platform.Options{
		Store: f.documents, Clock: clock, NewID: platform.NewID, Session: func() platform.ID { return "ses_test" },
		SealKey: platform.NewSecret(developmentKey), OperatorAudience: operatorAudience,
	}).Plant(t.Context(), platform.Seed{Users: []*platform.User{{
		Document: platform.Document{ID: "usr_olga"}, Subject: olga, Email: "olga@dezky.test", Name: "Olga", PlatformAdmin: true,
		CreatedAt: platform.At(clock.Now()),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	err = f.identity.AddPerson(authentik.Person{
		Username: "olga", UUID: olga, Email: "olga@dezky.test", Groups: []string{"dezky-platform-admins"}, Application: authentik.Operator,
	})
	if err != nil {
		t.Fatal(err)
	}
	if f.token, err = f.identity.SignIn("olga", authentik.Operator); err != nil {
		t.Fatal(err)
	}
}

// at is where the process in a place serves; "" before it is ready.
func (f *fleet) at(place int) string {
	if url := f.places[place%len(f.places)].Load().url.Load(); url != nil {
		return *url
	}
	return ""
}

// restart puts a new process in a place.
func (f *fleet) restart(t *testing.T, place int, s syscall.Signal) time.Duration {
	t.Helper()
	took := f.places[place].Load().stop(t, s)
	p := f.launch(t)
	f.places[place].Store(p)
	p.ready(t)
	return took
}

// answer is that of every operation here.
type answer struct {
	Data map[string]struct {
		Tenant     *struct{ ID platform.ID }
		UserErrors []struct{ Code, Message string }

		Sequence, FirstSequence int32
		Resync                  bool
	}
	Errors []struct {
		Message    string
		Extensions struct{ Code platform.Code }
	}
}

// later says that the answer asks the client to come again.
func (a answer) later() bool {
	for _, e := range a.Errors {
		return e.Extensions.Code == platform.Unavailable || e.Extensions.Code == platform.ResourceExhausted
	}
	for _, field := range a.Data {
		for _, e := range field.UserErrors {
			return e.Code == string(platform.Conflict) && strings.Contains(e.Message, "still running")
		}
	}
	return false
}

func (f *fleet) request(ctx context.Context, url, query string, variables map[string]any, accept string) (*http.Request, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/graphql", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	req.Header.Set("Authorization", "Bearer "+f.token)
	return req, nil
}

// ask asks one process once.
func (f *fleet) ask(ctx context.Context, url, query string, variables map[string]any) (a answer, err error) {
	req, err := f.request(ctx, url, query, variables, "application/json")
	if err != nil {
		return a, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(text, &a)
}

const (
	createTenant = `mutation($slug: String!, $key: String) {
		did: createTenant(input: {slug: $slug, name: "Acme", idempotencyKey: $key}) { tenant { id } userErrors { code message } } }`
	reconcileTenant = `mutation($id: ID!, $key: String) {
		did: reconcileTenant(input: {tenantId: $id, idempotencyKey: $key}) { tenant { id } userErrors { code message } } }`
)

// insist asks one process after the other, under one idempotency key, until one
// has done it. Nothing but a process that is not there, or asks for patience, is
// a reason to go on.
func (f *fleet) insist(ctx context.Context, place int, query string, variables map[string]any) (platform.ID, error) {
	variables["key"] = string(platform.NewID(platform.KindRequest))
	for ; ; place++ {
		a, err := f.ask(ctx, f.at(place), query, variables)
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil || a.later():
			time.Sleep(5 * time.Millisecond)
		case a.Data["did"].Tenant == nil:
			return "", fmt.Errorf("%v: %+v", variables, a)
		default:
			return a.Data["did"].Tenant.ID, nil
		}
	}
}

func (f *fleet) create(t *testing.T, place int, slug string) platform.ID {
	t.Helper()
	id, err := f.insist(t.Context(), place, createTenant, map[string]any{"slug": slug})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// quiet waits until nothing is open, and all tenants are active.
func (f *fleet) quiet(t *testing.T, tenants ...platform.ID) {
	t.Helper()
	until(t, "nothing is open", func() bool {
		open, err := f.documents.OpenProvisionings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(open) == 0
	})
	all, err := f.documents.TenantsByID(t.Context(), tenants)
	if err != nil || len(all) != len(tenants) {
		t.Fatalf("%d of %d tenants are there: %v", len(all), len(tenants), err)
	}
	for _, tenant := range all {
		if tenant.Status != platform.TenantStatusActive {
			t.Errorf("%s is %s", tenant.Slug, tenant.Status)
		}
	}
}

// once wants exactly one of each effect outside for each tenant, known to the
// database by its handle. A call of a dead process that landed after its
// successor had looked is mended by the look half a minute later.
func (f *fleet) once(t *testing.T, tenants ...platform.ID) {
	t.Helper()
	var err error
	begun := time.Now()
	until(t, "there is one of each effect", func() bool { err = f.effects(t, tenants); return err == nil || t.Failed() })
	if waited := time.Since(begun); waited > time.Second {
		t.Logf("there was one of each effect after a look, %v later", waited)
	}
}

func (f *fleet) effects(t *testing.T, tenants []platform.ID) error {
	t.Helper()
	spaces, domains, groups := f.files.Drives(), f.mail.Domains(), f.identity.Groups()
	if len(spaces) != len(tenants)+1 || len(domains) != len(tenants)+1 { // and the default tenant's
		return fmt.Errorf("%d spaces and %d domains for %d tenants", len(spaces), len(domains), len(tenants))
	}
	all, err := f.documents.TenantsByID(t.Context(), tenants)
	if err != nil {
		t.Fatal(err)
	}
	docs, err := f.documents.ProvisioningsByID(t.Context(), tenants)
	if err != nil {
		t.Fatal(err)
	}
	handles := map[platform.ID]map[platform.Integration]string{}
	for _, doc := range docs {
		handles[doc.ID] = map[platform.Integration]string{}
		for _, step := range doc.Steps {
			handles[doc.ID][step.Integration] = step.Handle
		}
	}
	var wrong error
	for _, tenant := range all {
		there := map[platform.Integration]string{
			platform.IntegrationAuthentik: groups["tenant-"+tenant.Slug].PK,
			platform.IntegrationStalwart:  domains[tenant.Slug+".dezky.test"].ID,
		}
		for _, space := range spaces {
			if strings.Contains(space.Description, string(tenant.ID)) {
				there[platform.IntegrationOCIS] = space.ID
			}
		}
		for what, id := range there {
			if id == "" || handles[tenant.ID][what] != id {
				wrong = errors.Join(wrong, fmt.Errorf("%s has %q of %s, and the database knows %q", tenant.Slug, id, what, handles[tenant.ID][what]))
			}
		}
	}
	return wrong
}
