package stalwart

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/integrations/stalwart/standin"
	"github.com/dezky/platform/platform"
)

func TestDomain(t *testing.T) {
	const ours = "Acme GmbH (ten_acme) (dom_acme)"
	named := func(description string) map[string]any {
		return map[string]any{"name": "acme.test", "description": description}
	}
	for name, tt := range map[string]struct {
		reason   string
		before   map[string]any
		presence platform.Presence
		name     string
		handle   string
		found    string
		changes  int
		code     platform.Code
	}{
		"missing":             {reason: "it is made with both marks", found: ours, changes: 1},
		"suspended":           {reason: "nothing in the server shuts a domain, so it is there", presence: platform.PresenceSuspended, found: ours, changes: 1},
		"unmarked":            {reason: "nobody claims it", before: named("by hand"), found: ours, changes: 1},
		"the tenant's":        {reason: "its tenant's mark alone is no other domain's", before: named("Acme GmbH (ten_acme)"), found: ours, changes: 1},
		"another tenant's":    {reason: "a mark is never painted over", before: named("Globex (ten_globex) (dom_globex)"), found: "Globex (ten_globex) (dom_globex)", code: platform.Conflict},
		"added anew":          {reason: "two domains of ours are two", before: named("Acme GmbH (ten_acme) (dom_other)"), found: "Acme GmbH (ten_acme) (dom_other)", code: platform.Conflict},
		"the platform's":      {reason: "the tenant's step keeps it", name: "acme.dezky.test", before: map[string]any{"name": "acme.dezky.test", "description": "Acme GmbH (ten_acme)"}, code: platform.Conflict},
		"gone":                {reason: "it is ours by its mark", presence: platform.PresenceGone, before: named(ours), changes: 2},
		"gone, unmarked":      {reason: "it is nobody's that we know", presence: platform.PresenceGone, before: named("by hand"), found: "by hand"},
		"gone, known":         {reason: "it is ours by its handle", presence: platform.PresenceGone, handle: "b", before: named("by hand"), changes: 2},
		"gone, renamed":       {reason: "it is ours by its handle, whatever it is called by now", presence: platform.PresenceGone, handle: "b", before: map[string]any{"name": "renamed.test", "description": ours}, changes: 2},
		"gone, another's":     {reason: "another domain has the name and perhaps even the handle by now", presence: platform.PresenceGone, handle: "b", before: named("Acme GmbH (ten_acme) (dom_other)"), found: "Acme GmbH (ten_acme) (dom_other)"},
		"gone, not there":     {reason: "as wanted", presence: platform.PresenceGone, handle: "zz"},
		"gone, never there":   {reason: "as wanted", presence: platform.PresenceGone},
		"a removal given up":  {reason: "its keys are to be made after all", before: map[string]any{"name": "acme.test", "description": ours, "dkimManagement": map[string]any{"@type": "Manual"}}, found: ours, changes: 1},
		"a tenant's new name": {reason: "the description follows", before: named("Acme Inc. (ten_acme) (dom_acme)"), found: ours, changes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			if tt.before != nil {
				s.make(t, tt.before)
			}
			step := domainStep(tt.presence, tt.handle)
			if tt.name != "" {
				step.Want.Domain.Name = tt.name
			}
			var handle string
			var err error
			if n := s.changes(func() { handle, err = s.Apply(t.Context(), step) }); n != tt.changes {
				t.Errorf("%s: %d changing calls, want %d", tt.reason, n, tt.changes)
			}
			if tt.code == "" && err != nil || tt.code != "" && (platform.CodeOf(err) != tt.code || platform.CanPass(err)) {
				t.Errorf("%s: %v", tt.reason, err)
			}
			isSentence(t, err)
			found, there := s.server.Domains()["acme.test"]
			if found.Description != tt.found || there != (tt.found != "") {
				t.Errorf("%s: there is %+v", tt.reason, s.server.Domains())
			}
			if err != nil {
				return
			}
			step.Handle = handle
			if n := s.changes(func() { s.apply(t, step) }); n > 0 {
				t.Errorf("applied again: %d changing calls", n)
			}
		})
	}
}

