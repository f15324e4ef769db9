package platform

import (
	"context"
	"errors"
	"slices"
)

// Integration is an outside system that the platform keeps in step.
type Integration string

// The integrations.
const (
	IntegrationAuthentik Integration = "AUTHENTIK"
	IntegrationStalwart  Integration = "STALWART"
	IntegrationOCIS      Integration = "OCIS"
	IntegrationStripe    Integration = "STRIPE"
	// IntegrationMembers is no system outside: it is what goes through a tenant's
	// members in batches.
	IntegrationMembers Integration = "MEMBERS"
)

// ErrSkip is a Provisioner's answer when there is nothing to do for a subject.
var ErrSkip = errors.New("nothing to do here")

// Provisioner brings one outside system in step with what is wanted.
type Provisioner interface {
	// Apply makes true what the step wants: it looks up, creates what is missing,
	// adopts what is there, marks it with our id, and mends what differs. It
	// answers with the outside object's own id. Applying again changes nothing;
	// so does applying after an attempt that was cut off anywhere. After it made
	// something in a system where names are not unique, it looks again: if there
	// are several with our mark, the one with the recorded handle stays, else the
	// one with the smallest id, and the others go while they are empty.
	//
	// ErrSkip says that there is nothing to do for this subject. An *Error says by
	// Never, and by After, what a retry can do; a refusal that cannot pass says
	// Never. What belongs to somebody else is Conflict and Never.
	Apply(ctx context.Context, s Step) (handle string, err error)
}

// Step is one outside system's part of a subject, as a Provisioner sees it.
type Step struct {
	Subject     ID
	Integration Integration
	// Handle is the outside object that an earlier attempt recorded, or "".
	Handle string
	Want   Want
	// Attempt counts from 1. Together with the owner it tells attempts apart.
	Attempt   int32
	RequestID string
}

// Provisioning is what the outside systems have of one subject, step by step.
// Its ID is the subject's. Every change of it is one compare-and-set, and the
// order of those is the order of its sequences.
type Provisioning struct {
	Document
	TenantID ID `json:"tenantId"`
	// Generation rises when something else is wanted; a step is done when it was
	// done for the newest.
	Generation int32 `json:"generation"`
	// Sequence counts the states that subscribers were to see.
	Sequence int32 `json:"sequence"`
	// Owner is the session that holds the subject, while a step runs or waits to
	// be tried again; "" for none.
	Owner ID `json:"owner"`
	// DueAt is when something is next to be done; nil is never.
	DueAt *Time `json:"dueAt,omitempty"`
	// FailingSince is since when a step is somebody's to look at; nil for none.
	FailingSince *Time `json:"failingSince,omitempty"`
	// Shut are the tenants whose being shut was passed on to this subject (B-5).
	Shut []ID `json:"shut,omitempty"`
	// Open is true until every step is settled.
	Open      bool                `json:"open"`
	ChangedAt Time                `json:"changedAt"`
	Steps     []*ProvisioningStep `json:"steps"`
}

// ProvisioningStatus is a subject's state as its readers see it, and one event
// of its log.
type ProvisioningStatus struct {
	SubjectID ID                  `json:"subjectId"`
	TenantID  ID                  `json:"tenantId"`
	Status    ProvisioningState   `json:"status"`
	Sequence  int32               `json:"sequence"`
	Steps     []*ProvisioningStep `json:"steps"`

	// FirstSequence is the first of the sequences that this event stands for. It
	// is less than Sequence where a slow reader gets several changes in one.
	FirstSequence int32 `json:"-"`
	// Resync says that changes before this event may be missing.
	Resync bool `json:"-"`
	// Cursor is the place in the feed from which to go on, where there is a feed.
	Cursor *Cursor `json:"-"`
}

// Session is one server process. As long as its beat changes, it lives; who
// sees it stand still for too long removes the document, and that is its death.
type Session struct {
	Document
	StartedAt Time `json:"startedAt"`
	BeatAt    Time `json:"beatAt"`
}

// FailedOperation is a subject with steps that somebody should look at.
type FailedOperation struct {
	SubjectID ID
	TenantID  ID
	Since     Time
	Steps     []*ProvisioningStep
}

