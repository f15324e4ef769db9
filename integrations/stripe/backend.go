package stripe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"

	"github.com/dezky/platform/integrations/httpcall"
	"github.com/dezky/platform/platform"
)

// backend makes the library's calls in place of the library's own, whose sleeps
// between retries do not end with the context, whose errors quote answers with
// client secrets in them, and which takes a redirect for a success. Nothing is
// retried here, but for what CallRaw says, though net/http itself sends a call with
// a key again on a connection that turns out to be closed. A call without a
// context, or one that changes something without a key of its own, is not made.
type backend struct {
	call *httpcall.Caller
	base string
	key  platform.Secret
}

var _ stripe.Backend = (*backend)(nil)

// Call makes a call with parameters.
func (b *backend) Call(method, path, _ string, params stripe.ParamsContainer, v stripe.LastResponseSetter) error {
	if params == nil || reflect.ValueOf(params).IsNil() {
		return mistaken("%s %s has no parameters", method, path)
	}
	values := &form.Values{}
	form.AppendTo(values, params)
	return b.CallRaw(method, path, "", values, params.GetParams(), v)
}

// mostReplays is how many kept failures a call goes past.
const mostReplays = 20

// CallRaw makes a call with parameters that are written out. A failure that can
// pass, and that an earlier attempt has left under the key, would be the answer
// for a day. Whoever calls has looked since then at what that attempt left behind,
// so the call is made under the next key. The keys are counted and not made up, so
// that two that call at once still share theirs.
func (b *backend) CallRaw(method, path, _ string, values *form.Values, params *stripe.Params, v stripe.LastResponseSetter) error {
	if err := check(method, path, params); err != nil {
		return err
	}
	for replay := 1; ; replay++ {
		a, err := b.send(method, path, values, params, replay)
		if err != nil {
			return err
		}
		if err = b.read(a, v); err == nil || a.Header.Get("Idempotent-Replayed") != "true" || !platform.CanPass(err) || replay == mostReplays {
			return err
		}
	}
}

// CallStreaming is for files, which are none of ours.
func (b *backend) CallStreaming(method, path, _ string, _ stripe.ParamsContainer, _ stripe.StreamingLastResponseSetter) error {
	return mistaken("%s %s is a stream", method, path)
}

// CallMultipart is for files, which are none of ours.
func (b *backend) CallMultipart(method, path, _, _ string, _ *bytes.Buffer, _ *stripe.Params, _ stripe.LastResponseSetter) error {
	return mistaken("%s %s is a file", method, path)
}

// SetMaxNetworkRetries does nothing: whoever calls decides what is repeated.
func (b *backend) SetMaxNetworkRetries(int64) {}

// mistaken is the error for a call that must not be made.
func mistaken(format string, args ...any) error {
	return platform.Errorf(platform.Internal, "A call to the payment service is wrong.").Because(fmt.Errorf(format, args...)).Never()
}

// longestKey leaves room for the number of a replay: Stripe takes 255 letters.
const longestKey = 250

// check is the fence of the package: what a call needs is seen to here and
// nowhere else. An empty id in a path would be the list of all.
func check(method, path string, params *stripe.Params) error {
	switch {
	case params == nil || params.Context == nil:
		return mistaken("%s %s has no context", method, path)
	case strings.HasSuffix(path, "/") || strings.Contains(path, "//"):
		return mistaken("%s %s has an empty id", method, path)
	case method != http.MethodPost:
		return nil
	case params.IdempotencyKey == nil || strings.TrimSpace(*params.IdempotencyKey) == "":
		return mistaken("%s %s has no idempotency key", method, path)
	case len(*params.IdempotencyKey) > longestKey:
		return mistaken("the idempotency key of %s %s is longer than %d letters", method, path, longestKey)
	}
	return nil
}

// send makes one call and returns the answer, whatever its status.
func (b *backend) send(method, path string, values *form.Values, params *stripe.Params, replay int) (*httpcall.Answer, error) {
	address, content := b.base+path, ""
	if values != nil && !values.Empty() {
		if method == http.MethodGet {
			address += "?" + values.Encode()
		} else {
			content = values.Encode()
		}
	}
	req, err := http.NewRequestWithContext(params.Context, method, address, strings.NewReader(content))
	if err != nil {
		return nil, platform.Errorf(platform.Unavailable, "The address of the payment service is wrong.").Because(err).Never()
	}
	req.Header.Set("Authorization", "Bearer "+b.key.Reveal())
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Stripe-Version", stripe.APIVersion)
	req.Header.Set("User-Agent", "Dezky stripe-go/"+stripe.ClientVersion)
	if params.StripeAccount != nil {
		req.Header.Set("Stripe-Account", *params.StripeAccount)
	}
	if params.IdempotencyKey != nil {
		key := *params.IdempotencyKey
		if replay > 1 {
			key += ":" + strconv.Itoa(replay)
		}
		req.Header.Set("Idempotency-Key", key)
	}
	return b.call.Do(params.Context, req)
}

// read puts an answer into v. The shape is looked at before, because the library
// takes whatever is JSON for what it asked for, and every list for a list of
// something.
func (b *backend) read(a *httpcall.Answer, v stripe.LastResponseSetter) error {
	if a.Status < 200 || a.Status > 299 {
		return b.refused(a)
	}
	if !a.IsJSON() {
		return b.call.Garbled(fmt.Errorf("%s instead of JSON", a.Header.Get("Content-Type")))
	}
	var shape struct {
		ID     string `json:"id"`
		Object string `json:"object"`
		Data   []*struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(a.Body, &shape); err != nil {
		return b.call.Garbled(errors.New("an answer that is no object")) // its text may hold a secret
	}
	kind, nameless := kindOf(v)
	if shape.Object != kind || shape.ID == "" && kind != "list" && !nameless {
		return b.call.Garbled(fmt.Errorf("a %q with the id %q instead of a %s", shape.Object, shape.ID, kind))
	}
	for _, row := range shape.Data {
		if row == nil || row.ID == "" {
			return b.call.Garbled(errors.New("a row without an id"))
		}
	}
	if err := json.Unmarshal(a.Body, v); err != nil {
		return b.call.Garbled(fmt.Errorf("a %s that cannot be read", kind))
	}
	return nil
}

// kindOf is what an answer must call itself, and whether it may be without an id,
// as a previewed invoice is.
func kindOf(v any) (kind string, nameless bool) {
	if _, isList := v.(stripe.ListContainer); isList {
		return "list", false
	}
	switch v.(type) {
	case *stripe.Customer:
		return "customer", false
	case *stripe.TaxID:
		return "tax_id", false
	case *stripe.SetupIntent:
		return "setup_intent", false
	case *stripe.PaymentMethod:
		return "payment_method", false
	case *stripe.Subscription:
		return "subscription", false
	case *stripe.Invoice:
		return "invoice", true
	case *stripe.Balance:
		return "balance", true
	case *stripe.Refund:
		return "refund", false
	case *stripe.Transfer:
		return "transfer", false
	case *stripe.TransferReversal:
		return "transfer_reversal", false
	}
	return "kind that this client knows", false
}
