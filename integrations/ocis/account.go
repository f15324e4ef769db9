package ocis

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/dezky/platform/platform"
)

// account is a user, as far as it matters here. Lists and changes show the mail,
// looking at one account does not, unless the server is told to.
type account struct {
	ID                       string
	OnPremisesSamAccountName string
	DisplayName              string
	Mail                     string
	AccountEnabled           *bool // not shown to who is not an administrator
}

// accountChange is what is to be said of an account. What is empty is left as it
// is, since nothing can be cleared.
type accountChange struct {
	Username string `json:"onPremisesSamAccountName,omitempty"`
	Name     string `json:"displayName,omitempty"`
	Mail     string `json:"mail,omitempty"`
	Enabled  *bool  `json:"accountEnabled,omitempty"`
}

// applyPerson makes sure that the person has an account for files, which can be
// shared with before they first sign in. It has no password: who signs in brings
// a token of the identity provider, and is matched by the username.
func (c *Client) applyPerson(ctx context.Context, p *platform.PersonWant, recorded string) (handle string, err error) {
	if p.Username == "" {
		return "", platform.ErrSkip
	}
	if p.Presence == platform.PresenceGone {
		return c.endPerson(ctx, p, recorded)
	}
	a, err := c.accountOf(ctx, p.Username, recorded)
	if err == nil && a == nil {
		a, err = c.createAccount(ctx, p)
	}
	if err != nil {
		return "", err
	}
	change := accountChange{}
	if !strings.EqualFold(a.OnPremisesSamAccountName, p.Username) {
		change.Username = p.Username
	}
	if p.Name != "" && a.DisplayName != p.Name {
		change.Name = p.Name
	}
	if change.Mail, err = c.mailFor(ctx, a, p.Email); err != nil {
		return "", err
	}
	if enabled := p.Presence == platform.PresenceActive; a.AccountEnabled == nil || *a.AccountEnabled != enabled {
		change.Enabled = &enabled
	}
	if change != (accountChange{}) {
		err = c.changeAccount(ctx, a.ID, change)
	}
	return a.ID, err
}

// endPerson removes the account of a person who is gone. One that the platform
// did not make stays where it is and is shut: the server has no place for a mark
// of ours, so that nothing shows whether it held files before we adopted it.
//
// An account that was recorded is not looked for by its username, which may be
// somebody else's by now.
func (c *Client) endPerson(ctx context.Context, p *platform.PersonWant, recorded string) (handle string, err error) {
	username := p.Username
	if recorded != "" {
		username = ""
	}
	a, err := c.accountOf(ctx, username, recorded)
	switch {
	case err != nil:
		return "", err
	case a != nil && !p.Ours:
		return a.ID, c.shut(ctx, a)
	case a != nil:
		return a.ID, c.removeAccount(ctx, a.ID)
	case p.Ours && recorded != "":
		// Somebody else removed the account, and left its grants.
		err = c.removeGrants(ctx, recorded)
	}
	return recorded, err
}

// shut leaves an account and its files where they are, and lets nobody in.
func (c *Client) shut(ctx context.Context, a *account) error {
	if a.AccountEnabled != nil && !*a.AccountEnabled {
		return nil
	}
	return c.changeAccount(ctx, a.ID, accountChange{Enabled: new(bool)})
}

// accountOf is the account with the recorded id, else the one with the username,
// upper and lower case apart, or nil. The server takes ids and usernames in the
// same place, so both are compared here.
func (c *Client) accountOf(ctx context.Context, username, recorded string) (*account, error) {
	if recorded != "" {
		a, err := c.account(ctx, recorded)
		if err != nil || a != nil && a.ID == recorded {
			return a, err
		}
	}
	if username == "" {
		return nil, nil
	}
	a, err := c.account(ctx, username)
	if err != nil || a == nil || !strings.EqualFold(a.OnPremisesSamAccountName, username) {
		return nil, err
	}
	return a, nil
}

func (c *Client) account(ctx context.Context, key string) (*account, error) {
	var a account
	err := c.call(ctx, request{path: accountPath(key)}, &a)
	if isMissing(err) {
		return nil, nil
	}
	if err == nil && a.ID == "" {
		return nil, c.http.Garbled(fmt.Errorf("the account %s has no id", key))
	}
	return &a, err
}

// isMissing tells that there is no such thing from a 404 of somebody who is not
// the file server: a wrong address must not look like an empty server.
func isMissing(err error) bool {
	return hasStatus(err, http.StatusNotFound) && said(err).code == "itemNotFound"
}

