package store

import (
	"context"

	"github.com/dezky/platform/platform"
)

func (r reader) Import(ctx context.Context, tenant, id platform.ID) (*platform.Import, error) {
	return ofTenant(ctx, r, imports, id, platform.NoImport(id), func(i *platform.Import) bool { return i.TenantID == tenant })
}

func (r reader) ImportsByID(ctx context.Context, ids []platform.ID) ([]*platform.Import, error) {
	return byID[platform.Import](ctx, r, imports, ids)
}

func (r reader) ImportChunks(ctx context.Context, ids []platform.ID) ([]*platform.ImportChunk, error) {
	return byID[platform.ImportChunk](ctx, r, importChunks, ids)
}

func importsNewest() order[platform.Import] {
	return order[platform.Import]{
		list: "imports", sort: "createdAt", desc: true, value: func(i *platform.Import) string { return i.CreatedAt.String() },
	}
}

func (r reader) ImportsOf(ctx context.Context, tenant platform.ID, page platform.Page) (platform.List[*platform.Import], error) {
	return findPage(ctx, r, imports, importsNewest(), page, eq("tenantId", string(tenant)))
}

func (r reader) CountImportsOf(ctx context.Context, tenant platform.ID) (int, error) {
	return count(ctx, r, imports, eq("tenantId", string(tenant)))
}

func (r reader) CountRunningImportsOf(ctx context.Context, tenant platform.ID) (int, error) {
	return count(ctx, r, imports, eq("tenantId", string(tenant)), eq("state", string(platform.ImportStateRunning)))
}

func (w *writer) PutImport(ctx context.Context, i *platform.Import) error {
	old, err := put[platform.Import](ctx, w, imports, i)
	if err != nil || old != nil {
		return err
	}
	return w.raise(ctx, i.ID, i.TenantID, w.now)
}

func (w *writer) PutImportChunk(ctx context.Context, c *platform.ImportChunk) error {
	if c.Version == 0 {
		return w.insert(ctx, importChunks, c)
	}
	return w.replace(ctx, importChunks, c)
}
