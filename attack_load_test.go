package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// crowd is acme with so many members, and one group with all of them.
func crowd(t *testing.T, n int) *scene {
	s := newScene(t)
	s.seed("tenant acme\noperator olga\nmember anna of acme ADMIN\n")
	s.asks("olga", fmt.Sprintf(`mutation { updateTenant(input: {tenantId: "ten_acme", seats: %d}) { tenant { id } } }`, n+1))
	csv := "name,mailName\\n"
	for i := range n {
		csv += fmt.Sprintf("Person %d,p%d\\n", i, i)
	}
	s.asks("anna", `mutation { importMembers(input: {tenantId: "ten_acme", csv: "`+csv+`"}) { import { id } } }`)
	s.settle()
	var ids []string
	for id, body := range s.holds("members") {
		if !strings.Contains(body, `"usr_anna"`) {
			ids = append(ids, fmt.Sprintf("%q", id))
		}
	}
	if len(ids) != n {
		t.Fatalf("%d members, want %d", len(ids), n)
	}
	s.one("grp", s.asks("anna", fmt.Sprintf("mutation($of: [ID!]) { createGroup(input: {tenantId: \"ten_acme\", name: \"All\", memberIds: $of}) { group { id } } }\nvariables: {\"of\": [%s]}\n", strings.Join(ids, ","))))
	s.settle()
	return s
}

// TestOneQuestionCausesFewCallsOutside asks for what is read live of as many
// people as one document can name.
func TestOneQuestionCausesFewCallsOutside(t *testing.T) {
	t.Parallel()
	s := crowd(t, 230)
	var members strings.Builder
	for id := range s.holds("members") {
		if n := strings.Count(members.String(), "node"); n < 70 {
			fmt.Fprintf(&members, "a%d: node(id: %q) { ... on Member { authenticators storage { files { usedBytes } } } } ", n, id)
		}
	}
	for name, test := range map[string]struct {
		question string
		most     int
		known    int
	}{
		"many by their names": {"{" + members.String() + "}", 400, -1},
		"a page of members":   {`{ tenant(id: "ten_acme") { members(first: 100) { nodes { authenticators } } } }`, 200, 100},
		"a group of all":      {`{ groups(tenantId: "ten_acme", first: 1) { nodes { members { authenticators } } } }`, 400, 200},
		"the same in many places": {
			`{ groups(tenantId: "ten_acme", first: 1) { nodes { members { authenticators } } }
			a: groups(tenantId: "ten_acme", first: 1) { nodes { members { authenticators } } }
			b: tenant(id: "ten_acme") { members(first: 100) { nodes { authenticators } } } }`, 400, -1,
		},
		"their storage": {`{ groups(tenantId: "ten_acme", first: 1) { nodes { members { storage { files { usedBytes } mail { usedBytes } } } } } }`, 10, -1},
	} {
		before := s.calls()
		answer := s.asks("anna", test.question)
		calls := s.calls() - before
		if strings.Contains(answer, `"errors"`) || calls > test.most || calls == 0 {
			t.Errorf("%s: %d calls outside, want at most %d: %.300s", name, calls, test.most, answer)
		}
		if n := strings.Count(answer, `"authenticators":0`); test.known >= 0 && n != test.known {
			t.Errorf("%s: %d known, want %d", name, n, test.known)
		}
		t.Logf("%s: %d calls", name, calls)
	}
}

// TestManyImportsInOneDocument is about a document that begins as many imports as
// it has aliases, all of the same rows.
func TestManyImportsInOneDocument(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.seed("tenant acme\nmember anna of acme ADMIN\n")
	ask := func(n int) string {
		var document strings.Builder
		document.WriteString("mutation($rows: [MemberRowInput!]!) {\n")
		for i := range n {
			fmt.Fprintf(&document, "a%d: bulkCreateMembers(input: {tenantId: \"ten_acme\", rows: $rows}) { userErrors { message } }\n", i)
		}
		return s.asks("anna", document.String()+"}\nvariables: {\"rows\": [{\"name\": \"X\", \"mailName\": \"x\"}]}\n")
	}
	if answer := ask(5); !strings.Contains(answer, "GRAPHQL_VALIDATION_FAILED") || len(s.holds("imports")) != 0 {
		t.Errorf("five at once: %.300s", answer)
	}
	if answer := ask(2); strings.Contains(answer, "errors\":[{") || len(s.holds("imports")) != 2 {
		t.Errorf("two at once: %.300s", answer)
	}
}

