package provisioning

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
	"github.com/dezky/platform/store/storetest"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// patient are intervals for tests that poke: nothing happens by itself, and no
// session grows stale while the clock is moved.
func patient() Intervals {
	return Intervals{Beat: 24 * time.Hour, Stale: 24 * time.Hour, Dead: 48 * time.Hour, Look: 24 * time.Hour}
}

// apply is a provisioner.
type apply func(ctx context.Context, s platform.Step) (string, error)

func (f apply) Apply(ctx context.Context, s platform.Step) (string, error) { return f(ctx, s) }

// all uses one provisioner for the three integrations that there are.
func all(f apply) map[platform.Integration]platform.Provisioner {
	return map[platform.Integration]platform.Provisioner{
		platform.IntegrationAuthentik: f, platform.IntegrationStalwart: f, platform.IntegrationOCIS: f,
	}
}

// process is one server process on a database.
type process struct {
	*platform.Platform
	store      platform.Store
	clock      platform.Clock
	session    *Session
	reconciler *Reconciler
	feed       *Feed
}

// database is a file for several processes.
func database(t testing.TB) string { return filepath.Join(t.TempDir(), "test.db") }

// start starts a process. Its session beats when the test says so, and its
// reconciler and feed run when they are run.
func start(
	t testing.TB, store platform.Store, clock platform.Clock, every Intervals, via map[platform.Integration]platform.Provisioner,
) *process {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	session, err := OpenSession(t.Context(), store, nil, clock, platform.NewID, log, every)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{store: store, clock: clock, session: session}
	p.feed = NewFeed(store, clock, log, func() { p.reconciler.Poke() })
	p.Platform = platform.New(platform.Options{
		Store: store, Clock: clock, NewID: platform.NewID, Session: session.ID, SealKey: platform.NewSecret("k"),
		OperatorAudience: "o", Feed: p.feed,
	})
	p.reconciler = New(p.Platform, store, session, via, clock, log, func() float64 { return 1 })
	return p
}

// runs has some workers of a process run until the test ends, or until stop.
func runs(t testing.TB, workers ...func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	for _, work := range workers {
		running.Go(func() {
			if err := work(ctx); err != nil {
				t.Errorf("a worker ended: %v", err)
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// single is a process on a store of its own, with a held clock, whose
// reconciler and feed run.
func single(t testing.TB, via map[platform.Integration]platform.Provisioner) (*process, *clocktest.Clock) {
	t.Helper()
	clock := clocktest.New(noon)
	p := start(t, storetest.New(t), clock, patient(), via)
	runs(t, p.reconciler.Run, p.feed.Run)
	return p, clock
}

// tenant writes a new tenant and pokes.
func (p *process) tenant(t testing.TB, n int) platform.ID {
	t.Helper()
	id := platform.ID(fmt.Sprintf("ten_%d", n))
	err := p.Plant(t.Context(), platform.Seed{Tenants: []*platform.Tenant{{
		Document: platform.Document{ID: id}, Slug: fmt.Sprintf("slug-%d", n), Name: "Acme",
		Status: platform.TenantStatusPending, CreatedAt: platform.At(noon),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	p.reconciler.Poke()
	return id
}

// rename wants something else outside, and pokes.
func (p *process) rename(t testing.TB, id platform.ID, name string) {
	t.Helper()
	event := platform.AuditEvent{Document: platform.Document{ID: platform.NewID(platform.KindAuditEvent)}, At: platform.At(noon)}
	err := p.store.Change(t.Context(), event, func(w platform.Writer) error {
		tenant, err := w.Tenant(t.Context(), id)
		if err != nil {
			return err
		}
		tenant.Name = name
		return w.PutTenant(t.Context(), tenant)
	})
	if err != nil {
		t.Fatal(err)
	}
	p.reconciler.Poke()
}

func (p *process) doc(t testing.TB, id platform.ID) *platform.Provisioning {
	t.Helper()
	doc, err := p.store.Provisioning(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func (p *process) step(t testing.TB, id platform.ID, i platform.Integration) *platform.ProvisioningStep {
	t.Helper()
	for _, s := range p.doc(t, id).Steps {
		if s.Integration == i {
			return s
		}
	}
	t.Fatalf("%s has no step %s", id, i)
	return nil
}

// until waits until something is so.
func until(t testing.TB, what string, so func() bool) {
	t.Helper()
	for range 10_000 {
		if so() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("it never came to this: %s", what)
}

// state waits until a step has come to a state.
func (p *process) state(t testing.TB, id platform.ID, i platform.Integration, want platform.ProvisioningState) *platform.ProvisioningStep {
	t.Helper()
	var s *platform.ProvisioningStep
	until(t, fmt.Sprintf("%s of %s is %s", i, id, want), func() bool { s = p.step(t, id, i); return s.State == want })
	return s
}
