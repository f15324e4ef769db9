package standin

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func start(t *testing.T, file string) *Server {
	t.Helper()
	s, err := New(Options{File: file})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a message and gives the records of the answer, without their heads.
func ask(t *testing.T, s *Server, network string, m *dns.Msg) (code int, values []string) {
	t.Helper()
	answer, _, err := (&dns.Client{Net: network}).Exchange(m, s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, rr := range answer.Answer {
		values = append(values, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return answer.Rcode, values
}

func question(name string, kind uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, kind) }

func TestRecordsOutliveARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dns.json")
	long := strings.Repeat("x", 300)
	before := start(t, file)
	for _, err := range []error{
		before.Set("Text.test", "txt", long, `a"b\c`),
		before.Set("gone.test", "TXT", "x"),
		before.Set("gone.test", "TXT"),
		before.SetZone("mx.test. IN MX 10 mail.test.\nmx.test. IN MX 20 b.test.\n"),
		before.Turns(0, "turn.test", "A", []string{"192.0.2.1"}, []string{"127.0.0.1"}),
		before.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	after := start(t, file)
	for _, test := range []struct {
		name string
		kind uint16
		code int
		want []string
	}{
		{"text.test.", dns.TypeTXT, dns.RcodeSuccess, []string{`"` + long[:255] + `" "` + long[255:] + `"`, `"a\"b\\c"`}},
		{"TEXT.test.", dns.TypeMX, dns.RcodeSuccess, nil},
		{"gone.test.", dns.TypeTXT, dns.RcodeNameError, nil},
		{"mx.test.", dns.TypeMX, dns.RcodeSuccess, []string{"10 mail.test.", "20 b.test."}},
		{"turn.test.", dns.TypeA, dns.RcodeSuccess, []string{"192.0.2.1"}},
		{"turn.test.", dns.TypeA, dns.RcodeSuccess, []string{"127.0.0.1"}},
		{"turn.test.", dns.TypeA, dns.RcodeSuccess, []string{"127.0.0.1"}},
	} {
		for _, network := range []string{"udp", "tcp"} {
			if network == "tcp" && test.name == "turn.test." {
				continue
			}
			code, values := ask(t, after, network, question(test.name, test.kind))
			if code != test.code || !slices.Equal(values, test.want) {
				t.Errorf("%s over %s: %s %q", test.name, network, dns.RcodeToString[code], values)
			}
		}
	}
	if err := after.Close(); err != nil {
		t.Error(err)
	}
	if err := after.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestWhatIsNotPlayedIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	chaos := question("version.bind.", dns.TypeTXT)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	notify := question("acme.test.", dns.TypeSOA)
	notify.Opcode = dns.OpcodeNotify
	update := question("acme.test.", dns.TypeSOA)
	update.Opcode = dns.OpcodeUpdate
	for name, test := range map[string]struct {
		message *dns.Msg
		code    int
	}{
		"any":          {question("acme.test.", dns.TypeANY), dns.RcodeRefused},
		"transfer":     {question("acme.test.", dns.TypeAXFR), dns.RcodeRefused},
		"other class":  {chaos, dns.RcodeRefused},
		"notification": {notify, dns.RcodeNotImplemented},
		"update":       {update, dns.RcodeNotImplemented},
	} {
		if code, _ := ask(t, s, "tcp", test.message); code != test.code {
			t.Errorf("%s: %s", name, dns.RcodeToString[code])
		}
	}
	for name, err := range map[string]error{
		"a type without data": s.Set("acme.test", "MX", "mail.test."),
		"an unknown type":     s.Set("acme.test", "XX", "x"),
		"no name":             s.Set(strings.Repeat("a", 64)+".test", "TXT", "x"),
		"no zone":             s.SetZone("nonsense"),
		"an open address":     s.Start("0.0.0.0:0"),
		"a name to listen on": s.Start("localhost:0"),
	} {
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