// FailedOperationConnection is a page of failed operations.
type FailedOperationConnection = Connection[*FailedOperation]

// FailedOperationEdge is a failed operation in a list.
type FailedOperationEdge = Edge[*FailedOperation]

// ProvisioningPayload is the answer of mutations about one subject's steps.
type ProvisioningPayload = Payload[*ProvisioningStatus]

// What audit says of provisioning.
const ActionOperationRetried Action = "OPERATION_RETRIED"

// ProvisioningReader reads what the outside systems have.
type ProvisioningReader interface {
	// Provisioning is a subject's document, or NotFound.
	Provisioning(ctx context.Context, subject ID) (*Provisioning, error)
	// ProvisioningsByID are those of the documents that exist, in no order.
	ProvisioningsByID(ctx context.Context, subjects []ID) ([]*Provisioning, error)
	// FailingProvisionings lists the documents with a failing step, the longest
	// failing first.
	FailingProvisionings(ctx context.Context, page Page) (List[*Provisioning], error)
	// CountFailingProvisionings counts them.
	CountFailingProvisionings(ctx context.Context) (int, error)
	// OpenProvisionings are all documents that are not settled.
	OpenProvisionings(ctx context.Context) ([]*Provisioning, error)
	// DueProvisionings are up to n subjects of an owner, "" for those without one,
	// that are due by a moment, the longest due first.
	DueProvisionings(ctx context.Context, owner ID, by Time, n int) ([]ID, error)
	// ProvisioningOwners are the sessions that hold subjects.
	ProvisioningOwners(ctx context.Context) ([]ID, error)
	// ProvisioningsOwnedBy are up to n subjects that a session holds.
	ProvisioningsOwnedBy(ctx context.Context, owner ID, n int) ([]ID, error)
}

// ProvisioningWriter changes what is known of the outside systems.
type ProvisioningWriter interface {
	// PutProvisioning stores the document; loud ones raise the sequence and are
	// events for subscribers.
	PutProvisioning(ctx context.Context, p *Provisioning, loud bool) error
}

// ProvisioningStore is the reconciler's book-keeping, which is not audited, but
// for a tenant that turns active.
type ProvisioningStore interface {
	EventLog
	// Keep runs do in one transaction; do may run more than once.
	Keep(ctx context.Context, do func(Book) error) error
	// OpenSession begins a session.
	OpenSession(ctx context.Context, s *Session) error
	// Beat raises a session's beat. NotFound says that it was declared dead.
	Beat(ctx context.Context, session ID, at Time) error
	// Sessions are all sessions that nobody has declared dead.
	Sessions(ctx context.Context) ([]*Session, error)
	// BurySession declares a session dead, unless it has beaten since it was read:
	// then it is Conflict.
	BurySession(ctx context.Context, s *Session) error
}

// Book is what the reconciler may read and write in one transaction.
type Book interface {
	Reader
	ProvisioningWriter
	AddressWriter
	// KeepUser and KeepMember store what a step told of a person or a membership. It
	// wants nothing of the outside systems.
	KeepUser(ctx context.Context, u *User) error
	KeepMember(ctx context.Context, m *Member) error
	// Activate stores a tenant that turned active, with its audit event.
	Activate(ctx context.Context, t *Tenant, event AuditEvent) error
}

// NewProvisioning is the document of a subject of which nothing is outside yet.
func NewProvisioning(subject, tenant ID, integrations []Integration, now Time) *Provisioning {
	p := &Provisioning{Document: Document{ID: subject}, TenantID: tenant, Generation: 1}
	for _, i := range integrations {
		p.Steps = append(p.Steps, &ProvisioningStep{Integration: i, State: ProvisioningStatePending})
	}
	p.settle(now)
	return p
}

// With adds a step, if it is not there, and has it tried at once.
func (p *Provisioning) With(i Integration, now Time) {
	if p.step(i) == nil {
		p.Steps = append(p.Steps, &ProvisioningStep{Integration: i, State: ProvisioningStatePending})
	}
	p.Raise(now)
}

