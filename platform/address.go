package platform

import (
	"context"
	"regexp"
	"slices"
	"strings"
)

// Address is a claim on a mail address: its ID is the address, so that nobody
// else has it until the mail server has let go of it. A member's own address is
// also what they sign in with.
type Address struct {
	Document
	TenantID ID `json:"tenantId"`
	// Holder is the member or the group.
	Holder ID `json:"holder"`
}

// AddressReader reads claims.
type AddressReader interface {
	// AddressesByID are those of the claims that exist, in no order.
	AddressesByID(ctx context.Context, addresses []ID) ([]*Address, error)
	// AddressesOf are all claims of a holder.
	AddressesOf(ctx context.Context, holder ID) ([]*Address, error)
}

// AddressWriter changes claims.
type AddressWriter interface {
	// ClaimAddress stores a new claim. One that somebody else has meanwhile has the
	// change made again.
	ClaimAddress(ctx context.Context, a *Address) error
	// FreeAddress removes a claim.
	FreeAddress(ctx context.Context, a *Address) error
}

// Bounds of addresses.
const (
	longestMailName = 64
	mostAliases     = 20
)

// mailNameForm is the part before the @. It begins with a letter, because the
// file server wants that of what people sign in with.
var mailNameForm = regexp.MustCompile(`^[a-z][a-z0-9]*([._-][a-z0-9]+)*$`)

func reservedMailNames() []string { // RFC 2142 and what mail servers send from
	return []string{"abuse", "hostmaster", "mailer-daemon", "noc", "postmaster", "root", "security", "webmaster"}
}

// cleanMailName is the part of an address before the @, in small letters.
func cleanMailName(field, text string) (string, error) {
	name := strings.ToLower(strings.TrimSpace(text))
	switch {
	case len(name) > longestMailName || !mailNameForm.MatchString(name):
		return "", Errorf(Invalid, "A mail name has up to %d letters, digits, and single dots, hyphens or underscores between them, and begins with a letter.",
			longestMailName).On(field)
	case slices.Contains(reservedMailNames(), name):
		return "", Errorf(Invalid, "The mail name %s is reserved.", name).On(field)
	}
	return name, nil
}

// cleanAliases are mail names, each once, in order.
func cleanAliases(field string, texts []string) ([]string, error) {
	if len(texts) > mostAliases {
		return nil, Errorf(Invalid, "There are at most %d aliases.", mostAliases).On(field)
	}
	names := []string{}
	for _, text := range texts {
		name, err := cleanMailName(field, text)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// primaryDomain is the domain of a tenant's new addresses (E-1), or Conflict.
func (p *Platform) primaryDomain(t *Tenant) (string, error) {
	if p.mailDomain == "" {
		return "", Errorf(Conflict, "The tenant has no mail domain yet.").On("tenantId")
	}
	return t.Slug + "." + p.mailDomain, nil
}

// claimAddresses has a holder claim what they do not hold yet. One that another
// holds is Conflict on the field. What the holder needs no more stays claimed
// until the mail server has let go of it.
func claimAddresses(ctx context.Context, w Writer, tenant, holder ID, field string, wanted ...string) error {
	ids, err := unclaimed(ctx, w, holder, field, wanted...)
	if err != nil {
		return err
	}
	return claim(ctx, w, tenant, holder, ids...)
}

// unclaimed are those of the addresses that the holder does not hold yet. The
// first that another holds is Conflict on the field.
func unclaimed(ctx context.Context, r AddressReader, holder ID, field string, wanted ...string) ([]ID, error) {
	ids := make([]ID, len(wanted))
	for i, address := range wanted {
		ids[i] = ID(address)
	}
	there, err := r.AddressesByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	var free []ID
	for _, id := range ids {
		switch i := slices.IndexFunc(there, func(a *Address) bool { return a.ID == id }); {
		case i < 0:
			free = append(free, id)
		case there[i].Holder != holder:
			return nil, Errorf(Conflict, "The address %s is taken.", id).On(field)
		}
	}
	return free, nil
}

func claim(ctx context.Context, w AddressWriter, tenant, holder ID, addresses ...ID) error {
	for _, id := range addresses {
		if err := w.ClaimAddress(ctx, &Address{Document: Document{ID: id}, TenantID: tenant, Holder: holder}); err != nil {
			return err
		}
	}
	return nil
}

// freeAddresses lets go of what a holder claims and needs no more.
func freeAddresses(ctx context.Context, b Book, holder ID, needed ...string) error {
	held, err := b.AddressesOf(ctx, holder)
	if err != nil {
		return err
	}
	for _, a := range held {
		if slices.Contains(needed, string(a.ID)) {
			continue
		}
		if err := b.FreeAddress(ctx, a); err != nil {
			return err
		}
	}
	return nil
}
