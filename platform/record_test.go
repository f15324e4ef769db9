package platform

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	rsaKey = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwTXKXIBRbTLP8V0b98DDCVsQVWa6m4hvLa5uEw4+gEMDxoDSINME1pqf95Lx6kux6byzPLfBUcuEOI5tH/Z5W4umBCvXODR72btg/qXs57eqyXIbW4uh1Q12LyiCSp9fjJziERuguLwDNWtzpLTuWwOwb+muG86BGu0l6LUPYaD/+yOm85I/4Ss" +
		"NaKefFHqA7hFtoX4MplHRbbnbeuZFNaRXmnTP+xDtUmBVRPh5yWmuvsbs4y/qzjlrUhuNoFnxd4wTpmcLy/BS4wwf4pI9p5zEmxYScDIVhb5H+QE8jwasCGwtZaArhnnJHXRebd8p9xXEOSUg9SQe7WrXFfXOrQIDAQAB"
	edKey  = "4UYRhOI11OoCQcANF1zaz6uXA521TebMW+qkvC4/H2o="
	edName = "v1-ed25519-20260821._domainkey.acme.test"
	hash   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// acmeZone is what the mail server wants of a domain that it hosts.
const acmeZone = edName + `. IN TXT "v=DKIM1; k=ed25519; h=sha256; p=` + edKey + `"
v1-rsa-20260821._domainkey.acme.test. IN TXT (
    "v=DKIM1; k=rsa; h=sha256; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwTXKXIBRbTLP8V0b98DDCVsQVWa6m4hvLa5uEw4+gEMDxoDSINME1pqf95Lx6kux6byzPLfBUcuEOI5tH/Z5W4umBCvXODR72btg/qXs57eqyXIbW4uh1Q12LyiCSp9fjJziERuguLwDNWtzpLTuWwOwb+muG86BGu0l6LUPYaD/+yOm85I/4Ss"
    "NaKefFHqA7hFtoX4MplHRbbnbeuZFNaRXmnTP+xDtUmBVRPh5yWmuvsbs4y/qzjlrUhuNoFnxd4wTpmcLy/BS4wwf4pI9p5zEmxYScDIVhb5H+QE8jwasCGwtZaArhnnJHXRebd8p9xXEOSUg9SQe7WrXFfXOrQIDAQAB"
)
_25._tcp.mail.acme.test. IN TLSA 3 1 1 ` + hash + `
acme.test. IN TXT "v=spf1 mx -all"
acme.test. IN MX 10 mail.dezky.test.
_dmarc.acme.test. IN TXT "v=DMARC1; p=quarantine; rua=mailto:postmaster@acme.test"
_imaps._tcp.acme.test. IN SRV 0 1 993 mail.dezky.test.
mta-sts.acme.test. IN CNAME mail.dezky.test.
_mta-sts.acme.test. IN TXT "v=STSv1; id=12942536112359691423"
_smtp._tls.acme.test. IN TXT "v=TLSRPTv1; rua=mailto:postmaster@acme.test"
acme.test. IN CAA 0 issue "letsencrypt.org;accounturi=https://acme.invalid/1"
acme.test. IN CAA 0 iodef "mailto:postmaster@acme.test"
_ua-auto-config.acme.test. IN TXT "v=UAAC1; a=sha256; d=LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE="
autoconfig.acme.test. IN CNAME mail.dezky.test.
`

// published is a resolver that knows some records by type and name. A value of
// TIMEOUT is a question that it does not answer.
type published map[string][]string

func (p published) find(resolver string, q Question) Finding {
	f := Finding{Resolver: resolver, Outcome: OutcomeNoName, TTL: time.Hour}
	if values := p[string(q.Type)+" "+q.Name]; len(values) > 0 && values[0] == "TIMEOUT" {
		return Finding{Resolver: resolver, Outcome: OutcomeFailed, Failure: FailureTimeout}
	} else if len(values) > 0 {
		f.Outcome, f.Values = OutcomeFound, values
		return f
	}
	for key := range p {
		if strings.HasSuffix(key, " "+q.Name) {
			f.Outcome = OutcomeEmpty
		}
	}
	return f
}

// several are resolvers, each with what it knows.
type several []published

