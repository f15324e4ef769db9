package platform

import (
	"context"
	"slices"
)

// RetryOperationInput names a step that is to be tried at once.
type RetryOperationInput struct {
	TenantID       ID
	SubjectID      ID
	Integration    Integration
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in RetryOperationInput) Attempt() Attempt {
	return Attempt{Action: ActionOperationRetried, TenantID: in.TenantID, Target: in.SubjectID, Key: in.IdempotencyKey}
}

// RetryOperation has one step of a subject tried at once, with its counts at
// zero. A step that runs, or is done, is left alone.
func (p *Platform) RetryOperation(ctx context.Context, in RetryOperationInput) (*ProvisioningStatus, error) {
	var now *ProvisioningStatus
	err := p.change(ctx, ActionOperationRetried, in.TenantID, in.SubjectID, func(w Writer) error {
		doc, err := w.Provisioning(ctx, in.SubjectID)
		if err != nil {
			return err
		}
		if err := owns(ctx, w, in.TenantID, doc); err != nil {
			return err
		}
		if err := doc.retry(in.Integration, p.now()); err != nil {
			return err
		}
		if err := w.PutProvisioning(ctx, doc, true); err != nil {
			return err
		}
		now = doc.Present()
		now.TenantID = in.TenantID // a person may be other tenants' too, which is nobody's business here
		return nil
	})
	return now, err
}

// owns says whether a subject is a tenant's: a person is that of every tenant
// that they are a member of.
func owns(ctx context.Context, r Reader, tenant ID, doc *Provisioning) error {
	if doc.ID.Kind() != KindUser {
		if doc.TenantID == tenant {
			return nil
		}
		return NoProvisioning(doc.ID)
	}
	held, err := r.MembershipsOf(ctx, doc.ID)
	if err == nil && !slices.ContainsFunc(held, func(m *Member) bool { return m.TenantID == tenant }) {
		err = NoProvisioning(doc.ID)
	}
	return err
}

func (p *Provisioning) retry(what Integration, now Time) error {
	s := p.step(what)
	if s == nil {
		return Errorf(Invalid, "There is no such step.").On("integration")
	}
	if s.State != ProvisioningStateError {
		return Errorf(Conflict, "This step has not failed.").On("integration")
	}
	s.again()
	p.settle(now)
	return nil
}

// NoProvisioning is the answer for a subject that has no steps.
func NoProvisioning(subject ID) error {
	return Errorf(NotFound, "There is no operation for %s.", shorten(subject))
}

// ProvisioningOf is the present state of a subject.
func (p *Platform) ProvisioningOf(ctx context.Context, subject ID) (*ProvisioningStatus, error) {
	doc, err := p.store.Provisioning(ctx, subject)
	if err != nil {
		return nil, err
	}
	return doc.Present(), nil
}

// retried is a subject's present state for a repeat of RetryOperation: that of
// the tenant that asks, since a person may be other tenants' too.
func (p *Platform) retried(ctx context.Context, subject ID) (*ProvisioningStatus, error) {
	now, err := p.ProvisioningOf(ctx, subject)
	if r := attemptOf(ctx); err == nil && r != nil {
		now.TenantID = r.tried.TenantID
	}
	return now, err
}

// ProvisioningsOf are the present states of subjects, in no order.
func (p *Platform) ProvisioningsOf(ctx context.Context, subjects []ID) ([]*ProvisioningStatus, error) {
	docs, err := p.store.ProvisioningsByID(ctx, subjects)
	out := make([]*ProvisioningStatus, len(docs))
	for i, doc := range docs {
		out[i] = doc.Present()
	}
	return out, err
}

// FailedOperations lists the subjects with steps that somebody should look at
// (C-5).
func (p *Platform) FailedOperations(ctx context.Context, first *int32, after *Cursor) (*FailedOperationConnection, error) {
	page, err := NewPage(first, after)
	if err != nil {
		return nil, err
	}
	docs, err := p.store.FailingProvisionings(ctx, page)
	if err != nil {
		return nil, err
	}
	list := List[*FailedOperation]{Cursors: docs.Cursors, More: docs.More}
	for _, doc := range docs.Items {
		op := &FailedOperation{SubjectID: doc.ID, TenantID: doc.TenantID, Since: *doc.FailingSince}
		for _, s := range doc.Steps {
			if s.failing() {
				op.Steps = append(op.Steps, s)
			}
		}
		list.Items = append(list.Items, op)
	}
	return NewConnection(page, list, p.store.CountFailingProvisionings), nil
}

