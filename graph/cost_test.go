package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"

	"github.com/dezky/platform/graph/generated"
)

func testCosts() *costs {
	return newCosts(generated.NewExecutableSchema(generated.Config{}).Schema(), nil, true)
}

// costOf is what a request costs, or why it is refused.
func costOf(c *costs, document, operation string, variables map[string]any) (int, string) {
	of := &graphql.OperationContext{}
	err := c.MutateOperationParameters(graphql.WithOperationContext(context.Background(), of), &graphql.RawParams{
		Query: document, OperationName: operation, Variables: variables,
	})
	if err != nil {
		return 0, err.Message
	}
	return c.spent(of).Cost, ""
}

func TestCost(t *testing.T) {
	number := func(text string) map[string]any { return map[string]any{"n": json.Number(text)} }
	const paged = `query($n: Int) { tenants(first: $n) { nodes { id } } }` // 10 + n * (nodes + id)
	for name, test := range map[string]struct {
		reason    string
		document  string
		operation string
		variables map[string]any
		want      int
		refused   string
	}{
		"a field":          {reason: "it is one field and the read", document: `{ me { isOperator } }`, want: 6},
		"typename":         {reason: "it is written down like others", document: `{ __typename }`, want: 1},
		"a literal page":   {reason: "the selection is there for each entry", document: `{ tenants(first: 50) { nodes { id name } } }`, want: 10 + 50*3},
		"no page":          {reason: "the schema says 20", document: `{ tenants { nodes { id } } }`, want: 10 + 20*2},
		"a null page":      {reason: "it is as if nobody said", document: `{ tenants(first: null) { nodes { id } } }`, want: 10 + 20*2},
		"a page too large": {reason: "it is refused later, and never costs less than the largest", document: `{ tenants(first: 2147483647) { nodes { id } } }`, want: 10 + 100*2},
		"a page below 1":   {reason: "the same", document: `{ tenants(first: -5) { nodes { id } } }`, want: 10 + 100*2},
		"a page as text":   {reason: "the same", document: `{ tenants(first: "3") { nodes { id } } }`, want: 10 + 100*2},
		"a page past int":  {reason: "the same", document: `{ tenants(first: 99999999999999999999) { nodes { id } } }`, want: 10 + 100*2},

		"a variable":               {reason: "its value counts", document: paged, variables: number("50"), want: 10 + 50*2},
		"a variable that is 100":   {reason: "its value counts", document: paged, variables: number("100"), want: 10 + 100*2},
		"a variable nobody gives":  {reason: "the schema says 20", document: paged, want: 10 + 20*2},
		"a null variable":          {reason: "it is as if nobody said", document: paged, variables: map[string]any{"n": nil}, want: 10 + 20*2},
		"a variable too large":     {reason: "it costs as the largest", document: paged, variables: number("1000"), want: 10 + 100*2},
		"a variable below 1":       {reason: "it costs as the largest", document: paged, variables: number("-1"), want: 10 + 100*2},
		"a variable that is 1e1":   {reason: "it costs as the largest", document: paged, variables: number("1e1"), want: 10 + 100*2},
		"a variable past int":      {reason: "it costs as the largest", document: paged, variables: number("99999999999999999999"), want: 10 + 100*2},
		"a variable as text":       {reason: "gqlgen would take it as a number", document: paged, variables: map[string]any{"n": "3"}, want: 10 + 100*2},
		"a variable as float":      {reason: "a socket's payload may be read so", document: paged, variables: map[string]any{"n": 3.0}, want: 10 + 3*2},
		"a variable as half":       {reason: "it is no size", document: paged, variables: map[string]any{"n": 3.5}, want: 10 + 100*2},
		"a variable's default":     {reason: "it is the size that is used", document: `query($n: Int = 7) { tenants(first: $n) { nodes { id } } }`, want: 10 + 7*2},
		"a default nobody gave":    {reason: "a value wins over the default", document: `query($n: Int = 7) { tenants(first: $n) { nodes { id } } }`, variables: number("9"), want: 10 + 9*2},
		"another's default":        {reason: "each operation has its own variables", document: `query A($n: Int = 7) { ...F } query B($n: Int = 9) { ...F } fragment F on Query { tenants(first: $n) { nodes { id } } }`, operation: "B", want: 10 + 9*2},
		"two variables, nested":    {reason: "pages multiply", document: `query($n: Int, $m: Int) { tenants(first: $n) { nodes { members(first: $m) { nodes { id } } } } }`, variables: map[string]any{"n": json.Number("10"), "m": json.Number("5")}, want: 10 + 10*(1+5+5*2)},
		"the chosen operation":     {reason: "the other is not run", document: `query A { me { isOperator } } query B { tenants { nodes { id } } }`, operation: "A", want: 6},
		"a fragment":               {reason: "it counts where it is spread", document: `{ tenants(first: 2) { ...F } } fragment F on TenantConnection { nodes { id } }`, want: 10 + 2*2},
		"a fragment, twice":        {reason: "it counts each time", document: `{ a: tenants(first: 2) { ...F } b: tenants(first: 3) { ...F } } fragment F on TenantConnection { nodes { id } }`, want: 20 + 5*2},
		"an inline fragment":       {reason: "it is part of the selection", document: `{ node(id: "x") { ... on Tenant { name } ... { id } } }`, want: 5 + 2},
		"a list without a page":    {reason: "its usual length counts", document: `{ me { memberships { id } } }`, want: 5 + 1 + 20},
		"a mutation":               {reason: "it writes", document: `mutation { updateTenant(input: {tenantId: "x"}) { tenant { id } } }`, want: 52},
		"counts":                   {reason: "each is a read", document: `{ tenants(first: 1) { totalCount } }`, want: 10 + 5},
		"the schema":               {reason: "it is flat", document: `{ __schema { types { fields { name } } } }`, want: 2000},
		"a type":                   {reason: "it is flat", document: `{ __type(name: "Tenant") { name } }`, want: 500},
		"skipped":                  {reason: "a variable could include it", document: `{ me @skip(if: true) { isOperator } }`, want: 6},
		"an unknown field":         {reason: "validation refuses it later", document: `{ nothing { at { all } } }`, want: 1 + 1 + 1},
		"an unknown fragment":      {reason: "validation refuses it later", document: `{ me { ...Nothing } }`, want: 5},
		"an unknown type":          {reason: "validation refuses it later", document: `{ node(id: "x") { ... on Nothing { id } } }`, want: 5 + 1},
		"too many of too much":     {reason: "100 of 100 is 10,000 objects", document: `{ tenants(first: 100) { nodes { members(first: 100) { nodes { id role } } } } }`, refused: "The operation costs 30610, and at most 20000 are allowed: ask for less, or for smaller pages."},
		"too much by variables":    {reason: "the same", document: `query($n: Int) { tenants(first: $n) { nodes { members(first: $n) { nodes { id role } } } } }`, variables: number("100"), refused: "The operation costs 30610, and at most 20000 are allowed: ask for less, or for smaller pages."},
		"eleven schemas":           {reason: "each is priced", document: `{ ` + repeat(11, func(i int) string { return fmt.Sprintf("a%d: __schema { description } ", i) }) + `}`, refused: "The operation costs 22000, and at most 20000 are allowed: ask for less, or for smaller pages."},
		"no operation":             {reason: "there is nothing to run", document: `fragment F on Query { me { isOperator } }`, refused: "The document has no operation."},
		"nothing":                  {reason: "there is nothing to run", document: `# nothing`, refused: "The document has no operation."},
		"a name that is not there": {reason: "nothing can be chosen, and the name is not repeated", document: `query A { __typename }`, operation: "B", refused: "The document has no operation of this name, or several and the request names none."},
		"no name of two":           {reason: "nothing can be chosen", document: `query A { __typename } query B { __typename }`, refused: "The document has no operation of this name, or several and the request names none."},
		"a circle":                 {reason: "it has no end", document: `{ me { ...A } } fragment A on Me { ...B } fragment B on Me { ...A }`, refused: "A fragment cannot contain itself."},
		"a circle of one":          {reason: "it has no end", document: `{ me { ...A } } fragment A on Me { user { id } ...A }`, refused: "A fragment cannot contain itself."},
		"a circle unused":          {reason: "validation would walk it", document: `{ __typename } fragment A on Me { ...A }`, refused: "A fragment cannot contain itself."},
		"aliases in the schema":    {reason: "the flat price holds while nothing is there twice", document: `{ __schema { a: types { name } } }`, refused: "The schema is read without aliases."},
		"aliases in a fragment":    {reason: "the same", document: `{ __schema { types { ...T } } } fragment T on __Type { a: name }`, refused: "The schema is read without aliases."},
	} {
		t.Run(name, func(t *testing.T) {
			c := testCosts()
			for _, again := range []string{"", " from memory"} {
				got, refused := costOf(c, test.document, test.operation, test.variables)
				if got != test.want || refused != test.refused {
					t.Errorf("%s: got %d, %q%s; want %d, %q", test.reason, got, refused, again, test.want, test.refused)
				}
			}
		})
	}
}

