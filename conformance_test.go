package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestConformance has the audits of GraphQL over HTTP and the clients that people
// use judge a server as "make run" starts it. They are npm's; what they do is in
// testdata/conformance.
func TestConformance(t *testing.T) {
	const folder = "testdata/conformance"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: no client of npm judges the server")
	}
	version, err := exec.CommandContext(t.Context(), node, "--version").Output()
	var major int
	if _, scan := fmt.Sscanf(string(version), "v%d.", &major); err != nil || scan != nil || major < 20 {
		t.Skip("node is older than 20, which npm's clients need: none judges the server")
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		t.Skip("npm's clients are not installed (make conformance): none judges the server")
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.mjs")) // go test runs again when one changes
	if err != nil {
		t.Fatal(err)
	}

	// After a restart the server is where it was, and so are the stand-ins that made
	// the tokens. The kernel gives no one else a port as low as these.
	port, database := 20_000+os.Getpid()%10_000, filepath.Join(t.TempDir(), "dezky.db")
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	s, err := startDevelopment(t, port, database, log)
	if err != nil {
		t.Fatal(err)
	}
	restart := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.Close(r.Context()); err != nil {
			t.Error("close:", err)
		}
		next, err := startDevelopment(t, port, database, log)
		if err != nil {
			t.Error("start again:", err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		s = next
		w.WriteHeader(http.StatusNoContent)
	}))
	defer func() {
		restart.Close()
		if err := s.Close(t.Context()); err != nil {
			t.Error("close:", err)
		}
	}()

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	judges := exec.CommandContext(ctx, node, "--test", "--test-concurrency=1", "--test-timeout=20000", "--test-reporter=spec")
	for _, file := range files {
		if name := filepath.Base(file); strings.HasSuffix(name, ".test.mjs") {
			judges.Args = append(judges.Args, name)
		}
	}
	judges.Dir = folder
	judges.Env = append(os.Environ(), "URL="+s.URL+"/graphql", "TOKENS="+tokens(t, s), "RESTART="+restart.URL)
	verdict, err := judges.CombinedOutput()
	t.Logf("%s", verdict)
	if err != nil {
		t.Error(err)
	}
}

// tokens are those of the people of development, by person, in JSON.
func tokens(t *testing.T, s *server) string {
	t.Helper()
	all := map[string]string{}
	for _, who := range people() {
		body := strings.NewReader(fmt.Sprintf(`{"person": %q}`, who.Username))
		answer, err := http.Post(s.URL+"/playground/sign-in", "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		var signedIn struct{ Token string }
		err = json.NewDecoder(answer.Body).Decode(&signedIn)
		answer.Body.Close()
		if err != nil || signedIn.Token == "" {
			t.Fatalf("%s cannot sign in: %s, %v", who.Username, answer.Status, err)
		}
		all[who.Username] = signedIn.Token
	}
	out, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
