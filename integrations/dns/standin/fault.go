package standin

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Kind is a way to fail.
type Kind int

// The ways to fail.
const (
	// Drop never answers, and leaves a TCP connection open.
	Drop Kind = iota
	// Delay answers after the fault's Wait.
	Delay
	// Truncate says over UDP that the answer does not fit, whatever its size.
	Truncate
	// HalfTCP says even over TCP that the answer does not fit.
	HalfTCP
	// NoTCP ends TCP connections, and answers over UDP.
	NoTCP
	// ServFail is the resolver's own trouble.
	ServFail
	// Refused is a resolver that does not answer us.
	Refused
	// Referral sends the asker to other name servers, as an authoritative server
	// does.
	Referral
	// WrongID answers with other ids than the question's, over and over, as one does
	// who guesses.
	WrongID
	// Stray sends an answer with a wrong id first, and then the right one.
	Stray
	// WrongQuestion answers the question after another name.
	WrongQuestion
	// Garbage answers with the right id and what is no DNS behind it.
	Garbage
	// PointerLoop answers with a compressed name that points to itself.
	PointerLoop
	// AliasLoop answers with a circle of aliases.
	AliasLoop
	// Huge answers with some 60,000 bytes.
	Huge
	// ManyStrings answers with a text of 1,000 strings.
	ManyStrings
	// ManyRecords answers with 1,000 records.
	ManyRecords
)

// Fault is one thing to go wrong.
type Fault struct {
	Kind Kind
	// On is what the label of a call begins with, such as "UDP TXT"; "" is every
	// call.
	On string
	// Times is how often it happens before it is over; 0 is for ever.
	Times int
	// Wait is how long Delay waits, by the machine's clock.
	Wait time.Duration
}

// Fail adds a fault. Faults are tried in the order in which they were added.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Heal takes all faults away.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Calls are the labels of all calls so far, in the order of their arrival.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

func (s *Server) enter(label string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, label)
	for i, f := range s.faults {
		if !strings.HasPrefix(label, f.On) {
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			}
		}
		return f
	}
	return nil
}

func (s *Server) play(f Fault, w dns.ResponseWriter, ask *dns.Msg, protocol string) {
	switch f.Kind {
	case Drop:
	case Delay:
		select {
		case <-s.done:
		case <-time.After(f.Wait): //nolint:forbidigo // the network knows no test clock
			s.answer(w, ask, protocol)
		}
	case Truncate, HalfTCP:
		if protocol == "TCP" && f.Kind == Truncate {
			s.answer(w, ask, protocol)
			return
		}
		m := fit(s.reply(ask), ask, protocol)
		m.Truncated, m.Answer = true, nil
		send(w, m)
	case NoTCP:
		if protocol == "TCP" {
			w.Close() //nolint:errcheck // the asker finds out
			return
		}
		s.answer(w, ask, protocol)
	case ServFail:
		s.refuse(w, ask, dns.RcodeServerFailure)
	case Refused:
		s.refuse(w, ask, dns.RcodeRefused)
	default:
		s.mislead(f.Kind, w, ask, protocol)
	}
}

// mislead plays the faults that answer with what is not so.
func (s *Server) mislead(kind Kind, w dns.ResponseWriter, ask *dns.Msg, protocol string) {
	m := fit(s.reply(ask), ask, protocol)
	switch kind {
	case Referral:
		m.Answer, m.RecursionAvailable, m.Rcode = nil, false, dns.RcodeSuccess
		m.Ns = []dns.RR{&dns.NS{Hdr: header(ask, dns.TypeNS), Ns: "ns.elsewhere.test."}}
		m.Extra = append(m.Extra, &dns.A{
			Hdr: dns.RR_Header{Name: "ns.elsewhere.test.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: TTL}, A: []byte{127, 0, 0, 99},
		})
	case WrongID:
		for range 20 {
			m.Id++
			send(w, m)
		}
	case Stray:
		forged := m.Copy()
		forged.Id++
		forged.Answer = nil
		send(w, forged)
	case WrongQuestion:
		m.Question[0].Name = "elsewhere.test."
	case Garbage:
		write(w, binary.BigEndian.AppendUint16(nil, ask.Id))
		return
	case PointerLoop:
		write(w, pointerLoop(ask))
		return
	case AliasLoop:
		other := dns.RR_Header{Name: "loop.test.", Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: TTL}
		m.Rcode, m.Ns = dns.RcodeSuccess, nil
		m.Answer = []dns.RR{&dns.CNAME{Hdr: header(ask, dns.TypeCNAME), Target: "loop.test."}, &dns.CNAME{Hdr: other, Target: ask.Question[0].Name}}
	default:
		m.Rcode, m.Ns = dns.RcodeSuccess, nil
		m.Answer = flood(kind, ask)
		m = fit(m, ask, protocol)
	}
	send(w, m)
}

func header(ask *dns.Msg, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: ask.Question[0].Name, Rrtype: kind, Class: dns.ClassINET, Ttl: TTL}
}

// flood is more than an honest answer has.
func flood(kind Kind, ask *dns.Msg) []dns.RR {
	hdr := header(ask, dns.TypeTXT)
	switch kind {
	case Huge:
		return []dns.RR{&dns.TXT{Hdr: hdr, Txt: repeat(240, strings.Repeat("x", 250))}}
	case ManyStrings:
		return []dns.RR{&dns.TXT{Hdr: hdr, Txt: repeat(1000, "x")}}
	}
	var records []dns.RR
	for i := range 1000 {
		records = append(records, &dns.TXT{Hdr: hdr, Txt: []string{fmt.Sprint(i)}})
	}
	return records
}

func repeat(n int, text string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = text
	}
	return all
}

// pointerLoop answers with one record, whose name is a pointer to itself.
func pointerLoop(ask *dns.Msg) []byte {
	reply := new(dns.Msg).SetReply(ask)
	data, err := reply.Pack()
	if err != nil {
		return nil
	}
	binary.BigEndian.PutUint16(data[6:], 1)
	data = binary.BigEndian.AppendUint16(data, 0xc000|uint16(len(data)))
	return append(data, 0, 16, 0, 1, 0, 0, 0, 60, 0, 2, 1, 'x')
}
