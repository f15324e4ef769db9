package ocis

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dezky/platform/platform"
)

// TestLiveStory is one tenant's whole life, once on the stand-in and, where
// OCIS_LIVE_URL, OCIS_LIVE_USERNAME and OCIS_LIVE_TOKEN name one, once on a live
// server: what is said of both is the same. All names are new, and all goes in
// the end. SSL_CERT_FILE is the certificate of a server that nobody vouches for.
func TestLiveStory(t *testing.T) {
	t.Run("stand-in", func(t *testing.T) {
		s := newStand(t)
		t.Cleanup(func() {
			if left := len(s.server.Drives()) + len(s.server.Users()); left > 0 {
				t.Errorf("the story left %+v and %+v", s.server.Drives(), s.server.Users())
			}
		})
		playLife(t, strings.TrimSuffix(s.url, "/graph"), "platform", platform.NewSecret(tokenSecret), s.clock)
	})
	t.Run("live server", func(t *testing.T) {
		url, username, token := os.Getenv("OCIS_LIVE_URL"), os.Getenv("OCIS_LIVE_USERNAME"), os.Getenv("OCIS_LIVE_TOKEN")
		if url == "" || username == "" || token == "" {
			t.Skip("OCIS_LIVE_URL, OCIS_LIVE_USERNAME and OCIS_LIVE_TOKEN name no live server, so the story was not played on one.")
		}
		playLife(t, url, username, platform.NewSecret(token), platform.NewSystemClock())
	})
}

// life is a tenant's on one server.
type life struct {
	*Client
	t       *testing.T
	changed atomic.Int64
}

// RoundTrip counts the changing calls, and holds each against the specification.
func (l *life) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkRequest(r); err != nil {
		l.t.Error(err)
	}
	if r.Method != http.MethodGet && r.Method != "" {
		l.changed.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// brings applies a want, which takes so many changing calls, and once more, which
// takes none.
func (l *life) brings(reason string, changes int64, want platform.Want, recorded string) string {
	l.t.Helper()
	step := platform.Step{Integration: platform.IntegrationOCIS, Want: want, Handle: recorded}
	l.changed.Store(0)
	handle, err := l.Apply(l.t.Context(), step)
	if n := l.changed.Load(); err != nil || n != changes {
		l.t.Fatalf("%s: %v after %d changing calls, expected %d", reason, err, n, changes)
	}
	step.Handle = handle
	l.changed.Store(0)
	if again, err := l.Apply(l.t.Context(), step); err != nil || again != handle || l.changed.Load() > 0 {
		l.t.Fatalf("%s: applied again: %q instead of %q, %v, %d changing calls", reason, again, handle, err, l.changed.Load())
	}
	return handle
}

// clean does something in the end, whatever came of the story.
func (l *life) clean(do func(context.Context) error) {
	l.t.Cleanup(func() {
		if err := do(context.WithoutCancel(l.t.Context())); err != nil {
			l.t.Errorf("left behind: %v", err)
		}
	})
}

func playLife(t *testing.T, url, username string, token platform.Secret, clock platform.Clock) {
	l := &life{t: t}
	l.Client = New(url, username, token, l, clock)
	if err := l.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	salt := strings.ToLower(rand.Text()[:10])
	tenant := platform.TenantWant{ID: platform.ID("ten_" + salt), Slug: "live-" + salt, Name: "Live: " + salt + " / Größe"}
	space := l.brings("a space is made", 1, platform.Want{Tenant: &tenant}, "")
	l.clean(func(ctx context.Context) error { return errors.Join(l.disable(ctx, space), l.purge(ctx, space)) })
	if again := l.brings("without its handle it is found", 0, platform.Want{Tenant: &tenant}, ""); again != space {
		t.Errorf("%q is there beside %q", again, space)
	}
	tenant.Name = "Renamed " + salt
	l.brings("it bears the new name", 1, platform.Want{Tenant: &tenant}, space)
	if err := l.disable(t.Context(), space); err != nil {
		t.Fatal(err)
	}
	l.brings("it comes back after somebody disabled it", 1, platform.Want{Tenant: &tenant}, space)
	if use, err := l.SpaceUse(t.Context(), []string{space}); err != nil || len(use) != 1 || use[space].UsedBytes != 0 {
		t.Errorf("the space holds %+v, %v", use, err)
	}

	p := platform.PersonWant{
		ID: platform.ID("usr_" + salt), Presence: platform.PresenceActive, Ours: true,
		Username: "olga.x-" + salt + "@live-test.example", Email: "olga." + salt + "@live-test.example", Name: "Olga Ohm",
	}
	m := platform.MemberWant{ID: platform.ID("mem_" + salt), Presence: platform.PresenceActive, Tenant: tenant, Role: platform.MemberRoleMember}
	member := func() platform.Want { whole := m; whole.Person = p; return platform.Want{Member: &whole} }
	person := func() platform.Want { whole := p; return platform.Want{Person: &whole} }
	account := l.brings("a membership before its person makes both", 2, member(), "")
	l.clean(func(ctx context.Context) error {
		p.Presence = platform.PresenceGone
		_, err := l.Apply(ctx, platform.Step{Want: person(), Handle: account})
		return err
	})
	if found := l.brings("the person is as the membership made them", 0, person(), ""); found != account {
		t.Errorf("%q is there beside %q", found, account)
	}
	if found := l.brings("and the other way round", 0, member(), ""); found != account {
		t.Errorf("%q is there beside %q", found, account)
	}
	if use, err := l.AccountUse(t.Context(), []string{account}); err != nil || len(use) != 0 {
		t.Errorf("before the first sign-in there is %+v, %v", use, err)
	}

	m.Role = platform.MemberRoleAdmin
	l.brings("an editor turns manager", 1, member(), account)
	p.Presence = platform.PresenceSuspended
	l.brings("the account is shut", 1, person(), account)
	p.Presence = platform.PresenceActive
	l.brings("and opened", 1, person(), account)
	m.Presence = platform.PresenceSuspended
	l.brings("the membership rests", 1, member(), account)
	m.Presence, m.Role = platform.PresenceActive, platform.MemberRoleMember
	l.brings("and comes back", 1, member(), account)
	p.Username, p.Email, p.Name = "o.king."+salt+"@live-test.example", "o.king."+salt+"@live-test.example", "Olga King"
	l.brings("the person is called otherwise", 2, person(), account)
	l.brings("which the membership does not mind", 0, member(), account)

	if _, err := l.Apply(t.Context(), platform.Step{Want: platform.Want{Group: &platform.GroupWant{}}}); !errors.Is(err, platform.ErrSkip) {
		t.Errorf("groups have %v here", err)
	}
	p.Presence = platform.PresenceGone
	l.brings("who goes takes their grant and their account along", 2, person(), account)
	m.Presence = platform.PresenceGone
	l.brings("the membership has nothing left", 0, member(), account)
}
