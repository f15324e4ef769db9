package standin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/dezky/platform/integrations/stage"
)

// The limits that the session speaks of.
const (
	maxRequest    = 10_000_000
	maxCalls      = 16
	maxGet        = 500
	maxSet        = 500
	maxQuery      = 5000
	jmapErrorType = "urn:ietf:params:jmap:error:"
)

// envelope is a request to the API.
type envelope struct {
	Using       []string
	MethodCalls []invocation
	CreatedIDs  map[string]string
}

type invocation struct {
	name string
	args map[string]json.RawMessage
	id   string
}

func (i *invocation) UnmarshalJSON(data []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	if len(parts) != 3 {
		return errors.New("a call has three parts")
	}
	return errors.Join(json.Unmarshal(parts[0], &i.name), json.Unmarshal(parts[1], &i.args), json.Unmarshal(parts[2], &i.id))
}

// methodError is the answer to one call that failed.
type methodError struct {
	Type        string `json:"type"`
	Description string `json:"description,omitempty"`
}

func (e *methodError) Error() string { return e.Type + ": " + e.Description }

// request is one request while its calls are carried out.
type request struct {
	server *Server
	// account is the caller's own, and admin says that they may do everything.
	account string
	admin   bool
	// created are the ids of what this request made, by creation id.
	created   map[string]string
	responses []response
}

type response struct {
	Name string
	Args any
	ID   string
}

func (r response) MarshalJSON() ([]byte, error) { return json.Marshal([]any{r.Name, r.Args, r.ID}) }

func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request, who caller) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		answerProblem(w, internal())
		return
	}
	asked, refusal := parse(r.Header.Get("Content-Type"), body)
	if refusal != nil {
		answerProblem(w, *refusal)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.growKeys()
	q := &request{server: s, account: who.account, admin: who.admin, created: map[string]string{}}
	for creation, id := range asked.CreatedIDs {
		q.created[creation] = id
	}
	for _, call := range asked.MethodCalls {
		q.carryOut(call)
	}
	if s.changed {
		if err := stage.Save(s.options.File, s.state); err != nil {
			answerProblem(w, internal())
			return
		}
		s.changed = false
	}
	answer := map[string]any{"methodResponses": q.responses, "sessionState": "74e31243"}
	if asked.CreatedIDs != nil {
		answer["createdIds"] = q.created
	}
	answerJSON(w, answer)
}

// parse reads a request or says what is wrong with it as a whole. For whatever
// it cannot read, the answer repeats the request.
func parse(contentType string, body []byte) (*envelope, *problem) {
	if kind, _, err := mime.ParseMediaType(contentType); contentType != "" && (err != nil || kind != "application/json") {
		return nil, &problem{Type: jmapErrorType + "notJSON", Status: 400, Detail: "Failed to parse JSON: The Content-Type header must be application/json."}
	}
	if len(body) > maxRequest {
		return nil, &problem{Type: jmapErrorType + "limit", Status: 400, Limit: "maxSizeRequest",
			Detail: "The request is larger than the server is willing to process."}
	}
	var asked envelope
	if json.Unmarshal(body, &asked) != nil || !asked.isComplete() {
		return nil, &problem{Type: jmapErrorType + "notRequest", Status: 400, Detail: string(body)}
	}
	if len(asked.MethodCalls) > maxCalls {
		return nil, &problem{Type: jmapErrorType + "limit", Status: 400, Limit: "maxCallsInRequest",
			Detail: "The request exceeds the maximum number of calls in a single request."}
	}
	return &asked, nil
}

func (e *envelope) isComplete() bool {
	if e.Using == nil || e.MethodCalls == nil {
		return false
	}
	for _, urn := range e.Using {
		if urn != "urn:stalwart:jmap" && (!strings.HasPrefix(urn, "urn:") || !strings.Contains(recordedSession, `"`+urn+`"`)) {
			return false
		}
	}
	// A state is n, or s and a number. It is looked at here and nowhere else.
	for _, call := range e.MethodCalls {
		var text string
		raw, asked := call.args["ifInState"]
		if asked && string(raw) != "null" && (json.Unmarshal(raw, &text) != nil || text != "n" && !strings.HasPrefix(text, "s")) {
			return false
		}
	}
	return true
}

// carryOut does one call. A failure is its answer, and the next call goes on.
func (q *request) carryOut(call invocation) {
	answer, err := q.method(call)
	if refusal := (*methodError)(nil); errors.As(err, &refusal) {
		q.responses = append(q.responses, response{"error", refusal, call.id})
		return
	}
	q.responses = append(q.responses, response{call.name, answer, call.id})
}

