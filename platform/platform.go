// Package platform is the business: what there is, what may happen to it, and
// who may make it happen. Nothing in it runs by itself, and it speaks to
// databases and outside systems only through the ports that it declares.
package platform

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Platform carries out the use cases. It is safe for concurrent use.
type Platform struct {
	store            Store
	feed             Feed
	clock            Clock
	newID            func(Kind) ID
	session          func() ID
	key              []byte
	signIns          SignIns
	mailboxes        Mailboxes
	files            Files
	operatorAudience string
	mailDomain       string
}

// Options are what a Platform needs. What may be left out says so.
type Options struct {
	Store Store
	Clock Clock
	// NewID makes IDs, NewID outside tests.
	NewID func(Kind) ID
	// Session is the ID of this process's session.
	Session func() ID
	// SealKey keys seals, and the hashes of idempotency keys, inputs and codes.
	SealKey Secret
	// SignIns, Mailboxes and Files can be asked at once; nil is not used here.
	SignIns   SignIns
	Mailboxes Mailboxes
	Files     Files
	// OperatorAudience is the audience that makes half an operator.
	OperatorAudience string
	// MailDomain is the domain under which every tenant has one of its own (F-7);
	// "" for none.
	MailDomain string
	// Feed carries provisioning events to subscribers.
	Feed Feed
}

// New makes a Platform.
func New(o Options) *Platform {
	return &Platform{
		store: o.Store, feed: o.Feed, clock: o.Clock, newID: o.NewID, session: o.Session,
		key: []byte(o.SealKey.Reveal()), signIns: o.SignIns, mailboxes: o.Mailboxes, files: o.Files, operatorAudience: o.OperatorAudience, mailDomain: o.MailDomain,
	}
}

// Reader reads without asking who calls: for what the caller was already
// admitted to.
func (p *Platform) Reader() Reader { return p.store }

// bookkeeping is how long the platform may take to write down how something
// ended, after the request that began it is over.
const bookkeeping = 5 * time.Second

func (p *Platform) now() Time { return At(p.clock.Now()) }

// Reader reads everything there is, in a transaction or outside of one.
type Reader interface {
	UserReader
	MemberReader
	PartnerReader
	TenantReader
	InvitationReader
	AddressReader
	GroupReader
	ImportReader
	SubscriptionReader
	AuditReader
	ProvisioningReader
}

// Writer is the changing half of the store. What was read through it is what the
// change is made on: a Put of anything older is refused, and the change is made
// again on what is newest.
type Writer interface {
	Reader
	UserWriter
	MemberWriter
	PartnerWriter
	TenantWriter
	InvitationWriter
	AddressWriter
	GroupWriter
	ImportWriter
	SubscriptionWriter
	ProvisioningWriter
}

// Store is what the rules need of a database. Errors are *Error where a person
// can do something about them: NotFound, Conflict for a value that is taken,
// Unavailable when the database does not answer.
type Store interface {
	Reader
	MemberLister
	AuditLister
	AttemptStore
	ProvisioningStore
	// Change runs do in one transaction and commits with it the audit event, the
	// end of its idempotent attempt, and the provisioning that the change makes
	// due. It is the only way to a Writer, so no change goes unrecorded. Each Put
	// notes the fields that it changes in the event. do may run more than once,
	// each time on the newest state; it changes nothing but through the Writer.
	Change(ctx context.Context, event AuditEvent, do func(Writer) error) error
	// Record writes an audit event alone. One that is there already is Conflict.
	Record(ctx context.Context, event AuditEvent) error
	// Prune forgets attempts and provisioning events from before a moment, some at
	// a time; it says if there are more.
	Prune(ctx context.Context, before Time) (more bool, err error)
}

// errUnchanged ends a transaction that finds all as it should be, and leaves no
// record of it.
var errUnchanged = errors.New("there is nothing to change")

func isUnchanged(err error) bool { return errors.Is(err, errUnchanged) }

// change is how use cases change things: once each.
func (p *Platform) change(ctx context.Context, action Action, tenant, target ID, do func(Writer) error) error {
	r := attemptOf(ctx)
	if r != nil {
		r.made = target
	}
	if err := p.store.Change(ctx, p.event(ctx, action, tenant, target), do); err != nil {
		return err
	}
	if r != nil {
		r.recorded = true
	}
	return nil
}

// Feed carries provisioning events from every process to subscribers. Each
// channel closes when ctx ends.
type Feed interface {
	// Subject follows one subject: from after the given sequence, or, when that is
	// nil, from its present state on.
	Subject(ctx context.Context, subject ID, after *int32) (<-chan *ProvisioningStatus, error)
	// All follows every subject from the cursor on, or, without one, begins with
	// the present state of those that are not settled.
	All(ctx context.Context, after *Cursor) (<-chan *ProvisioningStatus, error)
}

// EventLog is the log behind the Feed.
type EventLog interface {
	// WatchEvents yields every event that any process commits after a position, in
	// the order of the commits; "" is now. The first yield has no event and says
	// that the watch stands. A position that is too old yields ErrPositionLost.
	WatchEvents(ctx context.Context, after string) iter.Seq2[LoggedEvent, error]
	// EventsAfter are up to n of a subject's events after a sequence, in order.
	EventsAfter(ctx context.Context, subject ID, sequence int32, n int) ([]*ProvisioningStatus, error)
}

// ErrPositionLost says that a place in the event log is too old, or none.
var ErrPositionLost = errors.New("the position has left the log")

// LoggedEvent is an event and its place in the log; the first of a watch has no
// event.
type LoggedEvent struct {
	Position string
	Status   *ProvisioningStatus
}
