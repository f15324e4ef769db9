package platform

import "context"

// Action is what an actor did or tried. Each concept declares its own, and
// extends the schema's enum from its own file.
type Action string

// AuditOutcome is how it ended.
type AuditOutcome string

// The outcomes (I-1).
const (
	// AuditOutcomeDone is a mutation that changed what it was asked to.
	AuditOutcomeDone AuditOutcome = "DONE"
	// AuditOutcomeFailed is a mutation that began and changed nothing.
	AuditOutcomeFailed AuditOutcome = "FAILED"
	// AuditOutcomeDenied is a mutation that the caller was not allowed to begin.
	AuditOutcomeDenied AuditOutcome = "DENIED"
)

// AuditEvent is one attempt of somebody to change something. It is written once
// and never changed.
type AuditEvent struct {
	Document
	At Time `json:"at"`
	// ActorID is the user, "" for the platform itself and for bearers of tokens
	// that were never stored.
	ActorID    ID     `json:"actorId,omitempty"`
	ActorEmail string `json:"actorEmail,omitempty"`
	Role       Role   `json:"role"`
	// TenantID is the tenant in whose log the event stands; "" is the platform's
	// own log. A tenant that the actor could not see is only the Target.
	TenantID ID           `json:"tenantId,omitempty"`
	Action   Action       `json:"action"`
	Target   ID           `json:"target,omitempty"`
	Outcome  AuditOutcome `json:"outcome"`
	// Code and Reason say why it failed or was denied.
	Code      Code          `json:"code,omitempty"`
	Reason    string        `json:"reason,omitempty"`
	IP        string        `json:"ip,omitempty"`
	UserAgent string        `json:"userAgent,omitempty"`
	RequestID string        `json:"requestId,omitempty"`
	Changes   []FieldChange `json:"changes,omitempty"`

	// Attempt is the idempotent attempt that this event ends; "" for none. It is
	// not part of the record.
	Attempt ID `json:"-"`
}

// IsNode makes an audit event a Node of the graph.
func (*AuditEvent) IsNode() {}

// FieldChange is one field's value before and after, as JSON; nil where there
// was or is none.
type FieldChange struct {
	Object ID      `json:"object"`
	Field  string  `json:"field"`
	Before *string `json:"before,omitempty"`
	After  *string `json:"after,omitempty"`
}

// AuditReader reads the log.
type AuditReader interface {
	// AuditEventsOf lists a tenant's log, newest first; "" is the platform's.
	AuditEventsOf(ctx context.Context, tenant ID, page Page) (List[*AuditEvent], error)
	// AuditEventsByID are those of the events that exist, in no order.
	AuditEventsByID(ctx context.Context, ids []ID) ([]*AuditEvent, error)
	// CountAuditEventsOf counts a tenant's log.
	CountAuditEventsOf(ctx context.Context, tenant ID) (int, error)
}

// AuditLister reads the logs of many tenants, outside of transactions.
type AuditLister interface {
	// FirstAuditEventsOf is the first page of AuditEventsOf for each tenant, as one
	// read.
	FirstAuditEventsOf(ctx context.Context, tenants []ID, first int) (map[ID]List[*AuditEvent], error)
}

// AuditEventConnection is a page of the log.
type AuditEventConnection = Connection[*AuditEvent]

// AuditEventEdge is an event in a list.
type AuditEventEdge = Edge[*AuditEvent]

// AuditEventsOf lists a tenant's log.
func (p *Platform) AuditEventsOf(ctx context.Context, tenant ID, page Page) (*AuditEventConnection, error) {
	list, err := p.store.AuditEventsOf(ctx, tenant, page)
	if err != nil {
		return nil, err
	}
	return p.auditEvents(tenant, page, list), nil
}

// FirstAuditEventsOf is the first page of AuditEventsOf for many tenants.
func (p *Platform) FirstAuditEventsOf(ctx context.Context, tenants []ID, first int) (map[ID]*AuditEventConnection, error) {
	lists, err := p.store.FirstAuditEventsOf(ctx, tenants, first)
	if err != nil {
		return nil, err
	}
	return firstPages(tenants, first, lists, p.auditEvents), nil
}

func (p *Platform) auditEvents(tenant ID, page Page, list List[*AuditEvent]) *AuditEventConnection {
	return NewConnection(page, list, func(ctx context.Context) (int, error) {
		return p.store.CountAuditEventsOf(ctx, tenant)
	})
}

// event is the record of what is being done, as a success. The attempt, if
// there is one, lends its ID, so that what is written later about the same
// attempt finds this record in its place.
func (p *Platform) event(ctx context.Context, action Action, tenant, target ID) AuditEvent {
	e := AuditEvent{
		At: p.now(), Role: RoleSystem, TenantID: tenant, Action: action, Target: shorten(target), Outcome: AuditOutcomeDone,
	}
	if a := ActorOf(ctx); a != nil {
		e.Role = p.roleFor(a, nil)
		e.ActorEmail, e.IP, e.UserAgent, e.RequestID = a.Identity.Email, a.From.IP, a.From.UserAgent, a.From.RequestID
		if a.User != nil {
			e.ActorID = a.User.ID
		}
	}
	if run := attemptOf(ctx); run != nil {
		e.ID, e.Attempt, e.Role = run.event, run.claimed, run.role
	} else {
		e.ID = p.newID(KindAuditEvent)
	}
	return e
}

// Denied records that the caller was refused a mutation. Without a caller there
// is nothing to record. Where the caller cannot see the tenant, the record is
// the platform's, and the tenant its target.
func (p *Platform) Denied(ctx context.Context, tried Attempt, refusal error) error {
	a := ActorOf(ctx)
	if a == nil {
		return nil
	}
	role, log, err := p.place(ctx, a, tried)
	if err != nil {
		return err
	}
	e := p.event(ctx, tried.Action, log, tried.Target)
	e.Role, e.Outcome, e.Code, e.Reason = role, AuditOutcomeDenied, CodeOf(refusal), MessageOf(refusal)
	return p.store.Record(context.WithoutCancel(ctx), e)
}

// place is the role in which the actor tries something, and the tenant in whose
// log that belongs.
func (p *Platform) place(ctx context.Context, a *Actor, tried Attempt) (Role, ID, error) {
	if tried.TenantID == "" {
		return p.roleFor(a, nil), "", nil
	}
	t, err := p.store.Tenant(ctx, tried.TenantID)
	if err != nil {
		if CodeOf(err) == NotFound {
			return p.roleFor(a, nil), "", nil
		}
		return RoleNone, "", err
	}
	if role := p.roleIn(a, t); role != RoleNone {
		return role, t.ID, nil
	}
	return RoleNone, "", nil
}
