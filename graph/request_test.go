package graph

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestWhereARequestComesFrom(t *testing.T) {
	for name, c := range map[string]struct {
		reason  string
		proxies int
		passed  []string
		want    string
	}{
		"no proxy":            {"nobody is asked who they are", 0, []string{"10.0.0.1"}, "192.0.2.1"},
		"one proxy":           {"it says whom it speaks with", 1, []string{"203.0.113.9"}, "203.0.113.9"},
		"one proxy, spoofed":  {"what stands before its entry anybody may have written", 1, []string{"10.0.0.1, 203.0.113.9"}, "203.0.113.9"},
		"spoofed by a header": {"two headers are one list", 1, []string{"10.0.0.1", "203.0.113.9"}, "203.0.113.9"},
		"two proxies":         {"the outer one says whom it speaks with", 2, []string{"10.0.0.1, 203.0.113.9, 198.51.100.1"}, "203.0.113.9"},
		"round the proxy":     {"who came another way is who they are", 2, []string{"10.0.0.1"}, "192.0.2.1"},
		"nothing passed on":   {"a proxy that says nothing is the caller", 1, nil, "192.0.2.1"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/graphql", nil)
		r.RemoteAddr = "192.0.2.1:4711"
		for _, header := range c.passed {
			r.Header.Add("X-Forwarded-For", header)
		}
		if got := callerIP(r, c.proxies); got != c.want {
			t.Errorf("%s: %s instead of %s, but %s", name, got, c.want, c.reason)
		}
	}
}
