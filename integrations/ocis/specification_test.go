package ocis

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// What the client sends is what the API's specification knows.
func TestRequestsAreInTheSpecification(t *testing.T) {
	const file = "../../../shared/contracts/data/libre-graph-openapi.yaml"
	if _, err := os.Stat(file); err != nil {
		t.Skip("The specification of the Graph API is not beside this checkout, so requests were not held against it.")
	}
	specification, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, before := range map[string][]space{
		"creates": nil,
		"removes": {{Name: "Acme GmbH", Description: ours}, {Name: "Acme GmbH", Description: ours}},
		"mends":   {{Name: "Acme Inc", Description: ours, Disabled: true}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.seed(t, before)
			specification.Servers = openapi3.Servers{{URL: strings.TrimSuffix(s.url, "/v1.0")}}
			router, err := legacy.NewRouter(specification, openapi3.DisableExamplesValidation())
			if err != nil {
				t.Fatal(err)
			}
			checked := 0
			s.before = func(r *http.Request) {
				route, parameters, err := router.FindRoute(r)
				if err != nil {
					t.Errorf("%s %s: %v", r.Method, r.URL, err)
					return
				}
				body, err := r.GetBody()
				if err != nil {
					t.Fatal(err)
				}
				copied := r.Clone(r.Context())
				copied.Body = body
				err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
					Request: copied, PathParams: parameters, Route: route,
					Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
				})
				if err != nil {
					t.Errorf("%s %s: %v", r.Method, r.URL, err)
				}
				checked++
			}
			if _, err := s.Apply(t.Context(), step("Acme GmbH", "")); err != nil || checked < 3 {
				t.Errorf("%d requests, %v", checked, err)
			}
		})
	}
}
