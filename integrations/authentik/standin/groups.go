package standin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

type group struct {
	PK          string          `json:"pk"`
	Number      int             `json:"number"`
	Name        string          `json:"name"`
	IsSuperuser bool            `json:"isSuperuser"`
	Attributes  json.RawMessage `json:"attributes"`
}

// AddGroup makes a group, as an administrator does by hand, and returns its pk.
func (s *Server) AddGroup(name string, attributes map[string]any) (pk string, err error) {
	written, err := json.Marshal(attributes)
	if err != nil {
		return "", err
	}
	err = s.change(func() error {
		if s.named[name] != nil {
			return fmt.Errorf("there is a group %s", name)
		}
		g := &group{Name: name}
		if attributes != nil {
			g.Attributes = written
		}
		s.addGroup(g)
		pk = g.PK
		return nil
	})
	return pk, err
}

func (s *Server) addGroup(g *group) {
	g.PK = newUUID()
	g.Number = len(s.state.Groups) + 1
	if g.Attributes == nil {
		g.Attributes = json.RawMessage("{}")
	}
	s.state.Groups[g.PK] = g
	s.named[g.Name] = g
	s.members[g.PK] = map[int]bool{}
}

func (s *Server) listGroups(r *http.Request) reply {
	set, refusal := filters(r, "name", "attributes is_superuser members_by_pk members_by_username ordering search")
	if refusal != nil {
		return *refusal
	}
	found := slices.Collect(maps.Values(s.state.Groups))
	if name := set["name"]; name != "" {
		found = nil
		if g := s.named[name]; g != nil {
			found = append(found, g)
		}
	}
	slices.SortFunc(found, func(a, b *group) int { return cmp.Compare(a.Name, b.Name) })
	rows := make([]any, len(found))
	for i, g := range found {
		rows[i] = s.showGroup(g, r)
	}
	return paged(r, rows)
}

func (s *Server) getGroup(r *http.Request) reply {
	g := s.state.Groups[r.PathValue("group")]
	if g == nil {
		return notFound()
	}
	return ok(s.showGroup(g, r))
}

func (s *Server) createGroup(r *http.Request) reply {
	f, refusal := readForm(r)
	if refusal != nil {
		return *refusal
	}
	f.require("name")
	g := &group{}
	members := s.readGroup(f, g)
	if refusal := f.refusal(); refusal != nil {
		return *refusal
	}
	s.addGroup(g)
	s.setMembers(g, members)
	return reply{http.StatusCreated, s.showGroup(g, r)}
}

func (s *Server) patchGroup(r *http.Request) reply { return s.replaceGroup(r, false) }

// putGroup takes a missing list of users for an empty one.
func (s *Server) putGroup(r *http.Request) reply { return s.replaceGroup(r, true) }

func (s *Server) replaceGroup(r *http.Request, whole bool) reply {
	g := s.state.Groups[r.PathValue("group")]
	if g == nil {
		return notFound()
	}
	f, refusal := readForm(r)
	if refusal != nil {
		return *refusal
	}
	if whole {
		f.require("name")
	}
	next := *g
	members := s.readGroup(f, &next)
	if refusal := f.refusal(); refusal != nil {
		return *refusal
	}
	delete(s.named, g.Name)
	*g = next
	s.named[g.Name] = g
	if whole || f.has("users") {
		s.setMembers(g, members)
	}
	return ok(s.showGroup(g, r))
}

func (s *Server) deleteGroup(r *http.Request) reply {
	g := s.state.Groups[r.PathValue("group")]
	if g == nil {
		return notFound()
	}
	s.setMembers(g, nil)
	maps.DeleteFunc(s.state.Bindings, func(_ string, b *binding) bool { return b.Group == g.PK })
	delete(s.state.Groups, g.PK)
	delete(s.named, g.Name)
	delete(s.members, g.PK)
	return reply{status: http.StatusNoContent}
}

// readGroup reads the fields of a group into g and returns its members.
func (s *Server) readGroup(f *form, g *group) (members []int) {
	f.text("name", &g.Name)
	f.read("is_superuser", &g.IsSuperuser, "Must be a valid boolean.")
	f.object("attributes", &g.Attributes)
	f.read("users", &members, "Incorrect type. Expected pk value, received str.")
	for _, pk := range members {
		if s.state.Users[pk] == nil {
			f.blame("users", fmt.Sprintf(`Invalid pk "%d" - object does not exist.`, pk))
		}
	}
	if f.has("name") && g.Name == "" {
		f.blame("name", "This field may not be blank.")
	}
	if other := s.named[g.Name]; other != nil && other.PK != g.PK {
		f.blame("name", "This field must be unique.")
	}
	return members
}

func (s *Server) addToGroup(r *http.Request) reply {
	return s.member(r, func(g *group, u *user) {
		if !s.members[g.PK][u.PK] {
			u.Groups = append(u.Groups, g.PK)
			s.members[g.PK][u.PK] = true
		}
	})
}

func (s *Server) removeFromGroup(r *http.Request) reply { return s.member(r, s.leave) }

func (s *Server) leave(g *group, u *user) {
	u.Groups = slices.DeleteFunc(u.Groups, func(pk string) bool { return pk == g.PK })
	delete(s.members[g.PK], u.PK)
}

// member does something to a group and the user that the body names. Doing it
// again is no error.
func (s *Server) member(r *http.Request, do func(*group, *user)) reply {
	g := s.state.Groups[r.PathValue("group")]
	if g == nil {
		return notFound()
	}
	f, refusal := readForm(r)
	if refusal != nil {
		return *refusal
	}
	var pk int
	f.require("pk")
	f.read("pk", &pk, "A valid integer is required.")
	if refusal := f.refusal(); refusal != nil {
		return *refusal
	}
	u := s.state.Users[pk]
	if u == nil {
		return notFound()
	}
	do(g, u)
	return reply{status: http.StatusNoContent}
}

func (s *Server) setMembers(g *group, members []int) {
	for pk := range s.members[g.PK] {
		if !slices.Contains(members, pk) {
			s.leave(g, s.state.Users[pk])
		}
	}
	for _, pk := range members {
		if !s.members[g.PK][pk] {
			s.state.Users[pk].Groups = append(s.state.Users[pk].Groups, g.PK)
			s.members[g.PK][pk] = true
		}
	}
}

func (s *Server) showGroup(g *group, r *http.Request) map[string]any {
	members := slices.Sorted(maps.Keys(s.members[g.PK]))
	if members == nil {
		members = []int{}
	}
	var shown any
	if wanted(r, "include_users") {
		list := make([]any, len(members))
		for i, pk := range members {
			list[i] = s.state.Users[pk].brief()
		}
		shown = list
	}
	return map[string]any{
		"pk": g.PK, "num_pk": g.Number, "name": g.Name, "is_superuser": g.IsSuperuser, "attributes": g.Attributes,
		"users": members, "users_obj": shown,
		"parents": []any{}, "parents_obj": []any{}, "children": []any{}, "children_obj": []any{},
		"roles": []any{}, "roles_obj": []any{}, "inherited_roles_obj": []any{},
	}
}

func (g *group) brief() map[string]any {
	return map[string]any{"pk": g.PK, "num_pk": g.Number, "name": g.Name, "is_superuser": g.IsSuperuser, "attributes": g.Attributes}
}

// wanted reads a switch that is on unless it is turned off.
func wanted(r *http.Request, name string) bool {
	on, err := strconv.ParseBool(r.URL.Query().Get(name))
	return err != nil || on
}
