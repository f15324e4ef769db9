package platform

// Want is what should be outside of one subject. Exactly one field is set, by
// the subject's kind.
type Want struct {
	Tenant *TenantWant
	Person *PersonWant
	Member *MemberWant
	Group  *GroupWant
	Domain *DomainWant
	Import *ImportWant
}

// Presence says how much of a thing there should be outside.
type Presence string

// The presences. Going from one to another and back loses nothing, but for what
// was Gone.
const (
	// PresenceActive is there, and can be used.
	PresenceActive Presence = "ACTIVE"
	// PresenceSuspended is there, and shut: nobody signs in to it, and its password,
	// files and mails stay.
	PresenceSuspended Presence = "SUSPENDED"
	// PresenceGone is not there. What is not there already is as wanted.
	PresenceGone Presence = "GONE"
)

// TenantWant is what a tenant wants of the outside systems: a group that its
// members are in, a space for its files, a mail domain, and a customer to bill.
type TenantWant struct {
	ID   ID
	Slug string
	Name string
	// MailDomain is the tenant's platform mail domain (F-7), or "" where the
	// platform has none.
	MailDomain string
	// CreatedAt is since when there can be anything of the tenant outside.
	CreatedAt Time
}

// Group is the tenant's group at the identity provider. Nothing that a tenant
// can name begins like it.
func (w TenantWant) Group() string { return TenantGroupPrefix + w.Slug }

// TenantGroupPrefix begins the name of every tenant's group.
const TenantGroupPrefix = "tenant-"

// PersonWant is what a person wants of the outside systems: an account to sign
// in with, and one for files. A person is wanted as long as any membership, or a
// role beside them, wants them.
type PersonWant struct {
	ID       ID
	Presence Presence
	// Ours says that the platform made the account. One that it did not make is
	// never made, renamed or removed by it, only let in and shut out.
	Ours bool
	// Subject is the account's UUID at the identity provider, or "" as long as it
	// is not known.
	Subject string
	// Username is what the person signs in with, in small letters: of accounts that
	// are ours their address. "" is not known.
	Username string
	Email    string
	Name     string
	// Password is to be set, if it is not zero. Setting it again changes nothing.
	Password Secret
}

// MemberWant is what a membership wants: the person in the tenant's group and in
// its files, and a mailbox. Person is whose membership it is; their account may
// not be there yet, and is then made for the membership as for the person.
type MemberWant struct {
	ID       ID
	Presence Presence
	Tenant   TenantWant
	Person   PersonWant
	Role     MemberRole
	// Mailbox is nil for a member who never had one.
	Mailbox *MailboxWant
}

// MailboxWant is a mailbox. Its address is its name in the mail server, and no
// other membership has it as long as this one's is not gone.
type MailboxWant struct {
	// Presence is Suspended for a mailbox that is frozen: nobody signs in to it,
	// and it neither sends nor receives.
	Presence Presence
	// Address and Aliases are in small letters, and in ASCII.
	Address string
	Aliases []string
	// Name is the person's, as mails show it.
	Name string
	// QuotaBytes is 0 for as much as there is.
	QuotaBytes int64
	// Password is to be set, if it is not zero. Setting it again changes nothing.
	Password Secret
}

// GroupWant is what a group of a tenant's members wants: a group at the identity
// provider, and, where it has an address, a mailing list.
type GroupWant struct {
	ID       ID
	Presence Presence
	Tenant   TenantWant
	Name     string
	// Members are the people in it, active members of the tenant alone.
	Members []PersonWant
	// Address is the list's, or "" for none; Recipients are who gets its mails.
	Address    string
	Recipients []string
}

// SignInGroup is the group's name at the identity provider. A slug has no
// slash, so that no two tenants' groups meet, and none meets a tenant's own
// group or an administrators'.
func (w GroupWant) SignInGroup() string { return "group-" + w.Tenant.Slug + "/" + w.Name }

// DomainWant is what a domain that its tenant has proven to own wants of the mail
// server (F-2).
type DomainWant struct {
	ID       ID
	Presence Presence
	Tenant   TenantWant
	// Name is in small letters, and in ASCII.
	Name string
}

// ImportWant is an import of members that is to be worked off.
type ImportWant struct {
	ID       ID
	TenantID ID
}
