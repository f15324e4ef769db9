package store

import (
	"context"

	"github.com/dezky/platform/platform"
)

func (r reader) SubscriptionsOf(ctx context.Context, ids []platform.ID) ([]*platform.TenantSubscription, error) {
	return find[platform.TenantSubscription](ctx, r, subscriptions, Query{Where: []Condition{in("tenantId", ids...)}})
}

func (r reader) SubscriptionsByID(ctx context.Context, ids []platform.ID) ([]*platform.TenantSubscription, error) {
	return byID[platform.TenantSubscription](ctx, r, subscriptions, ids)
}

func (w *writer) PutSubscription(ctx context.Context, s *platform.TenantSubscription) error {
	_, err := put[platform.TenantSubscription](ctx, w, subscriptions, s)
	return err
}
