package platform

import (
	"crypto/rand"
	"strings"
)

// ID names one thing for ever: three letters for its kind, an underscore, and
// a name that nobody can guess. An ID read in a log says what it is.
type ID string

// Kind is the prefix of an ID.
type Kind string

// The kinds of things that have IDs.
const (
	KindTenant       Kind = "ten"
	KindPartner      Kind = "par"
	KindUser         Kind = "usr"
	KindMember       Kind = "mem"
	KindInvitation   Kind = "ivt"
	KindGroup        Kind = "grp"
	KindImport       Kind = "imp"
	KindSubscription Kind = "sub"
	KindAuditEvent   Kind = "aud"
	KindAttempt      Kind = "att"
	KindSession      Kind = "ses"
	KindEvent        Kind = "evt"
	KindRun          Kind = "run"
	KindRequest      Kind = "req"
)

// Kind says what the ID names, or "" if it has no such form.
func (id ID) Kind() Kind {
	kind, rest, ok := strings.Cut(string(id), "_")
	if !ok || len(kind) != 3 || rest == "" {
		return ""
	}
	return Kind(kind)
}

// NewID makes an ID that no one has used, from 100 bits of randomness.
func NewID(kind Kind) ID {
	return ID(string(kind) + "_" + strings.ToLower(rand.Text())[:20])
}
