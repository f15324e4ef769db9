package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/dezky/platform/graph"
)

// wholeSchema is what GraphiQL and code generators ask.
const wholeSchema = `query IntrospectionQuery { __schema { description queryType { name kind } mutationType { name kind } subscriptionType { name kind }
  types { ...FullType } directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
fragment FullType on __Type { kind name description specifiedByURL
  fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
  inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
  ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }`

// TestIntrospectionIsForOperators is row 20.
func TestIntrospectionIsForOperators(t *testing.T) {
	documents := map[string]string{
		"whole":       wholeSchema,
		"a type":      `{ __type(name: "Tenant") { name } }`,
		"renamed":     `{ s: __schema { types { name } } }`,
		"in a spread": `{ ... on Query { ...F } } fragment F on Query { __schema { types { name } } }`,
		"skipped":     `query($no: Boolean = true) { __typename __schema @skip(if: $no) { types { name } } }`,
		"beside":      `{ whoami { sub } __type(name: "User") { fields { name } } }`,
	}
	production := newWorld(t)
	development := newWorld(t, func(o *graph.Options, _ *graph.Limits) { o.Introspection = true })
	for name, document := range documents {
		t.Run(name, func(t *testing.T) {
			for _, who := range []string{"nobody", "member", "admin", "owner"} {
				got := play(t, production, attack{row: 20, who: who, document: document, refused: forbidden, message: "The schema is for operators to read."})
				if len(got.Data) > 0 {
					t.Errorf("%s reads %.100s", who, got.Data)
				}
			}
			play(t, production, attack{row: 20, document: document, reason: "operators may"})
			if !strings.Contains(document, "whoami") {
				play(t, development, attack{row: 20, who: "nobody", document: document, reason: "everyone may in development"})
			}
		})
	}
	play(t, production, attack{row: 20, who: "nobody", document: `{ __typename }`, reason: "the name of a type is in every answer of a client"})
	res := production.Post(t, "member", requestOf(wholeSchema, ""), "Accept", "application/graphql-response+json")
	if res.Status != http.StatusBadRequest || strings.Contains(res.Body, "data") {
		t.Errorf("in the new media type: %d %s", res.Status, res.Body)
	}
}

// TestTyposAreNotMended is row 21: who may not read the schema learns no names
// from mistakes.
func TestTyposAreNotMended(t *testing.T) {
	w := newWorld(t)
	for name, a := range map[string]attack{
		"field":          {document: `{ tenant(id: "ten_acme") { nam } }`},
		"leaf":           {document: `{ tenant(id: "ten_acme") }`},
		"selection":      {document: `{ tenant(id: "ten_acme") { name { first } } }`},
		"root":           {document: `{ tenan { id } }`},
		"argument":       {document: `{ tenant(idd: "x") { id } }`},
		"type":           {document: `{ node(id: "x") { ... on Tenan { id } } }`},
		"fragment type":  {document: `{ node(id: "x") { ...F } } fragment F on Tenan { id }`},
		"fragment":       {document: `{ me { ...Membe } } fragment Member on Me { isOperator }`},
		"variable type":  {document: `query($i: CreateTenantInpu) { __typename }`},
		"variable":       {document: `query($id: ID!) { node(id: $i) { id } }`, variables: `{"id":"x"}`},
		"enum":           {document: `{ tenants(orderBy: NAM) { totalCount } }`},
		"enum as text":   {document: `{ tenants(orderBy: "NAME") { totalCount } }`},
		"enum variable":  {document: `query($o: TenantOrder) { tenants(orderBy: $o) { totalCount } }`, variables: `{"o":"NAM"}`},
		"directive":      {document: `{ __typename @ski(if: true) }`},
		"directive's":    {document: `{ __typename @skip(iff: true) }`},
		"input field":    {document: `{ tenants(filter: {statu: ACTIVE}) { totalCount } }`},
		"input variable": {document: `query($f: TenantFilter) { tenants(filter: $f) { totalCount } }`, variables: `{"f":{"statu":"ACTIVE"}}`},
		"missing input":  {document: `mutation { createTenant(input: {nam: "x"}) { tenant { id } } }`},
	} {
		t.Run(name, func(t *testing.T) {
			a.row, a.refused, a.who = 21, unsound, "nobody"
			for _, e := range play(t, w, a).Errors {
				if strings.Contains(e.Message, "mean") {
					t.Errorf("it says %q", e.Message)
				}
			}
		})
	}
}

