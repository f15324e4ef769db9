package platform

import (
	"context"
	"time"
)

// SignIns is what the identity provider can be asked at once, beside what steps
// bring about. People are named by their subject, the UUID of their account.
type SignIns interface {
	// EndSessions ends every session of one person, and what could renew one, and
	// never another's: each row is looked at on our side before it is ended, and a
	// row of somebody else ends the whole with nothing touched (E-3). A person
	// without an account has no sessions. It may be repeated.
	EndSessions(ctx context.Context, subject string) error
	// Authenticators counts each person's confirmed authenticators (J-2), recovery
	// codes aside. A person who is not in the answer is not known there. On an error
	// nothing is known.
	Authenticators(ctx context.Context, subjects []string) (map[string]int, error)
}

// Mailboxes is what the mail server can be asked at once. Mailboxes are named by
// the handle of their step.
type Mailboxes interface {
	// LongestConnection is how long a connection that was open when a mailbox was
	// frozen may go on reading it (E-2).
	LongestConnection(ctx context.Context) (time.Duration, error)
	// MailUse is what each mailbox holds; one that is not in the answer is not
	// there.
	MailUse(ctx context.Context, handles []string) (map[string]Use, error)
}

// Files is what the file server can be asked at once. Spaces and accounts are
// named by the handle of their step.
type Files interface {
	// SpaceUse is what each space holds; one that is not in the answer is not
	// there.
	SpaceUse(ctx context.Context, handles []string) (map[string]Use, error)
	// AccountUse is what each person's own space holds; one that is not in the
	// answer has none yet, since it comes with the first sign-in.
	AccountUse(ctx context.Context, handles []string) (map[string]Use, error)
}

// Use is how full something is (K-3).
type Use struct {
	UsedBytes int64
	// QuotaBytes is 0 for as much as there is.
	QuotaBytes int64
}

// Probe asks an outside system, for real and changing nothing, whether the
// platform can work with it (C-9). What it answers is as of a Provisioner.
type Probe interface {
	Probe(ctx context.Context) error
}