func (s several) Lookup(_ context.Context, questions []Question) ([]Answers, error) {
	var all []Answers
	for _, q := range questions {
		a := Answers{Question: q}
		for i, one := range s {
			a.Findings = append(a.Findings, one.find(string(rune('a'+i)), q))
		}
		all = append(all, a)
	}
	return all, nil
}

// but is a copy with other records: several values with " | " between, "" for
// none.
func (p published) but(changes map[string]string) published {
	p = maps.Clone(p)
	for key, value := range changes {
		delete(p, key)
		if value != "" {
			p[key] = strings.Split(value, " | ")
		}
	}
	return p
}

func publish(wanted []WantedRecord) published {
	p := published{}
	for _, w := range wanted {
		key := string(w.Type) + " " + w.Name
		p[key] = append(p[key], w.Value)
	}
	return p
}

func wantedOf(t *testing.T, zone string) []WantedRecord {
	t.Helper()
	wanted, err := ParseZone(zone)
	if err != nil {
		t.Fatal(err)
	}
	return wanted
}

// checkOf asks resolvers and picks the check of a record.
func checkOf(t *testing.T, wanted []WantedRecord, record string, resolvers ...published) RecordCheck {
	t.Helper()
	known, err := AskRecords(t.Context(), several(resolvers), wanted)
	if err != nil {
		t.Fatal(err)
	}
	if open := QuestionsFor(wanted, known); len(open) > 0 {
		t.Errorf("still open after all was asked: %v", open)
	}
	for _, c := range CheckRecords(wanted, known) {
		if string(c.Wanted.Type)+" "+c.Wanted.Name == record {
			return c
		}
	}
	t.Fatalf("no %s is wanted", record)
	return RecordCheck{}
}

func TestWhatIsPublishedAsWantedIsRight(t *testing.T) {
	t.Parallel()
	wanted := append(wantedOf(t, acmeZone), OwnershipRecord("acme.test", "abc"))
	known, err := AskRecords(t.Context(), several{publish(wanted), publish(wanted)}, wanted)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range CheckRecords(wanted, known) {
		if c.Status != RecordStatusOK || c.Reason != "" || c.LookAgain != time.Hour || c.Expected != c.Wanted.Value {
			t.Errorf("%s %s: %s %s %s", c.Wanted.Type, c.Wanted.Name, c.Status, c.Reason, c.LookAgain)
		}
	}
}

// change is one thing published otherwise, and how the record is then.
type change struct {
	reason string
	record string
	// with are other records; the record itself by "".
	with   map[string]string
	status RecordStatus
	says   string
}

func runChanges(t *testing.T, wanted []WantedRecord, changes map[string]change) {
	t.Helper()
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			with := maps.Clone(c.with)
			if value, ok := with[""]; ok {
				delete(with, "")
				with[c.record] = value
			}
			got := checkOf(t, wanted, c.record, publish(wanted).but(with))
			if got.Status != c.status || !strings.Contains(got.Reason, c.says) || c.says == "" && got.Reason != "" {
				t.Errorf("%s:\n%s %q with %q\ninstead of %s %q", c.reason, got.Status, got.Reason, got.Found, c.status, c.says)
			}
			if got.Status != RecordStatusOK && !strings.HasSuffix(got.Reason, ".") {
				t.Errorf("the reason is no sentence: %q", got.Reason)
			}
		})
	}
}

const (
	okStatus  = RecordStatusOK
	bad       = RecordStatusWrong
	absent    = RecordStatusMissing
	undecided = RecordStatusUnknown
)

func now(value string) map[string]string { return map[string]string{"": value} }

