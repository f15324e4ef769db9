package platform

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		failures int32
		asked    time.Duration
		from, to time.Duration
		reason   string
	}{
		"first":        {1, 0, 500 * time.Millisecond, time.Second, "soon: most causes pass at once"},
		"second":       {2, 0, time.Second, 2 * time.Second, "doubled"},
		"third":        {3, 0, 2 * time.Second, 4 * time.Second, "doubled"},
		"eighth":       {8, 0, 64 * time.Second, 128 * time.Second, "doubled"},
		"ninth":        {9, 0, 128 * time.Second, 256 * time.Second, "doubled"},
		"tenth":        {10, 0, 150 * time.Second, 300 * time.Second, "the cap"},
		"sixteenth":    {16, 0, 150 * time.Second, 300 * time.Second, "the cap"},
		"after a year": {1 << 30, 0, 150 * time.Second, 300 * time.Second, "a shift that overflows is no delay"},
		"asked":        {1, 10 * time.Second, 10 * time.Second, 11 * time.Second, "never early, a tenth late at most"},
		"asked less":   {9, 10 * time.Second, 10 * time.Second, 11 * time.Second, "also where the own delay would be longer"},
		"asked more":   {9, time.Hour, time.Hour, 66 * time.Minute, "also beyond the cap"},
		"asked little": {1, 1, 1, 1, "a nanosecond has no tenth"},
	} {
		for spread, want := range map[float64]time.Duration{0: test.from, 1: test.to} {
			if got := retryDelay(test.failures, test.asked, spread); got != want {
				t.Errorf("%s (%s), spread %v: got %v, want %v", name, test.reason, spread, got, want)
			}
		}
		for _, spread := range []float64{0.01, 0.5, 0.99} {
			if got := retryDelay(test.failures, test.asked, spread); got < test.from || got > test.to {
				t.Errorf("%s, spread %v: got %v, want %v to %v", name, spread, got, test.from, test.to)
			}
		}
	}
}

// one is a subject with one step, and what happens to it in a test.
type one struct {
	*Provisioning
	now Time
}

func newOne() *one {
	return &one{NewProvisioning("ten_a", "ten_a", []Integration{IntegrationStalwart}, noon), noon}
}

func everything(Integration) bool { return true }
func nothing(Integration) bool    { return false }

func (o *one) step() *ProvisioningStep { return o.Steps[0] }

// claim takes the step for a session, as its attempt or, when it is due to be
// looked at, as a look.
func (o *one) claimBy(t *testing.T, session ID, orphaned bool) Step {
	t.Helper()
	due, _ := o.claim(o.now, session, orphaned, everything, everything, "run_1")
	if len(due) != 1 {
		t.Fatalf("claimed %d steps, want one: %+v", len(due), o.step())
	}
	return Step{Subject: o.ID, Integration: due[0].Integration, Handle: due[0].Handle, Attempt: due[0].Attempts}
}

// try makes an attempt that ends with r.
func (o *one) try(t *testing.T, r StepResult) {
	t.Helper()
	attempt := o.claimBy(t, "ses_a", false)
	if _, taken := o.report(o.now, "ses_a", attempt, r, 1); !taken {
		t.Fatalf("the report was dropped: %+v", o.step())
	}
}

// wait moves on to when the step is due.
func (o *one) wait(t *testing.T) {
	t.Helper()
	if o.DueAt == nil {
		t.Fatalf("nothing is due: %+v", o.step())
	}
	if o.DueAt.After(o.now.Time) {
		o.now = *o.DueAt
	}
}

func failure() StepResult {
	return StepResult{Err: Errorf(Internal, "no").Because(errors.New("503"))}
}

