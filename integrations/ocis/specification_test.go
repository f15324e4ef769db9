package ocis

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// specification is the API's own description, or nil where it is not beside this
// checkout.
var specification = sync.OnceValues(func() (routers.Router, error) {
	const file = "../../../shared/contracts/data/libre-graph-openapi.yaml"
	if _, err := os.Stat(file); err != nil {
		return nil, nil
	}
	document, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		return nil, err
	}
	document.Servers = openapi3.Servers{{URL: "/graph"}}
	return legacy.NewRouter(document, openapi3.DisableExamplesValidation())
})

// checkRequest holds a request against the specification. Every request that a
// client sends in a test of this package goes through it.
func checkRequest(r *http.Request) error {
	router, err := specification()
	if err != nil || router == nil {
		return err
	}
	copied := r.Clone(r.Context())
	copied.URL.Scheme, copied.URL.Host, copied.Host = "", "", ""
	if copied.Body, err = r.GetBody(); err != nil {
		return err
	}
	route, parameters, err := router.FindRoute(copied)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	for name := range r.URL.Query() {
		if route.Operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
			return fmt.Errorf("%s %s has no parameter %s", r.Method, route.Path, name)
		}
	}
	return openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: copied, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
}

// The check itself is one.
func TestSpecificationCatches(t *testing.T) {
	router, err := specification()
	if err != nil {
		t.Fatal(err)
	}
	if router == nil {
		t.Skip("The specification of the Graph API is not beside this checkout, so requests were not held against it.")
	}
	for name, test := range map[string]struct {
		method, target, body string
		caught               bool
	}{
		"right":             {"POST", "/v1.0/users", `{"onPremisesSamAccountName":"a","displayName":"A"}`, false},
		"no name":           {"POST", "/v1.0/users", `{"onPremisesSamAccountName":"a"}`, true},
		"name is a number":  {"POST", "/v1.0/users", `{"onPremisesSamAccountName":"a","displayName":1}`, true},
		"unknown path":      {"GET", "/v1.0/people", "", true},
		"unknown method":    {"PUT", "/v1.0/users", "{}", true},
		"unknown parameter": {"GET", "/v1.0/users?%24find=x", "", true},
		"unknown expansion": {"GET", "/v1.0/users/a?%24expand=nope", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), test.method, "http://x/graph"+test.target, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			if err := checkRequest(r); (err != nil) != test.caught {
				t.Errorf("got %v", err)
			}
		})
	}
}
