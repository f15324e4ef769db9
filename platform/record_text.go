package platform

import (
	"fmt"
	"slices"
	"strings"
)

// mostTags bounds a list of tags.
const mostTags = 64

// tag is one name=value of a list such as a DKIM key's (RFC 6376, 3.2).
type tag struct{ name, value string }

type tagList []tag

// get is a tag's value, and whether it is there.
func (t tagList) get(name string) (string, bool) {
	i := slices.IndexFunc(t, func(one tag) bool { return one.name == name })
	if i < 0 {
		return "", false
	}
	return t[i].value, true
}

// parseTags reads a list; a problem is a sentence for a person. Names of DKIM's
// tags are what they are, those of all others are in any case: fold makes them
// small.
func parseTags(text string, fold bool) (list tagList, problem string) {
	for part := range strings.SplitSeq(text, ";") {
		if strings.Trim(part, tagBlanks) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.Trim(name, tagBlanks)
		if fold {
			name = strings.ToLower(name)
		}
		switch _, twice := list.get(name); {
		case strings.Contains(part, `\`):
			return nil, "It has a backslash, which does not belong there."
		case !ok || name == "" || strings.ContainsAny(name, tagBlanks+`"`):
			return nil, "It is not a list of name=value with semicolons between."
		case twice:
			return nil, fmt.Sprintf("It has %.20s= twice.", name)
		case len(list) == mostTags:
			return nil, "It has too many parts."
		}
		list = append(list, tag{name, strings.Trim(value, tagBlanks)})
	}
	return list, ""
}

const tagBlanks = " \t\r\n"

// one picks the texts of a kind out of all that stand at a name. There must be
// one of them: several are as good as none to who reads them.
func (w WantedRecord) one(f Finding, kind string, is func(text string) bool) (text string, out verdict, ok bool) {
	var texts []string
	for _, value := range f.Values {
		if is(value) {
			texts = append(texts, value)
		}
	}
	switch len(texts) {
	case 0:
		return "", verdictMissing("There are other texts at the name, and none is for %s.", kind), false
	case 1:
		return texts[0], verdict{}, true
	}
	return "", verdictWrong(texts, "There are %d records for %s, and there may be one: take the others away.", len(texts), kind), false
}

// begins holds for texts whose first tag is v= with a version. What begins
// almost so is taken for meant so.
func begins(version string) func(string) bool {
	return func(text string) bool {
		first, _, _ := strings.Cut(strings.TrimLeft(text, tagBlanks+`"`), ";")
		name, value, _ := strings.Cut(first, "=")
		return strings.EqualFold(strings.Trim(name, tagBlanks), "v") &&
			strings.HasPrefix(strings.ToLower(strings.Trim(value, tagBlanks)), strings.ToLower(version))
	}
}

// listOf reads a text that must begin with v= and a version, spelt just so.
func listOf(text, version string) (list tagList, problem string) {
	if strings.HasPrefix(text, `"`) {
		return nil, "It has quotation marks in it, which do not belong there."
	}
	if list, problem = parseTags(text, true); problem != "" {
		return nil, problem
	}
	if len(list) == 0 || list[0].name != "v" || list[0].value != version {
		return nil, fmt.Sprintf("It must begin with v=%s.", version)
	}
	return list, ""
}

// checkOwnership wants the very text, among whatever others. Those of other
// claims on the domain may stand beside it.
func (w WantedRecord) checkOwnership(f Finding) verdict {
	var found []string
	for _, value := range f.Values {
		if value == w.Value {
			return verdictRight([]string{value}, "")
		}
		if strings.Contains(strings.ToLower(value), ownershipPrefix) {
			found = append(found, value)
		}
	}
	if len(found) == 0 {
		return verdictMissing("There are other texts at the name, and not this one.")
	}
	if strings.Contains(found[0], w.Value) {
		return verdictWrong(found, "The text has more in it than it should, such as quotation marks or blanks.")
	}
	return verdictWrong(found, "The text is another one.")
}

// checkText wants a text that says the same, blanks at semicolons aside.
func (w WantedRecord) checkText(f Finding) verdict {
	for _, value := range f.Values {
		if tidy(value) == tidy(w.Value) {
			return verdictRight([]string{value}, "")
		}
	}
	if first, _, ok := strings.Cut(tidy(w.Value), ";"); ok {
		if _, out, found := w.one(f, "this", func(text string) bool { return strings.HasPrefix(tidy(text), first) }); found || len(out.found) > 0 {
			return verdictWrong(f.Values, "The text is another one.")
		}
	}
	return verdictMissing("There are other texts at the name, and not this one.")
}

func tidy(text string) string {
	parts := strings.Split(text, ";")
	for i, part := range parts {
		parts[i] = strings.Trim(part, tagBlanks)
	}
	return strings.TrimSuffix(strings.Join(parts, ";"), ";")
}

// checkDKIM wants our key, as verifiers read it (RFC 6376, 3.6.1).
func (w WantedRecord) checkDKIM(f Finding) verdict {
	text, out, ok := w.one(f, "DKIM", isDKIM)
	if !ok {
		return out
	}
	found := []string{text}
	list, problem := parseTags(text, false)
	if problem != "" {
		return verdictWrong(found, "%s", problem)
	}
	wanted, _ := parseTags(w.Value, false)
	if problem := dkimProblem(list, wanted); problem != "" {
		return verdictWrong(found, "%s", problem)
	}
	if flags, _ := list.get("t"); slices.Contains(colonList(flags), "y") {
		return verdictRight(found, "It says that DKIM is only being tried out (t=y): receivers then treat our mails as if they were not signed.")
	}
	return verdictRight(found, "")
}

// isDKIM holds for what has a key. The version may be left out.
func isDKIM(text string) bool {
	if begins("DKIM")(text) {
		return true
	}
	for part := range strings.SplitSeq(text, ";") {
		name, _, ok := strings.Cut(part, "=")
		if ok && strings.Trim(name, tagBlanks+`"`) == "p" {
			return true
		}
	}
	return false
}

func dkimProblem(list, wanted tagList) string {
	key, there := list.get("p")
	ours, _ := wanted.get("p")
	key, ours = keyOf(key), keyOf(ours)
	at := slices.IndexFunc(list, func(t tag) bool { return t.name == "v" })
	hashes, limited := list.get("h")
	services, narrowed := list.get("s")
	switch {
	case at > 0 || at == 0 && list[0].value != "DKIM1":
		return "Its version must be the first part, and v=DKIM1."
	case !there:
		return "It has no key (p=)."
	case key == "" && ours != "":
		return "Its key is empty, which says that it was revoked."
	case !strings.EqualFold(kindOf(list), kindOf(wanted)):
		return fmt.Sprintf("It is a key of another kind than %s.", kindOf(wanted))
	case key != ours && len(key) < len(ours) && strings.HasPrefix(ours, key):
		return "The key was cut off: its end is missing."
	case key != ours:
		return "The key is not ours."
	case limited && !slices.Contains(colonList(hashes), "sha256"):
		return "It does not allow the hash that we sign with (h=sha256)."
	case narrowed && !slices.Contains(colonList(services), "*") && !slices.Contains(colonList(services), "email"):
		return "It is not for mail (s=email)."
	}
	return ""
}

// keyOf is a key without the blanks that may be in it and the signs that fill it
// up.
func keyOf(value string) string {
	return strings.TrimRight(strings.Join(strings.Fields(value), ""), "=")
}

func kindOf(list tagList) string {
	if kind, ok := list.get("k"); ok {
		return kind
	}
	return "rsa"
}

// colonList are the parts of a value between colons.
func colonList(value string) []string {
	parts := strings.Split(strings.ToLower(value), ":")
	for i, part := range parts {
		parts[i] = strings.Trim(part, tagBlanks)
	}
	return parts
}

// checkMTASTS wants an id. Another one than ours tells senders nothing wrong.
func (w WantedRecord) checkMTASTS(f Finding) verdict {
	text, out, ok := w.one(f, "MTA-STS", begins("STSv"))
	if !ok {
		return out
	}
	found := []string{text}
	list, problem := listOf(text, "STSv1")
	if problem != "" {
		return verdictWrong(found, "%s", problem)
	}
	id, _ := list.get("id")
	wanted, _ := parseTags(w.Value, true)
	ours, _ := wanted.get("id")
	switch {
	case id == "" || len(id) > 32 || strings.Trim(strings.ToLower(id), "abcdefghijklmnopqrstuvwxyz0123456789") != "":
		return verdictWrong(found, "It has no id of 1 to 32 letters and digits.")
	case id != ours:
		return verdictRight(found, "The id is not the newest, so senders may keep an older policy for a while.")
	}
	return verdictRight(found, "")
}

// checkTLSRPT wants an address for reports. Another one than ours is right too.
func (w WantedRecord) checkTLSRPT(f Finding) verdict {
	text, out, ok := w.one(f, "TLS reports", begins("TLSRPTv"))
	if !ok {
		return out
	}
	found := []string{text}
	list, problem := listOf(text, "TLSRPTv1")
	if problem != "" {
		return verdictWrong(found, "%s", problem)
	}
	rua, _ := list.get("rua")
	wanted, _ := parseTags(w.Value, true)
	ours, _ := wanted.get("rua")
	switch {
	case len(reportAddresses(rua)) == 0:
		return verdictWrong(found, "It has no address for reports (rua=mailto:… or https://…).")
	case !reportsTo(rua, ours):
		return verdictRight(found, "Reports go to another address than ours.")
	}
	return verdictRight(found, "")
}

// reportAddresses are the URIs of a rua value, in small letters and without the limit
// of size that may follow an exclamation mark.
func reportAddresses(rua string) []string {
	var uris []string
	for uri := range strings.SplitSeq(rua, ",") {
		uri, _, _ = strings.Cut(strings.ToLower(strings.Trim(uri, tagBlanks)), "!")
		if strings.HasPrefix(uri, "mailto:") || strings.HasPrefix(uri, "https://") {
			uris = append(uris, uri)
		}
	}
	return uris
}

// reportsTo says whether all of the wanted addresses are among the found ones.
func reportsTo(found, wanted string) bool {
	have := reportAddresses(found)
	for _, uri := range reportAddresses(wanted) {
		if !slices.Contains(have, uri) {
			return false
		}
	}
	return true
}
