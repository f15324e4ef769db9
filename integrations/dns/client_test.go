package dns

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dezky/platform/integrations/dns/standin"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

// stand is a client with its resolvers.
type stand struct {
	*Client
	servers []*standin.Server
	clock   *clocktest.Clock

	mu sync.Mutex
	// dialled are the addresses of all connections, ports those that they came from,
	// ids the first two bytes of what went over them.
	dialled, ports []string
	ids            []uint16
	open, most     int
	observed       []string
}

// newStand starts n resolvers.
func newStand(t *testing.T, n int) *stand {
	t.Helper()
	s := &stand{clock: clocktest.New(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))}
	o := Options{Clock: s.clock, Dial: s.watch, Observe: s.see}
	for range n {
		server := newServer(t, standin.Options{})
		s.servers = append(s.servers, server)
		o.Resolvers = append(o.Resolvers, server.Addr())
	}
	var err error
	if s.Client, err = New(o); err != nil {
		t.Fatal(err)
	}
	return s
}

func newServer(t *testing.T, o standin.Options) *standin.Server {
	t.Helper()
	server, err := standin.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func (s *stand) see(_, outcome string, _ time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observed = append(s.observed, outcome)
}

// watched is a connection whose first bytes are remembered.
type watched struct {
	net.Conn
	stand *stand
	once  sync.Once
}

func (s *stand) watch(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialled = append(s.dialled, network+" "+address)
	if err != nil {
		return nil, err
	}
	s.open++
	s.most = max(s.most, s.open)
	s.ports = append(s.ports, conn.LocalAddr().String())
	return &watched{Conn: conn, stand: s}, nil
}

func (w *watched) Write(data []byte) (int, error) {
	w.stand.mu.Lock()
	w.stand.ids = append(w.stand.ids, binary.BigEndian.Uint16(data))
	w.stand.mu.Unlock()
	return w.Conn.Write(data)
}

func (w *watched) Close() error {
	w.once.Do(func() {
		w.stand.mu.Lock()
		w.stand.open--
		w.stand.mu.Unlock()
	})
	return w.Conn.Close()
}

func txt(name string) platform.Question {
	return platform.Question{Name: name, Type: platform.RecordTypeTXT}
}

// one asks one question.
func (s *stand) one(t *testing.T, q platform.Question) []platform.Finding {
	t.Helper()
	answers, err := s.Lookup(t.Context(), []platform.Question{q})
	if err != nil {
		t.Fatal(err)
	}
	if len(answers) != 1 || answers[0].Question != q || len(answers[0].Findings) != len(s.servers) {
		t.Fatalf("not an answer to the question: %v", answers)
	}
	for i, f := range answers[0].Findings {
		if f.Resolver != s.servers[i].Addr() {
			t.Fatalf("finding %d is %s's", i, f.Resolver)
		}
	}
	return answers[0].Findings
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		reason    string
		resolvers []string
		want      []string
	}{
		"without port": {"DNS is on 53", []string{"1.1.1.1", " 8.8.8.8:5353 "}, []string{"1.1.1.1:53", "8.8.8.8:5353"}},
		"IPv6":         {"with brackets and without", []string{"2606:4700:4700::1111", "[2620:fe::fe]", "[::1]:5300"}, []string{"[2606:4700:4700::1111]:53", "[2620:fe::fe]:53", "[::1]:5300"}},
		"private":      {"the operator's word counts", []string{"10.0.0.53"}, []string{"10.0.0.53:53"}},
		"a name":       {"it would have to be looked up", []string{"one.one.one.one"}, nil},
		"a name, port": {"it would have to be looked up", []string{"dns.google:53"}, nil},
		"a URL":        {"not spoken here", []string{"https://1.1.1.1/dns-query"}, nil},
		"nobody's":     {"it is this machine", []string{"0.0.0.0:53"}, nil},
		"nobody's, 6":  {"it is this machine", []string{"::"}, nil},
		"many's":       {"it is whoever listens", []string{"224.0.0.251"}, nil},
		"port 0":       {"nobody listens there", []string{"1.1.1.1:0"}, nil},
		"twice":        {"they would seem to agree", []string{"1.1.1.1", "1.1.1.1:53"}, nil},
		"none":         {"the machine's own is never asked", nil, nil},
		"empty":        {"no address", []string{""}, nil},
	} {
		c, err := New(Options{Resolvers: tt.resolvers, Clock: platform.NewSystemClock()})
		switch {
		case tt.want == nil && platform.CodeOf(err) != platform.Invalid:
			t.Errorf("%s: %s: %v", name, tt.reason, err)
		case tt.want != nil && (err != nil || !slices.Equal(c.resolvers, tt.want)):
			t.Errorf("%s: %s: %v", name, tt.reason, err)
		}
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	s := newStand(t, 1)
	server := s.servers[0]
	long := strings.Repeat("0123456789", 42)
	must(t, server.SetTTL(60, "text.test", "TXT", long, `a"b\c`, "", "v=spf1 -all", "schön", "a\u202eb\x01\xff"))
	must(t, server.SetZone(`srv.test. IN SRV 0 1 443 Mail.Test.
tlsa.test. IN TLSA 3 1 1 ABCDEF
caa.test. IN CAA 128 issue "ca.test; x=\"y\""
a.test. IN A 192.0.2.1
a.test. IN AAAA 2001:db8::1
end.test. IN CNAME nowhere.test.
ns.test. IN NS NS1.test.
below.deep.test. IN A 192.0.2.1
mx.test. 120 IN MX 10 Mail.Test.
mx.test. 90 IN MX 5 b.test.
alias.test. 50 IN CNAME Other.test.
other.test. 500 IN CNAME text.test.
`))
	for _, tt := range []struct {
		reason, name string
		kind         platform.RecordType
		want         platform.Finding
	}{
		{"strings are joined, escapes undone, and what cannot be seen is written out", "Text.Test.", "TXT",
			platform.Finding{Values: []string{"", long, `a"b\c`, `a\226\128\174b\001\255`, "schön", "v=spf1 -all"}, TTL: time.Minute}},
		{"names in small letters, the least TTL", "mx.test", "MX", platform.Finding{Values: []string{"10 mail.test.", "5 b.test."}, TTL: 90 * time.Second}},
		{"a service", "srv.test", "SRV", platform.Finding{Values: []string{"0 1 443 mail.test."}, TTL: 300 * time.Second}},
		{"a certificate", "tlsa.test", "TLSA", platform.Finding{Values: []string{"3 1 1 abcdef"}, TTL: 300 * time.Second}},
		{"an issuer, quoted as in zone files", "caa.test", "CAA", platform.Finding{Values: []string{`128 issue "ca.test; x=\"y\""`}, TTL: 300 * time.Second}},
		{"an address", "a.test", "A", platform.Finding{Values: []string{"192.0.2.1"}, TTL: 300 * time.Second}},
		{"an address of the other family", "a.test", "AAAA", platform.Finding{Values: []string{"2001:db8::1"}, TTL: 300 * time.Second}},
		{"a name server", "ns.test", "NS", platform.Finding{Values: []string{"ns1.test."}, TTL: 300 * time.Second}},
		{"an alias itself", "alias.test", "CNAME", platform.Finding{Values: []string{"other.test."}, TTL: 50 * time.Second}},
		{"over aliases, the least TTL of them all", "alias.test", "MX", platform.Finding{Outcome: platform.OutcomeEmpty, Chain: []string{"other.test", "text.test"}, TTL: 50 * time.Second}},
		{"an alias that leads nowhere", "end.test", "A", platform.Finding{Outcome: platform.OutcomeNoName, Chain: []string{"nowhere.test"}, TTL: 300 * time.Second}},
		{"no such record", "mx.test", "TXT", platform.Finding{Outcome: platform.OutcomeEmpty, TTL: 300 * time.Second}},
		{"a name that is there for what is below it", "deep.test", "TXT", platform.Finding{Outcome: platform.OutcomeEmpty, TTL: 300 * time.Second}},
		{"no such name", "nowhere.test", "TXT", platform.Finding{Outcome: platform.OutcomeNoName, TTL: 300 * time.Second}},
		{"a type that is not asked for", "mx.test", "ANY", platform.Finding{Outcome: platform.OutcomeFailed, Failure: platform.FailureRefused}},
		{"a name that cannot be asked for", strings.Repeat("a", 64) + ".test", "TXT", platform.Finding{Outcome: platform.OutcomeFailed, Failure: platform.FailureRefused}},
		{"the root", ".", "NS", platform.Finding{Values: []string{"ns.standin.test."}, TTL: 300 * time.Second}},
	} {
		if tt.want.Outcome == "" {
			tt.want.Outcome = platform.OutcomeFound
		}
		tt.want.Resolver = server.Addr()
		got := s.one(t, platform.Question{Name: tt.name, Type: tt.kind})[0]
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.reason, diff)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const name = "acme.test"
	found := string(platform.OutcomeFound)
	for label, tt := range map[string]struct {
		reason string
		faults []standin.Fault
		want   string
		// calls are the protocols of the calls.
		calls string
		// wait is how many times the clock must be moved by the time of an attempt.
		wait int
	}{
		"none":           {"nothing goes wrong", nil, found, "UDP", 0},
		"lost once":      {"asked again", []standin.Fault{{Kind: standin.Drop, Times: 1}}, found, "UDP UDP", 1},
		"silent":         {"twice and no more", []standin.Fault{{Kind: standin.Drop}}, "TIMEOUT", "UDP UDP", 2},
		"slow":           {"slow is not silent", []standin.Fault{{Kind: standin.Delay, Wait: 20 * time.Millisecond}}, found, "UDP", 0},
		"truncated":      {"over TCP then", []standin.Fault{{Kind: standin.Truncate}}, found, "UDP TCP", 0},
		"truncated, TCP": {"half an answer is none", []standin.Fault{{Kind: standin.HalfTCP}}, "GARBLED", "UDP TCP UDP TCP", 0},
		"no TCP":         {"what does not fit cannot be had", []standin.Fault{{Kind: standin.NoTCP, On: "TCP"}, {Kind: standin.Truncate}}, "UNREACHABLE", "UDP TCP UDP TCP", 0},
		"silent TCP":     {"an open connection is no answer", []standin.Fault{{Kind: standin.Drop, On: "TCP"}, {Kind: standin.Truncate}}, "TIMEOUT", "UDP TCP UDP TCP", 2},
		"servfail once":  {"asked again", []standin.Fault{{Kind: standin.ServFail, Times: 1}}, found, "UDP UDP", 0},
		"servfail":       {"twice and no more", []standin.Fault{{Kind: standin.ServFail}}, "SERVFAIL", "UDP UDP", 0},
		"refused":        {"it will not change its mind", []standin.Fault{{Kind: standin.Refused}}, "REFUSED", "UDP", 0},
		"referral":       {"it is never followed", []standin.Fault{{Kind: standin.Referral}}, "REFUSED", "UDP", 0},
		"wrong ids":      {"somebody guesses", []standin.Fault{{Kind: standin.WrongID}}, "GARBLED", "UDP UDP", 0},
		"a stray answer": {"the right one comes after it", []standin.Fault{{Kind: standin.Stray}}, found, "UDP", 0},
		"other question": {"not what was asked", []standin.Fault{{Kind: standin.WrongQuestion}}, "GARBLED", "UDP UDP", 0},
		"garbage":        {"no DNS", []standin.Fault{{Kind: standin.Garbage}}, "GARBLED", "UDP UDP", 0},
		"garbage once":   {"asked again", []standin.Fault{{Kind: standin.Garbage, Times: 1}}, found, "UDP UDP", 0},
		"pointer loop":   {"a name without an end", []standin.Fault{{Kind: standin.PointerLoop}}, "GARBLED", "UDP UDP", 0},
		"alias loop":     {"aliases without an end", []standin.Fault{{Kind: standin.AliasLoop}}, "GARBLED", "UDP UDP", 0},
		"64 KB":          {"nobody has that much to say", []standin.Fault{{Kind: standin.Huge}}, "TOO_LONG", "UDP TCP", 0},
		"1,000 strings":  {"nobody has that much to say", []standin.Fault{{Kind: standin.ManyStrings}}, "TOO_LONG", "UDP TCP", 0},
		"1,000 records":  {"nobody has that much to say", []standin.Fault{{Kind: standin.ManyRecords}}, "TOO_LONG", "UDP TCP", 0},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, 1)
			must(t, s.servers[0].Set(name, "TXT", "hello"))
			for _, f := range tt.faults {
				s.servers[0].Fail(f)
			}
			if tt.wait > 0 {
				go s.outwait(t.Context(), s.servers[0], tt.faults[0].On, tt.wait)
			}
			f := s.one(t, txt(name))[0]
			got := string(f.Outcome)
			if f.Outcome == platform.OutcomeFailed {
				got = string(f.Failure)
			}
			var calls []string
			for _, call := range s.servers[0].Calls() {
				calls = append(calls, call[:3])
			}
			if got != tt.want || strings.Join(calls, " ") != tt.calls {
				t.Errorf("%s: %s after %v instead of %s after %s", tt.reason, got, calls, tt.want, tt.calls)
			}
			if tt.want == found && !slices.Equal(f.Values, []string{"hello"}) || tt.want != found && f.Values != nil {
				t.Errorf("%s: %q", tt.reason, f.Values)
			}
			if last := s.observed[len(s.observed)-1]; last != tt.want {
				t.Errorf("%s: observed was %s", tt.reason, s.observed)
			}
		})
	}
}

