package dns

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/miekg/dns"

	"github.com/dezky/platform/platform"
)

// find makes a finding of an answer, or of there being none.
func find(answer *dns.Msg, err error, asked dns.Question) platform.Finding {
	var f platform.Finding
	if err == nil {
		if f, err = read(answer, asked); err == nil {
			return f
		}
	}
	f = platform.Finding{Outcome: platform.OutcomeFailed, Failure: platform.FailureGarbled}
	if known, ok := errors.AsType[*failed](err); ok {
		f.Failure = known.failure
	}
	return f
}

// read takes the records that answer the question, over aliases if need be, and
// passes over what else stands beside them. An answer of nothing but what was not
// asked for is none.
func read(answer *dns.Msg, asked dns.Question) (platform.Finding, error) {
	var f platform.Finding
	switch {
	case answer.Truncated:
		return f, failure(platform.FailureGarbled, "half an answer over TCP")
	case answer.Rcode == dns.RcodeRefused, answer.Rcode == dns.RcodeNotImplemented, answer.Rcode == dns.RcodeFormatError:
		return f, failure(platform.FailureRefused, "%s", dns.RcodeToString[answer.Rcode])
	case answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError:
		return f, failure(platform.FailureServer, "code %d", answer.Rcode)
	}
	name, least, err := follow(&f, answer.Answer, asked)
	if err != nil {
		return f, err
	}
	pieces := 0
	for _, rr := range answer.Answer {
		if txt, ok := rr.(*dns.TXT); ok {
			pieces += len(txt.Txt)
		}
		if pieces > mostStrings {
			return f, failure(platform.FailureTooLong, "%d strings", pieces)
		}
		if rr.Header().Rrtype != asked.Qtype || !sameName(rr.Header().Name, name) {
			continue
		}
		value, err := present(rr)
		if err != nil {
			return f, err
		}
		f.Values = append(f.Values, value)
		least = min(least, rr.Header().Ttl)
	}
	slices.Sort(f.Values)
	f.Values = slices.Compact(f.Values)
	return conclude(f, answer, least)
}

// conclude says what it means that there are values, or none.
func conclude(f platform.Finding, answer *dns.Msg, least uint32) (platform.Finding, error) {
	switch {
	case len(f.Values) > 0:
		f.Outcome = platform.OutcomeFound
	case len(answer.Answer) > 0 && len(f.Chain) == 0:
		return f, failure(platform.FailureGarbled, "records that nobody asked for")
	case answer.Rcode == dns.RcodeNameError:
		f.Outcome = platform.OutcomeNoName
	case !answer.Authoritative && !answer.RecursionAvailable:
		return f, failure(platform.FailureRefused, "it does not look anything up for others")
	default:
		f.Outcome = platform.OutcomeEmpty
	}
	if f.Outcome != platform.OutcomeFound {
		least = min(least, absence(answer))
	}
	f.TTL = time.Duration(least) * time.Second
	return f, nil
}

// absence is how long it may be remembered that something is not there (RFC
// 2308): as the zone's SOA record says, and not at all without one.
func absence(answer *dns.Msg) uint32 {
	for _, rr := range answer.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(soa.Hdr.Ttl, soa.Minttl)
		}
	}
	return 0
}

// follow goes over aliases to the name that has the values, as far as the answer
// itself leads, and tells the least TTL on the way.
func follow(f *platform.Finding, records []dns.RR, asked dns.Question) (name string, least uint32, err error) {
	name, least = asked.Name, 1<<32-1
	if asked.Qtype == dns.TypeCNAME {
		return name, least, nil
	}
	for range mostHops {
		at := slices.IndexFunc(records, func(rr dns.RR) bool {
			return rr.Header().Rrtype == dns.TypeCNAME && sameName(rr.Header().Name, name)
		})
		if at < 0 {
			return name, least, nil
		}
		alias, ok := records[at].(*dns.CNAME)
		if !ok {
			return name, least, failure(platform.FailureGarbled, "an alias that is none")
		}
		name, least = alias.Target, min(least, alias.Hdr.Ttl)
		f.Chain = append(f.Chain, strings.TrimSuffix(host(name), "."))
	}
	return name, least, failure(platform.FailureGarbled, "more than %d aliases, or a circle of them", mostHops-1)
}

func sameName(a, b string) bool { return strings.EqualFold(dns.Fqdn(a), dns.Fqdn(b)) }

// host is a name in small letters, with a dot at its end.
func host(name string) string { return strings.ToLower(dns.Fqdn(name)) }

// present is a record's value as platform.Finding has it.
func present(record dns.RR) (string, error) {
	switch rr := record.(type) {
	case *dns.TXT:
		return text(strings.Join(rr.Txt, "")), nil
	case *dns.MX:
		return fmt.Sprintf("%d %s", rr.Preference, host(rr.Mx)), nil
	case *dns.CNAME:
		return host(rr.Target), nil
	case *dns.NS:
		return host(rr.Ns), nil
	case *dns.SRV:
		return fmt.Sprintf("%d %d %d %s", rr.Priority, rr.Weight, rr.Port, host(rr.Target)), nil
	case *dns.TLSA:
		return fmt.Sprintf("%d %d %d %s", rr.Usage, rr.Selector, rr.MatchingType, strings.ToLower(rr.Certificate)), nil
	case *dns.CAA:
		return fmt.Sprintf("%d %s %s", rr.Flag, strings.ToLower(text(rr.Tag)), quote(printable(rr.Value))), nil
	case *dns.A:
		return address(rr.A)
	case *dns.AAAA:
		return address(rr.AAAA)
	}
	return "", failure(platform.FailureGarbled, "a record that is not of its type")
}

func address(ip net.IP) (string, error) {
	if len(ip) != net.IPv4len && len(ip) != net.IPv6len {
		return "", failure(platform.FailureGarbled, "an address without data")
	}
	return ip.String(), nil
}

func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// text takes the library's escapes away again: a backslash before a character,
// or before the three digits of a byte.
func text(escaped string) string {
	var out []byte
	for i := 0; i < len(escaped); i++ {
		if escaped[i] != '\\' || i+1 == len(escaped) {
			out = append(out, escaped[i])
			continue
		}
		if i+3 < len(escaped) {
			if n, err := strconv.ParseUint(escaped[i+1:i+4], 10, 8); err == nil {
				out = append(out, byte(n))
				i += 3
				continue
			}
		}
		i++
		out = append(out, escaped[i])
	}
	return printable(string(out))
}

// printable writes what cannot be printed, and what hides or turns round what
// one reads, as \DDD, byte for byte.
func printable(raw string) string {
	var out strings.Builder
	for i := 0; i < len(raw); {
		r, size := utf8.DecodeRuneInString(raw[i:])
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			for _, b := range []byte(raw[i : i+size]) {
				fmt.Fprintf(&out, `\%03d`, b)
			}
		} else {
			out.WriteString(raw[i : i+size])
		}
		i += size
	}
	return out.String()
}
