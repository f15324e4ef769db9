package platform

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// chainOf are records that include one another, n in all, the last of which
// names a network.
func chainOf(n int) map[string]string {
	chain := map[string]string{}
	for i := 1; i < n; i++ {
		chain[fmt.Sprintf("TXT s%d.test", i)] = fmt.Sprintf("v=spf1 include:s%d.test -all", i+1)
	}
	chain[fmt.Sprintf("TXT s%d.test", n)] = "v=spf1 ip4:203.0.113.0/24 -all"
	return chain
}

func TestSPF(t *testing.T) {
	t.Parallel()
	const spf = "TXT acme.test"
	// us is where our mails come from: what ours is looked up as.
	us := map[string]string{"A mail.dezky.test": "192.0.2.10"}
	both := map[string]string{"A mail.dezky.test": "192.0.2.10", "AAAA mail.dezky.test": "2001:db8::10"}
	with := func(text string, more ...map[string]string) map[string]string {
		all := map[string]string{"": text}
		for _, m := range more {
			maps.Copy(all, m)
		}
		return all
	}
	wanted := wantedOf(t, "acme.test. IN TXT \"v=spf1 mx -all\"\nacme.test. IN MX 10 mail.dezky.test.\n")
	include := func(host, text string) map[string]string { return map[string]string{"TXT " + host: text} }
	runChanges(t, wanted, map[string]change{
		"softer":            {"how others are treated is the domain's business", spf, with("v=spf1 mx ~all"), okStatus, ""},
		"capitals":          {"SPF has no case", spf, with("V=SPF1 MX -ALL"), okStatus, ""},
		"plus":              {"a plus is what is meant without one", spf, with("v=spf1 +mx -all"), okStatus, ""},
		"blanks":            {"several blanks", spf, with("v=spf1  mx   -all "), okStatus, ""},
		"other order":       {"others may stand before ours", spf, with("v=spf1 ip4:203.0.113.0/24 a:web.acme.test mx -all"), okStatus, ""},
		"beside others":     {"other texts at the name", spf, with("hello | v=spf1 mx -all | google=1"), okStatus, ""},
		"by name":           {"the domain names our host", spf, with("v=spf1 a:mail.dezky.test -all"), okStatus, ""},
		"by name, dotted":   {"a dot at the end of a name", spf, with("v=spf1 a:Mail.dezky.test. -all"), okStatus, ""},
		"mx named":          {"the domain names itself", spf, with("v=spf1 mx:acme.test -all"), okStatus, ""},
		"unknown modifier":  {"RFC 7208: passed over", spf, with("v=spf1 mx x-note=hi exp=e.acme.test -all"), okStatus, ""},
		"address":           {"our address", spf, with("v=spf1 ip4:192.0.2.10 -all", us), okStatus, ""},
		"network":           {"our network", spf, with("v=spf1 ip4:192.0.2.0/24 -all", us), okStatus, ""},
		"both families":     {"both our addresses", spf, with("v=spf1 ip6:2001:db8::/32 ip4:192.0.2.10 -all", both), okStatus, ""},
		"own host":          {"a name of theirs with our address", spf, with("v=spf1 a:out.acme.test -all", us, map[string]string{"A out.acme.test": "192.0.2.10"}), okStatus, ""},
		"own host, wide":    {"a name of theirs next to us", spf, with("v=spf1 a:out.acme.test/24 -all", us, map[string]string{"A out.acme.test": "192.0.2.77"}), okStatus, ""},
		"wide both":         {"both widths", spf, with("v=spf1 a:out.acme.test/24//32 -all", both, map[string]string{"A out.acme.test": "192.0.2.77", "AAAA out.acme.test": "2001:db8::1"}), okStatus, ""},
		"include with us":   {"an include that leads to us", spf, with("v=spf1 include:spf.acme.test -all", us, include("spf.acme.test", "v=spf1 ip4:192.0.2.10 -all")), okStatus, ""},
		"include by name":   {"an include that names our host", spf, with("v=spf1 include:spf.acme.test -all", include("spf.acme.test", "v=spf1 a:mail.dezky.test ?all")), okStatus, ""},
		"include in two":    {"an include of an include", spf, with("v=spf1 include:spf.acme.test -all", include("spf.acme.test", "v=spf1 include:b.acme.test -all"), include("b.acme.test", "v=spf1 a:mail.dezky.test -all")), okStatus, ""},
		"include first":     {"somebody else's include before ours", spf, with("v=spf1 include:spf.other.test mx -all", include("spf.other.test", "v=spf1 ip4:203.0.113.1 -all")), okStatus, ""},
		"redirect with us":  {"a redirect that leads to us", spf, with("v=spf1 redirect=spf.acme.test", include("spf.acme.test", "v=spf1 a:mail.dezky.test -all")), okStatus, ""},
		"unused redirect":   {"RFC 7208: a redirect beside all is passed over", spf, with("v=spf1 mx -all redirect=nowhere.test"), okStatus, ""},
		"no end":            {"said, but not wrong", spf, with("v=spf1 mx"), okStatus, "end it with -all"},
		"neutral end":       {"said, but not wrong", spf, with("v=spf1 mx ?all"), okStatus, "end it with -all"},
		"behind all":        {"said, but not wrong", spf, with("v=spf1 mx -all a"), okStatus, "passed over"},
		"macro later":       {"what stands behind ours does not matter", spf, with("v=spf1 mx exists:%{i}.spf.acme.test -all"), okStatus, ""},
		"macro before":      {"whatever it says, ours passes", spf, with("v=spf1 exists:%{i}.spf.acme.test mx -all"), okStatus, ""},
		"macro and address": {"whatever it says, ours passes", spf, with("v=spf1 exists:%{i}.spf.acme.test ip4:192.0.2.10 -all", us), okStatus, ""},
		"not us before":     {"it bars others", spf, with("v=spf1 -ip4:203.0.113.7 mx -all", us), okStatus, ""},
		"include silent":    {"ours passes, whatever the other says", spf, with("v=spf1 include:spf.other.test mx -all", include("spf.other.test", "TIMEOUT")), okStatus, ""},
		"ten look-ups":      {"as many as receivers make", spf, with("v=spf1 include:s1.test mx -all", chainOf(9)), okStatus, ""},
		"two lead nowhere":  {"as many as receivers bear", spf, with("v=spf1 a:x.test a:y.test mx -all"), okStatus, ""},

		"not us":             {"nothing names us", spf, with("v=spf1 ip4:203.0.113.0/24 -all", us), bad, "does not let mail.dezky.test"},
		"nobody":             {"the domain sends nothing", spf, with("v=spf1 -all"), bad, "does not let mail.dezky.test send"},
		"empty":              {"a record without a word", spf, with("v=spf1"), bad, "does not let mail.dezky.test send"},
		"everybody":          {"the whole world may send", spf, with("v=spf1 mx +all"), bad, "everybody"},
		"everybody, bare":    {"all is +all", spf, with("v=spf1 mx all"), bad, "everybody"},
		"everybody, include": {"over another record", spf, with("v=spf1 include:spf.acme.test mx -all", include("spf.acme.test", "v=spf1 +all")), bad, "over spf.acme.test"},
		"everybody, network": {"no mechanism names us, but a network of all", spf, with("v=spf1 redirect=spf.acme.test", include("spf.acme.test", "v=spf1 all")), bad, "everybody"},
		"barred":             {"a minus before us", spf, with("v=spf1 -mx ~all"), bad, "does not let"},
		"barred by address":  {"a minus before our address", spf, with("v=spf1 -ip4:192.0.2.10 mx -all", us), bad, "does not let mail.dezky.test (192.0.2.10)"},
		"all first":          {"all ends the record", spf, with("v=spf1 -all mx"), bad, "What stands behind all is passed over"},
		"one family":         {"our mails may come over IPv6", spf, with("v=spf1 ip4:192.0.2.10 -all", both), bad, "mail.dezky.test (2001:db8::10)"},
		"several":            {"RFC 7208: a permanent error", spf, with("v=spf1 mx -all | v=spf1 include:spf.other.test -all"), bad, "2 SPF records"},
		"unknown mechanism":  {"RFC 7208: a permanent error", spf, with("v=spf1 mx mail.dezky.test -all"), bad, "mail.dezky.test is nothing that SPF knows"},
		"semicolon":          {"no semicolons in SPF", spf, with("v=spf1; mx; -all"), bad, "begin with v=spf1 and a blank"},
		"quoted":             {"quotation marks inside the text", spf, with(`"v=spf1 mx -all"`), bad, "begin with v=spf1"},
		"bad address":        {"RFC 7208: a permanent error", spf, with("v=spf1 ip4:192.0.2 mx -all"), bad, "ip4:192.0.2 is nothing"},
		"bad family":         {"an address of the other family", spf, with("v=spf1 ip4:2001:db8::1 mx -all"), bad, "nothing that SPF knows"},
		"bad width":          {"wider than an address", spf, with("v=spf1 mx/33 -all"), bad, "nothing that SPF knows"},
		"all with argument":  {"all has none", spf, with("v=spf1 mx -all:x"), bad, "nothing that SPF knows"},
		"no letters":         {"what looks like a blank and is none", spf, with("v=spf1 mx\u00a0-all"), bad, "characters"},
		"redirect twice":     {"RFC 7208: a permanent error", spf, with("v=spf1 mx redirect=a.test redirect=b.test"), bad, "redirect= twice"},
		"include nowhere":    {"RFC 7208: a permanent error", spf, with("v=spf1 include:nowhere.test mx -all"), bad, "leads to nowhere.test"},
		"include no SPF":     {"RFC 7208: a permanent error", spf, with("v=spf1 include:spf.acme.test mx -all", include("spf.acme.test", "hello")), bad, "leads to spf.acme.test"},
		"include nothing":    {"an include of no name", spf, with("v=spf1 include: mx -all"), bad, "nothing that SPF knows"},
		"redirect nowhere":   {"RFC 7208: a permanent error", spf, with("v=spf1 redirect=nowhere.test"), bad, "leads to nowhere.test"},
		"include not us":     {"an include that does not lead to us", spf, with("v=spf1 include:spf.other.test -all", us, include("spf.other.test", "v=spf1 ip4:203.0.113.1 -all")), bad, "does not let"},
		"include bars us":    {"an include that bars us says nothing", spf, with("v=spf1 include:spf.other.test -all", us, include("spf.other.test", "v=spf1 -ip4:192.0.2.10 +ip4:192.0.2.0/24 -all")), bad, "does not let"},
		"eleven look-ups":    {"more than receivers make", spf, with("v=spf1 include:s1.test mx -all", chainOf(10)), bad, "more than 10 look-ups"},
		"include itself":     {"a circle ends at ten look-ups", spf, with("v=spf1 include:acme.test mx -all"), bad, "more than 10 look-ups"},
		"three lead nowhere": {"more than receivers bear", spf, with("v=spf1 a:x.test a:y.test a:z.test mx -all"), bad, "More than 2 of its names lead nowhere"},
		"too many hosts":     {"RFC 7208: ten hosts of an mx", spf, with("v=spf1 mx:many.test mx -all", map[string]string{"MX many.test": strings.Join(slices.Repeat([]string{"1 a.test."}, 11), " | ")}), bad, "more than 10"},
		"mx not ours":        {"the domain's exchangers are somebody else's", spf, map[string]string{"": "v=spf1 mx -all", "MX acme.test": "10 mx.old.test."}, bad, "does not let"},

		"none":                    {"nothing at all", spf, map[string]string{"": ""}, absent, "no TXT record"},
		"only others":             {"texts for others", spf, with("hello"), absent, "none is for SPF"},
		"silence":                 {"silence is not absence", spf, with("TIMEOUT"), undecided, "in time"},
		"include with us gone":    {"what leads to us is not known", spf, with("v=spf1 include:spf.acme.test -all", us, include("spf.acme.test", "TIMEOUT")), undecided, "spf.acme.test cannot be looked up"},
		"our address gone":        {"our own address is not known", spf, with("v=spf1 ip4:192.0.2.10 -all", map[string]string{"A mail.dezky.test": "TIMEOUT"}), undecided, "addresses of mail.dezky.test"},
		"half our addresses gone": {"one address alone proves nothing", spf, with("v=spf1 exists:%{i}.x.test ip6:2001:db8::/32 -all", map[string]string{"A mail.dezky.test": "TIMEOUT", "AAAA mail.dezky.test": "2001:db8::10"}), undecided, "macros"},
		"no address of ours":      {"our own host is not there", spf, with("v=spf1 ip4:192.0.2.10 -all"), undecided, "has no address"},
		"exchangers gone":         {"the exchangers are not known", spf, map[string]string{"": "v=spf1 mx -all", "MX acme.test": "TIMEOUT"}, undecided, "exchangers of acme.test"},
		"only macros":             {"macros are not followed", spf, with("v=spf1 include:%{d}.spf.other.test -all", us), undecided, "macros"},
		"barring macro":           {"it may bar us", spf, with("v=spf1 -exists:%{i}.bad.test mx -all", us), undecided, "macros"},
	})
}

