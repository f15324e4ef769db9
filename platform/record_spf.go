package platform

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// spfTerm is a mechanism of an SPF record (RFC 7208, 4.6).
type spfTerm struct {
	qualifier byte
	name      string
	// domain is the argument of include, a, mx, ptr and exists, or "".
	domain string
	// network is the argument of ip4 and ip6.
	network netip.Prefix
	// bits4 and bits6 widen the addresses of a and mx.
	bits4, bits6 int
}

// spfRecord is a record with its mechanisms in their order. Everybody says that
// the whole world may send.
type spfRecord struct {
	terms     []spfTerm
	redirect  string
	everybody bool
	// endless says that nothing is said of who is not named.
	endless bool
	// early says that mechanisms stand behind an all.
	early bool
}

// isSPF holds for a text that receivers read as SPF.
func isSPF(text string) bool {
	version, _, _ := strings.Cut(text, " ")
	return strings.EqualFold(version, "v=spf1")
}

// seemsSPF holds for what was meant as SPF.
func seemsSPF(text string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimLeft(text, tagBlanks+`"`)), "v=spf1")
}

// parseSPF reads a record. A problem makes receivers give the whole record up
// (permerror), and is a sentence for a person.
func parseSPF(text string) (r spfRecord, problem string) {
	explained := false
	for i, word := range strings.Split(strings.ToLower(text), " ") {
		if word == "" || i == 0 {
			continue
		}
		if strings.ContainsFunc(word, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
			return r, "It has characters that do not belong into SPF."
		}
		if name, value, ok := modifier(word); ok {
			switch {
			case name == "redirect" && r.redirect != "", name == "exp" && explained:
				return r, fmt.Sprintf("It has %s= twice.", name)
			case name == "redirect":
				if r.redirect = hostOf(value); !isSPFDomain(r.redirect) {
					return r, fmt.Sprintf("%.80s does not name a domain.", word)
				}
			case name == "exp":
				explained = true
			}
			continue
		}
		term, ok := parseSPFTerm(word)
		if !ok {
			return r, fmt.Sprintf("%.80s is nothing that SPF knows.", word)
		}
		r.early = r.early || len(r.terms) > 0 && r.terms[len(r.terms)-1].name == "all"
		r.terms = append(r.terms, term)
	}
	at := slices.IndexFunc(r.terms, func(t spfTerm) bool { return t.name == "all" })
	r.everybody = at >= 0 && r.terms[at].qualifier == '+'
	r.endless = at < 0 && r.redirect == "" || at >= 0 && r.terms[at].qualifier == '?'
	if at >= 0 {
		r.redirect = "" // a redirect beside all is passed over
	}
	return r, ""
}

// modifier splits name=value. What follows the name of a mechanism has a colon
// or a slash before it.
func modifier(word string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(word, "=")
	ok = ok && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == "" && name[0] >= 'a'
	return name, value, ok
}

func parseSPFTerm(word string) (t spfTerm, ok bool) {
	t = spfTerm{qualifier: '+', bits4: 32, bits6: 128}
	if strings.ContainsRune("+-~?", rune(word[0])) {
		t.qualifier, word = word[0], word[1:]
	}
	end := strings.IndexAny(word, ":/")
	if end < 0 {
		end = len(word)
	}
	argument := word[end:]
	t.name = word[:end]
	switch t.name {
	case "all":
		return t, argument == ""
	case "ip4", "ip6":
		t.network, ok = parseSPFNetwork(strings.TrimPrefix(argument, ":"))
		return t, ok && strings.HasPrefix(argument, ":") && t.network.Addr().Is4() == (t.name == "ip4")
	case "include", "exists":
		t.domain = hostOf(strings.TrimPrefix(argument, ":"))
		return t, strings.HasPrefix(argument, ":") && isSPFDomain(t.domain)
	case "a", "mx":
		if argument, ok = t.widen(argument); !ok {
			return t, false
		}
	case "ptr":
	default:
		return t, false
	}
	t.domain = hostOf(strings.TrimPrefix(argument, ":"))
	return t, argument == "" || strings.HasPrefix(argument, ":") && isSPFDomain(t.domain)
}

// widen takes the lengths of prefixes off the end of an argument. A slash inside
// a macro is no such thing.
func (t *spfTerm) widen(argument string) (rest string, ok bool) {
	rest = argument
	from := max(0, strings.LastIndexByte(argument, '}'))
	if at := strings.Index(argument[from:], "//"); at >= 0 {
		if t.bits6, ok = prefixLength(argument[from+at+2:], 128); !ok {
			return "", false
		}
		rest = argument[:from+at]
	}
	if at := strings.IndexByte(rest[min(from, len(rest)):], '/'); at >= 0 {
		if t.bits4, ok = prefixLength(rest[from+at+1:], 32); !ok {
			return "", false
		}
		rest = rest[:from+at]
	}
	return rest, true
}

func prefixLength(text string, most int) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0 && n <= most && text[0] != '+' && text[0] != '-'
}

func parseSPFNetwork(text string) (netip.Prefix, bool) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		return netip.PrefixFrom(address, address.BitLen()), true
	}
	network, err := netip.ParsePrefix(text)
	return network.Masked(), err == nil
}

