package platform

import "context"

// MailDomains is what the mail server can be asked at once about its domains
// (F-2, F-4). Domains are named by the handle of their step. Every method only
// reads, and may be repeated; a domain that is not there is NotFound.
type MailDomains interface {
	// Zone is the text of the records to publish, in the form of a zone file, as
	// the mail server wants them now: without the keys that are still to come.
	Zone(ctx context.Context, handle string) (string, error)
	// DKIMKeys are the keys of a domain, the oldest first. There are none yet in
	// the first moments of a domain. A key can belong to a domain that is gone, so
	// no domain is looked for.
	DKIMKeys(ctx context.Context, handle string) ([]DKIMKey, error)
	// UsesOf is what holds a domain of that name in the mail server: it cannot be
	// removed before that is gone. Whether the domain is there is not looked at.
	UsesOf(ctx context.Context, handle, name string) (MailDomainUses, error)
}

// DKIMKey is the public half of a key that mails of a domain are signed with.
type DKIMKey struct {
	// Selector names the key in the DNS: <selector>._domainkey.<domain>.
	Selector string
	// Algorithm is as in the record's k=: "rsa" or "ed25519".
	Algorithm string
	// PublicKey is as in the record's p=.
	PublicKey string
	Stage     DKIMStage
}

// DKIMStage is where a key is in its life. Keys of every stage are to be
// published.
type DKIMStage string

// The stages. Only an active key signs.
const (
	DKIMStagePending  DKIMStage = "PENDING"
	DKIMStageActive   DKIMStage = "ACTIVE"
	DKIMStageRetiring DKIMStage = "RETIRING"
	DKIMStageRetired  DKIMStage = "RETIRED"
)

// MailDomainUses is what holds a domain.
type MailDomainUses struct {
	// Uses are no more than can be shown; More says that there are, or may be,
	// others.
	Uses []MailDomainUse
	More bool
}

// MailDomainUse is one address in a domain.
type MailDomainUse struct {
	Kind    MailDomainUseKind
	Address string
	// Of is whose address it is, where it is an alias: the address of a mailbox, a
	// group or a mailing list, which may be in another domain.
	Of string
	// Handle is the mail server's own ID of the holder.
	Handle string
}

// MailDomainUseKind is what an address is.
type MailDomainUseKind string

// The kinds of addresses. A group is a mailbox that several people share.
const (
	MailDomainUseMailbox MailDomainUseKind = "MAILBOX"
	MailDomainUseGroup   MailDomainUseKind = "GROUP"
	MailDomainUseList    MailDomainUseKind = "LIST"
	MailDomainUseAlias   MailDomainUseKind = "ALIAS"
)
