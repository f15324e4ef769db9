package platform

import (
	"errors"
	"time"
)

// ProvisioningState is how far a step, or a subject as a whole, has come.
type ProvisioningState string

// The states (C-1).
const (
	ProvisioningStatePending ProvisioningState = "PENDING"
	ProvisioningStateRunning ProvisioningState = "RUNNING"
	ProvisioningStateOK      ProvisioningState = "OK"
	ProvisioningStateSkipped ProvisioningState = "SKIPPED"
	ProvisioningStateError   ProvisioningState = "ERROR"
)

// ProvisioningStep is what one outside system has of a subject.
type ProvisioningStep struct {
	Integration Integration       `json:"integration"`
	State       ProvisioningState `json:"state"`
	// Message is a sentence for the person who waits; "" while all is well.
	Message string `json:"message,omitempty"`
	// Cause is for operators: what the outside system said.
	Cause string `json:"cause,omitempty"`
	// Handle is the outside object's own ID.
	Handle   string `json:"handle,omitempty"`
	Attempts int32  `json:"attempts"`
	// Failures counts those since the last success, or since somebody had it
	// tried again.
	Failures  int32  `json:"failures,omitempty"`
	Panics    int32  `json:"panics,omitempty"`
	Started   *Time  `json:"started,omitempty"`
	Finished  *Time  `json:"finished,omitempty"`
	NextTry   *Time  `json:"nextTry,omitempty"`
	RequestID string `json:"requestId,omitempty"`
	// Done of Total is how far a step has come that goes through many things; zero
	// for one that does not.
	Done  int32 `json:"done,omitempty"`
	Total int32 `json:"total,omitempty"`
	// OpenUntil is until when what the step shut may still be used by whoever had it
	// open: mail connections outlive a freeze (E-2).
	OpenUntil *Time `json:"openUntil,omitempty"`

	// Generation is the generation of the subject that the running or last
	// attempt was made for.
	Generation int32 `json:"generation"`
	// Delay is how long NextTry was away when it was set. Who takes the step over
	// from a dead process waits all of it, by their own clock.
	Delay time.Duration `json:"delay,omitempty"`
	// LookAt is when to look once more for a second outside object, after an
	// attempt whose calls may still land. Such a look is no attempt and no event.
	LookAt  *Time `json:"lookAt,omitempty"`
	Looking bool  `json:"looking,omitempty"`
	// Doubt says that an earlier attempt's calls may still land.
	Doubt bool `json:"doubt,omitempty"`
}

// How a failing step is tried again (C-5).
const (
	firstDelay   = time.Second
	longestDelay = 5 * time.Minute
	longestWait  = time.Minute
	// lookDelay is longer than any call to an outside system.
	lookDelay = 30 * time.Second
	// failedAfter is from which failure on a step is somebody's to look at.
	failedAfter = 8
	// panicsAllowed is after how many panics a step stops.
	panicsAllowed = 3
)

// StepResult is how an attempt ended: with the outside object's handle, or with
// an error that says what follows.
type StepResult struct {
	Handle   string
	Err      error
	Panicked bool
}

// settled says that the step waits for nothing.
func (s *ProvisioningStep) settled() bool {
	return s.State == ProvisioningStateOK || s.State == ProvisioningStateSkipped
}

// failing says that somebody should look at the step: it will not mend itself,
// or has not for long, also while it is tried once more.
func (s *ProvisioningStep) failing() bool {
	return s.State == ProvisioningStateError && s.NextTry == nil || s.Failures >= failedAfter
}

// dueAt is when the step is next to be taken up; nil is never. While somebody
// looks, it waits for them: two calls at once could make two of one thing.
func (s *ProvisioningStep) dueAt() *Time {
	switch {
	case s.Looking:
		return nil
	case s.State == ProvisioningStatePending && s.NextTry != nil: // it waits for another subject
		return s.NextTry
	case s.State == ProvisioningStatePending:
		return &Time{} // at once, whatever anybody's clock says
	case s.State == ProvisioningStateError && s.NextTry != nil:
		return s.NextTry
	case s.settled() && s.LookAt != nil:
		return s.LookAt
	}
	return nil
}

