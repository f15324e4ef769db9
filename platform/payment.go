package platform

import "context"

// Everything here is what the payment service can be asked at once. Its objects
// are named by the service's own ids, and nothing of it is a record of ours: a
// Remote type is what the service has at the moment of the answer.
//
// What changes something takes a key, made from the business id and the revision
// of what is wanted, such as "seats:sub_1:7". Repeating a call with its key
// changes nothing a second time and answers the same; another wish needs another
// key, and the same key with another wish is Internal and Never. The service
// forgets keys after a day, so the methods that make something look first for
// what an earlier attempt made, and adopt it.
//
// Errors are as of a Provisioner. NotFound is what the service does not have, or
// has for somebody else. Invalid holds a sentence for the person who pays, such
// as why a card was declined.

// Customers are who is billed.
type Customers interface {
	// EnsureCustomer is the Apply of a tenant's step, for a caller who cannot wait
	// for it: it answers with the tenant's one customer, handle if that still is it,
	// and makes it if there is none. It may be repeated, by many at once.
	EnsureCustomer(ctx context.Context, t TenantWant, handle string) (customer string, err error)
	// UpdateBilling sets whom a customer's invoices are made out to. It may be
	// repeated, and an attempt that ended half-way is completed by the next.
	// Invalid names the field, as a number that is no VAT number of its country.
	UpdateBilling(ctx context.Context, customer string, b Billing, key string) error
}

// Billing is whom invoices are made out to (G-4). An empty field is cleared; an
// empty company leaves the customer the tenant's name.
type Billing struct {
	Company string
	// VAT is a VAT number, with or without the letters of its country. It needs
	// the country.
	VAT string
	// Country is two capital letters, as of ISO 3166.
	Country string
	Email   string
}

// Cards are what a customer pays with.
type Cards interface {
	// SetUpCard begins the form in which a person types in a card. It charges
	// nothing; the card is the customer's when the person has finished.
	SetUpCard(ctx context.Context, customer, key string) (CardSetup, error)
	// Cards are the customer's cards.
	Cards(ctx context.Context, customer string) ([]Card, error)
	// SetDefaultCard makes one of the customer's cards the one that invoices are
	// paid with. Another's card is NotFound, and nothing is changed. It may be
	// repeated.
	SetDefaultCard(ctx context.Context, customer, card, key string) error
	// RemoveCard takes a card away for ever. Another's card, and one that was
	// removed before, is NotFound.
	RemoveCard(ctx context.Context, customer, card, key string) error
}

// CardSetup is a form to type a card into. The client secret is for the tenant's
// own session alone, and is neither kept nor logged.
type CardSetup struct {
	ID           string
	ClientSecret Secret
}

// Card is a card as its owner recognises it.
type Card struct {
	ID       string
	Brand    string
	Last4    string
	ExpMonth int
	ExpYear  int
	// Default says that invoices are paid with it.
	Default bool
}

// Subscriptions are what customers pay for again and again. Each has one price
// and a number of seats.
type Subscriptions interface {
	// Subscribe begins a subscription, or answers with the one that is there under
	// the order's id. Where the first payment needs the person, Confirm of the
	// answer is set. It may be repeated.
	Subscribe(ctx context.Context, order SubscriptionOrder, key string) (*RemoteSubscription, error)
	// RemoteSubscription is one of the customer's subscriptions as it is now.
	RemoteSubscription(ctx context.Context, customer, subscription string) (*RemoteSubscription, error)
	// ChangeSubscription sets what is subscribed to. What is so already is left
	// alone. Changes of one subscription are made one after the other.
	ChangeSubscription(ctx context.Context, customer, subscription string, want SubscriptionChange, key string) (*RemoteSubscription, error)
	// CancelSubscription ends it, when what is paid for is used up or at once. It
	// may be repeated, and what has ended stays so.
	CancelSubscription(ctx context.Context, customer, subscription string, at CancelAt, key string) (*RemoteSubscription, error)
	// PreviewChange is the next invoice as it would be after a change. It changes
	// nothing.
	PreviewChange(ctx context.Context, customer, subscription string, want SubscriptionChange) (*RemoteInvoice, error)
}

// SubscriptionOrder is a subscription to begin.
type SubscriptionOrder struct {
	// ID is ours, and marks the subscription as the order's.
	ID       ID
	TenantID ID
	Customer string
	Price    string
	Seats    int64
	// Currency is one of the price's; a customer's first one stays for ever.
	Currency  string
	TrialDays int64
}

// SubscriptionChange is how a subscription should be: a price, or "" for the
// present one, and the whole number of seats, or 0 for the present one.
type SubscriptionChange struct {
	Price string
	Seats int64
	// BillNow makes the invoice of the difference at once, rather than with the next
	// one.
	BillNow bool
}

// CancelAt is when a subscription ends.
type CancelAt string

// The moments.
const (
	CancelAtPeriodEnd CancelAt = "PERIOD_END"
	CancelAtOnce      CancelAt = "ONCE"
	// CancelAtNever takes back a cancellation that has not happened yet.
	CancelAtNever CancelAt = "NEVER"
)

