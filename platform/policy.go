package platform

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/text/language"
)

// SecurityPolicy is what a tenant asks of its members. What this API can
// enforce it enforces; the rest is kept, and says so (J-1).
type SecurityPolicy struct {
	MfaMode MfaMode `json:"mfaMode"`
	// SessionMinutes is how old a sign-in may be; 0 is any age.
	SessionMinutes int32 `json:"sessionMinutes,omitempty"`
	// IdleMinutes is how long a session may rest; 0 is for ever.
	IdleMinutes int32 `json:"idleMinutes,omitempty"`
	// IPAllowlist are the networks that members may come from; none is all.
	IPAllowlist []string `json:"ipAllowlist,omitempty"`
	// AllowedCountries are the countries that members may come from; none is all.
	AllowedCountries []string `json:"allowedCountries,omitempty"`
}

// MfaMode says whether members need a second factor.
type MfaMode string

// The modes.
const (
	MfaModeOptional MfaMode = "OPTIONAL"
	MfaModeRequired MfaMode = "REQUIRED"
)

// Enforcement says what becomes of an item of the policy.
type Enforcement string

// The enforcements.
const (
	EnforcementEnforced   Enforcement = "ENFORCED"
	EnforcementStoredOnly Enforcement = "STORED_ONLY"
)

// Where the second factor, the age of a sign-in and the address are known, from
// the token and the connection, the API enforces. It sees no session rest, and
// knows no countries.

// MfaModeEnforcement says what becomes of MfaMode.
func (SecurityPolicy) MfaModeEnforcement() Enforcement { return EnforcementEnforced }

// SessionMinutesEnforcement says what becomes of SessionMinutes.
func (SecurityPolicy) SessionMinutesEnforcement() Enforcement { return EnforcementEnforced }

// IdleMinutesEnforcement says what becomes of IdleMinutes.
func (SecurityPolicy) IdleMinutesEnforcement() Enforcement { return EnforcementStoredOnly }

// IPAllowlistEnforcement says what becomes of IPAllowlist.
func (SecurityPolicy) IPAllowlistEnforcement() Enforcement { return EnforcementEnforced }

// AllowedCountriesEnforcement says what becomes of AllowedCountries.
func (SecurityPolicy) AllowedCountriesEnforcement() Enforcement { return EnforcementStoredOnly }

// ActionSecurityPolicySet is what audit says of a policy.
const ActionSecurityPolicySet Action = "SECURITY_POLICY_SET"

// Bounds of a policy.
const (
	longestSession = 60 * 24 * 90
	mostNetworks   = 100
)

// SetSecurityPolicyInput replaces a tenant's policy.
type SetSecurityPolicyInput struct {
	TenantID         ID
	MfaMode          MfaMode
	SessionMinutes   int32
	IdleMinutes      int32
	IPAllowlist      []string
	AllowedCountries []string
	IdempotencyKey   *string `json:"-"`
}

// Attempt says what the input tries.
func (in SetSecurityPolicyInput) Attempt() Attempt {
	return Attempt{Action: ActionSecurityPolicySet, TenantID: in.TenantID, Target: in.TenantID, Key: in.IdempotencyKey}
}

// SetSecurityPolicy replaces a tenant's policy. It counts from the next request
// on, and for running subscriptions. An administrator who would lock themselves
// out is refused.
func (p *Platform) SetSecurityPolicy(ctx context.Context, in SetSecurityPolicyInput) (*Tenant, error) {
	policy, err := newPolicy(in)
	if err != nil {
		return nil, err
	}
	var t *Tenant
	err = p.change(ctx, ActionSecurityPolicySet, in.TenantID, in.TenantID, func(w Writer) (err error) {
		if t, err = w.Tenant(ctx, in.TenantID); err != nil {
			return err
		}
		if err := t.changeable(); err != nil {
			return err
		}
		t.Policy = policy
		if a := ActorOf(ctx); a != nil && a.memberIn(t) != RoleNone && policy.allows(a, p.now()) != nil {
			return Errorf(Conflict, "This policy would keep yourself out.")
		}
		return w.PutTenant(ctx, t)
	})
	return t, err
}

func newPolicy(in SetSecurityPolicyInput) (*SecurityPolicy, error) {
	policy := &SecurityPolicy{MfaMode: in.MfaMode, SessionMinutes: in.SessionMinutes, IdleMinutes: in.IdleMinutes}
	for field, minutes := range map[string]int32{"sessionMinutes": in.SessionMinutes, "idleMinutes": in.IdleMinutes} {
		if minutes < 0 || minutes > longestSession {
			return nil, Errorf(Invalid, "This is 0 to %d minutes.", longestSession).On(field)
		}
	}
	if len(in.IPAllowlist) > mostNetworks {
		return nil, Errorf(Invalid, "There are at most %d networks.", mostNetworks).On("ipAllowlist")
	}
	for _, text := range in.IPAllowlist {
		network, err := parseNetwork(text)
		if err != nil {
			return nil, err
		}
		policy.IPAllowlist = append(policy.IPAllowlist, network.String())
	}
	for _, text := range in.AllowedCountries {
		region, err := language.ParseRegion(text)
		if err != nil || len(text) != 2 || !region.IsCountry() {
			return nil, Errorf(Invalid, "A country has two letters, as in ISO 3166.").On("allowedCountries").Because(err)
		}
		policy.AllowedCountries = append(policy.AllowedCountries, region.String())
	}
	return policy, nil
}

// parseNetwork reads a network, or a single address.
func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, Errorf(Invalid, "A network is written like 192.0.2.0/24 or 2001:db8::/32.").On("ipAllowlist").Because(err)
	}
	return network.Masked(), nil
}

// allows answers nil when the policy lets a member in as they come. What the
// token does not say counts against them.
func (s *SecurityPolicy) allows(a *Actor, now Time) error {
	if s == nil {
		return nil
	}
	switch {
	case len(s.IPAllowlist) > 0 && !s.has(a.From.IP):
		return Errorf(Forbidden, "This tenant does not let you in from your network.")
	case s.MfaMode == MfaModeRequired && !slices.Contains(a.Identity.Methods, "mfa"):
		return Errorf(Forbidden, "This tenant asks for a sign-in with a second factor.")
	case s.SessionMinutes > 0 && now.Sub(a.Identity.SignedInAt.Time) > time.Duration(s.SessionMinutes)*time.Minute:
		return Errorf(Forbidden, "This tenant asks for a newer sign-in.")
	}
	return nil
}

func (s *SecurityPolicy) has(ip string) bool {
	address, err := netip.ParseAddr(ip)
	return err == nil && slices.ContainsFunc(s.IPAllowlist, func(text string) bool {
		network, err := netip.ParsePrefix(text)
		return err == nil && network.Contains(address.Unmap())
	})
}
