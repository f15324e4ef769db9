package platform_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
	"github.com/dezky/platform/store"
	"github.com/dezky/platform/store/storetest"
)

var noon = platform.At(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))

// world is a platform over a real store, with nobody and nothing in it but a
// session of its own.
type world struct {
	*platform.Platform
	store   platform.Store
	clock   *clocktest.Clock
	session platform.ID
}

func newWorld(t testing.TB) *world { return worldOn(t, storetest.New(t)) }

func worldOn(t testing.TB, s platform.Store) *world {
	t.Helper()
	w := &world{store: s, clock: clocktest.New(noon.Time), session: platform.NewID(platform.KindSession)}
	if err := s.OpenSession(t.Context(), &platform.Session{Document: platform.Document{ID: w.session}}); err != nil {
		t.Fatal(err)
	}
	w.Platform = platform.New(platform.Options{
		Store: s, Clock: w.clock, NewID: platform.NewID, Session: func() platform.ID { return w.session },
		SealKey: platform.NewSecret("for tests"), OperatorAudience: operators, MailDomain: "dezky.test",
	})
	return w
}

// wrapped is a store whose engine a test has got its hands on.
func wrapped(t testing.TB, wrap func(store.Engine) store.Engine) *store.Store {
	t.Helper()
	return storetest.Around(t, filepath.Join(t.TempDir(), "test.db"), wrap)
}

// twice runs every transaction once for nothing, as a database does that had to
// take one back.
type twice struct{ store.Engine }

func (e twice) Tx(ctx context.Context, do func(store.Tx) error) error {
	again := errors.New("again")
	e.Engine.Tx(ctx, func(tx store.Tx) error { return errors.Join(do(tx), again) }) // for nothing
	return e.Engine.Tx(ctx, do)
}

// forgetful commits one transaction, the one for which lose counts down to
// zero, and cannot say so.
type forgetful struct {
	store.Engine
	lose *atomic.Int32
}

func (e forgetful) Tx(ctx context.Context, do func(store.Tx) error) error {
	err := e.Engine.Tx(ctx, do)
	if err == nil && e.lose.Add(-1) == 0 {
		return platform.Errorf(platform.Unavailable, "The database does not answer.")
	}
	return err
}

const operators = "dezky-operator"

// plant puts acme, a customer of nordic, and globex, nobody's, with their people
// into the world.
func (w *world) plant(t testing.TB) {
	t.Helper()
	tenant := func(id platform.ID, slug, name string, partner platform.ID) *platform.Tenant {
		return &platform.Tenant{
			Document: platform.Document{ID: id}, Slug: slug, Name: name, Status: platform.TenantStatusPending, PartnerID: partner,
			Plan: platform.PlanStarter, Seats: 5, CreatedAt: noon,
		}
	}
	user := func(name string, change func(*platform.User)) *platform.User {
		u := &platform.User{Document: platform.Document{ID: platform.ID("usr_" + name)}, Subject: name, Email: name + "@acme.test", Name: name, CreatedAt: noon}
		change(u)
		return u
	}
	staff := func(role platform.PartnerRole) func(*platform.User) {
		return func(u *platform.User) { u.PartnerID, u.PartnerRole = "par_nordic", role }
	}
	member := func(name string, tenant platform.ID, role platform.MemberRole) *platform.Member {
		return &platform.Member{
			Document: platform.Document{ID: platform.ID("mem_" + name)}, TenantID: tenant, UserID: platform.ID("usr_" + name), Role: role,
			State: platform.MemberStateActive, Source: platform.MemberSourceMutation, JoinedAt: noon,
		}
	}
	err := w.Plant(t.Context(), platform.Seed{
		Partners: []*platform.Partner{{
			Document: platform.Document{ID: "par_nordic"}, Slug: "nordic", Name: "Nordic", Status: platform.PartnerStatusActive, CreatedAt: noon,
		}},
		Tenants: []*platform.Tenant{tenant("ten_acme", "acme", "Acme", "par_nordic"), tenant("ten_globex", "globex", "Globex", "")},
		Subscriptions: []*platform.TenantSubscription{{
			Document: platform.Document{ID: "sub_acme"}, TenantID: "ten_acme", Plan: platform.PlanStarter, Since: noon,
		}},
		Users: []*platform.User{
			user("operator", func(u *platform.User) { u.PlatformAdmin = true }),
			user("owner", staff(platform.PartnerRoleOwner)), user("support", staff(platform.PartnerRoleSupport)),
			user("admin", func(*platform.User) {}), user("member", func(*platform.User) {}), user("globex", func(*platform.User) {}),
		},
		Members: []*platform.Member{
			member("admin", "ten_acme", platform.MemberRoleAdmin), member("member", "ten_acme", platform.MemberRoleMember),
			member("globex", "ten_globex", platform.MemberRoleAdmin),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// as is the context of a request by somebody with a token.
func (w *world) as(t testing.TB, is platform.Identity) context.Context {
	t.Helper()
	from := platform.From{IP: "192.0.2.1", UserAgent: "test", RequestID: "req_1"}
	a, err := w.SignIn(t.Context(), is, from)
	if err != nil {
		t.Fatalf("sign %s in: %v", is.Subject, err)
	}
	return platform.WithActor(t.Context(), a)
}

// by is the context of a request by one of those who were planted.
func (w *world) by(t testing.TB, name string) context.Context {
	t.Helper()
	is := platform.Identity{Subject: name, Email: name + "@acme.test", Name: name, Audience: []string{"dezky-portal"}}
	if name == "operator" {
		is.Audience = []string{operators}
		is.Groups = []string{"dezky-platform-admins"}
	}
	return w.as(t, is)
}

// events are what stands in some tenants' logs and, for "", in the platform's,
// oldest first, without the making of the world itself.
func (w *world) events(t testing.TB, logs ...platform.ID) []*platform.AuditEvent {
	t.Helper()
	var all []*platform.AuditEvent
	for _, log := range logs {
		list, err := w.store.AuditEventsOf(t.Context(), log, platform.Page{First: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range slices.Backward(list.Items) {
			if e.Action != platform.ActionSeeded {
				all = append(all, e)
			}
		}
	}
	return all
}

// code is an error's code, or "" for none.
func code(err error) platform.Code {
	if err == nil {
		return ""
	}
	return platform.CodeOf(err)
}

func pointer[T any](v T) *T { return &v }
