package stalwart

import (
	"context"
	"fmt"
	"strings"

	"github.com/dezky/platform/platform"
)

// account is a mailbox, or a group that shares one.
type account struct {
	ID          string
	Type        string `json:"@type"`
	Name        string
	DomainID    string `json:"domainId"`
	Description *string
	Aliases     map[string]alias
	Credentials map[string]struct {
		Type string `json:"@type"`
	}
	Quotas      map[string]int64
	Permissions permissions
}

type accounts struct {
	query queryResult
	get   getResult[account]
}

func accountProperties() []string {
	return []string{"@type", "name", "domainId", "description", "aliases", "credentials", "quotas", "permissions"}
}

// named are the calls that find an account by its address and read it. There is
// no filter by the address as a whole.
func (a *accounts) named(local, domainID string) []call {
	return []call{
		{"find", "x:Account/query", map[string]any{"filter": map[string]any{"domainId": domainID, "name": local}}, &a.query},
		{"read", "x:Account/get", map[string]any{"#ids": resultOf("find", "x:Account"), "properties": accountProperties()}, &a.get},
	}
}

func (a *accounts) pick(local, domainID string) *account {
	for i, found := range a.get.List {
		if found.Name == local && found.DomainID == domainID {
			return &a.get.List[i]
		}
	}
	return nil
}

// address is an address in the server's own terms.
type address struct{ local, domain string }

func parseAddress(text string) (address, error) {
	local, domain, ok := strings.Cut(strings.ToLower(text), "@")
	if !ok || local == "" || domain == "" {
		return address{}, platform.Errorf(platform.Invalid, "%q is not a mail address.", text).Never()
	}
	return address{local, domain}, nil
}

// wantedMailbox is a mailbox with everything that its address needs looked up.
type wantedMailbox struct {
	*platform.MailboxWant
	address address
	// domainID is "" for a domain that is not there.
	domainID string
	aliases  []alias
}

// applyMailbox keeps a membership's mailbox. A handle that is known is the
// mailbox, wherever its address has been before.
func (c *Client) applyMailbox(ctx context.Context, mailbox *platform.MailboxWant, handle string) (string, error) {
	at, err := parseAddress(mailbox.Address)
	if err != nil {
		return "", err
	}
	want := wantedMailbox{MailboxWant: mailbox, address: at}
	if mailbox.Presence == platform.PresenceGone {
		return c.removeMailbox(ctx, want, handle)
	}
	if err := c.resolve(ctx, &want); err != nil {
		return "", err
	}
	known, byHandle, err := c.account(ctx, want, handle)
	if err != nil {
		return "", err
	}
	switch {
	case known == nil && byHandle == nil:
		return c.createMailbox(ctx, want)
	case known == nil:
		known = byHandle
	case byHandle != nil && byHandle.ID != known.ID:
		return "", platform.Errorf(platform.Conflict, "There is another mailbox %s already.", want.Address).
			Because(fmt.Errorf("account %s, and ours is %s", known.ID, byHandle.ID)).Never()
	}
	return c.mendMailbox(ctx, known, want)
}

// resolve looks up the domains of a mailbox's addresses. They are steps of other
// subjects, so one that is missing may come.
func (c *Client) resolve(ctx context.Context, want *wantedMailbox) error {
	names, seen := []string{want.address.domain}, map[string]bool{want.address.domain: true}
	var addresses []address
	taken := map[address]bool{want.address: true}
	for _, text := range want.Aliases {
		at, err := parseAddress(text)
		if err != nil {
			return err
		}
		if taken[at] {
			continue
		}
		taken[at] = true
		addresses = append(addresses, at)
		if !seen[at.domain] {
			seen[at.domain] = true
			names = append(names, at.domain)
		}
	}
	ids, err := c.domainIDs(ctx, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		if ids[name] == "" {
			return noDomain(name)
		}
	}
	want.domainID = ids[want.address.domain]
	for _, at := range addresses {
		want.aliases = append(want.aliases, alias{Enabled: true, Name: at.local, DomainID: ids[at.domain]})
	}
	return nil
}

