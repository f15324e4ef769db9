package resolvers

import (
	"context"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

func (r *auditEventResolver) Actor(ctx context.Context, obj *platform.AuditEvent) (*platform.User, error) {
	return graph.UserOf(ctx, obj, func(e *platform.AuditEvent) platform.ID { return e.ActorID })
}

func (r *Resolver) AuditEvent() generated.AuditEventResolver { return &auditEventResolver{r} }

type auditEventResolver struct{ *Resolver }