func TestSPFThatIsIncluded(t *testing.T) {
	t.Parallel()
	const spf = "TXT acme.test"
	wanted := wantedOf(t, "acme.test. IN TXT \"v=spf1 include:_spf.dezky.test -all\"\n")
	ours := map[string]string{"TXT _spf.dezky.test": "v=spf1 ip4:192.0.2.0/28 -all"}
	with := func(text string, more ...map[string]string) map[string]string {
		all := map[string]string{"": text}
		for _, m := range append(more, ours) {
			maps.Copy(all, m)
		}
		return all
	}
	runChanges(t, wanted, map[string]change{
		"just so":        {"as we say", spf, with("v=spf1 include:_spf.dezky.test -all"), okStatus, ""},
		"capitals":       {"names are the same in any case", spf, with("v=spf1 include:_SPF.Dezky.Test. ~all"), okStatus, ""},
		"beside others":  {"in whatever order", spf, with("v=spf1 ip4:203.0.113.1 mx a include:_spf.dezky.test -all", map[string]string{"MX acme.test": "1 a.test.", "A acme.test": "203.0.113.1"}), okStatus, ""},
		"over another":   {"an include of an include", spf, with("v=spf1 include:all.acme.test -all", map[string]string{"TXT all.acme.test": "v=spf1 include:_spf.dezky.test -all"}), okStatus, ""},
		"redirect":       {"a redirect does the same", spf, with("v=spf1 redirect=_spf.dezky.test"), okStatus, ""},
		"not there":      {"somebody else's alone", spf, with("v=spf1 mx -all", map[string]string{"MX acme.test": "1 a.test."}), bad, "does not let who _spf.dezky.test names"},
		"barred":         {"a minus before it", spf, with("v=spf1 -include:_spf.dezky.test ~all"), bad, "does not let"},
		"behind all":     {"all ends the record", spf, with("v=spf1 -all include:_spf.dezky.test"), bad, "passed over"},
		"ours is silent": {"our own record is not known", spf, map[string]string{"": "v=spf1 include:_spf.dezky.test -all", "TXT _spf.dezky.test": "TIMEOUT"}, undecided, "cannot be looked up"},
		"ours is gone":   {"our own record is not there", spf, map[string]string{"": "v=spf1 include:_spf.dezky.test -all"}, bad, "leads to _spf.dezky.test"},
	})
}

