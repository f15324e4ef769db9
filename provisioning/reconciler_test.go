package provisioning

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
	"github.com/dezky/platform/store/storetest"
)

const (
	authentik, stalwart, ocis, stripe = platform.IntegrationAuthentik, platform.IntegrationStalwart, platform.IntegrationOCIS, platform.IntegrationStripe

	pending, ok, skipped, failed = platform.ProvisioningStatePending, platform.ProvisioningStateOK, platform.ProvisioningStateSkipped, platform.ProvisioningStateError
)

// good is a provisioner that makes what is wanted.
func good(_ context.Context, s platform.Step) (string, error) {
	return "h_" + string(s.Integration), nil
}

// hangs ends when its context does, as a call to a silent server.
func hangs(ctx context.Context, _ platform.Step) (string, error) {
	<-ctx.Done()
	return "", fmt.Errorf("call: %w", context.Cause(ctx))
}

func TestEveryEndHasAState(t *testing.T) {
	t.Parallel()
	const ours, wrong = "The mail server does not answer.", "Something went wrong on our side."
	for name, test := range map[string]struct {
		apply   apply
		state   platform.ProvisioningState
		message string
		cause   string
		delay   time.Duration // until it is tried again; 0 is never
		reason  string
	}{
		"good":  {good, ok, "", "", 0, "done"},
		"skips": {func(context.Context, platform.Step) (string, error) { return "", platform.ErrSkip }, skipped, "", "", 0, "nothing to do here"},
		"ours": {func(context.Context, platform.Step) (string, error) {
			return "", platform.Errorf(platform.Unavailable, ours).Because(errors.New("dial tcp"))
		}, failed, ours, "dial tcp", time.Second, "our sentence, and the cause for operators"},
		"foreign": {func(context.Context, platform.Step) (string, error) { return "", errors.New("dial tcp") }, failed, wrong, "dial tcp", time.Second, "a text that is not ours is nobody's but the operators'"},
		"never": {func(context.Context, platform.Step) (string, error) {
			return "", platform.Errorf(platform.Conflict, "Taken.").Never()
		}, failed, "Taken.", "", 0, "not again by itself"},
		"after": {func(context.Context, platform.Step) (string, error) {
			return "", platform.Errorf(platform.Unavailable, "Busy.").After(100 * time.Second)
		}, failed, "Busy.", "", 110 * time.Second, "Retry-After, a tenth late at the most"},
		"panics":      {func(context.Context, platform.Step) (string, error) { panic("no such thing") }, failed, wrong, "no such thing", time.Second, "recovered"},
		"panics, nil": {func(context.Context, platform.Step) (string, error) { panic(nil) }, failed, wrong, "panic", time.Second, "recovered"},
		"makes half":  {func(context.Context, platform.Step) (string, error) { return "h_STALWART", errors.New("then it broke") }, failed, wrong, "broke", time.Second, "the handle is kept"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := single(t, map[platform.Integration]platform.Provisioner{stalwart: test.apply})
			id := p.tenant(t, 1)
			s := p.state(t, id, stalwart, test.state)
			if s.Message != test.message || !strings.Contains(s.Cause, test.cause) || s.Attempts != 1 || s.Finished == nil || s.RequestID == "" {
				t.Errorf("%s: got %+v", test.reason, s)
			}
			if handle := map[bool]string{true: "h_STALWART"}[name == "good" || name == "makes half"]; s.Handle != handle {
				t.Errorf("the handle is %q, want %q", s.Handle, handle)
			}
			if (s.NextTry == nil) != (test.delay == 0) || test.delay > 0 && s.NextTry.Sub(noon) != test.delay {
				t.Errorf("%s: tried again at %v, want in %v", test.reason, s.NextTry, test.delay)
			}
			// The integrations that are not used here are skipped, so only the step counts.
			active := test.state == ok || test.state == skipped
			tenant, err := p.store.Tenant(t.Context(), id)
			if err != nil || (tenant.Status == platform.TenantStatusActive) != active {
				t.Errorf("the tenant: %+v, %v; want it active: %v", tenant, err, active)
			}
		})
	}
}

