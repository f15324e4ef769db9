package stalwart

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/integrations/stalwart/standin"
	"github.com/dezky/platform/platform"
)

const second = time.Second

func TestMailbox(t *testing.T) {
	whole := standin.Account{
		Type: "User", Description: "Ada Lovelace", Aliases: []string{"ada@acme.test", "countess@acme.dezky.test"}, Quota: 1 << 30, Permissions: "Inherit",
	}
	frozen := []string{"authenticate", "emailReceive", "emailSend"}
	user := func(properties map[string]any) map[string]any {
		all := map[string]any{"@type": "User", "name": "ada", "domainId": "b"}
		for name, value := range properties {
			all[name] = value
		}
		return all
	}
	permissions := func(kind string, enabled, disabled []string) map[string]any {
		set := func(names []string) map[string]any {
			all := map[string]any{}
			for _, name := range names {
				all[name] = true
			}
			return all
		}
		return map[string]any{"@type": kind, "enabledPermissions": set(enabled), "disabledPermissions": set(disabled)}
	}
	suspended := func(w *platform.MailboxWant) { w.Presence = platform.PresenceSuspended }
	for name, tt := range map[string]struct {
		reason string
		before map[string]any
		want   func(w *platform.MailboxWant)
		found  func(a *standin.Account)
		// changes are those of the first Apply.
		changes int
	}{
		"missing":    {reason: "it is made whole in one call", changes: 1},
		"bare":       {reason: "all that differs is mended in one call", before: user(nil), changes: 1},
		"as wanted":  {reason: "nothing differs", before: user(map[string]any{"description": "Ada Lovelace", "quotas": map[string]any{"maxDiskQuota": 1 << 30}, "aliases": map[string]any{"0": map[string]any{"name": "ada", "domainId": "c"}, "1": map[string]any{"name": "countess", "domainId": "b"}}})},
		"of an hour": {reason: "a person's aliases and words go; the wanted ones stay", before: user(map[string]any{"description": "X", "aliases": map[string]any{"0": map[string]any{"name": "other", "domainId": "b"}}}), changes: 1},
		"switched off alias": {
			reason: "an alias that is kept and takes no mail is not what is wanted",
			before: user(map[string]any{"description": "Ada Lovelace", "quotas": map[string]any{"maxDiskQuota": 1 << 30}, "aliases": map[string]any{"0": map[string]any{"name": "ada", "domainId": "c", "enabled": false}, "1": map[string]any{"name": "countess", "domainId": "b"}}}), changes: 1,
		},
		"bare want": {
			reason: "no name, quota or alias is a want as well, and 0 is no quota at all",
			before: user(map[string]any{"description": "X", "quotas": map[string]any{"maxDiskQuota": 5, "maxEmails": 7}}),
			want:   func(w *platform.MailboxWant) { w.Name, w.QuotaBytes, w.Aliases = "", 0, nil },
			found:  func(a *standin.Account) { a.Description, a.Quota, a.Aliases = "", 0, nil }, changes: 1,
		},
		"suspended from the start": {
			reason: "a mailbox that is to be shut is never open", want: suspended, changes: 1,
			found: func(a *standin.Account) { a.Permissions, a.Disabled = "Merge", frozen },
		},
		"suspended": {
			reason: "what is inherited turns into less than that", before: user(nil), want: suspended, changes: 1,
			found: func(a *standin.Account) { a.Permissions, a.Disabled = "Merge", frozen },
		},
		"suspended, with permissions of its own": {
			reason: "what somebody chose stays", before: user(map[string]any{"permissions": permissions("Merge", []string{"impersonate"}, []string{"pop3Authenticate", "emailSend"})}),
			want: suspended, changes: 1,
			found: func(a *standin.Account) {
				a.Permissions, a.Disabled = "Merge", []string{"authenticate", "emailReceive", "emailSend", "pop3Authenticate"}
			},
		},
		"suspended, with other permissions": {
			reason: "what is disabled counts whatever else is enabled", before: user(map[string]any{"permissions": permissions("Replace", []string{"authenticate"}, nil)}),
			want: suspended, changes: 1,
			found: func(a *standin.Account) { a.Permissions, a.Disabled = "Replace", frozen },
		},
		"thawed": {
			reason: "an empty choice is none", before: user(map[string]any{"permissions": permissions("Merge", nil, frozen)}), changes: 1,
		},
		"thawed, with permissions of its own": {
			reason: "only what freezes goes", before: user(map[string]any{"permissions": permissions("Merge", nil, append(frozen, "pop3Authenticate"))}), changes: 1,
			found: func(a *standin.Account) { a.Permissions, a.Disabled = "Merge", []string{"pop3Authenticate"} },
		},
		"thawed, with other permissions": {
			reason: "they stay others", before: user(map[string]any{"permissions": permissions("Replace", []string{"authenticate"}, frozen)}), changes: 1,
			found: func(a *standin.Account) { a.Permissions, a.Disabled = "Replace", nil },
		},
		"upper case": {
			reason: "the server keeps addresses in lower case", changes: 1,
			want: func(w *platform.MailboxWant) {
				w.Address, w.Aliases = "Ada@Acme.Dezky.Test", []string{"COUNTESS@acme.dezky.test", "Ada@acme.test", "ada@acme.dezky.test", "ada@acme.test"}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDomains(t)
			if tt.before != nil {
				s.set(t, "x:Account/set", map[string]any{"create": map[string]any{"a": tt.before}})
			}
			want, expected := ada(), whole
			if tt.want != nil {
				tt.want(&want)
			}
			if tt.found != nil {
				tt.found(&expected)
			}
			handle := ""
			if n := s.changes(func() { handle = s.apply(t, memberStep(want, "")) }); n != tt.changes {
				t.Errorf("%s: %d changing calls, want %d", tt.reason, n, tt.changes)
			}
			expected.ID = handle
			if found := s.server.Accounts(); !cmp.Equal(found, map[string]standin.Account{"ada@acme.dezky.test": expected}) {
				t.Errorf("%s: %s", tt.reason, cmp.Diff(map[string]standin.Account{"ada@acme.dezky.test": expected}, found))
			}
			for _, known := range []string{"", handle} {
				if n := s.changes(func() { s.apply(t, memberStep(want, known)) }); n > 0 {
					t.Errorf("applied again, with the handle %q: %d changing calls", known, n)
				}
			}
		})
	}
}

