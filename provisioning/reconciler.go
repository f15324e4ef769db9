package provisioning

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dezky/platform/platform"
)

// Bounds of the work of one process.
const (
	// callTime is the longest that one attempt may take.
	callTime = 30 * time.Second
	// graceTime is how long the attempts of a process that stops may still go on.
	graceTime = 5 * time.Second
	// parallelSubjects is how many subjects are worked on at once, and
	// parallelSteps how many of their steps in one outside system.
	parallelSubjects = 512
	parallelSteps    = 8
	// sweepEvery is how often what is old is forgotten, and keepFor how old that
	// is: attempts, and events to resume from (C-7).
	sweepEvery = time.Hour
	keepFor    = 7 * 24 * time.Hour
)

// Reconciler carries out steps.
type Reconciler struct {
	platform *platform.Platform
	store    platform.Store
	session  *Session
	via      map[platform.Integration]platform.Provisioner
	clock    platform.Clock
	log      *slog.Logger
	look     time.Duration
	spread   func() float64

	poked    chan struct{}
	subjects chan struct{}
	steps    map[platform.Integration]chan struct{}
	running  sync.WaitGroup
	calls    context.Context
}

// New makes a reconciler. An integration that is not in via is not used here:
// its steps are skipped (C-2). Spread gives numbers from 0 to 1 that spread
// retries.
func New(
	p *platform.Platform, store platform.Store, session *Session,
	via map[platform.Integration]platform.Provisioner, clock platform.Clock, log *slog.Logger, spread func() float64,
) *Reconciler {
	r := &Reconciler{
		platform: p, store: store, session: session, via: via, clock: clock, log: log, look: session.every.Look, spread: spread,
		poked:    make(chan struct{}, 1),
		subjects: make(chan struct{}, parallelSubjects),
		steps:    map[platform.Integration]chan struct{}{},
	}
	for i := range via {
		r.steps[i] = make(chan struct{}, parallelSteps)
	}
	return r
}

// Poke says that something may be due. It never blocks, and nothing is lost
// without it: it only spares the wait until the next look.
func (r *Reconciler) Poke() {
	select {
	case r.poked <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, and then waits until the attempts that are under
// way are written down.
func (r *Reconciler) Run(ctx context.Context) error {
	// Attempts outlive ctx by the grace; what is then still under way is cut off
	// and left to whoever takes over.
	calls, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() {
		if r.clock.Sleep(calls, graceTime) == nil {
			cut()
		}
	})()
	r.calls = calls
	var ticks, beats sync.WaitGroup
	ticks.Go(func() {
		for ctx.Err() == nil {
			r.takeOver(ctx)
			r.Poke()
			r.session.await(ctx, r.look) //nolint:errcheck // ends with ctx
		}
	})
	ticks.Go(func() {
		for r.clock.Sleep(ctx, sweepEvery) == nil {
			r.sweep(ctx)
		}
	})
	for r.wait(ctx) {
		r.takeDue(ctx)
	}
	ticks.Wait()
	// The session's own Run has most likely ended with ctx; without a beat others
	// would declare it dead while attempts are still under way.
	beats.Go(func() { r.session.Run(calls) }) //nolint:errcheck // ends with calls
	r.running.Wait()
	cut()
	beats.Wait()
	return nil
}

func (r *Reconciler) wait(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-r.poked:
		return true
	}
}

// takeDue claims what is due and nobody's, or this session's own.
func (r *Reconciler) takeDue(ctx context.Context) {
	session := r.session.ID()
	for _, owner := range []platform.ID{"", session} {
		if !r.session.Fresh() {
			return
		}
		free := cap(r.subjects) - len(r.subjects)
		if free == 0 {
			return // whoever ends pokes
		}
		due, err := r.store.DueProvisionings(ctx, owner, platform.At(r.clock.Now()), free)
		if err != nil {
			r.complain(ctx, "what is due cannot be read", err)
			return
		}
		for _, subject := range due {
			r.take(ctx, subject, session, owner)
		}
	}
}