// TestErrorsTellNothing is row 22, with what rows 13, 25 and 26 send: nothing of
// ours is in an answer, and nothing of the request but what was its fault.
func TestErrorsTellNothing(t *testing.T) {
	w := newWorld(t)
	const node = `query($id: ID!) { node(id: $id) { id } }`
	const search = `query($s: String) { tenants(search: $s) { totalCount } }`
	for name, a := range map[string]attack{
		"22 an injection":      {document: node, variables: `{"id":"ten_x' OR 1=1; DROP TABLE tenants; --"}`, refused: "NOT_FOUND"},
		"22 an operator":       {document: node, variables: `{"id":{"$ne":null}}`, refused: unsound},
		"22 a list":            {document: node, variables: `{"id":["a"]}`, refused: unsound},
		"22 a number":          {document: node, variables: `{"id":1e300}`, refused: "NOT_FOUND"},
		"22 a path":            {document: node, variables: `{"id":"ten_../../etc/passwd"}`, refused: "NOT_FOUND"},
		"22 a broken cursor":   {document: `{ tenants(after: "!!!") { totalCount } }`, refused: invalid},
		"22 a JSON cursor":     {document: `{ tenants(after: "eyJsIjoiJyIsInYiOnsiJG5lIjoxfSwiaSI6IngifQ") { totalCount } }`, refused: invalid},
		"22 a pattern":         {document: search, variables: `{"s":"%_*?[a-z](a+)+$\\"}`},
		"22 quotes":            {document: search, variables: `{"s":"\" ' -- ;"}`},
		"22 a control":         {document: search, variables: `{"s":"\u0000"}`, refused: invalid},
		"22 a wrong input":     {document: `mutation($i: CreateTenantInput!) { createTenant(input: $i) { tenant { id } } }`, variables: `{"i":[1,2]}`, refused: unsound},
		"22 a newline":         {document: `query($o: TenantOrder) { tenants(orderBy: $o) { totalCount } }`, variables: `{"o":"a\nb"}`, refused: unsound, message: "a b is not a valid TenantOrder"},
		"22 a wrong time":      {document: `subscription { provisioningFeed(after: "x") { sequence } }`, refused: invalid},
		"25 NUL":               {document: "{ me\x00 { id } }", refused: unread},
		"25 NUL in a string":   {document: "{ node(id: \"\x00\") { id } }", refused: unread},
		"25 NUL in a variable": {document: node, variables: `{"id":"ten_\u0000"}`, refused: "NOT_FOUND"},
		"25 a mark":            {document: "\ufeff{ __typename }", reason: "the language ignores it"},
		"25 a lone surrogate":  {document: node, variables: `{"id":"ten_\ud800"}`, refused: "NOT_FOUND"},
		"25 in the document":   {body: `{"query":"{ node(id: \"\ud800\") { id } }"}`, refused: "NOT_FOUND"},
		"25 escaped in it":     {document: `{ node(id: "\ud800") { id } }`, refused: "ANY"},
		"25 bidi":              {document: "{ node(id: \"ten_\u202emca\u202c\") { id } }", refused: "NOT_FOUND"},
		"25 bidi as a name":    {document: "{ \u202eme { id } }", refused: unread},
		"26 a subscription":    {document: `subscription { provisioningStatus(tenantId: "ten_acme") { sequence } }`, refused: invalid},
		"26 of a feed":         {document: `subscription { provisioningFeed { sequence } }`, refused: invalid},
		"13 brackets":          {document: strings.Repeat("[", 900_000), refused: unsound, message: "A document has at most 32768 bytes."},
		"13 30 KB of brackets": {document: strings.Repeat("[", 30_000), refused: unread},
		"13 as a value":        {document: "{ a(b: " + strings.Repeat("[", 30_000), refused: unsound},
	} {
		t.Run(name, func(t *testing.T) {
			fmt.Sscan(name, &a.row)
			for _, e := range play(t, w, a).Errors {
				if len(e.Message) > 310 || strings.Contains(e.Message, somethings) {
					t.Errorf("it says %q", e.Message)
				}
			}
		})
	}
}

// TestPageSizes is row 27, over every list that the schema has.
func TestPageSizes(t *testing.T) {
	w := newWorld(t)
	reach := map[string]string{"Query": `%s`, "Tenant": `tenant(id: "ten_acme") { %s }`}
	lists := 0
	for _, parent := range schema().Types {
		for _, f := range parent.Fields {
			if f.Arguments.ForName("first") == nil {
				if f.Arguments.ForName("last") != nil || f.Arguments.ForName("limit") != nil {
					t.Errorf("%s.%s has pages of a kind that nobody prices", parent.Name, f.Name)
				}
				continue
			}
			way := reach[parent.Name]
			if way == "" {
				t.Errorf("say how to reach %s.%s", parent.Name, f.Name)
				continue
			}
			lists++
			checkPageSizes(t, w, parent, f, way)
		}
	}
	if lists < 4 {
		t.Errorf("only %d lists", lists)
	}
}

