package standin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// user is an account. Usernames are unique, upper and lower case apart; mails
// are not.
type user struct {
	ID, Username, Name, Mail, GivenName, Surname string
	Identities                                   []identity
	Password                                     string // hashed
	Disabled                                     bool
	SignedIn                                     *time.Time // with a bearer token
}

type identity struct {
	Issuer           string `json:"issuer"`
	IssuerAssignedID string `json:"issuerAssignedId"`
}

// departed is a deleted user. Grants outlive them, and for a minute their names.
type departed struct {
	ID, Name string
	At       time.Time
}

// user is the one with an id, or nil.
func (s *Server) user(id string) *user {
	i := slices.IndexFunc(s.state.Users, func(u *user) bool { return u.ID == id })
	if i < 0 {
		return nil
	}
	return s.state.Users[i]
}

func (s *Server) userNamed(username string) *user {
	i := slices.IndexFunc(s.state.Users, func(u *user) bool { return strings.EqualFold(u.Username, username) })
	if i < 0 {
		return nil
	}
	return s.state.Users[i]
}

// userOf is the user with an id or a username.
func (s *Server) userOf(key string) *user {
	if u := s.user(key); u != nil {
		return u
	}
	return s.userNamed(key)
}

func (s *Server) isAdmin(c *call) bool { return c.user.ID == s.state.Admin }

// userBody is a user as it is written. Keys that it lacks are refused; what the
// server knows and does not heed is raw.
type userBody struct {
	Username        *string     `json:"onPremisesSamAccountName"`
	Name            *string     `json:"displayName"`
	Mail            *string     `json:"mail"`
	GivenName       *string     `json:"givenName"`
	Surname         *string     `json:"surname"`
	Enabled         *bool       `json:"accountEnabled"`
	Identities      *[]identity `json:"identities"`
	PasswordProfile *struct {
		Password    *string         `json:"password"`
		ForceChange json.RawMessage `json:"forceChangePasswordNextSignIn"`
	} `json:"passwordProfile"`
	ID                 *string         `json:"id"`
	UserType           *string         `json:"userType"`
	PreferredLanguage  *string         `json:"preferredLanguage"`
	AppRoleAssignments json.RawMessage `json:"appRoleAssignments"`
	Drive              json.RawMessage `json:"drive"`
	Drives             json.RawMessage `json:"drives"`
	MemberOf           json.RawMessage `json:"memberOf"`
	SignInActivity     json.RawMessage `json:"signInActivity"`
}

// readUser is a body, or what the server says of it.
func readUser(r io.Reader, required ...string) (in userBody, fault string) {
	body, err := io.ReadAll(r)
	if err != nil {
		return in, err.Error()
	}
	var keys map[string]json.RawMessage
	if json.Unmarshal(body, &keys) == nil {
		for _, key := range required {
			if _, given := keys[key]; !given {
				return in, "no value given for required property " + key
			}
		}
	}
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return in, err.Error()
	}
	return in, ""
}

var (
	usernames = regexp.MustCompile("^[a-zA-Z_][a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]*(@[a-zA-Z0-9-]+(\\.[a-zA-Z0-9-]+)*)?$")
	mails     = regexp.MustCompile(`^[^@\s]+@[^@\s]+$`)
)

// invalid is what the server does not take, or "".
func (in *userBody) invalid() string {
	switch {
	case in.ID != nil:
		return "user id is a read-only attribute"
	case in.UserType != nil:
		return "userType is a read-only attribute"
	case in.Username != nil && !usernames.MatchString(*in.Username):
		return "Invalid username"
	}
	return ""
}

func (s *Server) createUser(c *call) {
	if !s.isAdmin(c) {
		s.fail(c, http.StatusForbidden, "accessDenied", "Forbidden")
		return
	}
	in, fault := readUser(c.r.Body, "displayName", "onPremisesSamAccountName")
	if fault != "" {
		s.fail(c, http.StatusBadRequest, "invalidRequest", "invalid request body: "+fault)
		return
	}
	if fault = in.invalid(); fault == "" && in.Mail != nil && !mails.MatchString(*in.Mail) {
		fault = "invalid email address"
	}
	switch {
	case fault != "":
		s.fail(c, http.StatusBadRequest, "invalidRequest", fault)
		return
	case s.userNamed(*in.Username) != nil:
		s.fail(c, http.StatusConflict, "nameAlreadyExists", "a user with that name already exists")
		return
	}
	u := &user{ID: newUUID(), Username: *in.Username, Surname: *in.Username}
	u.take(&in)
	s.state.Users = append(s.state.Users, u)
	shown := u.render()
	if in.Enabled == nil {
		delete(shown, "accountEnabled")
	}
	s.done(c, http.StatusCreated, shown)
}

// take changes what is given. An empty name is ignored.
func (u *user) take(in *userBody) {
	set := func(target *string, value *string) {
		if value != nil && *value != "" {
			*target = *value
		}
	}
	set(&u.Username, in.Username)
	set(&u.Name, in.Name)
	set(&u.Mail, in.Mail)
	set(&u.GivenName, in.GivenName)
	set(&u.Surname, in.Surname)
	if in.Enabled != nil {
		u.Disabled = !*in.Enabled
	}
	if in.Identities != nil {
		u.Identities = *in.Identities
	}
	if in.PasswordProfile != nil && in.PasswordProfile.Password != nil {
		u.Password = hash(*in.PasswordProfile.Password)
	}
}