func TestSPFOfNetworks(t *testing.T) {
	t.Parallel()
	const spf = "TXT acme.test"
	wanted := wantedOf(t, "acme.test. IN TXT \"v=spf1 ip4:192.0.2.0/28 a:out.dezky.test -all\"\n")
	runChanges(t, wanted, map[string]change{
		"wider":    {"a network around ours", spf, now("v=spf1 ip4:192.0.2.0/24 a:out.dezky.test -all"), okStatus, ""},
		"narrower": {"a part of our network", spf, now("v=spf1 ip4:192.0.2.0/29 a:out.dezky.test -all"), bad, "192.0.2.0/28"},
		"no host":  {"our own host is not known", spf, now("v=spf1 ip4:192.0.2.0/28 a:other.test -all"), undecided, "out.dezky.test has no address"},
		"one":      {"each of what we want must pass", spf, now("v=spf1 ip4:192.0.2.0/28 -all"), undecided, "out.dezky.test has no address"},
	})
}

func TestSPFOfARedirect(t *testing.T) {
	t.Parallel()
	const spf = "TXT acme.test"
	wanted := wantedOf(t, "acme.test. IN TXT \"v=spf1 redirect=_spf.dezky.test\"\n")
	ours := map[string]string{"TXT _spf.dezky.test": "v=spf1 ip4:192.0.2.0/28 -all"}
	with := func(text string) map[string]string {
		all := maps.Clone(ours)
		all[""] = text
		return all
	}
	runChanges(t, wanted, map[string]change{
		"just so":     {"as we say", spf, with("v=spf1 redirect=_spf.dezky.test"), okStatus, ""},
		"include":     {"an include does the same", spf, with("v=spf1 include:_spf.dezky.test ~all"), okStatus, ""},
		"passed over": {"a redirect beside all does nothing", spf, with("v=spf1 ~all redirect=_spf.dezky.test"), bad, "does not let who _spf.dezky.test names send"},
		"macro":       {"it leads nobody knows where, and not by our name", spf, with("v=spf1 redirect=%{d}.test"), bad, "does not let"},
		"ptr":         {"it names nobody's record", spf, with("v=spf1 ptr ?all"), bad, "does not let"},
	})
}

