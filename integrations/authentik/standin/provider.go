package standin

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// provider makes an application's tokens.
type provider struct {
	PK            int        `json:"pk"`
	Name          string     `json:"name"`
	ClientID      string     `json:"clientId"`
	ClientSecret  string     `json:"clientSecret"`
	ClientType    string     `json:"clientType"`
	Authorization string     `json:"authorization"`
	Invalidation  string     `json:"invalidation"`
	Mappings      []string   `json:"mappings"`
	SigningKey    string     `json:"signingKey"`
	Redirects     []redirect `json:"redirects"`
	SubMode       string     `json:"subMode"`
	IssuerMode    string     `json:"issuerMode"`
	InIDToken     bool       `json:"inIdToken"`
	AccessFor     string     `json:"accessFor"`
	RefreshFor    string     `json:"refreshFor"`
}

type redirect struct {
	Mode string `json:"matching_mode"`
	URL  string `json:"url"`
}

// addProvider completes a provider with what the real one fills in.
func (s *Server) addProvider(p *provider) *provider {
	p.PK = s.number()
	for field, otherwise := range map[*string]string{
		&p.ClientID: secretText(40), &p.ClientSecret: secretText(128), &p.ClientType: "confidential",
		&p.SubMode: "hashed_user_id", &p.IssuerMode: "per_provider", &p.AccessFor: "hours=1", &p.RefreshFor: "days=30",
	} {
		if *field == "" {
			*field = otherwise
		}
	}
	s.state.Providers[p.PK] = p
	return p
}

func secretText(length int) string {
	text := ""
	for len(text) < length {
		text += rand.Text()
	}
	return text[:length]
}

// attachedTo is the application that a provider makes tokens for, or nil.
func (s *Server) attachedTo(pk int) *application {
	for _, a := range s.state.Applications {
		if a.Provider != nil && *a.Provider == pk {
			return a
		}
	}
	return nil
}

func (s *Server) providerOf(r *http.Request) *provider {
	pk, err := strconv.Atoi(r.PathValue("provider"))
	if err != nil {
		return nil
	}
	return s.state.Providers[pk]
}

func (s *Server) listProviders(r *http.Request) reply {
	set, refusal := filters(r, "name client_id application",
		"access_code_validity access_token_validity authorization_flow client_type include_claims_in_id_token issuer_mode "+
			"ordering property_mappings refresh_token_validity search signing_key sub_mode")
	if refusal != nil {
		return *refusal
	}
	var rows []any
	for _, pk := range slices.Sorted(maps.Keys(s.state.Providers)) {
		p := s.state.Providers[pk]
		attached := ""
		if a := s.attachedTo(pk); a != nil {
			attached = a.PK
		}
		if matches(set["name"], p.Name) && matches(set["client_id"], p.ClientID) && matches(set["application"], attached) {
			rows = append(rows, s.showProvider(p))
		}
	}
	return paged(r, rows)
}

func (s *Server) getProvider(r *http.Request) reply {
	p := s.providerOf(r)
	if p == nil {
		return notFound()
	}
	return ok(s.showProvider(p))
}

func (s *Server) createProvider(r *http.Request) reply {
	f, refusal := readForm(r)
	if refusal != nil {
		return *refusal
	}
	f.require("name", "authorization_flow", "invalidation_flow", "redirect_uris")
	p := &provider{}
	f.text("name", &p.Name)
	for name, out := range map[string]*string{
		"client_id": &p.ClientID, "client_secret": &p.ClientSecret, "client_type": &p.ClientType, "sub_mode": &p.SubMode,
		"issuer_mode": &p.IssuerMode, "access_token_validity": &p.AccessFor, "refresh_token_validity": &p.RefreshFor,
		"authorization_flow": &p.Authorization, "invalidation_flow": &p.Invalidation, "signing_key": &p.SigningKey,
	} {
		f.text(name, out)
	}
	f.read("redirect_uris", &p.Redirects, "Expected a list of items.")
	f.read("property_mappings", &p.Mappings, "Expected a list of items.")
	f.read("include_claims_in_id_token", &p.InIDToken, "Must be a valid boolean.")
	s.checkProvider(f, p)
	if refusal := f.refusal(); refusal != nil {
		return *refusal
	}
	return reply{http.StatusCreated, s.showProvider(s.addProvider(p))}
}

