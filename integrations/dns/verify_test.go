package dns

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dezky/platform/integrations/dns/standin"
	"github.com/dezky/platform/platform"
)

const (
	rsaName = "v1-rsa-20260821._domainkey.acme.test"
	edName  = "v1-ed25519-20260821._domainkey.acme.test"
	edKey   = "4UYRhOI11OoCQcANF1zaz6uXA521TebMW+qkvC4/H2o="
)

// zone is what the mail server renders for a domain that it hosts, all kinds of
// records in it.
const zone = edName + `. IN TXT "v=DKIM1; k=ed25519; h=sha256; p=` + edKey + `"
` + rsaName + `. IN TXT (
    "v=DKIM1; k=rsa; h=sha256; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwTXKXIBRbTLP8V0b98DDCVsQVWa6m4hvLa5uEw4+gEMDxoDSINME1pqf95Lx6kux6byzPLfBUcuEOI5tH/Z5W4umBCvXODR72btg/qXs57eqyXIbW4uh1Q12LyiCSp9fjJziERuguLwDNWtzpLTuWwOwb+muG86BGu0l6LUPYaD/+yOm85I/4Ss"
    "NaKefFHqA7hFtoX4MplHRbbnbeuZFNaRXmnTP+xDtUmBVRPh5yWmuvsbs4y/qzjlrUhuNoFnxd4wTpmcLy/BS4wwf4pI9p5zEmxYScDIVhb5H+QE8jwasCGwtZaArhnnJHXRebd8p9xXEOSUg9SQe7WrXFfXOrQIDAQAB"
)
_25._tcp.mail.acme.test. IN TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
_25._tcp.mail.acme.test. IN TLSA 2 1 1 abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789
mail.acme.test. IN TXT "v=spf1 a -all"
acme.test. IN TXT "v=spf1 mx -all"
acme.test. IN MX 10 mail.acme.test.
acme.test. IN MX 20 mail.dezky.test.
_dmarc.acme.test. IN TXT "v=DMARC1; p=reject; rua=mailto:postmaster@acme.test"
_caldavs._tcp.acme.test. IN SRV 0 1 443 mail.acme.test.
_imaps._tcp.acme.test. IN SRV 0 1 993 mail.acme.test.
_submissions._tcp.acme.test. IN SRV 0 1 465 mail.acme.test.
mta-sts.acme.test. IN CNAME mail.acme.test.
_mta-sts.acme.test. IN TXT "v=STSv1; id=12942536112359691423"
_smtp._tls.acme.test. IN TXT "v=TLSRPTv1; rua=mailto:postmaster@acme.test"
acme.test. IN CAA 0 issue "letsencrypt.org;accounturi=https://acme.invalid/acct/1"
acme.test. IN CAA 0 iodef "mailto:postmaster@acme.test"
_validation-persist.acme.test. IN TXT "letsencrypt.org; accounturi=https://acme.invalid/acct/1; policy=wildcard"
ua-auto-config.acme.test. IN CNAME mail.acme.test.
_ua-auto-config.acme.test. IN TXT "v=UAAC1; a=sha256; d=LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE="
autoconfig.acme.test. IN CNAME mail.acme.test.
autodiscover.acme.test. IN CNAME mail.acme.test.
`

// publish serves the zone, as a customer does who copies it, beside their other
// texts.
func publish(t *testing.T, server *standin.Server) {
	t.Helper()
	must(t, server.SetZone(zone))
	must(t, server.Set("acme.test", "TXT", "v=spf1 mx -all", "google-site-verification=1", "dezky-verification=abc"))
	must(t, server.Set("mail.acme.test", "A", "192.0.2.10"))
}

// verify checks all records, and answers by type, name and value.
func (s *stand) verify(t *testing.T) []platform.RecordCheck {
	t.Helper()
	wanted, err := platform.ParseZone(zone)
	must(t, err)
	wanted = append(wanted, platform.OwnershipRecord("acme.test", "abc"))
	known, err := platform.AskRecords(t.Context(), s, wanted)
	must(t, err)
	return platform.CheckRecords(wanted, known)
}

func TestARenderedZoneIsVerified(t *testing.T) {
	t.Parallel()
	s := newStand(t, 2)
	for _, server := range s.servers {
		publish(t, server)
	}
	checks := s.verify(t)
	if len(checks) != 23 {
		t.Errorf("%d records", len(checks))
	}
	for _, c := range checks {
		if c.Status != platform.RecordStatusOK || c.Reason != "" || c.LookAgain != 5*time.Minute {
			t.Errorf("%s %s: %s %s (again in %s)", c.Wanted.Type, c.Wanted.Name, c.Status, c.Reason, c.LookAgain)
		}
	}
}

