package graph

import (
	"context"
	"errors"
	"log/slog"

	"github.com/99designs/gqlgen/graphql"

	"github.com/dezky/platform/platform"
)

// directives are the schema's rules of who may do what.
type directives struct {
	platform *platform.Platform
	log      *slog.Logger
}

// The names of the root types.
const (
	queryRoot        = "Query"
	mutationRoot     = "Mutation"
	subscriptionRoot = "Subscription"
)

// rule admits whom the platform's table admits, before the field does anything.
// What the field is about is what its arguments or its input name, or, on an
// edge, its parent. A refused mutation is recorded.
func (d directives) rule(rule platform.Rule) func(context.Context, any, graphql.Resolver) (any, error) {
	return func(ctx context.Context, parent any, next graphql.Resolver) (any, error) {
		field := graphql.GetFieldContext(ctx)
		on, tried, err := target(ctx, field, parent)
		if err != nil {
			return nil, err
		}
		if on == nil {
			return nil, errors.New("the guarded field " + field.Object + "." + field.Field.Name + " says of nothing what it is about")
		}
		if err := d.platform.Admit(ctx, rule, *on, field.Object == mutationRoot); err != nil {
			if tried != nil {
				if failed := d.platform.Denied(ctx, *tried, err); failed != nil {
					return nil, errors.Join(failed, err)
				}
			}
			return nil, err
		}
		if field.Object == subscriptionRoot {
			guardOf(ctx).watch(func(ctx context.Context) error { return d.platform.Admit(ctx, rule, *on, false) })
		}
		return next(ctx)
	}
}

// target is what a field is about, and the attempt that a mutation's input
// makes. It is nil for an edge of a parent that belongs to no tenant.
func target(ctx context.Context, field *graphql.FieldContext, parent any) (*platform.Target, *platform.Attempt, error) {
	if input, ok := field.Args["input"].(platform.Attempted); ok {
		tried := input.Attempt()
		return &platform.Target{TenantID: tried.TenantID, PartnerID: tried.PartnerID}, &tried, nil
	}
	switch field.Object {
	case queryRoot, mutationRoot, subscriptionRoot:
		return &platform.Target{
			TenantID: argument[platform.ID](field, "tenantId", "id"), TenantSlug: argument[string](field, "slug"),
			PartnerID: argument[platform.ID](field, "partnerId"),
		}, nil, nil
	}
	switch parent := parent.(type) {
	case *platform.Tenant:
		return &platform.Target{Tenant: parent}, nil, nil
	case *platform.Member:
		t, err := TenantOf(ctx, parent, func(m *platform.Member) platform.ID { return m.TenantID })
		return &platform.Target{TenantID: parent.TenantID, Tenant: t}, nil, err
	case *platform.ProvisioningStep, *platform.User:
		return &platform.Target{}, nil, nil // for operators alone, whatever the tenant
	}
	return nil, nil, nil
}

// argument is the first of the named arguments that is given.
func argument[T any](field *graphql.FieldContext, names ...string) (value T) {
	for _, name := range names {
		switch given := field.Args[name].(type) {
		case T:
			return given
		case *T:
			if given != nil {
				return *given
			}
		}
	}
	return value
}
