package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/store"
)

// asks is the answer to a question, as text.
func (s *scene) asks(who, question string) string {
	s.t.Helper()
	_, answer := s.post(who, document(s.t, question))
	return string(s.hide(answer))
}

// one is the only ID of a kind that an answer has.
func (s *scene) one(kind, answer string) string {
	s.t.Helper()
	id := regexp.MustCompile(`"(` + kind + `_[^"]+)"`).FindStringSubmatch(answer)
	if id == nil {
		s.t.Fatalf("no %s in %s", kind, answer)
	}
	return id[1]
}

// holds is all that is stored of some collections, by its ID.
func (s *scene) holds(collections ...string) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, name := range collections {
		docs, err := s.engine.Find(s.t.Context(), name, store.Query{})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, d := range docs {
			all[string(d.ID)] = string(d.Body)
		}
	}
	return all
}

// stolen has an administrator of globex and, in acme, one thing of each kind.
func stolen(t *testing.T) (s *scene, things map[string]string) {
	s = newScene(t)
	s.played = &coverage{fields: map[string]map[string]bool{}}
	s.seed("partner nordic\ntenant acme of nordic\ntenant globex\noperator olga\nmember anna of acme ADMIN\nmember gerd of globex ADMIN\nmember gus of globex\n")
	bert := s.asks("anna", `mutation { createMember(input: {tenantId: "ten_acme", name: "Bert", mailName: "bert", aliases: ["bb"]}) { member { id address user { id } } oneTimePassword } }`)
	s.settle()
	group := s.asks("anna", `mutation { createGroup(input: {tenantId: "ten_acme", name: "Sales", mailName: "sales"}) { group { id } } }`)
	invitation := s.asks("anna", `mutation { inviteMember(input: {tenantId: "ten_acme", email: "new@x.test"}) { invitation { id } code } }`)
	begun := s.asks("anna", `mutation { importMembers(input: {tenantId: "ten_acme", csv: "name,mailName\nIda,ida\n"}) { import { id } } }`)
	s.settle()
	return s, map[string]string{
		"MEMBER": s.one("mem", bert), "PERSON": s.one("usr", bert), "GROUP": s.one("grp", group),
		"INVITATION": s.one("ivt", invitation), "IMPORT": s.one("imp", begun),
	}
}

