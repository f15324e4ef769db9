package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

const matrixFile = "testdata/authorization.txt"

// actors are everybody who might try, as the scripts name them. All tenants and
// partners are the same for each: acme is a customer of nordic, globex of south.
func actors() []string {
	return []string{
		"nobody", "stranger", "audience@dezky-operator", "olga@dezky-portal", "olga",
		"owner", "manager", "support", "rival", "admin", "member", "foreigner",
	}
}

const matrixSeed = `
partner nordic
partner south
tenant acme of nordic
tenant globex of south
operator olga
staff owner of nordic OWNER
staff manager of nordic ADMIN
staff support of nordic SUPPORT
staff rival of south OWNER
member admin of acme ADMIN
member member of acme
member third of acme
member foreigner of globex ADMIN
stranger stranger
stranger audience
`

// questions ask for every root field and every guarded edge once, about acme.
func questions() map[string]string {
	return map[string]string{
		"query me":                        `{ me { isOperator } }`,
		"query whoami":                    `{ whoami { sub } }`,
		"query node":                      `{ node(id: "ten_acme") { id } }`,
		"query tenant":                    `{ tenant(id: "ten_acme") { slug } }`,
		"query tenants":                   `{ tenants { totalCount } }`,
		"query user":                      `{ user(id: "usr_member") { name } }`,
		"query users":                     `{ users { totalCount } }`,
		"query failedOperations":          `{ failedOperations { totalCount } }`,
		"mutation createTenant":           `mutation { createTenant(input: {slug: "hooli", name: "Hooli"}) { userErrors { message } } }`,
		"mutation updateTenant":           `mutation { updateTenant(input: {tenantId: "ten_acme", seats: 11}) { userErrors { message } } }`,
		"mutation reconcileTenant":        `mutation { reconcileTenant(input: {tenantId: "ten_acme"}) { userErrors { message } } }`,
		"mutation retryOperation":         `mutation { retryOperation(input: {tenantId: "ten_acme", subjectId: "ten_acme", integration: OCIS}) { userErrors { message } } }`,
		"mutation setSecurityPolicy":      `mutation { setSecurityPolicy(input: {tenantId: "ten_acme", mfaMode: OPTIONAL}) { userErrors { message } } }`,
		"mutation updateMember":           `mutation { updateMember(input: {tenantId: "ten_acme", memberId: "mem_third_acme", role: MEMBER}) { userErrors { message } } }`,
		"mutation removeMember":           `mutation { removeMember(input: {tenantId: "ten_acme", memberId: "mem_third_acme"}) { userErrors { message } } }`,
		"mutation restoreMember":          `mutation { restoreMember(input: {tenantId: "ten_acme", memberId: "mem_third_acme"}) { userErrors { message } } }`,
		"mutation updateUser":             `mutation { updateUser(input: {userId: "usr_support", partnerRole: SUPPORT}) { userErrors { message } } }`,
		"mutation grantPlatformAdmin":     `mutation { grantPlatformAdmin(input: {userId: "usr_third"}) { userErrors { message } } }`,
		"mutation revokePlatformAdmin":    `mutation { revokePlatformAdmin(input: {userId: "usr_third"}) { userErrors { message } } }`,
		"subscription provisioningStatus": `subscription { provisioningStatus(tenantId: "ten_acme") { sequence } }`,
		"subscription provisioningFeed":   `subscription { provisioningFeed { sequence } }`,
		"mutation suspendMember":          `mutation { suspendMember(input: {tenantId: "ten_acme", memberId: "mem_third_acme"}) { userErrors { message } } }`,
		"mutation resumeMember":           `mutation { resumeMember(input: {tenantId: "ten_acme", memberId: "mem_third_acme"}) { userErrors { message } } }`,
		"mutation forceLogoutMember":      `mutation { forceLogoutMember(input: {tenantId: "ten_acme", memberId: "mem_third_acme"}) { userErrors { message } } }`,
		"mutation resetMemberPassword":    `mutation { resetMemberPassword(input: {tenantId: "ten_acme", memberId: "mem_third_acme"}) { userErrors { message } } }`,
		"mutation reconcileMember":        `mutation { reconcileMember(input: {tenantId: "ten_acme", memberId: "mem_third_acme"}) { userErrors { message } } }`,
		"mutation createMember":           `mutation { createMember(input: {tenantId: "ten_acme", name: "New", mailName: "new"}) { userErrors { message } } }`,
		"mutation suspendTenant":          `mutation { suspendTenant(input: {tenantId: "ten_acme"}) { userErrors { message } } }`,
		"mutation resumeTenant":           `mutation { resumeTenant(input: {tenantId: "ten_acme"}) { userErrors { message } } }`,
		"mutation createGroup":            `mutation { createGroup(input: {tenantId: "ten_acme", name: "Sales"}) { userErrors { message } } }`,
		"mutation updateGroup":            `mutation { updateGroup(input: {tenantId: "ten_acme", groupId: "grp_0001", name: "All"}) { userErrors { message } } }`,
		"mutation deleteGroup":            `mutation { deleteGroup(input: {tenantId: "ten_acme", groupId: "grp_0002"}) { userErrors { message } } }`,
		"mutation bulkCreateMembers":      `mutation { bulkCreateMembers(input: {tenantId: "ten_acme", rows: [{name: "Row", mailName: "row"}]}) { userErrors { message } } }`,
		"mutation importMembers":          `mutation { importMembers(input: {tenantId: "ten_acme", csv: "name,mailName\nLine,line\n"}) { userErrors { message } } }`,
		"mutation cancelImport":           `mutation { cancelImport(input: {tenantId: "ten_acme", importId: "imp_0001"}) { userErrors { message } } }`,
		"mutation inviteMember":           `mutation { inviteMember(input: {tenantId: "ten_acme", email: "new@dezky.test"}) { userErrors { message } } }`,
		"mutation resendInvitation":       `mutation { resendInvitation(input: {tenantId: "ten_acme", invitationId: "ivt_0001"}) { userErrors { message } } }`,
		"mutation revokeInvitation":       `mutation { revokeInvitation(input: {tenantId: "ten_acme", invitationId: "ivt_0001"}) { userErrors { message } } }`,
		"mutation acceptInvitation":       `mutation { acceptInvitation(input: {code: "none"}) { userErrors { message } } }`,
		"query groups":                    `{ groups(tenantId: "ten_acme") { totalCount } }`,
		"query invitations":               `{ invitations(tenantId: "ten_acme") { totalCount } }`,
		"query imports":                   `{ imports(tenantId: "ten_acme") { totalCount } }`,
		"subscription memberStatus":       `subscription { memberStatus(tenantId: "ten_acme", memberId: "mem_third_acme") { sequence } }`,
		"subscription importStatus":       `subscription { importStatus(tenantId: "ten_acme", importId: "imp_0001") { sequence } }`,
		"Member.provisioning":             `{ tenant(id: "ten_acme") { members { nodes { provisioning { status } } } } }`,
		"Member.personProvisioning":       `{ tenant(id: "ten_acme") { members { nodes { personProvisioning { status } } } } }`,
		"Member.authenticators":           `{ tenant(id: "ten_acme") { members { nodes { authenticators  } } } }`,
		"Member.storage":                  `{ node(id: "mem_third_acme") { ... on Member { storage { mail { usedBytes } } } } }`,
		"Tenant.storage":                  `{ tenant(id: "ten_acme") { storage { files { usedBytes } } } }`,
		"Tenant.partner":                  `{ tenant(id: "ten_acme") { partner { slug } } }`,
		"Tenant.subscription":             `{ tenant(id: "ten_acme") { subscription { plan } } }`,
		"Tenant.membersCount":             `{ tenant(id: "ten_acme") { membersCount } }`,
		"Tenant.members":                  `{ tenant(id: "ten_acme") { members { totalCount } } }`,
		"Tenant.securityPolicy":           `{ tenant(id: "ten_acme") { securityPolicy { mfaMode } } }`,
		"Tenant.provisioning":             `{ tenant(id: "ten_acme") { provisioning { status } } }`,
		"Tenant.auditEvents":              `{ tenant(id: "ten_acme") { auditEvents { totalCount } } }`,
		"ProvisioningStep.handle":         `{ tenant(id: "ten_acme") { provisioning { steps { handle } } } }`,
		"ProvisioningStep.cause":          `{ tenant(id: "ten_acme") { provisioning { steps { cause } } } }`,
		"User.platformAdmin":              `{ tenant(id: "ten_acme") { members { nodes { user { platformAdmin } } } } }`,
		"User.partnerRole":                `{ tenant(id: "ten_acme") { members { nodes { user { partnerRole } } } } }`,
	}
}

