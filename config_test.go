package main

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/dezky/platform/platform"
)

func from(values map[string]string) (Config, error) {
	return FromEnv(func(name string) (string, bool) { value, ok := values[name]; return value, ok })
}

func TestRunsWithNothingSet(t *testing.T) {
	c, err := from(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Port != 3001 || !c.Authentik.StandIn() || !c.Stalwart.StandIn() || !c.OCIS.StandIn() || !c.Playground || c.MailDomain != "dezky.test" {
		t.Errorf("with nothing set it is %+v", c)
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := from(map[string]string{
		"ENVIRONMENT": "staging", "PORT": "high", "DATABASE_URL": "postgres://x", "AUTHENTIK_URL": "ftp://id", "STALWART_URL": "https://mail",
		"OCIS_URL": "https://files", "PLAYGROUND": "maybe", "EXTRA_CA_CERTS": "/nowhere", "SEAL_KEY": "short-secret",
		"PLATFORM_MAIL_DOMAIN": "mail_domain", "STOP_DELAY": "an hour",
	})
	if err == nil {
		t.Fatal("it was accepted")
	}
	for _, name := range []string{
		"ENVIRONMENT", "PORT", "DATABASE_URL", "AUTHENTIK_URL", "AUTHENTIK_ISSUERS", "STALWART_TOKEN", "OCIS_TOKEN", "OCIS_USERNAME",
		"PLAYGROUND", "EXTRA_CA_CERTS", "SEAL_KEY", "PLATFORM_MAIL_DOMAIN", "STOP_DELAY",
	} {
		if !strings.Contains(err.Error(), name+" ") {
			t.Errorf("nothing is said of %s in:\n%v", name, err)
		}
	}
	if strings.Contains(err.Error(), "short-secret") {
		t.Error("the error shows a secret")
	}
}

func TestProductionRefusesStandIns(t *testing.T) {
	_, err := from(map[string]string{"ENVIRONMENT": "production"})
	if err == nil {
		t.Fatal("it was accepted")
	}
	for _, name := range []string{"AUTHENTIK_URL", "AUTHENTIK_ISSUERS", "STALWART_URL", "OCIS_URL", "SEAL_KEY"} {
		if !strings.Contains(err.Error(), name+" ") {
			t.Errorf("nothing is said of %s in:\n%v", name, err)
		}
	}
	c, err := from(map[string]string{
		"ENVIRONMENT": "production", "AUTHENTIK_URL": "https://id.example.com/", "AUTHENTIK_TOKEN": "t",
		"AUTHENTIK_ISSUERS": "https://id.example.com/application/o/dezky-portal/", "STALWART_URL": "off", "OCIS_URL": "off",
		"SEAL_KEY": strings.Repeat("k", 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Authentik.URL != "https://id.example.com" || !c.Stalwart.Off || !c.OCIS.Off || c.Playground || c.MailDomain != "" {
		t.Errorf("it is %+v", c)
	}
}

func TestStalwartIsLeftAloneInProductionUnlessSaid(t *testing.T) {
	production := map[string]string{
		"ENVIRONMENT": "production", "AUTHENTIK_URL": "off", "AUTHENTIK_ISSUERS": "https://id.example.com/", "OCIS_URL": "off",
		"STALWART_URL": "https://mail.example.com", "STALWART_TOKEN": "API_x", "SEAL_KEY": strings.Repeat("k", 32),
	}
	if c, err := from(production); err != nil || !c.Stalwart.Off {
		t.Errorf("without a word it is %+v, %v", c.Stalwart, err)
	}
	production["STALWART_PROVISIONING_ENABLED"] = "true"
	if c, err := from(production); err != nil || c.Stalwart.URL != "https://mail.example.com" {
		t.Errorf("when it is said it is %+v, %v", c.Stalwart, err)
	}
}

func TestTheDatabaseIsAFileOrAReplicaSet(t *testing.T) {
	if c, err := from(map[string]string{"DATABASE_URL": "sqlite:///var/lib/dezky.db"}); err != nil || c.Database != "/var/lib/dezky.db" || !c.MongoDB.IsZero() {
		t.Errorf("a file is %+v, %v", c, err)
	}
	for _, address := range []string{"mongodb://user:canary@a,b,c/dezky?replicaSet=rs0", "mongodb+srv://user:canary@cluster/dezky"} {
		c, err := from(map[string]string{"DATABASE_URL": address})
		if err != nil || c.MongoDB.Reveal() != address || c.Database != "" {
			t.Errorf("%s is %+v, %v", address, c, err)
		}
		if text := fmt.Sprintf("%v %+v", c, c); strings.Contains(text, "canary") {
			t.Errorf("the password shows in %s", text)
		}
	}
}

func TestFilesByOurOwnCredentials(t *testing.T) {
	values := map[string]string{
		"OCIS_URL": "https://files.example.com", "OCIS_TOKEN_URL": "https://id.example.com/application/o/token/",
		"OCIS_CLIENT_ID": "dezky", "OCIS_CLIENT_SECRET": "s",
	}
	if c, err := from(values); err != nil || c.OCIS.URL == "" || c.OCISClientID != "dezky" || c.OCISClientSecret.Reveal() != "s" {
		t.Errorf("it is %+v, %v", c, err)
	}
	for missing, named := range map[string]string{"OCIS_CLIENT_ID": "OCIS_TOKEN_URL ", "OCIS_CLIENT_SECRET": "OCIS_CLIENT_SECRET "} {
		value := values[missing]
		delete(values, missing)
		if _, err := from(values); err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("without %s: %v", missing, err)
		}
		values[missing] = value
	}
}

func TestSecretsPrintAsDots(t *testing.T) {
	c, err := from(map[string]string{"STALWART_URL": "https://mail", "STALWART_TOKEN": "canary", "SEAL_KEY": strings.Repeat("canary", 6)})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%v %+v %#v %s", c, c, c, c.SealKey)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("config", "config", c, "key", c.SealKey)
	if strings.Contains(out.String(), "canary") {
		t.Errorf("a secret shows in %s", out.String())
	}
	if c.SealKey == (platform.Secret{}) {
		t.Error("there is no key")
	}
}