func repeat(n int, part func(int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(part(i))
	}
	return b.String()
}

// Each bound admits the last that is allowed, and nothing beyond.
func TestBoundsOfADocument(t *testing.T) {
	numbered := func(format string) func(int) string {
		return func(n int) string {
			return repeat(n, func(i int) string { return strings.ReplaceAll(format, "%", fmt.Sprint(i)) })
		}
	}
	for name, test := range map[string]struct {
		most     int
		document func(n int) string
		refused  string
	}{
		"bytes":      {longestDocument, func(n int) string { return "{__typename}" + strings.Repeat(" ", n-12) }, "A document has at most 32768 bytes."},
		"tokens":     {mostTokens, func(n int) string { return "{me(b:[" + strings.Repeat("1 ", n-9) + "])}" }, "A document has at most 2000 tokens."},
		"operations": {mostOperations, func(n int) string { return "query A{__typename}" + numbered("query A%{__typename}")(n-1) }, "A document has at most 10 operations."},
		"fragments":  {mostFragments, func(n int) string { return "query A{__typename}" + numbered("fragment F% on Me{isOperator}")(n) }, "A document has at most 100 fragments."},
		"variables":  {mostVariables, func(n int) string { return "query A(" + numbered("$a%:Int ")(n) + "){__typename}" }, "A document has at most 100 variables."},
		"directives": {mostDirectives, func(n int) string { return "query A" + strings.Repeat("@x ", n) + "{__typename}" }, "A document has at most 100 directives."},
		"everywhere": {mostDirectives, func(n int) string {
			return "query A($a: Int @x) @x { f @x ...F @x ... @x { g @x } } fragment F on Me @x { h @x }" + " fragment G on Me { i" + strings.Repeat(" @x", n-8) + "}"
		}, "A document has at most 100 directives."},
		"aliases": {mostAliases, func(n int) string { return "query A{" + numbered("a%:__typename ")(n) + "}" }, "A document has at most 100 aliases."},
		"copies": {199, func(n int) string {
			return "query A{me{" + strings.Repeat("isOperator ", n-100) + "...F}} fragment F on Me{" + strings.Repeat("isOperator ", 100) + "}"
		}, "A document repeats the same fields too often."},
		"copies that conflict": {66, func(n int) string { return "query A{" + strings.Repeat("me(a:1) ", n) + "}" }, "A document repeats the same fields too often."},
		"unknown":              {mostUnknown, func(n int) string { return "query A{" + strings.Repeat("a ", n) + "me{isOperator}}" }, "More than 50 fields of the document are unknown."},
		"depth":                {mostDepth, func(n int) string { return "query A" + strings.Repeat("{a", n) + strings.Repeat("}", n) }, "A document is at most 15 fields deep."},
		"depth by fragments": {mostDepth, func(n int) string {
			return "query A{...F0}" + repeat(n-1, func(i int) string { return fmt.Sprintf("fragment F%d on Q{a{...F%d}}", i, i+1) }) +
				fmt.Sprintf("fragment F%d on Q{a}", n-1)
		}, "A document is at most 15 fields deep."},
	} {
		t.Run(name, func(t *testing.T) {
			c := testCosts()
			if _, refused := costOf(c, test.document(test.most), "A", nil); name != "tokens" && name != "bytes" && refused != "" {
				t.Errorf("%d are refused: %s", test.most, refused)
			} else if _, refused := costOf(c, test.document(test.most), "", nil); (name == "tokens" || name == "bytes") && refused != "" {
				t.Errorf("%d are refused: %s", test.most, refused)
			}
			for _, n := range []int{test.most + 1, 2 * test.most} {
				if _, refused := costOf(c, test.document(n), "A", nil); refused != test.refused {
					t.Errorf("%d: got %q, want %q", n, refused, test.refused)
				}
			}
		})
	}
	c := testCosts()
	name := strings.Repeat("n", longestName)
	if _, refused := costOf(c, "query "+name+"{__typename}", name, nil); refused != "" {
		t.Errorf("a name of %d bytes: %s", longestName, refused)
	}
	if _, refused := costOf(c, "query "+name+"n{__typename}", name+"n", nil); refused != "The name of an operation has at most 256 bytes." {
		t.Errorf("a longer name: %q", refused)
	}
}