func noDomain(name string) error {
	return platform.Errorf(platform.Unavailable, "The mail server does not know the mail domain %s yet.", name)
}

// account finds the account at the wanted address, and the one of the handle;
// either may be nil. Only accounts of people are found.
func (c *Client) account(ctx context.Context, want wantedMailbox, handle string) (at, byHandle *account, err error) {
	var found accounts
	var known getResult[account]
	var calls []call
	if want.domainID != "" {
		calls = found.named(want.address.local, want.domainID)
	}
	if handle != "" {
		calls = append(calls, call{"known", "x:Account/get", map[string]any{"ids": []string{handle}, "properties": accountProperties()}, &known})
	}
	if len(calls) == 0 {
		return nil, nil, nil
	}
	if err := c.call(ctx, calls...); err != nil {
		return nil, nil, err
	}
	at = found.pick(want.address.local, want.domainID)
	for i := range known.List {
		byHandle = &known.List[i]
	}
	for _, held := range []*account{at, byHandle} {
		if held != nil && held.Type != "User" && want.Presence != platform.PresenceGone {
			return nil, nil, takenBy(want.Address, "a group", fmt.Errorf("account %s is a %s", held.ID, held.Type))
		}
	}
	return at, byHandle, nil
}

func takenBy(address, whom string, cause error) error {
	return platform.Errorf(platform.Conflict, "The address %s is %s's already.", address, whom).Because(cause).Never()
}

// createMailbox makes the mailbox as it is wanted, frozen from its first moment
// on where it is, and reads back what is there. If another attempt was faster,
// that is the mailbox.
func (c *Client) createMailbox(ctx context.Context, want wantedMailbox) (string, error) {
	properties := map[string]any{
		"@type": "User", "name": want.address.local, "domainId": want.domainID,
		"roles":       map[string]any{"@type": "User"},
		"permissions": inherited().of(want.Presence),
	}
	if want.Name != "" {
		properties["description"] = want.Name
	}
	if len(want.aliases) > 0 {
		properties["aliases"] = aliasList(want.aliases)
	}
	if want.QuotaBytes > 0 {
		properties["quotas"] = map[string]any{"maxDiskQuota": want.QuotaBytes}
	}
	if !want.Password.IsZero() {
		properties["credentials"] = map[string]any{"0": passwordCredential(want.Password)}
	}
	var result setResult
	var found accounts
	create := call{"make", "x:Account/set", map[string]any{"create": map[string]any{"mailbox": properties}}, &result}
	err := c.call(ctx, append([]call{create}, found.named(want.address.local, want.domainID)...)...)
	if err != nil {
		return "", err
	}
	id, refusal, err := result.made(c, "mailbox")
	known := found.pick(want.address.local, want.domainID)
	switch {
	case err != nil:
		return "", err
	case refusal == nil && (known == nil || known.ID != id):
		return "", c.http.Garbled(fmt.Errorf("made the account %q and does not show it", id))
	case refusal == nil:
		return id, nil
	case refusal.Type == "primaryKeyViolation" && known != nil && known.Type == "User":
		return c.mendMailbox(ctx, known, want)
	}
	return "", refusedMailbox(want, refusal)
}

// refusedMailbox reads why a mailbox was not made or changed.
func refusedMailbox(want wantedMailbox, refusal *setError) error {
	switch {
	case refusal.Type == "primaryKeyViolation":
		whom := "somebody"
		if refusal.ObjectID != nil && refusal.ObjectID.Object == "MailingList" {
			whom = "a mailing list"
		}
		if len(want.aliases) > 0 {
			return platform.Errorf(platform.Conflict, "The address %s, or an alias of it, is %s's already.", want.Address, whom).Because(refusal).Never()
		}
		return takenBy(want.Address, whom, refusal)
	case refusal.isSecret():
		return platform.Errorf(platform.Invalid, "The mail server does not take this password for %s, because it is too easy, too short or too long.", want.Address).
			Because(refusal).Never()
	}
	return refusal.notDone("the mailbox " + want.Address)
}

