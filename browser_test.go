package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dezky/platform/graph/playground/browsertest"
)

// TestInABrowser does what a newcomer does after "make run": signs in with one
// click, creates a tenant, and sees each step turn OK in a subscription.
func TestInABrowser(t *testing.T) {
	s := newDevelopment(t)
	watcher := browsertest.Open(t, s.URL+"/playground")
	watcher.Click(`[data-person="operator"]`)
	watcher.Run(`subscription { provisioningFeed { tenantId status tenant { slug status } steps { integration state } } }`)

	creator := browsertest.Open(t, s.URL+"/playground")
	creator.Click(`[data-person="owner"]`)
	creator.Run(`mutation { createTenant(input: {slug: "acme", name: "Acme"}) { tenant { slug partner { name } } userErrors { message } } }`)
	creator.WaitForResult(func(text string) bool { return strings.Contains(text, "Nordic Workplaces") })

	seen := watcher.WaitForResult(func(text string) bool {
		return strings.Contains(text, `"slug": "acme"`) && strings.Contains(text, `"status": "OK"`)
	})
	if n := strings.Count(seen, `"state": "OK"`); n != 3 {
		t.Errorf("%d steps are OK in %s", n, seen)
	}
}

// newDevelopment is a server as "make run" starts it, with nothing set but a
// folder and a port of its own.
func newDevelopment(t *testing.T) *server {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := startDevelopment(t, 0, filepath.Join(t.TempDir(), "dezky.db"), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

func startDevelopment(t *testing.T, port int, database string, log *slog.Logger) (*server, error) {
	config, err := FromEnv(func(name string) (string, bool) {
		switch name {
		case "PORT":
			return strconv.Itoa(port), true
		case "DATABASE_URL":
			return "sqlite://" + database, true
		}
		return "", false
	})
	if err != nil {
		return nil, err
	}
	return start(t.Context(), config, seams{log: log})
}
