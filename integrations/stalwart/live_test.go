package stalwart

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dezky/platform/platform"
)

// TestLiveStory is one tenant's whole life, once on the stand-in and, where
// STALWART_LIVE_URL and STALWART_LIVE_TOKEN name one, once on a live server: what
// is said of both is the same. All names are new, and all goes in the end.
// SSL_CERT_FILE is the certificate of a server that nobody vouches for.
func TestLiveStory(t *testing.T) {
	t.Run("stand-in", func(t *testing.T) {
		s := newStand(t)
		t.Cleanup(func() {
			if left := s.look(); len(left.Domains)+len(left.Accounts)+len(left.Lists)+left.Keys+left.Tasks > 0 {
				t.Errorf("the story left %+v", left)
			}
		})
		playLife(t, strings.TrimSuffix(s.url, "/jmap"), platform.NewSecret(adminSecret), s.clock, s.clock.Advance)
	})
	t.Run("live server", func(t *testing.T) {
		url, token := os.Getenv("STALWART_LIVE_URL"), os.Getenv("STALWART_LIVE_TOKEN")
		if url == "" || token == "" {
			t.Skip("STALWART_LIVE_URL and STALWART_LIVE_TOKEN name no live server, so the story was not played on one.")
		}
		playLife(t, url, platform.NewSecret(token), platform.NewSystemClock(), time.Sleep)
	})
}

// life is a tenant's on one server.
type life struct {
	*Client
	t       *testing.T
	wait    func(time.Duration)
	changed atomic.Int64
}

// RoundTrip counts the changing calls.
func (l *life) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	l.changed.Add(int64(bytes.Count(body, []byte(`/set",{`))))
	r.Body = io.NopCloser(bytes.NewReader(body))
	return http.DefaultTransport.RoundTrip(r)
}

// brings applies a want, which takes so many changing calls, and once more, which
// takes none. Less than none is any number, but some.
func (l *life) brings(reason string, changes int64, want platform.Want, handle string) string {
	l.t.Helper()
	step := platform.Step{Integration: platform.IntegrationStalwart, Want: want, Handle: handle}
	l.changed.Store(0)
	handle, err := l.Apply(l.t.Context(), step)
	if n := l.changed.Load(); err != nil || n != changes && (changes >= 0 || n == 0) {
		l.t.Fatalf("%s: %v after %d changing calls, expected %d", reason, err, n, changes)
	}
	if step.Handle == "" || handle != "" {
		step.Handle = handle
	}
	if want.Member != nil && want.Member.Mailbox != nil { // which is set whenever it is said
		mailbox := *want.Member.Mailbox
		mailbox.Password = platform.Secret{}
		step.Want = platform.Want{Member: &platform.MemberWant{Mailbox: &mailbox}}
	}
	l.changed.Store(0)
	if again, err := l.Apply(l.t.Context(), step); err != nil || again != handle || l.changed.Load() > 0 {
		l.t.Fatalf("%s: applied again: %q instead of %q, %v, %d changing calls", reason, again, handle, err, l.changed.Load())
	}
	return handle
}

// clean removes what a want has made. After the story this changes nothing.
func (l *life) clean(want platform.Want, handle string) {
	l.t.Cleanup(func() {
		if _, err := l.Apply(context.WithoutCancel(l.t.Context()), platform.Step{Want: want, Handle: handle}); err != nil {
			l.t.Errorf("left behind: %v", err)
		}
	})
}

// grown waits for the two keys of a domain, so that none comes after its end. In
// recovery mode none ever does.
func (l *life) grown(handle string) {
	for range 50 {
		keys, err := l.DKIMKeys(l.t.Context(), handle)
		if err != nil {
			l.t.Fatal(err)
		}
		if len(keys) == 2 {
			if keys[0].PublicKey == "" || keys[0].Selector == "" || keys[0].Stage != "ACTIVE" {
				l.t.Errorf("the key is %+v", keys[0])
			}
			return
		}
		l.wait(100 * time.Millisecond)
	}
}

