package resolvers

import (
	"context"

	"github.com/dezky/platform/platform"
)

func (r *mutationResolver) SetSecurityPolicy(ctx context.Context, input platform.SetSecurityPolicyInput) (*platform.Payload[*platform.Tenant], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.SetSecurityPolicy)
}
