package platform

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSettle(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) *Time { v := noon.Add(d); return &v }
	step := func(s ProvisioningState) *ProvisioningStep { return &ProvisioningStep{State: s} }
	waiting := func(d time.Duration, failures int32) *ProvisioningStep {
		return &ProvisioningStep{State: ProvisioningStateError, NextTry: at(d), Failures: failures}
	}
	looking := &ProvisioningStep{State: ProvisioningStateOK, LookAt: at(0), Looking: true}
	type all = []*ProvisioningStep
	for name, test := range map[string]struct {
		steps   all
		owner   ID
		due     *Time
		open    bool
		failing bool
		reason  string
	}{
		"no steps":        {nil, "", nil, false, false, "nothing to wait for"},
		"all done":        {all{step(ProvisioningStateOK), step(ProvisioningStateSkipped)}, "", nil, false, false, "settled, and nobody's"},
		"new":             {all{step(ProvisioningStatePending), step(ProvisioningStateOK)}, "", &Time{}, true, false, "due at once, whatever anybody's clock says"},
		"runs":            {all{step(ProvisioningStateRunning), step(ProvisioningStateOK)}, "ses_a", nil, true, false, "held while it runs"},
		"waits":           {all{waiting(time.Minute, 1), waiting(time.Second, 1)}, "ses_a", at(time.Second), true, false, "held while it waits, due by the earliest"},
		"runs and is new": {all{step(ProvisioningStateRunning), step(ProvisioningStatePending)}, "ses_a", &Time{}, true, false, "due for its owner"},
		"failing":         {all{waiting(time.Minute, 8)}, "ses_a", at(time.Minute), true, true, "from the eighth"},
		"stopped":         {all{{State: ProvisioningStateError, Failures: 1}}, "", nil, true, true, "somebody has to look, and nobody holds it"},
		"to be looked at": {all{{State: ProvisioningStateOK, LookAt: at(time.Second)}}, "", at(time.Second), false, false, "settled all the same"},
		"looked at":       {all{looking}, "ses_a", nil, false, false, "held while somebody looks"},
	} {
		p := &Provisioning{Owner: "ses_a", Steps: test.steps}
		p.settle(noon)
		var since *Time
		if test.failing {
			since = &noon
		}
		want := &Provisioning{Owner: test.owner, DueAt: test.due, Open: test.open, FailingSince: since, ChangedAt: noon, Steps: test.steps}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("%s (%s) (- expected, + found):\n%s", name, test.reason, diff)
		}
	}
}

func TestFailingSinceIsTheFirstMoment(t *testing.T) {
	t.Parallel()
	p := &Provisioning{Steps: []*ProvisioningStep{{State: ProvisioningStateError}, {State: ProvisioningStateOK}}}
	p.settle(noon)
	p.Steps[1].State = ProvisioningStateError
	p.settle(noon.Add(time.Hour))
	if p.FailingSince == nil || *p.FailingSince != noon {
		t.Errorf("got %v, want since the first", p.FailingSince)
	}
	p.Steps[0].State = ProvisioningStateOK
	p.settle(noon.Add(2 * time.Hour))
	if p.FailingSince == nil || *p.FailingSince != noon {
		t.Errorf("got %v: the subject has not been well in between", p.FailingSince)
	}
	p.Steps[1].State = ProvisioningStateOK
	p.settle(noon.Add(3 * time.Hour))
	if p.FailingSince != nil {
		t.Errorf("got %v, want nothing: all is well", p.FailingSince)
	}
}

func TestPresent(t *testing.T) {
	t.Parallel()
	const (
		pending, running, done = ProvisioningStatePending, ProvisioningStateRunning, ProvisioningStateOK
		skipped, failed        = ProvisioningStateSkipped, ProvisioningStateError
	)
	for name, test := range map[string]struct {
		states []ProvisioningState
		want   ProvisioningState
	}{
		"nothing":             {nil, done},
		"all done":            {[]ProvisioningState{done, done}, done},
		"all skipped":         {[]ProvisioningState{skipped, skipped}, done},
		"done and skipped":    {[]ProvisioningState{done, skipped}, done},
		"one waits":           {[]ProvisioningState{done, pending}, pending},
		"one runs":            {[]ProvisioningState{pending, running, done}, running},
		"one failed":          {[]ProvisioningState{running, failed, pending, done}, failed},
		"failed and no other": {[]ProvisioningState{failed}, failed},
	} {
		p := &Provisioning{Document: Document{ID: "ten_a"}, TenantID: "ten_a", Sequence: 4}
		for _, s := range test.states {
			p.Steps = append(p.Steps, &ProvisioningStep{State: s})
		}
		want := &ProvisioningStatus{SubjectID: "ten_a", TenantID: "ten_a", Status: test.want, Sequence: 4, FirstSequence: 4, Steps: p.Steps}
		if diff := cmp.Diff(want, p.Present()); diff != "" {
			t.Errorf("%s (- expected, + found):\n%s", name, diff)
		}
	}
}

func TestStepsOfASubjectAreIndependent(t *testing.T) {
	t.Parallel()
	p := NewProvisioning("ten_a", "ten_a", StepsOf(KindTenant), noon)
	can := func(i Integration) bool { return i != IntegrationStripe }
	due, loud := p.claim(noon, "ses_a", false, can, everything, "run_1")
	if len(due) != 3 || !loud {
		t.Fatalf("got %d steps, loud %v; want all but the one that is switched off", len(due), loud)
	}
	attempt := func(i Integration) Step { return Step{Subject: p.ID, Integration: i, Attempt: 1} }
	p.report(noon, "ses_a", attempt(IntegrationStalwart), StepResult{Err: Errorf(Conflict, "x").Never()}, 0)
	if p.Owner != "ses_a" {
		t.Error("the subject was given up while two steps run")
	}
	p.report(noon, "ses_a", attempt(IntegrationAuthentik), StepResult{Handle: "g"}, 0)
	p.report(noon, "ses_a", attempt(IntegrationOCIS), StepResult{Handle: "s"}, 0)
	states := map[Integration]ProvisioningState{}
	for _, s := range p.Steps {
		states[s.Integration] = s.State
	}
	want := map[Integration]ProvisioningState{
		IntegrationAuthentik: ProvisioningStateOK, IntegrationOCIS: ProvisioningStateOK,
		IntegrationStalwart: ProvisioningStateError, IntegrationStripe: ProvisioningStateSkipped,
	}
	if diff := cmp.Diff(want, states); diff != "" || !p.Open || p.Owner != "" {
		t.Errorf("open %v, owner %q (- expected, + found):\n%s", p.Open, p.Owner, diff)
	}
	if _, taken := p.report(noon, "ses_a", Step{Integration: "FAX", Attempt: 1}, StepResult{}, 0); taken {
		t.Error("a report of a step that is not there was taken")
	}
}