// isSPFDomain holds for a name with a dot in it, and for every name with macros,
// which are not followed here.
func isSPFDomain(name string) bool {
	return hasMacro(name) || isHost(name) && strings.Contains(name, ".")
}

func hasMacro(name string) bool { return strings.Contains(name, "%") && len(name) <= 255 }

// checkSPF wants one record, by which our servers pass wherever the record that
// we would publish lets them: over mx, a, ip4, ip6, include or redirect, in
// whatever order and beside whomever, but not beside everybody. How it treats
// all others (-all, ~all) is the domain's own business.
func (w WantedRecord) checkSPF(all []WantedRecord, f Finding, v *recordView) verdict {
	texts, out, ok := pickSPF(f)
	if !ok {
		return out
	}
	record, problem := parseSPF(texts[0])
	switch {
	case problem != "":
		return verdictWrong(texts, "%s", problem)
	case record.everybody:
		return verdictWrong(texts, "It lets everybody send in the domain's name (+all).")
	}
	remark := ""
	switch {
	case record.early:
		remark = "What stands behind all is passed over."
	case record.endless:
		remark = "It does not say that others may not send: end it with -all."
	}
	for _, sender := range w.senders(all) {
		out := w.lets(sender, texts, v)
		if out.status == RecordStatusOK {
			continue
		}
		if record.early {
			out.reason += " " + remark
		}
		return out
	}
	return verdictRight(texts, remark)
}

// pickSPF finds the one record among the texts of a name.
func pickSPF(f Finding) (texts []string, out verdict, ok bool) {
	var meant []string
	for _, value := range f.Values {
		switch {
		case isSPF(value):
			texts = append(texts, value)
		case seemsSPF(value):
			meant = append(meant, value)
		}
	}
	switch {
	case f.Outcome != OutcomeFound:
		return nil, verdictMissing("%s", absence(f, RecordTypeTXT)), false
	case len(texts) == 0 && len(meant) > 0:
		return nil, verdictWrong(meant, "It must begin with v=spf1 and a blank."), false
	case len(texts) == 0:
		return nil, verdictMissing("There are other texts at the name, and none is for SPF."), false
	case len(texts) > 1:
		return nil, verdictWrong(texts, "There are %d SPF records, and there may be one: make one of them.", len(texts)), false
	}
	return texts, verdict{}, true
}

// senders are who has to pass, by the record that we want.
func (w WantedRecord) senders(all []WantedRecord) []spfSender {
	wanted, problem := parseSPF(w.Value)
	if problem != "" {
		return nil
	}
	var senders []spfSender
	if wanted.redirect != "" {
		senders = append(senders, spfSender{record: wanted.redirect})
	}
	for _, t := range wanted.terms {
		domain := t.domain
		if domain == "" {
			domain = w.Name
		}
		switch {
		case t.qualifier != '+':
		case t.name == "include":
			senders = append(senders, spfSender{record: domain})
		case t.name == "a":
			senders = append(senders, spfSender{host: domain})
		case t.name == "mx":
			for _, host := range targetsOf(all, domain, RecordTypeMX) {
				senders = append(senders, spfSender{host: host})
			}
		case t.network.IsValid():
			senders = append(senders, spfSender{network: t.network})
		}
	}
	return senders
}

// lets says whether a sender passes. A host passes by its name where the record
// names it, and else with all its addresses, since it may send from each.
func (w WantedRecord) lets(s spfSender, texts []string, v *recordView) verdict {
	walk := &spfWalk{view: v, sender: s}
	result := walk.record(w.Name)
	if s.host == "" || result != spfUnsure || len(v.missing) > 0 {
		return walk.verdict(result, s.String(), texts)
	}
	networks, problem := s.addresses(v)
	switch {
	case problem != "" && walk.unsure != "":
		return walk.verdict(result, s.String(), texts)
	case problem != "":
		return verdictUnknown(texts, "%s, so nobody can tell if it may send.", problem)
	}
	for _, network := range networks {
		s.network = network
		walk := &spfWalk{view: v, sender: s}
		if out := walk.verdict(walk.record(w.Name), s.String(), texts); out.status != RecordStatusOK {
			return out
		}
	}
	return verdictRight(texts, "")
}

// addresses are all of a host's, or the beginning of a sentence that says why
// not.
func (s spfSender) addresses(v *recordView) (networks []netip.Prefix, problem string) {
	for _, kind := range []RecordType{RecordTypeA, RecordTypeAAAA} {
		f := v.look(s.host, kind)
		if f.Outcome == OutcomeFailed {
			problem = fmt.Sprintf("The addresses of %s cannot be looked up", s.host)
		}
		networks = append(networks, networksOf(f, 32, 128)...)
	}
	if problem == "" && len(networks) == 0 {
		problem = s.host + " has no address"
	}
	return networks, problem
}

// networksOf are the addresses of a finding, made as wide as asked.
func networksOf(f Finding, bits4, bits6 int) []netip.Prefix {
	var networks []netip.Prefix
	for _, value := range f.Values {
		address, err := netip.ParseAddr(value)
		if err != nil {
			continue
		}
		width := bits6
		if address = address.Unmap(); address.Is4() {
			width = bits4
		}
		networks = append(networks, netip.PrefixFrom(address, width).Masked())
	}
	return networks
}