func TestMailboxRefused(t *testing.T) {
	gone := func(w *platform.MailboxWant) { w.Presence = platform.PresenceGone }
	password := func(text string) func(w *platform.MailboxWant) {
		return func(w *platform.MailboxWant) { w.Password = platform.NewSecret(text) }
	}
	for name, tt := range map[string]struct {
		reason  string
		method  string
		before  map[string]any
		want    func(w *platform.MailboxWant)
		code    platform.Code
		canPass bool
		// says is a part of what is in the log.
		says string
	}{
		"a group": {
			reason: "its mails are for several people", method: "x:Account/set", code: platform.Conflict,
			before: map[string]any{"@type": "Group", "name": "ada", "domainId": "b"}, says: "account b is a Group",
		},
		"a mailing list": {
			reason: "the refusal names the holder", method: "x:MailingList/set", code: platform.Conflict,
			before: map[string]any{"name": "ada", "domainId": "b"}, says: "MailingList b",
		},
		"somebody's alias": {
			reason: "their mails are not ada's", method: "x:Account/set", code: platform.Conflict, says: "Account b",
			before: map[string]any{"@type": "User", "name": "bob", "domainId": "b", "aliases": map[string]any{"0": map[string]any{"name": "ada", "domainId": "b"}}},
		},
		"an alias that somebody has": {
			reason: "and neither are they an alias's", method: "x:Account/set", code: platform.Conflict, says: "Account b",
			before: map[string]any{"@type": "User", "name": "countess", "domainId": "b"},
		},
		"no domain":             {reason: "it may be made by another step", want: func(w *platform.MailboxWant) { w.Address = "ada@later.test" }, code: platform.Unavailable, canPass: true},
		"no domain of an alias": {reason: "it may be made by another step", want: func(w *platform.MailboxWant) { w.Aliases = []string{"ada@later.test"} }, code: platform.Unavailable, canPass: true},
		"no address":            {reason: "it does not mend itself", want: func(w *platform.MailboxWant) { w.Address = "ada" }, code: platform.Invalid},
		"short password":        {reason: "it does not grow", want: password("xQ7zK"), code: platform.Invalid, says: "invalidProperties"},
		"common password":       {reason: "it does not get rarer", want: password("12345678"), code: platform.Invalid, says: "invalidProperties"},
		"repeated password":     {reason: "and the server's words are not ours to repeat", want: password(strings.Repeat("z", 20)), code: platform.Invalid, says: "invalidProperties"},
		"long password":         {reason: "128 are the most", want: password(strings.Repeat("zy", 65)), code: platform.Invalid},
		"gone, no domain": {
			reason: "what is not there is gone", want: func(w *platform.MailboxWant) { gone(w); w.Address = "ada@later.test" },
		},
		"gone, a group": {
			reason: "a group is not ours to destroy", method: "x:Account/set", want: gone,
			before: map[string]any{"@type": "Group", "name": "ada", "domainId": "b"},
		},
		"gone, a list": {reason: "a list is not ours to destroy", method: "x:MailingList/set", want: gone, before: map[string]any{"name": "ada", "domainId": "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDomains(t)
			if tt.before != nil {
				s.set(t, tt.method, map[string]any{"create": map[string]any{"a": tt.before}})
			}
			want := ada()
			if tt.want != nil {
				tt.want(&want)
			}
			before := s.look()
			_, err := s.Apply(t.Context(), memberStep(want, ""))
			if tt.code == "" {
				if err != nil {
					t.Errorf("%s: %v", tt.reason, err)
				}
			} else if platform.CodeOf(err) != tt.code || platform.CanPass(err) != tt.canPass || err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v, can pass: %v", tt.reason, err, platform.CanPass(err))
			}
			if err != nil && !want.Password.IsZero() && strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want.Password.Reveal())[:3]) {
				t.Errorf("%v shows the password", err)
			}
			if after := s.look(); !cmp.Equal(before, after) {
				t.Errorf("%s: %s", tt.reason, cmp.Diff(before, after))
			}
		})
	}
}

