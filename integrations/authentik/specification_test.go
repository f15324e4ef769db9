package authentik

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

const specificationFile = "../../../shared/contracts/data/authentik-openapi.yaml"

// faulty marks a call whose answer is wrong on purpose.
type faulty struct{}

// specification is Authentik's own description of its API, or nil where it is
// not beside this checkout.
var specification = sync.OnceValues(func() (routers.Router, error) {
	if _, err := os.Stat(specificationFile); err != nil {
		return nil, nil
	}
	doc, err := openapi3.NewLoader().LoadFromFile(specificationFile)
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc, openapi3.DisableExamplesValidation(), openapi3.DisableSchemaPatternValidation())
})

// checkExchange holds a request and its answer against the specification, and
// against what that leaves open: a parameter that the operation does not have,
// or an empty one, would have listed everything.
func checkExchange(r *http.Request, res *http.Response) error {
	router, err := specification()
	if err != nil || router == nil {
		return err
	}
	copied := r.Clone(r.Context())
	copied.URL.Scheme, copied.URL.Host, copied.Host = "", "", ""
	if r.GetBody != nil {
		if copied.Body, err = r.GetBody(); err != nil {
			return err
		}
	}
	route, parameters, err := router.FindRoute(copied)
	if err == nil && !strings.HasSuffix(r.URL.Path, "/") {
		err = errors.New("the last slash is missing") // this router does not mind
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	for name, values := range r.URL.Query() {
		if route.Operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
			return fmt.Errorf("%s %s has no parameter %s", r.Method, route.Path, name)
		}
		if slices.Contains(values, "") {
			return fmt.Errorf("the parameter %s is empty", name)
		}
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	request := &openapi3filter.RequestValidationInput{Request: copied, PathParams: parameters, Route: route, Options: options}
	if err := openapi3filter.ValidateRequest(r.Context(), request); err != nil {
		return err
	}
	// The specification has no 404 where there is one.
	if r.Context().Value(faulty{}) != nil || res.StatusCode == http.StatusNotFound || res.StatusCode >= 500 {
		return nil
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), broken{err}))
		return nil
	}
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: request, Status: res.StatusCode, Header: res.Header, Options: options}
	return openapi3filter.ValidateResponse(r.Context(), answer.SetBodyBytes(body))
}

// broken is the end of a body that was cut off.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// TestSpecificationCatches makes sure that the check itself is one.
func TestSpecificationCatches(t *testing.T) {
	router, err := specification()
	if err != nil {
		t.Fatal(err)
	}
	if router == nil {
		t.Skip("Authentik's specification is not beside this checkout, so requests were not held against it.")
	}
	for name, test := range map[string]struct {
		method, target, body string
		caught               bool
	}{
		"right":             {"GET", "/core/groups/?name=x", "", false},
		"unknown parameter": {"GET", "/core/groups/?group=x", "", true},
		"empty parameter":   {"GET", "/core/groups/?name=", "", true},
		"no slash":          {"GET", "/core/groups", "", true},
		"name is missing":   {"POST", "/core/groups/", `{"attributes":{}}`, true},
		"name is a number":  {"POST", "/core/groups/", `{"name":1}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), test.method, "http://x/api/v3"+test.target, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			err = checkExchange(r, &http.Response{StatusCode: http.StatusNotFound})
			if (err != nil) != test.caught {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestStandinAnswersAsSpecified asks the stand-in for all that it has.
func TestStandinAnswersAsSpecified(t *testing.T) {
	w := newWorld(t)
	if _, err := w.AddGroup("choir", map[string]any{"a": 1}); err != nil {
		t.Fatal(err)
	}
	group := w.Groups()["choir"].PK
	for _, test := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"GET", "/core/groups/", nil, 200},
		{"GET", "/core/groups/" + group + "/", nil, 200},
		{"POST", "/core/groups/", map[string]any{"name": "band"}, 201},
		{"POST", "/core/groups/", map[string]any{"name": "choir"}, 400},
		{"POST", "/core/users/", map[string]any{"username": "anna", "name": "Anna", "email": "a@acme.dk", "groups": []string{group}}, 201},
		{"POST", "/core/users/", map[string]any{"username": "anna", "name": ""}, 400},
		{"GET", "/core/users/", nil, 200},
		{"GET", "/core/users/2/", nil, 200},
		{"PATCH", "/core/users/2/", map[string]any{"is_active": false}, 200},
		{"POST", "/core/groups/" + group + "/add_user/", map[string]any{"pk": 2}, 204},
		{"POST", "/core/groups/" + group + "/remove_user/", map[string]any{"pk": 2}, 204},
		{"POST", "/core/groups/" + group + "/add_user/", map[string]any{"pk": 99}, 404},
		{"PUT", "/core/groups/" + group + "/", map[string]any{"name": "choir"}, 200},
		{"PUT", "/core/users/2/", map[string]any{"username": "anna", "name": "Anna"}, 200},
		{"DELETE", "/core/users/2/", nil, 204},
		{"DELETE", "/core/groups/" + group + "/", nil, 204},
		{"GET", "/core/users/me/", nil, 200},
		{"GET", "/admin/version/", nil, 200},
	} {
		a, err := w.send(t.Context(), test.method, test.path, nil, test.body)
		if err != nil {
			t.Errorf("%s %s: %v", test.method, test.path, errors.Unwrap(err))
		} else if a.Status != test.status {
			t.Errorf("%s %s: %d %s", test.method, test.path, a.Status, a.Body)
		}
	}
}
