package authentik

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dezky/platform/platform"
)

// application is what we read of an application. Its publisher is our ID of it.
type application struct {
	PK        string `json:"pk"`
	Name      string `json:"name"`
	Slug      string `json:"slug"`
	Provider  *int   `json:"provider"`
	Publisher string `json:"meta_publisher"`
}

// binding lets a group in to an application.
type binding struct {
	PK     string `json:"pk"`
	Target string `json:"target"`
}

// slugForm and reservedSlugs are Authentik's own rules: the reserved ones are
// paths beside the applications'.
var (
	slugForm      = regexp.MustCompile(`^[-a-zA-Z0-9_]+$`)
	reservedSlugs = []string{"authorize", "token", "device", "userinfo", "introspect", "revoke"}
)

func applicationPath(slug string) string { return "/core/applications/" + url.PathEscape(slug) + "/" }

// CreateApp implements platform.SSOApps.
func (c *Client) CreateApp(ctx context.Context, w platform.SSOAppWant) (platform.SSOAppSecret, error) {
	var nothing platform.SSOAppSecret
	if err := checkApp(w); err != nil {
		return nothing, err
	}
	basis, err := c.appBasis(ctx)
	if err != nil {
		return nothing, err
	}
	members, err := c.ensureTenant(ctx, &w.Tenant, "")
	if err != nil {
		return nothing, err
	}
	app, err := c.application(ctx, w.Slug)
	if err != nil {
		return nothing, err
	}
	if app != nil && app.Publisher != string(w.ID) {
		return nothing, slugTaken(w.Slug)
	}
	ref := platform.SSOAppRef{ID: w.ID, Slug: w.Slug}
	if err := c.dismantle(ctx, ref, app); err != nil {
		return nothing, err
	}
	secret, err := c.makeApp(ctx, w, basis, members)
	if err != nil {
		return nothing, errors.Join(err, c.undoApp(ctx, ref))
	}
	return secret, nil
}

func checkApp(w platform.SSOAppWant) error {
	switch {
	case w.ID == "":
		return withoutID()
	case strings.TrimSpace(w.Name) == "":
		return platform.Errorf(platform.Invalid, "An application needs a name.").On("name").Never()
	case !slugForm.MatchString(w.Slug):
		return platform.Errorf(platform.Invalid, "A slug is made of letters, digits, hyphens and underscores.").On("slug").Never()
	case slices.Contains(reservedSlugs, w.Slug):
		return platform.Errorf(platform.Invalid, "The slug %s is reserved.", w.Slug).On("slug").Never()
	case len(w.RedirectURIs) == 0, slices.Contains(w.RedirectURIs, ""):
		// Authentik takes an application without any for one that may keep the first
		// that it is asked for.
		return platform.Errorf(platform.Invalid, "An application needs an address to return to.").On("redirectUris").Never()
	}
	return nil
}

func withoutID() error {
	return platform.Errorf(platform.Internal, "An application without an ID is nobody's.").Never()
}

func slugTaken(slug string) error {
	return platform.Errorf(platform.Conflict, "The slug %s is taken.", slug).On("slug").Never()
}

// makeApp makes the application, then who may use it, and only then what makes
// tokens for it: an application without a binding is open to everybody.
func (c *Client) makeApp(ctx context.Context, w platform.SSOAppWant, basis *appBasis, members *group) (platform.SSOAppSecret, error) {
	var nothing platform.SSOAppSecret
	app, err := c.createApplication(ctx, w)
	if err != nil {
		return nothing, err
	}
	bound, err := c.create(ctx, "/policies/bindings/", map[string]any{
		"target": app.PK, "group": members.PK, "order": 0, "enabled": true,
	})
	if err != nil {
		return nothing, err
	}
	p, err := c.createProvider(ctx, w, basis)
	if err != nil {
		return nothing, err
	}
	if err := c.attach(ctx, app.Slug, p.PK); err != nil {
		return nothing, err
	}
	urls, err := c.setupURLs(ctx, p.PK)
	if err != nil {
		return nothing, err
	}
	return platform.SSOAppSecret{
		ClientID: p.ClientID, ClientSecret: platform.NewSecret(p.ClientSecret),
		Issuer: urls.Issuer, Discovery: urls.Discovery,
		Handles: platform.SSOAppHandles{Application: app.PK, Binding: bound, Provider: strconv.Itoa(p.PK)},
	}, nil
}

func (c *Client) createApplication(ctx context.Context, w platform.SSOAppWant) (*application, error) {
	fields := map[string]any{
		"name": w.Name, "slug": w.Slug, "group": w.Tenant.Slug, "policy_engine_mode": "any", "meta_publisher": string(w.ID),
	}
	if w.LaunchURL != "" {
		fields["meta_launch_url"] = w.LaunchURL
	}
	a, err := c.send(ctx, http.MethodPost, "/core/applications/", nil, fields)
	if err != nil {
		return nil, err
	}
	if a.Status == http.StatusBadRequest {
		if other, lookErr := c.application(ctx, w.Slug); lookErr == nil && other != nil && other.Publisher != string(w.ID) {
			return nil, slugTaken(w.Slug)
		}
	}
	app, err := read[application](c, a, http.StatusCreated)
	if err == nil && (app.PK == "" || app.Slug != w.Slug) {
		err = c.call.Garbled(fmt.Errorf("the application %s was created as %+v", w.Slug, app))
	}
	return &app, err
}