func TestHostRecords(t *testing.T) {
	t.Parallel()
	const mx, srv, alias, tlsa, issue = "MX acme.test", "SRV _imaps._tcp.acme.test", "CNAME autoconfig.acme.test", "TLSA _25._tcp.mail.acme.test", "CAA acme.test"
	const below = `sub.acme.test. IN CAA 0 issue "letsencrypt.org"` + "\n"
	runChanges(t, wantedOf(t, acmeZone+below), map[string]change{
		"mx other number":    {"the number says nothing by itself", mx, now("50 mail.dezky.test."), okStatus, ""},
		"mx capitals":        {"names are the same in any case", mx, now("10 MAIL.Dezky.TEST."), okStatus, ""},
		"mx no dot":          {"some resolvers leave the dot off", mx, now("10 mail.dezky.test"), okStatus, ""},
		"mx twice":           {"twice ours is ours", mx, now("10 mail.dezky.test. | 20 mail.dezky.test."), okStatus, ""},
		"mx none":            {"nothing at all", mx, now(""), absent, "no MX record"},
		"mx foreign":         {"somebody else's", mx, now("10 mx.old.test."), bad, "does not come to mail.dezky.test"},
		"mx alike":           {"a name that only begins alike", mx, now("10 mail.dezky.test.evil.test."), bad, "does not come"},
		"mx foreign first":   {"the old provider gets the mail", mx, now("1 mx.old.test. | 10 mail.dezky.test."), bad, "too, and not after ours"},
		"mx foreign equal":   {"half the mail goes there", mx, now("10 mx.old.test. | 10 mail.dezky.test."), bad, "too, and not after ours"},
		"mx foreign last":    {"it gets what comes while ours is away, and nobody looks there", mx, now("10 mail.dezky.test. | 20 mx.old.test."), bad, "whenever ours cannot be reached"},
		"mx null":            {"RFC 7505: no mail at all", mx, now("0 ."), bad, "no mail at all"},
		"mx no answer":       {"silence is not absence", mx, now("TIMEOUT"), undecided, "in time"},
		"srv other weights":  {"priority and weight are free", srv, now("5 9 993 mail.dezky.test."), okStatus, ""},
		"srv later foreign":  {"apps come to ours first", srv, now("0 1 993 mail.dezky.test. | 10 1 993 imap.old.test."), okStatus, ""},
		"srv first foreign":  {"apps come to theirs first", srv, now("5 1 993 mail.dezky.test. | 0 1 993 imap.old.test."), bad, "imap.old.test port 993 too"},
		"srv other port":     {"the port matters", srv, now("0 1 143 mail.dezky.test."), bad, "mail.dezky.test port 993"},
		"srv off":            {"RFC 2782: a dot is no service", srv, now("0 0 0 ."), bad, "does not have this service"},
		"srv none":           {"nothing at all", srv, now(""), absent, "does not exist"},
		"alias capitals":     {"names are the same in any case", alias, now("Mail.Dezky.Test."), okStatus, ""},
		"alias elsewhere":    {"somebody else's", alias, now("auto.old.test."), bad, "leads to auto.old.test and not to mail.dezky.test"},
		"alias none":         {"nothing at all", alias, now(""), absent, "does not exist"},
		"alias address":      {"an address is no alias", alias, map[string]string{"": "", "A autoconfig.acme.test": "192.0.2.1"}, absent, "an address of its own does not count"},
		"alias chain":        {"over another of theirs", alias, map[string]string{"": "m.acme.test.", "CNAME m.acme.test": "mail.dezky.test."}, okStatus, ""},
		"alias circle":       {"it comes back", alias, map[string]string{"": "m.acme.test.", "CNAME m.acme.test": "autoconfig.acme.test."}, bad, "circle"},
		"alias to itself":    {"the smallest circle", alias, now("autoconfig.acme.test."), bad, "circle"},
		"alias chain silent": {"the rest of the chain is not known", alias, map[string]string{"": "m.acme.test.", "CNAME m.acme.test": "TIMEOUT"}, undecided, "in time"},
		"alias long": {"more hops than anybody needs", alias, map[string]string{
			"": "a1.test.", "CNAME a1.test": "a2.test.", "CNAME a2.test": "a3.test.", "CNAME a3.test": "a4.test.", "CNAME a4.test": "a5.test.",
			"CNAME a5.test": "a6.test.", "CNAME a6.test": "a7.test.", "CNAME a7.test": "a8.test.", "CNAME a8.test": "mail.dezky.test."}, bad, "too many"},
		"alias several":     {"against the protocol", alias, now("mail.dezky.test. | auto.old.test."), bad, "several CNAME"},
		"tlsa capitals":     {"hexadecimal in any case", tlsa, now("3 1 1 " + strings.ToUpper(hash)), okStatus, ""},
		"tlsa beside":       {"the next certificate's stands beside it", tlsa, now("3 1 1 ab | 3 1 1 " + hash), okStatus, ""},
		"tlsa other":        {"senders refuse to deliver", tlsa, now("3 1 1 ab"), bad, "not ours"},
		"tlsa other kind":   {"the numbers say what the data is", tlsa, now("2 1 1 " + hash), bad, "not ours"},
		"tlsa none":         {"nothing at all", tlsa, now(""), absent, "does not exist"},
		"caa none":          {"nobody is shut out", issue, now(""), okStatus, "No CAA record limits"},
		"caa other account": {"RFC 8657: only to that account", issue, now(`0 issue "letsencrypt.org;accounturi=https://acme.invalid/2"`), bad, "not to our account"},
		"caa any account":   {"the issuer is allowed for all", issue, now(`0 issue "LetsEncrypt.org"`), okStatus, ""},
		"caa among others":  {"another issuer beside ours", issue, now(`0 issue "ca.test" | 0 issue "letsencrypt.org"`), okStatus, ""},
		"caa other issuer":  {"ours is shut out", issue, now(`0 issue "ca.test"`), bad, "letsencrypt.org may not"},
		"caa nobody":        {"all are shut out", issue, now(`0 issue ";"`), bad, "letsencrypt.org may not"},
		"caa only wild":     {"it speaks of other certificates", issue, now(`0 issuewild "ca.test"`), okStatus, "No CAA record limits"},
		"caa critical":      {"issuers stop at what they do not know", issue, now(`128 tbs "x" | 0 issue "letsencrypt.org"`), bad, "critical"},
		"caa above":         {"RFC 8659: the name above speaks for it", "CAA sub.acme.test", map[string]string{"": "", "CAA acme.test": `0 issue "ca.test"`}, bad, "may not"},
		"caa above silent":  {"the name above is not known", "CAA sub.acme.test", map[string]string{"": "", "CAA acme.test": "TIMEOUT"}, undecided, "in time"},
	})
}