// WatchProvisioning follows a tenant's own steps, from after a sequence or from
// the present state on, until ctx ends (C-7).
func (p *Platform) WatchProvisioning(ctx context.Context, tenant ID, after *int32) (<-chan *ProvisioningStatus, error) {
	if err := checkSequence(after); err != nil {
		return nil, err
	}
	return p.feed.Subject(ctx, tenant, after)
}

// checkSequence looks at the place that a subscriber goes on from, if there is
// one.
func checkSequence(after *int32) error {
	if after != nil && *after < 0 {
		return Errorf(Invalid, "A sequence is not negative.").On("after")
	}
	return nil
}

// WatchProvisioningFeed follows all subjects' steps, from a cursor or from the
// present state of what is not settled on, until ctx ends (C-7).
func (p *Platform) WatchProvisioningFeed(ctx context.Context, after *Cursor) (<-chan *ProvisioningStatus, error) {
	return p.feed.All(ctx, after)
}

// StepsOf are the steps of a subject of some kind, in the order in which they
// are shown.
func StepsOf(kind Kind) []Integration {
	switch kind {
	case KindUser:
		return []Integration{IntegrationAuthentik, IntegrationOCIS}
	case KindMember:
		return []Integration{IntegrationAuthentik, IntegrationStalwart, IntegrationOCIS}
	case KindGroup:
		return []Integration{IntegrationAuthentik, IntegrationStalwart}
	case KindImport:
		return []Integration{IntegrationMembers}
	}
	return []Integration{IntegrationAuthentik, IntegrationStalwart, IntegrationOCIS, IntegrationStripe}
}

// ClaimSteps gives a subject to a session and starts what is due. Orphaned says
// that the session which holds it was declared dead: owner names it. It returns
// nothing when there is nothing to do, or another was quicker.
func (p *Platform) ClaimSteps(ctx context.Context, subject, session, owner ID, can func(Integration) bool) ([]Step, error) {
	var steps []Step
	err := p.store.Keep(ctx, func(b Book) error {
		steps = nil
		doc, err := b.Provisioning(ctx, subject)
		if err != nil {
			return err
		}
		orphaned := owner != "" && owner != session
		if doc.Owner != owner && doc.Owner != session {
			return nil
		}
		want, shut, wrong := p.want(ctx, b, doc)
		if wrong != nil && CanPass(wrong) {
			return wrong
		}
		doc.tell(shut, p.now())
		skipped := doc.settledSteps(ProvisioningStateSkipped)
		ready, err := p.ready(ctx, b, doc)
		if err != nil {
			return err
		}
		due, loud := doc.claim(p.now(), session, orphaned && doc.Owner == owner, can, ready, string(p.newID(KindRun)))
		if wrong != nil {
			return b.PutProvisioning(ctx, doc, doc.giveUp(p.now(), due, wrong) || loud)
		}
		for _, s := range due {
			steps = append(steps, Step{
				Subject: doc.ID, Integration: s.Integration, Handle: s.Handle, Want: want, Attempt: s.Attempts, RequestID: s.RequestID,
			})
		}
		if err := b.PutProvisioning(ctx, doc, loud); err != nil {
			return err
		}
		for _, i := range doc.settledSteps(ProvisioningStateSkipped) {
			if slices.Contains(skipped, i) {
				continue
			}
			if err := p.learn(ctx, b, doc, Step{Subject: doc.ID, Integration: i, Want: want}); err != nil {
				return err
			}
		}
		return p.activate(ctx, b, doc)
	})
	return steps, err
}

// settledSteps are the systems whose step is in some state.
func (p *Provisioning) settledSteps(state ProvisioningState) []Integration {
	var in []Integration
	for _, s := range p.Steps {
		if s.State == state {
			in = append(in, s.Integration)
		}
	}
	return in
}

// tell has everything of a subject tried anew when other tenants are shut than
// those of which it heard last. Whoever hears first, the claim or what goes
// through the tenant's members (B-5), the other finds it told.
func (p *Provisioning) tell(shut []ID, now Time) (news bool) {
	slices.Sort(shut)
	if slices.Equal(p.Shut, shut) {
		return false
	}
	p.Shut = shut
	p.Raise(now)
	return true
}