func TestABrokenZone(t *testing.T) {
	t.Parallel()
	const (
		ok, wrong, missing, unknown = platform.RecordStatusOK, platform.RecordStatusWrong, platform.RecordStatusMissing, platform.RecordStatusUnknown
		spf, mx, dmarc              = "TXT acme.test SPF", "MX acme.test MX", "TXT _dmarc.acme.test DMARC"
		dkim, rsa                   = "TXT " + edName + " DKIM", "TXT " + rsaName + " DKIM"
	)
	long := "v=DKIM1; k=rsa; h=sha256; p=" + strings.Repeat("A", 392)
	for name, tt := range map[string]struct {
		reason string
		record string
		// set is what is published instead, by type and name.
		set    map[string][]string
		status platform.RecordStatus
		says   string
	}{
		"no MX":                {"mail comes nowhere", mx, map[string][]string{"MX acme.test": nil}, missing, "no MX record"},
		"MX of another":        {"mail comes to the old provider", mx, map[string][]string{"MX acme.test": {"10 mx.old.test."}}, wrong, "does not come to mail.acme.test"},
		"MX beside ours":       {"some mail comes to the old provider", mx, map[string][]string{"MX acme.test": {"10 mail.acme.test.", "20 mail.dezky.test.", "10 mx.old.test."}}, wrong, "mx.old.test too"},
		"MX after ours":        {"mail comes to the old provider now and then", mx, map[string][]string{"MX acme.test": {"10 mail.acme.test.", "20 mail.dezky.test.", "30 mx.old.test."}}, wrong, "whenever ours cannot be reached"},
		"one MX missing":       {"the first of two is missing", mx, map[string][]string{"MX acme.test": {"20 mail.dezky.test."}}, wrong, "does not come to mail.acme.test"},
		"MX in other order":    {"the numbers are the customer's", mx, map[string][]string{"MX acme.test": {"1 mail.dezky.test.", "2 mail.acme.test."}}, ok, ""},
		"null MX":              {"the domain takes no mail", mx, map[string][]string{"MX acme.test": {"0 ."}}, wrong, "null MX"},
		"no SPF":               {"only other texts", spf, map[string][]string{"TXT acme.test": {"google-site-verification=1"}}, missing, "none is for SPF"},
		"two SPF":              {"a permanent error", spf, map[string][]string{"TXT acme.test": {"v=spf1 mx -all", "v=spf1 include:x.test -all"}}, wrong, "2 SPF records"},
		"SPF without us":       {"our mails fail", spf, map[string][]string{"TXT acme.test": {"v=spf1 ip4:203.0.113.1 -all"}, "A mail.dezky.test": {"192.0.2.11"}}, wrong, "does not let mail.acme.test (192.0.2.10) send"},
		"SPF with everybody":   {"anybody can send as the domain", spf, map[string][]string{"TXT acme.test": {"v=spf1 mx +all"}}, wrong, "everybody"},
		"SPF by include":       {"an include that leads to us", spf, map[string][]string{"TXT acme.test": {"v=spf1 include:spf.x.test -all"}, "TXT spf.x.test": {"v=spf1 a:mail.acme.test a:mail.dezky.test -all"}}, ok, ""},
		"SPF by alias":         {"the include's name is an alias", spf, map[string][]string{"TXT acme.test": {"v=spf1 include:spf.x.test -all"}, "CNAME spf.x.test": {"spf.y.test."}, "TXT spf.y.test": {"v=spf1 ip4:192.0.2.0/24 -all"}, "A mail.dezky.test": {"192.0.2.11"}}, ok, ""},
		"SPF, dead include":    {"a permanent error", spf, map[string][]string{"TXT acme.test": {"v=spf1 include:nowhere.test mx -all"}}, wrong, "leads to nowhere.test"},
		"SPF misspelt":         {"a permanent error", spf, map[string][]string{"TXT acme.test": {"v=spf1 mx ip:192.0.2.1 -all"}}, wrong, "nothing that SPF knows"},
		"no DKIM":              {"the record was forgotten", dkim, map[string][]string{"TXT " + edName: nil}, missing, "does not exist"},
		"DKIM of another key":  {"mails do not verify", rsa, map[string][]string{"TXT " + rsaName: {long}}, wrong, "not ours"},
		"DKIM cut off":         {"only the first string was copied", rsa, map[string][]string{"TXT " + rsaName: {rsaText(t)[:255]}}, wrong, "cut off"},
		"DKIM split otherwise": {"strings are joined without blanks", rsa, map[string][]string{"TXT " + rsaName: {strings.Replace(rsaText(t), "; ", ";", 2)}}, ok, ""},
		"DKIM revoked":         {"an empty key", dkim, map[string][]string{"TXT " + edName: {"v=DKIM1; k=ed25519; p="}}, wrong, "revoked"},
		"DKIM twice":           {"which one counts?", dkim, map[string][]string{"TXT " + edName: {"v=DKIM1; k=ed25519; p=" + edKey, "v=DKIM1; k=ed25519; p=AAAA"}}, wrong, "2 records"},
		"DKIM escaped":         {"copied with its backslashes", dkim, map[string][]string{"TXT " + edName: {`v=DKIM1\; k=ed25519\; p=` + edKey}}, wrong, "backslash"},
		"DKIM by alias":        {"over the customer's own name", dkim, map[string][]string{"TXT " + edName: nil, "CNAME " + edName: {"key.x.test."}, "TXT key.x.test": {"v=DKIM1; k=ed25519; p=" + edKey}}, ok, ""},
		"DKIM, alias circle":   {"the resolver gives up, and nobody knows why", dkim, map[string][]string{"TXT " + edName: nil, "CNAME " + edName: {edName + "."}}, unknown, "cannot find it out"},
		"no DMARC":             {"the record was forgotten", dmarc, map[string][]string{"TXT _dmarc.acme.test": nil}, missing, "does not exist"},
		"DMARC weaker":         {"left from a trial", dmarc, map[string][]string{"TXT _dmarc.acme.test": {"v=DMARC1; p=none; rua=mailto:postmaster@acme.test"}}, wrong, "weaker than reject"},
		"two DMARC":            {"receivers pass over both", dmarc, map[string][]string{"TXT _dmarc.acme.test": {"v=DMARC1; p=reject", "v=DMARC1; p=none"}}, wrong, "2 records"},
		"DMARC without us":     {"said, but right", dmarc, map[string][]string{"TXT _dmarc.acme.test": {"v=DMARC1; p=reject; rua=mailto:a@x.test"}}, ok, "Reports do not come to us"},
		"SRV elsewhere":        {"apps are led astray", "SRV _imaps._tcp.acme.test SERVICE", map[string][]string{"SRV _imaps._tcp.acme.test": {"0 1 993 imap.old.test."}}, wrong, "mail.acme.test port 993"},
		"alias elsewhere":      {"apps are led astray", "CNAME autodiscover.acme.test AUTOCONFIG", map[string][]string{"CNAME autodiscover.acme.test": {"autodiscover.outlook.test."}}, wrong, "autodiscover.outlook.test"},
		"alias by address":     {"the address may change", "CNAME autoconfig.acme.test AUTOCONFIG", map[string][]string{"CNAME autoconfig.acme.test": nil, "A autoconfig.acme.test": {"192.0.2.10"}}, missing, "an address of its own"},
		"TLSA of an old one":   {"senders refuse to deliver", "TLSA _25._tcp.mail.acme.test TLSA", map[string][]string{"TLSA _25._tcp.mail.acme.test": {"3 1 1 00"}}, wrong, "not ours"},
		"CAA of another":       {"no certificate can be renewed", "CAA acme.test CAA", map[string][]string{"CAA acme.test": {`0 issue "ca.test"`}}, wrong, "may not issue"},
		"no CAA":               {"nobody is shut out", "CAA acme.test CAA", map[string][]string{"CAA acme.test": nil}, ok, "No CAA record"},
		"no MTA-STS":           {"it was forgotten", "TXT _mta-sts.acme.test MTA_STS", map[string][]string{"TXT _mta-sts.acme.test": nil}, missing, "does not exist"},
		"MTA-STS without id":   {"senders pass it over", "TXT _mta-sts.acme.test MTA_STS", map[string][]string{"TXT _mta-sts.acme.test": {"v=STSv1"}}, wrong, "no id"},
		"TLS-RPT of nobody":    {"reports go nowhere", "TXT _smtp._tls.acme.test TLS_RPT", map[string][]string{"TXT _smtp._tls.acme.test": {"v=TLSRPTv1"}}, wrong, "no address"},
		"other token":          {"another's claim", "TXT acme.test OWNERSHIP", map[string][]string{"TXT acme.test": {"v=spf1 mx -all", "dezky-verification=xyz"}}, wrong, "another one"},
		"many texts":           {"the answer comes over TCP", "TXT acme.test OWNERSHIP", map[string][]string{"TXT acme.test": {"v=spf1 mx -all", strings.Repeat("x", 1500), "dezky-verification=abc"}}, ok, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, 1)
			publish(t, s.servers[0])
			for where, values := range tt.set {
				kind, owner, _ := strings.Cut(where, " ")
				must(t, s.servers[0].Set(owner, kind, values...))
			}
			others := slices.Collect(maps.Keys(tt.set))
			for _, c := range s.verify(t) {
				where := string(c.Wanted.Type) + " " + c.Wanted.Name
				switch {
				case where+" "+string(c.Wanted.Purpose) == tt.record:
					if c.Status != tt.status || !strings.Contains(c.Reason, tt.says) || tt.says == "" && c.Reason != "" {
						t.Errorf("%s: %s %q with %q", tt.reason, c.Status, c.Reason, c.Found)
					}
					tt.record = "" // the first of several at the name
				case slices.Contains(others, where), c.Wanted.Purpose == platform.RecordPurposeSPF, c.Wanted.Purpose == platform.RecordPurposeAutoconfig:
				case c.Status != platform.RecordStatusOK:
					t.Errorf("%s was to stay right: %s %q", where, c.Status, c.Reason)
				}
			}
			if tt.record != "" {
				t.Errorf("nothing was said of %s", tt.record)
			}
		})
	}
}

