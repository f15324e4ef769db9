package graph_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/dezky/platform/graph/generated"
)

// The house keeps itself: these tests are over the schema as it runs.

func schema() *ast.Schema { return generated.NewExecutableSchema(generated.Config{}).Schema() }

var rules = []string{"public", "authenticated", "tenantMember", "tenantAdmin", "partnerStaff", "operator"}

func rulesOn(f *ast.FieldDefinition) (on []string) {
	for _, d := range f.Directives {
		if slices.Contains(rules, d.Name) {
			on = append(on, d.Name)
		}
	}
	return on
}

// fields calls see with every field of the product's own types.
func fields(see func(parent *ast.Definition, f *ast.FieldDefinition)) {
	for _, parent := range schema().Types {
		if parent.BuiltIn || parent.Kind != ast.Object {
			continue
		}
		for _, f := range parent.Fields {
			if !strings.HasPrefix(f.Name, "__") {
				see(parent, f)
			}
		}
	}
}

func isRoot(d *ast.Definition) bool {
	s := schema()
	return d.Name == s.Query.Name || d.Name == s.Mutation.Name || d.Name == s.Subscription.Name
}

func TestEveryRootFieldHasExactlyOneRule(t *testing.T) {
	fields(func(parent *ast.Definition, f *ast.FieldDefinition) {
		if on := rulesOn(f); isRoot(parent) && len(on) != 1 {
			t.Errorf("%s.%s has the rules %v", parent.Name, f.Name, on)
		}
	})
}

func TestAGuardedFieldIsNullable(t *testing.T) {
	fields(func(parent *ast.Definition, f *ast.FieldDefinition) {
		if len(rulesOn(f)) > 0 && f.Type.NonNull {
			t.Errorf("%s.%s is guarded and not nullable: one refusal would take the whole answer", parent.Name, f.Name)
		}
	})
}

func TestAnEdgeOutOfATenantIsGuarded(t *testing.T) {
	outside := []string{"Partner", "PartnerConnection"}
	fields(func(parent *ast.Definition, f *ast.FieldDefinition) {
		if parent.Name == "Tenant" && slices.Contains(outside, f.Type.Name()) && len(rulesOn(f)) == 0 {
			t.Errorf("Tenant.%s leads out of the tenant and has no rule", f.Name)
		}
	})
}

// Rules take what a field is about from its arguments, its input or its parent;
// on anything else they refuse, so there the schema must have none.
func TestARuleFindsWhatItsFieldIsAbout(t *testing.T) {
	parents := []string{"Tenant", "Member", "ProvisioningStep", "User"}
	fields(func(parent *ast.Definition, f *ast.FieldDefinition) {
		on := rulesOn(f)
		if len(on) == 0 {
			return
		}
		if !isRoot(parent) {
			if !slices.Contains(parents, parent.Name) {
				t.Errorf("%s.%s is guarded, and the rule does not know its parent", parent.Name, f.Name)
			}
			return
		}
		names := func(arguments ast.ArgumentDefinitionList, name string) bool { return arguments.ForName(name) != nil }
		byInput := false
		if input := f.Arguments.ForName("input"); input != nil {
			byInput = schema().Types[input.Type.Name()].Fields.ForName("tenantId") != nil
		}
		needs := on[0] == "tenantMember" || on[0] == "tenantAdmin"
		if needs && !byInput && !names(f.Arguments, "tenantId") && !names(f.Arguments, "slug") {
			t.Errorf("%s.%s is for a tenant's people and names no tenantId", parent.Name, f.Name)
		}
	})
}

// When a field's Go type does not fit, the generator asks for a resolver in
// silence. So those that have one must say so in the schema.
func TestATypeHasResolversForWhatTheSchemaForces(t *testing.T) {
	root := reflect.TypeFor[generated.ResolverRoot]()
	forced := map[string][]string{}
	fields(func(parent *ast.Definition, f *ast.FieldDefinition) {
		if d := f.Directives.ForName("goField"); d != nil && d.Arguments.ForName("forceResolver") != nil {
			forced[parent.Name] = append(forced[parent.Name], strings.ToLower(f.Name))
		}
	})
	for i := range root.NumMethod() {
		method := root.Method(i)
		if isRoot(schema().Types[method.Name]) {
			continue
		}
		resolver := method.Type.Out(0)
		var has []string
		for j := range resolver.NumMethod() {
			has = append(has, strings.ToLower(resolver.Method(j).Name))
		}
		slices.Sort(has)
		slices.Sort(forced[method.Name])
		if !slices.Equal(has, forced[method.Name]) {
			t.Errorf("%s has resolvers for %v, and the schema forces %v", method.Name, has, forced[method.Name])
		}
	}
}

func TestMutationsTakeOneInputAndReturnAPayload(t *testing.T) {
	for _, f := range schema().Mutation.Fields {
		if len(f.Arguments) != 1 || f.Arguments[0].Name != "input" {
			t.Errorf("%s does not take one input", f.Name)
			continue
		}
		input := schema().Types[f.Arguments[0].Type.Name()]
		if input.Fields.ForName("idempotencyKey") == nil {
			t.Errorf("%s takes no idempotency key", input.Name)
		}
		payload := schema().Types[f.Type.Name()]
		if !strings.HasSuffix(payload.Name, "Payload") || payload.Fields.ForName("userErrors") == nil {
			t.Errorf("%s returns %s, which has no userErrors", f.Name, payload.Name)
		}
	}
}

func TestTheSchemaDescribesItself(t *testing.T) {
	for _, d := range schema().Types {
		if d.BuiltIn {
			continue
		}
		if d.Description == "" && d.Kind != ast.InputObject && !isRoot(d) {
			t.Errorf("%s has no description", d.Name)
		}
		for _, v := range d.EnumValues {
			if v.Description == "" {
				t.Errorf("%s.%s has no description", d.Name, v.Name)
			}
		}
		if isRoot(d) {
			for _, f := range d.Fields {
				if f.Description == "" && !strings.HasPrefix(f.Name, "__") {
					t.Errorf("%s.%s has no description", d.Name, f.Name)
				}
			}
		}
	}
}

func TestListsArePaged(t *testing.T) {
	fields(func(parent *ast.Definition, f *ast.FieldDefinition) {
		if !strings.HasSuffix(f.Type.Name(), "Connection") {
			return
		}
		first := f.Arguments.ForName("first")
		if first == nil || first.DefaultValue == nil || first.DefaultValue.Raw != "20" || f.Arguments.ForName("after") == nil {
			t.Errorf("%s.%s is a list without first = 20 and after", parent.Name, f.Name)
		}
	})
}

func TestNothingIsUnbound(t *testing.T) {
	entries, err := os.ReadDir("unbound")
	if err != nil || len(entries) != 1 || entries[0].Name() != "doc.go" {
		t.Errorf("graph/unbound holds %v (%v): the platform lacks a type", entries, err)
	}
}
