// Package dns asks public resolvers what is published, each for itself. It
// contacts the resolvers that it was given and nothing else: it follows no
// referral, and whatever address an answer names is a text to it.
//
// It trusts no answer: one counts that came from the resolver's address and port
// to a port of our own that was chosen at random, with the id and the question
// that were sent, and with no more in it than an honest answer has.
//
// The library is github.com/miekg/dns, which is finished and gets mended; its
// successor, codeberg.org/miekg/dns, changes its API from version to version.
package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/dezky/platform/platform"
)

// The bounds of a call.
const (
	attemptTime = 2 * time.Second
	lookupTime  = 15 * time.Second
	attempts    = 2
	parallel    = 32

	mostQuestions = 400
	longestAnswer = 16 << 10
	longestPacket = 4 << 10
	packetAsked   = 1232 // what crosses every network whole (DNS flag day 2020)
	mostStray     = 16
	mostRecords   = 100
	mostBeside    = 200
	mostStrings   = 256
	mostHops      = 16
)

// Options say whom to ask.
type Options struct {
	// Resolvers are addresses, with a port or without, which is then 53. A name is
	// refused, since it would have to be looked up.
	Resolvers []string
	Clock     platform.Clock
	// Dial opens the connections, "udp" and "tcp", to a resolver; nil is the
	// machine's way.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Observe, if it is not nil, is told of each exchange: the resolver, how it
	// ended (an Outcome or a Failure of platform, or TRUNCATED) and how long it
	// took. It is called from several goroutines.
	Observe func(resolver, outcome string, took time.Duration)
}

// Client asks the resolvers.
type Client struct {
	resolvers []string
	clock     platform.Clock
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	observe   func(resolver, outcome string, took time.Duration)
	// slots bound the questions under way, for each resolver by itself, so that one
	// that is silent does not hold up the others.
	slots map[string]chan struct{}
}

// New makes a client. It refuses resolvers that are no addresses, that are named
// twice, since they would seem to agree, or that are none at all, as Invalid.
func New(o Options) (*Client, error) {
	c := &Client{clock: o.Clock, dial: o.Dial, observe: o.Observe, slots: map[string]chan struct{}{}}
	if c.dial == nil {
		c.dial = new(net.Dialer).DialContext
	}
	if c.observe == nil {
		c.observe = func(string, string, time.Duration) {}
	}
	for _, text := range o.Resolvers {
		address, err := parseResolver(text)
		switch {
		case err != nil:
			return nil, platform.Errorf(platform.Invalid, "The DNS resolver %.60q is not an address, with or without a port.", text).Because(err)
		case slices.Contains(c.resolvers, address):
			return nil, platform.Errorf(platform.Invalid, "The DNS resolver %s is named twice.", address)
		}
		c.resolvers = append(c.resolvers, address)
		c.slots[address] = make(chan struct{}, parallel)
	}
	if len(c.resolvers) == 0 {
		return nil, platform.Errorf(platform.Invalid, "There is no DNS resolver to ask.")
	}
	return c, nil
}

func parseResolver(text string) (string, error) {
	text = strings.TrimSpace(text)
	address, err := netip.ParseAddrPort(text)
	if err != nil {
		var alone netip.Addr
		if alone, err = netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")); err != nil {
			return "", err
		}
		address = netip.AddrPortFrom(alone, 53)
	}
	if ip := address.Addr().Unmap(); ip.IsUnspecified() || ip.IsMulticast() || address.Port() == 0 {
		return "", fmt.Errorf("%s is nobody's address", address)
	}
	return address.String(), nil
}

// failed is why an exchange gave no answer.
type failed struct {
	failure platform.Failure
	cause   error
}

func (f *failed) Error() string { return strings.ToLower(string(f.failure)) + ": " + f.cause.Error() }

func (f *failed) Unwrap() error { return f.cause }

func failure(kind platform.Failure, format string, args ...any) error {
	return &failed{kind, fmt.Errorf(format, args...)}
}

