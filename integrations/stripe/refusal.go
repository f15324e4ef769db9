package stripe

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/dezky/platform/integrations/httpcall"
	"github.com/dezky/platform/platform"
)

// refusal is what Stripe said, for the log. It holds no secret.
type refusal struct {
	status  int
	request string
	said    struct {
		Type    string `json:"type"`
		Code    string `json:"code"`
		Decline string `json:"decline_code"`
		Param   string `json:"param"`
		Message string `json:"message"`
	}
}

func (r *refusal) Error() string {
	parts := []string{fmt.Sprintf("status %d", r.status)}
	for _, part := range []string{r.said.Type, r.said.Code, r.said.Decline, r.said.Param, r.request, r.said.Message} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

// codeOf is the code of a refusal, or "".
func codeOf(err error) string {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.said.Code
	}
	return ""
}

// refused is the error for a status that is no success. Only a declined card is
// told to a person in Stripe's words; all else is about us, and may name what is
// somebody else's.
func (b *backend) refused(a *httpcall.Answer) error {
	r := &refusal{status: a.Status, request: clean(a.Header.Get("Request-Id"))}
	var body struct {
		Error json.RawMessage `json:"error"`
	}
	if a.IsJSON() && json.Unmarshal(a.Body, &body) == nil && len(body.Error) > 0 {
		if err := json.Unmarshal(body.Error, &r.said); err != nil {
			r.said.Message = "an error that cannot be read"
		}
	}
	b.redact(r)
	switch {
	case r.said.Code == "invoice_payment_intent_requires_action", r.said.Code == "authentication_required":
		return platform.Errorf(platform.Invalid, "The bank wants you to confirm this payment.").Because(r).Never()
	case r.said.Type == "card_error" && a.Status == http.StatusPaymentRequired:
		return platform.Errorf(platform.Invalid, "%s", declined(r.said.Message)).Because(r).Never()
	case r.said.Type == "idempotency_error":
		return platform.Errorf(platform.Internal, "A call to the payment service was repeated with other words.").Because(r).Never()
	case a.Status == http.StatusConflict, r.said.Code == "lock_timeout", r.said.Code == "idempotency_key_in_use",
		a.Header.Get("Stripe-Should-Retry") == "true":
		return b.because(&httpcall.Answer{Status: http.StatusServiceUnavailable, Header: a.Header}, r)
	case strings.Contains(r.said.Message, "a similar object exists in"):
		// Were it not there, what the other mode has would be made again in this one.
		return platform.Errorf(platform.Unavailable, "The payment service's key is of the other mode.").Because(r).Never()
	case r.said.Code == "resource_missing": // 404 of a path, 400 of a parameter
		return platform.Errorf(platform.NotFound, "The payment service does not have it.").Because(r).Never()
	case r.said.Code == "balance_insufficient":
		return platform.Errorf(platform.Conflict, "There is not enough money to move yet.").Because(r)
	}
	return b.because(a, r)
}

// because is the caller's error for a status, with what Stripe said as its cause.
func (b *backend) because(a *httpcall.Answer, r *refusal) error {
	err := b.call.Refused(a, "")
	if ours, ok := errors.AsType[*platform.Error](err); ok {
		return ours.Because(r)
	}
	return err
}

// declined is a sentence for the person who pays.
func declined(message string) string {
	if message == "" {
		return "The card was declined."
	}
	return message
}

// redact takes out of a refusal what no log may show. A message about a wrong
// key quotes a part of it.
func (b *backend) redact(r *refusal) {
	if r.status == http.StatusUnauthorized {
		r.said.Message = ""
	}
	for _, text := range []*string{&r.said.Type, &r.said.Code, &r.said.Decline, &r.said.Param, &r.said.Message} {
		if key := b.key.Reveal(); key != "" {
			*text = strings.ReplaceAll(*text, key, b.key.String())
		}
		*text = clean(*text)
	}
}

// secretive is what keys, client secrets and card numbers look like.
var secretive = regexp.MustCompile(`\b(?:sk|rk|pk|whsec)_[A-Za-z0-9_*]+|\b[a-z]+_[A-Za-z0-9]+_secret_[A-Za-z0-9_]+|\b(?:\d[ -]?){12,18}\d\b`)

// clean takes secrets out of a text and keeps it short.
func clean(text string) string {
	const longest = 300
	text = secretive.ReplaceAllString(text, platform.Secret{}.String())
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}
