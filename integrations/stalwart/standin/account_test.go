package standin

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

// people puts ada (b), the group staff (c) and the list team (b) into the domain
// b.test.
const people = `["x:Account/set",{"create":{
		"1":{"@type":"User","name":"Ada","domainId":"b","description":"Ada Lovelace","aliases":{"0":{"name":"info","domainId":"b"},"9":{"name":"sales","domainId":"c"}},
			"credentials":{"0":{"@type":"Password","secret":"an unlikely phrase"}}},
		"2":{"@type":"Group","name":"staff","domainId":"b"}}},"a"],
	["x:MailingList/set",{"create":{"1":{"name":"team","domainId":"b","recipients":{"x/y@z.test":true}}}},"b"]`

// Beside what was recorded, the manual's traps of accounts, lists, tasks and
// settings.
func TestAccountTraps(t *testing.T) {
	refused := func(kind, what, id, reason string) string {
		return `[["x:` + kind + `/set",{"accountId":"d333333","` + what + `":{"` + id + `":` + reason + `}},"0"]]`
	}
	done := func(kind string) string {
		return `["x:` + kind + `/set",{"accountId":"d333333","updated":{"b":null}},"0"]`
	}
	read := func(kind, object string) string {
		return `["x:` + kind + `/get",{"accountId":"d333333","list":[` + object + `],"notFound":[]},"1"]`
	}
	for name, tt := range map[string]struct{ reason, calls, want string }{
		"aliases as an array": {
			"lists are objects", `["x:Account/set",{"create":{"n":{"@type":"User","name":"n","domainId":"b","aliases":[]}}},"0"]`,
			refused("Account", "notCreated", "n", `{"type":"invalidPatch","description":"Invalid value for object property","properties":["aliases"]}`),
		},
		"a bad alias": {
			"its index is not said", `["x:Account/set",{"create":{"n":{"@type":"User","name":"n","domainId":"b","aliases":{"0":{"name":".x","domainId":"b"}}}}},"0"]`,
			refused("Account", "notCreated", "n", `{"type":"invalidPatch","description":"Invalid email local part","properties":["aliases/name"]}`),
		},
		"an alias in no domain": {
			"what is referred to must be there", `["x:Account/set",{"update":{"b":{"aliases/7":{"name":"x","domainId":"zz"}}}},"0"]`,
			refused("Account", "notUpdated", "b", `{"type":"invalidForeignKey","objectId":{"object":"Domain","id":"zz"}}`),
		},
		"aliases by path": {
			"they are numbered anew, in their order",
			`["x:Account/set",{"update":{"b":{"aliases/0":null,"aliases/20":{"name":"Z","domainId":"b","enabled":false},"aliases/3":{"name":"y","domainId":"b"}}}},"0"],
				["x:Account/get",{"ids":["b"],"properties":["aliases"]},"1"]`,
			`[` + done("Account") + `,` + read("Account", `{"id":"b","aliases":{
				"0":{"enabled":true,"name":"sales","domainId":"c","description":null},
				"1":{"enabled":true,"name":"y","domainId":"b","description":null},
				"2":{"enabled":false,"name":"z","domainId":"b","description":null}}}`) + `]`,
		},
		"a path to no alias": {
			"there is no element to go into", `["x:Account/set",{"update":{"b":{"aliases/7/name":"x"}}},"0"]`,
			refused("Account", "notUpdated", "b", `{"type":"invalidPatch","description":"Invalid JSON Pointer path","properties":["aliases/7/name"]}`),
		},
		"a list at an account's alias": {
			"all addresses share one space", `["x:MailingList/set",{"create":{"n":{"name":"info","domainId":"b"}}},"0"]`,
			refused("MailingList", "notCreated", "n", `{"type":"primaryKeyViolation","properties":["email"],"objectId":{"object":"Account","id":"b"}}`),
		},
		"an account at a list": {
			"and the holder is named", `["x:Account/set",{"update":{"b":{"name":"team"}}},"0"]`,
			refused("Account", "notUpdated", "b", `{"type":"primaryKeyViolation","properties":["email"],"objectId":{"object":"MailingList","id":"b"}}`),
		},
		"an address that is free again": {
			"with the account its aliases go", `["x:Account/set",{"destroy":["b"]},"0"],["x:MailingList/set",{"create":{"n":{"name":"info","domainId":"b"}}},"1"]`,
			`[["x:Account/set",{"accountId":"d333333","destroyed":["b"]},"0"],["x:MailingList/set",{"accountId":"d333333","created":{"n":{"id":"c"}}},"1"]]`,
		},
		"another type": {
			"is for ever", `["x:Account/set",{"update":{"b":{"@type":"Group"}}},"0"]`,
			refused("Account", "notUpdated", "b", `{"type":"invalidProperties","description":"The type of an account cannot be changed.","properties":["@type"]}`),
		},
		"a property of the other type": {
			"is none of this one", `["x:Account/set",{"update":{"c":{"credentials":{}}}},"0"]`,
			refused("Account", "notUpdated", "c", `{"type":"invalidPatch","description":"Invalid property","properties":["credentials"]}`),
		},
		"a member of no group": {
			"only groups have members", `["x:Account/set",{"update":{"b":{"memberGroupIds/b":true}}},"0"]`,
			refused("Account", "notUpdated", "b", `{"type":"invalidForeignKey","objectId":{"object":"Account","id":"b"}}`),
		},
		"a member of a group of this request": {
			"keys of sets are references too",
			`["x:Account/set",{"create":{"g":{"@type":"Group","name":"g","domainId":"b"}}},"0"],["x:Account/set",{"create":{"n":{"@type":"User","name":"n","domainId":"b","memberGroupIds":{"#g":true}}}},"0"],
				["x:Account/query",{"filter":{"memberGroupIds":"d"}},"1"]`,
			`[["x:Account/set",{"accountId":"d333333","created":{"g":{"id":"d"}}},"0"],["x:Account/set",{"accountId":"d333333","created":{"n":{"id":"e"}}},"0"],
				["x:Account/query",{"accountId":"d333333","queryState":"n","canCalculateChanges":true,"position":0,"ids":["e"]},"1"]]`,
		},
		"quota by path": {
			"null takes it away", `["x:Account/set",{"update":{"b":{"quotas/maxDiskQuota":5,"quotas/maxEmails":7}}},"0"],["x:Account/set",{"update":{"b":{"quotas/maxDiskQuota":null}}},"0"],
				["x:Account/get",{"ids":["b"],"properties":["quotas"]},"1"]`,
			`[` + done("Account") + `,` + done("Account") + `,` + read("Account", `{"id":"b","quotas":{"maxEmails":7}}`) + `]`,
		},
		"quota that nobody knows": {
			"keys are known ones", `["x:Account/set",{"update":{"b":{"quotas/nope":5}}},"0"]`,
			refused("Account", "notUpdated", "b", `{"type":"invalidPatch","description":"Invalid key for object property","properties":["quotas/nope"]}`),
		},
		"permissions of another type by path": {
			"only the present variant has paths", `["x:Account/set",{"update":{"b":{"permissions/disabledPermissions/authenticate":true}}},"0"]`,
			refused("Account", "notUpdated", "b", `{"type":"invalidPatch","description":"Invalid JSON Pointer path","properties":["permissions/disabledPermissions/authenticate"]}`),
		},
		"permissions by path": {
			"go two steps down",
			`["x:Account/set",{"update":{"b":{"permissions":{"@type":"Merge"}}}},"0"],["x:Account/set",{"update":{"b":{"permissions/disabledPermissions/authenticate":true}}},"0"],
				["x:Account/get",{"ids":["b"],"properties":["permissions"]},"1"]`,
			`[` + done("Account") + `,` + done("Account") + `,` +
				read("Account", `{"id":"b","permissions":{"@type":"Merge","enabledPermissions":{},"disabledPermissions":{"authenticate":true}}}`) + `]`,
		},
		"two passwords": {
			"one is the most", `["x:Account/set",{"update":{"b":{"credentials/1":{"@type":"Password","secret":"an unlikely phrase"}}}},"0"]`,
			refused("Account", "notUpdated", "b", `{"type":"invalidProperties","description":"Only one password credential is allowed.","properties":["credentials"]}`),
		},
		"an app password by hand": {
			"the server makes them", `["x:Account/set",{"update":{"b":{"credentials/1":{"@type":"AppPassword","secret":"an unlikely phrase"}}}},"0"]`,
			refused("Account", "notUpdated", "b", `{"type":"invalidProperties","description":"Secondary credentials cannot be set directly.","properties":["credentials"]}`),
		},
		"129 characters": {
			"128 are the most", `["x:Account/set",{"update":{"b":{"credentials/0/secret":"` + strings.Repeat("xyz", 43) + `"}}},"0"]`,
			refused("Account", "notUpdated", "b", `{"type":"invalidProperties","description":"Password must be at most 128 characters long.","properties":["secret"]}`),
		},
		"a new list of credentials": {
			"drops the old password, and numbers go on", `["x:Account/set",{"update":{"b":{"credentials":{"0":{"@type":"Password","secret":"$2y$10$hash"}}}}},"0"],
				["x:Account/get",{"ids":["b"],"properties":["credentials"]},"1"]`,
			`[` + done("Account") + `,` + read("Account", `{"id":"b","credentials":{"0":{"@type":"Password","credentialId":"b","secret":"****","expiresAt":null,"allowedIps":{}}}}`) + `]`,
		},
		"recipients by path": {
			"a slash is ~1", `["x:MailingList/set",{"update":{"b":{"recipients/x~1y@z.test":null,"recipients/Q@z.test":true}}},"0"],["x:MailingList/get",{"ids":["b"],"properties":["recipients"]},"1"]`,
			`[` + done("MailingList") + `,` + read("MailingList", `{"id":"b","recipients":{"Q@z.test":true}}`) + `]`,
		},
		"a domain with an alias in it": {
			"an alias holds as an address does", `["x:Domain/set",{"destroy":["c"]},"0"]`,
			refused("Domain", "notDestroyed", "c", `{"type":"objectIsLinked","objectId":{"object":"Domain","id":"c"},"linkedObjects":[{"object":"Account","id":"b"}]}`),
		},
		"a singleton": {
			"is never destroyed", `["x:Imap/set",{"destroy":["singleton"]},"0"]`,
			refused("Imap", "notDestroyed", "singleton", `{"type":"singleton"}`),
		},
		"a query for a singleton": {"there is none", `["x:Imap/query",{},"0"]`, `[["error",{"type":"unknownMethod","description":"x:Imap/query"},"0"]]`},
		"tasks in another order": {
			"they have one only", `["x:Task/query",{"sort":[{"property":"id"}]},"0"]`,
			`[["error",{"type":"unsupportedSort","description":"Only sorting by 'due' is supported for tasks"},"0"]]`,
		},
		"lists by name": {
			"lists have no filter by address", `["x:MailingList/query",{"filter":{"name":"team"}},"0"]`,
			`[["error",{"type":"unsupportedFilter","description":"Filter on property name is not supported or invalid"},"0"]]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := stand(t)
			call(t, s, people)
			var want []any
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatalf("%s: %v", tt.want, err)
			}
			if found := call(t, s, tt.calls); !cmp.Equal(found, want) {
				t.Errorf("%s: %s", tt.reason, cmp.Diff(want, found))
			}
		})
	}
}

// A connection sees an account as it was when it signed in, and nothing but its
// own end or silence ends it.
func TestConnection(t *testing.T) {
	s, clock := stand(t)
	call(t, s, people)
	const secret = "an unlikely phrase"
	for name, wrong := range map[string][2]string{
		"password": {"ada@b.test", "nonsense"}, "address": {"bob@b.test", secret}, "list": {"team@b.test", secret}, "group": {"staff@b.test", secret},
	} {
		if _, err := s.Login(wrong[0], wrong[1]); !errors.Is(err, ErrRefused) {
			t.Errorf("wrong %s: %v", name, err)
		}
	}
	open := func() *Connection {
		t.Helper()
		c, err := s.Login("Sales@c.test", secret)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	closed, silent, busy := open(), open(), open()
	closed.Close()
	if err := s.Deliver("info@b.test", 10); err != nil {
		t.Error(err)
	}
	call(t, s, `["x:Account/set",{"update":{"b":{"credentials/0/secret":"another unlikely phrase","permissions":{"@type":"Replace"}}}},"0"]`)
	if _, err := s.Login("ada@b.test", "another unlikely phrase"); !errors.Is(err, ErrClosed) {
		t.Errorf("a frozen account: %v", err)
	}
	if err := s.Deliver("ada@b.test", 10); !errors.Is(err, ErrUndelivered) {
		t.Errorf("a mail to a frozen account: %v", err)
	}
	for range 3 {
		clock.Advance(20 * time.Minute)
		if used, err := busy.Read(); err != nil || used != 10 {
			t.Errorf("an open connection sees %d, %v", used, err)
		}
	}
	call(t, s, `["x:Account/set",{"destroy":["b"]},"0"]`)
	if used, err := busy.Read(); err != nil || used != 0 {
		t.Errorf("without its account a connection sees %d, %v", used, err)
	}
	for name, c := range map[string]*Connection{"closed": closed, "silent": silent} {
		if _, err := c.Read(); !errors.Is(err, ErrClosed) {
			t.Errorf("a %s connection: %v", name, err)
		}
	}
}

// What was there is there after a restart, and the file of a server that knew
// domains alone can be read.
func TestStateOutlivesTheServer(t *testing.T) {
	clock := clocktest.New(time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC))
	o := Options{Admin: platform.NewSecret("admin:secret"), Clock: clock, File: filepath.Join(t.TempDir(), "stalwart.json")}
	old := `{"LastDomain":2,"LastKey":7,"Objects":{"Domain":{"1":{"name":"b.test","aliases":{},"description":null},"2":{"name":"c.test","aliases":{},"description":null}},"DkimSignature":{}},"Pending":null}`
	if err := os.WriteFile(o.File, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() *Server {
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start()
	call(t, s, people)
	call(t, s, `["x:AppPassword/set",{"accountId":"b","create":{"p":{"description":"phone"}}},"0"],["x:Account/set",{"update":{"b":{"quotas/maxDiskQuota":100}}},"1"]`)
	if err := s.Deliver("ada@b.test", 60); err != nil {
		t.Fatal(err)
	}
	again := start()
	if !cmp.Equal(s.Accounts(), again.Accounts()) || !cmp.Equal(s.Lists(), again.Lists()) || !cmp.Equal(s.Domains(), again.Domains()) {
		t.Errorf("%+v %+v", again.Accounts(), again.Lists())
	}
	if _, err := again.Login("ada@b.test", "an unlikely phrase"); err != nil {
		t.Error(err)
	}
	if err := again.Deliver("ada@b.test", 60); !errors.Is(err, ErrUndelivered) {
		t.Errorf("a mail over the quota: %v", err)
	}
	found := call(t, again, `["x:Account/set",{"create":{"n":{"@type":"User","name":"info","domainId":"b"},"m":{"@type":"User","name":"m","domainId":"b"}}},"0"]`)
	var want []any
	if err := json.Unmarshal([]byte(`[["x:Account/set",{"accountId":"d333333","created":{"m":{"id":"d"}},
		"notCreated":{"n":{"type":"primaryKeyViolation","properties":["email"],"objectId":{"object":"Account","id":"b"}}}},"0"]]`), &want); err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(found, want) {
		t.Error(cmp.Diff(want, found))
	}
	file, err := os.ReadFile(o.File)
	if err != nil || strings.Contains(string(file), "an unlikely phrase") {
		t.Errorf("the file holds a password as it is, %v", err)
	}
}
