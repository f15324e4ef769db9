package graph

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/dezky/platform/platform"
)

// walker looks at every selection of a document once, so its time follows the
// document's length and not what the document unfolds to.
type walker struct {
	*costs
	fragments  map[string]*walked
	aliases    int
	directives int
	variables  int
	unknown    int
	depth      int
	circular   bool
	renames    bool
	// conditions are the variables that say what is skipped or included.
	conditions []string
	copies     map[copied]int
	// compared is about how often validation compares two fields.
	compared int
}

// copied is where the copies of a field may meet: fields of one type that are
// answered under one name.
type copied struct {
	on   *ast.Definition
	name string
}

// walked is what is known of a selection.
type walked struct {
	bill        bill
	depth       int
	introspects bool

	// definition is the fragment's; state says how far it has come.
	definition *ast.FragmentDefinition
	state      int
}

const (
	walking = 1
	done    = 2
)

// verdict is why the document is refused, or nil.
func (w *walker) verdict() *gqlerror.Error {
	switch {
	case w.circular:
		return unfit("A fragment cannot contain itself.")
	case w.depth > mostDepth:
		return unfit("A document is at most %d fields deep.", mostDepth)
	case w.aliases > mostAliases:
		return unfit("A document has at most %d aliases.", mostAliases)
	case w.compared > mostComparisons:
		return unfit("A document repeats the same fields too often.")
	case w.unknown > mostUnknown:
		return unfit("More than %d fields of the document are unknown.", mostUnknown)
	case w.directives > mostDirectives:
		return unfit("A document has at most %d directives.", mostDirectives)
	case w.variables > mostVariables:
		return unfit("A document has at most %d variables.", mostVariables)
	case w.renames:
		return unfit("The schema is read without aliases.")
	}
	return nil
}

func (w *walker) operation(o *ast.OperationDefinition) *walked {
	root := w.schema.Query
	switch o.Operation {
	case ast.Mutation:
		root = w.schema.Mutation
	case ast.Subscription:
		root = w.schema.Subscription
	}
	w.directed(o.Directives)
	w.variables += len(o.VariableDefinitions)
	for _, v := range o.VariableDefinitions {
		w.directed(v.Directives)
	}
	out := &walked{}
	w.selection(out, root, o.SelectionSet)
	w.depth = max(w.depth, out.depth)
	return out
}

func (w *walker) directed(all ast.DirectiveList) {
	w.directives += len(all)
	for _, d := range all {
		for _, a := range d.Arguments {
			if a.Name == "if" && a.Value != nil && a.Value.Kind == ast.Variable && !slices.Contains(w.conditions, a.Value.Raw) {
				w.conditions = append(w.conditions, a.Value.Raw)
			}
		}
	}
}

// fragment is what a fragment unfolds to, or nil where there is none.
func (w *walker) fragment(name string) *walked {
	f := w.fragments[name]
	if f == nil {
		return nil
	}
	switch f.state {
	case walking:
		w.circular = true
	case 0:
		f.state = walking
		w.directed(f.definition.Directives)
		w.variables += len(f.definition.VariableDefinition)
		w.selection(f, w.schema.Types[f.definition.TypeCondition], f.definition.SelectionSet)
		w.depth = max(w.depth, f.depth)
		f.state = done
	}
	return f
}

// selection adds a selection on a type to what is known; the type is nil where
// the schema has none, and validation refuses that later.
func (w *walker) selection(to *walked, on *ast.Definition, set ast.SelectionSet) {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			w.directed(s.Directives)
			w.field(to, on, s)
		case *ast.InlineFragment:
			w.directed(s.Directives)
			inner := on
			if s.TypeCondition != "" {
				inner = w.schema.Types[s.TypeCondition]
			}
			w.selection(to, inner, s.SelectionSet)
		case *ast.FragmentSpread:
			w.directed(s.Directives)
			if f := w.fragment(s.Name); f != nil && f.state == done {
				to.bill.times(size{fixed: 1}, &f.bill)
				to.depth = max(to.depth, f.depth)
				to.introspects = to.introspects || f.introspects
			}
		}
	}
}

