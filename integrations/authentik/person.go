package authentik

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/dezky/platform/platform"
)

// userFolder is the path of the accounts that the platform makes.
const userFolder = "dezky/users"

// user is what we read of an account. Its username is unique at Authentik,
// upper and lower case apart; its email address is not, and is often empty.
type user struct {
	PK          int        `json:"pk"`
	UUID        string     `json:"uuid"`
	Username    string     `json:"username"`
	Name        string     `json:"name"`
	Email       string     `json:"email"`
	IsActive    bool       `json:"is_active"`
	IsSuperuser bool       `json:"is_superuser"`
	Type        string     `json:"type"`
	Attributes  attributes `json:"attributes"`
	// Groups are pks, those of groups that the user is in directly.
	Groups []string `json:"groups"`
	// GroupObjects are the same groups, where they were asked for.
	GroupObjects []*group `json:"groups_obj"`
}

func userPath(pk int) string { return "/core/users/" + strconv.Itoa(pk) + "/" }

// listUsers lists users by a filter, which says what is asked for and not what
// comes.
func (c *Client) listUsers(ctx context.Context, filter url.Values) ([]*user, error) {
	filter.Set("include_roles", "false")
	rows, err := list[*user](ctx, c, "/core/users/", filter)
	if err != nil {
		return nil, err
	}
	for _, u := range rows {
		if err := c.checkUser(u); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// checkUser makes sure that the user can be named in further calls: a list
// filtered by nobody lists everybody.
func (c *Client) checkUser(u *user) error {
	if u == nil || u.PK <= 0 || u.UUID == "" || u.Username == "" {
		return c.call.Garbled(errors.New("a user without pk, uuid or username"))
	}
	return nil
}

func (c *Client) findUser(ctx context.Context, filter url.Values, is func(*user) bool) (*user, error) {
	rows, err := c.listUsers(ctx, filter)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(rows, is); i >= 0 {
		return rows[i], nil
	}
	return nil, nil
}

// userWithUUID is the user of a subject, or nil. A subject that is no UUID comes
// from an issuer that is set up otherwise, and nobody could be found by it.
func (c *Client) userWithUUID(ctx context.Context, subject string) (*user, error) {
	if !isUUID(subject) {
		return nil, platform.Errorf(platform.Invalid, "The person's subject is not the UUID of an account.").
			Because(fmt.Errorf("the subject is %q", subject)).Never()
	}
	subject = strings.ToLower(subject)
	return c.findUser(ctx, url.Values{"uuid": {subject}}, func(u *user) bool { return u.UUID == subject })
}

func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, r := range text {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (r == '-') || (!dash && !strings.ContainsRune("0123456789abcdefABCDEF", r)) {
			return false
		}
	}
	return true
}

// userNamed is the user of exactly that username, or nil.
func (c *Client) userNamed(ctx context.Context, username string) (*user, error) {
	return c.findUser(ctx, url.Values{"username": {username}}, func(u *user) bool { return u.Username == username })
}

// username is how a person's account is called: in small letters, because to
// Authentik others are another account.
func username(w *platform.PersonWant) string { return strings.ToLower(strings.TrimSpace(w.Username)) }

// account is the account of a person, or nil: by their subject, else by the
// handle that an earlier attempt recorded, else by their username. Who was found
// by a username may be somebody else. An account that the platform did not make
// is known by its subject alone, where there is one.
func (c *Client) account(ctx context.Context, w *platform.PersonWant, handle string) (*user, error) {
	switch {
	case w.Subject != "":
		if u, err := c.userWithUUID(ctx, w.Subject); err != nil || u != nil || !w.Ours {
			return u, err
		}
	case isUUID(handle):
		if u, err := c.userWithUUID(ctx, handle); err != nil || (u != nil && u.belongsTo(w)) {
			return u, err
		}
	}
	if username(w) == "" {
		return nil, nil
	}
	return c.userNamed(ctx, username(w))
}

// belongsTo says that the account is the person's: their subject names exactly
// it, or it is marked with their ID.
func (u *user) belongsTo(w *platform.PersonWant) bool {
	if w.Subject != "" && strings.EqualFold(w.Subject, u.UUID) {
		return true
	}
	m, ok := u.Attributes.mark()
	return ok && m.UserID != "" && m.UserID == w.ID
}

func (u *user) foreign() error {
	return platform.Errorf(platform.Conflict, "The account %s belongs to somebody else.", u.Username).
		Because(fmt.Errorf("user %d is marked %q", u.PK, string(u.Attributes[markKey]))).Never()
}

// guarded refuses to change an account that no person of ours could have.
func (u *user) guarded() error {
	switch {
	case u.IsSuperuser:
		return platform.Errorf(platform.Conflict, "The account %s administers the identity provider and is not changed from here.", u.Username).Never()
	case strings.Contains(u.Type, "service_account"):
		return platform.Errorf(platform.Conflict, "The account %s is no person's.", u.Username).Never()
	}
	return nil
}

// applyPerson makes sure of a person's account. One that the platform did not
// make is only ever let in and shut out.
func (c *Client) applyPerson(ctx context.Context, w *platform.PersonWant, handle string) (string, error) {
	gone := w.Presence == platform.PresenceGone
	if gone && !w.Ours {
		return "", nil
	}
	u, err := c.account(ctx, w, handle)
	if err != nil {
		return "", err
	}
	if gone {
		return "", c.removePerson(ctx, w, u)
	}
	u, err = c.ensurePerson(ctx, w, u, true)
	if err != nil || u == nil {
		return "", err
	}
	if w.Presence == platform.PresenceSuspended {
		if err := c.endSessions(ctx, u); err != nil {
			return "", err
		}
	}
	if w.Ours && !w.Password.IsZero() {
		if err := c.setPassword(ctx, u, w.Password); err != nil {
			return "", err
		}
	}
	return u.UUID, nil
}

// ensurePerson makes the account if it is missing, and mends what differs.
// Whether it is active is mended only where shut says so. The answer is nil for
// an account that is not ours to make and that nobody has to sign in to.
func (c *Client) ensurePerson(ctx context.Context, w *platform.PersonWant, u *user, shut bool) (*user, error) {
	active := w.Presence == platform.PresenceActive
	switch {
	case u == nil && w.Ours:
		var err error
		if u, err = c.createUser(ctx, w, active); err != nil {
			return nil, err
		}
	case u == nil && active:
		return nil, platform.Errorf(platform.Unavailable, "The person's account is not at the identity provider any more.").
			Because(fmt.Errorf("subject %q, username %q", w.Subject, w.Username)).Never()
	case u == nil:
		return nil, nil
	}
	if !u.belongsTo(w) {
		return nil, u.foreign()
	}
	change, err := u.lacks(w)
	if err != nil {
		return nil, err
	}
	if shut && u.IsActive != active {
		change["is_active"] = active
	}
	if len(change) == 0 {
		return u, nil
	}
	if err := u.guarded(); err != nil {
		return nil, err
	}
	return c.patchUser(ctx, u, change)
}

// lacks is what has to be changed so that the account says what the platform
// knows of its person. Of one that is not ours nothing is.
func (u *user) lacks(w *platform.PersonWant) (map[string]any, error) {
	change := map[string]any{}
	if !w.Ours {
		return change, nil
	}
	if name := strings.TrimSpace(w.Name); name != "" && name != u.Name {
		change["name"] = name
	}
	if email := strings.TrimSpace(w.Email); email != "" && email != u.Email {
		change["email"] = email
	}
	all, err := u.Attributes.marked(personMark(w))
	if all != nil {
		change["attributes"] = all
	}
	return change, err
}

func personMark(w *platform.PersonWant) map[string]string {
	return map[string]string{"userId": string(w.ID)}
}

// createUser makes a person's account. Of two that make it at once the second is
// told 400 or 500, and goes on with what the first made.
func (c *Client) createUser(ctx context.Context, w *platform.PersonWant, active bool) (*user, error) {
	name := username(w)
	if name == "" {
		return nil, platform.Errorf(platform.Invalid, "The person has no username to make an account with.").Never()
	}
	fields := map[string]any{
		"username": name, "name": strings.TrimSpace(w.Name), "type": "internal", "path": userFolder, "is_active": active,
		"attributes": map[string]any{markKey: personMark(w)},
	}
	if email := strings.TrimSpace(w.Email); email != "" {
		fields["email"] = email
	}
	a, err := c.send(ctx, http.MethodPost, "/core/users/", nil, fields)
	if err != nil {
		return nil, err
	}
	if !madeOrTaken(a) {
		return nil, c.refused(a)
	}
	u, err := c.userNamed(ctx, name)
	if err != nil || u != nil {
		return u, err
	}
	if a.Status == http.StatusCreated {
		return nil, c.call.Garbled(fmt.Errorf("the user %s was created and is not there", name))
	}
	return nil, c.refused(a)
}

// patchUser changes the fields in change and no others: a PUT, and a list of
// groups or roles in a PATCH, would take memberships away.
func (c *Client) patchUser(ctx context.Context, u *user, change map[string]any) (*user, error) {
	a, err := c.send(ctx, http.MethodPatch, userPath(u.PK), nil, change)
	if err != nil {
		return nil, err
	}
	if a.Status == http.StatusNotFound {
		return nil, accountRemoved()
	}
	next, err := read[*user](c, a, http.StatusOK)
	if err != nil {
		return nil, err
	}
	return next, c.checkUser(next)
}

func accountRemoved() error {
	return platform.Errorf(platform.Unavailable, "The account was removed while it was being changed.")
}

// setPassword sets a password. No answer to it is quoted anywhere, because an
// answer may quote the password.
func (c *Client) setPassword(ctx context.Context, u *user, password platform.Secret) error {
	if err := u.guarded(); err != nil {
		return err
	}
	a, err := c.send(ctx, http.MethodPost, userPath(u.PK)+"set_password/", nil, map[string]string{"password": password.Reveal()})
	if err != nil {
		return err
	}
	switch a.Status {
	case http.StatusNoContent:
		return nil
	case http.StatusNotFound:
		return accountRemoved()
	case http.StatusBadRequest:
		return platform.Errorf(platform.Unavailable, "The identity provider does not accept the password.").Never()
	}
	return c.refusedQuietly(a)
}

// removePerson removes the account of a person. Somebody else's stays, and the
// person's own is then not there.
func (c *Client) removePerson(ctx context.Context, w *platform.PersonWant, u *user) error {
	if u == nil || !u.belongsTo(w) {
		return nil
	}
	if m, ok := u.Attributes.mark(); !ok || cmp.Or(m.UserID, w.ID) != w.ID {
		return u.foreign() // their subject names it, and another person's mark is on it
	}
	if err := u.guarded(); err != nil {
		return err
	}
	if err := c.endSessions(ctx, u); err != nil {
		return err
	}
	return c.remove(ctx, userPath(u.PK))
}
