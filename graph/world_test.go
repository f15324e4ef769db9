package graph_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
	"github.com/dezky/platform/provisioning"
	"github.com/dezky/platform/resolvers"
	"github.com/dezky/platform/store"
	"github.com/dezky/platform/store/sqlite"
)

// world is a graph wired as server.go does it, behind a real listener: a fresh
// database, the Authentik stand-in, and four people in and around ten_acme.
// Sign-in and the graph go by clock, which stands still; the store and the feed
// go by the machine's.
type world struct {
	URL       string // of the listener; the graph is at /graphql
	Handler   http.Handler
	Platform  *platform.Platform
	Store     platform.Store
	SignIn    *graph.SignIn
	Clock     *clocktest.Clock
	Authentik *standin.Server
	Stop      func() // closes Options.Stopping
}

// worldPeople are who can sign in, each with the application that they use.
var worldPeople = map[string]string{
	"operator": standin.Operator, // a platform administrator
	"owner":    standin.Portal,   // of par_nordic, whose customer ten_acme is
	"admin":    standin.Portal,   // of ten_acme
	"member":   standin.Portal,   // of ten_acme
}

// newWorld starts a world. Each change is made to the graph's options, or to
// the listener's limits, before it starts.
func newWorld(t testing.TB, changes ...func(*graph.Options, *graph.Limits)) *world {
	t.Helper()
	w := &world{Clock: clocktest.New(signInStart)}
	log := slog.New(slog.DiscardHandler)
	w.startAuthentik(t, log)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	ctx, cancel := context.WithCancel(context.Background())
	engine, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "dezky.db"), sqlite.Options{Relaxed: true})
	must(err)
	ports, err := store.New(ctx, engine)
	must(err)
	w.Store = ports
	machine := platform.NewSystemClock()
	session, err := provisioning.OpenSession(ctx, ports, nil, machine, platform.NewID, log, provisioning.DefaultIntervals())
	must(err)
	feed := provisioning.NewFeed(ports, machine, log, func() {})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		feed.Run(ctx)
	}()
	w.Platform = platform.New(platform.Options{
		Store: ports, Clock: w.Clock, NewID: platform.NewID, Session: session.ID, Feed: feed,
		SealKey: platform.NewSecret("a key for tests, and for nothing else"), OperatorAudience: standin.Operator,
	})
	must(w.Platform.Bootstrap(ctx))
	must(w.Platform.Plant(ctx, worldSeed(w.Authentik)))

	stopping := make(chan struct{})
	w.Stop = func() {
		select {
		case <-stopping:
		default:
			close(stopping)
		}
	}
	options := graph.Options{
		Platform: w.Platform, SignIn: w.SignIn, Resolvers: resolvers.New(w.Platform),
		Clock: w.Clock, Log: log, Stopping: stopping,
	}
	limits := graph.DefaultLimits()
	for _, change := range changes {
		change(&options, &limits)
	}
	w.Handler = graph.New(options)
	mux := http.NewServeMux()
	mux.Handle("/graphql", w.Handler)
	server := limits.Server(graph.Secure(mux), log)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	w.URL = "http://" + listener.Addr().String()
	go server.Serve(limits.Listener(listener))

	t.Cleanup(func() {
		w.Stop()
		server.Close()
		cancel()
		<-ended
		engine.Close()
	})
	return w
}

func (w *world) startAuthentik(t testing.TB, log *slog.Logger) {
	t.Helper()
	var err error
	if w.Authentik, err = standin.New(standin.Options{Clock: w.Clock}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.Authentik)
	t.Cleanup(server.Close)
	w.Authentik.SetBaseURL(server.URL)
	for name, application := range worldPeople {
		person := standin.Person{Username: name, Email: name + "@acme.test", Application: application}
		if name == "operator" {
			person.Groups = []string{"dezky-platform-admins"}
		}
		if err := w.Authentik.AddPerson(person); err != nil {
			t.Fatal(err)
		}
	}
	w.SignIn = graph.NewSignIn(graph.SignInOptions{
		Issuers:   []string{w.Authentik.Issuer(standin.Portal), w.Authentik.Issuer(standin.Operator)},
		Audience:  []string{standin.Portal, standin.Operator},
		Transport: &http.Transport{DisableKeepAlives: true}, Clock: w.Clock, Log: log,
	})
}

// worldSeed is a partner with a customer, ten_acme, and the people.
func worldSeed(authentik *standin.Server) platform.Seed {
	now := platform.At(signInStart)
	seed := platform.Seed{
		Partners: []*platform.Partner{{
			Document: platform.Document{ID: "par_nordic"}, Slug: "nordic", Name: "Nordic", Status: platform.PartnerStatusActive, CreatedAt: now,
		}},
		Tenants: []*platform.Tenant{{
			Document: platform.Document{ID: "ten_acme"}, Slug: "acme", Name: "Acme", Status: platform.TenantStatusPending,
			PartnerID: "par_nordic", Plan: platform.PlanBusiness, Seats: 10, CreatedAt: now,
		}},
	}
	for _, person := range authentik.People() {
		user := &platform.User{
			Document: platform.Document{ID: platform.ID("usr_" + person.Username)}, Subject: person.UUID, Email: person.Email,
			Name: person.Name, PlatformAdmin: person.Username == "operator", CreatedAt: now,
		}
		role, isMember := map[string]platform.MemberRole{
			"admin": platform.MemberRoleAdmin, "member": platform.MemberRoleMember,
		}[person.Username]
		switch {
		case person.Username == "owner":
			user.PartnerID, user.PartnerRole = "par_nordic", platform.PartnerRoleOwner
		case isMember:
			seed.Members = append(seed.Members, &platform.Member{
				Document: platform.Document{ID: platform.ID("mem_" + person.Username)}, TenantID: "ten_acme", UserID: user.ID,
				Role: role, State: platform.MemberStateActive, Source: platform.MemberSourceMutation, JoinedAt: now,
			})
		}
		seed.Users = append(seed.Users, user)
	}
	return seed
}

// Token signs one of worldPeople in. The empty name has no token.
func (w *world) Token(t testing.TB, who string, options ...standin.Option) string {
	t.Helper()
	if who == "" {
		return ""
	}
	token, err := w.Authentik.SignIn(who, worldPeople[who], options...)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// answer is a whole HTTP answer.
type answer struct {
	Status int
	Header http.Header
	Body   string
	Took   time.Duration
}

// Post sends a body to the graph as one of worldPeople. Headers come in pairs
// and replace those that are usual.
func (w *world) Post(t testing.TB, who, body string, headers ...string) answer {
	t.Helper()
	return w.Do(t, http.MethodPost, who, strings.NewReader(body), headers...)
}

// Do sends a request to the graph.
func (w *world) Do(t testing.TB, method, who string, body io.Reader, headers ...string) answer {
	t.Helper()
	got, err := w.Try(t, method, who, body, headers...)
	if err != nil {
		t.Error(err)
	}
	return got
}

// Try is Do for requests that the server may cut.
func (w *world) Try(t testing.TB, method, who string, body io.Reader, headers ...string) (answer, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.URL+"/graphql", body)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	if token := w.Token(t, who); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	start := time.Now()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(text), time.Since(start)}, err
}
