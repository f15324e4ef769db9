package authentik

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/dezky/platform/platform"
)

// provider is what makes an application's tokens. Its name is unique at
// Authentik, and is all that can say that it is ours.
type provider struct {
	PK           int    `json:"pk"`
	Name         string `json:"name"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	// Application is the slug of the application that it is attached to.
	Application *string `json:"assigned_application_slug"`
}

func providerPath(pk int) string { return "/providers/oauth2/" + strconv.Itoa(pk) + "/" }

func providerName(slug string, id platform.ID) string { return slug + " (" + string(id) + ")" }

// createProvider makes a provider that is attached to nothing yet. Its subject
// is the UUID of an account, as the platform's own is, and its tokens say who
// somebody is without a further call.
func (c *Client) createProvider(ctx context.Context, w platform.SSOAppWant, basis *appBasis) (*provider, error) {
	var uris []map[string]string
	for _, uri := range w.RedirectURIs {
		uris = append(uris, map[string]string{"matching_mode": "strict", "url": uri})
	}
	a, err := c.send(ctx, http.MethodPost, "/providers/oauth2/", nil, map[string]any{
		"name": providerName(w.Slug, w.ID), "client_type": "confidential", "redirect_uris": uris,
		"authorization_flow": basis.authorization, "invalidation_flow": basis.invalidation,
		"property_mappings": basis.mappings, "signing_key": basis.key,
		"sub_mode": "user_uuid", "issuer_mode": "per_provider", "include_claims_in_id_token": true,
		"access_token_validity": "minutes=10", "refresh_token_validity": "days=30",
	})
	if err != nil {
		return nil, err
	}
	p, err := read[provider](c, a, http.StatusCreated)
	if err == nil && (p.PK <= 0 || p.ClientID == "" || p.ClientSecret == "") {
		err = c.call.Garbled(fmt.Errorf("the provider of %s was created without pk, client id or secret", w.Slug))
	}
	return &p, err
}

// setupURLs are where an application finds its provider. Authentik makes them
// out of the host that it was called by.
type setupURLs struct {
	Issuer    string `json:"issuer"`
	Discovery string `json:"provider_info"`
}

func (c *Client) setupURLs(ctx context.Context, pk int) (setupURLs, error) {
	a, err := c.send(ctx, http.MethodGet, providerPath(pk)+"setup_urls/", nil, nil)
	if err != nil {
		return setupURLs{}, err
	}
	urls, err := read[setupURLs](c, a, http.StatusOK)
	if err == nil && (urls.Issuer == "" || urls.Discovery == "") {
		err = c.call.Garbled(fmt.Errorf("the provider %d has no issuer", pk))
	}
	return urls, err
}

// providersOf are the providers of an app: the one attached to its application,
// the one of its name that a crash may have left alone, and the one that was
// recorded, if it is still the app's.
func (c *Client) providersOf(ctx context.Context, ref platform.SSOAppRef, attached *int) ([]int, error) {
	var found []int
	if attached != nil {
		found = append(found, *attached)
	}
	name := providerName(ref.Slug, ref.ID)
	rows, err := list[provider](ctx, c, "/providers/oauth2/", url.Values{"name": {name}})
	if err != nil {
		return nil, err
	}
	for _, p := range rows {
		if p.Name == name && p.PK > 0 && !slices.Contains(found, p.PK) {
			found = append(found, p.PK)
		}
	}
	recorded, err := strconv.Atoi(ref.Handles.Provider)
	if err != nil || recorded <= 0 || slices.Contains(found, recorded) {
		return found, nil
	}
	a, err := c.send(ctx, http.MethodGet, providerPath(recorded), nil, nil)
	if err != nil || a.Status == http.StatusNotFound {
		return found, err
	}
	p, err := read[provider](c, a, http.StatusOK)
	if err == nil && p.PK == recorded && p.Application == nil {
		found = append(found, recorded) // renamed by hand, and nobody else's
	}
	return found, err
}

// appBasis is what every provider is made with, all by Authentik's own keys.
type appBasis struct {
	authorization, invalidation, key string
	mappings                         []string
}

// row is one of the things that a provider is made with.
type row struct {
	PK          string `json:"pk"`
	Name        string `json:"name"`
	Slug        string `json:"slug"`
	Designation string `json:"designation"`
	Managed     string `json:"managed"`
	HasKey      bool   `json:"private_key_available"`
}

// The things that Authentik brings with it.
const (
	authorizationFlow = "default-provider-authorization-implicit-consent"
	invalidationFlow  = "default-provider-invalidation-flow"
	signingKey        = "goauthentik.io/crypto/jwt-managed"
	signingKeyName    = "authentik Self-signed Certificate"
	scopeMapping      = "goauthentik.io/providers/oauth2/scope-"
)

// appBasis finds them, exactly one of each. Without its mappings an application
// would learn no address, and without its key its tokens could be made by
// whoever knows its secret.
func (c *Client) appBasis(ctx context.Context) (*appBasis, error) {
	var basis appBasis
	var err error
	if basis.authorization, err = c.flow(ctx, authorizationFlow, "authorization"); err != nil {
		return nil, err
	}
	if basis.invalidation, err = c.flow(ctx, invalidationFlow, "invalidation"); err != nil {
		return nil, err
	}
	if basis.key, err = c.signingKey(ctx); err != nil {
		return nil, err
	}
	basis.mappings, err = c.scopeMappings(ctx, "openid", "email", "profile")
	return &basis, err
}

// flow is the flow of that slug, else the only one for the purpose.
func (c *Client) flow(ctx context.Context, slug, designation string) (string, error) {
	pks, err := c.rows(ctx, "/flows/instances/", url.Values{"slug": {slug}}, func(r row) bool { return r.Slug == slug })
	if err == nil && len(pks) == 0 {
		pks, err = c.rows(ctx, "/flows/instances/", url.Values{"designation": {designation}, "ordering": {"slug"}},
			func(r row) bool { return r.Designation == designation })
	}
	return only(pks, err, "flow "+slug)
}

func (c *Client) signingKey(ctx context.Context) (string, error) {
	const path = "/crypto/certificatekeypairs/"
	pks, err := c.rows(ctx, path, url.Values{"managed": {signingKey}, "has_key": {"true"}},
		func(r row) bool { return r.Managed == signingKey && r.HasKey })
	if err == nil && len(pks) == 0 {
		pks, err = c.rows(ctx, path, url.Values{"name": {signingKeyName}, "has_key": {"true"}},
			func(r row) bool { return r.Name == signingKeyName && r.HasKey })
	}
	return only(pks, err, "key pair "+signingKey)
}

func (c *Client) scopeMappings(ctx context.Context, scopes ...string) ([]string, error) {
	filter := url.Values{}
	for _, scope := range scopes {
		filter.Add("managed", scopeMapping+scope)
	}
	all, err := list[row](ctx, c, "/propertymappings/provider/scope/", filter)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, scope := range scopes {
		var pks []string
		for _, r := range all {
			if r.Managed == scopeMapping+scope && r.PK != "" {
				pks = append(pks, r.PK)
			}
		}
		pk, err := only(pks, nil, "scope mapping "+scopeMapping+scope)
		if err != nil {
			return nil, err
		}
		found = append(found, pk)
	}
	return found, nil
}

// rows are the pks of those rows of a list that were really meant.
func (c *Client) rows(ctx context.Context, path string, filter url.Values, meant func(row) bool) ([]string, error) {
	all, err := list[row](ctx, c, path, filter)
	var pks []string
	for _, r := range all {
		if meant(r) && r.PK != "" {
			pks = append(pks, r.PK)
		}
	}
	return pks, err
}

// only is the single pk, or the error that says what is missing.
func only(pks []string, err error, what string) (string, error) {
	if err != nil {
		return "", err
	}
	if len(pks) != 1 {
		return "", platform.Errorf(platform.Unavailable, "The identity provider is not set up for applications.").
			Because(fmt.Errorf("there are %d of the %s, and one is needed", len(pks), what)).Never()
	}
	return pks[0], nil
}
