package stalwart

import (
	"context"

	"github.com/dezky/platform/platform"
)

var _ platform.Provisioner = (*Client)(nil)

// Apply keeps what the mail server has of tenants, domains, memberships and
// groups: a mail domain of each of the first two, a mailbox, a mailing list.
// People beside their memberships have nothing there.
//
// Domains bear the ids of their tenant and domain in their description, lists
// that of their group. A mailbox bears no mark: its address, which no two
// memberships have at once, is its name.
func (c *Client) Apply(ctx context.Context, s platform.Step) (handle string, err error) {
	switch want := s.Want; {
	case want.Tenant != nil && want.Tenant.MailDomain != "":
		return c.ensureDomain(ctx, platformDomain(want.Tenant))
	case want.Domain != nil && want.Domain.Presence == platform.PresenceGone:
		return c.removeDomain(ctx, ownDomain(want.Domain), s.Handle)
	case want.Domain != nil:
		return c.ensureDomain(ctx, ownDomain(want.Domain))
	case want.Member != nil && want.Member.Mailbox != nil:
		return c.applyMailbox(ctx, want.Member.Mailbox, s.Handle)
	case want.Group != nil:
		return c.applyList(ctx, want.Group, s.Handle)
	}
	return "", platform.ErrSkip
}