// exchange sends one question over "udp" or "tcp" and reads the answer to it.
// Its error is a *failed.
func (c *Client) exchange(ctx context.Context, network, resolver string, ask *dns.Msg) (*dns.Msg, error) {
	query, err := ask.Pack()
	if err != nil {
		return nil, failure(platform.FailureRefused, "the question cannot be asked: %w", err)
	}
	ctx, cancel := c.clock.WithTimeout(ctx, attemptTime)
	defer cancel()
	conn, err := c.dial(ctx, network, resolver)
	if err != nil {
		return nil, broken(ctx, err)
	}
	defer conn.Close() //nolint:errcheck // what was read was read
	// The clock ends the wait, and not a deadline of the connection: a test holds
	// the clock.
	defer context.AfterFunc(ctx, func() { conn.Close() })() //nolint:errcheck // the read says that it was closed
	if network == "tcp" {
		return converse(ctx, conn, query, ask)
	}
	return listen(ctx, conn, query, ask)
}

// broken tells a wait that ended from a connection that did.
func broken(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*failed](err); ok {
		return err
	}
	if ctx.Err() != nil {
		return failure(platform.FailureTimeout, "%w", ctx.Err())
	}
	return failure(platform.FailureUnreachable, "%w", err)
}

// listen takes the first packet that is an answer to the question. What others
// may have sent is passed over, within bounds.
func listen(ctx context.Context, conn net.Conn, query []byte, ask *dns.Msg) (*dns.Msg, error) {
	if _, err := conn.Write(query); err != nil {
		return nil, broken(ctx, err)
	}
	packet := make([]byte, longestPacket)
	var stray error
	for range mostStray {
		n, err := conn.Read(packet)
		if err != nil && stray != nil {
			return nil, stray
		}
		if err != nil {
			return nil, broken(ctx, err)
		}
		answer, err := open(packet[:n], ask)
		if err == nil {
			return answer, nil
		}
		if n >= 2 && binary.BigEndian.Uint16(packet) == ask.Id {
			return nil, err
		}
		stray = err
	}
	return nil, stray
}

// converse asks over a stream, in which each message has its length before it.
func converse(ctx context.Context, conn net.Conn, query []byte, ask *dns.Msg) (*dns.Msg, error) {
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	if _, err := conn.Write(framed); err != nil {
		return nil, broken(ctx, err)
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, broken(ctx, err)
	}
	size := int(binary.BigEndian.Uint16(length[:]))
	if size > longestAnswer {
		return nil, failure(platform.FailureTooLong, "%d bytes", size)
	}
	answer := make([]byte, size)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, broken(ctx, err)
	}
	return open(answer, ask)
}

// open reads an answer and makes sure that it is one to the question. What it
// holds is counted before it is unpacked.
func open(data []byte, ask *dns.Msg) (*dns.Msg, error) {
	const header = 12
	if len(data) < header {
		return nil, failure(platform.FailureGarbled, "%d bytes are no answer", len(data))
	}
	if id := binary.BigEndian.Uint16(data); id != ask.Id {
		return nil, failure(platform.FailureGarbled, "the id is %d instead of %d", id, ask.Id)
	}
	answers := int(binary.BigEndian.Uint16(data[6:]))
	beside := int(binary.BigEndian.Uint16(data[8:])) + int(binary.BigEndian.Uint16(data[10:]))
	if answers > mostRecords || beside > mostBeside {
		return nil, failure(platform.FailureTooLong, "%d records and %d beside them", answers, beside)
	}
	answer := new(dns.Msg)
	if err := answer.Unpack(data); err != nil {
		return nil, failure(platform.FailureGarbled, "%w", err)
	}
	if !answer.Response || answer.Opcode != dns.OpcodeQuery {
		return nil, failure(platform.FailureGarbled, "it is no answer")
	}
	return answer, sameQuestion(answer, ask.Question[0])
}

// sameQuestion lets those pass without a question that say that they could not
// read it.
func sameQuestion(answer *dns.Msg, asked dns.Question) error {
	if len(answer.Question) == 0 && answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return nil
	}
	if len(answer.Question) != 1 || !strings.EqualFold(answer.Question[0].Name, asked.Name) ||
		answer.Question[0].Qtype != asked.Qtype || answer.Question[0].Qclass != asked.Qclass {
		return failure(platform.FailureGarbled, "it answers another question")
	}
	return nil
}