// TestAnothersThingsCannotBeTouched names one's own tenant and another's things,
// and then that tenant, in every field about members: the answer is that of what
// does not exist, nothing changes, and nobody outside is called.
func TestAnothersThingsCannotBeTouched(t *testing.T) {
	t.Parallel()
	s, things := stolen(t)
	fill := func(text, tenant string, with map[string]string) string {
		text = strings.ReplaceAll(text, "TENANT", tenant)
		for name, id := range with {
			text = strings.ReplaceAll(text, name, id)
		}
		return text
	}
	nothing := map[string]string{}
	for name, id := range things {
		nothing[name] = id[:4] + "nothing"
	}
	of := []string{"members", "users", "groups", "invitations", "imports", "importChunks", "addresses", "tenants", "provisioning"}
	before, calls := s.holds(of...), s.calls()
	for _, question := range []string{
		`mutation { updateMember(input: {tenantId: "TENANT", memberId: "MEMBER", name: "Mallory", role: ADMIN, aliases: []}) { member { id } userErrors { message } } }`,
		`mutation { suspendMember(input: {tenantId: "TENANT", memberId: "MEMBER"}) { member { id } userErrors { message } } }`,
		`mutation { resumeMember(input: {tenantId: "TENANT", memberId: "MEMBER"}) { member { id } userErrors { message } } }`,
		`mutation { forceLogoutMember(input: {tenantId: "TENANT", memberId: "MEMBER"}) { member { id } userErrors { message } } }`,
		`mutation { resetMemberPassword(input: {tenantId: "TENANT", memberId: "MEMBER"}) { member { id } oneTimePassword userErrors { message } } }`,
		`mutation { reconcileMember(input: {tenantId: "TENANT", memberId: "MEMBER"}) { member { id } userErrors { message } } }`,
		`mutation { removeMember(input: {tenantId: "TENANT", memberId: "MEMBER"}) { member { id } userErrors { message } } }`,
		`mutation { restoreMember(input: {tenantId: "TENANT", memberId: "MEMBER"}) { member { id } userErrors { message } } }`,
		`mutation { createGroup(input: {tenantId: "TENANT", name: "Mine", memberIds: ["MEMBER"]}) { group { id } userErrors { message } } }`,
		`mutation { updateGroup(input: {tenantId: "TENANT", groupId: "GROUP", name: "Mine"}) { group { id } userErrors { message } } }`,
		`mutation { deleteGroup(input: {tenantId: "TENANT", groupId: "GROUP"}) { group { id } userErrors { message } } }`,
		`mutation { resendInvitation(input: {tenantId: "TENANT", invitationId: "INVITATION"}) { invitation { id } code userErrors { message } } }`,
		`mutation { revokeInvitation(input: {tenantId: "TENANT", invitationId: "INVITATION"}) { invitation { id } userErrors { message } } }`,
		`mutation { cancelImport(input: {tenantId: "TENANT", importId: "IMPORT"}) { import { id } userErrors { message } } }`,
		`{ a: node(id: "MEMBER") { id } b: node(id: "PERSON") { id } c: node(id: "GROUP") { id } d: node(id: "INVITATION") { id } e: node(id: "IMPORT") { id } }`,
	} {
		for _, tenant := range []string{"ten_globex", "ten_acme"} {
			theirs := s.asks("gerd", fill(question, tenant, things))
			none := s.asks("gerd", fill(question, tenant, nothing))
			for name, id := range things {
				theirs = strings.ReplaceAll(theirs, id, nothing[name])
			}
			if diff := cmp.Diff(tidy(t, []byte(none)), tidy(t, []byte(theirs))); diff != "" || !strings.Contains(theirs, "NOT_FOUND") {
				t.Errorf("%s (-of nothing +of another's):\n%s\n%s", fill(question, tenant, things), diff, theirs)
			}
		}
	}
	for _, stream := range []string{
		`subscription { memberStatus(tenantId: "TENANT", memberId: "MEMBER") { sequence } }`,
		`subscription { importStatus(tenantId: "TENANT", importId: "IMPORT") { sequence } }`,
	} {
		for _, tenant := range []string{"ten_globex", "ten_acme"} {
			if seen := s.watch("gerd", fill(stream, tenant, things)).read(t, 1); !strings.Contains(seen, "NOT_FOUND") {
				t.Errorf("%s: %s", fill(stream, tenant, things), seen)
			}
		}
	}
	if diff := cmp.Diff(before, s.holds(of...)); diff != "" {
		t.Errorf("something changed:\n%s", diff)
	}
	if n := s.calls() - calls; n != 0 {
		t.Errorf("%d calls outside", n)
	}
}