// mendMailbox changes what differs, and sets the password if one is wanted: the
// server shows none, so that setting it again is the way to be sure of it. The
// password goes by itself, since one that is refused must not keep a mailbox
// from being frozen.
func (c *Client) mendMailbox(ctx context.Context, known *account, want wantedMailbox) (handle string, err error) {
	var calls []call
	var results []*setResult
	update := func(name string, patch map[string]any) {
		results = append(results, &setResult{})
		args := map[string]any{"update": map[string]any{known.ID: patch}}
		calls = append(calls, call{name, "x:Account/set", args, results[len(results)-1]})
	}
	patch := known.differences(want)
	if len(patch) > 0 {
		update("mend", patch)
	}
	if !want.Password.IsZero() {
		update("password", known.passwordPatch(want.Password))
	}
	if len(calls) == 0 {
		return known.ID, nil
	}
	if err := c.call(ctx, calls...); err != nil {
		return "", err
	}
	for _, result := range results {
		refusal, err := result.updated(c, known.ID)
		if err == nil && refusal.isHeldBy(known.ID) {
			refusal, err = c.swapAddresses(ctx, known.ID, patch)
		}
		if err != nil {
			return "", err
		}
		if refusal != nil {
			return "", refusedMailbox(want, refusal)
		}
	}
	return known.ID, nil
}

// swapAddresses lets go of the aliases first, where the server says of an
// account that it has the wanted address itself.
func (c *Client) swapAddresses(ctx context.Context, id string, patch map[string]any) (refusal *setError, err error) {
	refusal, err = c.update(ctx, "x:Account/set", id, map[string]any{"aliases": aliasList(nil)})
	if err != nil || refusal != nil {
		return refusal, err
	}
	return c.update(ctx, "x:Account/set", id, patch)
}

// differences is the patch that makes an account what is wanted.
func (a *account) differences(want wantedMailbox) map[string]any {
	patch := map[string]any{}
	if a.Name != want.address.local {
		patch["name"] = want.address.local
	}
	if a.DomainID != want.domainID {
		patch["domainId"] = want.domainID
	}
	if a.Description == nil && want.Name != "" || a.Description != nil && *a.Description != want.Name {
		patch["description"] = nullable(want.Name)
	}
	if held := a.Quotas["maxDiskQuota"]; held != max(0, want.QuotaBytes) {
		patch["quotas/maxDiskQuota"] = nil
		if want.QuotaBytes > 0 {
			patch["quotas/maxDiskQuota"] = want.QuotaBytes
		}
	}
	if aliases, differ := mendAliases(a.Aliases, want.aliases); differ {
		patch["aliases"] = aliases
	}
	if permissions := a.Permissions.of(want.Presence); !permissions.equal(a.Permissions) {
		patch["permissions"] = permissions
	}
	return patch
}

// nullable is a text as the server takes it, which is never empty.
func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// removeMailbox destroys a mailbox and all its mails. With a handle, that one
// and no other: once it is gone, the address may be another membership's.
func (c *Client) removeMailbox(ctx context.Context, want wantedMailbox, handle string) (string, error) {
	if handle == "" {
		ids, err := c.domainIDs(ctx, []string{want.address.domain})
		if err != nil {
			return "", err
		}
		want.domainID = ids[want.address.domain]
	}
	at, byHandle, err := c.account(ctx, want, handle)
	if err != nil {
		return "", err
	}
	known := byHandle
	if handle == "" {
		known = at
	}
	if known == nil || known.Type != "User" {
		return handle, nil
	}
	refusals, err := c.destroy(ctx, "x:Account", []string{known.ID})
	if err != nil {
		return "", err
	}
	if refusal := refusals[known.ID]; refusal != nil && refusal.Type == "objectIsLinked" {
		return "", platform.Errorf(platform.Conflict, "The mailbox %s is still in use in the mail server.", want.Address).
			Because(refusal).Never()
	} else if refusal != nil {
		return "", refusal.notDone("to remove the mailbox " + want.Address)
	}
	return known.ID, nil
}