func TestStepSucceeds(t *testing.T) {
	t.Parallel()
	o := newOne()
	attempt := o.claimBy(t, "ses_a", false)
	if s := o.step(); s.State != ProvisioningStateRunning || s.Attempts != 1 || s.Started == nil || s.Generation != 1 || s.RequestID != "run_1" {
		t.Errorf("claimed: got %+v", s)
	}
	if o.Owner != "ses_a" || o.DueAt != nil || !o.Open {
		t.Errorf("claimed: got owner %q, due %v, open %v", o.Owner, o.DueAt, o.Open)
	}
	if due, loud := o.claim(o.now, "ses_a", false, everything, everything, ""); len(due) != 0 || loud {
		t.Errorf("what runs was claimed again: %v, %v", due, loud)
	}
	loud, taken := o.report(o.now.Add(time.Second), "ses_a", attempt, StepResult{Handle: "d1"}, 0)
	if s := o.step(); !loud || !taken || s.State != ProvisioningStateOK || s.Handle != "d1" || s.Message != "" || s.Finished == nil || s.LookAt != nil {
		t.Errorf("reported: loud %v, taken %v, %+v", loud, taken, s)
	}
	if o.Owner != "" || o.DueAt != nil || o.Open {
		t.Errorf("reported: got owner %q, due %v, open %v; want a settled subject of nobody", o.Owner, o.DueAt, o.Open)
	}
	if _, taken := o.report(o.now, "ses_a", attempt, StepResult{Handle: "d2"}, 0); taken || o.step().Handle != "d1" {
		t.Error("a second report of one attempt was taken")
	}
}

func TestStepsThatAreNotUsedAreSkipped(t *testing.T) {
	t.Parallel()
	o := newOne()
	if due, loud := o.claim(o.now, "ses_a", false, nothing, everything, ""); len(due) != 0 || !loud {
		t.Errorf("got %d steps, loud %v", len(due), loud)
	}
	if s := o.step(); s.State != ProvisioningStateSkipped || s.Attempts != 0 || o.Open || o.Owner != "" {
		t.Errorf("got %+v, open %v, owner %q", s, o.Open, o.Owner)
	}
	o = newOne()
	o.try(t, StepResult{Err: fmt.Errorf("no mail: %w", ErrSkip)})
	if s := o.step(); s.State != ProvisioningStateSkipped || s.Failures != 0 || s.Message != "" || o.Open {
		t.Errorf("the provisioner skips: got %+v, open %v", s, o.Open)
	}
}

func TestStepRetriesForEverAndIsListedFromTheEighthFailure(t *testing.T) {
	t.Parallel()
	o := newOne()
	var since Time
	for n := int32(1); n <= 20; n++ {
		o.now = o.now.Add(time.Second) // a call takes a while
		o.try(t, failure())
		s := o.step()
		if s.State != ProvisioningStateError || s.Failures != n || s.Attempts != n || s.NextTry == nil || !o.Open || o.Owner != "ses_a" {
			t.Fatalf("failure %d: got %+v, open %v, owner %q", n, s, o.Open, o.Owner)
		}
		if got, want := s.NextTry.Sub(o.now.Time), retryDelay(n, 0, 1); got != want || s.Delay != want {
			t.Errorf("failure %d: tried again in %v (noted %v), want %v", n, got, s.Delay, want)
		}
		if due, _ := o.claim(o.now.Add(s.Delay-1), "ses_a", false, everything, everything, ""); len(due) != 0 {
			t.Errorf("failure %d: claimed before its time", n)
		}
		if n == 8 {
			since = o.now
		}
		if failing := o.FailingSince != nil; failing != (n >= 8) || failing && *o.FailingSince != since {
			t.Errorf("failure %d: failing since %v, want since the eighth, %v", n, o.FailingSince, since)
		}
		o.wait(t)
	}
	o.try(t, StepResult{Handle: "d1"})
	if s := o.step(); o.FailingSince != nil || s.Failures != 0 || s.Message != "" || s.Cause != "" || s.NextTry != nil || s.Attempts != 21 {
		t.Errorf("after the success: failing since %v, %+v", o.FailingSince, s)
	}
}

func TestStepFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		result  StepResult
		message string
		delay   time.Duration // 0: not by itself
		failing bool
		reason  string
	}{
		"can pass":   {failure(), "Something went wrong on our side.", time.Second, false, "what is not known can pass"},
		"for people": {StepResult{Err: Errorf(Unavailable, "The mail server does not answer.")}, "The mail server does not answer.", time.Second, false, "our own sentence"},
		"asked":      {StepResult{Err: Errorf(Unavailable, "Busy.").After(time.Minute)}, "Busy.", 66 * time.Second, false, "Retry-After"},
		"never":      {StepResult{Err: Errorf(Conflict, "It is somebody else's.").Never()}, "It is somebody else's.", 0, true, "listed at once, and not tried again"},
		"panic":      {StepResult{Err: errors.New("panic: x"), Panicked: true}, "Something went wrong on our side.", time.Second, false, "the first may pass"},
	} {
		o := newOne()
		o.try(t, test.result)
		s := o.step()
		if s.Message != test.message || s.Delay != test.delay || (s.NextTry != nil) != (test.delay > 0) || (o.FailingSince != nil) != test.failing {
			t.Errorf("%s (%s): got %+v, failing since %v", name, test.reason, s, o.FailingSince)
		}
		if test.delay == 0 && (o.Owner != "" || o.DueAt != nil) {
			t.Errorf("%s: owner %q, due %v; want a subject that is left alone", name, o.Owner, o.DueAt)
		}
	}
	o := newOne()
	o.try(t, StepResult{Err: errors.New(strings.Repeat("x", 1<<16))})
	if n := len(o.step().Cause); n > 600 {
		t.Errorf("the cause has %d bytes", n)
	}
}

func TestPanicsStopAfterTheThird(t *testing.T) {
	t.Parallel()
	o, panicked := newOne(), StepResult{Err: errors.New("panic: x"), Panicked: true}
	for n := 1; n <= 3; n++ {
		o.try(t, panicked)
		if n < 3 {
			o.wait(t)
		}
	}
	if s := o.step(); s.NextTry != nil || s.State != ProvisioningStateError || o.FailingSince == nil || o.DueAt != nil || o.Owner != "" {
		t.Errorf("after the third: got %+v, failing since %v, due %v", s, o.FailingSince, o.DueAt)
	}
	if err := o.retry(IntegrationStalwart, o.now); err != nil {
		t.Fatal(err)
	}
	if s := o.step(); s.State != ProvisioningStatePending || s.Panics != 0 || s.Failures != 0 || o.FailingSince != nil || s.Attempts != 3 {
		t.Errorf("tried again by a person: got %+v, failing since %v", s, o.FailingSince)
	}
	o.try(t, panicked)
	if o.step().NextTry == nil {
		t.Error("the counts did not begin anew")
	}
}

func TestRetryIsForWhatFailed(t *testing.T) {
	t.Parallel()
	o := newOne()
	if got := refusal(o.retry(IntegrationStripe, o.now)); got != "INVALID integration" {
		t.Errorf("a step that is not there: got %q", got)
	}
	if got := refusal(o.retry(IntegrationStalwart, o.now)); got != "CONFLICT integration" {
		t.Errorf("a step that waits: got %q", got)
	}
	o.claimBy(t, "ses_a", false)
	if got := refusal(o.retry(IntegrationStalwart, o.now)); got != "CONFLICT integration" {
		t.Errorf("a step that runs: got %q", got)
	}
}