// A freeze ends no connection that is open, and a thaw gives back the old
// password and the app passwords.
func TestFreezeAndThaw(t *testing.T) {
	s := newDomains(t)
	w := ada()
	w.Password = platform.NewSecret(adaPassword)
	handle := s.apply(t, memberStep(w, ""))
	var made struct {
		Created map[string]struct{ Secret string }
	}
	err := s.call(t.Context(), call{"a", "x:AppPassword/set", map[string]any{"accountId": handle, "create": map[string]any{"p": map[string]any{"description": "phone"}}}, &made})
	app := made.Created["p"].Secret
	if err != nil || !strings.HasPrefix(app, "app_") {
		t.Fatalf("app password %q, %v", app, err)
	}
	opens := func(why string, secret string, status int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/session", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(w.Address, secret)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%s: sign-in is answered with %d, want %d", why, res.StatusCode, status)
		}
		if _, err := s.server.Login(w.Address, secret); (err == nil) != (status == http.StatusOK) {
			t.Errorf("%s: a mail program gets %v", why, err)
		}
	}
	opens("active", adaPassword, 200)
	opens("active", app, 200)
	open, err := s.server.Login(w.Address, adaPassword)
	if err != nil {
		t.Fatal(err)
	}
	limit, err := s.LongestConnection(t.Context())
	if err != nil || limit != 30*time.Minute {
		t.Errorf("the longest connection is %v, %v", limit, err)
	}

	w.Presence, w.Password = platform.PresenceSuspended, platform.Secret{}
	s.apply(t, memberStep(w, handle))
	opens("frozen", adaPassword, 403)
	opens("frozen", app, 403)
	opens("frozen, and the wrong password", "nonsense", 401)
	if err := s.server.Deliver(w.Address, 1); err == nil {
		t.Error("a frozen mailbox received a mail")
	}
	if _, err := open.Read(); err != nil {
		t.Errorf("an open connection goes on: %v", err)
	}
	s.clock.Advance(limit + second)
	if _, err := open.Read(); err == nil {
		t.Error("a connection outlived its limit")
	}

	w.Presence = platform.PresenceActive
	s.apply(t, memberStep(w, handle))
	opens("thawed", adaPassword, 200)
	opens("thawed", app, 200)

	w.Password = platform.NewSecret("another unlikely phrase")
	for range 2 {
		if n := s.changes(func() { s.apply(t, memberStep(w, handle)) }); n != 1 {
			t.Errorf("a password is set in %d calls", n)
		}
	}
	opens("new password", adaPassword, 401)
	opens("new password", "another unlikely phrase", 200)
	opens("new password", app, 200)
	if held := s.server.Accounts()[w.Address].Credentials; !cmp.Equal(held, []string{"Password", "AppPassword"}) {
		t.Errorf("credentials %q", held)
	}
}