func (s *Server) changeUser(c *call) {
	if !s.isAdmin(c) {
		s.fail(c, http.StatusForbidden, "accessDenied", "Forbidden")
		return
	}
	in, fault := readUser(c.r.Body)
	if fault != "" {
		s.fail(c, http.StatusBadRequest, "invalidRequest", "invalid request body: "+fault)
		return
	}
	u := s.userOf(c.ids[0])
	fault = in.invalid()
	switch {
	case u == nil:
		s.fail(c, http.StatusNotFound, "itemNotFound", "not found")
		return
	case fault != "":
	case in.Mail != nil && !mails.MatchString(*in.Mail):
		fault = fmt.Sprintf("'%s' is not a valid email address", *in.Mail)
	case in.PreferredLanguage != nil && u != c.user:
		fault = "user is not allowed to change other users language"
	case in.PreferredLanguage != nil:
		s.refuse(c)
		return
	}
	if fault != "" {
		s.fail(c, http.StatusBadRequest, "invalidRequest", fault)
		return
	}
	if in.Username != nil {
		if other := s.userNamed(*in.Username); other != nil && other != u {
			s.fail(c, http.StatusConflict, "nameAlreadyExists", "a user with that name already exists")
			return
		}
	}
	if in.Username == nil && in.Name == nil && in.Mail == nil && in.GivenName == nil && in.Surname == nil &&
		in.Enabled == nil && in.Identities == nil && in.PasswordProfile == nil {
		answer(c.w, http.StatusNoContent, nil)
		return
	}
	u.take(&in)
	s.done(c, http.StatusOK, u.render())
}

// deleteUser leaves the user's grants on spaces where they are.
func (s *Server) deleteUser(c *call) {
	u := s.userOf(c.ids[0])
	switch {
	case !s.isAdmin(c):
		s.fail(c, http.StatusForbidden, "accessDenied", "Forbidden")
		return
	case u == nil:
		s.fail(c, http.StatusNotFound, "itemNotFound", "not found")
		return
	case u == c.user:
		s.fail(c, http.StatusForbidden, "notAllowed", "self deletion forbidden")
		return
	}
	s.state.Users = slices.DeleteFunc(s.state.Users, func(other *user) bool { return other == u })
	s.state.Drives = slices.DeleteFunc(s.state.Drives, func(d *drive) bool { return d.Type == personal && d.Space == u.ID })
	s.state.Departed = append(s.state.Departed, departed{u.ID, u.Name, s.options.Clock.Now()})
	s.done(c, http.StatusNoContent, nil)
}

// showUser shows everything but the mail.
func (s *Server) showUser(c *call) {
	u := s.userOf(c.ids[0])
	if u == nil {
		s.fail(c, http.StatusNotFound, "itemNotFound", "not found")
		return
	}
	shown := u.render()
	delete(shown, "mail")
	for _, name := range strings.Split(c.r.URL.Query().Get("$expand"), ",") {
		switch name {
		case "appRoleAssignments":
			shown[name] = []any{s.assignment(u)}
		case "drive":
			shown[name] = map[string]any{"name": ""}
			if d := s.personal(u.ID); d != nil {
				shown[name] = s.render(d)
			}
		case "memberOf", "drives":
			s.refuse(c)
			return
		}
	}
	answer(c.w, http.StatusOK, shown)
}

// The ids of roles are the same on every server; the application's, and of a
// user's one assignment, are made here out of what there is.
func (s *Server) assignment(u *user) map[string]any {
	role := "d7beeea8-8ff4-406b-8fb6-ab2dd81e6b11" // User
	if u.ID == s.state.Admin {
		role = "71881883-1768-46bd-a24d-a356a2afdf7f" // Admin
	}
	return map[string]any{
		"appRoleId": role, "id": s.state.Storage, "principalId": u.ID, "principalType": "User",
		"resourceDisplayName": "OpenCloud", "resourceId": s.state.Storage,
	}
}

// render is a user as lists and changes show it.
func (u *user) render() map[string]any {
	shown := map[string]any{
		"accountEnabled": !u.Disabled, "displayName": u.Name, "id": u.ID, "onPremisesSamAccountName": u.Username,
		"surname": u.Surname, "userType": "Member",
	}
	if u.GivenName != "" {
		shown["givenName"] = u.GivenName
	}
	if u.Mail != "" {
		shown["mail"] = u.Mail
	}
	if len(u.Identities) > 0 {
		shown["identities"] = u.Identities
	}
	if u.SignedIn != nil {
		shown["signInActivity"] = map[string]any{"lastSuccessfulSignInDateTime": u.SignedIn.UTC().Format(time.RFC3339)}
	}
	return shown
}

func (s *Server) me(c *call) {
	answer(c.w, http.StatusOK, map[string]any{
		"displayName": c.user.Name, "id": c.user.ID, "mail": c.user.Mail, "onPremisesSamAccountName": c.user.Username,
		"identities":        []identity{{s.options.PublicURL, c.user.ID}},
		"preferredLanguage": "en", "userType": "Member",
	})
}