func (s *Server) checkProvider(f *form, p *provider) {
	for _, other := range s.state.Providers {
		if other.Name == p.Name {
			f.blame("name", "provider with this name already exists.")
		}
	}
	missing := func(field, pk string) { f.blame(field, fmt.Sprintf(`Invalid pk "%s" - object does not exist.`, pk)) }
	known := allMappings()
	for _, pk := range p.Mappings {
		if !slices.Contains(known, pk) {
			missing("property_mappings", pk)
		}
	}
	for field, pk := range map[string]string{"authorization_flow": p.Authorization, "invalidation_flow": p.Invalidation} {
		if f.has(field) && pk != flowPK(authorizationFlow) && pk != flowPK(explicitFlow) && pk != flowPK(invalidationFlow) {
			missing(field, pk)
		}
	}
	if p.SigningKey != "" && p.SigningKey != pkOf("key pair") {
		missing("signing_key", p.SigningKey)
	}
	for _, uri := range p.Redirects {
		if uri.URL == "" || !slices.Contains([]string{"strict", "regex"}, uri.Mode) {
			f.blame("redirect_uris", "This field may not be blank.")
		}
	}
}

// deleteProvider leaves the application, without a provider.
func (s *Server) deleteProvider(r *http.Request) reply {
	p := s.providerOf(r)
	if p == nil {
		return notFound()
	}
	if a := s.attachedTo(p.PK); a != nil {
		a.Provider = nil
		delete(s.state.Keys, a.Slug)
	}
	maps.DeleteFunc(s.state.RefreshTokens, func(_ int, t *refresh) bool { return t.Provider == p.PK })
	delete(s.state.Providers, p.PK)
	return reply{status: http.StatusNoContent}
}

// setupURLs are made out of the host that the call came to.
func (s *Server) setupURLs(r *http.Request) reply {
	p := s.providerOf(r)
	if p == nil {
		return notFound()
	}
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	shared := scheme + "://" + r.Host + "/application/o/"
	urls := map[string]any{
		"issuer": "", "authorize": shared + "authorize/", "token": shared + "token/", "user_info": shared + "userinfo/",
		"provider_info": "", "logout": "", "jwks": "",
	}
	if a := s.attachedTo(p.PK); a != nil {
		own := shared + a.Slug + "/"
		urls["issuer"], urls["provider_info"] = own, own+".well-known/openid-configuration"
		urls["logout"], urls["jwks"] = own+"end-session/", own+"jwks/"
	}
	return ok(urls)
}

func (s *Server) showBaseProvider(p *provider) map[string]any {
	var slug, name any
	if a := s.attachedTo(p.PK); a != nil {
		slug, name = a.Slug, a.Name
	}
	return map[string]any{
		"pk": p.PK, "name": p.Name, "authentication_flow": nil, "authorization_flow": p.Authorization, "invalidation_flow": p.Invalidation,
		"property_mappings": append([]string{}, p.Mappings...), "component": "ak-provider-oauth2-form",
		"assigned_application_slug": slug, "assigned_application_name": name,
		"assigned_backchannel_application_slug": nil, "assigned_backchannel_application_name": nil,
		"verbose_name": "OAuth2/OpenID Provider", "verbose_name_plural": "OAuth2/OpenID Providers",
		"meta_model_name": "authentik_providers_oauth2.oauth2provider",
	}
}

// showProvider shows the client's secret too, to whoever may view the provider.
func (s *Server) showProvider(p *provider) map[string]any {
	shown := s.showBaseProvider(p)
	maps.Copy(shown, map[string]any{
		"client_type": p.ClientType, "client_id": p.ClientID, "client_secret": p.ClientSecret,
		"access_code_validity": "minutes=1", "access_token_validity": p.AccessFor, "refresh_token_validity": p.RefreshFor,
		"refresh_token_threshold": "hours=1", "include_claims_in_id_token": p.InIDToken, "signing_key": orNil(p.SigningKey),
		"encryption_key": nil, "redirect_uris": append([]redirect{}, p.Redirects...), "sub_mode": p.SubMode, "issuer_mode": p.IssuerMode,
		"jwt_federation_sources": []any{}, "jwt_federation_providers": []any{},
	})
	return shown
}

// scopes are what a provider's mappings let an application ask for.
func (p *provider) scopes() []string {
	var names []string
	for _, scope := range mappedScopes {
		if slices.Contains(p.Mappings, mappingPK(scope)) {
			names = append(names, scope)
		}
	}
	return names
}

// granted are the scopes that are asked for and can be had; others are dropped
// without a word. Who asks for none gets the usual ones.
func (p *provider) granted(asked string) []string {
	wanted := strings.Fields(asked)
	if len(wanted) == 0 {
		wanted = defaultScope()
	}
	return slices.DeleteFunc(p.scopes(), func(scope string) bool { return !slices.Contains(wanted, scope) })
}
