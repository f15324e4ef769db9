package main

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

// TestNoSecretIsFoundAnywhere gives every secret input a canary, has things go
// well and go wrong, and looks for it in the log, the answers, the audit and
// every file of the database.
func TestNoSecretIsFoundAnywhere(t *testing.T) {
	const canary = "canary-in-the-coal-mine"
	var log bytes.Buffer
	s := newSceneWith(t, canary, func(c *Config, with *seams) {
		c.SealKey = platform.NewSecret(canary + strings.Repeat("k", 32))
		with.log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	s.seed("partner nordic\ntenant acme of nordic\noperator olga\nstaff paul of nordic OWNER\nmember max of acme\n")
	var seen bytes.Buffer
	ask := func(who, question string) {
		_, answer := s.post(who, document(t, question))
		seen.Write(answer)
		s.settle()
	}
	ask("olga", `mutation { createTenant(input: {slug: "hooli", name: "Hooli", adminEmail: "sam@dezky.test", idempotencyKey: "once"}) { tenant { id } userErrors { message } } }`)
	for _, fault := range []stage.Fault{
		{Status: 401, Body: canary}, {Status: 403, Header: map[string]string{"Content-Type": "application/json"}, Body: `{"detail": "Token invalid/expired"}`},
		{Status: 500, Body: "<html>"}, {Kind: stage.Reset}, {Kind: stage.Half},
	} {
		for _, system := range s.stages {
			system.Heal()
			system.Fail(fault)
		}
		ask("olga", `mutation { reconcileTenant(input: {tenantId: "ten_acme"}) { tenant { provisioning { steps { message cause handle } } } userErrors { message } } }`)
		ask("olga", `{ failedOperations { nodes { steps { message cause } } } tenant(id: "ten_acme") { auditEvents { nodes { reason changes { before after } } } } }`)
	}
	ask("max", `mutation { updateTenant(input: {tenantId: "ten_acme", name: "Mine"}) { userErrors { message } } }`)
	ask("forged", `{ me { isOperator } }`)
	ask("olga", `{ whoami { iss aud sub } nonsense`)

	for _, system := range s.stages {
		system.Heal()
	}
	var shown [][]byte
	show := func(question string) {
		_, answer := s.post("olga", document(t, question))
		found := append(shownPassword.FindAll(answer, -1), shownCode.FindAll(answer, -1)...)
		if len(found) == 0 {
			t.Fatalf("nothing is shown by %s", answer)
		}
		for _, secret := range found {
			shown = append(shown, bytes.Trim(secret, `"`))
		}
		s.settle()
	}
	show(`mutation { createMember(input: {tenantId: "ten_acme", name: "Berta", mailName: "berta", idempotencyKey: "berta"}) { member { id } oneTimePassword } }`)
	s.stages["authentik"].Fail(stage.Fault{Status: 400, Header: map[string]string{"Content-Type": "application/json"}, Body: `{"password": ["too weak"]}`})
	show(`mutation { resetMemberPassword(input: {tenantId: "ten_acme", memberId: "mem_0001"}) { oneTimePassword } }`)
	s.stages["authentik"].Heal()
	show(`mutation { bulkCreateMembers(input: {tenantId: "ten_acme", rows: [{name: "Carl", mailName: "carl"}]}) { passwords { password } } }`)
	show(`mutation { inviteMember(input: {tenantId: "ten_acme", email: "sam@dezky.test", idempotencyKey: "sam"}) { code } }`)
	ask("olga", `mutation { createMember(input: {tenantId: "ten_acme", name: "Berta", mailName: "berta", idempotencyKey: "berta"}) { member { id } oneTimePassword } }`)
	ask("olga", `{ failedOperations { nodes { steps { message cause } } } tenant(id: "ten_acme") { auditEvents(first: 100) { nodes { reason changes { before after } } } } }`)

	find := func(where string, data []byte) {
		for _, secret := range shown {
			if bytes.Contains(data, secret) {
				t.Errorf("%s holds what was to be shown once", where)
			}
		}
		// What a system answers to us may hold anything; what we send it may not.
		if i := bytes.Index(data, []byte(canary)); i >= 0 {
			t.Errorf("%s holds a secret: %q", where, data[max(0, i-80):min(len(data), i+80)])
		}
		for _, token := range s.tokens {
			if bytes.Contains(data, []byte(token)) {
				t.Errorf("%s holds a bearer's token", where)
			}
		}
	}
	find("the log", log.Bytes())
	find("an answer", seen.Bytes())
	err := filepath.WalkDir(filepath.Dir(s.database), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		find(filepath.Base(path), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if log.Len() == 0 || seen.Len() == 0 {
		t.Error("nothing was looked at")
	}
}
