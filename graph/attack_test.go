package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// An attack may take long on a busy machine, and the query beside it too; what
// hangs is told by these.
const (
	attackTime   = 10 * time.Second
	longestReply = 256 << 10
)

// attack is one row of the list of attacks, or one way to try it. Unless it says
// otherwise it comes from an operator, whom no rule of the schema stops.
type attack struct {
	row    int
	reason string
	// document is what is sent, with variables as JSON; or the whole body is.
	document, variables, body string
	who                       string
	// refused is the code of the first error; "" is an answer with data.
	refused string
	// message is what the first error says, where it matters.
	message string
}

const (
	unsound    = "GRAPHQL_VALIDATION_FAILED"
	unread     = "GRAPHQL_PARSE_FAILED"
	invalid    = "INVALID"
	forbidden  = "FORBIDDEN"
	somethings = "Something went wrong"
)

func (a attack) request() string {
	if a.body != "" {
		return a.body
	}
	return requestOf(a.document, a.variables)
}

func requestOf(document, variables string) string {
	text, err := json.Marshal(document)
	if err != nil || variables == "" {
		variables = "null"
	}
	return `{"query":` + string(text) + `,"variables":` + variables + `}`
}

// graphAnswer is an answer of the graph.
type graphAnswer struct {
	Errors []struct {
		Message    string         `json:"message"`
		Path       []any          `json:"path"`
		Extensions map[string]any `json:"extensions"`
	} `json:"errors"`
	Data json.RawMessage `json:"data"`
}

// play makes an attack, and a trivial query while it lasts.
func play(t *testing.T, w *world, a attack) graphAnswer {
	t.Helper()
	if a.who == "" {
		a.who = "operator"
	} else if a.who == "nobody" {
		a.who = ""
	}
	beside := make(chan answer, 1)
	go func() { beside <- w.Post(t, "", `{"query":"{ __typename }"}`) }()
	got := w.Post(t, a.who, a.request())
	other := <-beside
	if other.Status != http.StatusOK || !strings.Contains(other.Body, `"data":{"__typename":"Query"}`) || other.Took > attackTime {
		t.Errorf("a trivial query beside it: %d after %s: %.200s", other.Status, other.Took, other.Body)
	}
	if testing.Verbose() {
		t.Logf("row %d: %d, %d bytes, %s; beside it %s", a.row, got.Status, len(got.Body), got.Took.Round(time.Millisecond), other.Took.Round(time.Millisecond))
	}
	harmless(t, got)
	var out graphAnswer
	if err := json.Unmarshal([]byte(got.Body), &out); err != nil {
		t.Fatalf("the answer is no JSON: %v: %.200s", err, got.Body)
	}
	code, message := "", ""
	if len(out.Errors) > 0 {
		code, message = fmt.Sprint(out.Errors[0].Extensions["code"]), out.Errors[0].Message
	}
	if a.refused == "ANY" && code != "" {
		t.Logf("row %d: %s: %s", a.row, code, message)
	} else if code != a.refused || a.message != "" && message != a.message {
		t.Errorf("got %q (%s), want %q (%s): %s", code, message, a.refused, a.message, a.reason)
	}
	if (code == unsound || code == unread) && out.Data != nil {
		t.Errorf("a refused request has data: %s", out.Data)
	}
	return out
}

// harmless checks what holds for every answer, whatever was asked.
func harmless(t *testing.T, got answer) {
	t.Helper()
	switch {
	case got.Status >= 500:
		t.Errorf("status %d: %.300s", got.Status, got.Body)
	case len(got.Body) > longestReply:
		t.Errorf("%d bytes of answer", len(got.Body))
	case got.Took > attackTime:
		t.Errorf("it took %s", got.Took)
	}
	lower := strings.ToLower(got.Body)
	for _, leak := range []string{
		"did you mean", "goroutine ", ".go:", "runtime error", "panic", "sqlite", "/root", "/tmp", "/usr", "gqlgen", "json:", "bearer ey",
	} {
		if strings.Contains(lower, leak) {
			t.Errorf("the answer says %q: %.300s", leak, got.Body)
		}
	}
	if n := strings.Count(got.Body, `"message":`); n > 20 {
		t.Errorf("%d errors", n)
	}
	kind, _, _ := strings.Cut(got.Header.Get("Content-Type"), ";")
	if kind != "application/json" && kind != "application/graphql-response+json" {
		t.Errorf("the answer is %s", got.Header.Get("Content-Type"))
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q", name, got.Header.Get(name))
		}
	}
	if !strings.HasPrefix(got.Header.Get("X-Request-Id"), "req_") {
		t.Errorf("the request's id is %q", got.Header.Get("X-Request-Id"))
	}
}

