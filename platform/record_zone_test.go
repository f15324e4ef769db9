package platform

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseZone(t *testing.T) {
	t.Parallel()
	wanted := wantedOf(t, acmeZone)
	var got []string
	for _, w := range wanted {
		must := "recommended"
		if w.Required {
			must = "required"
		}
		got = append(got, strings.Join([]string{string(w.Purpose), string(w.Type), w.Name, must}, " "))
	}
	want := []string{
		"DKIM TXT v1-ed25519-20260821._domainkey.acme.test required",
		"DKIM TXT v1-rsa-20260821._domainkey.acme.test required",
		"TLSA TLSA _25._tcp.mail.acme.test recommended",
		"SPF TXT acme.test required",
		"MX MX acme.test required",
		"DMARC TXT _dmarc.acme.test required",
		"SERVICE SRV _imaps._tcp.acme.test recommended",
		"MTA_STS CNAME mta-sts.acme.test recommended",
		"MTA_STS TXT _mta-sts.acme.test recommended",
		"TLS_RPT TXT _smtp._tls.acme.test recommended",
		"CAA CAA acme.test recommended",
		"CAA CAA acme.test recommended",
		"AUTOCONFIG TXT _ua-auto-config.acme.test recommended",
		"AUTOCONFIG CNAME autoconfig.acme.test recommended",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if want := "v=DKIM1; k=rsa; h=sha256; p=" + rsaKey; wanted[1].Value != want {
		t.Errorf("the strings of a text are not joined: %s", wanted[1].Value)
	}
	if text := ZoneText(wanted); text != acmeZone {
		t.Error(cmp.Diff(acmeZone, text))
	}
}

func TestParseZoneLines(t *testing.T) {
	t.Parallel()
	for line, test := range map[string]struct{ value, reason string }{
		"":                                       {"", "a domain without records"},
		"\n\n":                                   {"", "blank lines"},
		`A.Test. IN TXT "x"`:                     {"x", "names in any case"},
		`a.test. IN TXT "a\"b\\c"`:               {`a"b\c`, "what is escaped"},
		`a.test. IN TXT ""`:                      {"", "an empty text"},
		`a.test. IN MX 010 B.Test.`:              {"10 b.test.", "one form of numbers and names"},
		`_s._tcp.a.test. IN SRV 0 1 443 b.test.`: {"0 1 443 b.test.", "three numbers and a name"},
		"a.test. IN TXT (\n    \"x\"\n    \"y\"\n)":         {"xy", "several strings"},
		`a.test. IN CAA 128 Issue ";"`:                      {`128 issue ";"`, "a tag in small letters"},
		`_25._tcp.a.test. IN TLSA 3 1 1 ABCD`:               {"3 1 1 abcd", "hexadecimal in small letters"},
		`a.test. IN TXT x`:                                  {"!", "no quotation marks"},
		`a.test. IN TXT "x`:                                 {"!", "never closed"},
		`a.test. IN TXT "x" y`:                              {"!", "something behind it"},
		`a.test. IN TXT "x" "y"`:                            {"!", "two strings in a line are not its form"},
		`a.test. IN TXT "x\y"`:                              {"!", "a backslash before what needs none"},
		`a.test. IN TXT "x\"`:                               {"!", "the closing mark is escaped"},
		"a.test. IN TXT \"x\ty\"":                           {"!", "a control character"},
		"a.test. IN TXT \"\xff\"":                           {"!", "not UTF-8"},
		`a.test. IN TXT "` + strings.Repeat("x", 256) + `"`: {"!", "a string that is too long"},
		"a.test. IN TXT (\n    \"x\"":                       {"!", "a bracket that is never closed"},
		"a.test. IN TXT (\n    x\n)":                        {"!", "no string inside"},
		"a.test. IN TXT (\n    \"x\"\n) y":                  {"!", "something behind the bracket"},
		`a.test IN TXT "x"`:                                 {"!", "a name that is not absolute"},
		`a..test. IN TXT "x"`:                               {"!", "an empty label"},
		`a b.test. IN TXT "x"`:                              {"!", "a blank in a name"},
		strings.Repeat("a", 64) + `. IN TXT "x"`:            {"!", "a label that is too long"},
		`$ORIGIN a.test.`:                                   {"!", "a directive"},
		`a.test. 300 IN TXT "x"`:                            {"!", "a TTL"},
		`a.test. CH TXT "x"`:                                {"!", "another class"},
		`a.test. IN A 192.0.2.1`:                            {"!", "a type that is not wanted"},
		`; remark`:                                          {"!", "a remark"},
		`a.test. IN MX b.test.`:                             {"!", "too little"},
		`a.test. IN MX 70000 b.test.`:                       {"!", "too large"},
		`a.test. IN MX 10 b.test`:                           {"!", "a target that is not absolute"},
		`a.test. IN MX 10 b.test. c`:                        {"!", "too much"},
		`a.test. IN CAA 0 issue`:                            {"!", "too little"},
		`a.test. IN CAA 0 iss_ue "x"`:                       {"!", "no tag"},
		`a.test. IN CAA 256 issue "x"`:                      {"!", "too large"},
		`a.test. IN TLSA 3 1 1 xyz`:                         {"!", "not hexadecimal"},
		`a.test. IN TLSA 3 1 1`:                             {"!", "too little"},
		`a.test. IN TLSA 3 1 x ab`:                          {"!", "no number"},
		`a.test. IN CNAME b.test. c`:                        {"!", "too much"},
		"a.test. IN CNAME b.test.\r":                        {"!", "another line end"},
		strings.Repeat("x", 256<<10+1):                      {"!", "too long"},
		strings.Repeat("a.test. IN CNAME b.test.\n", 501):   {"!", "too many records"},
	} {
		got, err := ParseZone(line)
		switch {
		case test.value == "!" && (CodeOf(err) != Unavailable || len(got) > 0):
			t.Errorf("%s: %.60q gave %v, %v", test.reason, line, got, err)
		case test.value != "!" && err != nil:
			t.Errorf("%s: %.60q: %v", test.reason, line, err)
		case test.value != "!" && len(got) > 0 && got[0].Value != test.value:
			t.Errorf("%s: %.60q gave %q instead of %q", test.reason, line, got[0].Value, test.value)
		}
	}
	_, err := ParseZone("a.test. IN CNAME b.test.\nnonsense\n")
	if ours, ok := errors.AsType[*Error](err); !ok || !strings.Contains(ours.Message, "line 2") {
		t.Errorf("the line is not named: %v", err)
	}
}

// FuzzParseZone looks for texts that the parser takes and cannot write again.
func FuzzParseZone(f *testing.F) {
	f.Add(acmeZone)
	f.Add("a.test. IN TXT (\n    \"x\\\"\"\n)\na.test. IN CAA 0 issue \";\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		records, err := ParseZone(text)
		if err != nil {
			return
		}
		again, err := ParseZone(ZoneText(records))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if !slices.Equal(records, again) {
			t.Fatalf("%v turned into %v", records, again)
		}
	})
}
