package platform

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
)

// Attempt is what a mutation's input says that it tries: enough to authorize it,
// to record it whatever becomes of it, and to know it again.
type Attempt struct {
	Action    Action
	TenantID  ID
	PartnerID ID
	// Target is the thing to be changed; "" for what is yet to be made.
	Target ID
	Key    *string
}

// Attempted is what every mutation's input is.
type Attempted interface{ Attempt() Attempt }

// longestKey bounds an idempotency key.
const longestKey = 200

// IdempotentAttempt is kept for each idempotency key for seven days. Its ID is
// a keyed hash of the actor and the key.
type IdempotentAttempt struct {
	Document
	// Input is a keyed hash of the action and its input.
	Input string       `json:"input"`
	State AttemptState `json:"state"`
	// Session is the process that runs it, so that one whose process died can be
	// taken over.
	Session ID `json:"session"`
	// Target is what a finished attempt made or changed.
	Target ID   `json:"target,omitempty"`
	At     Time `json:"at"`
}

// AttemptState says how far an idempotent attempt has come.
type AttemptState string

// The states. A failed attempt is forgotten: it may be tried again.
const (
	AttemptStateRunning AttemptState = "RUNNING"
	AttemptStateDone    AttemptState = "DONE"
)

// AttemptStore keeps idempotent attempts.
type AttemptStore interface {
	// ClaimAttempt stores a running attempt, or answers with the one that is there.
	// One that runs in a process that died gives way.
	ClaimAttempt(ctx context.Context, a IdempotentAttempt) (earlier *IdempotentAttempt, err error)
	// DropAttempt forgets an attempt that this session runs. One that is done stays.
	DropAttempt(ctx context.Context, id, session ID) error
}

// UserError is what the person can mend.
type UserError struct {
	Code    UserErrorCode
	Field   *string
	Message string
}

// UserErrorCode is one of the codes that are a person's to mend.
type UserErrorCode string

// The codes.
const (
	UserErrorCodeInvalid      UserErrorCode = "INVALID"
	UserErrorCodeConflict     UserErrorCode = "CONFLICT"
	UserErrorCodeAlreadyShown UserErrorCode = "ALREADY_SHOWN"
)

// Payload is the answer of a mutation: the thing, or what to mend.
type Payload[T any] struct {
	Object     T
	UserErrors []*UserError
}

// run is one attempt that is under way; the context carries it to the audit.
type run struct {
	event ID
	// claimed is the idempotent attempt, or "".
	claimed ID
	role    Role
	tried   Attempt
	// log is the tenant in whose log a failure belongs.
	log ID
	// made is what the change is about; of a thing that is made, only the use case
	// knows the ID.
	made     ID
	recorded bool
}

type attemptKey struct{}

func attemptOf(ctx context.Context) *run {
	r, _ := ctx.Value(attemptKey{}).(*run)
	return r
}

// SecretPayload is the answer of a mutation that makes a secret: it is shown this
// once, and a repeat says ALREADY_SHOWN (E-1).
type SecretPayload[T any] struct {
	Payload[T]
	Secret *string
}

// Mutate is the envelope of every mutation. It runs the use case at most once
// for an idempotency key (M-2) and sees to it that exactly one audit event stands
// at the end (I-1): what the use case did not write itself, a failure, a panic, a
// success that changed nothing, is written here under the same ID. Errors that
// the person can mend become the payload's userErrors.
func Mutate[T any, In Attempted](
	ctx context.Context, p *Platform, in In, useCase func(context.Context, In) (T, error),
) (*Payload[T], error) {
	object, _, err := mutate(ctx, p, in, useCase)
	return split(object, err)
}

// MutateSecret is Mutate for a use case that makes a secret.
func MutateSecret[T any, In Attempted](
	ctx context.Context, p *Platform, in In, useCase func(context.Context, In) (T, Secret, error),
) (*SecretPayload[T], error) {
	var secret Secret
	object, repeated, err := mutate(ctx, p, in, func(ctx context.Context, in In) (object T, err error) {
		object, secret, err = useCase(ctx, in)
		return object, err
	})
	payload, err := split(object, err)
	if err != nil {
		return nil, err
	}
	out := &SecretPayload[T]{Payload: *payload}
	switch {
	case repeated:
		out.UserErrors = append(out.UserErrors, alreadyShown())
	case len(out.UserErrors) == 0:
		text := secret.Reveal()
		out.Secret = &text
	}
	return out, nil
}

func alreadyShown() *UserError {
	return &UserError{Code: UserErrorCodeAlreadyShown, Message: "This was shown when it was made, and is kept nowhere."}
}

// mutate says of what it returns if an earlier attempt had made it.
func mutate[T any, In Attempted](
	ctx context.Context, p *Platform, in In, useCase func(context.Context, In) (T, error),
) (object T, repeated bool, err error) {
	if err := ctx.Err(); err != nil {
		return object, false, err // gqlgen goes on to the document's next mutation all the same
	}
	r, err := p.attempt(ctx, in.Attempt())
	if err != nil {
		return object, false, err
	}
	ctx = context.WithValue(ctx, attemptKey{}, r)
	earlier, err := p.claim(ctx, r, in)
	if err != nil {
		return object, false, p.failed(ctx, r, err)
	}
	if earlier != "" {
		object, err = again[T](ctx, p, earlier)
		return object, true, err
	}
	if object, err = carryOut(ctx, in, useCase); err != nil {
		if err = p.failed(ctx, r, err); err == nil { // the commit had gone through after all
			object, err = again[T](ctx, p, r.made)
		}
	} else if !r.recorded {
		err = p.store.Record(context.WithoutCancel(ctx), p.event(ctx, r.tried.Action, r.log, r.tried.Target))
	}
	return object, false, err
}

