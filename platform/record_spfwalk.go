package platform

import (
	"fmt"
	"net/netip"
	"slices"
)

// What a receiver bears of one record before it gives it up (RFC 7208, 4.6.4).
const (
	mostSPFLookups = 10
	mostSPFVoids   = 2
	mostSPFHosts   = 10
)

// spfSender is somebody who sends: a host by its name, with its address where
// that matters, a network, or whoever a record lets send.
type spfSender struct {
	host    string
	network netip.Prefix
	record  string
}

func (s spfSender) String() string {
	switch {
	case s.record != "":
		return "who " + s.record + " names"
	case s.host != "" && s.network.IsValid():
		return s.host + " (" + s.network.Addr().String() + ")"
	case s.host != "":
		return s.host
	case s.network.IsSingleIP():
		return s.network.Addr().String()
	}
	return s.network.String()
}

// spfResult is what a record says of a sender.
type spfResult int

const (
	// spfSilent is a record without a word for the sender.
	spfSilent spfResult = iota
	spfPass
	// spfFail is every other word: - and ~ and ?.
	spfFail
	// spfUnsure is what depends on what is not known.
	spfUnsure
	// spfBroken is a record that receivers give up.
	spfBroken
)

// spfWalk goes through records as a receiver does, as far as the sender's match.
type spfWalk struct {
	view    *recordView
	sender  spfSender
	lookups int
	voids   int
	// broken says why receivers give up, unsure why nothing is known, everybody
	// which record on the way lets everybody send.
	broken    string
	unsure    string
	everybody string
}

func (s *spfWalk) verdict(result spfResult, sender string, texts []string) verdict {
	switch {
	case result == spfBroken:
		return verdictWrong(texts, "%s", s.broken)
	case s.everybody != "":
		return verdictWrong(texts, "It lets everybody send in the domain's name, over %s.", s.everybody)
	case result == spfPass:
		return verdictRight(texts, "")
	case result == spfUnsure && s.unsure != "":
		return verdictUnknown(texts, "%s", s.unsure)
	case result == spfUnsure:
		return verdictUnknown(texts, "Nobody can tell whether it lets %s send.", sender)
	}
	return verdictWrong(texts, "It does not let %s send.", sender)
}

// record judges the sender by the record of a name. A record that is not there
// makes the one that led to it broken.
func (s *spfWalk) record(name string) spfResult {
	f := s.view.look(name, RecordTypeTXT)
	if f.Outcome == OutcomeFailed {
		s.unsure = fmt.Sprintf("The SPF record of %s cannot be looked up.", name)
		return spfUnsure
	}
	texts, out, ok := pickSPF(f)
	if !ok {
		return s.broke("It leads to %s, whose SPF record is not good: %s", name, out.reason)
	}
	record, problem := parseSPF(texts[0])
	if problem != "" {
		return s.broke("It leads to %s, whose SPF record is not good: %s", name, problem)
	}
	return s.terms(name, record)
}

func (s *spfWalk) terms(name string, record spfRecord) spfResult {
	if record.everybody {
		s.everybody = name
	}
	mayPass, mayFail := false, false
	settle := func(result spfResult) spfResult {
		if result == spfPass && mayFail || result != spfPass && mayPass {
			return spfUnsure
		}
		return result
	}
	for _, t := range record.terms {
		switch s.match(name, t) {
		case spfBroken:
			return spfBroken
		case spfPass:
			if t.qualifier == '+' {
				return settle(spfPass)
			}
			return settle(spfFail)
		case spfUnsure:
			mayPass, mayFail = mayPass || t.qualifier == '+', mayFail || t.qualifier != '+'
		}
	}
	if record.redirect == "" {
		return settle(spfSilent)
	}
	if !s.count() {
		return spfBroken
	}
	if hasMacro(record.redirect) {
		return s.macro()
	}
	switch result := s.record(record.redirect); {
	case result == spfBroken, result == spfUnsure:
		return result
	case s.sender.record == record.redirect:
		return settle(spfPass)
	default:
		return settle(result)
	}
}