// outwait moves the clock past n attempts, each as soon as the server has got
// its question, by calls that begin with a protocol.
func (s *stand) outwait(ctx context.Context, server *standin.Server, protocol string, n int) {
	for i := range n {
		for ctx.Err() == nil {
			got := 0
			for _, call := range server.Calls() {
				if strings.HasPrefix(call, protocol) {
					got++
				}
			}
			if got > i {
				break
			}
			time.Sleep(time.Millisecond)
		}
		s.clock.Advance(attemptTime)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	s := newStand(t, 1)
	must(t, s.servers[0].Close())
	if f := s.one(t, txt("acme.test"))[0]; f.Failure != platform.FailureUnreachable {
		t.Errorf("%v", f)
	}
	if err := s.Probe(t.Context()); platform.CodeOf(err) != platform.Unavailable || !platform.CanPass(err) {
		t.Errorf("the probe says %v", err)
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	s := newStand(t, 2)
	must(t, s.Probe(t.Context()))
	s.servers[0].Fail(standin.Fault{Kind: standin.Refused})
	if err := s.Probe(t.Context()); err != nil {
		t.Errorf("one resolver is enough: %v", err)
	}
	s.servers[1].Fail(standin.Fault{Kind: standin.ServFail})
	if err := s.Probe(t.Context()); platform.CodeOf(err) != platform.Unavailable {
		t.Errorf("no resolver answers: %v", err)
	}
	if calls := s.servers[0].Calls(); !slices.Contains(calls, "UDP NS .") {
		t.Errorf("the probe asked %v", calls)
	}
}

// FuzzAnswer looks for packets at which the reader breaks, or reads more than it
// may.
func FuzzAnswer(f *testing.F) {
	ask := new(dns.Msg).SetQuestion("acme.test.", dns.TypeTXT)
	ask.Id = 7
	reply := new(dns.Msg).SetReply(ask)
	reply.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: "acme.test.", Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{`a\"\200`}}}
	data, err := reply.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{0, 7})
	f.Fuzz(func(t *testing.T, data []byte) {
		answer, err := open(data, ask)
		found := find(answer, err, ask.Question[0])
		if found.Outcome == platform.OutcomeFailed && found.Failure == "" || len(found.Values) > mostRecords {
			t.Fatalf("%v", found)
		}
	})
}