// TestNamesThatWouldBeAnothers tries names that reach into another tenant, or
// into what the platform names.
func TestNamesThatWouldBeAnothers(t *testing.T) {
	t.Parallel()
	s, things := stolen(t)
	before := s.holds("members", "users", "groups", "addresses")
	var questions []string
	for _, name := range []string{
		"bert@acme.dezky.test", "bert@acme", "bert\u200b", "ｂert", "ber t", "bert+x", "b\\u0435rt", "../bert", "bert%40acme", "postmaster", "Root", "be..rt", ".bert", "bert.", "-bert", "",
		strings.Repeat("a", 65), `bert\r\nRCPT`, "bert,x", "*", "@acme.dezky.test", "\u202etreb",
	} {
		questions = append(
			questions,
			fmt.Sprintf(`mutation { createMember(input: {tenantId: "ten_globex", name: "X", mailName: "%s"}) { member { id address } userErrors { message } } }`, name),
			fmt.Sprintf(`mutation { updateMember(input: {tenantId: "ten_globex", memberId: "mem_gus_globex", aliases: ["%s"]}) { member { id aliases } userErrors { message } } }`, name),
			fmt.Sprintf(`mutation { createGroup(input: {tenantId: "ten_globex", name: "X", mailName: "%s"}) { group { id address } userErrors { message } } }`, name),
		)
	}
	for _, name := range []string{"tenant/acme", "acme/Sales", "a\u200bb", "\u202eselas", "", "a\\nb", `a\"b`, "a,b", "a;b", "a:b", strings.Repeat("x", 61), "-a", "a-", "<a>"} {
		questions = append(questions, fmt.Sprintf(`mutation { createGroup(input: {tenantId: "ten_globex", name: "%s"}) { group { id } userErrors { message } } }`, name))
	}
	for _, question := range questions {
		answer := s.asks("gerd", question)
		if strings.Contains(answer, `"id":`) || !strings.Contains(answer, `"message"`) {
			t.Errorf("%s: %s", question, answer)
		}
	}
	if diff := cmp.Diff(before, s.holds("members", "users", "groups", "addresses")); diff != "" {
		t.Errorf("something changed:\n%s", diff)
	}
	// Names that are fine are the tenant's own, whatever they look like.
	for _, name := range []string{"tenant-acme", "authentik Admins", "dezky-partner-staff", "dezky-platform-admins", "Sales"} {
		answer := s.asks("gerd", fmt.Sprintf(`mutation { createGroup(input: {tenantId: "ten_globex", name: "%s", memberIds: ["mem_gus_globex"]}) { group { id } userErrors { message } } }`, name))
		s.one("grp", answer)
	}
	s.settle()
	me := s.asks("gus", `{ me { isOperator memberships { tenant { slug } } } whoami { groups } }`)
	if strings.Contains(me, "acme") && !strings.Contains(me, "globex") || strings.Contains(me, `"isOperator":true`) || strings.Contains(me, `"tenant-acme"`) ||
		strings.Contains(me, `"authentik Admins"`) || strings.Contains(me, `"dezky-p`) {
		t.Errorf("by the names of groups: %s", me)
	}
	if _, hired := s.holds("members")[things["MEMBER"]]; !hired {
		t.Error("another's member went")
	}
}

// TestAPersonOfTwoTenantsStaysTheirOwn is about the administrator of one of them
// (E-5): the other's use of the person goes on untouched.
func TestAPersonOfTwoTenantsStaysTheirOwn(t *testing.T) {
	t.Parallel()
	s, things := stolen(t)
	s.asks("gerd", `mutation { inviteMember(input: {tenantId: "ten_globex", email: "bert@acme.dezky.test"}) { invitation { id } code } }`)
	s.apps["bert@acme.dezky.test"] = ""
	token, err := s.identity.SignInWithPassword("bert@acme.dezky.test", s.shown["bert@acme.dezky.test"], "dezky-portal")
	if err != nil {
		t.Fatal(err)
	}
	if me := s.bearing(token, `{ me { memberships { id } } }`); strings.Count(me, "mem_") != 1 {
		t.Fatalf("a word was not said: %s", me)
	}
	accepted := s.bearing(token, fmt.Sprintf(`mutation { acceptInvitation(input: {code: %q}) { member { id } userErrors { message } } }`, s.shown["code"]))
	there := s.one("mem", accepted)
	s.settle()
	before := s.holds("members")[things["MEMBER"]]
	was, password := s.holds("users")[things["PERSON"]], s.shown["bert@acme.dezky.test"]
	for _, question := range []string{
		`mutation { updateMember(input: {tenantId: "ten_globex", memberId: "THERE", name: "Mallory"}) { member { id } userErrors { message } } }`,
		`mutation { updateMember(input: {tenantId: "ten_globex", memberId: "THERE", aliases: ["x"]}) { member { id } userErrors { message } } }`,
		`mutation { resetMemberPassword(input: {tenantId: "ten_globex", memberId: "THERE"}) { oneTimePassword userErrors { message } } }`,
		`mutation { reconcileMember(input: {tenantId: "ten_globex", memberId: "THERE"}) { userErrors { message } } }`,
		`mutation { suspendMember(input: {tenantId: "ten_globex", memberId: "THERE"}) { userErrors { message } } }`,
		`mutation { removeMember(input: {tenantId: "ten_globex", memberId: "THERE"}) { userErrors { message } } }`,
		`mutation { restoreMember(input: {tenantId: "ten_globex", memberId: "THERE"}) { userErrors { message } } }`,
		`mutation { removeMember(input: {tenantId: "ten_globex", memberId: "THERE"}) { userErrors { message } } }`,
	} {
		s.asks("gerd", strings.ReplaceAll(question, "THERE", there))
		s.settle()
	}
	if diff := cmp.Diff(before, s.holds("members")[things["MEMBER"]]); diff != "" {
		t.Errorf("the other membership:\n%s", diff)
	}
	if diff := cmp.Diff(was, s.holds("users")[things["PERSON"]]); diff != "" {
		t.Errorf("the person:\n%s", diff)
	}
	s.shown["bert@acme.dezky.test"] = password
	if got := s.access("bert@acme.dezky.test"); got != "sign-in: let in\nmail: let in\nfiles: let in\n" {
		t.Errorf("with the password of before:\n%s", got)
	}
}

