package standin

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
)

type application struct {
	PK        string `json:"pk"`
	Name      string `json:"name"`
	Slug      string `json:"slug"`
	Provider  *int   `json:"provider"`
	Group     string `json:"group"`
	LaunchURL string `json:"launchUrl"`
	Publisher string `json:"publisher"`
	Mode      string `json:"mode"`
}

var (
	slugForm      = regexp.MustCompile(`^[-a-zA-Z0-9_]+$`)
	reservedSlugs = []string{"authorize", "token", "device", "userinfo", "introspect", "revoke"}
)

// settleApplication makes one of the platform's own applications, if it is not
// there, with its provider and its key.
func (s *Server) settleApplication(slug string) error {
	if s.state.Applications[slug] == nil {
		p := s.addProvider(&provider{
			Name: slug, ClientID: slug, ClientType: "public", Authorization: flowPK(authorizationFlow), Invalidation: flowPK(invalidationFlow),
			Mappings: allMappings(), SigningKey: pkOf("key pair"),
		})
		s.state.Applications[slug] = &application{PK: newUUID(), Name: slug, Slug: slug, Provider: &p.PK, Mode: "any"}
	}
	return s.giveKey(slug)
}

// giveKey makes a key for an application that has none.
func (s *Server) giveKey(slug string) error {
	if len(s.state.Keys[slug]) > 0 {
		return nil
	}
	key, err := NewKey("ES256")
	if err == nil {
		s.state.Keys[slug] = []*Key{key}
	}
	return err
}

// applicationOf is the application of a slug or of a client id, or nil.
func (s *Server) applicationOf(name string) *application {
	if a := s.state.Applications[name]; a != nil {
		return a
	}
	for _, a := range s.state.Applications {
		if a.Provider != nil && s.state.Providers[*a.Provider].ClientID == name {
			return a
		}
	}
	return nil
}

// admit is an application with its provider, and an active user who may use it:
// everybody where it is bound to nobody.
func (s *Server) admit(username, name string) (*application, *provider, *user, error) {
	a := s.applicationOf(name)
	if a == nil || a.Provider == nil {
		return nil, nil, nil, fmt.Errorf("there is no application %s to sign in to", name)
	}
	u, err := s.signInUser(username)
	if err != nil {
		return nil, nil, nil, err
	}
	bound, may := false, false
	for _, b := range s.state.Bindings {
		if b.Target == a.PK && b.Enabled {
			bound = true
			may = may || b.lets(u)
		}
	}
	if bound && !may {
		return nil, nil, nil, fmt.Errorf("%s may not use the application %s", username, name)
	}
	return a, s.state.Providers[*a.Provider], u, nil
}

// Application is what a test wants to know of an application.
type Application struct {
	PK        string
	Name      string
	Slug      string
	Group     string
	LaunchURL string
	Publisher string
	// Provider is 0, and what is of it empty, where there is none.
	Provider     int
	ProviderName string
	ClientID     string
	RedirectURIs []string
	// Bound are the names of the groups that may use it; none is everybody.
	Bound []string
}

// Applications are all applications by their slugs, the platform's own two
// among them.
func (s *Server) Applications() map[string]Application {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := map[string]Application{}
	for _, a := range s.state.Applications {
		out := Application{PK: a.PK, Name: a.Name, Slug: a.Slug, Group: a.Group, LaunchURL: a.LaunchURL, Publisher: a.Publisher}
		if a.Provider != nil {
			p := s.state.Providers[*a.Provider]
			out.Provider, out.ProviderName, out.ClientID = p.PK, p.Name, p.ClientID
			for _, uri := range p.Redirects {
				out.RedirectURIs = append(out.RedirectURIs, uri.URL)
			}
		}
		for _, b := range s.state.Bindings {
			if b.Target == a.PK && s.state.Groups[b.Group] != nil {
				out.Bound = append(out.Bound, s.state.Groups[b.Group].Name)
			}
		}
		slices.Sort(out.Bound)
		all[a.Slug] = out
	}
	return all
}

// Leftovers counts what hangs on no application: providers and bindings.
func (s *Server) Leftovers() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for pk := range s.state.Providers {
		if s.attachedTo(pk) == nil {
			n++
		}
	}
	for _, b := range s.state.Bindings {
		if s.target(b.Target) == nil {
			n++
		}
	}
	return n
}

// listApplications answers, unless the full list is asked for, from what the
// caller may use, which knows no filter: only the count does.
func (s *Server) listApplications(r *http.Request) reply {
	set, refusal := filters(r, "slug name group meta_publisher superuser_full_list",
		"for_user meta_description meta_launch_url only_with_launch_url ordering search")
	if refusal != nil {
		return *refusal
	}
	full, _ := strconv.ParseBool(set["superuser_full_list"]) //nolint:errcheck // what cannot be read is false
	var filtered, all []any
	for _, slug := range slices.Sorted(maps.Keys(s.state.Applications)) {
		a := s.state.Applications[slug]
		all = append(all, s.showApplication(a))
		if matches(set["slug"], a.Slug) && matches(set["name"], a.Name) && matches(set["group"], a.Group) &&
			matches(set["meta_publisher"], a.Publisher) {
			filtered = append(filtered, s.showApplication(a))
		}
	}
	if full {
		return paged(r, filtered)
	}
	answer := paged(r, all)
	if page, isPage := answer.body.(map[string]any); isPage && answer.status == http.StatusOK {
		page["pagination"].(map[string]int)["count"] = len(filtered)
	}
	return answer
}