// A domain that makes its own keys again makes them, and one with keys made by
// hand is left alone.
func TestKeysAfterARemovalThatWasGivenUp(t *testing.T) {
	s := newDomains(t)
	s.set(t, "x:Domain/set", map[string]any{"update": map[string]any{"c": map[string]any{"dkimManagement": map[string]any{"@type": "Manual"}}}})
	if n := s.changes(func() { s.apply(t, domainStep(platform.PresenceActive, "c")) }); n > 0 {
		t.Errorf("%d changing calls on a domain that has keys", n)
	}
	keys, err := s.keyIDs(t.Context(), "c")
	if err == nil {
		err = s.destroyKeys(t.Context(), keys)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.apply(t, domainStep(platform.PresenceActive, "c"))
	s.clock.Advance(second)
	if found := s.server.Domains()["acme.test"].Keys; found != 2 {
		t.Errorf("there are %d keys", found)
	}
}

func TestDomainInUse(t *testing.T) {
	for name, tt := range map[string]struct {
		reason  string
		method  string
		before  map[string]any
		message string
		cause   string
	}{
		"mailbox": {
			"it would lose its address", "x:Account/set", map[string]any{"@type": "User", "name": "ada", "domainId": "c"},
			"The mail domain acme.test is still used by one mailbox or group.", "account b ada@acme.test",
		},
		"group": {
			"it would lose its address", "x:Account/set", map[string]any{"@type": "Group", "name": "staff", "domainId": "c"},
			"The mail domain acme.test is still used by one mailbox or group.", "account b staff@acme.test",
		},
		"alias": {
			"mails to it are somebody's", "x:Account/set",
			map[string]any{"@type": "User", "name": "ada", "domainId": "b", "aliases": map[string]any{"0": map[string]any{"name": "ada", "domainId": "c"}}},
			"The mail domain acme.test is still used by one mailbox or group.", "account b ada@acme.dezky.test",
		},
		"list": {
			"it would lose its address", "x:MailingList/set", map[string]any{"name": "team", "domainId": "c"},
			"The mail domain acme.test is still used by one mailing list.", "list b team@acme.test",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDomains(t)
			s.set(t, tt.method, map[string]any{"create": map[string]any{"a": tt.before}})
			_, err := s.Apply(t.Context(), domainStep(platform.PresenceGone, "c"))
			if platform.CodeOf(err) != platform.Conflict || platform.CanPass(err) || platform.MessageOf(err) != tt.message || !strings.Contains(err.Error(), tt.cause) {
				t.Errorf("%s: %v", tt.reason, err)
			}
			if found := s.server.Domains()["acme.test"]; found.Keys != 2 {
				t.Errorf("%s: there is %+v", tt.reason, found)
			}
			s.set(t, tt.method, map[string]any{"destroy": []string{"b"}})
			s.apply(t, domainStep(platform.PresenceGone, "c"))
			if len(s.server.Domains()) != 1 {
				t.Errorf("tried again: there is %+v", s.server.Domains())
			}
		})
	}
}

func TestDefaultDomainStays(t *testing.T) {
	s := newDomains(t)
	s.set(t, "x:SystemSettings/set", map[string]any{"update": map[string]any{"singleton": map[string]any{"defaultDomainId": "c"}}})
	_, err := s.Apply(t.Context(), domainStep(platform.PresenceGone, "c"))
	if platform.CodeOf(err) != platform.Conflict || platform.CanPass(err) || !strings.Contains(platform.MessageOf(err), "default") {
		t.Error(err)
	}
}

// Keys that the server makes while their domain goes are found by the next
// look, with the failed task that tells of them, and nothing is left.
func TestKeysThatComeLate(t *testing.T) {
	for name, wait := range map[string]time.Duration{"before the first": 0, "between the two": 10 * time.Millisecond, "after both": second} {
		t.Run(name, func(t *testing.T) {
			s := newStandWith(t, standin.Options{StubbornKeys: true})
			handle := s.apply(t, domainStep(platform.PresenceActive, ""))
			s.clock.Advance(wait)
			if removed := s.apply(t, domainStep(platform.PresenceGone, handle)); removed != handle {
				t.Errorf("removed %q", removed)
			}
			s.clock.Advance(30 * second)
			if keys, tasks := s.server.Orphans(); (keys == 1 && tasks == 1) != (wait == 0) {
				t.Errorf("%d keys and %d tasks came late", keys, tasks)
			}
			s.apply(t, domainStep(platform.PresenceGone, handle))
			want := seen{Domains: map[string]standin.Domain{}, Accounts: map[string]standin.Account{}, Lists: map[string]standin.List{}}
			if found := s.look(); !cmp.Equal(found, want) {
				t.Error(cmp.Diff(want, found))
			}
			if n := s.changes(func() { s.apply(t, domainStep(platform.PresenceGone, handle)) }); n > 0 {
				t.Errorf("looked again: %d changing calls", n)
			}
		})
	}
}