func TestRaisedWhileRunningRunsAgainAndKeepsItsHandle(t *testing.T) {
	t.Parallel()
	for name, result := range map[string]StepResult{"succeeds": {Handle: "d1"}, "fails": {Handle: "d1", Err: errors.New("x")}} {
		o := newOne()
		attempt := o.claimBy(t, "ses_a", false)
		o.Raise(o.now)
		if o.step().State != ProvisioningStateRunning || o.DueAt != nil || o.Owner != "ses_a" {
			t.Fatalf("%s: raised while it runs: %+v", name, o.step())
		}
		if loud, taken := o.report(o.now, "ses_a", attempt, result, 0); !loud || !taken {
			t.Errorf("%s: loud %v, taken %v", name, loud, taken)
		}
		if s := o.step(); s.State != ProvisioningStatePending || s.Handle != "d1" || s.Failures != 0 || o.Owner != "" || !o.Open {
			t.Errorf("%s: got %+v, owner %q, open %v; want it due again, with its handle", name, s, o.Owner, o.Open)
		}
		if again := o.claimBy(t, "ses_b", false); again.Handle != "d1" || again.Attempt != 2 || o.step().Generation != 2 {
			t.Errorf("%s: the second attempt: %+v of generation %d", name, again, o.step().Generation)
		}
	}
}

func TestOrphanIsTakenOver(t *testing.T) {
	t.Parallel()
	o := newOne()
	dead := o.claimBy(t, "ses_dead", false)
	o.now = o.now.Add(3 * time.Second)
	mine := o.claimBy(t, "ses_b", true)
	if o.Owner != "ses_b" || mine.Attempt != 2 || !o.step().Doubt {
		t.Errorf("taken over: owner %q, attempt %d, %+v", o.Owner, mine.Attempt, o.step())
	}
	if _, taken := o.report(o.now, "ses_dead", dead, StepResult{Handle: "late"}, 0); taken || o.step().Handle != "" {
		t.Error("the dead session's report was taken")
	}
	if _, taken := o.report(o.now, "ses_b", dead, StepResult{Handle: "late"}, 0); taken {
		t.Error("a report of an earlier attempt was taken")
	}
	if _, taken := o.report(o.now, "ses_b", mine, StepResult{Handle: "d1"}, 0); !taken {
		t.Fatal("the own report was dropped")
	}
	if s := o.step(); s.State != ProvisioningStateOK || s.LookAt == nil || s.LookAt.Sub(o.now.Time) != 30*time.Second || s.Doubt || o.Open || o.Owner != "" {
		t.Errorf("got %+v, open %v, owner %q; want it done, and a look in 30 seconds", s, o.Open, o.Owner)
	}
}

func TestOrphanWaitsAllOfItsDelay(t *testing.T) {
	t.Parallel()
	o := newOne()
	o.try(t, StepResult{Err: Errorf(Unavailable, "Busy.").After(time.Minute)})
	delay := o.step().Delay
	o.now = o.now.Add(50 * time.Second) // or a clock that runs ahead
	if due, loud := o.claim(o.now, "ses_b", true, everything, everything, ""); len(due) != 0 || loud {
		t.Errorf("taken over: got %v, loud %v", due, loud)
	}
	if got := o.step().NextTry.Sub(o.now.Time); got != delay || o.Owner != "ses_b" {
		t.Errorf("waits another %v for %q, want %v by the clock of who took it over", got, o.Owner, delay)
	}
}

// doubtful is a step whose first attempt may still land, and whose second was
// done.
func doubtful(t *testing.T) *one {
	t.Helper()
	o := newOne()
	o.try(t, StepResult{Err: Errorf(Unavailable, "It timed out.")})
	o.wait(t)
	o.try(t, StepResult{Handle: "d1"})
	if s := o.step(); s.LookAt == nil || s.State != ProvisioningStateOK || o.Open {
		t.Fatalf("got %+v, open %v", s, o.Open)
	}
	return o
}

