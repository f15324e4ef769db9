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
		if doc.TenantID != in.TenantID {
			return NoProvisioning(in.SubjectID)
		}
		if err := doc.retry(in.Integration, p.now()); err != nil {
			return err
		}
		if err := w.PutProvisioning(ctx, doc, true); err != nil {
			return err
		}
		now = doc.Present()
		return nil
	})
	return now, err
}

func (p *Provisioning) retry(what Integration, now Time) error {
	i := slices.IndexFunc(p.Steps, func(s *ProvisioningStep) bool { return s.Integration == what })
	if i < 0 {
		return Errorf(Invalid, "There is no such step.").On("integration")
	}
	if p.Steps[i].State != ProvisioningStateError {
		return Errorf(Conflict, "This step has not failed.").On("integration")
	}
	p.Steps[i].again()
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
	if after != nil && *after < 0 {
		return nil, Errorf(Invalid, "A sequence is not negative.").On("after")
	}
	return p.feed.Subject(ctx, tenant, after)
}

// WatchProvisioningFeed follows all subjects' steps, from a cursor or from the
// present state of what is not settled on, until ctx ends (C-7).
func (p *Platform) WatchProvisioningFeed(ctx context.Context, after *Cursor) (<-chan *ProvisioningStatus, error) {
	return p.feed.All(ctx, after)
}

// Integrations are the steps of a tenant, in the order in which they are shown.
func Integrations() []Integration {
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
		want, err := p.want(ctx, b, doc)
		if err != nil {
			return err
		}
		due, loud := doc.claim(p.now(), session, orphaned && doc.Owner == owner, can, string(p.newID(KindRun)))
		for _, s := range due {
			steps = append(steps, Step{
				Subject: doc.ID, Integration: s.Integration, Handle: s.Handle, Want: want, Attempt: s.Attempts, RequestID: s.RequestID,
			})
		}
		if err := b.PutProvisioning(ctx, doc, loud); err != nil {
			return err
		}
		return p.activate(ctx, b, doc)
	})
	return steps, err
}

// ReportStep writes down how an attempt ended. A result of an attempt that is
// no longer this session's own is dropped.
func (p *Platform) ReportStep(ctx context.Context, session ID, attempt Step, r StepResult, spread float64) error {
	return p.store.Keep(ctx, func(b Book) error {
		doc, err := b.Provisioning(ctx, attempt.Subject)
		if err != nil {
			return err
		}
		loud, taken := doc.report(p.now(), session, attempt, r, spread)
		if !taken {
			return nil
		}
		if err := b.PutProvisioning(ctx, doc, loud); err != nil {
			return err
		}
		return p.activate(ctx, b, doc)
	})
}

// want is what should be outside of a subject, as things are in this
// transaction.
func (p *Platform) want(ctx context.Context, b Book, doc *Provisioning) (Want, error) {
	t, err := b.Tenant(ctx, doc.TenantID)
	if err != nil {
		return Want{}, err
	}
	want := t.Desired()
	if p.mailDomain != "" {
		want.MailDomain = want.Slug + "." + p.mailDomain
	}
	return Want{Tenant: &want}, nil
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
	return b.Activate(ctx, t, event)
}