// TestARecordOfAnImportIsNoLargeDocument measures the largest: of fifty members,
// each with all that a row can say.
func TestARecordOfAnImportIsNoLargeDocument(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.seed("tenant acme\noperator olga\nmember anna of acme ADMIN\n")
	s.asks("olga", `mutation { updateTenant(input: {tenantId: "ten_acme", seats: 200}) { tenant { id } } }`)
	csv := "name,mailName,aliases\\n"
	for i := range 60 {
		var aliases []string
		for a := range 20 {
			aliases = append(aliases, fmt.Sprintf("a%d-%d%s", i, a, strings.Repeat("x", 55)))
		}
		csv += fmt.Sprintf("%s,p%d%s,%s\\n", strings.Repeat("ü", 100), i, strings.Repeat("y", 55), strings.Join(aliases, " "))
	}
	s.one("imp", s.asks("anna", "mutation($csv: String!) { importMembers(input: {tenantId: \"ten_acme\", csv: $csv}) { import { id } } }\nvariables: {\"csv\": \""+csv+"\"}\n"))
	s.settle()
	longest := 0
	for _, body := range s.holds("audit", "importChunks") {
		longest = max(longest, len(body))
	}
	if len(s.holds("members")) != 61 || longest > 1<<20 {
		t.Errorf("%d members; the longest document has %d bytes, want at most 1 MiB of the 16 that MongoDB takes", len(s.holds("members")), longest)
	}
	t.Logf("the longest document: %d bytes", longest)
}

// TestEverythingAtOnce has administrators, a partner and invited people in each
// other's way, with the real reconciler running, and looks at the end that what
// must hold does: seats, an administrator, addresses, and nothing left to do.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.seed("partner nordic\ntenant acme of nordic\noperator olga\nstaff paul of nordic OWNER\nmember anna of acme ADMIN\nmember adam of acme ADMIN\nmember ada of acme ADMIN\nstranger sam\nstranger tim\n")
	for _, who := range []string{"sam", "tim"} {
		s.asks(who, `{ me { isOperator } }`)
	}
	for _, name := range []string{"b1", "b2", "b3"} {
		s.one("mem", s.asks("anna", fmt.Sprintf(`mutation { createMember(input: {tenantId: "ten_acme", name: "B", mailName: %q}) { member { id } } }`, name)))
	}
	invited := s.asks("anna", `mutation { inviteMember(input: {tenantId: "ten_acme", email: "one@x.test", role: ADMIN}) { code } }`)
	if !strings.Contains(invited, "•••") {
		t.Fatal(invited)
	}
	code := s.shown["code"]
	b := s.holds("members")
	var made []string
	for id, body := range b {
		if strings.Contains(body, `@acme.dezky.test"`) {
			made = append(made, id)
		}
	}
	on := func(verb, member string) string {
		return fmt.Sprintf(`mutation { %sMember(input: {tenantId: "ten_acme", memberId: %q}) { member { id } userErrors { code } } }`, verb, member)
	}
	plays := map[string][]string{
		"anna": {on("suspend", made[0]), on("resume", made[0]), on("remove", made[1]), on("restore", made[1]), on("suspend", "mem_ada_acme")},
		"adam": {on("remove", made[0]), on("restore", made[0]), on("suspend", made[1]), on("resume", made[1]), on("resume", "mem_ada_acme"), on("remove", "mem_ada_acme"), on("restore", "mem_ada_acme")},
		"olga": {
			`mutation { createMember(input: {tenantId: "ten_acme", name: "N", mailName: "new"}) { member { id } userErrors { code } } }`,
			`mutation { importMembers(input: {tenantId: "ten_acme", csv: "name,mailName\nA,same\nB,new\nC,i3\nD,i4\n"}) { import { id } userErrors { code } } }`,
			on("resetPassword", made[2]), on("remove", made[2]),
		},
		"paul": {
			`mutation { suspendTenant(input: {tenantId: "ten_acme"}) { tenant { id } userErrors { code } } }`,
			`mutation { resumeTenant(input: {tenantId: "ten_acme"}) { tenant { id } userErrors { code } } }`,
		},
		"olga@dezky-operator": {
			`mutation { importMembers(input: {tenantId: "ten_acme", csv: "name,mailName\nA,same\nB,new\nC,j3\nD,j4\n"}) { import { id } userErrors { code } } }`,
			`mutation { createGroup(input: {tenantId: "ten_acme", name: "G", memberIds: ["` + made[0] + `", "` + made[1] + `"]}) { group { id } userErrors { code } } }`,
		},
		"sam": {fmt.Sprintf(`mutation { acceptInvitation(input: {code: %q}) { member { id } userErrors { code } } }`, code)},
		"tim": {fmt.Sprintf(`mutation { acceptInvitation(input: {code: %q}) { member { id } userErrors { code } } }`, code)},
	}
	s.race(plays, 8)
	s.race(map[string][]string{
		"anna": {on("remove", "mem_adam_acme"), on("remove", "mem_ada_acme")}, "adam": {on("suspend", "mem_anna_acme"), on("suspend", "mem_ada_acme")},
		"paul": plays["paul"],
	}, 1)
	if back := s.asks("olga", `mutation { resumeTenant(input: {tenantId: "ten_acme"}) { tenant { id } userErrors { code } } }`); !strings.Contains(back, "ten_acme") && !strings.Contains(back, "CONFLICT") {
		t.Fatal(back)
	}
	done := map[string]int{}
	for _, line := range s.audits() {
		if words := strings.Fields(line); words[3] == "DONE" {
			done[words[1]]++
		}
	}
	t.Logf("what was done: %v", done)
	for range 5 { // a system can have said no while two were at it
		s.settle()
		s.clock.Advance(time.Hour)
	}
	s.settle()
	s.holdsTogether("ten_acme")
}