func many(n int, part string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(part, "%", fmt.Sprint(i)))
	}
	return b.String()
}

// doubled is a document in which each of n fragments has a selection with NEXT
// for the next one.
func doubled(n int, start, on, selection, last string) string {
	var b strings.Builder
	b.WriteString(start)
	for i := range n {
		fmt.Fprintf(&b, " fragment F%d on %s { %s }", i, on, strings.ReplaceAll(selection, "NEXT", fmt.Sprintf("...F%d", i+1)))
	}
	fmt.Fprintf(&b, " fragment F%d on %s { %s }", n, on, last)
	return b.String()
}

// TestDocumentAttacks has what a document alone can do: rows 1 to 23.
func TestDocumentAttacks(t *testing.T) {
	const tenant = `{ tenant(id: "ten_acme") { %s } }`
	lap := func(n int, last string) string {
		return strings.Repeat("members { nodes { tenant { ", n) + last + strings.Repeat(" } } }", n)
	}
	w := newWorld(t)
	for name, a := range map[string]attack{
		"1 laps along a cycle":   {row: 1, document: fmt.Sprintf(tenant, lap(100, "id")), refused: unsound, message: "A document is at most 15 fields deep."},
		"1 five laps":            {row: 1, document: fmt.Sprintf(tenant, lap(5, "id")), refused: unsound, message: "A document is at most 15 fields deep."},
		"1 four laps of pages":   {row: 1, document: fmt.Sprintf(tenant, lap(4, "id")), refused: unsound, reason: "20^4 members are too many"},
		"1 two laps":             {row: 1, document: fmt.Sprintf(tenant, lap(2, "id")), reason: "people do that"},
		"2 10,000 aliases":       {row: 2, document: "{" + many(10_000, " a%: __typename") + "}", refused: unsound, message: "A document has at most 32768 bytes."},
		"2 660 aliases":          {row: 2, document: "{" + many(660, " a%:__typename") + "}", refused: unsound, message: "A document has at most 100 aliases."},
		"2 100 aliases of reads": {row: 2, document: "{" + many(100, ` a%: tenant(id: "ten_acme") { members(first: 100) { totalCount } }`) + "}", refused: unsound, reason: "each is priced"},
		"3 10,000 copies":        {row: 3, document: "{ me {" + strings.Repeat(" id", 10_000) + "} }", refused: unsound, message: "A document has at most 2000 tokens."},
		"3 1,900 copies":         {row: 3, document: "{ me {" + strings.Repeat(" isOperator", 1900) + "} }", refused: unsound, message: "A document repeats the same fields too often."},
		"3 100 copies":           {row: 3, document: "{ me {" + strings.Repeat(" isOperator", 100) + "} }", reason: "they are one field"},
		"4 unknown directives":   {row: 4, document: "{ __typename " + strings.Repeat("@a", 10_000) + "}", refused: unsound, message: "A document has at most 2000 tokens."},
		"4 100 unknown ones":     {row: 4, document: "{ __typename " + strings.Repeat("@a", 100) + "}", refused: unsound, reason: "20 errors say enough"},
		"5 known directives":     {row: 5, document: "{ __typename " + strings.Repeat("@skip(if:true)", 2000) + "}", refused: unsound, message: "A document has at most 2000 tokens."},
		"5 250 known ones":       {row: 5, document: "{ __typename " + strings.Repeat("@skip(if:true)", 250) + "}", refused: unsound, message: "A document has at most 100 directives."},
		"5 100 known ones":       {row: 5, document: "{ __typename " + strings.Repeat("@skip(if:true)", 100) + "}", refused: unsound, reason: "one is enough"},
		"6 a circle":             {row: 6, document: "{ me { ...A } } fragment A on Me { ...B } fragment B on Me { ...A }", refused: unsound, message: "A fragment cannot contain itself."},
		"6 a circle of one":      {row: 6, document: "{ ...A } fragment A on Query { me { isOperator } ...A }", refused: unsound, message: "A fragment cannot contain itself."},
		"6 a circle by fields":   {row: 6, document: "{ me { activeTenant { ...A } } } fragment A on Tenant { members { nodes { tenant { ...A } } } }", refused: unsound, message: "A fragment cannot contain itself."},
		"7 2^40 root fields":     {row: 7, document: doubled(40, "{ ...F0 }", "Query", "NEXT NEXT", "__typename"), refused: unsound, reason: "the sum is 2^40"},
		"7 2^13 root fields":     {row: 7, document: doubled(13, "{ ...F0 }", "Query", "NEXT NEXT", "__typename"), reason: "the sum is allowed, and the executor merges them"},
		"8 along a cycle":        {row: 8, document: doubled(3, fmt.Sprintf(tenant, "...F0"), "Tenant", "a: members { nodes { tenant { NEXT } } } b: members { nodes { tenant { NEXT } } }", "id"), refused: unsound, reason: "pages and copies multiply"},
		"8 20 times":             {row: 8, document: doubled(20, fmt.Sprintf(tenant, "...F0"), "Tenant", "a: members(first: 1) { nodes { tenant { NEXT } } } b: members(first: 1) { nodes { tenant { NEXT } } }", "id"), refused: unsound, message: "A document is at most 15 fields deep."},
		"8 without depth":        {row: 8, document: doubled(40, fmt.Sprintf(tenant, "...F0"), "Tenant", "NEXT NEXT", "id members(first: 100) { nodes { id } }"), refused: unsound, reason: "the sum is 2^40"},
		"9 inside introspection": {row: 9, document: doubled(40, "{ __schema { types { ...F0 } } }", "__Type", "ofType { NEXT } possibleTypes { NEXT }", "name"), refused: unsound, message: "A document is at most 15 fields deep."},
		"9 12 levels":            {row: 9, document: doubled(12, "{ __schema { types { ...F0 } } }", "__Type", "ofType { NEXT } possibleTypes { NEXT }", "name"), refused: unsound, message: "Maximum introspection depth exceeded"},
		"9 with aliases":         {row: 9, document: doubled(10, "{ __schema { types { ...F0 } } }", "__Type", "a: ofType { NEXT } b: ofType { NEXT }", "name"), refused: unsound, message: "The schema is read without aliases."},
		"9 without depth":        {row: 9, document: doubled(90, "{ __schema { types { ...F0 } } }", "__Type", "NEXT NEXT", "name"), reason: "it is one field in the end"},
		"10 mergeable fields":    {row: 10, document: "{" + strings.Repeat(" me{isOperator}", 490) + "}", refused: unsound, message: "A document repeats the same fields too often."},
		"10 in 75 fragments":     {row: 10, document: "{ me {" + many(75, "...F%") + "} }" + many(75, "fragment F% on Me{"+strings.Repeat("isOperator ", 15)+"}"), refused: unsound, message: "A document repeats the same fields too often."},
		"10 10 names, 60 times":  {row: 10, document: "{ node(id: \"x\") { ... on Tenant {" + strings.Repeat("id slug name status plan seats industry brandColor createdAt membersCount ", 60) + "} } }", refused: "NOT_FOUND", reason: "the quadratic rule has 10 * 60^2 pairs"},
		"10 10 names, 70 times":  {row: 10, document: "{ node(id: \"x\") { ... on Tenant {" + strings.Repeat("id slug name status plan seats industry brandColor createdAt membersCount ", 70) + "} } }", refused: unsound, message: "A document repeats the same fields too often."},
		"10 mergeable arguments": {row: 10, document: "{" + strings.Repeat(` node(id:"x"){id}`, 60) + "}", refused: "NOT_FOUND", reason: "they are one field"},
		"10 100 conflicts":       {row: 10, document: "{" + many(100, ` a: node(id:"%"){id}`) + "}", refused: unsound, message: "A document repeats the same fields too often."},
		"10 conflicts":           {row: 10, document: "{" + many(60, ` a: node(id:"%"){id}`) + "}", refused: unsound, reason: "they do not merge"},
		"10 600 fragments":       {row: 10, document: "{ me {" + many(600, "...F%") + "} }" + many(600, "fragment F% on Me{isOperator}"), refused: unsound, message: "A document has at most 2000 tokens."},
		"10 100 fragments":       {row: 10, document: "{ me {" + many(100, "...F%") + "} }" + many(100, "fragment F% on Me{isOperator user{id}}"), reason: "they are one selection"},
		"10 200 fragments":       {row: 10, document: "{ me {" + many(200, "...F%") + "} }" + many(200, "fragment F% on Me{isOperator}"), refused: unsound, message: "A document has at most 100 fragments."},
		"11 a deep list":         {row: 11, document: "{ node(id: " + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + ") { id } }", refused: unsound, message: "A document has at most 32768 bytes."},
		"11 900 lists":           {row: 11, document: "{ node(id: " + strings.Repeat("[", 900) + strings.Repeat("]", 900) + ") { id } }", refused: unsound, reason: "an ID is no list"},
		"11 a deep object":       {row: 11, document: "{ node(id: " + strings.Repeat("{a:", 10_000) + "1" + strings.Repeat("}", 10_000) + ") { id } }", refused: unsound, message: "A document has at most 32768 bytes."},
		"11 490 objects":         {row: 11, document: "{ node(id: " + strings.Repeat("{a:", 490) + "1" + strings.Repeat("}", 490) + ") { id } }", refused: unsound, reason: "an ID is no object"},
		"12 deep selections":     {row: 12, document: strings.Repeat("{a", 200_000), refused: unsound, message: "A document has at most 32768 bytes."},
		"12 990 selections":      {row: 12, document: strings.Repeat("{a", 990), refused: unread, reason: "it does not end"},
		"12 closed ones":         {row: 12, document: strings.Repeat("{a", 650) + strings.Repeat("}", 650), refused: unsound, message: "A document is at most 15 fields deep."},
		"12 in a list":           {row: 12, document: "{ a(b:" + strings.Repeat("[", 1500), refused: unsound, message: "A document is at most 15 fields deep."},
		"12 a deep type":         {row: 12, document: "query($a: " + strings.Repeat("[", 200_000) + "Int) { me { isOperator } }", refused: unsound, message: "A document has at most 32768 bytes."},
		"12 980 lists of a type": {row: 12, document: "query($a: " + strings.Repeat("[", 980) + "Int" + strings.Repeat("]", 980) + ") { node(id: $a) { id } }", refused: unsound, reason: "it fits no argument"},
		"14 a long string":       {row: 14, document: `{ node(id: "` + strings.Repeat("a", 1<<20-200) + `") { id } }`, refused: unsound, message: "A document has at most 32768 bytes."},
		"14 30 KB of string":     {row: 14, document: `{ node(id: "` + strings.Repeat("a", 30_000) + `") { id } }`, refused: "NOT_FOUND", reason: "no thing is called so"},
		"14 a block of escapes":  {row: 14, document: `{ node(id: """` + strings.Repeat(`\"""`+"\n ", 5000) + `""") { id } }`, refused: "NOT_FOUND", reason: "no thing is called so"},
		"14 in a variable":       {row: 14, document: `query($id: ID!) { node(id: $id) { id } }`, variables: `{"id":"` + strings.Repeat("a", 1<<20-200) + `"}`, refused: "NOT_FOUND", reason: "no thing is called so"},
		"15 a long integer":      {row: 15, document: "{ tenants(first: " + strings.Repeat("9", 100_000) + ") { totalCount } }", refused: unsound, message: "A document has at most 32768 bytes."},
		"15 30,000 digits":       {row: 15, document: "{ tenants(first: " + strings.Repeat("9", 30_000) + ") { totalCount } }", refused: "ANY", reason: "no page is so long"},
		"15 a huge exponent":     {row: 15, document: "{ tenants(first: 1e99999999) { totalCount } }", refused: unsound, reason: "a page size is whole"},
		"15 in variables":        {row: 15, document: "query($n: Int) { tenants(first: $n) { totalCount } }", variables: `{"n":` + strings.Repeat("9", 100_000) + `}`, refused: unsound, reason: "no page is so long"},
		"15 exponent variable":   {row: 15, document: "query($n: Int) { tenants(first: $n) { totalCount } }", variables: `{"n":1e99999999}`, refused: unsound, reason: "a page size is whole"},
		"16 commas":              {row: 16, document: strings.Repeat(" ,", 1<<19-100) + "{ __typename }", refused: unsound, message: "A document has at most 32768 bytes."},
		"16 30 KB of commas":     {row: 16, document: strings.Repeat(", ", 15_000) + "{ __typename }", reason: "they mean nothing"},
		"16 comments":            {row: 16, document: strings.Repeat("#\n", 200_000) + "{ __typename }", refused: unsound, message: "A document has at most 32768 bytes."},
		"16 15,000 comments":     {row: 16, document: strings.Repeat("#\n", 15_000) + "{ __typename }", refused: unsound, message: "A document has at most 2000 tokens."},
		"17 5,000 variables":     {row: 17, document: "query(" + many(5000, "$a%:Int") + ") { __typename }", refused: unsound, message: "A document has at most 32768 bytes."},
		"17 450 variables":       {row: 17, document: "query(" + many(450, "$a%:Int") + ") { __typename }", refused: unsound, message: "A document has at most 100 variables."},
		"17 operations":          {row: 17, document: many(5000, "{a}"), refused: unsound, message: "A document has at most 2000 tokens."},
		"17 500 operations":      {row: 17, document: many(400, "query A%{a}"), refused: unsound, message: "A document has at most 10 operations."},
		"18 unknown fields":      {row: 18, document: "{" + many(1990, " u%") + "}", refused: unsound, message: "More than 50 fields of the document are unknown."},
		"18 50 unknown fields":   {row: 18, document: "{" + many(50, " u%") + "}", refused: unsound, reason: "20 errors say enough"},
		"19 deep introspection":  {row: 19, document: "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }", refused: unsound, message: "Maximum introspection depth exceeded"},
		"23 skip by text":        {row: 23, document: `query($a: String!) { __typename @skip(if: $a) }`, variables: `{"a":"true"}`, refused: unsound, reason: "it is no Boolean"},
		"23 a text for Boolean":  {row: 23, document: `query($a: Boolean!) { __typename @skip(if: $a) }`, variables: `{"a":"true"}`, refused: unsound, reason: "it is no Boolean"},
		"23 an object":           {row: 23, document: `query($a: Boolean!) { __typename @include(if: $a) }`, variables: `{"a":{}}`, refused: unsound, reason: "it is no Boolean"},
		"23 nothing":             {row: 23, document: `query($a: Boolean!) { __typename @include(if: $a) }`, refused: unsound, reason: "it has to be given"},
		"23 maybe":               {row: 23, document: `query($a: Boolean) { __typename @include(if: $a) }`, variables: `{"a":null}`, refused: unsound, reason: "null is no Boolean"},
		"23 null for a default":  {row: 23, document: `query($a: Boolean = true) { __typename @include(if: $a) }`, variables: `{"a":null}`, refused: unsound, reason: "the default does not count then"},
		"23 null further down":   {row: 23, document: `query($a: Boolean = true) { tenants { nodes { id @include(if: $a) } } }`, variables: `{"a":null}`, refused: unsound, reason: "the default does not count then"},
		"23 null for another":    {row: 23, document: `query($a: ID = "x") { node(id: $a) { id } }`, variables: `{"a":null}`, refused: "ANY", reason: "the argument has to be given"},
		"23 without if":          {row: 23, document: `{ __typename @skip }`, refused: unsound, reason: "it has to be given"},
	} {
		t.Run(name, func(t *testing.T) {
			a.row = len(name) // the name begins with it
			fmt.Sscan(name, &a.row)
			play(t, w, a)
		})
	}
}