// rsaText is the text of the RSA key, whole.
func rsaText(t *testing.T) string {
	wanted, err := platform.ParseZone(zone)
	must(t, err)
	return wanted[1].Value
}

func TestResolversThatDisagree(t *testing.T) {
	t.Parallel()
	s := newStand(t, 2)
	for _, server := range s.servers {
		publish(t, server)
	}
	must(t, s.servers[1].SetTTL(7200, "acme.test", "MX", "10 mx.old.test."))
	for _, c := range s.verify(t) {
		switch {
		case c.Wanted.Type != platform.RecordTypeMX:
		case c.Status != platform.RecordStatusUnknown || c.LookAgain != 2*time.Hour || !strings.Contains(c.Reason, "do not agree"):
			t.Errorf("half a change turned the domain bad: %s %s, again in %s", c.Status, c.Reason, c.LookAgain)
		case len(c.Found) != 3:
			t.Errorf("not all was shown: %q", c.Found)
		}
	}
	must(t, s.servers[0].Set("acme.test", "MX", "10 mx.old.test."))
	for _, c := range s.verify(t) {
		if c.Wanted.Type == platform.RecordTypeMX && c.Status != platform.RecordStatusWrong {
			t.Errorf("both say that it is wrong: %s", c.Status)
		}
	}
}