// race has everybody do what they do, each in turn and all at the same time.
func (s *scene) race(plays map[string][]string, times int) {
	s.t.Helper()
	var all sync.WaitGroup
	for who, questions := range plays {
		name, application, given := strings.Cut(who, "@")
		if !given {
			application = s.apps[name]
		}
		token, err := s.identity.SignIn(name, application)
		if err != nil {
			s.t.Fatal(err)
		}
		var requests []*http.Request
		for range times {
			for _, question := range questions {
				req := s.request("nobody", document(s.t, question), "application/json")
				req.Header.Set("Authorization", "Bearer "+token)
				requests = append(requests, req)
			}
		}
		all.Go(func() {
			for _, req := range requests {
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					s.t.Error(err)
					return
				}
				var answer struct {
					Errors []struct{ Extensions struct{ Code platform.Code } }
				}
				if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
					s.t.Error(err)
				}
				res.Body.Close()
				for _, e := range answer.Errors {
					if e.Extensions.Code == platform.Internal {
						s.t.Errorf("%s: %s", who, e.Extensions.Code)
					}
				}
			}
		})
	}
	all.Wait()
}

// holdsTogether looks at what must hold of a tenant's people at rest.
func (s *scene) holdsTogether(tenant platform.ID) {
	s.t.Helper()
	read := func(name string, each func(body []byte) error) {
		docs, err := s.engine.Find(s.t.Context(), name, store.Query{})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, d := range docs {
			if err := each(d.Body); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	found, err := s.platform.Reader().Tenant(s.t.Context(), tenant)
	if err != nil {
		s.t.Fatal(err)
	}
	admins, active := 0, int32(0)
	members := map[platform.ID]*platform.Member{}
	addresses := map[string]platform.ID{}
	read("members", func(body []byte) error {
		m := &platform.Member{}
		if err := json.Unmarshal(body, m); err != nil || m.TenantID != tenant {
			return err
		}
		members[m.ID] = m
		if m.State == platform.MemberStateActive {
			active++
			if m.Role == platform.MemberRoleAdmin {
				admins++
			}
		}
		if m.State != platform.MemberStateRevoked && m.Address != "" {
			if other, twice := addresses[m.Address]; twice {
				s.t.Errorf("%s is the address of %s and %s", m.Address, other, m.ID)
			}
			addresses[m.Address] = m.ID
		}
		return nil
	})
	if active > found.Seats || admins == 0 {
		s.t.Errorf("%d members of %d seats, %d administrators", active, found.Seats, admins)
	}
	read("addresses", func(body []byte) error {
		a := &platform.Address{}
		if err := json.Unmarshal(body, a); err != nil {
			return err
		}
		if m := members[a.Holder]; m != nil && addresses[string(a.ID)] != m.ID {
			s.t.Errorf("%s is held by %s, who is %s", a.ID, m.ID, m.State)
		}
		delete(addresses, string(a.ID))
		return nil
	})
	if len(addresses) > 0 {
		s.t.Errorf("nobody claims %v", addresses)
	}
	read("provisioning", func(body []byte) error {
		doc := &platform.Provisioning{}
		if err := json.Unmarshal(body, doc); err != nil {
			return err
		}
		for _, step := range doc.Steps {
			if step.State != platform.ProvisioningStateOK && step.State != platform.ProvisioningStateSkipped {
				s.t.Errorf("%s: %s is %s: %s", doc.ID, step.Integration, step.State, step.Message)
			}
		}
		return nil
	})
	s.mailboxesAre(members)
}

// mailboxesAre compares the mailboxes and accounts that there are, and if they are
// shut, with those that are wanted.
func (s *scene) mailboxesAre(members map[platform.ID]*platform.Member) {
	s.t.Helper()
	wanted, mailboxes, accounts := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, m := range members {
		if m.Address != "" && m.State != platform.MemberStateRevoked {
			wanted[m.Address] = m.State == platform.MemberStateSuspended
		}
	}
	for address, a := range s.mail.Accounts() {
		mailboxes[address] = len(a.Disabled) > 0
	}
	for name, u := range s.identity.Users() {
		if strings.HasSuffix(name, "@acme.dezky.test") {
			accounts[name] = !u.Active
		}
	}
	if diff := cmp.Diff(wanted, mailboxes); diff != "" {
		s.t.Errorf("the mailboxes, and if they are frozen (-wanted +there):\n%s", diff)
	}
	if diff := cmp.Diff(wanted, accounts); diff != "" {
		s.t.Errorf("the accounts, and if they are shut (-wanted +there):\n%s", diff)
	}
}

// TestOneKeyManyTimesAtOnce makes one member and shows one password, whoever
// comes first; another's same key is another's (M-2).
func TestOneKeyManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.seed("tenant acme\ntenant globex\noperator olga\nmember anna of acme ADMIN\nmember gerd of globex ADMIN\n")
	create := func(tenant string) []byte {
		return document(t, fmt.Sprintf(`mutation { createMember(input: {tenantId: %q, name: "B", mailName: "b", idempotencyKey: "k"}) { member { id } oneTimePassword userErrors { code } } }`, tenant))
	}
	var all sync.WaitGroup
	answers := make(chan string, 40)
	for _, play := range []struct{ who, tenant string }{{"anna", "ten_acme"}, {"gerd", "ten_globex"}} {
		for range 20 {
			req := s.request(play.who, create(play.tenant), "application/json")
			all.Go(func() {
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				var answer json.RawMessage
				if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
					t.Error(err)
				}
				answers <- string(answer)
			})
		}
	}
	all.Wait()
	close(answers)
	shown, members := 0, map[string]bool{}
	for answer := range answers {
		if shownPassword.MatchString(answer) {
			shown++
		}
		if strings.Contains(answer, "mem_") {
			members[s.one("mem", answer)] = true
		}
	}
	if shown != 2 || len(members) != 2 || len(s.holds("members")) != 4 {
		t.Errorf("%d passwords of %d members, %d in all; want one of each tenant's", shown, len(members), len(s.holds("members")))
	}
	s.settle()
	// Not an administrator any more, they repeat what they once could.
	s.asks("olga", `mutation { createMember(input: {tenantId: "ten_acme", name: "C", mailName: "c", role: ADMIN}) { member { id } } }`)
	s.asks("olga", `mutation { updateMember(input: {tenantId: "ten_acme", memberId: "mem_anna_acme", role: MEMBER}) { member { id } } }`)
	if _, answer := s.post("anna", create("ten_acme")); !strings.Contains(string(answer), "FORBIDDEN") {
		t.Errorf("a repeat by whom may not any more: %s", answer)
	}
}