func TestTextRecords(t *testing.T) {
	t.Parallel()
	const dkim, dmarc, sts, rpt, auto = "TXT " + edName, "TXT _dmarc.acme.test", "TXT _mta-sts.acme.test", "TXT _smtp._tls.acme.test", "TXT _ua-auto-config.acme.test"
	const rsa = "TXT v1-rsa-20260821._domainkey.acme.test"
	const good = "v=DMARC1; p=quarantine; rua=mailto:postmaster@acme.test"
	runChanges(t, wantedOf(t, acmeZone), map[string]change{
		"dkim blanks in key":   {"blanks in a key do not count", dkim, now("v=DKIM1; k=ed25519; p=4UYRhOI11OoCQcANF1zaz6u XA521TebMW+qkvC4/H2o="), okStatus, ""},
		"dkim no blanks":       {"blanks between parts do not count", dkim, now("v=DKIM1;k=ed25519;p=" + edKey + ";"), okStatus, ""},
		"dkim no version":      {"the version may be left out", dkim, now("k=ed25519; p=" + edKey), okStatus, ""},
		"dkim other order":     {"the order of parts is free", dkim, now("v=DKIM1; p=" + edKey + "; k=ed25519"), okStatus, ""},
		"dkim unfilled":        {"the signs that fill a key up may be left out", dkim, now("v=DKIM1; k=ed25519; p=" + strings.TrimSuffix(edKey, "=")), okStatus, ""},
		"dkim unknown part":    {"parts that nobody knows are passed over", dkim, now("v=DKIM1; k=ed25519; x=1; p=" + edKey), okStatus, ""},
		"dkim beside others":   {"another text at the name is no key", dkim, now("v=DKIM1; k=ed25519; p=" + edKey + " | hello"), okStatus, ""},
		"dkim trying out":      {"said, but not wrong", dkim, now("v=DKIM1; k=ed25519; t=y:s; p=" + edKey), okStatus, "tried out"},
		"dkim rsa by default":  {"RFC 6376: k is rsa where it is left out", rsa, now("v=DKIM1; p=" + rsaKey), okStatus, ""},
		"dkim revoked":         {"an empty key is a revoked one", dkim, now("v=DKIM1; k=ed25519; p="), bad, "revoked"},
		"dkim no key":          {"without p= it is none", dkim, now("v=DKIM1; k=ed25519"), bad, "no key"},
		"dkim other key":       {"mails would not verify", dkim, now("v=DKIM1; k=ed25519; p=AAAA"), bad, "not ours"},
		"dkim other case":      {"keys have capitals", dkim, now("v=DKIM1; k=ed25519; p=" + strings.ToLower(edKey)), bad, "not ours"},
		"dkim other kind":      {"an RSA verifier cannot read it", dkim, now("v=DKIM1; p=" + edKey), bad, "another kind than ed25519"},
		"dkim cut off":         {"the second string was lost on the way", rsa, now("v=DKIM1; k=rsa; h=sha256; p=" + rsaKey[:227]), bad, "cut off"},
		"dkim backslashes":     {"copied from a zone file", dkim, now(`v=DKIM1\; k=ed25519\; p=` + edKey), bad, "backslash"},
		"dkim version late":    {"RFC 6376: first, or not at all", dkim, now("k=ed25519; v=DKIM1; p=" + edKey), bad, "version must be the first"},
		"dkim other version":   {"a version that nobody knows", dkim, now("v=DKIM2; k=ed25519; p=" + edKey), bad, "version"},
		"dkim twice the key":   {"RFC 6376: a list with doubles is none", dkim, now("v=DKIM1; k=ed25519; p=" + edKey + "; p=x"), bad, "p= twice"},
		"dkim capital names":   {"RFC 6376: names of parts have a case", dkim, now("v=DKIM1; k=ed25519; P=" + edKey), bad, "no key"},
		"dkim other hash":      {"ours is not allowed", dkim, now("v=DKIM1; k=ed25519; h=sha1; p=" + edKey), bad, "hash"},
		"dkim not for mail":    {"s= names other services", dkim, now("v=DKIM1; k=ed25519; s=tlsrpt; p=" + edKey), bad, "not for mail"},
		"dkim for mail":        {"s= names mail", dkim, now("v=DKIM1; k=ed25519; s=tlsrpt:email; p=" + edKey), okStatus, ""},
		"dkim several":         {"verifiers may take either", dkim, now("v=DKIM1; k=ed25519; p=" + edKey + " | v=DKIM1; p=AAAA"), bad, "2 records for DKIM"},
		"dkim none":            {"nothing at all", dkim, now(""), absent, "does not exist"},
		"dkim other text":      {"a wildcard answers with something else", dkim, now("v=spf1 -all"), absent, "none is for DKIM"},
		"dkim quoted":          {"quotation marks inside the text", dkim, now(`"v=DKIM1; k=ed25519; p=` + edKey + `"`), bad, "not a list"},
		"dmarc stricter":       {"stricter is fine", dmarc, now(strings.Replace(good, "quarantine", "reject", 1)), okStatus, ""},
		"dmarc capitals":       {"policies in any case", dmarc, now(strings.Replace(good, "p=quarantine", "P=Quarantine", 1)), okStatus, ""},
		"dmarc more addresses": {"reports to us and to others", dmarc, now("v=DMARC1;p=quarantine;rua=mailto:a@b.test, mailto:Postmaster@acme.test!10m"), okStatus, ""},
		"dmarc no reports":     {"said, but not wrong", dmarc, now("v=DMARC1; p=quarantine"), okStatus, "Reports do not come to us"},
		"dmarc part":           {"said, but not wrong", dmarc, now(good + "; pct=20"), okStatus, "only 20 of 100"},
		"dmarc weak below":     {"said, but not wrong", dmarc, now(good + "; sp=none"), okStatus, "subdomains is weaker"},
		"dmarc beside others":  {"another text at the name", dmarc, now(good + " | hello"), okStatus, ""},
		"dmarc weaker":         {"ours is quarantine", dmarc, now(strings.Replace(good, "quarantine", "none", 1)), bad, "none, which is weaker than quarantine"},
		"dmarc no policy":      {"not even one", dmarc, now("v=DMARC1; rua=mailto:postmaster@acme.test"), bad, "no policy"},
		"dmarc strange policy": {"a word of their own", dmarc, now("v=DMARC1; p=block"), bad, "none of none"},
		"dmarc strange below":  {"a word of their own", dmarc, now(good + "; sp=block"), bad, "subdomains (sp=block)"},
		"dmarc strange part":   {"no number", dmarc, now(good + "; pct=all"), bad, "pct"},
		"dmarc version late":   {"RFC 7489: first", dmarc, now("p=reject; v=DMARC1"), bad, "begin with v=DMARC1"},
		"dmarc small version":  {"RFC 7489: in capitals", dmarc, now("v=dmarc1; p=reject"), bad, "begin with v=DMARC1"},
		"dmarc several":        {"receivers pass over all of them", dmarc, now(good + " | v=DMARC1; p=none"), bad, "2 records for DMARC"},
		"dmarc twice":          {"which one counts?", dmarc, now(good + "; p=none"), bad, "p= twice"},
		"dmarc quoted":         {"quotation marks inside the text", dmarc, now(`"` + good + `"`), bad, "quotation marks"},
		"dmarc commas":         {"commas instead of semicolons", dmarc, now("v=DMARC1, p=reject"), bad, "begin with v=DMARC1"},
		"dmarc none":           {"nothing at all", dmarc, now(""), absent, "does not exist"},
		"dmarc other text":     {"a wildcard answers with something else", dmarc, now("v=spf1 -all"), absent, "none is for DMARC"},
		"sts other id":         {"an older policy is still one", sts, now("v=STSv1; id=1;"), okStatus, "not the newest"},
		"sts no id":            {"without one senders pass it over", sts, now("v=STSv1;"), bad, "no id"},
		"sts strange id":       {"letters and digits alone", sts, now("v=STSv1; id=2026-11-24"), bad, "no id"},
		"sts several":          {"RFC 8461: one", sts, now("v=STSv1; id=1 | v=STSv1; id=2"), bad, "2 records for MTA-STS"},
		"sts none":             {"nothing at all", sts, now(""), absent, "does not exist"},
		"rpt elsewhere":        {"somebody else reads them", rpt, now("v=TLSRPTv1; rua=https://reports.test/x"), okStatus, "another address"},
		"rpt no address":       {"nobody reads them", rpt, now("v=TLSRPTv1;"), bad, "no address"},
		"rpt strange version":  {"a version that nobody knows", rpt, now("v=TLSRPTv2; rua=mailto:postmaster@acme.test"), bad, "begin with v=TLSRPTv1"},
		"rpt none":             {"nothing at all", rpt, now(""), absent, "does not exist"},
		"auto blanks":          {"blanks at semicolons do not count", auto, now("v=UAAC1;a=sha256;d=LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE="), okStatus, ""},
		"auto other":           {"another digest", auto, now("v=UAAC1; a=sha256; d=AAAA"), bad, "another one"},
		"auto something else":  {"a text for something else", auto, now("hello"), absent, "not this one"},
	})
}

