package stalwart

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

// Whoever may manage domains and keys need not be allowed to see tasks, or to
// destroy them: the domain goes all the same. What can pass is tried again.
func TestTasksThatAreNotOurs(t *testing.T) {
	const looking = "x:DkimSignature/query x:Task/query x:Task/get"
	const keys = `["x:DkimSignature/query",{"ids":[]},"keys"]`
	const tasks = `,["error",{"type":"invalidResultReference"},"tasks"]`
	asJSON := map[string]string{"Content-Type": "application/json"}
	for name, tt := range map[string]struct {
		reason, on, answer string
		code               platform.Code
		pass               bool
	}{
		"not to be seen":      {"a failed task does nothing any more", looking, keys + `,["error",{"type":"forbidden"},"failed"]` + tasks, "", false},
		"not to be filtered":  {"a server may know other filters", looking, keys + `,["error",{"type":"unsupportedFilter"},"failed"]` + tasks, "", false},
		"not right now":       {"a lost race passes", looking, keys + `,["error",{"type":"serverUnavailable"},"failed"]` + tasks, platform.Unavailable, true},
		"keys not to be seen": {"a key would stay behind", looking, `["error",{"type":"forbidden"},"keys"]`, platform.Unavailable, false},
		"not to be destroyed": {"it is in nobody's way", "x:Task/set", `["error",{"type":"forbidden"},"destroy"]`, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			handle := s.apply(t, domainStep(platform.PresenceActive, "")) // its keys come after its end, and one task fails
			if tt.on == "x:Task/set" {
				s.set(t, "x:Domain/set", map[string]any{"destroy": []string{handle}})
				s.clock.Advance(second)
			}
			s.server.Stage().Fail(stage.Fault{On: tt.on, Times: 1, Status: http.StatusOK, Header: asJSON, Body: `{"methodResponses":[` + tt.answer + `]}`})
			_, err := s.Apply(t.Context(), domainStep(platform.PresenceGone, handle))
			if (err == nil) != (tt.code == "") || err != nil && (platform.CodeOf(err) != tt.code || platform.CanPass(err) != tt.pass) {
				t.Errorf("%s: %v", tt.reason, err)
			}
			if len(s.server.Domains()) > 0 {
				t.Errorf("there is %+v", s.server.Domains())
			}
		})
	}
}

// A key of another domain is none of this one's, whatever the server lists.
func TestKeysOfAnotherDomain(t *testing.T) {
	s := newStand(t)
	s.server.Stage().Fail(stage.Fault{On: "x:DkimSignature/query", Status: http.StatusOK, Header: map[string]string{"Content-Type": "application/json"},
		Body: `{"methodResponses":[["x:DkimSignature/query",{"ids":[]},"keys"],["x:DkimSignature/get",{"list":[
			{"@type":"Dkim1RsaSha256","domainId":"b","selector":"theirs"},{"@type":"Dkim1RsaSha256","domainId":"c","selector":"ours"}]},"read"]]}`})
	if keys, err := s.DKIMKeys(t.Context(), "c"); err != nil || len(keys) != 1 || keys[0].Selector != "ours" {
		t.Errorf("keys %+v, %v", keys, err)
	}
}

// The ids of calls are words, whatever the domains are called, and differ.
func TestIDsOfCalls(t *testing.T) {
	word, seen := regexp.MustCompile(`^[a-z0-9]+$`), map[string]bool{}
	for n := range maxCalls / 2 {
		for _, c := range new(domains).numbered("xn--gre-6ka8i.müller test", n) {
			if !word.MatchString(c.id) || seen[c.id] {
				t.Errorf("call %q", c.id)
			}
			seen[c.id] = true
		}
	}
}

// heard keeps the bodies of requests.
type heard struct{ bodies []string }

func (h *heard) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	h.bodies = append(h.bodies, string(body))
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	return http.DefaultTransport.RoundTrip(r)
}

