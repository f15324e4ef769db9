package stripe

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/stripe/standin"
	"github.com/dezky/platform/platform"
)

// TestParseWebhook is attack 89.
func TestParseWebhook(t *testing.T) {
	body := []byte(`{"id":"evt_1","object":"event","api_version":"2025-09-30.clover","created":1700000000,"livemode":false,"account":"acct_1","type":"invoice.paid","data":{"object":{"id":"in_1","object":"invoice","total":5}}}`)
	ours, old := platform.NewSecret("whsec_ours"), platform.NewSecret("whsec_old")
	sign := func(at time.Time, secret platform.Secret) string { return standin.Sign(body, secret, at) }
	right := sign(start, ours)
	_, mac, _ := strings.Cut(right, "v1=")
	live := bytes.Replace(body, []byte(`"livemode":false`), []byte(`"livemode":true`), 1)
	silent := bytes.Replace(body, []byte(`"livemode":false,`), nil, 1)
	nothing := []byte(`{"object":"list"}`)
	for name, test := range map[string]struct {
		reason  string
		header  string
		body    []byte
		secrets []platform.Secret
		ok      bool
	}{
		"right":              {"it is Stripe's", right, body, []platform.Secret{ours}, true},
		"299 s old":          {"it was on the way", sign(start.Add(-299*time.Second), ours), body, []platform.Secret{ours}, true},
		"300 s ahead":        {"clocks differ", sign(start.Add(300*time.Second), ours), body, []platform.Secret{ours}, true},
		"301 s old":          {"somebody kept it", sign(start.Add(-301*time.Second), ours), body, []platform.Secret{ours}, false},
		"301 s ahead":        {"it would be good for long", sign(start.Add(301*time.Second), ours), body, []platform.Secret{ours}, false},
		"no header":          {"nobody signed it", "", body, []platform.Secret{ours}, false},
		"nonsense":           {"nobody signed it", "t=x,v1=y", body, []platform.Secret{ours}, false},
		"no time":            {"the time is a part of what is signed", "v1=" + mac, body, []platform.Secret{ours}, false},
		"two times":          {"one of them is not signed", fmt.Sprintf("t=1,%s", right), body, []platform.Secret{ours}, false},
		"another time":       {"the time is signed", strings.Replace(right, "t=", "t=0", 1) + "0", body, []platform.Secret{ours}, false},
		"wrong secret":       {"somebody else signed it", sign(start, old), body, []platform.Secret{ours}, false},
		"v0 alone":           {"v0 is no signature", strings.Replace(right, "v1=", "v0=", 1), body, []platform.Secret{ours}, false},
		"v0 beside":          {"what is not known is left alone", right + ",v0=00", body, []platform.Secret{ours}, true},
		"two v1":             {"the secret is being changed", strings.Replace(right, ",v1=", ",v1=00,v1=", 1), body, []platform.Secret{ours}, true},
		"two secrets":        {"the secret is being changed", sign(start, old), body, []platform.Secret{ours, old}, true},
		"one byte changed":   {"it is not what was signed", right, bytes.Replace(body, []byte(`5`), []byte(`6`), 1), []platform.Secret{ours}, false},
		"one space more":     {"it is not what was signed", right, append(bytes.Clone(body), ' '), []platform.Secret{ours}, false},
		"trimmed secret":     {"files end in a newline", right, body, []platform.Secret{platform.NewSecret(" whsec_ours\n")}, true},
		"empty secret":       {"everybody could sign with it", sign(start, platform.Secret{}), body, []platform.Secret{{}}, false},
		"blank secret":       {"everybody could sign with it", sign(start, platform.Secret{}), body, []platform.Secret{platform.NewSecret(" \n")}, false},
		"no secrets":         {"nothing is configured", sign(start, platform.Secret{}), body, nil, false},
		"the other mode":     {"it is of another world", standin.Sign(live, ours, start), live, []platform.Secret{ours}, false},
		"no mode":            {"it is no event", standin.Sign(silent, ours, start), silent, []platform.Secret{ours}, false},
		"no event":           {"it is no event", standin.Sign(nothing, ours, start), nothing, []platform.Secret{ours}, false},
		"no JSON":            {"it is no event", standin.Sign([]byte("{"), ours, start), []byte("{"), []platform.Secret{ours}, false},
		"capital letters":    {"hex is hex", strings.Replace(right, mac, strings.ToUpper(mac), 1), body, []platform.Secret{ours}, true},
		"a signature halved": {"a part is none", right[:len(right)-2], body, []platform.Secret{ours}, false},
	} {
		t.Run(name, func(t *testing.T) {
			event, err := ParseWebhook(test.header, test.body, test.secrets, false, start)
			if test.ok {
				want := platform.PaymentEvent{
					ID: "evt_1", Type: "invoice.paid", CreatedAt: platform.At(time.Unix(1700000000, 0)), Account: "acct_1", ObjectKind: "invoice", ObjectID: "in_1",
				}
				if diff := cmp.Diff(want, event); err != nil || diff != "" {
					t.Errorf("%s: %v\n%s", test.reason, err, diff)
				}
				return
			}
			if platform.CodeOf(err) != platform.Invalid || platform.CanPass(err) || platform.MessageOf(err) != "The event was refused." {
				t.Errorf("%s: got %v", test.reason, err)
			}
			if event != (platform.PaymentEvent{}) || strings.Contains(err.Error(), "whsec") {
				t.Errorf("got %+v, %v", event, err)
			}
		})
	}
}
