package authentik

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/dezky/platform/integrations/authentik/standin"
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
	if err := checkFields(r, route.Operation); err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, route.Path, err)
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

// checkFields makes sure that the body says nothing that the operation does not
// know: Authentik would take it for nothing said.
func checkFields(r *http.Request, operation *openapi3.Operation) error {
	if r.GetBody == nil || r.ContentLength == 0 {
		return nil
	}
	if operation.RequestBody == nil {
		return errors.New("it takes no body")
	}
	content, err := r.GetBody()
	if err != nil {
		return err
	}
	var body any
	if err := json.NewDecoder(content).Decode(&body); err != nil {
		return err
	}
	return unknownField(operation.RequestBody.Value.Content.Get("application/json").Schema.Value, body, "")
}

func unknownField(schema *openapi3.Schema, value any, at string) error {
	if schema == nil {
		return nil
	}
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			if schema.Items == nil {
				return nil
			}
			if err := unknownField(schema.Items.Value, item, at+"[]"); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, field := range value {
			known := schema.Properties[name]
			switch {
			case known != nil:
				if err := unknownField(known.Value, field, at+"."+name); err != nil {
					return err
				}
			case schema.AdditionalProperties.Schema == nil && !(schema.AdditionalProperties.Has != nil && *schema.AdditionalProperties.Has):
				return fmt.Errorf("it has no field %s.%s", at, name)
			}
		}
	}
	return nil
}

// broken is the end of a body that was cut off.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

const anyUUID = "00000000-0000-4000-8000-000000000000"

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
		"unknown field":     {"POST", "/core/groups/", `{"name":"x","tenant":"y"}`, true},
		"free attributes":   {"POST", "/core/groups/", `{"name":"x","attributes":{"dezky":{"a":"b"}}}`, false},
		"unknown subfield":  {"POST", "/providers/oauth2/", `{"name":"x","authorization_flow":"` + anyUUID + `","invalidation_flow":"` + anyUUID + `","redirect_uris":[{"matching_mode":"strict","url":"x","kind":"y"}]}`, true},
		"a body too many":   {"DELETE", "/core/users/2/", `{"force":true}`, true},
		"number in a path":  {"GET", "/core/users/x/", "", true},
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
	if err := w.AddPerson(standin.Person{Username: "olga", Email: "o@acme.dk", MFA: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SignInOffline("olga", standin.Portal); err != nil {
		t.Fatal(err)
	}
	w.crm(t)
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
		{"POST", "/core/groups/" + group + "/add_user/", map[string]any{"pk": 1}, 204},
		{"POST", "/core/groups/" + group + "/remove_user/", map[string]any{"pk": 1}, 204},
		{"POST", "/core/groups/" + group + "/add_user/", map[string]any{"pk": 99}, 404},
		{"PUT", "/core/groups/" + group + "/", map[string]any{"name": "choir"}, 200},
		{"PUT", "/core/users/2/", map[string]any{"username": "anna", "name": "Anna"}, 200},
		{"POST", "/core/users/2/set_password/", map[string]any{"password": "x"}, 204},
		{"GET", "/core/authenticated_sessions/", nil, 200},
		{"GET", "/core/authenticated_sessions/?user__username=anna", nil, 200},
		{"DELETE", "/core/authenticated_sessions/bulk_delete/?user_pks=2", nil, 200},
		{"DELETE", "/core/authenticated_sessions/" + anyUUID + "/", nil, 404},
		{"GET", "/oauth2/refresh_tokens/", nil, 200},
		{"GET", "/oauth2/refresh_tokens/?user=2", nil, 200},
		{"GET", "/oauth2/refresh_tokens/?user=99", nil, 400},
		{"GET", "/authenticators/admin/all/?user=2", nil, 200},
		{"GET", "/core/applications/", nil, 200},
		{"GET", "/core/applications/?slug=acme-crm&superuser_full_list=true", nil, 200},
		{"GET", "/core/applications/acme-crm/", nil, 200},
		{"POST", "/core/applications/", map[string]any{"name": "Token", "slug": "token"}, 400},
		{"GET", "/policies/bindings/", nil, 200},
		{"GET", "/policies/bindings/?target=" + anyUUID, nil, 400},
		{"POST", "/policies/bindings/", map[string]any{"target": w.Applications()["acme-crm"].PK, "order": 1, "group": group, "user": 1}, 400},
		{"POST", "/policies/bindings/", map[string]any{"target": w.Applications()["acme-crm"].PK, "order": 1, "user": 1}, 201},
		{"GET", "/providers/oauth2/", nil, 200},
		{"GET", "/providers/oauth2/1/", nil, 200},
		{"GET", "/providers/oauth2/1/setup_urls/", nil, 200},
		{"GET", "/flows/instances/?designation=authorization&ordering=slug", nil, 200},
		{"GET", "/crypto/certificatekeypairs/", nil, 200},
		{"GET", "/propertymappings/provider/scope/", nil, 200},
		{"DELETE", "/core/users/2/", nil, 204},
		{"DELETE", "/core/groups/" + group + "/", nil, 204},
		{"GET", "/core/users/me/", nil, 200},
		{"GET", "/admin/version/", nil, 200},
	} {
		path, query, _ := strings.Cut(strings.ReplaceAll(test.path, "/2/", fmt.Sprintf("/%d/", w.Users()["anna"].PK)), "?")
		filter, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		a, err := w.send(t.Context(), test.method, path, filter, test.body)
		if err != nil {
			t.Errorf("%s %s: %v", test.method, test.path, errors.Unwrap(err))
		} else if a.Status != test.status {
			t.Errorf("%s %s: %d %s", test.method, test.path, a.Status, a.Body)
		}
	}
}