// What cannot be read says where, and repeats nothing that may be a secret.
func TestUnreadableDocuments(t *testing.T) {
	for document, want := range map[string]string{
		`{ me { `:                     "The document cannot be read: Expected Name, found <EOF>.",
		`{ a(b: "s3cret") "s3cret" }`: "The document cannot be read: Expected Name, found String.",
		`"s3cret" s3cret {a}`:         "The document cannot be read: Unexpected Name.",
		`{ a } "s3cret"`:              "The document cannot be read: Unexpected <EOF>.",
		`{ a(b: "\q s3cret") }`:       "The document cannot be read.",
		"{ a(b: \"s3cret\n\") }":      "The document cannot be read.",
		"{ \x00 }":                    "The document cannot be read.",
		"{ a(b: 0123) }":              "The document cannot be read.",
		"\ufeff\ufeff{ a ? }":         "The document cannot be read.",
	} {
		_, err := testCosts().read(document, "")
		if err == nil {
			t.Errorf("%q was read", document)
			continue
		}
		if err.Message != want || err.Extensions["code"] != errcode.ParseFailed || strings.Contains(err.Message, "s3cret") {
			t.Errorf("%q: got %q (%v), want %q", document, err.Message, err.Extensions["code"], want)
		}
	}
}

// The query of GraphiQL and of every code generator is just admitted.
func TestTheUsualIntrospectionIsAdmitted(t *testing.T) {
	c := testCosts()
	p, err := c.read(usualIntrospection, "IntrospectionQuery")
	if err != nil {
		t.Fatal(err)
	}
	if !p.introspects || p.cost(nil) != 2000 {
		t.Errorf("it introspects: %v, and costs %d", p.introspects, p.cost(nil))
	}
	if p, err := c.read("{ __typename me { __typename } }", ""); err != nil || p.introspects {
		t.Errorf("names of types are no introspection: %v", err)
	}
}

