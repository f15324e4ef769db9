package standin

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

var (
	word        = regexp.MustCompile(`^\w+$`)
	quoted      = regexp.MustCompile(`^"([^"]*)"$`)
	comparison  = regexp.MustCompile(`^(\w+) eq '?([^']*)'?$`)
	nameMatches = regexp.MustCompile(`^(startswith|contains)\((\w+),'([^']*)'\)$`)
)

// listUsers searches as the real one does: a text in the username, the mail or
// the name, which has to be quoted as soon as it is more than a word. There are
// no pages and no selections, and filters are refused, heeded or misunderstood.
func (s *Server) listUsers(c *call) {
	query := c.r.URL.Query()
	search := query.Get("$search")
	if match := quoted.FindStringSubmatch(search); match != nil {
		search = match[1]
	} else if at := strings.Index(search, "@"); at >= 0 {
		s.fail(c, http.StatusBadRequest, "invalidRequest", "Token '"+search[at:]+"' is invalid")
		return
	} else if search != "" && !word.MatchString(search) || query.Get("$expand") != "" {
		s.refuse(c)
		return
	}
	if !s.isAdmin(c) && len(search) < 3 {
		s.fail(c, http.StatusForbidden, "accessDenied", "search term too short")
		return
	}
	keep := s.userFilter(c, strings.TrimSpace(query.Get("$filter")))
	if keep == nil {
		return
	}
	users := slices.Clone(s.state.Users)
	sortUsers(users, query.Get("$orderby"))
	value := []any{}
	for _, u := range users {
		if keep(u) && u.has(search) {
			value = append(value, s.listed(c, u))
		}
	}
	answer(c.w, http.StatusOK, map[string]any{"value": value})
}

// has finds a text, upper and lower case apart.
func (u *user) has(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{u.Username, u.Mail, u.Name}, func(value string) bool {
		return strings.Contains(strings.ToLower(value), text)
	})
}

// listed shows to plain users that somebody is there, and no more.
func (s *Server) listed(c *call, u *user) map[string]any {
	if s.isAdmin(c) {
		return u.render()
	}
	return map[string]any{"displayName": u.Name, "id": u.ID, "onPremisesSamAccountName": "", "userType": "Member"}
}

// userFilter is what a filter keeps, or nil after an answer.
func (s *Server) userFilter(c *call, filter string) func(*user) bool {
	if filter == "" {
		return func(*user) bool { return true }
	}
	if match := comparison.FindStringSubmatch(filter); match != nil {
		if match[1] == "userType" {
			return func(*user) bool { return match[2] == "Member" }
		}
		s.fail(c, http.StatusNotImplemented, "generalException", "unsupported filter")
		return nil
	}
	if match := nameMatches.FindStringSubmatch(filter); match != nil && match[2] == "displayName" {
		return func(u *user) bool {
			return match[1] == "startswith" && strings.HasPrefix(u.Name, match[3]) || match[1] == "contains" && strings.Contains(u.Name, match[3])
		}
	} else if match != nil {
		answer(c.w, http.StatusOK, map[string]any{"value": nil})
		return nil
	}
	if strings.HasSuffix(filter, " eq") {
		s.fail(c, http.StatusBadRequest, "invalidRequest", "insufficient number of operands for operator 'eq'")
		return nil
	}
	s.refuse(c)
	return nil
}

func sortUsers(users []*user, order string) {
	by, descending := strings.CutSuffix(order, " desc")
	key := func(u *user) string {
		switch by {
		case "mail":
			return strings.ToLower(u.Mail)
		case "onPremisesSamAccountName":
			return strings.ToLower(u.Username)
		case "displayName":
			return strings.ToLower(u.Name)
		}
		return ""
	}
	slices.SortStableFunc(users, func(a, b *user) int {
		if descending {
			a, b = b, a
		}
		return cmp.Compare(key(a), key(b))
	})
}
