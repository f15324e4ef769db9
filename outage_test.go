package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dezky/platform/integrations/stage"
)

// TestMembersThroughOutages has each outside system away in turn while a member
// is made, shut out, let in again and removed. What the others do is not held up,
// and in the end everything is as it was asked for (E-1 to E-5, R5).
func TestMembersThroughOutages(t *testing.T) {
	const all, none = "sign-in: let in\nmail: let in\nfiles: let in\n", "sign-in: refused\nmail: refused\nfiles: refused\n"
	away := map[string]stage.Fault{
		"it is overloaded":             {Status: 503},
		"it loses answers":             {Kind: stage.Lost},
		"it cuts its answers off":      {Kind: stage.Half},
		"a proxy answers in its place": {Status: 200, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html>"},
	}
	for reason, fault := range away {
		for _, system := range []string{"authentik", "stalwart", "ocis"} {
			t.Run(system+"/"+reason, func(t *testing.T) {
				t.Parallel()
				s := newScene(t)
				s.seed("tenant acme\nmember anna of acme ADMIN\n")
				during := func(mutation, expected string) {
					t.Helper()
					s.stages[system].Fail(fault)
					_, answer := s.post("anna", document(t, "mutation { "+mutation+" }"))
					answer = s.hide(answer)
					s.settle()
					if !strings.Contains(string(answer), `"userErrors":[]`) {
						t.Fatalf("%s answers %s", mutation, answer)
					}
					s.stages[system].Heal()
					for range 8 { // the waits double
						s.clock.Advance(5 * time.Minute)
						s.settle()
					}
					if seen := s.access(berta); seen != expected {
						t.Errorf("after %s, with %s away:\n%s", mutation, system, seen)
					}
				}
				member := func(name, fields string) string {
					return fmt.Sprintf(`%s(input: {tenantId: "ten_acme", memberId: "mem_0001"}) { member { state address } %s userErrors { message } }`, name, fields)
				}
				during(`createMember(input: {tenantId: "ten_acme", name: "Berta", mailName: "berta"}) { member { address } oneTimePassword userErrors { message } }`, all)
				during(member("suspendMember", ""), none)
				during(member("resumeMember", ""), all)
				during(member("resetMemberPassword", "oneTimePassword"), all)
				during(member("removeMember", ""), none)
			})
		}
	}
}
