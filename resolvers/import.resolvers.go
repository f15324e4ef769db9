package resolvers

import (
	"context"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

func (r *importResolver) Rows(ctx context.Context, obj *platform.Import, failed *bool) ([]*platform.ImportRow, error) {
	return graph.ImportRowsOf(ctx, obj, failed)
}

func (r *mutationResolver) BulkCreateMembers(ctx context.Context, input platform.BulkCreateMembersInput) (*platform.ImportStartPayload, error) {
	return r.platform.BulkCreateMembers(ctx, input)
}

func (r *mutationResolver) ImportMembers(ctx context.Context, input platform.ImportMembersInput) (*platform.ImportStartPayload, error) {
	return r.platform.ImportMembers(ctx, input)
}

func (r *mutationResolver) CancelImport(ctx context.Context, input platform.CancelImportInput) (*platform.Payload[*platform.Import], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.CancelImport)
}

func (r *queryResolver) Imports(ctx context.Context, tenantID platform.ID, first *int32, after *platform.Cursor) (*platform.Connection[*platform.Import], error) {
	return graph.Page[platform.Import](ctx)(r.platform.ImportsOf(ctx, tenantID, first, after))
}

func (r *subscriptionResolver) ImportStatus(ctx context.Context, tenantID platform.ID, importID platform.ID, after *int32) (<-chan *platform.ProvisioningStatus, error) {
	return r.platform.WatchImport(ctx, tenantID, importID, after)
}

func (r *Resolver) Import() generated.ImportResolver { return &importResolver{r} }

type importResolver struct{ *Resolver }
