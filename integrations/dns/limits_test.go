package dns

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/dezky/platform/integrations/dns/standin"
	"github.com/dezky/platform/platform"
)

func TestOnlyResolversAreContacted(t *testing.T) {
	t.Parallel()
	s := newStand(t, 2)
	for _, server := range s.servers {
		must(t, server.Turns(0, "rebind.test", "A", []string{"192.0.2.1"}, []string{"127.0.0.1"}, []string{"169.254.169.254"}))
		must(t, server.Set("rebind.test", "AAAA", "::ffff:10.0.0.1", "::1"))
		must(t, server.Set("inside.test", "CNAME", "metadata.google.internal."))
		must(t, server.Set("acme.test", "TXT", "v=spf1 include:169.254.169.254 a:rebind.test mx redirect=inside.test"))
		must(t, server.Set("acme.test", "MX", "10 localhost.", "10 [127.0.0.1]."))
		must(t, server.Set("acme.test", "NS", "rebind.test."))
		server.Fail(standin.Fault{Kind: standin.Referral, Times: 3, On: "UDP MX"})
	}
	wanted, err := platform.ParseZone("acme.test. IN TXT \"v=spf1 mx -all\"\nacme.test. IN MX 10 mail.test.\nrebind.test. IN CNAME mail.test.\n")
	must(t, err)
	for range 3 {
		_, err := platform.AskRecords(t.Context(), s, wanted)
		must(t, err)
		for _, kind := range []platform.RecordType{"A", "AAAA", "NS", "CNAME", "MX"} {
			for _, name := range []string{"rebind.test", "inside.test", "acme.test"} {
				s.one(t, platform.Question{Name: name, Type: kind})
			}
		}
	}
	for _, address := range s.dialled {
		_, to, _ := strings.Cut(address, " ")
		if to != s.servers[0].Addr() && to != s.servers[1].Addr() {
			t.Errorf("contacted %s", address)
		}
	}
	if len(s.dialled) < 90 {
		t.Errorf("only %d connections", len(s.dialled))
	}
}

func TestIDsAndPortsAreRandom(t *testing.T) {
	t.Parallel()
	s := newStand(t, 1)
	for range 100 {
		s.one(t, txt("acme.test"))
	}
	steps, ports := map[uint16]bool{}, map[string]bool{}
	for i := range s.ids[1:] {
		steps[s.ids[i+1]-s.ids[i]] = true
	}
	for _, port := range s.ports {
		ports[port] = true
	}
	if len(steps) < 90 || len(ports) < 50 {
		t.Errorf("of 100 questions %d different steps between ids and %d ports", len(steps), len(ports))
	}
}

func TestFewAreUnderWay(t *testing.T) {
	t.Parallel()
	s := newStand(t, 1)
	s.servers[0].Fail(standin.Fault{Kind: standin.Delay, Wait: 5 * time.Millisecond})
	questions := slices.Repeat([]platform.Question{txt("acme.test")}, 200)
	answers, err := s.Lookup(t.Context(), questions)
	must(t, err)
	for _, a := range answers {
		if a.Findings[0].Outcome != platform.OutcomeNoName {
			t.Fatalf("%v", a)
		}
	}
	if s.most > parallel || s.most < 2 || s.open != 0 {
		t.Errorf("%d at once, %d left open", s.most, s.open)
	}
}

func TestTooManyQuestions(t *testing.T) {
	t.Parallel()
	s := newStand(t, 1)
	_, err := s.Lookup(t.Context(), slices.Repeat([]platform.Question{txt("acme.test")}, mostQuestions+1))
	if platform.CodeOf(err) != platform.Invalid || platform.CanPass(err) || len(s.dialled) > 0 {
		t.Errorf("%v after %d connections", err, len(s.dialled))
	}
}

func TestTheWholeLookupEnds(t *testing.T) {
	t.Parallel()
	s := newStand(t, 1)
	s.servers[0].Fail(standin.Fault{Kind: standin.Drop})
	done := make(chan []platform.Answers)
	go func() {
		answers, err := s.Lookup(t.Context(), slices.Repeat([]platform.Question{txt("acme.test")}, mostQuestions))
		if err != nil {
			t.Error(err)
		}
		done <- answers
	}()
	for range int(lookupTime / time.Second) {
		time.Sleep(5 * time.Millisecond)
		s.clock.Advance(time.Second)
	}
	select {
	case answers := <-done:
		for _, a := range answers {
			if a.Findings[0].Failure != platform.FailureTimeout {
				t.Fatalf("%v", a)
			}
		}
	case <-time.After(10 * time.Second):
		t.Errorf("it goes on after %s", lookupTime)
	}
}

func TestTheCallerGivesUp(t *testing.T) {
	t.Parallel()
	s := newStand(t, 2)
	for _, server := range s.servers {
		server.Fail(standin.Fault{Kind: standin.Drop})
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	began := time.Now()
	_, err := s.Lookup(ctx, []platform.Question{txt("acme.test"), txt("b.test")})
	if platform.CodeOf(err) != platform.Unavailable || !platform.CanPass(err) || time.Since(began) > time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	if s.open != 0 {
		t.Errorf("%d connections left open", s.open)
	}
}

func (s *stand) answered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.observed)
}

func TestOneSilentResolverDoesNotHoldUpTheOther(t *testing.T) {
	t.Parallel()
	s := newStand(t, 2)
	s.servers[0].Fail(standin.Fault{Kind: standin.Drop})
	must(t, s.servers[1].Set("acme.test", "TXT", "hello"))
	go func() {
		for len(s.servers[1].Calls()) == 0 || s.answered() == 0 {
			time.Sleep(time.Millisecond)
		}
		s.outwait(t.Context(), s.servers[0], "", attempts)
	}()
	findings := s.one(t, txt("acme.test"))
	if findings[0].Failure != platform.FailureTimeout || findings[1].Outcome != platform.OutcomeFound {
		t.Errorf("%v", findings)
	}
}

func TestHostileAnswersTakeLittleMemory(t *testing.T) {
	var before, after runtime.MemStats
	data := make([]byte, 64<<10)
	data[1], data[2], data[6], data[7] = 7, 0x80, 0xff, 0xff
	ask := new(dns.Msg).SetQuestion("acme.test.", dns.TypeTXT)
	ask.Id = 7
	runtime.ReadMemStats(&before)
	for range 1000 {
		if _, err := open(data, ask); err == nil {
			t.Fatal("65,535 records were taken")
		}
	}
	runtime.ReadMemStats(&after)
	if used := (after.TotalAlloc - before.TotalAlloc) / 1000; used > 16<<10 {
		t.Errorf("an answer that is refused takes %d bytes", used)
	}
}