func TestACallThatHangsIsGivenUpAfterThirtySeconds(t *testing.T) {
	t.Parallel()
	began := time.Now()
	var calls atomic.Int32
	var attempts sync.Map
	p, clock := single(t, map[platform.Integration]platform.Provisioner{
		authentik: apply(good), ocis: apply(good),
		stalwart: apply(func(ctx context.Context, s platform.Step) (string, error) {
			attempts.Store(calls.Add(1), s.Attempt)
			if calls.Load() == 1 {
				return hangs(ctx, s)
			}
			return good(ctx, s)
		}),
	})
	id := p.tenant(t, 1)
	// The other steps are not held up.
	for _, i := range []platform.Integration{authentik, ocis} {
		p.state(t, id, i, ok)
	}
	p.state(t, id, stripe, skipped)
	until(t, "the call that hangs", func() bool { return calls.Load() == 1 }) // its time has begun then
	if s := p.step(t, id, stalwart); s.State != platform.ProvisioningStateRunning {
		t.Errorf("the one that hangs is %s", s.State)
	}
	if now, err := p.store.Tenant(t.Context(), id); err != nil || now.Status != platform.TenantStatusPending {
		t.Errorf("the tenant is %s, %v; want it pending", now.Status, err)
	}
	clock.Advance(30*time.Second - 1)
	if s := p.step(t, id, stalwart); s.State != platform.ProvisioningStateRunning {
		t.Errorf("just before, the one that hangs is %s", s.State)
	}
	clock.Advance(1)
	s := p.state(t, id, stalwart, failed)
	if s.Message != "It took too long and was given up." || !s.Doubt || s.NextTry == nil {
		t.Errorf("given up: got %+v", s)
	}
	clock.Advance(time.Second)
	p.reconciler.Poke()
	s = p.state(t, id, stalwart, ok)
	if s.LookAt == nil || s.LookAt.Sub(clock.Now()) != 30*time.Second {
		t.Errorf("done: got %+v, want a look in 30 seconds: the first call may still land", s)
	}
	sequence := p.doc(t, id).Sequence
	clock.Advance(30 * time.Second)
	p.reconciler.Poke()
	until(t, "a look", func() bool { return calls.Load() == 3 && p.step(t, id, stalwart).LookAt == nil })
	doc := p.doc(t, id)
	if attempt, _ := attempts.Load(int32(3)); doc.Sequence != sequence || attempt != int32(2) || doc.Owner != "" {
		t.Errorf("after the look: sequence %d, was %d; attempt %v, want 2; owner %q", doc.Sequence, sequence, attempt, doc.Owner)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v of the machine's time", took)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	answer := func() error { return errors.New("503") }
	p, clock := single(t, map[platform.Integration]platform.Provisioner{
		stalwart: apply(func(context.Context, platform.Step) (string, error) {
			switch calls.Add(1) {
			case 5:
				return "", platform.Errorf(platform.Unavailable, "Busy.").After(100 * time.Second)
			case 6:
				return "h", nil
			}
			return "", answer()
		}),
	})
	id := p.tenant(t, 1)
	for n, delay := range []time.Duration{1, 2, 4, 8, 110} {
		delay *= time.Second
		until(t, "a failure", func() bool { return p.step(t, id, stalwart).Failures == int32(n+1) })
		clock.Advance(delay - time.Microsecond)
		p.reconciler.Poke()
		due, err := p.store.DueProvisionings(t.Context(), p.session.ID(), platform.At(clock.Now()), 10)
		if err != nil || len(due) != 0 || calls.Load() != int32(n+1) {
			t.Errorf("failure %d: tried again before %v: %v, %v, %d calls", n+1, delay, due, err, calls.Load())
		}
		clock.Advance(time.Microsecond)
		p.reconciler.Poke()
	}
	p.state(t, id, stalwart, ok)
	if n := calls.Load(); n != 6 {
		t.Errorf("%d calls, want 6", n)
	}
}

func TestAPanicStopsAfterTheThird(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	p, clock := single(t, map[platform.Integration]platform.Provisioner{
		authentik: apply(good),
		stalwart:  apply(func(context.Context, platform.Step) (string, error) { calls.Add(1); panic("bug") }),
	})
	id := p.tenant(t, 1)
	for n := int32(1); n <= 3; n++ {
		until(t, "a panic", func() bool { return p.step(t, id, stalwart).Panics == n })
		clock.Advance(time.Minute)
		p.reconciler.Poke()
	}
	p.state(t, id, authentik, ok)
	list, err := p.FailedOperations(t.Context(), nil, nil)
	if err != nil || len(list.Nodes()) != 1 || len(list.Nodes()[0].Steps) != 1 || list.Nodes()[0].Steps[0].Integration != stalwart {
		t.Fatalf("failed operations: %+v, %v; want this one", list, err)
	}
	if _, err := p.RetryOperation(t.Context(), platform.RetryOperationInput{TenantID: id, SubjectID: id, Integration: stalwart}); err != nil {
		t.Fatal(err)
	}
	p.reconciler.Poke()
	until(t, "the one that somebody asked for", func() bool { return calls.Load() == 4 && p.step(t, id, stalwart).Panics == 1 })
	for _, in := range []platform.RetryOperationInput{
		{TenantID: id, SubjectID: id, Integration: authentik}, {TenantID: "ten_other", SubjectID: id, Integration: stalwart},
	} {
		if _, err := p.RetryOperation(t.Context(), in); err == nil {
			t.Errorf("%+v: a step that is done, or another tenant's, was tried again", in)
		}
	}
}

func TestWithoutIntegrationsATenantIsActiveAtOnce(t *testing.T) {
	t.Parallel()
	p, _ := single(t, nil)
	id := p.tenant(t, 1)
	for _, i := range platform.StepsOf(platform.KindTenant) {
		p.state(t, id, i, skipped)
	}
	until(t, "the tenant is active", func() bool {
		now, err := p.store.Tenant(t.Context(), id)
		return err == nil && now.Status == platform.TenantStatusActive
	})
}

func TestWantedAnewWhileItRuns(t *testing.T) {
	t.Parallel()
	begun, end := make(chan string), make(chan struct{})
	p, _ := single(t, map[platform.Integration]platform.Provisioner{
		stalwart: apply(func(_ context.Context, s platform.Step) (string, error) {
			begun <- s.Want.Tenant.Name + "/" + s.Handle
			<-end
			return "h", nil
		}),
	})
	id := p.tenant(t, 1)
	if got := <-begun; got != "Acme/" {
		t.Errorf("first: got %s", got)
	}
	p.rename(t, id, "Beta")
	p.rename(t, id, "Gamma")
	end <- struct{}{}
	if got := <-begun; got != "Gamma/h" {
		t.Errorf("then: got %s, want the newest name and the handle", got)
	}
	end <- struct{}{}
	p.state(t, id, stalwart, ok)
	if doc := p.doc(t, id); doc.Open || doc.Owner != "" {
		t.Errorf("in the end: %+v", doc)
	}
}

// TestTwoProcessesNeverDoAStepTwice has two of them at one database, in the
// machine's own time.
func TestTwoProcessesNeverDoAStepTwice(t *testing.T) {
	t.Parallel()
	const n = 25
	every := Intervals{Beat: 100 * time.Millisecond, Stale: 10 * time.Second, Dead: 20 * time.Second, Look: 20 * time.Millisecond}
	file, clock := database(t), platform.NewSystemClock()
	var mu sync.Mutex
	calls := map[string]int{}
	var by [2]atomic.Int32
	var both [2]*process
	for i := range both {
		both[i] = start(t, storetest.Open(t, file), clock, every, all(func(_ context.Context, s platform.Step) (string, error) {
			by[i].Add(1)
			mu.Lock()
			calls[string(s.Subject)+"/"+string(s.Integration)]++
			mu.Unlock()
			time.Sleep(time.Millisecond)
			return "h", nil
		}))
	}
	for _, p := range both {
		runs(t, p.session.Run, p.reconciler.Run, p.feed.Run)
	}
	for i := range n {
		both[i%2].tenant(t, i)
	}
	until(t, "all tenants are active", func() bool {
		q := platform.TenantQuery{Status: platform.TenantStatusActive}
		active, err := both[0].store.CountTenants(t.Context(), platform.TenantScope{All: true}, q)
		return err == nil && active == n
	})
	mu.Lock()
	defer mu.Unlock()
	for step, times := range calls {
		if times != 1 {
			t.Errorf("%s was done %d times", step, times)
		}
	}
	if len(calls) != 3*n {
		t.Errorf("%d steps were done, want %d", len(calls), 3*n)
	}
	t.Logf("one did %d, the other %d", by[0].Load(), by[1].Load())
}

// dying is a process with a call under way, beside one that watches it. The
// first does not know how old its beat is, as one that is stopped.
func dying(t *testing.T) (dead, heir *process, clock *clocktest.Clock, id platform.ID, end chan string, calls *atomic.Int32) {
	t.Helper()
	file := database(t)
	clock = clocktest.New(noon)
	begun := make(chan struct{})
	end, calls = make(chan string), &atomic.Int32{}
	dead = start(t, storetest.Open(t, file), clock, patient(), map[platform.Integration]platform.Provisioner{
		stalwart: apply(func(context.Context, platform.Step) (string, error) { close(begun); return <-end, nil }),
	})
	every := DefaultIntervals()
	heir = start(t, storetest.Open(t, file), clock, every, map[platform.Integration]platform.Provisioner{
		stalwart: apply(func(_ context.Context, s platform.Step) (string, error) {
			calls.Add(1)
			return fmt.Sprintf("heir_%d", s.Attempt), nil
		}),
	})
	heir.reconciler.calls = t.Context()
	runs(t, dead.reconciler.Run)
	id = dead.tenant(t, 1)
	<-begun
	// Its two loops have looked round, and the call has its time-out.
	if err := clock.Sleeping(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	return dead, heir, clock, id, end, calls
}

// looks is what a process does again and again.
func (p *process) looks(t testing.TB) {
	t.Helper()
	p.session.beat(t.Context())
	p.reconciler.takeOver(t.Context())
	p.reconciler.takeDue(t.Context())
	p.reconciler.running.Wait()
}

func TestADeadProcessIsTakenOver(t *testing.T) {
	t.Parallel()
	dead, heir, clock, id, end, calls := dying(t)
	was := dead.session.ID()
	var waited time.Duration
	for ; calls.Load() == 0; waited += 250 * time.Millisecond {
		if waited > 4*time.Second {
			t.Fatal("nobody takes over")
		}
		heir.looks(t)
		clock.Advance(250 * time.Millisecond)
	}
	if waited < 2*time.Second || waited > 3*time.Second {
		t.Errorf("taken over after %v, want two seconds", waited)
	}
	s := heir.state(t, id, stalwart, ok)
	if s.Handle != "heir_2" || s.Attempts != 2 || s.LookAt == nil {
		t.Errorf("got %+v, want the second attempt, and a look to come", s)
	}
	version := heir.doc(t, id).Version
	end <- "late"
	until(t, "the late report", func() bool { return len(dead.reconciler.subjects) == 0 })
	if doc := heir.doc(t, id); doc.Version != version || heir.step(t, id, stalwart).Handle != "heir_2" {
		t.Errorf("the late report was written: %+v", heir.step(t, id, stalwart))
	}
	dead.session.beat(t.Context())
	if dead.session.ID() == was {
		t.Error("the dead process still believes in its session")
	}
}

func TestAProcessThatLearnsOfItsDeathDropsItsResults(t *testing.T) {
	t.Parallel()
	dead, heir, clock, id, end, calls := dying(t)
	bury(t, heir, dead)
	dead.session.beat(t.Context())
	end <- "late" // before anybody has taken over
	until(t, "the late report", func() bool { return len(dead.reconciler.subjects) == 0 })
	if s := heir.step(t, id, stalwart); s.State != platform.ProvisioningStateRunning || s.Handle != "" {
		t.Errorf("the result was written: %+v", s)
	}
	clock.Advance(100 * time.Millisecond)
	heir.looks(t)
	if s := heir.state(t, id, stalwart, ok); calls.Load() != 1 || s.Handle != "heir_2" {
		t.Errorf("whoever takes over begins anew: %d calls, %+v", calls.Load(), s)
	}
}

func TestStepsThatWaitForTheirTurnDieWithTheirSession(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	file, clock := database(t), clocktest.New(noon)
	p := start(t, storetest.Open(t, file), clock, patient(), map[platform.Integration]platform.Provisioner{
		stalwart: apply(func(ctx context.Context, s platform.Step) (string, error) { calls.Add(1); return hangs(ctx, s) }),
	})
	other := start(t, storetest.Open(t, file), clock, patient(), nil)
	runs(t, p.reconciler.Run)
	const n = parallelSteps + 3
	for i := range n {
		p.tenant(t, i)
	}
	until(t, "all are claimed", func() bool { return calls.Load() == parallelSteps && len(p.reconciler.subjects) == n })
	bury(t, other, p)
	p.session.beat(t.Context())
	until(t, "all have ended", func() bool { return len(p.reconciler.subjects) == 0 })
	if got := calls.Load(); got != parallelSteps {
		t.Errorf("%d calls: some were made for a session that was dead", got)
	}
}

func TestAProcessThatFellBehindTakesNothing(t *testing.T) {
	t.Parallel()
	clock := clocktest.New(noon)
	var calls atomic.Int32
	p := start(t, storetest.New(t), clock, DefaultIntervals(), all(func(ctx context.Context, s platform.Step) (string, error) {
		calls.Add(1)
		return good(ctx, s)
	}))
	p.reconciler.calls = t.Context()
	id := p.tenant(t, 1)
	clock.Advance(time.Second + 1)
	p.reconciler.takeDue(t.Context())
	p.reconciler.take(t.Context(), id, p.session.ID(), "")
	p.reconciler.running.Wait()
	if n, s := calls.Load(), p.step(t, id, stalwart); n != 0 || s.State != pending {
		t.Errorf("%d calls, %+v", n, s)
	}
	p.looks(t)
	p.state(t, id, stalwart, ok)
}

func TestClosingHandsOverAtOnce(t *testing.T) {
	t.Parallel()
	file, clock := database(t), clocktest.New(noon)
	var calls atomic.Int32
	busy := apply(func(context.Context, platform.Step) (string, error) {
		calls.Add(1)
		return "", platform.Errorf(platform.Unavailable, "Busy.").After(10 * time.Second)
	})
	via := map[platform.Integration]platform.Provisioner{stalwart: busy}
	a, b := start(t, storetest.Open(t, file), clock, DefaultIntervals(), via), start(t, storetest.Open(t, file), clock, DefaultIntervals(), via)
	b.reconciler.calls = t.Context()
	stop := runs(t, a.reconciler.Run)
	id := a.tenant(t, 1)
	a.state(t, id, stalwart, failed)
	b.looks(t)
	if got := b.doc(t, id).Owner; got != a.session.ID() {
		t.Errorf("the owner is %s, want who waits for the retry", got)
	}
	stop()
	if err := a.session.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock.Advance(500 * time.Millisecond)
	b.looks(t)
	doc, s := b.doc(t, id), b.step(t, id, stalwart)
	if doc.Owner != b.session.ID() || calls.Load() != 1 || s.NextTry.Sub(clock.Now()) != 11*time.Second {
		t.Errorf("owner %s, %d calls, next try in %v; want it held by the other, who waits all of it", doc.Owner, calls.Load(), s.NextTry.Sub(clock.Now()))
	}
}

// untilTold is a provisioner whose call goes on until end is closed, or its
// context ends.
func untilTold(begun, end chan struct{}) apply {
	return func(ctx context.Context, s platform.Step) (string, error) {
		close(begun)
		select {
		case <-end:
			return good(ctx, s)
		case <-ctx.Done():
			return hangs(ctx, s)
		}
	}
}

func TestStoppingLetsAttemptsEnd(t *testing.T) {
	t.Parallel()
	begun, end := make(chan struct{}), make(chan struct{})
	every := patient()
	every.Beat = 5 * time.Millisecond
	p := start(t, storetest.New(t), platform.NewSystemClock(), every, map[platform.Integration]platform.Provisioner{
		stalwart: untilTold(begun, end),
	})
	stop, stopBeats := runs(t, p.reconciler.Run), runs(t, p.session.Run)
	id := p.tenant(t, 1)
	<-begun
	stopBeats()
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	version := func() int64 {
		all, err := p.store.Sessions(t.Context())
		if err != nil || len(all) != 1 {
			t.Errorf("%d sessions, %v", len(all), err)
			return 1 << 60
		}
		return all[0].Version
	}
	was := version()
	until(t, "the session beats on, or others would take the attempt over", func() bool { return version() > was+2 })
	close(end)
	<-stopped
	p.state(t, id, stalwart, ok)
	if err := p.session.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, err := p.store.Sessions(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%d sessions are left, %v", len(all), err)
	}
}

func TestStoppingCutsOffWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	clock := clocktest.New(noon)
	p := start(t, storetest.New(t), clock, patient(), map[platform.Integration]platform.Provisioner{
		stalwart: untilTold(begun, nil),
	})
	stop := runs(t, p.reconciler.Run)
	id := p.tenant(t, 1)
	<-begun
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	until(t, "it has stopped", func() bool {
		clock.Advance(graceTime / 4)
		select {
		case <-stopped:
			return true
		default:
			return false
		}
	})
	if s := p.step(t, id, stalwart); s.State != platform.ProvisioningStateRunning {
		t.Errorf("the step is %s, want it left to whoever takes over", s.State)
	}
}

// away is a store that keeps nothing while it is away.
type away struct {
	platform.Store
	away *atomic.Bool
}

func (a away) Keep(ctx context.Context, do func(platform.Book) error) error {
	if a.away.Load() {
		return platform.Errorf(platform.Unavailable, "The database does not answer.")
	}
	return a.Store.Keep(ctx, do)
}

func TestAResultWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	var gone atomic.Bool
	var calls atomic.Int32
	clock := clocktest.New(noon)
	every := patient()
	every.Look = time.Second
	p := start(t, away{storetest.New(t), &gone}, clock, every, map[platform.Integration]platform.Provisioner{
		stalwart: apply(func(ctx context.Context, s platform.Step) (string, error) {
			calls.Add(1)
			gone.Store(true)
			return good(ctx, s)
		}),
	})
	runs(t, p.reconciler.Run)
	id := p.tenant(t, 1)
	for range 3 {
		// The two loops of the reconciler, and the report.
		if err := clock.Sleeping(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Second)
	}
	if s := p.step(t, id, stalwart); s.State != platform.ProvisioningStateRunning {
		t.Errorf("the step is %s", s.State)
	}
	gone.Store(false)
	if err := clock.Sleeping(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	until(t, "the result is written", func() bool {
		clock.Advance(time.Second)
		return p.step(t, id, stalwart).State == ok
	})
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls, want one", n)
	}
}

func TestSweepForgetsWhatIsOld(t *testing.T) {
	t.Parallel()
	p, clock := single(t, nil)
	id := p.tenant(t, 1)
	p.state(t, id, stalwart, skipped)
	p.reconciler.sweep(t.Context())
	if past, err := p.store.EventsAfter(t.Context(), id, 0, 10); err != nil || len(past) != 2 {
		t.Errorf("%d events, %v; want those of today", len(past), err)
	}
	clock.Advance(keepFor + time.Second)
	p.reconciler.sweep(t.Context())
	if past, err := p.store.EventsAfter(t.Context(), id, 0, 10); err != nil || len(past) != 0 {
		t.Errorf("%d events, %v; want none after a week", len(past), err)
	}
}