// create makes something that is named by a UUID, and answers with that.
func (c *Client) create(ctx context.Context, path string, fields map[string]any) (pk string, err error) {
	a, err := c.send(ctx, http.MethodPost, path, nil, fields)
	if err != nil {
		return "", err
	}
	made, err := read[struct {
		PK string `json:"pk"`
	}](c, a, http.StatusCreated)
	if err == nil && made.PK == "" {
		err = c.call.Garbled(fmt.Errorf("what was created at %s has no pk", path))
	}
	return made.PK, err
}

func (c *Client) attach(ctx context.Context, slug string, provider int) error {
	a, err := c.send(ctx, http.MethodPatch, applicationPath(slug), nil, map[string]any{"provider": provider})
	if err != nil {
		return err
	}
	app, err := read[application](c, a, http.StatusOK)
	if err == nil && (app.Provider == nil || *app.Provider != provider) {
		err = c.call.Garbled(fmt.Errorf("the provider %d was not attached to %s", provider, slug))
	}
	return err
}

// undoTime is how long what was begun may take to be undone.
const undoTime = 20 * time.Second

// undoApp removes what an app has so far, found anew: of a call whose answer was
// lost nobody knows what it made.
func (c *Client) undoApp(ctx context.Context, ref platform.SSOAppRef) error {
	ctx, cancel := c.clock.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	return c.DeleteApp(ctx, ref)
}

// application is the application of exactly that slug, or nil. A list of
// applications would come from a cache that knows no filter.
func (c *Client) application(ctx context.Context, slug string) (*application, error) {
	if !slugForm.MatchString(slug) {
		return nil, nil
	}
	a, err := c.send(ctx, http.MethodGet, applicationPath(slug), nil, nil)
	if err != nil || a.Status == http.StatusNotFound {
		return nil, err
	}
	app, err := read[application](c, a, http.StatusOK)
	if err == nil && (app.Slug != slug || app.PK == "") {
		err = c.call.Garbled(fmt.Errorf("asked for the application %s, got %+v", slug, app))
	}
	if err != nil {
		return nil, err
	}
	return &app, nil
}

// DeleteApp implements platform.SSOApps.
func (c *Client) DeleteApp(ctx context.Context, ref platform.SSOAppRef) error {
	if ref.ID == "" {
		return withoutID()
	}
	app, err := c.application(ctx, ref.Slug)
	if err != nil {
		return err
	}
	return c.dismantle(ctx, ref, app)
}

// dismantle removes an app's provider, its bindings and the application, in the
// order that never leaves tokens to be had by everybody: without its bindings an
// application is open to all. App is what has the app's slug now, or nil.
func (c *Client) dismantle(ctx context.Context, ref platform.SSOAppRef, app *application) error {
	if app != nil && app.Publisher != string(ref.ID) && app.PK != ref.Handles.Application {
		app = nil
	}
	var bindings []binding
	var attached *int
	if app != nil {
		attached = app.Provider
		var err error
		if bindings, err = c.bindingsOf(ctx, app); err != nil {
			return err
		}
	}
	providers, err := c.providersOf(ctx, ref, attached)
	if err != nil {
		return err
	}
	for _, pk := range providers {
		if err := c.remove(ctx, providerPath(pk)); err != nil {
			return err
		}
	}
	if app == nil {
		return nil
	}
	for _, b := range bindings {
		if err := c.remove(ctx, "/policies/bindings/"+url.PathEscape(b.PK)+"/"); err != nil {
			return err
		}
	}
	return c.remove(ctx, applicationPath(app.Slug))
}

// bindingsOf are an application's bindings, and no other's.
func (c *Client) bindingsOf(ctx context.Context, app *application) ([]binding, error) {
	rows, err := list[binding](ctx, c, "/policies/bindings/", url.Values{"target": {app.PK}})
	if err != nil {
		// A filter by an application that is gone is refused for good.
		if now, lookErr := c.application(ctx, app.Slug); !platform.CanPass(err) && lookErr == nil && (now == nil || now.PK != app.PK) {
			return nil, nil
		}
		return nil, err
	}
	return slices.DeleteFunc(rows, func(b binding) bool { return b.Target != app.PK || b.PK == "" }), nil
}

// FindApp implements platform.SSOApps.
func (c *Client) FindApp(ctx context.Context, slug string) (platform.SSOAppFound, error) {
	app, err := c.application(ctx, slug)
	if err != nil {
		return platform.SSOAppFound{}, err
	}
	if app == nil {
		return platform.SSOAppFound{}, platform.Errorf(platform.NotFound, "There is no application %s.", slug)
	}
	found := platform.SSOAppFound{
		ID: platform.ID(app.Publisher), Slug: app.Slug, Name: app.Name,
		Handles: platform.SSOAppHandles{Application: app.PK}, Whole: app.Provider != nil,
	}
	if app.Provider != nil {
		found.Handles.Provider = strconv.Itoa(*app.Provider)
	}
	bindings, err := c.bindingsOf(ctx, app)
	if err == nil && len(bindings) > 0 {
		found.Handles.Binding = bindings[0].PK
	}
	return found, err
}