// A mailbox that wants nothing is made of nothing but what it needs, and one that
// wants everything in the very shapes that were recorded.
func TestMailboxOnTheWire(t *testing.T) {
	whole := ada()
	whole.Password, whole.Presence = platform.NewSecret(adaPassword), platform.PresenceSuspended
	for name, tt := range map[string]struct {
		reason, want string
		mailbox      platform.MailboxWant
	}{
		"bare": {
			"what is null or empty was never seen at a creation",
			`{"@type":"User","domainId":"b","name":"bob","permissions":{"@type":"Inherit"},"roles":{"@type":"User"}}`,
			platform.MailboxWant{Presence: platform.PresenceActive, Address: "bob@acme.dezky.test"},
		},
		"whole": {
			"lists are objects, and unions name their types",
			`{"@type":"User","aliases":{"0":{"enabled":true,"name":"countess","domainId":"b","description":null},"1":{"enabled":true,"name":"ada","domainId":"c","description":null}},` +
				`"credentials":{"0":{"@type":"Password","secret":"` + adaPassword + `"}},"description":"Ada Lovelace","domainId":"b","name":"ada",` +
				`"permissions":{"@type":"Merge","disabledPermissions":{"authenticate":true,"emailReceive":true,"emailSend":true},"enabledPermissions":{}},` +
				`"quotas":{"maxDiskQuota":1073741824},"roles":{"@type":"User"}}`,
			whole,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, ears := newDomains(t), &heard{}
			listening := New(strings.TrimSuffix(s.url, "/jmap"), platform.NewSecret(adminSecret), ears, s.clock)
			if _, err := listening.Apply(t.Context(), memberStep(tt.mailbox, "")); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf(`["x:Account/set",{"create":{"mailbox":%s}},"make"]`, tt.want)
			if sent := ears.bodies[len(ears.bodies)-1]; !strings.Contains(sent, want) {
				t.Errorf("%s: sent %s, want %s", tt.reason, sent, want)
			}
		})
	}
}

// A mailbox that moves to its own alias moves, also on a server that takes the
// alias for somebody else's.
func TestMoveToOwnAlias(t *testing.T) {
	moved := ada()
	moved.Address, moved.Aliases = "countess@acme.dezky.test", []string{"ada@acme.dezky.test", "ada@acme.test"}
	held := func(id string) stage.Fault {
		return stage.Fault{On: "x:Account/set", Times: 1, Status: http.StatusOK, Header: map[string]string{"Content-Type": "application/json"}, Body: `{"methodResponses":[["x:Account/set",
			{"notUpdated":{"b":{"type":"primaryKeyViolation","properties":["email"],"objectId":{"object":"Account","id":"` + id + `"}}}},"mend"]]}`}
	}
	for name, tt := range map[string]struct {
		reason  string
		fault   *stage.Fault
		changes int
		code    platform.Code
	}{
		"taken":           {"old and new addresses are the same ones", nil, 1, ""},
		"refused":         {"the aliases go first", new(held("b")), 3, ""},
		"somebody else's": {"what is somebody's stays theirs", new(held("z")), 1, platform.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDomains(t)
			handle := s.apply(t, memberStep(ada(), ""))
			if tt.fault != nil {
				s.server.Stage().Fail(*tt.fault)
			}
			var err error
			if n := s.changes(func() { _, err = s.Apply(t.Context(), memberStep(moved, handle)) }); n != tt.changes || (err == nil) != (tt.code == "") {
				t.Fatalf("%s: %d changing calls, %v", tt.reason, n, err)
			}
			if tt.code != "" {
				if platform.CodeOf(err) != tt.code || platform.CanPass(err) {
					t.Errorf("%s: %v", tt.reason, err)
				}
				return
			}
			found := s.server.Accounts()[moved.Address]
			if want := []string{"ada@acme.dezky.test", "ada@acme.test"}; found.ID != handle || fmt.Sprint(found.Aliases) != fmt.Sprint(want) {
				t.Errorf("%s: there is %+v", tt.reason, s.server.Accounts())
			}
			if n := s.changes(func() { s.apply(t, memberStep(moved, handle)) }); n > 0 {
				t.Errorf("applied again: %d changing calls", n)
			}
		})
	}
}