const usualIntrospection = `query IntrospectionQuery { __schema { description queryType { name kind } mutationType { name kind } subscriptionType { name kind }
  types { ...FullType } directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
fragment FullType on __Type { kind name description specifiedByURL
  fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
  inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
  ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }`

// doubling is a document whose fragments each spread the next one twice.
func doubling(n int, document, on, first, second, last string) string {
	return document + repeat(n, func(i int) string {
		next := fmt.Sprintf("...F%d", i+1)
		return fmt.Sprintf("fragment F%d on %s { %s %s }\n", i, on, strings.ReplaceAll(first, "NEXT", next), strings.ReplaceAll(second, "NEXT", next))
	}) + fmt.Sprintf("fragment F%d on %s { %s }", n, on, last)
}

// What unfolds to 2^90 fields is walked once, and its sum stays where it is.
func TestDoublingFragmentsAreWalkedOnce(t *testing.T) {
	for name, document := range map[string]string{
		"plain":     doubling(90, "{ me { ...F0 } } ", "Me", "NEXT", "NEXT", "isOperator"),
		"variables": doubling(90, "query($n: Int) { tenants { nodes { ...F0 } } } ", "Tenant", "NEXT", "NEXT", "members(first: $n) { nodes { id } }"),
	} {
		if _, refused := costOf(testCosts(), document, "", nil); !strings.HasPrefix(refused, "The operation costs 2147483647,") {
			t.Errorf("%s: %q", name, refused)
		}
	}
}