// Raise makes every step due, because something else is wanted or somebody
// wants to be sure.
func (p *Provisioning) Raise(now Time) {
	p.Generation++
	for _, s := range p.Steps {
		s.again()
	}
	p.settle(now)
}

// claim gives the subject to a session and starts what is due, as a session
// that died left it or as it is. Ready says whether what a step needs of another
// subject is there. It returns the steps to carry out, and says if subscribers
// should see the change.
func (p *Provisioning) claim(
	now Time, session ID, orphaned bool, can, ready func(Integration) bool, requestID string,
) (due []*ProvisioningStep, loud bool) {
	if orphaned {
		p.Owner = ""
		for _, s := range p.Steps {
			s.orphan(now)
		}
	}
	for _, s := range p.Steps {
		at := s.dueAt()
		switch {
		case at == nil || at.After(now.Time):
		case s.settled() && !can(s.Integration):
			s.LookAt = nil // nobody can look any more
		case s.settled():
			s.Looking = true
			due = append(due, s)
		case !can(s.Integration):
			s.Finished, loud = &now, true
			s.calm(ProvisioningStateSkipped)
		case !ready(s.Integration):
			s.wait(now)
		default:
			s.start(now, p.Generation, requestID)
			due, loud = append(due, s), true
		}
	}
	p.Owner = session
	p.settle(now)
	return due, loud
}

// report writes down how an attempt of a session ended. An attempt that is no
// longer the session's own is dropped: taken is false then.
func (p *Provisioning) report(now Time, session ID, attempt Step, r StepResult, spread float64) (loud, taken bool) {
	s := p.held(session, attempt)
	switch {
	case s == nil:
		return false, false
	case s.Looking:
		s.Looking, s.LookAt = false, nil
		if r.Handle != "" {
			s.Handle = r.Handle
		}
		if r.Err != nil && CanPass(r.Err) {
			again := now.Add(lookDelay)
			s.LookAt = &again
		}
	case s.State != ProvisioningStateRunning:
		return false, false
	default:
		s.finish(now, r, spread)
		loud = true
		if s.Generation != p.Generation {
			s.again()
		}
	}
	p.settle(now)
	return loud, true
}

// step is the subject's step in a system, or nil.
func (p *Provisioning) step(i Integration) *ProvisioningStep {
	for _, s := range p.Steps {
		if s.Integration == i {
			return s
		}
	}
	return nil
}

// held is the step of an attempt that is still the session's own, or nil.
func (p *Provisioning) held(session ID, attempt Step) *ProvisioningStep {
	s := p.step(attempt.Integration)
	if s == nil || p.Owner != session || s.Attempts != attempt.Attempt {
		return nil
	}
	return s
}

// settle works out what follows from the steps for the whole.
func (p *Provisioning) settle(now Time) {
	held, failing := false, false
	p.ChangedAt, p.DueAt, p.Open = now, nil, false
	for _, s := range p.Steps {
		if at := s.dueAt(); at != nil && (p.DueAt == nil || at.Before(p.DueAt.Time)) {
			p.DueAt = at
		}
		p.Open = p.Open || !s.settled()
		held = held || s.State == ProvisioningStateRunning || s.Looking || s.State == ProvisioningStateError && s.NextTry != nil
		failing = failing || s.failing()
	}
	if !held {
		p.Owner = ""
	}
	switch {
	case !failing:
		p.FailingSince = nil
	case p.FailingSince == nil:
		p.FailingSince = &now
	}
}

// Present is the state as its readers see it now.
func (p *Provisioning) Present() *ProvisioningStatus {
	status := ProvisioningStateOK
	for _, s := range p.Steps {
		if rank(s.State) > rank(status) {
			status = s.State
		}
	}
	return &ProvisioningStatus{
		SubjectID: p.ID, TenantID: p.TenantID, Status: status, Sequence: p.Sequence, FirstSequence: p.Sequence, Steps: p.Steps,
	}
}

// rank orders the states by what they say of the whole.
func rank(s ProvisioningState) int {
	return slices.Index([]ProvisioningState{
		ProvisioningStateOK, ProvisioningStatePending, ProvisioningStateRunning, ProvisioningStateError,
	}, s)
}