// BenchmarkRefusals measures what a refusal takes of the server, sent anew each
// time, and what the dearest answers take.
func BenchmarkRefusals(b *testing.B) {
	w := newWorld(b)
	for name, body := range map[string]string{
		"deep":           requestOf(strings.Repeat("{a", 650)+strings.Repeat("}", 650), ""),
		"2,000 tokens":   requestOf("{ me {"+strings.Repeat(" id", 10_000)+"} }", ""),
		"copies":         requestOf("{ me {"+strings.Repeat(" isOperator", 1900)+"} }", ""),
		"50 unknown":     requestOf("{"+many(50, " u%")+"}", ""),
		"conflicts":      requestOf("{"+many(60, ` a: node(id:"%"){id}`)+"}", ""),
		"doubling":       requestOf(doubled(40, "{ ...F0 }", "Query", "NEXT NEXT", "__typename"), ""),
		"doubling types": requestOf(doubled(12, "{ __schema { types { ...F0 } } }", "__Type", "ofType { NEXT } possibleTypes { NEXT }", "name"), ""),
		"100 directives": requestOf("{ __typename "+strings.Repeat("@a", 100)+"}", ""),
		"1 MiB of text":  requestOf(`{ node(id: "`+strings.Repeat("a", 1<<20-200)+`") { id } }`, ""),
		"1 MiB of [":     strings.Repeat("[", 1<<20),
		"600 valid fields, without a caller": requestOf("{ node(id: \"x\") { ... on Tenant {"+
			strings.Repeat("id slug name status plan seats industry brandColor createdAt membersCount ", 60)+"} } }", ""),
	} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/graphql", strings.NewReader(strings.Replace(body, `","variables"`, fmt.Sprintf(` #%d","variables"`, i), 1)))
				r.Header.Set("Content-Type", "application/json")
				w.Handler.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