// A key of a domain that somebody destroyed at once by hand stays behind, and
// goes with the next removal that knows its handle.
func TestOrphansGo(t *testing.T) {
	s := newDomains(t)
	s.make(t, map[string]any{"name": "flash.test"})
	s.set(t, "x:Domain/set", map[string]any{"destroy": []string{"d"}})
	s.clock.Advance(second)
	if keys, tasks := s.server.Orphans(); keys != 1 || tasks != 1 {
		t.Fatalf("%d keys and %d tasks are left", keys, tasks)
	}
	step := domainStep(platform.PresenceGone, "d")
	step.Want.Domain.Name = "flash.test"
	s.apply(t, step)
	if keys, tasks := s.server.Orphans(); keys != 0 || tasks != 0 || s.server.Domains()["acme.test"].Keys != 2 {
		t.Errorf("%d keys and %d tasks are left, and others are %+v", keys, tasks, s.server.Domains())
	}
}

// A server that goes on making keys is given up for now, and another refusal for
// good.
func TestDomainIsNotLetGo(t *testing.T) {
	linked := `{"type":"objectIsLinked","objectId":{"object":"Domain","id":"c"},"linkedObjects":[{"object":"DkimSignature","id":"zz"}]}`
	for name, tt := range map[string]struct {
		reason, answer string
		verdict        bool
	}{
		"keys without end": {"it has to stop some time", `{"notDestroyed":{"c":` + linked + `}}`, passes},
		"dropped":          {"ids that it cannot read are left out without a word", `{}`, passes},
		"forbidden":        {"rights do not grow by waiting", `{"notDestroyed":{"c":{"type":"forbidden"}}}`, never},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDomains(t)
			s.set(t, "x:Domain/set", map[string]any{"update": map[string]any{"c": map[string]any{"dkimManagement": map[string]any{"@type": "Manual"}}}})
			s.server.Stage().Fail(stage.Fault{On: "x:Domain/set", Status: http.StatusOK, Header: map[string]string{"Content-Type": "application/json"},
				Body: `{"methodResponses":[["x:Domain/set",` + tt.answer + `,"destroy"]]}`})
			_, err := s.Apply(t.Context(), domainStep(platform.PresenceGone, "c"))
			isVerdict(t, tt.reason, err, tt.verdict)
		})
	}
}

func TestActs(t *testing.T) {
	s := newDomains(t)
	ctx := t.Context()
	w := ada()
	handle := s.apply(t, memberStep(w, ""))
	unlimited := platform.MailboxWant{Presence: platform.PresenceActive, Address: "bob@acme.test"}
	bob := s.apply(t, memberStep(unlimited, ""))
	if err := s.server.Deliver(w.Address, 1234); err != nil {
		t.Fatal(err)
	}
	use, err := s.MailUse(ctx, []string{handle, "zz", "", bob, handle, "!"})
	if want := map[string]platform.Use{handle: {UsedBytes: 1234, QuotaBytes: 1 << 30}, bob: {}}; err != nil || !cmp.Equal(use, want) {
		t.Errorf("use %v, %v", use, err)
	}
	if use, err := s.MailUse(ctx, nil); err != nil || len(use) > 0 {
		t.Errorf("the use of nothing is %v, %v", use, err)
	}
	many := make([]string, 1200)
	for i := range many {
		many[i] = fmt.Sprintf("z%d", i)
	}
	before := len(s.server.Stage().Calls())
	if _, err := s.MailUse(ctx, many); err != nil || len(s.server.Stage().Calls())-before != 3 {
		t.Errorf("1200 mailboxes take %d calls, %v", len(s.server.Stage().Calls())-before, err)
	}
	if err := s.Probe(ctx); err != nil {
		t.Error(err)
	}
	s.set(t, "x:Imap/set", map[string]any{"update": map[string]any{"singleton": map[string]any{"timeoutIdle": 3_600_000}}})
	if longest, err := s.LongestConnection(ctx); err != nil || longest != time.Hour {
		t.Errorf("the longest connection is %v, %v", longest, err)
	}

	zone, err := s.Zone(ctx, "c")
	if err != nil || !strings.Contains(zone, "acme.test. IN MX 10 mail.dezky.test.\n") {
		t.Errorf("zone %q, %v", zone, err)
	}
	for _, unknown := range []string{"", "zz"} {
		if _, err := s.Zone(ctx, unknown); platform.CodeOf(err) != platform.NotFound {
			t.Errorf("the zone of %q: %v", unknown, err)
		}
	}
	keys, err := s.DKIMKeys(ctx, "c")
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	for i, want := range []platform.DKIMKey{
		{Selector: "v1-ed25519-20261123", Algorithm: "ed25519", Stage: platform.DKIMStageActive},
		{Selector: "v1-rsa-20261123", Algorithm: "rsa", Stage: platform.DKIMStageActive},
	} {
		if !strings.Contains(strings.NewReplacer("\"\n    \"", "").Replace(zone), "p="+keys[i].PublicKey+`"`) {
			t.Errorf("the zone lacks %s", keys[i].PublicKey)
		}
		keys[i].PublicKey = ""
		if keys[i] != want {
			t.Errorf("key %+v", keys[i])
		}
	}
	if keys, err := s.DKIMKeys(ctx, "zz"); err != nil || len(keys) > 0 {
		t.Errorf("keys %v, %v", keys, err)
	}
}

