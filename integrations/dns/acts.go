package dns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/miekg/dns"

	"github.com/dezky/platform/platform"
)

// The client is what the platform asks of resolvers.
var (
	_ platform.Resolvers = (*Client)(nil)
	_ platform.Probe     = (*Client)(nil)
)

// kinds are the types that can be asked for.
func kinds(t platform.RecordType) (uint16, bool) {
	kind, ok := dns.StringToType[string(t)]
	return kind, ok && slices.Contains([]uint16{
		dns.TypeA, dns.TypeAAAA, dns.TypeCAA, dns.TypeCNAME, dns.TypeMX, dns.TypeNS, dns.TypeSRV, dns.TypeTLSA, dns.TypeTXT,
	}, kind)
}

// Lookup is platform.Resolvers'.
func (c *Client) Lookup(ctx context.Context, questions []platform.Question) ([]platform.Answers, error) {
	if len(questions) > mostQuestions {
		return nil, platform.Errorf(platform.Invalid, "More than %d questions are too many for one DNS look-up.", mostQuestions).Never()
	}
	whole, cancel := c.clock.WithTimeout(ctx, lookupTime)
	defer cancel()
	answers := make([]platform.Answers, len(questions))
	var all sync.WaitGroup
	for i, q := range questions {
		answers[i] = platform.Answers{Question: q, Findings: make([]platform.Finding, len(c.resolvers))}
		for j, resolver := range c.resolvers {
			all.Go(func() { answers[i].Findings[j] = c.ask(whole, resolver, q) })
		}
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return nil, platform.Errorf(platform.Unavailable, "The DNS look-up was given up.").Because(err)
	}
	return answers, nil
}

// Probe asks every resolver for the name servers of the root. One that answers
// is enough to work with.
func (c *Client) Probe(ctx context.Context) error {
	answers, err := c.Lookup(ctx, []platform.Question{{Name: ".", Type: platform.RecordTypeNS}})
	if err != nil {
		return err
	}
	var silent []error
	for _, f := range answers[0].Findings {
		if f.Outcome == platform.OutcomeFound {
			return nil
		}
		silent = append(silent, fmt.Errorf("%s: %s %s", f.Resolver, f.Outcome, f.Failure))
	}
	return platform.Errorf(platform.Unavailable, "No DNS resolver answers.").Because(errors.Join(silent...))
}

// ask asks one resolver one question, and once more where that can help.
func (c *Client) ask(ctx context.Context, resolver string, q platform.Question) platform.Finding {
	kind, ok := kinds(q.Type)
	name := dns.Fqdn(q.Name)
	if _, valid := dns.IsDomainName(name); !ok || !valid {
		return platform.Finding{Resolver: resolver, Outcome: platform.OutcomeFailed, Failure: platform.FailureRefused}
	}
	f := platform.Finding{Resolver: resolver, Outcome: platform.OutcomeFailed, Failure: platform.FailureTimeout}
	select {
	case c.slots[resolver] <- struct{}{}:
		defer func() { <-c.slots[resolver] }()
	case <-ctx.Done():
		return f
	}
	for range attempts {
		f = c.attempt(ctx, resolver, name, kind)
		f.Resolver = resolver
		again := f.Failure == platform.FailureTimeout || f.Failure == platform.FailureUnreachable ||
			f.Failure == platform.FailureServer || f.Failure == platform.FailureGarbled
		if !again || ctx.Err() != nil {
			break
		}
	}
	return f
}

// attempt asks over UDP, and over TCP what does not fit. Each has an id of its
// own.
func (c *Client) attempt(ctx context.Context, resolver, name string, kind uint16) platform.Finding {
	for _, network := range []string{"udp", "tcp"} {
		ask := new(dns.Msg).SetQuestion(name, kind)
		ask.SetEdns0(packetAsked, false)
		began := c.clock.Running()
		answer, err := c.exchange(ctx, network, resolver, ask)
		took := c.clock.Running() - began
		if err == nil && answer.Truncated && network == "udp" {
			c.observe(resolver, "TRUNCATED", took)
			continue
		}
		f := find(answer, err, ask.Question[0])
		outcome := string(f.Outcome)
		if f.Failure != "" {
			outcome = string(f.Failure)
		}
		c.observe(resolver, outcome, took)
		return f
	}
	return platform.Finding{} // not reached: TCP ends the loop
}