func (w *walker) field(to *walked, on *ast.Definition, f *ast.Field) {
	w.copy(copied{on, f.Alias}, f)
	if f.Alias != f.Name {
		w.aliases++
		w.renames = w.renames || on != nil && strings.HasPrefix(on.Name, "__")
	}
	var definition *ast.FieldDefinition
	var inner *ast.Definition
	if on != nil && f.Name != "__typename" {
		if definition = on.Fields.ForName(f.Name); definition != nil {
			inner = w.schema.Types[definition.Type.Name()]
		} else {
			w.unknown++
		}
	}
	below := &walked{}
	w.selection(below, inner, f.SelectionSet)
	to.depth = max(to.depth, 1+below.depth)
	to.introspects = to.introspects || below.introspects
	p, known := w.prices[definition]
	if !known {
		p = price{own: 1, length: 1}
	}
	to.bill.add(p.own)
	if p.flat {
		to.introspects = true
		return
	}
	times := size{fixed: p.length}
	if p.page > 0 {
		times = pageSize(f, p.page)
	}
	to.bill.times(times, &below.bill)
}

// copy counts a field among its copies. Copies that can conflict are dearer: each
// pair may be an error.
func (w *walker) copy(place copied, f *ast.Field) {
	weight, before := 1, w.copies[place]
	if f.Alias != f.Name || len(f.Arguments) > 0 {
		weight = 3
	}
	w.copies[place] = before + weight
	w.compared += 2*before*weight + weight*weight
}

// pageSize is how many entries a field asks for.
func pageSize(f *ast.Field, otherwise int) size {
	first := f.Arguments.ForName("first")
	switch {
	case first == nil || first.Value == nil || first.Value.Kind == ast.NullValue:
		return size{fixed: otherwise}
	case first.Value.Kind == ast.Variable:
		return size{variable: first.Value.Raw, fixed: otherwise}
	}
	return size{fixed: literalSize(first.Value)}
}

// literalSize is a size as it is written. One that is no size will be refused,
// and costs as much as the largest until then.
func literalSize(v *ast.Value) int {
	n, err := strconv.Atoi(v.Raw)
	if v.Kind != ast.IntValue || err != nil {
		return platform.MaxPage
	}
	return inPage(n)
}

func inPage(n int) int {
	if n < 1 || n > platform.MaxPage {
		return platform.MaxPage
	}
	return n
}

// sizeDefaults are the values of an operation's variables that nobody gives.
func sizeDefaults(o *ast.OperationDefinition) map[string]int {
	var out map[string]int
	for _, v := range o.VariableDefinitions {
		if v.DefaultValue != nil && v.DefaultValue.Kind != ast.NullValue {
			if out == nil {
				out = map[string]int{}
			}
			out[v.Variable] = literalSize(v.DefaultValue)
		}
	}
	return out
}

// cost is what the operation costs with these variables.
func (p *plan) cost(variables map[string]any) int {
	if len(p.bill.parts) == 0 {
		return p.bill.fixed
	}
	return p.bill.total(map[*bill]int{}, func(s size) int {
		value, given := variables[s.variable]
		if !given {
			if n, ok := p.sizes[s.variable]; ok {
				return n
			}
			return s.fixed
		}
		switch value := value.(type) {
		case nil:
			return s.fixed
		case json.Number:
			if n, err := value.Int64(); err == nil && n <= platform.MaxPage {
				return inPage(int(n))
			}
		case float64:
			if value == math.Trunc(value) && value <= platform.MaxPage {
				return inPage(int(max(value, 0)))
			}
		}
		return platform.MaxPage
	})
}

// bill is what a selection costs: so much, and parts that depend on variables.
type bill struct {
	fixed int
	parts []part
}

type part struct {
	times size
	each  *bill
}

// size is a number of entries: the variable's, or, without one, fixed.
type size struct {
	variable string
	fixed    int
}

// unaffordable is where sums stay: far above every limit, and far below an
// overflow.
const unaffordable = math.MaxInt32

func sum(a, b int) int     { return min(a+b, unaffordable) }
func product(a, b int) int { return min(a*b, unaffordable) }

func (b *bill) add(n int) { b.fixed = sum(b.fixed, n) }

// times adds another bill, so many times. What depends on variables is not
// copied but pointed to, or fragments that double would double the bill.
func (b *bill) times(n size, other *bill) {
	if n.variable == "" && len(other.parts) == 0 {
		b.add(product(n.fixed, other.fixed))
		return
	}
	b.parts = append(b.parts, part{n, other})
}

// total sums a bill up, each of its parts once.
func (b *bill) total(known map[*bill]int, value func(size) int) int {
	if n, ok := known[b]; ok {
		return n
	}
	n := b.fixed
	for _, p := range b.parts {
		times := p.times.fixed
		if p.times.variable != "" {
			times = value(p.times)
		}
		n = sum(n, product(times, p.each.total(known, value)))
	}
	known[b] = n
	return n
}
