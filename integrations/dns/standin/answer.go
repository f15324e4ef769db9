package standin

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

const (
	mostAliases = 8
	packet      = 1232
)

// ServeDNS answers one question, or does what a fault says instead.
func (s *Server) ServeDNS(w dns.ResponseWriter, ask *dns.Msg) {
	if len(ask.Question) != 1 {
		s.refuse(w, ask, dns.RcodeFormatError)
		return
	}
	q := ask.Question[0]
	protocol := "UDP"
	if w.LocalAddr().Network() == "tcp" {
		protocol = "TCP"
	}
	label := protocol + " " + dns.TypeToString[q.Qtype] + " " + strings.ToLower(q.Name)
	if q.Name != "." {
		label = strings.TrimSuffix(label, ".")
	}
	if fault := s.enter(label); fault != nil {
		s.play(*fault, w, ask, protocol)
		return
	}
	s.answer(w, ask, protocol)
}

func (s *Server) answer(w dns.ResponseWriter, ask *dns.Msg, protocol string) {
	q := ask.Question[0]
	switch {
	case ask.Opcode != dns.OpcodeQuery:
		s.refuse(w, ask, dns.RcodeNotImplemented)
	case q.Qclass != dns.ClassINET, q.Qtype == dns.TypeANY, q.Qtype == dns.TypeAXFR, q.Qtype == dns.TypeIXFR:
		s.refuse(w, ask, dns.RcodeRefused)
	default:
		send(w, fit(s.reply(ask), ask, protocol))
	}
}

func (s *Server) refuse(w dns.ResponseWriter, ask *dns.Msg, code int) {
	send(w, new(dns.Msg).SetRcode(ask, code))
}

// reply looks the question up in the records.
func (s *Server) reply(ask *dns.Msg) *dns.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := ask.Question[0]
	m := new(dns.Msg).SetReply(ask)
	m.RecursionAvailable = true
	name := q.Name
	for range mostAliases {
		records := s.take(dns.TypeToString[q.Qtype], name)
		if len(records) > 0 {
			m.Answer = append(m.Answer, records...)
			return m
		}
		aliases := s.take("CNAME", name)
		if q.Qtype == dns.TypeCNAME || len(aliases) == 0 {
			return s.absent(m, name)
		}
		m.Answer = append(m.Answer, aliases...)
		if alias, ok := aliases[0].(*dns.CNAME); ok {
			name = alias.Target
		}
	}
	// A circle of aliases is what resolvers give up at.
	return new(dns.Msg).SetRcode(ask, dns.RcodeServerFailure)
}

// absent tells a name that is not there from one without such records. A name
// is there also when there are names below it.
func (s *Server) absent(m *dns.Msg, name string) *dns.Msg {
	name = strings.ToLower(name)
	there := name == "."
	for k := range s.state.Records {
		_, owner, _ := strings.Cut(k, " ")
		there = there || owner == name || strings.HasSuffix(owner, "."+name)
	}
	if !there {
		m.Rcode = dns.RcodeNameError
	}
	m.Ns = []dns.RR{&dns.SOA{
		Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: TTL},
		Ns:  "ns.standin.test.", Mbox: "nobody.standin.test.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: TTL,
	}}
	return m
}

// take gives the records of a type and name, and goes on to the next turn.
func (s *Server) take(kind, name string) []dns.RR {
	if kind == "NS" && name == "." {
		return []dns.RR{&dns.NS{
			Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: TTL}, Ns: "ns.standin.test.",
		}}
	}
	turns := s.state.Records[key(kind, name)]
	if len(turns) == 0 {
		return nil
	}
	if len(turns) > 1 {
		s.state.Records[key(kind, name)] = turns[1:]
	}
	var records []dns.RR
	for _, line := range turns[0] {
		// Every line came from the library and can be read by it, unless the file was
		// written by hand.
		if rr, err := dns.NewRR(line); err == nil && rr != nil {
			records = append(records, rr)
		}
	}
	return slices.Clip(records)
}

// fit truncates a reply to what the asker takes in one packet.
func fit(m, ask *dns.Msg, protocol string) *dns.Msg {
	size := dns.MinMsgSize
	if opt := ask.IsEdns0(); opt != nil {
		m.SetEdns0(packet, false)
		size = max(size, min(packet, int(opt.UDPSize())))
	}
	if protocol == "TCP" {
		size = dns.MaxMsgSize
	}
	m.Truncate(size)
	return m
}

// send ignores an asker that went away: a stand-in has nobody to tell.
func send(w dns.ResponseWriter, m *dns.Msg) {
	data, err := m.Pack()
	if err == nil {
		write(w, data)
	}
}

func write(w dns.ResponseWriter, data []byte) { w.Write(data) } //nolint:errcheck // see send