// prepare makes what the questions are about.
func (s *scene) prepare() {
	s.t.Helper()
	for _, question := range []string{
		`mutation { createGroup(input: {tenantId: "ten_acme", name: "First"}) { group { id } } }`,
		`mutation { createGroup(input: {tenantId: "ten_acme", name: "Second"}) { group { id } } }`,
		`mutation { bulkCreateMembers(input: {tenantId: "ten_acme", rows: [{name: "First", mailName: "first"}]}) { import { id } } }`,
		`mutation { inviteMember(input: {tenantId: "ten_acme", email: "first@dezky.test"}) { invitation { id } } }`,
	} {
		if _, answer := s.post("olga", document(s.t, question)); codeOf(s.t, answer) != "" {
			s.t.Fatalf("%s", answer)
		}
	}
	s.settle()
	s.audits()
}

// TestWhoMayDoWhat asks everything as everybody. The expected answers are one
// table, which is read by people; a field without a line in it fails.
func TestWhoMayDoWhat(t *testing.T) {
	asked := questions()
	for _, name := range guardedFields() {
		if asked[name] == "" {
			t.Errorf("nobody asks for %s here", name)
		}
	}
	var mu sync.Mutex
	answers := map[string]map[string]string{}
	t.Run("as", func(t *testing.T) {
		for _, who := range actors() {
			t.Run(who, func(t *testing.T) {
				t.Parallel()
				s := newScene(t)
				s.seed(matrixSeed)
				s.prepare()
				for _, name := range slices.Sorted(maps.Keys(asked)) {
					verdict := s.verdict(who, name, asked[name])
					mu.Lock()
					if answers[name] == nil {
						answers[name] = map[string]string{}
					}
					answers[name][who] = verdict
					mu.Unlock()
				}
			})
		}
	})
	seen := table(answers)
	if updating() {
		if err := os.WriteFile(matrixFile, []byte(seen), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	expected, err := os.ReadFile(matrixFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(expected), "\n"), strings.Split(seen, "\n")); diff != "" {
		t.Errorf("-expected +seen:\n%s", diff)
	}
}

// guardedFields are every root field and every edge with a rule, by their names
// in the table.
func guardedFields() (names []string) {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	rules := []string{"public", "authenticated", "tenantMember", "tenantAdmin", "partnerStaff", "operator"}
	for _, d := range schema.Types {
		if d.Kind != ast.Object || d.BuiltIn {
			continue
		}
		for _, f := range d.Fields {
			guarded := slices.ContainsFunc(f.Directives, func(d *ast.Directive) bool { return slices.Contains(rules, d.Name) })
			switch {
			case !guarded:
			case d == schema.Query || d == schema.Mutation || d == schema.Subscription:
				names = append(names, strings.ToLower(d.Name)+" "+f.Name)
			default:
				names = append(names, d.Name+"."+f.Name)
			}
		}
	}
	return names
}

// verdict is how a question is answered: yes, or why not. On the way it sees to
// it that a refusal leaves nothing but its record.
func (s *scene) verdict(who, name, question string) string {
	s.t.Helper()
	calls := s.calls()
	answer := s.answerOf(who, name, question)
	audits := s.audits()
	verdict := "yes"
	switch codeOf(s.t, answer) {
	case platform.Unauthenticated:
		verdict = "sign in"
	case platform.Forbidden:
		verdict = "no"
	case platform.NotFound:
		verdict = "what?"
		other := s.answerOf(who, name, strings.ReplaceAll(question, "ten_acme", "ten_nope"))
		s.audits()
		if elsewhere := strings.ReplaceAll(tidy(s.t, other), "ten_nope", "ten_acme"); elsewhere != tidy(s.t, answer) {
			s.t.Errorf("%s as %s: what is not theirs answers\n%s\nand what does not exist\n%s", name, who, answer, other)
		}
	case "":
	default:
		s.t.Errorf("%s as %s: %s", name, who, answer)
	}
	if strings.HasPrefix(name, "mutation ") && verdict == "yes" {
		if n := len(byPeople(audits)); n != 1 {
			s.t.Errorf("%s as %s left %d records: %q", name, who, n, audits)
		}
	}
	if verdict != "yes" {
		if n := s.calls(); n != calls {
			s.t.Errorf("%s as %s was refused, and called outside", name, who)
		}
		if mutation := strings.HasPrefix(name, "mutation "); mutation && verdict != "sign in" {
			if len(audits) != 1 || !strings.Contains(audits[0], " DENIED ") || verdict == "what?" && !strings.Contains(audits[0], "(platform log)") {
				s.t.Errorf("%s as %s left the record %q", name, who, audits)
			}
		} else if len(audits) > 0 {
			s.t.Errorf("%s as %s left the record %q", name, who, audits)
		}
	}
	s.settle()
	s.audits()
	return verdict
}

// byPeople leaves out what the platform itself recorded meanwhile.
func byPeople(audits []string) []string {
	return slices.DeleteFunc(slices.Clone(audits), func(line string) bool { return strings.Contains(line, " by SYSTEM") })
}

// TestEveryMutationLeavesOneRecord goes through the schema's mutations: one that
// fails is recorded as FAILED, one that is done as DONE, and its repeat by the
// same key not at all (I-1, M-2).
func TestEveryMutationLeavesOneRecord(t *testing.T) {
	for name, question := range questions() {
		if !strings.HasPrefix(name, "mutation ") {
			continue
		}
		t.Run(strings.TrimPrefix(name, "mutation "), func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.seed(matrixSeed)
			s.prepare()
			with := func(key string) []string {
				keyed := strings.Replace(question, "input: {", fmt.Sprintf("input: {idempotencyKey: %q, ", key), 1)
				_, answer := s.post("olga", document(t, keyed))
				if codeOf(t, answer) != "" {
					t.Fatalf("%s answers %s", keyed, answer)
				}
				return byPeople(s.audits())
			}
			if failed := with(""); len(failed) != 1 || !strings.Contains(failed[0], " FAILED by OPERATOR") {
				t.Errorf("a failure left %q", failed)
			}
			first := with("once")
			if len(first) != 1 {
				t.Errorf("an attempt left %q", first)
			}
			done := len(first) == 1 && strings.Contains(first[0], " DONE ")
			if again := with("once"); done && len(again) != 0 {
				t.Errorf("a repeat left %q", again)
			}
		})
	}
}

