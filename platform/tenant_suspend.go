package platform

import "context"

// What audit says of tenants that are shut and opened.
const (
	ActionTenantSuspended Action = "TENANT_SUSPENDED"
	ActionTenantResumed   Action = "TENANT_RESUMED"
)

// SuspendTenantInput names the tenant whose members are shut out.
type SuspendTenantInput struct {
	TenantID       ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in SuspendTenantInput) Attempt() Attempt {
	return Attempt{Action: ActionTenantSuspended, TenantID: in.TenantID, Target: in.TenantID, Key: in.IdempotencyKey}
}

// ResumeTenantInput names the tenant whose members are let in again.
type ResumeTenantInput struct {
	TenantID       ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in ResumeTenantInput) Attempt() Attempt {
	return Attempt{Action: ActionTenantResumed, TenantID: in.TenantID, Target: in.TenantID, Key: in.IdempotencyKey}
}

// SuspendTenant shuts everybody of a tenant out, but for what others want of them
// (B-5). No member's own state changes, so that ResumeTenant undoes exactly this.
func (p *Platform) SuspendTenant(ctx context.Context, in SuspendTenantInput) (*Tenant, error) {
	return p.turnTenant(ctx, ActionTenantSuspended, in.TenantID, func(t *Tenant) error {
		if t.Status != TenantStatusActive {
			return Errorf(Conflict, "The tenant is not active.").On("tenantId")
		}
		t.Status = TenantStatusSuspended
		return nil
	})
}

// ResumeTenant lets a suspended tenant's members in again; who was suspended one
// by one stays so.
func (p *Platform) ResumeTenant(ctx context.Context, in ResumeTenantInput) (*Tenant, error) {
	return p.turnTenant(ctx, ActionTenantResumed, in.TenantID, func(t *Tenant) error {
		if t.Status != TenantStatusSuspended {
			return Errorf(Conflict, "The tenant is not suspended.").On("tenantId")
		}
		t.Status = TenantStatusActive
		return nil
	})
}

// turnTenant changes a tenant's status, and has that passed on to its members.
func (p *Platform) turnTenant(ctx context.Context, action Action, id ID, law func(*Tenant) error) (*Tenant, error) {
	var t *Tenant
	err := p.change(ctx, action, id, id, func(w Writer) (err error) {
		if t, err = w.Tenant(ctx, id); err != nil {
			return err
		}
		if err := law(t); err != nil {
			return err
		}
		if err := w.PutTenant(ctx, t); err != nil {
			return err
		}
		doc, err := w.Provisioning(ctx, id)
		if err != nil {
			return err
		}
		doc.With(IntegrationMembers, p.now())
		return w.PutProvisioning(ctx, doc, true)
	})
	return t, err
}