func TestLongestConnectionIsNotGuessed(t *testing.T) {
	for name, answer := range map[string]string{
		"not there":   `["x:Imap/get",{"list":[],"notFound":["singleton"]},"limits"]`,
		"half of it":  `["x:Imap/get",{"list":[{"timeoutIdle":1800000}]},"limits"]`,
		"other units": `["x:Imap/get",{"list":[{"timeoutIdle":"30m","timeoutAuthenticated":"30m"}]},"limits"]`,
		"forbidden":   `["error",{"type":"forbidden"},"limits"]`,
	} {
		s := newStand(t)
		s.server.Stage().Fail(stage.Fault{Status: http.StatusOK, Header: map[string]string{"Content-Type": "application/json"}, Body: `{"methodResponses":[` + answer + `]}`})
		if longest, err := s.LongestConnection(t.Context()); platform.CodeOf(err) != platform.Unavailable || longest != 0 {
			t.Errorf("%s: %v, %v", name, longest, err)
		}
	}
}

func TestProbeFails(t *testing.T) {
	s := newStand(t)
	for _, status := range []int{401, 403, 503} {
		s.server.Stage().Fail(stage.Fault{Status: status, Times: 1})
		if err := s.Probe(t.Context()); platform.CanPass(err) != (status == 503) || err == nil {
			t.Errorf("%d: %v", status, err)
		}
	}
	s.server.Stage().Fail(stage.Fault{Status: 200, Header: map[string]string{"Content-Type": "application/json"}, Times: 1,
		Body: `{"methodResponses":[["error",{"type":"forbidden","description":"The server is in bootstrap mode."},"probe"]]}`})
	if err := s.Probe(t.Context()); err == nil {
		t.Error("a server that was not set up is usable")
	}
}

func TestUsesOf(t *testing.T) {
	s := newDomains(t)
	if uses, err := s.UsesOf(t.Context(), "c", "acme.test"); err != nil || len(uses.Uses) > 0 || uses.More {
		t.Errorf("nothing uses it, but %+v, %v", uses, err)
	}
	s.set(t, "x:Account/set", map[string]any{"create": map[string]any{
		"a": map[string]any{"@type": "User", "name": "ada", "domainId": "c"},
		"b": map[string]any{"@type": "Group", "name": "staff", "domainId": "c"},
		"c": map[string]any{"@type": "User", "name": "bob", "domainId": "b", "aliases": map[string]any{
			"0": map[string]any{"name": "info", "domainId": "c"}, "1": map[string]any{"name": "bobby", "domainId": "b"},
		}},
	}})
	s.set(t, "x:MailingList/set", map[string]any{"create": map[string]any{
		"a": map[string]any{"name": "team", "domainId": "c"},
		"b": map[string]any{"name": "all", "domainId": "b", "aliases": map[string]any{"0": map[string]any{"name": "everyone", "domainId": "c"}}},
	}})
	uses, err := s.UsesOf(t.Context(), "c", "acme.test")
	want := platform.MailDomainUses{Uses: []platform.MailDomainUse{
		{Kind: platform.MailDomainUseMailbox, Address: "ada@acme.test", Handle: "b"},
		{Kind: platform.MailDomainUseGroup, Address: "staff@acme.test", Handle: "c"},
		{Kind: platform.MailDomainUseList, Address: "team@acme.test", Handle: "b"},
		{Kind: platform.MailDomainUseAlias, Address: "everyone@acme.test", Of: "all@acme.dezky.test", Handle: "c"},
		{Kind: platform.MailDomainUseAlias, Address: "info@acme.test", Of: "bob@acme.dezky.test", Handle: "d"},
	}}
	if err != nil || !cmp.Equal(uses, want) {
		t.Errorf("%v: %s", err, cmp.Diff(want, uses))
	}
	create := map[string]any{}
	for i := range mostUses {
		create[fmt.Sprintf("a%03d", i)] = map[string]any{"@type": "User", "name": fmt.Sprintf("user%d", i), "domainId": "c"}
	}
	s.set(t, "x:Account/set", map[string]any{"create": create})
	if uses, err := s.UsesOf(t.Context(), "c", "acme.test"); err != nil || len(uses.Uses) != mostUses || !uses.More {
		t.Errorf("%d uses, more: %v, %v", len(uses.Uses), uses.More, err)
	}
}
