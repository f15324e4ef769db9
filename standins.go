package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	authentik "github.com/dezky/platform/integrations/authentik/standin"
	dns "github.com/dezky/platform/integrations/dns/standin"
	ocis "github.com/dezky/platform/integrations/ocis/standin"
	"github.com/dezky/platform/integrations/stage"
	stalwart "github.com/dezky/platform/integrations/stalwart/standin"
	stripe "github.com/dezky/platform/integrations/stripe/standin"

	"github.com/dezky/platform/graph/playground"
	"github.com/dezky/platform/platform"
)

// standIns are the outside systems that this process plays itself, each on a
// loopback port of its own, spoken to over HTTP like the real ones. They keep
// their state beside the database, so that after a restart every handle and
// token is still good.
type standIns struct {
	authentik *authentik.Server
	running   []*http.Server
	clock     platform.Clock
}

// The ports of the stand-ins, counted from the server's own, so that two
// servers on one machine do not meet.
const (
	authentikPort = 101
	stalwartPort  = 102
	ocisPort      = 103
	stripePort    = 104
	dnsPort       = 105
)

// host starts the stand-ins that the configuration asks for, and completes it
// with their addresses.
func (s *standIns) host(c *Config, clock platform.Clock) error {
	s.clock = clock
	folder := folderOf(c)
	if c.Authentik.StandIn() {
		server, err := authentik.New(authentik.Options{File: filepath.Join(folder, "authentik.json"), Clock: clock})
		if err != nil {
			return fmt.Errorf("start Authentik's stand-in: %w", err)
		}
		address, err := s.listen(c.Port, authentikPort, server, server.Stage())
		if err != nil {
			return err
		}
		server.SetBaseURL(address)
		s.authentik, c.Authentik = server, Outside{URL: address, Token: server.Token()}
		if len(c.Issuers) == 0 {
			for _, application := range authentik.Applications() {
				c.Issuers = append(c.Issuers, server.Issuer(application))
			}
		}
	}
	if c.Stalwart.StandIn() {
		token := platform.NewSecret("API_development")
		server, err := stalwart.New(stalwart.Options{
			File: filepath.Join(folder, "stalwart.json"), Token: token, Clock: clock,
			PublicURL: "https://mail.dezky.test", Hostname: "mail.dezky.test",
			FirstKey: 5 * time.Millisecond, SecondKey: 300 * time.Millisecond,
		})
		if err != nil {
			return fmt.Errorf("start Stalwart's stand-in: %w", err)
		}
		address, err := s.listen(c.Port, stalwartPort, server, server.Stage())
		if err != nil {
			return err
		}
		c.Stalwart = Outside{URL: address, Token: token}
	}
	if c.OCIS.StandIn() {
		const user = "dezky"
		token := platform.NewSecret("development")
		options := ocis.Options{
			File: filepath.Join(folder, "ocis.json"), Username: user, Token: token, Clock: clock, PublicURL: "https://files.dezky.test",
		}
		if s.authentik != nil {
			options.UserInfo = c.Authentik.URL + "/application/o/userinfo/"
		}
		server, err := ocis.New(options)
		if err != nil {
			return fmt.Errorf("start oCIS's stand-in: %w", err)
		}
		address, err := s.listen(c.Port, ocisPort, server, server.Stage())
		if err != nil {
			return err
		}
		c.OCIS, c.OCISUsername = Outside{URL: address, Token: token}, user
	}
	return nil
}

// folderOf is where the stand-ins keep their state.
func folderOf(c *Config) string {
	if c.Database == "" {
		return filepath.Join("data", "standins")
	}
	return filepath.Join(filepath.Dir(c.Database), "standins")
}

// alone plays every outside system until ctx ends, on the ports that "make run"
// has for those that it plays, and says where each is and how it is called.
func alone(ctx context.Context, c Config, out io.Writer) (err error) {
	c.Authentik, c.Stalwart, c.OCIS = Outside{}, Outside{}, Outside{}
	clock := platform.NewSystemClock()
	s := &standIns{}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.host(&c, clock); err != nil {
		return err
	}
	if err := s.addPeople(); err != nil {
		return err
	}
	key := platform.NewSecret("sk_test_development")
	payment, err := stripe.New(stripe.Options{File: filepath.Join(folderOf(&c), "stripe.json"), Key: key, Clock: clock})
	if err != nil {
		return fmt.Errorf("start Stripe's stand-in: %w", err)
	}
	bills, err := s.listen(c.Port, stripePort, payment, payment.Stage())
	if err != nil {
		return err
	}
	names, err := dns.New(dns.Options{File: filepath.Join(folderOf(&c), "dns.json")})
	if err != nil {
		return fmt.Errorf("start the DNS stand-in: %w", err)
	}
	if err := names.Start(placed(c.Port, dnsPort)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, names.Close()) }()
	_, err = fmt.Fprintf(out, `The outside systems, for development; end with Ctrl-C.
Authentik  %s  token %s
           issuers %s
           people  %s, password %s
Stalwart   %s  token %s
oCIS       %s  user %s, token %s
Stripe     %s  key %s
DNS        %s
To have one of the first four fail: curl -d '{"status": 503}' ADDRESS%s; to heal it: curl -X DELETE ADDRESS%s
`, c.Authentik.URL, c.Authentik.Token.Reveal(), strings.Join(c.Issuers, " "), strings.Join(usernames(), " "), authentik.Password,
		c.Stalwart.URL, c.Stalwart.Token.Reveal(), c.OCIS.URL, c.OCISUsername, c.OCIS.Token.Reveal(), bills, key.Reveal(), names.Addr(), stage.ControlPath, stage.ControlPath)
	if err == nil {
		<-ctx.Done()
	}
	return err
}