func (q *request) method(call invocation) (any, error) {
	name, operation, _ := strings.Cut(strings.TrimPrefix(call.name, "x:"), "/")
	at := slices.IndexFunc(q.server.kinds, func(k kind) bool { return k.name == name })
	isCredential := name == "ApiKey" || name == "AppPassword"
	if at < 0 && !isCredential && name != "Bootstrap" || !strings.HasPrefix(call.name, "x:") || !slices.Contains([]string{"get", "set", "query"}, operation) {
		return nil, &methodError{"unknownMethod", call.name}
	}
	account := q.account
	if raw, ok := call.args["accountId"]; ok {
		var theirs string
		if string(raw) == "null" || json.Unmarshal(raw, &theirs) != nil {
			return nil, &methodError{"invalidArguments", "invalid type: expected a string"}
		}
		if _, ok := parseID(theirs); ok {
			account = theirs
		}
	}
	if !q.admin {
		return nil, &methodError{"forbidden", "You are not authorized to perform this action"}
	}
	if err := q.resolveResults(call.args); err != nil {
		return nil, err
	}
	switch {
	case name == "Bootstrap":
		return bootstrapped(account, call.args)
	case isCredential:
		return q.credentialKind(name, operation, account, call.args)
	}
	kind := q.server.kinds[at]
	switch operation {
	case "get":
		return q.get(kind, account, call.args)
	case "query":
		if kind.singleton {
			return nil, &methodError{"unknownMethod", call.name}
		}
		return q.query(kind, account, call.args)
	}
	return q.set(kind, account, call.args)
}

// bootstrapped refuses what is for a server that was never set up.
func bootstrapped(account string, args map[string]json.RawMessage) (any, error) {
	var update map[string]any
	if _, err := argument(args, "update", "a map", &update); err != nil {
		return nil, err
	}
	answer := newSetAnswer(account)
	for id := range update {
		answer.NotUpdated[id] = &setError{Type: "forbidden", Description: "This operation is only allowed bootstrap mode"}
	}
	return answer, nil
}

// argument reads an argument into out and says whether it is there.
func argument(args map[string]json.RawMessage, name, expected string, out any) (bool, error) {
	raw, ok := args[name]
	if !ok || string(raw) == "null" {
		return false, nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return false, &methodError{"invalidArguments", fmt.Sprintf("invalid type: `%s`, expected %s", raw, expected)}
	}
	return true, nil
}

// resolveResults puts what earlier calls answered in the place of each #name
// argument.
func (q *request) resolveResults(args map[string]json.RawMessage) error {
	for name, raw := range args {
		plain, isReference := strings.CutPrefix(name, "#")
		if !isReference {
			continue
		}
		var reference struct{ ResultOf, Name, Path string }
		if json.Unmarshal(raw, &reference) != nil {
			return &methodError{"invalidResultReference", "The reference cannot be read."}
		}
		found, err := q.result(reference.ResultOf, reference.Name, reference.Path)
		if err != nil {
			return err
		}
		delete(args, name)
		args[plain] = found
	}
	return nil
}

func (q *request) result(id, name, path string) (json.RawMessage, error) {
	for _, r := range q.responses {
		if r.ID != id || r.Name != name {
			continue
		}
		plain, err := roundTrip(r.Args)
		if err != nil {
			return nil, err
		}
		found, ok := follow(plain, strings.Split(strings.TrimPrefix(path, "/"), "/"))
		if !ok {
			break
		}
		return json.Marshal(found)
	}
	return nil, &methodError{"invalidResultReference", fmt.Sprintf("Failed to evaluate %s result reference.", path)}
}

// roundTrip turns any value into what JSON makes of it.
func roundTrip(value any) (plain any, err error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return plain, json.Unmarshal(data, &plain)
}

// follow goes down a JSON pointer; * is every element of a list.
func follow(value any, path []string) (any, bool) {
	if len(path) == 0 {
		return value, true
	}
	switch at := value.(type) {
	case map[string]any:
		inner, ok := at[unescape(path[0])]
		if !ok {
			return nil, false
		}
		return follow(inner, path[1:])
	case []any:
		if path[0] != "*" {
			return nil, false
		}
		all := []any{}
		for _, element := range at {
			inner, ok := follow(element, path[1:])
			if !ok {
				return nil, false
			}
			if list, isList := inner.([]any); isList {
				all = append(all, list...)
			} else {
				all = append(all, inner)
			}
		}
		return all, true
	}
	return nil, false
}

// unescape reads one step of a JSON pointer.
func unescape(step string) string {
	return strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
}