func TestOwnership(t *testing.T) {
	t.Parallel()
	const record = "TXT acme.test"
	runChanges(t, []WantedRecord{OwnershipRecord("acme.test", "abc")}, map[string]change{
		"among others": {"other texts stand beside it", record, now("v=spf1 -all | google=1 | dezky-verification=abc"), okStatus, ""},
		"other claim":  {"another tenant's claim stands beside it", record, now("dezky-verification=xyz | dezky-verification=abc"), okStatus, ""},
		"other token":  {"another one proves nothing", record, now("dezky-verification=xyz"), bad, "another one"},
		"capitals":     {"a token has a case", record, now("dezky-verification=ABC"), bad, "another one"},
		"longer":       {"a token that only begins so", record, now("dezky-verification=abcd"), bad, "more in it"},
		"quoted":       {"quotation marks inside the text", record, now(`"dezky-verification=abc"`), bad, "quotation marks"},
		"only others":  {"texts for others", record, now("v=spf1 -all"), absent, "not this one"},
		"none":         {"nothing at all", record, now(""), absent, "does not exist"},
		"silence":      {"silence is not absence", record, now("TIMEOUT"), undecided, "in time"},
	})
}

func TestResolversAreCompared(t *testing.T) {
	t.Parallel()
	wanted := []WantedRecord{OwnershipRecord("acme.test", "abc")}
	good := publish(wanted)
	silent, gone := good.but(map[string]string{"TXT acme.test": "TIMEOUT"}), published{}
	other := good.but(map[string]string{"TXT acme.test": "dezky-verification=xyz"})
	for name, test := range map[string]struct {
		reason    string
		resolvers []published
		status    RecordStatus
		says      string
	}{
		"both right":        {"all agree", []published{good, good}, okStatus, ""},
		"one is silent":     {"who is silent has no say", []published{good, silent}, okStatus, ""},
		"silent, then gone": {"who is silent has no say", []published{silent, gone}, absent, "does not exist"},
		"all silent":        {"a good domain is not turned bad", []published{silent, silent}, undecided, "in time"},
		"right and gone":    {"a change spreads", []published{good, gone}, undecided, "do not agree"},
		"gone and right":    {"in whatever order", []published{gone, good}, undecided, "a says: The name does not exist"},
		"right and wrong":   {"a change spreads", []published{good, other, silent}, undecided, "do not agree"},
		"gone and wrong":    {"none is right, and wrong says more", []published{gone, other}, bad, "another one"},
		"no resolver":       {"nobody was asked", nil, undecided, "not looked up"},
	} {
		known, err := several(test.resolvers).Lookup(t.Context(), QuestionsFor(wanted, nil))
		if err != nil {
			t.Fatal(err)
		}
		got := CheckRecords(wanted, known)[0]
		if got.Status != test.status || !strings.Contains(got.Reason, test.says) {
			t.Errorf("%s: %s: %s %q", name, test.reason, got.Status, got.Reason)
		}
	}
}

