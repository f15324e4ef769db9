package stripe

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dezky/platform/platform"
)

// tolerance is how far the time of a signature may be off, to both sides. It
// keeps nobody from sending an event twice: that is for the event's id.
const tolerance = 300 * time.Second

// ParseWebhook is the event in a webhook's body, if it was signed with one of the
// secrets and comes from the mode, live or test, that the account is used in.
// Header is the Stripe-Signature header, and body what was received, byte by
// byte. Several secrets are those of several endpoints, or of one whose secret
// is being changed; white space around one is no part of it.
//
// Every error is Invalid and Never, and says no more to who sent it than that the
// event was refused. The event's version is not looked at, since of its object
// only the name is taken.
func ParseWebhook(header string, body []byte, secrets []platform.Secret, live bool, now time.Time) (platform.PaymentEvent, error) {
	when, signatures, err := signed(header)
	if err != nil {
		return platform.PaymentEvent{}, refuse(err)
	}
	if off := now.Sub(when); off > tolerance || off < -tolerance {
		return platform.PaymentEvent{}, refuse(fmt.Errorf("the signature is %s old", off))
	}
	if !matches(when, body, signatures, secrets) {
		return platform.PaymentEvent{}, refuse(errors.New("no signature is of one of the secrets"))
	}
	var event struct {
		ID       string `json:"id"`
		Object   string `json:"object"`
		Type     string `json:"type"`
		Created  int64  `json:"created"`
		Account  string `json:"account"`
		LiveMode *bool  `json:"livemode"`
		Data     struct {
			Object struct {
				ID     string `json:"id"`
				Object string `json:"object"`
			} `json:"object"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return platform.PaymentEvent{}, refuse(errors.New("the body is no event"))
	}
	switch {
	case event.Object != "event" || event.ID == "" || event.Type == "" || event.Data.Object.Object == "":
		return platform.PaymentEvent{}, refuse(errors.New("the body is no event"))
	case event.LiveMode == nil || *event.LiveMode != live:
		return platform.PaymentEvent{}, refuse(fmt.Errorf("the event %s is of the other mode", event.ID))
	}
	return platform.PaymentEvent{
		ID: event.ID, Type: event.Type, CreatedAt: at(event.Created), Account: event.Account,
		ObjectKind: event.Data.Object.Object, ObjectID: event.Data.Object.ID,
	}, nil
}

func refuse(cause error) error {
	return platform.Errorf(platform.Invalid, "The event was refused.").Because(cause).Never()
}

// signed reads a header such as "t=1700000000,v1=0a…,v1=1b…,v0=2c…". Only v1 is
// a signature for production; v0 is anybody's in test mode.
func signed(header string) (when time.Time, signatures [][]byte, err error) {
	for _, part := range strings.Split(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			if !when.IsZero() {
				return when, nil, errors.New("the header has two times")
			}
			seconds, err := strconv.ParseInt(value, 10, 64)
			if err != nil || seconds < 1 {
				return when, nil, errors.New("the header's time is no time")
			}
			when = time.Unix(seconds, 0)
		case "v1":
			if mac, err := hex.DecodeString(value); err == nil {
				signatures = append(signatures, mac)
			}
		}
	}
	if when.IsZero() || len(signatures) == 0 {
		return when, nil, errors.New("the header has no time or no v1 signature")
	}
	return when, signatures, nil
}

// matches says whether one of the signatures was made with one of the secrets. A
// secret that is empty would be everybody's.
func matches(when time.Time, body []byte, signatures [][]byte, secrets []platform.Secret) bool {
	found := false
	for _, secret := range secrets {
		text := strings.TrimSpace(secret.Reveal())
		if text == "" {
			continue
		}
		mac := hmac.New(sha256.New, []byte(text))
		fmt.Fprintf(mac, "%d.", when.Unix())
		mac.Write(body)
		want := mac.Sum(nil)
		for _, signature := range signatures {
			if hmac.Equal(want, signature) {
				found = true
			}
		}
	}
	return found
}