func TestAFailingResolverTurnsNothingBad(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]standin.Kind{
		"servfail": standin.ServFail, "refused": standin.Refused, "garbage": standin.Garbage, "wrong ids": standin.WrongID,
		"64 KB": standin.Huge, "1,000 strings": standin.ManyStrings, "pointer loop": standin.PointerLoop,
	} {
		s := newStand(t, 2)
		publish(t, s.servers[0])
		s.servers[1].Fail(standin.Fault{Kind: kind})
		for _, c := range s.verify(t) {
			if c.Status != platform.RecordStatusOK {
				t.Errorf("%s at one of two: %s is %s, %s", name, c.Wanted.Name, c.Status, c.Reason)
			}
		}
		s.servers[0].Fail(standin.Fault{Kind: kind})
		for _, c := range s.verify(t) {
			if c.Status != platform.RecordStatusUnknown || c.Reason == "" {
				t.Errorf("%s at both: %s is %s, %s", name, c.Wanted.Name, c.Status, c.Reason)
			}
		}
	}
}

// TestRecordedZones reads every zone text that a real mail server gave when its
// API was recorded.
func TestRecordedZones(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../stalwart/testdata/transcript.jsonl")
	must(t, err)
	count := 0
	for _, text := range regexp.MustCompile(`"dnsZoneFile": ?("(?:[^"\\]|\\.)*")`).FindAllSubmatch(file, -1) {
		var zone string
		must(t, json.Unmarshal(text[1], &zone))
		records, err := platform.ParseZone(zone)
		if err != nil {
			t.Errorf("%v in\n%s", err, zone)
		}
		if written := platform.ZoneText(records); written != zone {
			t.Errorf("%s\nis written as\n%s", zone, written)
		}
		count += len(records)
	}
	if count == 0 {
		t.Error("no zone text was recorded")
	}
}
