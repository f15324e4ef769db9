package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/dezky/platform/graph/generated"
	authentik "github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/platform"
)

var _ = flag.Bool("update", false, "write down the answers of the scripts in testdata")

// seed stores what a script begins with, a line each:
//
//	partner nordic
//	tenant acme [of nordic]
//	operator olga
//	staff paul of nordic OWNER
//	member anna of acme ADMIN
//	stranger sam [group]
//	unverified tom
func (s *scene) seed(lines string) {
	s.t.Helper()
	now := platform.At(s.clock.Now())
	seed := platform.Seed{}
	person := func(name, application string, groups ...string) *platform.User {
		s.apps[name] = cmp.Or(application, authentik.Portal)
		if err := s.identity.AddPerson(authentik.Person{
			Username: name, Name: strings.ToUpper(name[:1]) + name[1:], Email: name + "@dezky.test", UUID: uuidOf(name), Groups: groups,
			EmailUnverified: application == "",
		}); err != nil {
			s.t.Fatal(err)
		}
		return &platform.User{
			Document: platform.Document{ID: platform.ID("usr_" + name)}, Subject: uuidOf(name), Username: name,
			Email: name + "@dezky.test", Name: strings.ToUpper(name[:1]) + name[1:], CreatedAt: now,
		}
	}
	users := map[string]*platform.User{}
	for line := range strings.Lines(lines) {
		words := append(strings.Fields(line), "", "", "")
		kind, name := words[0], words[1]
		switch kind {
		case "":
		case "partner":
			seed.Partners = append(seed.Partners, &platform.Partner{
				Document: platform.Document{ID: platform.ID("par_" + name)}, Slug: name, Name: strings.ToUpper(name[:1]) + name[1:],
				Status: platform.PartnerStatusActive, CreatedAt: now,
			})
		case "tenant":
			t := &platform.Tenant{
				Document: platform.Document{ID: platform.ID("ten_" + name)}, Slug: name, Name: strings.ToUpper(name[:1]) + name[1:],
				Status: platform.TenantStatusPending, Plan: platform.PlanBusiness, Seats: 10, CreatedAt: now,
			}
			if words[2] == "of" {
				t.PartnerID = platform.ID("par_" + words[3])
			}
			seed.Tenants = append(seed.Tenants, t)
		case "operator":
			users[name] = person(name, authentik.Operator, "dezky-platform-admins")
			users[name].PlatformAdmin = true
		case "staff":
			users[name] = person(name, authentik.Portal, "dezky-partner-staff")
			users[name].PartnerID, users[name].PartnerRole = platform.ID("par_"+words[3]), platform.PartnerRole(words[4])
		case "member":
			if users[name] == nil {
				users[name] = person(name, authentik.Portal)
			}
			role := platform.MemberRoleMember
			if words[4] != "" {
				role = platform.MemberRole(words[4])
			}
			seed.Members = append(seed.Members, &platform.Member{
				Document: platform.Document{ID: platform.ID("mem_" + name + "_" + words[3])}, TenantID: platform.ID("ten_" + words[3]),
				UserID: users[name].ID, Role: role, State: platform.MemberStateActive, Source: platform.MemberSourceMutation, JoinedAt: now,
			})
		case "unverified":
			person(name, "")
		case "stranger":
			person(name, authentik.Portal, words[2:3]...)
		default:
			s.t.Fatalf("nobody knows what to seed for %q", line)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		seed.Users = append(seed.Users, users[name])
	}
	if err := s.platform.Plant(s.t.Context(), seed); err != nil {
		s.t.Fatal(err)
	}
	s.settle()
	s.audits()
}

// uuidOf is the same UUID for the same name.
func uuidOf(name string) string {
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", name)[:36]
}

// What is shown once is another each time.
var (
	shownPassword = regexp.MustCompile(`"[a-z2-9]{5}(-[a-z2-9]{5}){3}"`)
	shownCode     = regexp.MustCompile(`"[A-Z2-7]{26}"`)
	shownAddress  = regexp.MustCompile(`"address":"([^"]+)"`)
)

// hide remembers what an answer shows once, and puts dots in its place. A
// password is that of the address in the same answer, in the same order.
func (s *scene) hide(answer []byte) []byte {
	addresses := shownAddress.FindAllSubmatch(answer, -1)
	for i, password := range shownPassword.FindAll(answer, -1) {
		if i < len(addresses) {
			s.shown[string(addresses[i][1])] = strings.Trim(string(password), `"`)
		}
	}
	if code := shownCode.Find(answer); code != nil {
		s.shown["code"] = strings.Trim(string(code), `"`)
	}
	for _, form := range []*regexp.Regexp{shownPassword, shownCode} {
		answer = form.ReplaceAll(answer, []byte(`"•••"`))
	}
	return answer
}

// access tries to get in everywhere with the password that was shown last for
// an address.
func (s *scene) access(address string) string {
	s.t.Helper()
	password := s.shown[address]
	if password == "" {
		s.t.Fatalf("no password was shown for %s", address)
	}
	word := func(err error) string {
		if err != nil {
			return "refused"
		}
		return "let in"
	}
	token, err := s.identity.SignInWithPassword(address, password, authentik.Portal)
	out := "sign-in: " + word(err) + "\n"
	connection, err := s.mail.Login(address, password)
	if err == nil {
		connection.Close()
	}
	out += "mail: " + word(err) + "\n"
	if token != "" { // what it is good for later is tried too
		s.shown["token of "+address] = token
	}
	return out + "files: " + word(s.listFiles(s.shown["token of "+address])) + "\n"
}

// listFiles asks the file server for the spaces that a token's bearer can see.
func (s *scene) listFiles(token string) error {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.filesURL+"/graph/v1.0/me/drives", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}

// tidy lays JSON out for reading, in its own order, without what varies from
// run to run: what is short stands on one line.
func tidy(t *testing.T, data []byte) string {
	t.Helper()
	in := json.NewDecoder(bytes.NewReader(data))
	in.UseNumber()
	text, err := layOut(in, "")
	if err != nil {
		return strings.TrimSpace(string(data)) // an answer may be no JSON
	}
	return text
}

// layOut writes the next value; lines after its first begin with margin.
func layOut(in *json.Decoder, margin string) (string, error) {
	token, err := in.Token()
	if err != nil {
		return "", err
	}
	open, ok := token.(json.Delim)
	if !ok {
		text, err := json.Marshal(token)
		return string(text), err
	}
	var entries []string
	for in.More() {
		name, varies := "", false
		if open == '{' {
			key, err := in.Token()
			if err != nil {
				return "", err
			}
			varies = key == "locations" || key == "requestId" || key == "extensions" && margin == "" // the cost
			name = fmt.Sprintf("%q: ", key)
		}
		value, err := layOut(in, margin+"  ")
		if err != nil {
			return "", err
		}
		if !varies {
			entries = append(entries, name+value)
		}
	}
	end, err := in.Token()
	if err != nil {
		return "", err
	}
	left, right := open.String(), fmt.Sprint(end)
	const width = 110
	line := left + strings.Join(entries, ", ") + right
	if len(margin)+len(line) <= width && !strings.Contains(line, "\n") {
		return line, nil
	}
	return left + "\n" + margin + "  " + strings.Join(entries, ",\n"+margin+"  ") + "\n" + margin + right, nil
}

// coverage remembers which root fields the scripts asked for, and how it went.
type coverage struct {
	mu     sync.Mutex
	fields map[string]map[string]bool
}

// note looks at a question and its answer.
func (c *coverage) note(t *testing.T, question string, answer []byte) {
	t.Helper()
	query := strings.Split(question, "variables:")[0]
	doc, err := parser.ParseQuery(&ast.Source{Input: query})
	if err != nil || len(doc.Operations) == 0 {
		return // a script may ask what is no GraphQL
	}
	refused := map[string]bool{}
	var read struct {
		Data   json.RawMessage
		Errors []struct {
			Path       []any
			Extensions struct{ Code platform.Code }
		}
	}
	if err := json.Unmarshal(answer, &read); err != nil {
		t.Fatal(err)
	}
	if len(read.Errors) > 0 && read.Errors[0].Path == nil {
		return // it was not run
	}
	for _, e := range read.Errors {
		switch e.Extensions.Code {
		case platform.Unauthenticated, platform.Forbidden, platform.NotFound:
			if name, ok := e.Path[0].(string); ok && len(e.Path) == 1 {
				refused[name] = true
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	operation := doc.Operations[0]
	for _, selection := range operation.SelectionSet {
		field, ok := selection.(*ast.Field)
		if !ok {
			continue
		}
		name := string(operation.Operation) + " " + field.Name
		if c.fields[name] == nil {
			c.fields[name] = map[string]bool{}
		}
		outcome := "allowed"
		if refused[field.Alias] {
			outcome = "refused"
		}
		c.fields[name][outcome] = true
	}
}

// check sees to it that every root field occurs in some script, allowed and
// refused.
func (c *coverage) check(t *testing.T) {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation, schema.Subscription} {
		for _, field := range root.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			name := strings.ToLower(root.Name) + " " + field.Name
			for _, outcome := range []string{"allowed", "refused"} {
				if !c.fields[name][outcome] {
					t.Errorf("no script shows %s %s", name, outcome)
				}
			}
		}
	}
}