func (s *scene) answerOf(who, name, question string) []byte {
	s.t.Helper()
	if !strings.HasPrefix(name, "subscription ") {
		_, answer := s.post(who, document(s.t, question))
		return answer
	}
	w := s.watch(who, question)
	defer w.close()
	if name == "subscription provisioningFeed" && who == "olga" {
		return []byte(`{"data": {}}`) // it is silent while all is settled
	}
	line := <-w.lines
	_, data, _ := strings.Cut(line, "\n")
	return []byte(data)
}

// codeOf is the first error's code that is not somebody else's to judge, or "".
func codeOf(t *testing.T, answer []byte) platform.Code {
	t.Helper()
	var read struct {
		Errors []struct{ Extensions struct{ Code platform.Code } }
	}
	if err := json.Unmarshal(answer, &read); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	if len(read.Errors) == 0 {
		return ""
	}
	return read.Errors[0].Extensions.Code
}

// table writes the answers for people.
func table(answers map[string]map[string]string) string {
	var out strings.Builder
	out.WriteString("Who may do what, about acme, a customer of nordic. \"sign in\" is UNAUTHENTICATED, \"no\" FORBIDDEN, and\n")
	out.WriteString("\"what?\" NOT_FOUND, in the words for what does not exist. owner, manager and support are nordic's staff, rival\n")
	out.WriteString("is another partner's; admin and member are acme's, foreigner administers another tenant.\n\n")
	fmt.Fprintf(&out, "%-34s", "")
	for _, who := range actors() {
		fmt.Fprintf(&out, "%-12s", short(who))
	}
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		fmt.Fprintf(&out, "\n%-34s", name)
		for _, who := range actors() {
			fmt.Fprintf(&out, "%-12s", answers[name][who])
		}
	}
	lines := strings.Split(out.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// short names actors in the head of the table.
func short(who string) string {
	switch who {
	case "audience@dezky-operator":
		return "audience"
	case "olga@dezky-portal":
		return "flag"
	case "olga":
		return "operator"
	}
	return who
}
