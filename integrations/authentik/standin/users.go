package standin

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

type user struct {
	PK         int             `json:"pk"`
	UUID       string          `json:"uuid"`
	Username   string          `json:"username"`
	Name       string          `json:"name"`
	Email      string          `json:"email"`
	Active     bool            `json:"active"`
	Path       string          `json:"path"`
	Type       string          `json:"type"`
	Attributes json.RawMessage `json:"attributes"`
	Groups     []string        `json:"groups"` // pks
	Joined     time.Time       `json:"joined"`
	Updated    time.Time       `json:"updated"`
	// Password is salted and hashed; "" is none that signs anybody in.
	Password    string    `json:"password,omitempty"`
	PasswordSet time.Time `json:"passwordSet,omitzero"`
	// Person is what only people for development have.
	Person *Person `json:"person,omitempty"`
}

// addUser completes a user that is in no group yet.
func (s *Server) addUser(u *user) {
	u.PK = s.state.NextUser
	s.state.NextUser++
	if u.Attributes == nil {
		u.Attributes = json.RawMessage("{}")
	}
	u.Joined = s.clock.Now().UTC()
	u.Updated, u.PasswordSet = u.Joined, u.Joined
	s.state.Users[u.PK] = u
}

func (s *Server) userNamed(username string) *user {
	for _, u := range s.state.Users {
		if u.Username == username {
			return u
		}
	}
	return nil
}

func (s *Server) listUsers(r *http.Request) reply {
	set, refusal := filters(r, "username email uuid groups_by_pk",
		"attributes groups_by_name is_active is_superuser name ordering path path_startswith roles_by_name roles_by_pk search type "+
			"date_joined date_joined__gt date_joined__lt last_login last_login__gt last_login__isnull last_login__lt last_updated last_updated__gt last_updated__lt")
	if refusal != nil {
		return *refusal
	}
	if id := set["uuid"]; id != "" && !uuidForm.MatchString(id) {
		return reply{http.StatusBadRequest, map[string][]string{"uuid": {"Enter a valid UUID."}}}
	}
	if pk := set["groups_by_pk"]; pk != "" && s.state.Groups[pk] == nil {
		return reply{http.StatusBadRequest, map[string][]string{
			"groups_by_pk": {fmt.Sprintf("Select a valid choice. %s is not one of the available choices.", pk)},
		}}
	}
	var rows []any
	for _, pk := range slices.Sorted(maps.Keys(s.state.Users)) {
		u := s.state.Users[pk]
		if matches(set["username"], u.Username) && matches(set["email"], u.Email) && matches(set["uuid"], u.UUID) &&
			(set["groups_by_pk"] == "" || s.members[set["groups_by_pk"]][pk]) {
			rows = append(rows, s.showUser(u, r))
		}
	}
	return paged(r, rows)
}

func matches(asked, value string) bool { return asked == "" || asked == value }

var (
	uuidForm  = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	emailForm = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
)

// userOf is the user that the path names, or nil.
func (s *Server) userOf(r *http.Request) *user {
	pk, err := strconv.Atoi(r.PathValue("user"))
	if err != nil {
		return nil
	}
	return s.state.Users[pk]
}

func (s *Server) getUser(r *http.Request) reply {
	u := s.userOf(r)
	if u == nil {
		return notFound()
	}
	return ok(s.showUser(u, r))
}

func (s *Server) createUser(r *http.Request) reply {
	f, refusal := readForm(r)
	if refusal != nil {
		return *refusal
	}
	f.require("username", "name")
	u := &user{UUID: newUUID(), Active: true, Path: "users", Type: "internal"}
	groups := s.readUser(f, u)
	if refusal := f.refusal(); refusal != nil {
		return *refusal
	}
	s.addUser(u)
	s.setGroups(u, groups)
	return reply{http.StatusCreated, s.showUser(u, r)}
}

func (s *Server) patchUser(r *http.Request) reply { return s.replaceUser(r, false) }

// putUser takes a missing list of groups for an empty one, and leaves the
// sessions of whom it shuts out.
func (s *Server) putUser(r *http.Request) reply { return s.replaceUser(r, true) }

func (s *Server) replaceUser(r *http.Request, whole bool) reply {
	u := s.userOf(r)
	if u == nil {
		return notFound()
	}
	f, refusal := readForm(r)
	if refusal != nil {
		return *refusal
	}
	if whole {
		f.require("username", "name")
	}
	next := *u
	groups := s.readUser(f, &next)
	if refusal := f.refusal(); refusal != nil {
		return *refusal
	}
	next.Updated = s.clock.Now().UTC()
	*u = next
	if whole || f.has("groups") {
		s.setGroups(u, groups)
	}
	if !u.Active {
		s.endTokens(u) // however it was saved
		if !whole {
			s.endSessions(u)
		}
	}
	return ok(s.showUser(u, r))
}

func (s *Server) deleteUser(r *http.Request) reply {
	u := s.userOf(r)
	if u == nil {
		return notFound()
	}
	s.setGroups(u, nil)
	s.endTokens(u)
	s.endSessions(u)
	maps.DeleteFunc(s.state.Devices, func(_ int, d *device) bool { return d.User == u.PK })
	delete(s.state.Users, u.PK)
	return reply{status: http.StatusNoContent}
}