// createAccount makes the person's account. Of several that make it at once one
// does, and the others go on with that one.
func (c *Client) createAccount(ctx context.Context, p *platform.PersonWant) (*account, error) {
	enabled := p.Presence == platform.PresenceActive
	wanted := accountChange{Username: p.Username, Name: p.Name, Mail: p.Email, Enabled: &enabled}
	if wanted.Name == "" {
		wanted.Name = p.Username // an account must have one
	}
	var a account
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1.0/users", body: wanted}, &a)
	switch {
	case hasStatus(err, http.StatusConflict):
		found, lookErr := c.accountOf(ctx, p.Username, "")
		if lookErr == nil && found == nil {
			return nil, platform.Errorf(platform.Unavailable, "The person's account on the file server was just there and is not.").Because(said(err))
		}
		return found, lookErr
	case err != nil:
		return nil, unfit(err, wanted)
	case a.ID == "" || !strings.EqualFold(a.OnPremisesSamAccountName, p.Username):
		return nil, c.http.Garbled(fmt.Errorf("made %q instead of %q", a.OnPremisesSamAccountName, p.Username))
	}
	return &a, nil
}

// unfit says what the server does not take of an account.
func unfit(err error, wanted accountChange) error {
	theirs := said(err)
	if theirs == nil || theirs.status != http.StatusBadRequest {
		return err
	}
	switch message := strings.ToLower(theirs.message); {
	case strings.Contains(message, "username"):
		return platform.Errorf(platform.Invalid, "The file server does not take the username %s, since it begins with no letter from a to z or holds other signs than it knows.", wanted.Username).
			Because(theirs).Never()
	case strings.Contains(message, "email address"):
		return platform.Errorf(platform.Invalid, "The file server does not take the address %s.", wanted.Mail).Because(theirs).Never()
	}
	return err
}

// mailFor is the mail that the account has to get, or "". What a list for
// administrators does not show of an account it does not have; what looking at
// the account alone does not show says nothing.
func (c *Client) mailFor(ctx context.Context, a *account, wanted string) (string, error) {
	if wanted == "" || a.Mail == wanted {
		return "", nil
	}
	if a.Mail != "" {
		return wanted, nil
	}
	// Without the quotation marks an @ is a syntax error.
	found, err := list[account](ctx, c, "/v1.0/users?%24search="+url.QueryEscape(`"`+a.OnPremisesSamAccountName+`"`))
	for _, other := range found {
		shown := other.Mail != "" || other.AccountEnabled != nil
		if other.ID == a.ID && shown && other.Mail != wanted {
			return wanted, nil
		}
	}
	return "", err
}

// changeAccount changes the username by itself and first: in the directory that
// is another operation, which moves the entry that the others are written to.
func (c *Client) changeAccount(ctx context.Context, id string, change accountChange) error {
	if err := c.isNotOurs(ctx, id); err != nil {
		return err
	}
	if rest := change; change.Username != "" {
		rest.Username = ""
		if err := c.patchAccount(ctx, id, accountChange{Username: change.Username}); err != nil || rest == (accountChange{}) {
			return err
		}
		change = rest
	}
	return c.patchAccount(ctx, id, change)
}

func (c *Client) patchAccount(ctx context.Context, id string, change accountChange) error {
	var changed account
	err := c.call(ctx, request{method: http.MethodPatch, path: accountPath(id), body: change}, &changed)
	switch {
	case isMissing(err):
		return platform.Errorf(platform.Unavailable, "The person's account on the file server was just removed.").Because(said(err))
	case hasStatus(err, http.StatusConflict):
		return platform.Errorf(platform.Conflict, "Another account on the file server has the username %s.", change.Username).Because(said(err)).Never()
	case err != nil:
		return unfit(err, change)
	case changed.ID != id:
		return c.http.Garbled(fmt.Errorf("changed %q instead of %q", changed.ID, id))
	}
	return nil
}

// removeAccount removes an account and all files in its own space. Its grants on
// other spaces would outlive it, so they go first.
func (c *Client) removeAccount(ctx context.Context, id string) error {
	if err := c.isNotOurs(ctx, id); err != nil {
		return err
	}
	if err := c.removeGrants(ctx, id); err != nil {
		return err
	}
	return c.deleteAccount(ctx, id)
}

// deleteAccount leaves an account's grants where they are. One that is not there
// is deleted.
func (c *Client) deleteAccount(ctx context.Context, id string) error {
	err := c.call(ctx, request{method: http.MethodDelete, path: accountPath(id)}, nil)
	if isMissing(err) {
		return nil
	}
	return err
}

// isNotOurs refuses to touch the account that the platform itself signs in with:
// shut, or without its grants, it could never mend itself again.
func (c *Client) isNotOurs(ctx context.Context, id string) error {
	me, err := c.me(ctx)
	if err == nil && me == id {
		err = platform.Errorf(platform.Conflict, "The person's account on the file server is the platform's own.").Never()
	}
	return err
}

// me is the id of the account that the platform signs in with.
func (c *Client) me(ctx context.Context) (string, error) {
	var me account
	err := c.call(ctx, request{path: "/v1.0/me"}, &me)
	if err == nil && me.ID == "" {
		return "", c.http.Garbled(errors.New("we have no id"))
	}
	return me.ID, err
}

func accountPath(key string) string { return "/v1.0/users/" + url.PathEscape(key) }