// RemoteSubscription is a subscription as the payment service has it.
type RemoteSubscription struct {
	ID       string
	OrderID  ID
	Customer string
	// Status is the service's own word, such as "active", "incomplete", "past_due".
	Status string
	// Price and Seats are those of its one item.
	Price             string
	Seats             int64
	PeriodStart       Time
	PeriodEnd         Time
	CancelAtPeriodEnd bool
	EndedAt           *Time
	// LatestInvoice is its id, or "".
	LatestInvoice string
	// Confirm is what the person's browser finishes the first payment with, or the
	// card of a trial; zero where nothing is open. Only Subscribe has it.
	Confirm Secret
}

// Invoices are what customers owe and have paid.
type Invoices interface {
	// InvoicesSince lists the invoices that were made since a moment, the newest
	// first, of a customer or, with "", of all. After is the previous page's Next,
	// or "". Their lines are left out.
	InvoicesSince(ctx context.Context, customer string, since Time, after string) (RemoteInvoicePage, error)
	// RemoteInvoice is an invoice as it is now, with all its lines.
	RemoteInvoice(ctx context.Context, invoice string) (*RemoteInvoice, error)
	// PayInvoice tries to charge an open invoice now. One that is paid stays so.
	PayInvoice(ctx context.Context, invoice, key string) (*RemoteInvoice, error)
	// VoidInvoice takes an open invoice back. One that is void stays so.
	VoidInvoice(ctx context.Context, invoice, key string) (*RemoteInvoice, error)
	// Refund pays back a part of a paid invoice, or answers with the refund that is
	// there under the order's id. More than is left is Conflict. It may be repeated.
	Refund(ctx context.Context, order RefundOrder) (*RemoteRefund, error)
}

// RemoteInvoicePage is a page of a list of invoices.
type RemoteInvoicePage struct {
	Invoices []*RemoteInvoice
	// Next asks for the page after this one; "" is the end.
	Next string
}

// RemoteInvoice is an invoice as the payment service has it. A preview has no id.
type RemoteInvoice struct {
	ID           string
	Customer     string
	Subscription string
	// Number is "" as long as the invoice is a draft.
	Number string
	// Status is the service's own word: "draft", "open", "paid", "uncollectible" or
	// "void".
	Status      string
	Reason      string
	Subtotal    Money
	Tax         Money
	Total       Money
	AmountDue   Money
	AmountPaid  Money
	CreatedAt   Time
	PeriodStart Time
	PeriodEnd   Time
	DueAt       *Time
	FinalizedAt *Time
	PaidAt      *Time
	VoidedAt    *Time
	// HostedURL and PDF are "" as long as the invoice is a draft.
	HostedURL string
	PDF       string
	// Charge is what paid it, or "".
	Charge string
	Lines  []RemoteInvoiceLine
}

// RemoteInvoiceLine is a line of an invoice. What is given back is negative.
type RemoteInvoiceLine struct {
	ID          string
	Description string
	Amount      Money
	Quantity    int64
	Price       string
	Proration   bool
	PeriodStart Time
	PeriodEnd   Time
}

// RefundOrder is a part of an invoice to pay back.
type RefundOrder struct {
	// ID is ours, and marks the refund as the order's.
	ID      ID
	Invoice string
	Amount  Money
}

// RemoteRefund is a refund as the payment service has it. Status is the service's
// own word: "pending", "requires_action", "succeeded", "failed" or "canceled".
type RemoteRefund struct {
	ID     string
	Charge string
	Amount Money
	Status string
}

// Transfers are what partners are paid.
type Transfers interface {
	// Transfer moves money to a partner's account, or answers with the transfer that
	// is there under the order's ledger id. Too little money to move, which passes
	// when customers have paid, is Conflict, and so is a transfer that is there with
	// another amount or account, which does not pass. It may be repeated.
	Transfer(ctx context.Context, order TransferOrder) (*RemoteTransfer, error)
	// TransferOf is the transfer of a ledger id in a group, or NotFound.
	TransferOf(ctx context.Context, group string, ledger ID) (*RemoteTransfer, error)
	// ReverseTransfer takes a part of a transfer back, or answers with the transfer
	// as it is where that was done under the same ledger id.
	ReverseTransfer(ctx context.Context, transfer string, amount Money, ledger ID) (*RemoteTransfer, error)
}

// TransferOrder is money to move to a partner.
type TransferOrder struct {
	// LedgerID is the ledger's transaction, and marks the transfer as its.
	LedgerID ID
	// Group is what the transfer is found by, such as a payout's id.
	Group   string
	Account string
	Amount  Money
}

// RemoteTransfer is a transfer as the payment service has it.
type RemoteTransfer struct {
	ID        string
	LedgerID  ID
	Account   string
	Amount    Money
	Reversed  Money
	CreatedAt Time
}

// PaymentEvent says that something happened at the payment service. It holds no
// state: what it is about is fetched again, since events come late, twice and in
// any order (G-6).
type PaymentEvent struct {
	// ID is the same whenever the event comes.
	ID        string
	Type      string
	CreatedAt Time
	// Account is the connected account that it happened at, or "" for our own.
	Account string
	// ObjectKind and ObjectID say what it is about, such as "invoice". Some have no
	// id.
	ObjectKind string
	ObjectID   string
}