// A document from memory costs what it would cost anew, for every value, whoever
// asked before and at the same time.
func TestAPlanFitsEveryVariable(t *testing.T) {
	const document = `query($a: Int, $b: Int = 3) { tenants(first: $a) { nodes { members(first: $b) { nodes { id } } } } }`
	c := testCosts()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 300 {
				a, b := rand.IntN(100)+1, rand.IntN(20)+1
				got, refused := costOf(c, document, "", map[string]any{"a": json.Number(fmt.Sprint(a)), "b": json.Number(fmt.Sprint(b))})
				want := 10 + a*(1+5+b*2)
				if want > mostCost && refused == "" || want <= mostCost && got != want {
					t.Errorf("%d of %d: got %d, %q; want %d", a, b, got, refused, want)
				}
			}
		})
	}
	all.Wait()
}

// naive prices a selection by unfolding it, as the executor does.
func naive(c *costs, doc *ast.QueryDocument, on *ast.Definition, set ast.SelectionSet, pages map[string]int) int {
	n := 0
	for _, s := range set {
		switch s := s.(type) {
		case *ast.InlineFragment:
			n += naive(c, doc, c.schema.Types[s.TypeCondition], s.SelectionSet, pages)
		case *ast.FragmentSpread:
			f := doc.Fragments.ForName(s.Name)
			n += naive(c, doc, c.schema.Types[f.TypeCondition], f.SelectionSet, pages)
		case *ast.Field:
			if s.Name == "__typename" {
				n++
				continue
			}
			definition := on.Fields.ForName(s.Name)
			p := c.prices[definition]
			times := p.length
			if p.page > 0 {
				times = p.page
				if first := s.Arguments.ForName("first"); first != nil && first.Value.Kind == ast.Variable {
					times = pages[first.Value.Raw]
				} else if first != nil {
					times = literalSize(first.Value)
				}
			}
			n += p.own + times*naive(c, doc, c.schema.Types[definition.Type.Name()], s.SelectionSet, pages)
		}
	}
	return n
}

// TestCostIsWhatUnfoldingCosts has random documents, valid by the schema, with
// fragments in fragments and pages of every kind.
func TestCostIsWhatUnfoldingCosts(t *testing.T) {
	c := testCosts()
	pages := map[string]int{"a": 2, "b": 3, "c": 20}
	variables := map[string]any{"a": json.Number("2"), "b": json.Number("3")}
	compared := 0
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 1))
		text := randomDocument(c.schema, random)
		doc, err := parser.ParseQuery(&ast.Source{Input: text})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if invalid := validator.ValidateWithRules(c.schema, doc, nil); len(invalid) > 0 {
			for _, e := range invalid {
				if !strings.Contains(e.Message, "conflict") && !strings.Contains(e.Message, "never used") {
					t.Fatalf("%v\n%s", invalid, text)
				}
			}
		}
		want := naive(c, doc, c.schema.Query, doc.Operations[0].SelectionSet, pages)
		p, refused := c.read(text, "")
		if refused != nil {
			continue // the bounds have tests of their own
		}
		compared++
		if got := p.cost(variables); got != want {
			t.Fatalf("got %d, want %d\n%s", got, want, text)
		}
	}
	if compared < 100 {
		t.Errorf("only %d documents were compared", compared)
	}
}

// randomDocument uses $a, $b and $c, of which the last has no value, and
// fragments that spread only later ones.
func randomDocument(schema *ast.Schema, random *rand.Rand) string {
	types := []string{"Tenant", "Member", "TenantConnection", "Me", "User"}
	fragments := 1 + random.IntN(8)
	on := func(i int) string { return types[i%len(types)] }
	var selection func(parent string, from, depth int) string
	selection = func(parent string, from, depth int) string {
		var b strings.Builder
		definition := schema.Types[parent]
		for range 1 + random.IntN(3) {
			f := definition.Fields[random.IntN(len(definition.Fields))]
			inner := schema.Types[f.Type.Name()]
			if strings.HasPrefix(f.Name, "__") || f.Arguments.ForName("id") != nil || inner.IsCompositeType() && depth == 0 {
				b.WriteString("__typename ")
				continue
			}
			b.WriteString(f.Name)
			var given []string
			if f.Arguments.ForName("tenantId") != nil {
				given = append(given, `tenantId: "ten_acme"`)
			}
			if size := random.IntN(5); f.Arguments.ForName("first") != nil && size > 0 {
				given = append(given, []string{"", "first: 4", "first: $a", "first: $b", "first: $c"}[size])
			}
			if len(given) > 0 {
				b.WriteString("(" + strings.Join(given, ", ") + ")")
			}
			if inner.IsCompositeType() {
				b.WriteString(" { " + selection(inner.Name, from, depth-1) + "}")
			}
			b.WriteString(" ")
		}
		for i := from; i < fragments; i++ {
			if on(i) == parent && random.IntN(2) == 0 {
				fmt.Fprintf(&b, "...F%d ", i)
			}
		}
		return b.String()
	}
	text := "query($a: Int, $b: Int = 7, $c: Int) { " + selection("Query", 0, 4) + "}\n"
	for i := range fragments {
		text += fmt.Sprintf("fragment F%d on %s { %s}\n", i, on(i), selection(on(i), i+1, 2))
	}
	return text
}