// giveUp ends steps that were just started and cannot be carried out, because
// what they want cannot be told. It says if subscribers should see the change.
func (p *Provisioning) giveUp(now Time, due []*ProvisioningStep, why error) (loud bool) {
	for _, s := range due {
		if s.Looking {
			s.Looking, s.LookAt = false, nil
			continue
		}
		s.finish(now, StepResult{Err: why}, 0)
		loud = true
	}
	p.settle(now)
	return loud
}

// ReportStep writes down how an attempt ended. A result of an attempt that is
// no longer this session's own is dropped.
func (p *Platform) ReportStep(ctx context.Context, session ID, attempt Step, r StepResult, spread float64) error {
	var openUntil *Time
	if m := attempt.Want.Member; r.Err == nil && attempt.Integration == IntegrationStalwart && m != nil && m.Mailbox != nil &&
		m.Mailbox.Presence == PresenceSuspended {
		if openUntil = p.mailUntil(ctx); openUntil == nil {
			r.Err = Errorf(Unavailable, "The mailbox is frozen; how long an open connection may go on is not known yet.")
		}
	}
	return p.store.Keep(ctx, func(b Book) error {
		doc, err := b.Provisioning(ctx, attempt.Subject)
		if err != nil {
			return err
		}
		loud, taken := doc.report(p.now(), session, attempt, r, spread)
		if !taken {
			return nil
		}
		if attempt.Integration == IntegrationStalwart && attempt.Want.Member != nil {
			doc.step(IntegrationStalwart).shutMail(attempt.Want.Member, openUntil)
		}
		if err := b.PutProvisioning(ctx, doc, loud); err != nil {
			return err
		}
		if err := p.learn(ctx, b, doc, attempt); err != nil {
			return err
		}
		return p.activate(ctx, b, doc)
	})
}

// shutMail keeps until when a frozen mailbox may still be read: from when it was
// first frozen, whatever is tried again while it is (E-2).
func (s *ProvisioningStep) shutMail(want *MemberWant, openUntil *Time) {
	switch frozen := want.Mailbox != nil && want.Mailbox.Presence == PresenceSuspended; {
	case !frozen:
		s.OpenUntil = nil
	case s.OpenUntil == nil:
		s.OpenUntil = openUntil
	}
}

// ready says which steps of a subject can begin: a member or a group needs of each
// system what its tenant has there.
func (p *Platform) ready(ctx context.Context, b Book, doc *Provisioning) (func(Integration) bool, error) {
	if kind := doc.ID.Kind(); kind != KindMember && kind != KindGroup {
		return func(Integration) bool { return true }, nil
	}
	of, err := b.ProvisioningsByID(ctx, []ID{doc.TenantID})
	return func(i Integration) bool {
		if len(of) == 0 {
			return true
		}
		s := of[0].step(i)
		return s == nil || s.settled() || s.Handle != ""
	}, err
}

// wakeMembers ends the waits of a tenant's members for what the tenant has by now.
// Those of a tenant that had more of them than a batch before it was active look
// again by themselves.
func (p *Platform) wakeMembers(ctx context.Context, b Book, tenant ID) error {
	members, err := b.MembersAfter(ctx, tenant, "", batch)
	if err != nil {
		return err
	}
	ids := make([]ID, len(members))
	for i, m := range members {
		ids[i] = m.ID
	}
	docs, err := b.ProvisioningsByID(ctx, ids)
	for _, doc := range docs {
		woken := false
		for _, s := range doc.Steps {
			woken = s.wake() || woken
		}
		if err != nil || !woken {
			continue
		}
		doc.settle(p.now())
		err = b.PutProvisioning(ctx, doc, false)
	}
	return err
}

// activate turns a pending tenant active when all its steps are settled, and
// not before (C-4).
func (p *Platform) activate(ctx context.Context, b Book, doc *Provisioning) error {
	if doc.Open || doc.ID != doc.TenantID {
		return nil
	}
	t, err := b.Tenant(ctx, doc.TenantID)
	if err != nil || t.Status != TenantStatusPending {
		return err
	}
	t.Status = TenantStatusActive
	event := p.event(ctx, ActionTenantActivated, t.ID, t.ID)
	if err := b.Activate(ctx, t, event); err != nil {
		return err
	}
	return p.wakeMembers(ctx, b, t.ID)
}