func usernames() (all []string) {
	for _, who := range people() {
		all = append(all, who.Username)
	}
	return all
}

// addPeople lets the identity provider know the people.
func (s *standIns) addPeople() error {
	for _, who := range people() {
		if err := s.authentik.AddPerson(who.Person); err != nil {
			return fmt.Errorf("add %s: %w", who.Username, err)
		}
	}
	return nil
}

// placed is where a stand-in listens: on loopback, so far from the server's own
// port, or anywhere when that has none of its own.
func placed(port, offset int) string {
	if port != 0 {
		port += offset
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// listen hosts a stand-in, beside the controls of its stage.
func (s *standIns) listen(port, offset int, handler http.Handler, controls *stage.Stage) (address string, err error) {
	listener, err := net.Listen("tcp", placed(port, offset))
	if err != nil {
		return "", fmt.Errorf("host a stand-in: %w", err)
	}
	server := &http.Server{Handler: controls.Control(handler), ReadHeaderTimeout: 5 * time.Second}
	s.running = append(s.running, server)
	go server.Serve(listener) //nolint:errcheck // it ends when it is closed
	return "http://" + listener.Addr().String(), nil
}

func (s *standIns) close() error {
	var all []error
	for _, server := range s.running {
		all = append(all, server.Close())
	}
	return errors.Join(all...)
}

// person is somebody to sign in as in development.
type person struct {
	authentik.Person
	role string
}

// people are the four who try things out.
func people() []person {
	with := func(username, uuid, name, application, role string, groups ...string) person {
		return person{authentik.Person{
			Username: username, UUID: uuid, Name: name, Email: username + "@dezky.test", Groups: groups, Application: application,
		}, role}
	}
	return []person{
		with("operator", "00000000-0000-4000-8000-000000000001", "Olga Operator", authentik.Operator, "Operator", "dezky-platform-admins"),
		with("owner", "00000000-0000-4000-8000-000000000002", "Paul Partner", authentik.Portal, "Partner owner", "dezky-partner-staff"),
		with("admin", "00000000-0000-4000-8000-000000000003", "Anna Admin", authentik.Portal, "Tenant admin"),
		with("member", "00000000-0000-4000-8000-000000000004", "Max Member", authentik.Portal, "Member"),
	}
}

// populate adds the people, one partner and one customer.
func (s *standIns) populate(ctx context.Context, p *platform.Platform) error {
	if s.authentik == nil {
		return nil
	}
	now := platform.At(s.clock.Now())
	seed := platform.Seed{
		Partners: []*platform.Partner{{
			Document: platform.Document{ID: "par_nordic"}, Slug: "nordic", Name: "Nordic Workplaces",
			Status: platform.PartnerStatusActive, CreatedAt: now,
		}},
		Tenants: []*platform.Tenant{{
			Document: platform.Document{ID: "ten_example"}, Slug: "example", Name: "Example Company", Status: platform.TenantStatusPending,
			PartnerID: "par_nordic", Plan: platform.PlanBusiness, Seats: 10, CreatedAt: now,
		}},
		Subscriptions: []*platform.TenantSubscription{{
			Document: platform.Document{ID: "sub_example"}, TenantID: "ten_example", Plan: platform.PlanBusiness,
			Cycle: platform.CycleMonthly, Seats: 10, Status: platform.SubscriptionStatusActive, Since: now,
		}},
	}
	if err := s.addPeople(); err != nil {
		return err
	}
	for _, who := range people() {
		user := &platform.User{
			Document: platform.Document{ID: platform.ID("usr_" + who.Username)}, Subject: who.UUID, Username: who.Username, Email: who.Email,
			Name: who.Name, PlatformAdmin: who.Username == "operator", CreatedAt: now,
		}
		if who.Username == "owner" {
			user.PartnerID, user.PartnerRole = "par_nordic", platform.PartnerRoleOwner
		}
		seed.Users = append(seed.Users, user)
	}
	for username, role := range map[string]platform.MemberRole{
		"admin": platform.MemberRoleAdmin, "member": platform.MemberRoleMember,
	} {
		seed.Members = append(seed.Members, &platform.Member{
			Document: platform.Document{ID: platform.ID("mem_" + username)}, TenantID: "ten_example",
			UserID: platform.ID("usr_" + username), Role: role, State: platform.MemberStateActive,
			Source: platform.MemberSourceMutation, JoinedAt: now,
		})
	}
	return p.Plant(ctx, seed)
}

// playground lets its page sign in as one of the people.
func (s *standIns) playground() playground.Options {
	if s.authentik == nil {
		return playground.Options{}
	}
	return playground.Options{
		People: func() []playground.Person {
			var out []playground.Person
			for _, who := range people() {
				out = append(out, playground.Person{ID: who.Username, Name: who.Name, Role: who.role})
			}
			return out
		},
		SignIn: s.signIn,
	}
}

func (s *standIns) signIn(_ context.Context, username string) (playground.Token, error) {
	for _, who := range people() {
		if who.Username != username {
			continue
		}
		token, err := s.authentik.SignIn(username, who.Application)
		return playground.Token{Token: token, ExpiresAt: s.clock.Now().Add(authentik.Lifetime)}, err
	}
	return playground.Token{}, fmt.Errorf("nobody is called %s", username)
}