func (s *Server) getApplication(r *http.Request) reply {
	a := s.state.Applications[r.PathValue("application")]
	if a == nil {
		return notFound()
	}
	return ok(s.showApplication(a))
}

func (s *Server) createApplication(r *http.Request) reply {
	f, refusal := readForm(r)
	if refusal != nil {
		return *refusal
	}
	f.require("name", "slug")
	a := &application{PK: newUUID(), Mode: "any"}
	s.readApplication(f, a)
	if refusal := f.refusal(); refusal != nil {
		return *refusal
	}
	s.state.Applications[a.Slug] = a
	return s.attached(a, http.StatusCreated)
}

func (s *Server) patchApplication(r *http.Request) reply {
	a := s.state.Applications[r.PathValue("application")]
	if a == nil {
		return notFound()
	}
	f, refusal := readForm(r)
	if refusal != nil {
		return *refusal
	}
	next := *a
	s.readApplication(f, &next)
	if next.Slug != a.Slug {
		return detail(http.StatusNotImplemented, "The stand-in does not play another slug.")
	}
	if refusal := f.refusal(); refusal != nil {
		return *refusal
	}
	*a = next
	return s.attached(a, http.StatusOK)
}

// attached answers with an application, whose tokens can be signed from now on.
func (s *Server) attached(a *application, status int) reply {
	if a.Provider != nil {
		if err := s.giveKey(a.Slug); err != nil {
			return detail(http.StatusInternalServerError, err.Error())
		}
	}
	return reply{status, s.showApplication(a)}
}

func (s *Server) deleteApplication(r *http.Request) reply {
	a := s.state.Applications[r.PathValue("application")]
	if a == nil {
		return notFound()
	}
	maps.DeleteFunc(s.state.Bindings, func(_ string, b *binding) bool { return b.Target == a.PK })
	delete(s.state.Applications, a.Slug)
	delete(s.state.Keys, a.Slug)
	return reply{status: http.StatusNoContent}
}

func (s *Server) readApplication(f *form, a *application) {
	f.text("name", &a.Name)
	f.text("slug", &a.Slug)
	f.text("group", &a.Group)
	f.text("meta_launch_url", &a.LaunchURL)
	f.text("meta_publisher", &a.Publisher)
	f.text("policy_engine_mode", &a.Mode)
	f.read("provider", &a.Provider, "Incorrect type. Expected pk value, received str.")
	if f.has("name") && a.Name == "" {
		f.blame("name", "This field may not be blank.")
	}
	switch other := s.state.Applications[a.Slug]; {
	case !f.has("slug"):
	case slices.Contains(reservedSlugs, a.Slug):
		f.blame("slug", fmt.Sprintf("The slug '%s' is reserved and cannot be used for applications.", a.Slug))
	case !slugForm.MatchString(a.Slug):
		f.blame("slug", "Enter a valid “slug” consisting of letters, numbers, underscores or hyphens.")
	case other != nil && other.PK != a.PK:
		f.blame("slug", "Application with this slug already exists.")
	}
	if a.LaunchURL != "" {
		if at, err := url.Parse(a.LaunchURL); err != nil || at.Scheme == "" {
			f.blame("meta_launch_url", "Enter a valid URL.")
		}
	}
	if f.has("provider") && a.Provider != nil {
		if other := s.attachedTo(*a.Provider); s.state.Providers[*a.Provider] == nil {
			f.blame("provider", fmt.Sprintf(`Invalid pk "%d" - object does not exist.`, *a.Provider))
		} else if other != nil && other.PK != a.PK {
			f.blame("provider", "Application with this provider already exists.")
		}
	}
}

func (s *Server) showApplication(a *application) map[string]any {
	var shown any
	if a.Provider != nil {
		shown = s.showBaseProvider(s.state.Providers[*a.Provider])
	}
	return map[string]any{
		"pk": a.PK, "name": a.Name, "slug": a.Slug, "provider": a.Provider, "provider_obj": shown,
		"backchannel_providers": []any{}, "backchannel_providers_obj": []any{}, "launch_url": orNil(a.LaunchURL),
		"open_in_new_tab": false, "meta_launch_url": a.LaunchURL, "meta_icon": "", "meta_icon_url": nil, "meta_icon_themed_urls": nil,
		"meta_description": "", "meta_publisher": a.Publisher, "policy_engine_mode": a.Mode, "group": a.Group,
	}
}

func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}