// match says whether a mechanism holds for the sender: pass for yes, silent for
// no.
func (s *spfWalk) match(name string, t spfTerm) spfResult {
	domain := t.domain
	if domain == "" {
		domain = name
	}
	switch t.name {
	case "all":
		return spfPass
	case "ip4", "ip6":
		return s.within([]netip.Prefix{t.network})
	}
	if !s.count() {
		return spfBroken
	}
	if t.name == "ptr" || t.name == "exists" || hasMacro(domain) {
		if s.sender.record != "" && t.qualifier == '+' {
			return spfSilent
		}
		return s.macro()
	}
	switch t.name {
	case "include":
		return s.include(domain)
	case "mx":
		return s.exchanger(domain)
	}
	return s.address(domain, t)
}

func (s *spfWalk) include(domain string) spfResult {
	switch result := s.record(domain); {
	case result == spfBroken:
		return spfBroken
	case s.sender.record == domain:
		// Their servers are whoever the record names, so that it is there is enough.
		return passUnless(result == spfUnsure && s.unsure != "")
	case result == spfFail:
		return spfSilent
	default:
		return result
	}
}

func passUnless(unsure bool) spfResult {
	if unsure {
		return spfUnsure
	}
	return spfPass
}

// exchanger compares names alone: the addresses of exchangers that are not ours
// are nobody's here.
func (s *spfWalk) exchanger(domain string) spfResult {
	f := s.view.look(domain, RecordTypeMX)
	if f.Outcome == OutcomeFailed {
		return s.notKnown("The mail exchangers of %s cannot be looked up.", domain)
	}
	if !s.found(f) {
		return spfBroken
	}
	if len(f.Values) > mostSPFHosts {
		return s.broke("It names the mail exchangers of %s, and more than %d are more than receivers look at.", domain, mostSPFHosts)
	}
	if s.sender.host != "" && slices.ContainsFunc(f.Values, func(value string) bool { return lastField(value) == s.sender.host }) {
		return spfPass
	}
	return spfSilent
}

func (s *spfWalk) address(domain string, t spfTerm) spfResult {
	if s.sender.host == domain {
		return spfPass
	}
	four, six := s.view.look(domain, RecordTypeA), s.view.look(domain, RecordTypeAAAA)
	if four.Outcome == OutcomeFailed || six.Outcome == OutcomeFailed {
		return s.notKnown("The addresses of %s cannot be looked up.", domain)
	}
	if four.Outcome != OutcomeFound && !s.found(six) {
		return spfBroken
	}
	return s.within(append(networksOf(four, t.bits4, t.bits6), networksOf(six, t.bits4, t.bits6)...))
}

// within says whether the sender's addresses are inside one of the networks. Of
// a host whose addresses are not at hand nobody can tell, and of a record's
// servers nobody needs to.
func (s *spfWalk) within(networks []netip.Prefix) spfResult {
	switch {
	case s.sender.record != "" || len(networks) == 0:
		return spfSilent
	case !s.sender.network.IsValid():
		return spfUnsure
	}
	for _, n := range networks {
		if n.Bits() <= s.sender.network.Bits() && n.Contains(s.sender.network.Addr()) {
			return spfPass
		}
	}
	return spfSilent
}

// count counts a look-up that a receiver makes.
func (s *spfWalk) count() bool {
	s.lookups++
	if s.lookups > mostSPFLookups {
		s.broke("It needs more than %d look-ups, at which receivers give up.", mostSPFLookups)
		return false
	}
	return true
}

// found counts look-ups that find nothing.
func (s *spfWalk) found(f Finding) bool {
	if f.Outcome == OutcomeFound {
		return true
	}
	s.voids++
	if s.voids > mostSPFVoids {
		s.broke("More than %d of its names lead nowhere, at which receivers give up.", mostSPFVoids)
		return false
	}
	return true
}

func (s *spfWalk) broke(format string, args ...any) spfResult {
	s.broken = fmt.Sprintf(format, args...)
	return spfBroken
}

func (s *spfWalk) notKnown(format string, args ...any) spfResult {
	if s.sender.record != "" {
		return spfSilent
	}
	s.unsure = fmt.Sprintf(format, args...)
	return spfUnsure
}

func (s *spfWalk) macro() spfResult {
	return s.notKnown("It asks for more than can be followed here (macros, exists or ptr). Put ours before it.")
}
