package stripe

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/dezky/platform/platform"
)

// mostTries is how often a person's call waits for another that makes the same.
const mostTries = 6

// EnsureCustomer is Apply for a caller who waits. Of those who ask at once one
// makes the customer, and the others are told that its key is in use.
func (c *Client) EnsureCustomer(ctx context.Context, t platform.TenantWant, handle string) (string, error) {
	step := platform.Step{Subject: t.ID, Integration: platform.IntegrationStripe, Handle: handle, Want: platform.Want{Tenant: &t}}
	wait := 50 * time.Millisecond
	for try := 1; ; try++ {
		made, err := c.Apply(ctx, step)
		if err == nil || codeOf(err) != "idempotency_key_in_use" || try == mostTries {
			return made, err
		}
		if err := c.clock.Sleep(ctx, wait); err != nil {
			return "", platform.Errorf(platform.Unavailable, "The payment service was given up.").Because(err)
		}
		wait *= 2
	}
}

// existing is a customer that was not deleted.
func (c *Client) existing(ctx context.Context, id string) (*stripe.Customer, error) {
	cus, err := c.customers.Get(id, &stripe.CustomerParams{Params: reads(ctx)})
	if err == nil && cus.Deleted {
		return nil, missing("customer", id)
	}
	return cus, err
}

// UpdateBilling sets the VAT number first, because that is what can be refused,
// and takes the old one away last.
func (c *Client) UpdateBilling(ctx context.Context, customer string, b platform.Billing, key string) error {
	want, err := vatOf(b)
	if err != nil {
		return err
	}
	cus, err := c.existing(ctx, customer)
	if err != nil {
		return err
	}
	old, err := c.ensureTaxID(ctx, customer, want, key+":vat")
	if err != nil {
		return err
	}
	if err := c.nameBilling(ctx, cus, b, key+":customer"); err != nil {
		return err
	}
	for _, id := range old {
		_, err := c.taxIDs.Del(id, &stripe.TaxIDParams{Params: reads(ctx), Customer: &customer})
		if err != nil && platform.CodeOf(err) != platform.NotFound {
			return err
		}
	}
	return nil
}

// nameBilling sets what of a customer's billing is in the customer itself.
func (c *Client) nameBilling(ctx context.Context, cus *stripe.Customer, b platform.Billing, key string) error {
	country := ""
	if cus.Address != nil {
		country = cus.Address.Country
	}
	company := cus.Metadata[companyKey] == b.Company && (b.Company == "" || cus.Name == b.Company)
	if company && cus.Email == b.Email && country == b.Country {
		return nil
	}
	in := &stripe.CustomerParams{Params: writes(ctx, key), Email: &b.Email, Address: &stripe.AddressParams{Country: &b.Country}}
	in.Metadata = map[string]string{companyKey: b.Company}
	if b.Company != "" {
		in.Name = &b.Company
	}
	_, err := c.customers.Update(cus.ID, in)
	if codeOf(err) == "email_invalid" {
		return platform.Errorf(platform.Invalid, "This is no email address.").On("email").Because(err).Never()
	}
	return err
}

// ensureTaxID makes sure that a customer has the VAT number, if there is one, and
// answers with the ids of the others.
func (c *Client) ensureTaxID(ctx context.Context, customer string, want vat, key string) (others []string, err error) {
	all, err := collect[*stripe.TaxID](c.taxIDs.List(&stripe.TaxIDListParams{ListParams: lists(ctx), Customer: &customer}))
	if err != nil {
		return nil, err
	}
	found := false
	for _, id := range all {
		if !found && string(id.Type) == want.kind && plain(id.Value) == plain(want.number) {
			found = true
			continue
		}
		others = append(others, id.ID)
	}
	if found || want.number == "" {
		return others, nil
	}
	in := &stripe.TaxIDParams{Params: writes(ctx, key), Customer: &customer, Type: &want.kind, Value: &want.number}
	if _, err = c.taxIDs.New(in); codeOf(err) == "tax_id_invalid" {
		err = platform.Errorf(platform.Invalid, "This is no VAT number of that country.").On("vat").Because(err).Never()
	}
	return others, err
}

// vat is a VAT number as Stripe takes it.
type vat struct{ kind, number string }

// The members of the European Union, whose VAT numbers are of one kind, and the
// others whose numbers Stripe takes as they are.
const members = " AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE "

var country = regexp.MustCompile(`^[A-Z]{2}$`)

// vatOf is the VAT number of some billing, with the letters of its country where
// they belong to it. Greece's are EL.
func vatOf(b platform.Billing) (vat, error) {
	if b.Country != "" && !country.MatchString(b.Country) {
		return vat{}, platform.Errorf(platform.Invalid, "A country is two capital letters.").On("country").Never()
	}
	number := plain(b.VAT)
	if number == "" {
		return vat{}, nil
	}
	switch {
	case strings.Contains(members, " "+b.Country+" ") && b.Country != "":
		letters := b.Country
		if letters == "GR" {
			letters = "EL"
		}
		return vat{"eu_vat", letters + strings.TrimPrefix(number, letters)}, nil
	case b.Country == "GB":
		return vat{"gb_vat", "GB" + strings.TrimPrefix(number, "GB")}, nil
	case b.Country == "NO":
		return vat{"no_vat", strings.TrimPrefix(number, "NO")}, nil
	case b.Country == "CH":
		return vat{"ch_vat", b.VAT}, nil
	}
	return vat{}, platform.Errorf(platform.Invalid, "VAT numbers of this country are not known here.").On("vat").
		Because(errors.New("country " + b.Country)).Never()
}

// plain is a number without what people put between its parts.
func plain(number string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" .-\t", r) {
			return -1
		}
		return r
	}, strings.ToUpper(number))
}
