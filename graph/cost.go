package graph

import (
	"context"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/dezky/platform/platform"
)

// Bounds of a document, and of what one of its operations may cost.
const (
	longestDocument = 32 << 10
	longestName     = 256
	mostTokens      = 2000
	mostOperations  = 10
	mostFragments   = 100
	mostVariables   = 100
	mostDirectives  = 100
	mostAliases     = 100
	// mostComparisons bounds the copies of fields: validation compares each with
	// every other that is answered under its name.
	mostComparisons = 40_000
	// mostUnknown is how many fields may be wrong before validation is not asked
	// about each.
	mostUnknown = 50
	mostDepth   = 15
	mostCost    = 20_000
)

// costs refuses what is too much to run, before gqlgen parses or validates
// anything: what it looks at is a parse of its own. It also decides who reads
// the schema, and tells every caller what the operation cost.
type costs struct {
	prices        map[*ast.FieldDefinition]price
	schema        *ast.Schema
	plans         *lately[planKey, *plan]
	platform      *platform.Platform
	introspection bool
}

// planKey is all that a plan follows from. Variables change its sum alone.
type planKey struct{ document, operation string }

// plan is what one operation of a document is, whatever its variables.
type plan struct {
	bill *bill
	// sizes are the defaults of variables that can be page sizes.
	sizes map[string]int
	// introspects says that it reads the schema.
	introspects bool
	// conditions are the document's variables that say what is skipped or included.
	conditions []string
}

func newCosts(schema *ast.Schema, p *platform.Platform, introspection bool) *costs {
	return &costs{
		prices: priceList(schema), schema: schema, plans: newLately[planKey, *plan](),
		platform: p, introspection: introspection,
	}
}

// ExtensionName names the extension, and its entry in an answer.
func (*costs) ExtensionName() string { return "cost" }

// Validate finds nothing wrong with any schema.
func (*costs) Validate(graphql.ExecutableSchema) error { return nil }

// spent is what an operation costs, as the answer says it.
type spent struct {
	Cost  int `json:"cost"`
	Limit int `json:"limit"`
	// Left is how much the operation could have cost more.
	Left int `json:"left"`

	plan *plan
}

// MutateOperationParameters refuses a request, or remembers its cost.
func (c *costs) MutateOperationParameters(ctx context.Context, request *graphql.RawParams) *gqlerror.Error {
	if len(request.Query) > longestDocument {
		return unfit("A document has at most %d bytes.", longestDocument)
	}
	if len(request.OperationName) > longestName {
		return unfit("The name of an operation has at most %d bytes.", longestName)
	}
	key := planKey{request.Query, request.OperationName}
	p, known := c.plans.Get(key)
	if !known {
		var err *gqlerror.Error
		if p, err = c.read(request.Query, request.OperationName); err != nil {
			return err
		}
		// What is refused is not kept: it must not drive out what is used.
		c.plans.Add(key, p, len(request.Query))
	}
	cost := p.cost(request.Variables)
	graphql.GetOperationContext(ctx).Stats.SetExtension(c.ExtensionName(), &spent{
		Cost: cost, Limit: mostCost, Left: max(mostCost-cost, 0), plan: p,
	})
	if cost > mostCost {
		return unfit("The operation costs %d, and at most %d are allowed: ask for less, or for smaller pages.", cost, mostCost)
	}
	return nil
}

// MutateOperationContext lets operators read the schema, and everyone where the
// options say so. It also refuses conditions that are null, which validation
// lets through where the variable has a default, and at which gqlgen panics.
func (c *costs) MutateOperationContext(ctx context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	of := c.spent(operation)
	if of == nil {
		return nil
	}
	for _, name := range of.plan.conditions {
		value, given := operation.Variables[name]
		if _, isBool := value.(bool); given && !isBool {
			return unfit("A variable of @skip or @include is null.")
		}
	}
	if !of.plan.introspects {
		return nil
	}
	if !c.introspection && c.platform.Admit(ctx, platform.RuleOperator, platform.Target{}, false) != nil {
		return gqlerror.Wrap(platform.Errorf(platform.Forbidden, "The schema is for operators to read."))
	}
	operation.DisableIntrospection = false
	return nil
}

// InterceptResponse tells the caller what the operation cost.
func (c *costs) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	res := next(ctx)
	if res == nil || !graphql.HasOperationContext(ctx) {
		return res
	}
	if of := c.spent(graphql.GetOperationContext(ctx)); of != nil {
		if res.Extensions == nil {
			res.Extensions = map[string]any{}
		}
		res.Extensions[c.ExtensionName()] = of
	}
	return res
}

// spent is nil for what was refused before its cost was known.
func (c *costs) spent(operation *graphql.OperationContext) *spent {
	of, _ := operation.Stats.GetExtension(c.ExtensionName()).(*spent)
	return of
}

func unfit(format string, args ...any) *gqlerror.Error {
	err := gqlerror.Errorf(format, args...)
	errcode.Set(err, errcode.ValidationFailed)
	return err
}

// read parses a document, throws the parse away, and keeps the plan of one of
// its operations.
func (c *costs) read(document, operation string) (*plan, *gqlerror.Error) {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: document}, mostTokens)
	if err != nil {
		return nil, unreadable(err)
	}
	switch {
	case len(doc.Operations) == 0:
		return nil, unfit("The document has no operation.")
	case len(doc.Operations) > mostOperations:
		return nil, unfit("A document has at most %d operations.", mostOperations)
	case len(doc.Fragments) > mostFragments:
		return nil, unfit("A document has at most %d fragments.", mostFragments)
	}
	chosen := doc.Operations.ForName(operation)
	if chosen == nil {
		return nil, unfit("The document has no operation of this name, or several and the request names none.")
	}
	w := walker{costs: c, copies: map[copied]int{}, fragments: make(map[string]*walked, len(doc.Fragments))}
	for _, f := range doc.Fragments {
		if w.fragments[f.Name] == nil {
			w.fragments[f.Name] = &walked{definition: f}
		}
	}
	out := &plan{}
	for _, o := range doc.Operations {
		all := w.operation(o)
		if o == chosen {
			out.bill, out.introspects, out.sizes = &all.bill, all.introspects, sizeDefaults(o)
		}
	}
	for _, f := range doc.Fragments {
		w.fragment(f.Name)
	}
	out.conditions = w.conditions
	return out, w.verdict()
}

// unreadable says where a document cannot be parsed. What is written there is
// the client's, and can be a secret in the wrong place: it is not repeated.
func unreadable(err error) *gqlerror.Error {
	out := &gqlerror.Error{Message: "The document cannot be read."}
	if theirs, ok := err.(*gqlerror.Error); ok { //nolint:errorlint // the parser wraps nothing
		switch {
		case strings.HasPrefix(theirs.Message, "exceeded token limit"):
			return unfit("A document has at most %d tokens.", mostTokens)
		case strings.HasPrefix(theirs.Message, "exceeded maximum nesting"):
			return unfit("A document is at most %d fields deep.", mostDepth)
		}
		out.Locations = theirs.Locations
		if what, _, _ := strings.Cut(theirs.Message, `"`); !strings.Contains(what, "<Invalid>") {
			out.Message = "The document cannot be read: " + strings.TrimRight(what, " ,.:") + "."
		}
	}
	errcode.Set(out, errcode.ParseFailed)
	return out
}