// carryOut makes of a panic an error like any other, which is recorded: what was
// committed before it stands.
func carryOut[T any, In Attempted](ctx context.Context, in In, useCase func(context.Context, In) (T, error)) (object T, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return useCase(ctx, in)
}

// attempt begins an attempt: who tries, as what, and in whose log it belongs.
func (p *Platform) attempt(ctx context.Context, tried Attempt) (*run, error) {
	r := &run{event: p.newID(KindAuditEvent), tried: tried, role: RoleSystem}
	a := ActorOf(ctx)
	if a == nil {
		r.log = tried.TenantID
		return r, nil
	}
	var err error
	r.role, r.log, err = p.place(ctx, a, tried)
	return r, err
}

// claim takes the idempotency key, if there is one. It answers with the target
// of an attempt that was finished earlier.
func (p *Platform) claim(ctx context.Context, r *run, in any) (earlier ID, err error) {
	if r.tried.Key == nil {
		return "", nil
	}
	key := *r.tried.Key
	if key == "" || len(key) > longestKey {
		return "", Errorf(Invalid, "An idempotency key has 1 to %d bytes.", longestKey).On("idempotencyKey")
	}
	a, err := caller(ctx)
	if err != nil {
		return "", err
	}
	input, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("write the input down: %w", err)
	}
	mine := IdempotentAttempt{
		Document: Document{ID: ID(string(KindAttempt) + "_" + p.hash(a.Identity.Subject, key))},
		Input:    p.hash(string(r.tried.Action), string(input)),
		State:    AttemptStateRunning, Session: p.session(), At: p.now(),
	}
	there, err := p.store.ClaimAttempt(ctx, mine)
	switch {
	case err != nil:
		return "", err
	case there == nil:
		r.claimed = mine.ID
		return "", nil
	case there.Input != mine.Input:
		return "", Errorf(Conflict, "This idempotency key was used for something else.").On("idempotencyKey")
	case there.State == AttemptStateRunning:
		return "", Errorf(Conflict, "The first attempt with this idempotency key is still running.").On("idempotencyKey")
	}
	return there.Target, nil
}

// hash is a keyed hash of some texts, so that what is kept of keys and inputs
// cannot be guessed from.
func (p *Platform) hash(texts ...string) string {
	mac := hmac.New(sha256.New, p.key)
	for _, t := range texts {
		fmt.Fprintf(mac, "%d:%s", len(t), t)
	}
	return hex.EncodeToString(mac.Sum(nil))[:40]
}

// failed records that the attempt failed and gives its key free. It returns the
// cause, or nil when the record shows that the commit had gone through after all.
func (p *Platform) failed(ctx context.Context, r *run, cause error) error {
	ctx, cancel := p.clock.WithTimeout(context.WithoutCancel(ctx), bookkeeping)
	defer cancel()
	if r.recorded {
		return cause // the change stands; what failed came after it
	}
	e := p.event(ctx, r.tried.Action, r.log, r.tried.Target)
	e.Outcome, e.Code, e.Reason = AuditOutcomeFailed, CodeOf(cause), MessageOf(cause)
	err := p.store.Record(ctx, e)
	if CodeOf(err) == Conflict && err != nil {
		return nil
	}
	if r.claimed != "" {
		err = errors.Join(err, p.store.DropAttempt(ctx, r.claimed, p.session()))
	}
	if err != nil { // nothing that the person could mend: they would never know that it left no record
		return Errorf(Unavailable, "This failed, and could not be recorded.").Because(errors.Join(cause, err))
	}
	return cause
}

// split parts what the person can mend from what is an error of the field.
func split[T any](object T, err error) (*Payload[T], error) {
	if err == nil {
		return &Payload[T]{Object: object, UserErrors: []*UserError{}}, nil
	}
	ours, ok := errors.AsType[*Error](err)
	if !ok {
		return nil, err
	}
	switch ours.Code {
	case Invalid, Conflict, AlreadyShown:
		mend := &UserError{Code: UserErrorCode(ours.Code), Message: ours.Message}
		if ours.Field != "" {
			mend.Field = &ours.Field
		}
		return &Payload[T]{UserErrors: []*UserError{mend}}, nil
	}
	return nil, err
}

// again reads what an earlier attempt made, as it is now.
func again[T any](ctx context.Context, p *Platform, id ID) (object T, err error) {
	var found any
	switch any(object).(type) {
	case *Tenant:
		found, err = p.store.Tenant(ctx, id)
	case *User:
		found, err = p.store.User(ctx, id)
	case *Member:
		if id, err = p.acceptedBy(ctx, id); err != nil {
			return object, err
		}
		found, err = only(p.store.MembersByID(ctx, []ID{id}))(func(*Member) error { return nil })
	case *Group:
		found, err = only(p.store.GroupsByID(ctx, []ID{id}))(func(*Group) error { return nil })
	case *Invitation:
		found, err = only(p.store.InvitationsByID(ctx, []ID{id}))(func(*Invitation) error { return nil })
	case *Import:
		found, err = only(p.store.ImportsByID(ctx, []ID{id}))(func(*Import) error { return nil })
	case *ProvisioningStatus:
		found, err = p.retried(ctx, id)
	default:
		err = fmt.Errorf("nobody knows how to read a %T again", object)
	}
	if err != nil {
		return object, err
	}
	object, _ = found.(T)
	return object, nil
}

// acceptedBy is the member whom an invitation made, for an attempt that accepted
// one; other targets are what they are.
func (p *Platform) acceptedBy(ctx context.Context, target ID) (ID, error) {
	if target.Kind() != KindInvitation {
		return target, nil
	}
	found, err := p.store.InvitationsByID(ctx, []ID{target})
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0].MemberID, nil
}