func TestWhyNobodyCouldTell(t *testing.T) {
	t.Parallel()
	wanted := []WantedRecord{OwnershipRecord("acme.test", "abc")}
	said := map[string]bool{}
	for _, failure := range []Failure{FailureTimeout, FailureUnreachable, FailureServer, FailureRefused, FailureGarbled, FailureTooLong} {
		f := Finding{Resolver: "a", Outcome: OutcomeFailed, Failure: failure}
		got := CheckRecords(wanted, []Answers{{Question{"acme.test", RecordTypeTXT}, []Finding{f}}})[0]
		if got.Status != RecordStatusUnknown || said[got.Reason] || strings.Contains(got.Reason, "not looked up") {
			t.Errorf("%s: %s %q", failure, got.Status, got.Reason)
		}
		said[got.Reason] = true
	}
}

func TestLookAgain(t *testing.T) {
	t.Parallel()
	wanted := []WantedRecord{OwnershipRecord("acme.test", "abc")}
	found := func(resolver string, ttl time.Duration, values ...string) Finding {
		return Finding{Resolver: resolver, Outcome: OutcomeFound, Values: values, TTL: ttl}
	}
	for name, test := range map[string]struct {
		reason   string
		findings []Finding
		want     time.Duration
	}{
		"of the TTL":      {"what is remembered has run out", []Finding{found("a", time.Hour, wanted[0].Value)}, time.Hour},
		"no TTL":          {"a TTL of 0 must not make us ask without end", []Finding{found("a", 0, "x")}, time.Minute},
		"a week":          {"nobody waits longer than a day", []Finding{found("a", 7*24*time.Hour, "x")}, 24 * time.Hour},
		"the longer":      {"all must have run out", []Finding{found("a", time.Hour, "x"), found("b", 2*time.Hour, "x")}, 2 * time.Hour},
		"who is wrong":    {"the right one is not waited for", []Finding{found("a", 9*time.Hour, wanted[0].Value), found("b", time.Hour, "x")}, time.Hour},
		"nobody answered": {"soon", []Finding{{Resolver: "a", Outcome: OutcomeFailed, Failure: FailureServer}}, time.Minute},
	} {
		question := Question{"acme.test", RecordTypeTXT}
		got := CheckRecords(wanted, []Answers{{question, test.findings}})[0]
		if got.LookAgain != test.want {
			t.Errorf("%s: %s: %s instead of %s", name, test.reason, got.LookAgain, test.want)
		}
	}
}

func TestFoundIsBounded(t *testing.T) {
	t.Parallel()
	wanted := []WantedRecord{OwnershipRecord("acme.test", "abc")}
	var values []string
	for i := range 40 {
		values = append(values, "dezky-verification="+strings.Repeat("€", 9000+i))
	}
	f := Finding{Resolver: "a", Outcome: OutcomeFound, Values: values}
	got := CheckRecords(wanted, []Answers{{Question{"acme.test", RecordTypeTXT}, []Finding{f}}})[0]
	size := 0
	for _, value := range got.Found {
		size += len(value)
	}
	if len(got.Found) == 0 || len(got.Found) > 10 || size > 10<<10 {
		t.Errorf("%d values of %d bytes", len(got.Found), size)
	}
	if !slices.ContainsFunc(got.Found, func(v string) bool { return strings.HasSuffix(v, "€") }) {
		t.Error("a letter was cut in two")
	}
}