func checkPageSizes(t *testing.T, w *world, parent *ast.Definition, f *ast.FieldDefinition, way string) {
	about := ""
	if f.Arguments.ForName("tenantId") != nil {
		about = `tenantId: "ten_acme", `
	}
	t.Run(parent.Name+"."+f.Name, func(t *testing.T) {
		for size, refused := range map[string]string{
			"1": "", "100": "", "null": "", "101": invalid, "0": invalid, "-1": invalid, "2147483647": invalid,
			"-2147483648": invalid, "2147483648": "ANY", "99999999999": "ANY", "20.5": unsound, "true": unsound, `"x"`: unsound, "[1]": "ANY",
		} {
			literal := fmt.Sprintf("{ "+way+" }", f.Name+"("+about+"first: "+size+") { nodes { __typename } }")
			variable := fmt.Sprintf("query($n: Int) { "+way+" }", f.Name+"("+about+"first: $n) { nodes { __typename } }")
			for _, a := range []attack{{document: literal}, {document: variable, variables: `{"n":` + size + `}`}} {
				a.row, a.refused, a.reason = 27, refused, "a page of "+size
				got := play(t, w, a)
				if refused == "ANY" && (len(got.Errors) == 0 || got.Errors[0].Extensions["code"] == "INTERNAL") {
					t.Errorf("%s: %v, %s", size, got.Errors, got.Data)
				}
			}
		}
	})
}

// TestDocumentsTakeNoMemory is row 24, and the memory of rows 2, 8 and 37.
func TestDocumentsTakeNoMemory(t *testing.T) {
	w := newWorld(t)
	send := func(n int, body func(i int) string) (kept, peak int64) {
		before, reserved := heapAndSystem()
		var all sync.WaitGroup
		for part := range 4 {
			all.Go(func() {
				for i := part; i < n; i += 4 {
					harmless(t, w.Post(t, "", body(i)))
				}
			})
		}
		all.Wait()
		after, top := heapAndSystem()
		return (after - before) >> 20, (top - reserved) >> 20
	}
	keys := many(60_000, `,"a%":1`)
	for name, body := range map[string]func(i int) string{
		"60 KB": func(i int) string {
			return requestOf(fmt.Sprintf("{ a%d: __typename %s }", i, strings.Repeat("# \n", 20_000)), "")
		},
		"30 KB, answered": func(i int) string {
			return requestOf(fmt.Sprintf("{ a%d: __typename } #%s", i, strings.Repeat("x", 30_000)), "")
		},
		"600 fields": func(i int) string {
			return requestOf(fmt.Sprintf("query A%d { __typename node(id: \"x\") { ... on Tenant { %s } } }", i, strings.Repeat("id slug name status plan seats industry brandColor createdAt membersCount ", 60)), "")
		},
		"deep variables": func(i int) string {
			return `{"query":"{ __typename }","variables":{"a":` + strings.Repeat("[", 200_000+i) + `}}`
		},
		"60,000 variables": func(i int) string {
			return `{"query":"{ __typename }","variables":{"b":` + fmt.Sprint(i) + keys + `}}`
		},
		"1 MiB of a variable": func(i int) string {
			return `{"query":"{ __typename }","variables":{"a":"` + strings.Repeat("a", 1<<20-100) + `"}}`
		},
	} {
		n := 300
		if strings.Contains(name, "variable") || name == "600 fields" {
			n = 8 // they take long
		}
		kept, peak := send(n, body)
		t.Logf("%d of %s: %d MiB more are kept, and the process has %d MiB more", n, name, kept, peak)
		if kept > 64 || peak > 128 {
			t.Errorf("%d of %s: %d and %d MiB", n, name, kept, peak)
		}
	}
}

// heapAndSystem is what is in use, and what the process has.
func heapAndSystem() (inUse, reserved int64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.Sys)
}

// TestTheAnswerSaysWhatItCost has the cost beside every answer, and beside a
// refusal once it is known.
func TestTheAnswerSaysWhatItCost(t *testing.T) {
	w := newWorld(t)
	for document, want := range map[string]string{
		`{ me { isOperator } }`: `{"cost":6,"limit":20000,"left":19994}`,
		`{ tenants(first: 100) { nodes { members(first: 100) { nodes { id role } } } } }`: `{"cost":30610,"limit":20000,"left":0}`,
		`{ nothing }`: `{"cost":1,"limit":20000,"left":19999}`,
	} {
		var got struct {
			Extensions struct {
				Cost json.RawMessage `json:"cost"`
			} `json:"extensions"`
		}
		if err := json.Unmarshal([]byte(w.Post(t, "member", requestOf(document, "")).Body), &got); err != nil || string(got.Extensions.Cost) != want {
			t.Errorf("%s: got %s, %v; want %s", document, got.Extensions.Cost, err, want)
		}
	}
}
