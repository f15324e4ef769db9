package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// grant is a user's role on a space.
type grant struct {
	User, Role string
	Expires    *time.Time
}

// The roles on a space, the same on every server, and the words for them in
// version 1.0 of the API.
const (
	viewer  = "a8d5fe5e-96e3-418d-825b-534dbdf22b99"
	editor  = "58c63c02-1d89-4572-916a-870abc5a1b7d"
	manager = "312c0871-5ef7-4b3a-85b6-0e4074c64049"
)

var words = map[string]string{viewer: "viewer", editor: "editor", manager: "manager"}

// Roles that are known, and not for a space: to view and edit folders and files,
// and to upload.
var otherRoles = []string{
	"b1e2218d-eef8-4d4c-b82d-0f1a1b48f3b5", "fb6c3e19-e378-47e5-b277-9732f9de6e21",
	"2d00ce52-1fc2-4dbc-8b95-a73b73395f5a", "1c996275-f1c9-4e71-abdf-a42f6495e960",
}

func (d *drive) grant(user string) *grant {
	i := slices.IndexFunc(d.Grants, func(g *grant) bool { return g.User == user })
	if i < 0 {
		return nil
	}
	return d.Grants[i]
}

// isLastManager says that without the grant nobody would manage the space.
func (d *drive) isLastManager(g *grant) bool {
	return g.Role == manager && !slices.ContainsFunc(d.Grants, func(other *grant) bool { return other != g && other.Role == manager })
}

// managed is the space whose grants are asked for. Who is no member is told that
// it is not there, the administrator too, and nil comes back after the answer.
func (s *Server) managed(c *call) *drive {
	d := s.find(c.ids[0])
	switch {
	case d == nil, d.grant(c.user.ID) == nil && !s.isAdmin(c) && d.Space != c.user.ID:
		s.fail(c, http.StatusNotFound, "itemNotFound", "getting space")
	case d.Type != project:
		s.fail(c, http.StatusBadRequest, "invalidRequest", "unsupported space type")
	case d.grant(c.user.ID) == nil || d.Disabled:
		s.fail(c, http.StatusNotFound, "itemNotFound", fmt.Sprintf("stat: error: not found: %s!%s", s.id(d), d.Space))
	case d.grant(c.user.ID).Role != manager:
		s.fail(c, http.StatusForbidden, "accessDenied", "Forbidden")
	default:
		return d
	}
	return nil
}

// invitation is a body that invites, or that changes a grant.
type invitation struct {
	Recipients []struct {
		ID   string `json:"objectId"`
		Kind string `json:"@libre.graph.recipient.type"`
	} `json:"recipients"`
	Roles   []string        `json:"roles"`
	Actions json.RawMessage `json:"@libre.graph.permissions.actions"`
	Expires *time.Time      `json:"expirationDateTime"`
}

// invalid is what the server does not take of an invitation, or "".
func (in *invitation) invalid(isChange bool) string {
	const oneOf = "Key: 'DriveItemInvite.Roles' Error:Field validation for 'Roles' failed on the 'one_or_another' tag\n" +
		"Key: 'DriveItemInvite.LibreGraphPermissionsActions' Error:Field validation for 'LibreGraphPermissionsActions' failed on the 'one_or_another' tag"
	const length = "Key: 'DriveItemInvite.Recipients' Error:Field validation for 'Recipients' failed on the 'len' tag"
	hasRecipient := isChange || len(in.Recipients) == 1
	switch {
	case !hasRecipient && len(in.Roles) == 0:
		return length + "\n" + oneOf
	case !hasRecipient:
		return length
	case len(in.Roles) == 0:
		return oneOf
	}
	for _, role := range in.Roles {
		switch {
		case slices.Contains(otherRoles, role):
			return "role not applicable to this resource"
		case words[role] == "":
			return "Key: 'DriveItemInvite.Roles' Error:Field validation for 'Roles' failed on the 'available_role' tag"
		}
	}
	return ""
}

func (s *Server) readInvitation(c *call, isChange bool) *invitation {
	var in invitation
	decoder := json.NewDecoder(c.r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		s.fail(c, http.StatusBadRequest, "invalidRequest", "invalid request body: "+err.Error())
		return nil
	}
	if fault := in.invalid(isChange); fault != "" {
		s.fail(c, http.StatusBadRequest, "invalidRequest", fault)
		return nil
	}
	if in.Actions != nil || len(in.Roles) > 1 {
		s.refuse(c)
		return nil
	}
	return &in
}

// invite knows users by their ids alone, and no groups.
func (s *Server) invite(c *call) {
	d := s.managed(c)
	if d == nil {
		return
	}
	in := s.readInvitation(c, false)
	if in == nil {
		return
	}
	who := s.user(in.Recipients[0].ID)
	switch {
	case who == nil || in.Recipients[0].Kind == "group":
		s.fail(c, http.StatusBadRequest, "invalidRequest", "itemNotFound: not found")
		return
	case d.grant(who.ID) != nil:
		s.fail(c, http.StatusConflict, "nameAlreadyExists", "add grant: error: already exists: "+d.Name)
		return
	}
	g := &grant{User: who.ID, Role: in.Roles[0], Expires: in.Expires}
	d.Grants = append(d.Grants, g)
	shown := s.permission(g)
	delete(shown, "expirationDateTime")
	shown["invitation"] = map[string]any{"invitedBy": s.grantee(c.user.ID)}
	s.done(c, http.StatusOK, map[string]any{"value": []any{shown}})
}