// A password that is refused keeps nothing else from being mended, least of all
// a freeze.
func TestRefusedPasswordDoesNotKeepOpen(t *testing.T) {
	s := newDomains(t)
	handle := s.apply(t, memberStep(ada(), ""))
	w := ada()
	w.Presence, w.Password = platform.PresenceSuspended, platform.NewSecret("short")
	if _, err := s.Apply(t.Context(), memberStep(w, handle)); platform.CanPass(err) {
		t.Errorf("refused with %v", err)
	}
	if found := s.server.Accounts()[w.Address]; found.Permissions != "Merge" {
		t.Errorf("there is %+v", found)
	}
}

// An account without a password gets one beside its app passwords.
func TestFirstPassword(t *testing.T) {
	s := newDomains(t)
	handle := s.apply(t, memberStep(ada(), ""))
	s.set(t, "x:AppPassword/set", map[string]any{"accountId": handle, "create": map[string]any{"p": map[string]any{}}})
	w := ada()
	w.Password = platform.NewSecret(adaPassword)
	s.apply(t, memberStep(w, handle))
	if held := s.server.Accounts()[w.Address].Credentials; !cmp.Equal(held, []string{"AppPassword", "Password"}) {
		t.Errorf("credentials %q", held)
	}
	if _, err := s.server.Login(w.Address, adaPassword); err != nil {
		t.Error(err)
	}
}

// Which of two accounts a membership's is: the one of its handle.
func TestMailboxByHandle(t *testing.T) {
	w := ada()
	w.Address, w.Aliases = "king@acme.test", nil
	gone := w
	gone.Presence = platform.PresenceGone
	s := newDomains(t)
	ours := s.apply(t, memberStep(ada(), ""))
	if moved := s.apply(t, memberStep(w, ours)); moved != ours || s.server.Accounts()[w.Address].ID != ours || len(s.server.Accounts()) != 1 {
		t.Errorf("moved: %+v", s.server.Accounts())
	}
	s.set(t, "x:Account/set", map[string]any{"create": map[string]any{"a": map[string]any{"@type": "User", "name": "ada", "domainId": "b"}}})
	before := s.look()
	if _, err := s.Apply(t.Context(), memberStep(ada(), ours)); platform.CodeOf(err) != platform.Conflict || platform.CanPass(err) || !cmp.Equal(before, s.look()) {
		t.Errorf("moved to an address that somebody has: %v", err)
	}
	if handle := s.apply(t, memberStep(gone, ours)); handle != ours || len(s.server.Accounts()) != 1 {
		t.Errorf("removed: %q, %+v", handle, s.server.Accounts())
	}
	gone.Address = "ada@acme.dezky.test"
	if n := s.changes(func() { s.apply(t, memberStep(gone, ours)) }); n > 0 || len(s.server.Accounts()) != 1 {
		t.Errorf("what has the address by now went too: %d calls, %+v", n, s.server.Accounts())
	}
	if adopted := s.apply(t, memberStep(ada(), ours)); adopted == ours {
		t.Errorf("a handle whose account is gone was kept")
	}
}

// Every way to fail of a system can pass or not as it does for domains, and
// afterwards there is what was wanted.
func TestMailboxFaults(t *testing.T) {
	for name, fault := range map[string]stage.Fault{
		"reset": {Kind: stage.Reset}, "lost": {Kind: stage.Lost}, "half": {Kind: stage.Half}, "flood": {Kind: stage.Flood},
		"503": {Status: 503}, "HTML": {Status: 200, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html>"},
		"empty":    {Status: 200, Header: map[string]string{"Content-Type": "application/json"}},
		"no lists": {Status: 200, Header: map[string]string{"Content-Type": "application/json"}, Body: `{"methodResponses":[["x:Domain/query",{},"domain0"]]}`},
	} {
		for on, step := range map[string]platform.Step{"x:Domain/query": memberStep(ada(), ""), "x:Account/query": memberStep(ada(), ""), "x:Account/set": memberStep(ada(), "")} {
			s := newDomains(t)
			fault.On, fault.Times = on, 1
			s.server.Stage().Fail(fault)
			_, err := s.Apply(t.Context(), step)
			isVerdict(t, name+" on "+on, err, passes)
			s.apply(t, step)
			if found := s.server.Accounts(); len(found) != 1 || found["ada@acme.dezky.test"].Quota != 1<<30 {
				t.Errorf("%s on %s: there is %+v", name, on, found)
			}
		}
	}
}
