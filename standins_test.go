package main

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

// TestStandInsAlone starts them as "make standins" does, and asks each for
// something.
func TestStandInsAlone(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	said, say := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := alone(ctx, Config{Database: filepath.Join(t.TempDir(), "dezky.db"), SealKey: platform.NewSecret(developmentKey)}, say)
		say.Close()
		ended <- err
	}()
	text := make([]byte, 4096)
	n, err := said.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, said)
	for system, ask := range map[string]string{
		"Authentik": "/-/health/live/", "Stalwart": "/healthz/live", "oCIS": "/status.php", "Stripe": "/v1/customers",
	} {
		address := regexp.MustCompile(system + ` +(http://[0-9.:]+)`).FindSubmatch(text[:n])
		if address == nil {
			t.Fatalf("nothing says where %s is:\n%s", system, text[:n])
		}
		for path, expected := range map[string]int{ask: http.StatusOK, stage.ControlPath: http.StatusOK} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, string(address[1])+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth("sk_test_development", "")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != expected {
				t.Errorf("%s answers %s with %d", system, path, res.StatusCode)
			}
		}
	}
	if !strings.Contains(string(text[:n]), "DNS ") {
		t.Error("nothing says where DNS is")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestMetrics has calls counted by their system and outcome, with nothing in it
// that is secret or a person's.
func TestMetrics(t *testing.T) {
	s := newScene(t)
	s.seed("tenant acme\noperator olga\nmember anna of acme ADMIN\n")
	s.stages["ocis"].Fail(stage.Fault{Status: 503})
	s.post("olga", document(t, `mutation { reconcileTenant(input: {tenantId: "ten_acme"}) { userErrors { message } } }`))
	s.settle()
	families, err := s.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, family := range families {
		text.WriteString(family.String() + "\n")
	}
	for _, expected := range []string{"dezky_outside_calls_total", "dezky_outside_call_seconds", `value:"ocis"`, `value:"503"`, `value:"authentik"`, `value:"201"`} {
		if !strings.Contains(strings.ReplaceAll(text.String(), "  ", " "), expected) {
			t.Errorf("the metrics lack %s", expected)
		}
	}
	for _, secret := range []string{"anna", "acme", "test-token"} {
		if strings.Contains(text.String(), secret) {
			t.Errorf("the metrics hold %s", secret)
		}
	}
}