// FuzzRecordLaws looks for published texts at which a law breaks or asks
// without end.
func FuzzRecordLaws(f *testing.F) {
	f.Add("v=spf1 include:a.test redirect=b.test -all", "v=DMARC1; p=none; pct=1", "v=DKIM1; p=x")
	f.Add("v=spf1 a:%{i}.test/24//64 exists:x.test mx:acme.test", "v=STSv1; id=1", "0 issue \"x;a=b\"")
	f.Fuzz(func(t *testing.T, first, second, third string) {
		wanted := wantedOf(t, acmeZone)
		resolver := published{}
		for _, w := range wanted {
			resolver[string(w.Type)+" "+w.Name] = []string{first, second, third}
		}
		for _, host := range []string{"a.test", "b.test", "x.test"} {
			resolver["TXT "+host] = []string{second, third}
			resolver["CNAME "+host] = []string{third}
		}
		known, err := AskRecords(t.Context(), several{resolver}, wanted)
		if err != nil || len(known) > mostQuestions {
			t.Fatalf("%d questions, %v", len(known), err)
		}
		for _, c := range CheckRecords(wanted, known) {
			if c.Status != RecordStatusOK && c.Reason == "" || len(c.Reason) > 4096 {
				t.Fatalf("%s %s without a reason: %q", c.Wanted.Name, c.Status, c.Reason)
			}
		}
	})
}
