// Package standin is a resolver that answers from records that it was told, over
// UDP and TCP on a loopback address, for tests and for running the platform
// where no public resolver knows its domains. It answers as public resolvers do:
// it follows aliases, tells a missing name from a missing record, and truncates
// what does not fit into a packet. It looks nothing up anywhere, and refuses
// transfers, ANY, notifications and classes other than IN.
package standin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"github.com/dezky/platform/integrations/stage"
)

// Options say how the server is set up.
type Options struct {
	// File keeps the records over a restart; "" keeps them in memory.
	File string
}

// TTL is that of records that are set without one, and of absence, in seconds.
const TTL = 300

// Server is the stand-in. Calls are labelled with protocol, type and name, such
// as "UDP TXT acme.test".
type Server struct {
	options Options

	mu      sync.Mutex
	state   state
	faults  []*Fault
	calls   []string
	address string
	running []*dns.Server
	done    chan struct{}
}

// state is all that outlives a restart.
type state struct {
	// Records are by type and name, such as "TXT acme.test.". Each has its answers in
	// turn, the last of which stays; an answer has one line of zone text a record.
	Records map[string][][]string
}

// New makes a server with the records of its file. It answers from Start on.
func New(o Options) (*Server, error) {
	s := &Server{options: o, state: state{Records: map[string][][]string{}}, done: make(chan struct{})}
	if err := stage.Load(o.File, &s.state); err != nil {
		return nil, fmt.Errorf("read the state of the DNS stand-in: %w", err)
	}
	if s.state.Records == nil {
		s.state.Records = map[string][][]string{}
	}
	return s, nil
}

// Start answers on a loopback address and port, over UDP and TCP. Port 0 finds a
// free one. A server is started once.
func (s *Server) Start(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("the DNS stand-in answers on a loopback address alone, and not on %s", address)
	}
	packets, listener, err := both(at)
	if err != nil {
		return fmt.Errorf("host the DNS stand-in: %w", err)
	}
	started := make(chan struct{}, 2)
	notify := func() { started <- struct{}{} }
	s.mu.Lock()
	defer s.mu.Unlock()
	s.address = packets.LocalAddr().String()
	s.running = []*dns.Server{
		{PacketConn: packets, Handler: s, NotifyStartedFunc: notify},
		{Listener: listener, Handler: s, NotifyStartedFunc: notify},
	}
	for _, server := range s.running {
		go server.ActivateAndServe() //nolint:errcheck // it ends when it is closed
		<-started
	}
	return nil
}

// both listens on one port with both protocols. A free port of one may be taken
// in the other, so that a few are tried.
func both(at netip.AddrPort) (net.PacketConn, net.Listener, error) {
	for tries := 0; ; tries++ {
		packets, err := net.ListenPacket("udp", at.String())
		if err != nil {
			return nil, nil, err
		}
		listener, err := net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, listener, nil
		}
		err = errors.Join(err, packets.Close())
		if at.Port() != 0 || tries == 20 {
			return nil, nil, err
		}
	}
}

// Addr is the address and port on which the server answers.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// Close ends the server.
func (s *Server) Close() error {
	s.mu.Lock()
	running := s.running
	s.running = nil
	s.mu.Unlock()
	if running == nil {
		return nil
	}
	close(s.done)
	var all []error
	for _, server := range running {
		all = append(all, server.Shutdown())
	}
	return errors.Join(all...)
}

// Set says what a name has of a type, in place of what it had; no values are
// none. A TXT value is the whole text, and is split as the protocol demands; all
// others are written as in zone files ("10 mail.example.org.").
func (s *Server) Set(name, kind string, values ...string) error {
	return s.SetTTL(TTL, name, kind, values...)
}

// SetTTL is Set with a TTL in seconds.
func (s *Server) SetTTL(ttl uint32, name, kind string, values ...string) error {
	return s.Turns(ttl, name, kind, values)
}

// Turns makes each question get the next of some answers, and the last one for
// ever, as a name does that is bound anew.
func (s *Server) Turns(ttl uint32, name, kind string, answers ...[]string) error {
	var turns [][]string
	for _, values := range answers {
		var lines []string
		for _, value := range values {
			rr, err := record(ttl, name, kind, value)
			if err != nil {
				return fmt.Errorf("%s %s: %w", kind, name, err)
			}
			lines = append(lines, rr.String())
		}
		turns = append(turns, lines)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key(kind, name), turns)
	return s.save()
}

// SetZone sets what a zone text has, in place of what its names had of its
// types. A line without a TTL has that of the line before it, and 300 seconds
// where there is none.
func (s *Server) SetZone(text string) error {
	parser := dns.NewZoneParser(strings.NewReader(text), ".", "")
	parser.SetDefaultTTL(TTL)
	found := map[string][]string{}
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		k := key(dns.TypeToString[rr.Header().Rrtype], rr.Header().Name)
		found[k] = append(found[k], rr.String())
	}
	if err := parser.Err(); err != nil {
		return fmt.Errorf("read a zone: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, lines := range found {
		s.put(k, [][]string{lines})
	}
	return s.save()
}

func (s *Server) put(k string, turns [][]string) {
	s.state.Records[k] = turns
	if len(turns) == 0 || len(turns) == 1 && len(turns[0]) == 0 {
		delete(s.state.Records, k)
	}
}

func (s *Server) save() error { return stage.Save(s.options.File, s.state) }

// key names records of a type in the state.
func key(kind, name string) string {
	return strings.ToUpper(kind) + " " + strings.ToLower(dns.Fqdn(name))
}

// record makes one of its value.
func record(ttl uint32, name, kind, value string) (dns.RR, error) {
	if _, ok := dns.IsDomainName(name); !ok {
		return nil, errors.New("no name of a record")
	}
	if strings.EqualFold(kind, "TXT") {
		return &dns.TXT{
			Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: ttl},
			Txt: pieces(value),
		}, nil
	}
	rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", dns.Fqdn(name), ttl, kind, value))
	if err == nil && rr == nil {
		err = errors.New("no record")
	}
	return rr, err
}

// pieces splits a text into strings of 255 bytes, written as the library wants
// them.
func pieces(text string) []string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var out []string
	for chunk := range slices.Chunk([]byte(text), 255) {
		out = append(out, escape.Replace(string(chunk)))
	}
	if out == nil {
		return []string{""}
	}
	return out
}
