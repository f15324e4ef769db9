// Package stripe speaks with Stripe, the payment service, in its API of
// 2023-10-16. The shapes and paths are those of Stripe's own library; the calls
// are made by backend.go. Each other file is a concept, and provision.go the
// platform's step.
//
// Stripe keeps the first answer to an idempotency key for a day, a failure too,
// and gives it again whatever has happened since. So a key belongs to one wish;
// what makes something looks first for what is there with our mark, since after
// that day the mark is all that is left; and nothing is ever looked for with
// Search, which lags behind.
package stripe

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/balance"
	"github.com/stripe/stripe-go/v76/customer"
	"github.com/stripe/stripe-go/v76/invoice"
	"github.com/stripe/stripe-go/v76/paymentmethod"
	"github.com/stripe/stripe-go/v76/refund"
	"github.com/stripe/stripe-go/v76/setupintent"
	"github.com/stripe/stripe-go/v76/subscription"
	"github.com/stripe/stripe-go/v76/taxid"
	"github.com/stripe/stripe-go/v76/transfer"
	"github.com/stripe/stripe-go/v76/transferreversal"

	"github.com/dezky/platform/integrations/httpcall"
	"github.com/dezky/platform/platform"
)

// DefaultURL is where Stripe is.
const DefaultURL = "https://api.stripe.com"

// Client calls one account of Stripe. It is safe for use by many at once.
type Client struct {
	clock platform.Clock

	customers      customer.Client
	taxIDs         taxid.Client
	setupIntents   setupintent.Client
	paymentMethods paymentmethod.Client
	subscriptions  subscription.Client
	invoices       invoice.Client
	refunds        refund.Client
	balances       balance.Client
	transfers      transfer.Client
	reversals      transferreversal.Client
}

var (
	_ platform.Provisioner   = (*Client)(nil)
	_ platform.Probe         = (*Client)(nil)
	_ platform.Customers     = (*Client)(nil)
	_ platform.Cards         = (*Client)(nil)
	_ platform.Subscriptions = (*Client)(nil)
	_ platform.Invoices      = (*Client)(nil)
	_ platform.Transfers     = (*Client)(nil)
)

// New makes a client of the Stripe at url, without a slash at the end, for the
// account that the secret key is of.
func New(url string, key platform.Secret, transport http.RoundTripper, clock platform.Clock) *Client {
	limits := httpcall.DefaultLimits()
	limits.Call = 15 * time.Second // a payment waits for a bank
	b := &backend{
		call: httpcall.New("payment service", transport, clock, limits),
		base: strings.TrimRight(url, "/"),
		key:  key,
	}
	return &Client{
		clock:          clock,
		customers:      customer.Client{B: b},
		taxIDs:         taxid.Client{B: b},
		setupIntents:   setupintent.Client{B: b},
		paymentMethods: paymentmethod.Client{B: b},
		subscriptions:  subscription.Client{B: b},
		invoices:       invoice.Client{B: b},
		refunds:        refund.Client{B: b},
		balances:       balance.Client{B: b},
		transfers:      transfer.Client{B: b},
		reversals:      transferreversal.Client{B: b},
	}
}

// Probe reads one customer, which needs the key and the right to read customers.
func (c *Client) Probe(ctx context.Context) error {
	in := &stripe.CustomerListParams{ListParams: lists(ctx)}
	in.Limit, in.Single = stripe.Int64(1), true
	return c.customers.List(in).Err()
}

// reads are the common parameters of a call that changes nothing.
func reads(ctx context.Context) stripe.Params { return stripe.Params{Context: ctx} }

// writes are the common parameters of a call that changes something.
func writes(ctx context.Context, key string) stripe.Params {
	return stripe.Params{Context: ctx, IdempotencyKey: &key}
}

// lists are the common parameters of a list, with the largest pages.
func lists(ctx context.Context) stripe.ListParams {
	return stripe.ListParams{Context: ctx, Limit: stripe.Int64(100)}
}

// fresh is a key for setting what may be set any number of times. One made of
// the value would give back an old answer when the value returns to what it was.
func fresh(what string) string { return what + ":" + rand.Text() }

// iter is what the library's lists have in common.
type iter interface {
	Next() bool
	Err() error
	Current() any
}

// mostRows ends a list that never does.
const mostRows = 100_000

// collect reads a list to its end.
func collect[T any](rows iter) ([]T, error) {
	var all []T
	for rows.Next() {
		row, ok := rows.Current().(T)
		if !ok || len(all) == mostRows {
			return nil, platform.Errorf(platform.Unavailable, "The payment service gave a list that makes no sense.")
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// at is a moment of Stripe's, whole seconds since 1970.
func at(seconds int64) platform.Time { return platform.At(time.Unix(seconds, 0)) }

// maybe is a moment that may be missing.
func maybe(seconds int64) *platform.Time {
	if seconds == 0 {
		return nil
	}
	t := at(seconds)
	return &t
}

// missing is the error for what is not there, or somebody else's.
func missing(what, id string) error {
	return platform.Errorf(platform.NotFound, "There is no %s %s.", what, id).Never()
}