// start begins an attempt.
func (s *ProvisioningStep) start(now Time, generation int32, requestID string) {
	s.State, s.Started, s.Finished, s.NextTry, s.Delay = ProvisioningStateRunning, &now, nil, nil, 0
	s.Attempts++
	s.Generation, s.RequestID = generation, requestID
}

// orphan is for a step whose process died: its calls may still land, and what
// it waited for is waited for again in full.
func (s *ProvisioningStep) orphan(now Time) {
	switch {
	case s.State == ProvisioningStateRunning:
		s.State, s.Doubt = ProvisioningStatePending, true
	case s.State == ProvisioningStateError && s.NextTry != nil:
		next := now.Add(s.Delay)
		s.NextTry = &next
	}
	s.Looking = false
}

// wait puts the step off until what it needs of another subject is there. Whoever
// brings that about wakes it; without that it looks again, ever more rarely.
func (s *ProvisioningStep) wait(now Time) {
	s.Delay = min(max(2*s.Delay, firstDelay), longestWait)
	next := now.Add(s.Delay)
	s.NextTry = &next
}

// wake ends such a wait, and says if there was one.
func (s *ProvisioningStep) wake() bool {
	if s.State != ProvisioningStatePending || s.NextTry == nil {
		return false
	}
	s.NextTry, s.Delay = nil, 0
	return true
}

// finish writes down how an attempt ended. Spread is a random number from 0 to
// 1: it spreads retries, so that they do not come all at once.
func (s *ProvisioningStep) finish(now Time, r StepResult, spread float64) {
	s.Finished = &now
	if r.Handle != "" {
		s.Handle = r.Handle
	}
	switch {
	case errors.Is(r.Err, ErrSkip):
		s.calm(ProvisioningStateSkipped)
	case r.Err == nil:
		s.calm(ProvisioningStateOK)
		if s.Doubt {
			look := now.Add(lookDelay)
			s.LookAt, s.Doubt = &look, false
		}
	default:
		s.fail(now, r, spread)
	}
}

func (s *ProvisioningStep) calm(state ProvisioningState) {
	s.State, s.Message, s.Cause = state, "", ""
	s.Failures, s.Panics, s.NextTry, s.Delay = 0, 0, nil, 0
}

func (s *ProvisioningStep) fail(now Time, r StepResult, spread float64) {
	s.State, s.Message, s.Cause = ProvisioningStateError, MessageOf(r.Err), shortCause(r.Err)
	s.Failures++
	s.Doubt = s.Doubt || CodeOf(r.Err) == Unavailable && CanPass(r.Err)
	if r.Panicked {
		s.Panics++
	}
	s.NextTry, s.Delay = nil, 0
	if !CanPass(r.Err) || s.Panics >= panicsAllowed {
		return
	}
	s.Delay = retryDelay(s.Failures, RetryAfter(r.Err), spread)
	next := now.Add(s.Delay)
	s.NextTry = &next
}

// retryDelay doubles with each failure up to its cap, spread over its upper
// half; what an outside system asked for goes first, is never undercut, and
// overdone by a tenth at the most.
func retryDelay(failures int32, asked time.Duration, spread float64) time.Duration {
	if asked > 0 {
		return asked + time.Duration(float64(asked/10)*spread)
	}
	delay := longestDelay
	if failures < 16 {
		delay = min(longestDelay, firstDelay<<(failures-1))
	}
	return delay/2 + time.Duration(float64(delay/2)*spread)
}

// again makes the step due at once, with its counts at zero.
func (s *ProvisioningStep) again() {
	if s.State == ProvisioningStateRunning {
		return // its report will see that the generation has gone on
	}
	s.calm(ProvisioningStatePending)
}

// shortCause is what an operator reads: the whole chain, cut.
func shortCause(err error) string {
	const longest = 500
	text := err.Error()
	if len(text) > longest {
		return text[:longest] + "…"
	}
	return text
}