// takeOver claims what dead sessions hold.
func (r *Reconciler) takeOver(ctx context.Context) {
	dead, err := r.session.orphans(ctx)
	if err != nil {
		r.complain(ctx, "the sessions cannot be read", err)
		return
	}
	session := r.session.ID()
	for _, owner := range dead {
		free := cap(r.subjects) - len(r.subjects)
		if free == 0 {
			return
		}
		held, err := r.store.ProvisioningsOwnedBy(ctx, owner, free)
		if err != nil {
			r.complain(ctx, "what a dead session holds cannot be read", err)
			return
		}
		for _, subject := range held {
			r.take(ctx, subject, session, owner)
		}
	}
}

// take claims a subject and carries out its steps, each on its own.
func (r *Reconciler) take(ctx context.Context, subject, session, owner platform.ID) {
	if ctx.Err() != nil || !r.session.Fresh() {
		return
	}
	r.subjects <- struct{}{}
	steps, err := r.platform.ClaimSteps(ctx, subject, session, owner, r.can)
	if err != nil {
		<-r.subjects
		r.complain(ctx, "a subject cannot be claimed", err)
		return
	}
	var all sync.WaitGroup
	for _, step := range steps {
		all.Go(func() { r.carryOut(r.calls, session, step) })
	}
	r.running.Go(func() {
		all.Wait()
		<-r.subjects
		r.Poke()
	})
}

func (r *Reconciler) can(i platform.Integration) bool { return r.via[i] != nil }

// carryOut makes one attempt. Whatever happens out there, it ends in a state,
// and there is time left to write that state down. One whose session dies is
// dropped, before or after its call: whoever takes over begins anew.
func (r *Reconciler) carryOut(ctx context.Context, session platform.ID, step platform.Step) {
	slots := r.steps[step.Integration]
	slots <- struct{}{}
	live, end := r.session.WithLife(ctx, session)
	defer end()
	result := r.apply(live, step)
	<-slots
	if live.Err() != nil {
		return
	}
	if result.Err != nil && !errors.Is(result.Err, platform.ErrSkip) {
		r.log.WarnContext(ctx, "step failed", "subject", step.Subject, "integration", step.Integration,
			"attempt", step.Attempt, "requestId", step.RequestID, "err", result.Err)
	}
	r.report(live, session, step, result)
}

// apply lets the provisioner do its work, unless ctx, the session's life, has
// ended while the step waited for its turn: then another may be at it.
func (r *Reconciler) apply(ctx context.Context, step platform.Step) (result platform.StepResult) {
	if err := ctx.Err(); err != nil {
		return platform.StepResult{Err: err}
	}
	call, cancel := r.clock.WithTimeout(ctx, callTime)
	defer cancel()
	defer func() {
		if cause := recover(); cause != nil {
			result = platform.StepResult{Err: fmt.Errorf("panic: %v\n%s", cause, debug.Stack()), Panicked: true}
		}
	}()
	handle, err := r.via[step.Integration].Apply(call, step)
	return platform.StepResult{Handle: handle, Err: err}
}

// report writes a result down. While the database is away it waits for it, as
// long as the session lives.
func (r *Reconciler) report(ctx context.Context, session platform.ID, step platform.Step, result platform.StepResult) {
	for {
		err := r.platform.ReportStep(ctx, session, step, result, r.spread())
		if err == nil {
			return
		}
		r.complain(ctx, "a result cannot be written down", err)
		if r.clock.Sleep(ctx, r.look) != nil {
			return
		}
	}
}

// sweep forgets what is too old to be asked for.
func (r *Reconciler) sweep(ctx context.Context) {
	before := platform.At(r.clock.Now()).Add(-keepFor)
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = r.store.Prune(ctx, before); err != nil {
			r.complain(ctx, "old events cannot be forgotten", err)
			return
		}
	}
}

func (r *Reconciler) complain(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		r.log.WarnContext(ctx, what, "err", err)
	}
}