func playLife(t *testing.T, url string, token platform.Secret, clock platform.Clock, wait func(time.Duration)) {
	l := &life{t: t, wait: wait}
	l.Client = New(url, token, l, clock)
	if err := l.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if longest, err := l.LongestConnection(t.Context()); err != nil || longest < time.Second {
		t.Errorf("a connection may be silent for %v, %v", longest, err)
	}
	salt := strings.ToLower(rand.Text()[:10])
	tenant := platform.TenantWant{ID: platform.ID("ten_" + salt), Slug: salt, Name: "Live " + salt, MailDomain: "mail." + salt + ".test"}
	domain := func(presence platform.Presence, id, name string) platform.Want {
		owner := tenant
		owner.MailDomain = "" // so that a platform's one can go in the end
		return platform.Want{Domain: &platform.DomainWant{ID: platform.ID(id), Presence: presence, Tenant: owner, Name: name}}
	}
	own := "own-" + salt + ".test"
	ofPlatform := l.brings("the platform's domain is made", 1, platform.Want{Tenant: &tenant}, "")
	l.clean(domain(platform.PresenceGone, "dom_none", tenant.MailDomain), ofPlatform)
	tenant.Name = "Renamed " + salt
	l.brings("it bears the new name", 1, platform.Want{Tenant: &tenant}, ofPlatform)
	ofTenant := l.brings("a domain of the tenant's own is made", 1, domain(platform.PresenceActive, "dom_"+salt, own), "")
	l.clean(domain(platform.PresenceGone, "dom_"+salt, own), ofTenant)
	l.grown(ofPlatform)
	l.grown(ofTenant)
	if zone, err := l.Zone(t.Context(), ofTenant); err != nil || !strings.Contains(zone, own+". IN MX ") {
		t.Errorf("the zone is %q, %v", zone, err)
	}
	mailbox := l.playMailbox(tenant, own)
	list := l.playList(tenant, own)

	if _, err := l.Apply(t.Context(), platform.Step{Want: platform.Want{Person: &platform.PersonWant{}}}); !errors.Is(err, platform.ErrSkip) {
		t.Errorf("people have %v here", err)
	}
	uses, err := l.UsesOf(t.Context(), ofTenant, own)
	if err != nil || len(uses.Uses) != 2 || uses.More {
		t.Errorf("the domain's uses are %+v, %v", uses, err)
	}
	_, err = l.Apply(t.Context(), platform.Step{Want: domain(platform.PresenceGone, "dom_"+salt, own), Handle: ofTenant})
	if platform.CodeOf(err) != platform.Conflict || platform.CanPass(err) {
		t.Errorf("a domain in use goes: %v", err)
	}
	l.brings("the list goes", 1, list.want, list.handle)
	l.brings("the mailbox goes", 1, mailbox.want, mailbox.handle)
	l.brings("the domain goes", -1, domain(platform.PresenceGone, "dom_"+salt, own), ofTenant)
	if _, err := l.Zone(t.Context(), ofTenant); platform.CodeOf(err) != platform.NotFound {
		t.Errorf("the domain's zone is still there: %v", err)
	}
}

// ending is how something is removed.
type ending struct {
	want   platform.Want
	handle string
}

func (l *life) playMailbox(tenant platform.TenantWant, own string) ending {
	want := func(w platform.MailboxWant) platform.Want {
		return platform.Want{Member: &platform.MemberWant{ID: "mem_live", Tenant: tenant, Mailbox: &w}}
	}
	w := platform.MailboxWant{
		Presence: platform.PresenceActive, Address: "ada.love-lace@" + tenant.MailDomain, Aliases: []string{"ada@" + own},
		Name: "Ada Lovelace", QuotaBytes: 1 << 30, Password: platform.NewSecret("k7mq2-x9tfw-4hbnz-r6pdc"),
	}
	handle := l.brings("a mailbox is made", 1, want(w), "")
	gone := w
	gone.Presence, gone.Password = platform.PresenceGone, platform.Secret{}
	l.clean(want(gone), handle)
	use, err := l.MailUse(l.t.Context(), []string{handle})
	if err != nil || use[handle].QuotaBytes != 1<<30 {
		l.t.Errorf("the mailbox holds %+v, %v", use, err)
	}
	if again := l.brings("without its handle it is found", 1, want(w), ""); again != handle {
		l.t.Errorf("%q is there beside %q", again, handle)
	}
	w.Password = platform.Secret{}
	w.Presence = platform.PresenceSuspended
	l.brings("it is frozen", 1, want(w), handle)
	w.Presence, w.Password = platform.PresenceActive, platform.NewSecret("v3jd8-m5ysk-q2wlc-z7thg")
	l.brings("it is thawed, and gets another password", 2, want(w), handle)
	w.Password = platform.Secret{}
	w.Address, w.Aliases, w.Name, w.QuotaBytes = "ada@"+own, []string{"ada.love-lace@" + tenant.MailDomain}, "", 0
	l.brings("it moves, and loses its name and its limit", 1, want(w), handle)
	w.Aliases, w.Name, w.QuotaBytes = nil, "Ada King", 2<<30
	l.brings("it gets others, and loses its alias", 1, want(w), handle)
	w.Presence = platform.PresenceSuspended
	l.brings("it is frozen until its end", 1, want(w), handle)
	w.Presence = platform.PresenceGone
	return ending{want(w), handle}
}

func (l *life) playList(tenant platform.TenantWant, own string) ending {
	want := func(w platform.GroupWant) platform.Want { return platform.Want{Group: &w} }
	w := platform.GroupWant{
		ID: platform.ID("grp_" + tenant.Slug), Presence: platform.PresenceActive, Tenant: tenant, Name: "Sales", Address: "sales@" + own,
		Recipients: []string{"ada@" + own, "bob@elsewhere.test"},
	}
	handle := l.brings("a list is made", 1, want(w), "")
	gone := w
	gone.Presence = platform.PresenceGone
	l.clean(want(gone), handle)
	if again := l.brings("without its handle it is found", 0, want(w), ""); again != handle {
		l.t.Errorf("%q is there beside %q", again, handle)
	}
	w.Recipients, w.Name = []string{"ada@" + own, "odd/name~x@elsewhere.test"}, "Sales team"
	l.brings("it has other recipients, and another name", 1, want(w), handle)
	w.Address = "sales.team@" + own
	l.brings("it moves", 1, want(w), handle)
	w.Presence = platform.PresenceGone
	return ending{want(w), handle}
}