// bearing is the answer to whoever holds a token.
func (s *scene) bearing(token, question string) string {
	s.t.Helper()
	req := s.request("nobody", document(s.t, question), "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		s.t.Fatal(err)
	}
	return string(answer)
}

// TestATokenFromBefore is about a token that is still good when its bearer's
// rights are gone, or their tenant is shut (B-5).
func TestATokenFromBefore(t *testing.T) {
	t.Parallel()
	const read = `{ tenant(id: "ten_acme") { slug members { nodes { id } } } }`
	const write = `mutation { createGroup(input: {tenantId: "ten_acme", name: "G"}) { group { id } userErrors { message } } }`
	for name, test := range map[string]struct {
		do          string
		read, write string // what the answers have
		ends        bool   // the running subscription
		reason      string
	}{
		"removed":   {`mutation { removeMember(input: {tenantId: "ten_acme", memberId: "mem_zoe_acme"}) { member { id } } }`, "NOT_FOUND", "NOT_FOUND", true, "the tenant is none of theirs"},
		"suspended": {`mutation { suspendMember(input: {tenantId: "ten_acme", memberId: "mem_zoe_acme"}) { member { id } } }`, "NOT_FOUND", "NOT_FOUND", true, "the same"},
		"demoted":   {`mutation { updateMember(input: {tenantId: "ten_acme", memberId: "mem_zoe_acme", role: MEMBER}) { member { id } } }`, `"slug":"acme"`, "FORBIDDEN", true, "a member reads the directory"},
		"tenant shut": {
			`mutation { suspendTenant(input: {tenantId: "ten_acme"}) { tenant { id } } }`, `"slug":"acme"`, "FORBIDDEN", false,
			"they see that it is, and change nothing",
		},
		"logged out": {`mutation { forceLogoutMember(input: {tenantId: "ten_acme", memberId: "mem_zoe_acme"}) { member { id } } }`, "UNAUTHENTICATED", "UNAUTHENTICATED", true, "tokens from before are good for nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.played = &coverage{fields: map[string]map[string]bool{}}
			s.seed("tenant acme\noperator olga\nmember anna of acme ADMIN\nmember zoe of acme ADMIN\n")
			token, err := s.identity.SignIn("zoe", "dezky-portal")
			if err != nil {
				t.Fatal(err)
			}
			stream := s.watch("zoe", `subscription { memberStatus(tenantId: "ten_acme", memberId: "mem_anna_acme") { sequence } }`)
			stream.read(t, 2)
			if done := s.asks("olga", test.do); strings.Contains(done, "errors\":") {
				t.Fatal(done)
			}
			if got := s.bearing(token, read); !strings.Contains(got, test.read) {
				t.Errorf("reads %s, want %s (%s)", got, test.read, test.reason)
			}
			if got := s.bearing(token, write); !strings.Contains(got, test.write) {
				t.Errorf("writes %s, want %s (%s)", got, test.write, test.reason)
			}
			ended := false
			for late := time.Now().Add(4 * time.Second); !ended && time.Now().Before(late); {
				if s.clock.Advance(100 * time.Millisecond); !test.ends && time.Now().After(late.Add(-3*time.Second)) {
					break
				}
				select {
				case line, more := <-stream.lines:
					ended = !more || strings.HasPrefix(line, "complete")
				case <-time.After(20 * time.Millisecond):
				}
			}
			if ended != test.ends {
				t.Errorf("the subscription ended: %t, want %t (%s)", ended, test.ends, test.reason)
			}
		})
	}
}