// The tables name fields that there are, and every list that nobody pages.
func TestPricesAreOfTheSchema(t *testing.T) {
	schema := testCosts().schema
	names := map[string]*ast.FieldDefinition{}
	for _, on := range schema.Types {
		for _, f := range on.Fields {
			names[on.Name+"."+f.Name] = f
		}
	}
	for name := range fieldPrices() {
		if names[name] == nil {
			t.Errorf("%s has a price, and is no field", name)
		}
	}
	lengths := listLengths()
	for name := range lengths {
		if names[name] == nil || names[name].Type.Elem == nil {
			t.Errorf("%s has a length, and is no list", name)
		}
	}
	for name, f := range names {
		parent, field, _ := strings.Cut(name, ".")
		if f.Type.Elem != nil && schema.Types[f.Type.Name()].IsCompositeType() && lengths[name] == 0 &&
			!paged(schema.Types[parent]) && !strings.HasPrefix(name, "__") {
			t.Errorf("%s is a list, and nobody says how long", name)
		}
		if field == "totalCount" && fieldPrices()[name] == 0 {
			t.Errorf("%s is a read, and has no price", name)
		}
	}
}

// What is remembered of documents stays small, whoever sends how many.
func TestDocumentsAreForgotten(t *testing.T) {
	c, kept := testCosts(), newDocuments()
	before := heap()
	for i := range 300 {
		text := fmt.Sprintf("{ a%d(b: [%s]) }", i, strings.Repeat("1 ", 1980))
		if _, refused := costOf(c, text, "", nil); refused != "" {
			t.Fatal(refused)
		}
		doc, err := parser.ParseQuery(&ast.Source{Input: text})
		if err != nil {
			t.Fatal(err)
		}
		kept.Add(t.Context(), text, doc)
	}
	grown := (heap() - before) >> 20
	t.Logf("300 documents of 2,000 tokens: %d MiB", grown)
	if grown > 100 {
		t.Errorf("grown by %d MiB", grown)
	}
	if _, ok := kept.Get(t.Context(), "no such text"); ok || kept.kept.Len() == 0 || kept.weight > latelyWeight {
		t.Errorf("%d are kept, of %d bytes", kept.kept.Len(), kept.weight)
	}
	kept.Add(t.Context(), "again", nil)
	weight := kept.weight
	kept.Add(t.Context(), "again", nil)
	if kept.weight != weight {
		t.Errorf("the same document weighs %d, and then %d", weight, kept.weight)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkCost(b *testing.B) {
	usual := `query Home($n: Int) { me { user { name } memberships { role tenant { id } } } tenants(first: $n) { nodes { id name partner { name } members(first: 5) { nodes { user { name } } totalCount } } pageInfo { endCursor hasNextPage } } }`
	variables := map[string]any{"n": json.Number("50")}
	b.Run("from memory", func(b *testing.B) {
		c := testCosts()
		for b.Loop() {
			costOf(c, usual, "", variables)
		}
	})
	for name, document := range map[string]string{
		"anew":              usual,
		"2,000 fields":      "{" + strings.Repeat("a ", 1998) + "}",
		"90 doublings":      doubling(90, "{ me { ...F0 } } ", "Me", "NEXT", "NEXT", "isOperator"),
		"2,000 directives":  "{ a " + strings.Repeat("@x ", 990) + "}",
		"32 KiB of comment": strings.Repeat("#\n", 16000) + "{ a }",
	} {
		b.Run(name, func(b *testing.B) {
			c := testCosts()
			for b.Loop() {
				c.read(document, "")
			}
		})
	}
}
