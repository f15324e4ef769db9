package resolvers

import (
	"context"

	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

func (r *queryResolver) Node(ctx context.Context, id platform.ID) (platform.Node, error) {
	return r.platform.Node(ctx, id)
}

func (r *Resolver) Mutation() generated.MutationResolver { return &mutationResolver{r} }

func (r *Resolver) Query() generated.QueryResolver { return &queryResolver{r} }

func (r *Resolver) Subscription() generated.SubscriptionResolver { return &subscriptionResolver{r} }

type (
	mutationResolver     struct{ *Resolver }
	queryResolver        struct{ *Resolver }
	subscriptionResolver struct{ *Resolver }
)