func TestALookIsNoAttemptAndNoEvent(t *testing.T) {
	t.Parallel()
	o := doubtful(t)
	if due, _ := o.claim(o.now.Add(lookDelay-1), "ses_a", false, everything, everything, ""); len(due) != 0 {
		t.Error("looked too early")
	}
	o.wait(t)
	attempts, started := o.step().Attempts, o.step().Started
	due, loud := o.claim(o.now, "ses_a", false, everything, everything, "run_look")
	if s := o.step(); len(due) != 1 || loud || s.State != ProvisioningStateOK || s.Attempts != attempts || s.Started != started || o.Open || o.Owner != "ses_a" {
		t.Errorf("the look: %d due, loud %v, %+v, open %v, owner %q", len(due), loud, s, o.Open, o.Owner)
	}
	look := Step{Integration: IntegrationStalwart, Attempt: attempts}
	if due, _ := o.claim(o.now, "ses_a", false, everything, everything, ""); len(due) != 0 {
		t.Error("two looks at once")
	}
	if loud, taken := o.report(o.now, "ses_a", look, StepResult{Handle: "d0"}, 0); loud || !taken {
		t.Errorf("its report: loud %v, taken %v", loud, taken)
	}
	if s := o.step(); s.Handle != "d0" || s.LookAt != nil || o.DueAt != nil || o.Owner != "" {
		t.Errorf("after it: %+v, due %v, owner %q", s, o.DueAt, o.Owner)
	}
}

func TestALookThatFailsIsMadeAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err   error
		again bool
	}{
		"can pass": {Errorf(Unavailable, "x"), true}, "cannot": {Errorf(Invalid, "x").Never(), false},
	} {
		o := doubtful(t)
		o.wait(t)
		look := o.claimBy(t, "ses_a", false)
		o.report(o.now, "ses_a", look, StepResult{Err: test.err}, 0)
		if s := o.step(); s.State != ProvisioningStateOK || s.Message != "" || (s.LookAt != nil) != test.again || test.again && s.LookAt.Sub(o.now.Time) != lookDelay {
			t.Errorf("%s: got %+v", name, s)
		}
	}
}

func TestRaisedWhileLookingWaitsForTheLook(t *testing.T) {
	t.Parallel()
	o := doubtful(t)
	o.wait(t)
	look := o.claimBy(t, "ses_a", false)
	o.Raise(o.now)
	if due, _ := o.claim(o.now, "ses_a", false, everything, everything, ""); len(due) != 0 || o.DueAt != nil {
		t.Fatalf("an attempt beside a look: two calls at once for one step")
	}
	if !o.Open || o.step().State != ProvisioningStatePending {
		t.Errorf("raised: open %v, %+v", o.Open, o.step())
	}
	if _, taken := o.report(o.now, "ses_a", look, StepResult{Handle: "d0"}, 0); !taken {
		t.Fatal("the look's report was dropped")
	}
	o.try(t, StepResult{})
	if s := o.step(); s.State != ProvisioningStateOK || s.Handle != "d0" || o.Open {
		t.Errorf("in the end: %+v, open %v", s, o.Open)
	}
}

func TestALookThatDiedIsMadeAgain(t *testing.T) {
	t.Parallel()
	o := doubtful(t)
	o.wait(t)
	o.claimBy(t, "ses_dead", false)
	due, loud := o.claim(o.now, "ses_b", true, everything, everything, "")
	if len(due) != 1 || loud || o.Owner != "ses_b" || o.step().State != ProvisioningStateOK {
		t.Errorf("got %d due, loud %v, owner %q, %+v", len(due), loud, o.Owner, o.step())
	}
}

func TestALookThatNobodyCanMakeIsLeft(t *testing.T) {
	t.Parallel()
	o := doubtful(t)
	o.wait(t)
	if due, loud := o.claim(o.now, "ses_a", false, nothing, everything, ""); len(due) != 0 || loud {
		t.Errorf("got %d due, loud %v", len(due), loud)
	}
	if s := o.step(); s.State != ProvisioningStateOK || s.LookAt != nil || o.DueAt != nil || o.Owner != "" {
		t.Errorf("got %+v, due %v, owner %q", s, o.DueAt, o.Owner)
	}
}
