package standin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// binding says who may use an application.
type binding struct {
	PK      string `json:"pk"`
	Target  string `json:"target"` // the pk of an application
	Group   string `json:"group"`
	User    *int   `json:"user"`
	Order   int    `json:"order"`
	Enabled bool   `json:"enabled"`
}

func (b *binding) lets(u *user) bool {
	return slices.Contains(u.Groups, b.Group) || (b.User != nil && *b.User == u.PK)
}

// target is the application of a pk, or nil.
func (s *Server) target(pk string) *application {
	for _, a := range s.state.Applications {
		if a.PK == pk {
			return a
		}
	}
	return nil
}

// listBindings has no filter by group or by user.
func (s *Server) listBindings(r *http.Request) reply {
	set, refusal := filters(r, "target", "enabled order ordering policy policy__isnull search target_in timeout")
	if refusal != nil {
		return *refusal
	}
	if target := set["target"]; target != "" && s.target(target) == nil {
		return reply{http.StatusBadRequest, map[string][]string{
			"target": {"Select a valid choice. That choice is not one of the available choices."},
		}}
	}
	var rows []any
	for _, pk := range slices.Sorted(maps.Keys(s.state.Bindings)) {
		if b := s.state.Bindings[pk]; matches(set["target"], b.Target) {
			rows = append(rows, s.showBinding(b))
		}
	}
	return paged(r, rows)
}

func (s *Server) getBinding(r *http.Request) reply {
	b := s.state.Bindings[r.PathValue("binding")]
	if b == nil {
		return notFound()
	}
	return ok(s.showBinding(b))
}

func (s *Server) createBinding(r *http.Request) reply {
	f, refusal := readForm(r)
	if refusal != nil {
		return *refusal
	}
	f.require("target", "order")
	b := &binding{PK: newUUID(), Enabled: true}
	policy := ""
	f.text("target", &b.Target)
	f.text("group", &b.Group)
	f.text("policy", &policy)
	f.read("user", &b.User, "Incorrect type. Expected pk value, received str.")
	f.read("order", &b.Order, "A valid integer is required.")
	f.read("enabled", &b.Enabled, "Must be a valid boolean.")
	if b.Target != "" && s.target(b.Target) == nil {
		f.blame("target", fmt.Sprintf(`Invalid pk "%s" - object does not exist.`, b.Target))
	}
	if b.Group != "" && s.state.Groups[b.Group] == nil {
		f.blame("group", fmt.Sprintf(`Invalid pk "%s" - object does not exist.`, b.Group))
	}
	set := 0
	for _, is := range []bool{b.Group != "", policy != "", b.User != nil} {
		if is {
			set++
		}
	}
	switch {
	case set > 1:
		f.blame("non_field_errors", "Only one of 'policy', 'group', 'user' can be set.")
	case set == 0:
		f.blame("non_field_errors", "One of 'policy', 'group', 'user' must be set.")
	case policy != "":
		return detail(http.StatusNotImplemented, "The stand-in does not play policies.")
	}
	if refusal := f.refusal(); refusal != nil {
		return *refusal
	}
	s.state.Bindings[b.PK] = b
	return reply{http.StatusCreated, s.showBinding(b)}
}

// patchBinding breaks, as the real one does, without a target.
func (s *Server) patchBinding(r *http.Request) reply {
	f, refusal := readForm(r)
	if refusal != nil {
		return *refusal
	}
	if !f.has("target") {
		return detail(http.StatusInternalServerError, "Server Error (500)")
	}
	return notPlayed(r)
}

func (s *Server) deleteBinding(r *http.Request) reply {
	b := s.state.Bindings[r.PathValue("binding")]
	if b == nil {
		return notFound()
	}
	delete(s.state.Bindings, b.PK)
	return reply{status: http.StatusNoContent}
}

func (s *Server) showBinding(b *binding) map[string]any {
	var group, users any
	if g := s.state.Groups[b.Group]; g != nil {
		group = g.brief()
	}
	if b.User != nil && s.state.Users[*b.User] != nil {
		users = s.state.Users[*b.User].brief()
	}
	return map[string]any{
		"pk": b.PK, "policy": nil, "group": orNil(b.Group), "user": b.User, "policy_obj": nil, "group_obj": group, "user_obj": users,
		"target": b.Target, "negate": false, "enabled": b.Enabled, "order": b.Order, "timeout": 30, "failure_result": false,
	}
}