func (s *Server) listGrants(c *call) {
	d := s.managed(c)
	if d == nil {
		return
	}
	value := []any{}
	for _, g := range d.Grants {
		value = append(value, s.permission(g))
	}
	answer(c.w, http.StatusOK, map[string]any{
		"@libre.graph.permissions.actions.allowedValues": allActions, "@libre.graph.permissions.roles.allowedValues": spaceRoles, "value": value,
	})
}

func (s *Server) changeGrant(c *call) {
	d := s.managed(c)
	if d == nil {
		return
	}
	in := s.readInvitation(c, true)
	if in == nil {
		return
	}
	g := d.granted(c.ids[1])
	switch {
	case g == nil:
		s.fail(c, http.StatusNotFound, "itemNotFound", fmt.Sprintf("error: not found: no shares found by id:opaque_id:%q", c.ids[1]))
		return
	case in.Roles[0] != manager && d.isLastManager(g):
		s.fail(c, http.StatusForbidden, "accessDenied", "can't remove the last manager")
		return
	}
	g.Role = in.Roles[0]
	if in.Expires != nil {
		g.Expires = in.Expires
	}
	s.done(c, http.StatusOK, s.permission(g))
}

// removeGrant answers with a failure when there is nothing to remove.
func (s *Server) removeGrant(c *call) {
	d := s.managed(c)
	if d == nil {
		return
	}
	g := d.granted(c.ids[1])
	switch {
	case g == nil:
		s.fail(c, http.StatusInternalServerError, "generalException", "rpc error: code = Unknown desc = gateway: error getting grant to remove from storage")
		return
	case d.isLastManager(g):
		s.fail(c, http.StatusForbidden, "accessDenied", "can't remove the last manager")
		return
	}
	d.Grants = slices.DeleteFunc(d.Grants, func(other *grant) bool { return other == g })
	s.done(c, http.StatusNoContent, nil)
}

// granted is the grant with the id of a permission.
func (d *drive) granted(permission string) *grant {
	i := slices.IndexFunc(d.Grants, func(g *grant) bool { return "u:"+g.User == permission })
	if i < 0 {
		return nil
	}
	return d.Grants[i]
}

// permission is a grant as the beta of the API shows it.
func (s *Server) permission(g *grant) map[string]any {
	shown := map[string]any{"grantedToV2": s.grantee(g.User), "id": "u:" + g.User, "roles": []string{g.Role}}
	if g.Expires != nil {
		shown["expirationDateTime"] = g.Expires.UTC().Format(time.RFC3339)
	}
	return shown
}

// members are a space's grants as version 1.0 of the API shows them.
func (s *Server) members(d *drive) []any {
	all := []any{}
	for _, g := range d.Grants {
		who := s.grantee(g.User)
		shown := map[string]any{"grantedToIdentities": []any{who}, "grantedToV2": who, "roles": []string{words[g.Role]}}
		if g.Expires != nil {
			shown["expirationDateTime"] = g.Expires.UTC().Format(time.RFC3339)
		}
		all = append(all, shown)
	}
	return all
}

// grantee shows who has a grant. A deleted user keeps their name as long as it
// is cached, and has none afterwards.
func (s *Server) grantee(id string) map[string]any {
	const cached = time.Minute
	name, known := "", false
	if u := s.user(id); u != nil {
		name, known = u.Name, true
	}
	for _, u := range s.state.Departed {
		if u.ID == id && s.options.Clock.Now().Sub(u.At) < cached {
			name, known = u.Name, true
		}
	}
	who := map[string]any{"displayName": name, "id": id}
	if known {
		who["@libre.graph.userType"] = "Member"
	}
	return map[string]any{"user": who}
}

// What a manager may do with a space, and the roles that there are for one.
var (
	allActions = []string{
		"libre.graph/driveItem/permissions/create", "libre.graph/driveItem/children/create", "libre.graph/driveItem/standard/delete",
		"libre.graph/driveItem/path/read", "libre.graph/driveItem/quota/read", "libre.graph/driveItem/content/read",
		"libre.graph/driveItem/upload/create", "libre.graph/driveItem/permissions/read", "libre.graph/driveItem/children/read",
		"libre.graph/driveItem/versions/read", "libre.graph/driveItem/deleted/read", "libre.graph/driveItem/path/update",
		"libre.graph/driveItem/permissions/delete", "libre.graph/driveItem/deleted/delete", "libre.graph/driveItem/versions/update",
		"libre.graph/driveItem/deleted/update", "libre.graph/driveItem/basic/read", "libre.graph/driveItem/permissions/update",
		"libre.graph/driveItem/permissions/deny",
	}
	spaceRoles = []any{
		spaceRole(1, viewer, "Can view", "View and download."),
		spaceRole(2, editor, "Can edit", "View, download, upload, edit, add, delete including the history."),
		spaceRole(3, manager, "Can manage", "View, download, upload, edit, add, delete and manage members."),
	}
)

func spaceRole(weight int, id, name, description string) map[string]any {
	return map[string]any{"@libre.graph.weight": weight, "id": id, "displayName": name, "description": description}
}