// readUser reads the fields of a user into u and returns its groups.
func (s *Server) readUser(f *form, u *user) (groups []string) {
	f.text("username", &u.Username)
	f.text("name", &u.Name)
	f.text("email", &u.Email)
	f.text("path", &u.Path)
	f.text("type", &u.Type)
	f.read("is_active", &u.Active, "Must be a valid boolean.")
	f.object("attributes", &u.Attributes)
	f.read("groups", &groups, "Incorrect type. Expected pk value, received int.")
	for _, pk := range groups {
		if s.state.Groups[pk] == nil {
			f.blame("groups", fmt.Sprintf(`Invalid pk "%s" - object does not exist.`, pk))
		}
	}
	switch other := s.userNamed(u.Username); {
	case f.has("username") && u.Username == "":
		f.blame("username", "This field may not be blank.")
	case len(u.Username) > 150:
		f.blame("username", "Ensure this field has no more than 150 characters.")
	case other != nil && other.PK != u.PK:
		f.blame("username", "This field must be unique.")
	}
	if u.Email != "" && !emailForm.MatchString(u.Email) {
		f.blame("email", "Enter a valid email address.")
	}
	if strings.HasPrefix(u.Path, "/") || strings.HasSuffix(u.Path, "/") || strings.Contains(u.Path, "//") {
		f.blame("path", "Invalid path.")
	}
	if !slices.Contains([]string{"internal", "external", "service_account"}, u.Type) {
		f.blame("type", fmt.Sprintf("%q is not a valid choice.", u.Type))
	}
	return groups
}

func (s *Server) setGroups(u *user, groups []string) {
	for _, pk := range u.Groups {
		delete(s.members[pk], u.PK)
	}
	u.Groups = nil
	for _, pk := range groups {
		if !s.members[pk][u.PK] {
			u.Groups = append(u.Groups, pk)
			s.members[pk][u.PK] = true
		}
	}
}

// User is what a test wants to know of a user.
type User struct {
	PK         int
	UUID       string
	Username   string
	Name       string
	Email      string
	Path       string
	Type       string
	Active     bool
	Attributes map[string]any
	// Groups are names, in their order.
	Groups []string
}

// Users are all users, by their usernames. The API token's own account is one.
func (s *Server) Users() map[string]User {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := map[string]User{}
	for _, u := range s.state.Users {
		out := User{
			PK: u.PK, UUID: u.UUID, Username: u.Username, Name: u.Name, Email: u.Email, Path: u.Path, Type: u.Type,
			Active: u.Active, Groups: s.groupNames(u),
		}
		json.Unmarshal(u.Attributes, &out.Attributes) //nolint:errcheck // only objects are stored
		all[u.Username] = out
	}
	return all
}

func (s *Server) me(r *http.Request) reply {
	u := s.userNamed(serviceAccount)
	if u == nil {
		return detail(http.StatusForbidden, "Token invalid/expired")
	}
	self := s.showUser(u, r)
	groups := []any{}
	for _, pk := range u.Groups {
		groups = append(groups, map[string]any{"name": s.state.Groups[pk].Name, "pk": pk})
	}
	return ok(map[string]any{"user": map[string]any{
		"pk": u.PK, "username": u.Username, "name": u.Name, "is_active": u.Active, "is_superuser": self["is_superuser"],
		"groups": groups, "roles": []any{}, "email": u.Email, "avatar": self["avatar"], "uid": self["uid"],
		"settings": map[string]any{}, "type": u.Type, "system_permissions": []any{},
	}})
}

func (s *Server) version(*http.Request) reply {
	return ok(map[string]any{
		"version_current": "2026.2.2", "version_latest": "2026.2.2", "version_latest_valid": true,
		"build_hash": "", "outdated": false, "outpost_outdated": false,
	})
}

func (s *Server) showUser(u *user, r *http.Request) map[string]any {
	groups, briefs, superuser := []string{}, []any{}, false
	for _, pk := range u.Groups {
		g := s.state.Groups[pk]
		groups = append(groups, pk)
		briefs = append(briefs, g.brief())
		superuser = superuser || g.IsSuperuser
	}
	shown := u.brief()
	for name, value := range map[string]any{
		"date_joined": u.Joined, "last_updated": u.Updated, "password_change_date": u.PasswordSet,
		"is_superuser": superuser, "avatar": "", "path": u.Path, "type": u.Type, "uuid": u.UUID,
		"groups": groups, "groups_obj": nil, "roles": []any{}, "roles_obj": nil,
	} {
		shown[name] = value
	}
	if wanted(r, "include_groups") {
		shown["groups_obj"] = briefs
	}
	if wanted(r, "include_roles") {
		shown["roles_obj"] = []any{}
	}
	return shown
}

func (u *user) brief() map[string]any {
	return map[string]any{
		"pk": u.PK, "username": u.Username, "name": u.Name, "is_active": u.Active, "last_login": nil,
		"email": u.Email, "attributes": u.Attributes, "uid": fmt.Sprintf("%x", sha256.Sum256([]byte(u.UUID))),
	}
}
