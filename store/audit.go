package store

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/dezky/platform/platform"
)

func auditNewest() order[platform.AuditEvent] {
	return order[platform.AuditEvent]{
		list: "audit", sort: "at", desc: true, value: func(e *platform.AuditEvent) string { return e.At.String() },
	}
}

// logOf is whose log: an event of the platform's own has no tenant.
func logOf(tenant platform.ID) Condition {
	if tenant == "" {
		return eq("tenantId", nil)
	}
	return eq("tenantId", string(tenant))
}

func (r reader) AuditEventsOf(
	ctx context.Context, tenant platform.ID, page platform.Page,
) (platform.List[*platform.AuditEvent], error) {
	return findPage(ctx, r, audit, auditNewest(), page, logOf(tenant))
}

func (s *Store) FirstAuditEventsOf(
	ctx context.Context, ids []platform.ID, n int,
) (map[platform.ID]platform.List[*platform.AuditEvent], error) {
	return firstPages(ctx, s, audit, auditNewest(), n, ids, func(e *platform.AuditEvent) platform.ID { return e.TenantID })
}

func (r reader) AuditEventsByID(ctx context.Context, ids []platform.ID) ([]*platform.AuditEvent, error) {
	return byID[platform.AuditEvent](ctx, r, audit, ids)
}

func (r reader) CountAuditEventsOf(ctx context.Context, tenant platform.ID) (int, error) {
	return count(ctx, r, audit, logOf(tenant))
}

// Record writes an audit event alone. A success that changed nothing ends its
// idempotent attempt as well.
func (s *Store) Record(ctx context.Context, event platform.AuditEvent) error {
	return s.transact(ctx, func(w *writer) error {
		if event.Outcome == platform.AuditOutcomeDone {
			if err := w.finishAttempt(ctx, event); err != nil {
				return err
			}
		}
		return w.insert(ctx, audit, &event)
	})
}

// note adds to the audit event what differs between a document as it was and
// as it is.
func (w *writer) note(before []Doc, v interface{ Doc() *platform.Document }) error {
	var was, is map[string]json.RawMessage
	if len(before) > 0 {
		if err := json.Unmarshal(before[0].Body, &was); err != nil {
			return err
		}
	}
	now, err := encode(v)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(now.Body, &is); err != nil {
		return err
	}
	fields := maps.Clone(is)
	maps.Copy(fields, was)
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if field == "id" || field == "sortName" || field == "key" || string(was[field]) == string(is[field]) {
			continue
		}
		if field == "sealed" || field == "code" { // that it changed is all that anybody hears
			w.changes = append(w.changes, platform.FieldChange{Object: now.ID, Field: field})
			continue
		}
		w.changes = append(w.changes, platform.FieldChange{
			Object: now.ID, Field: field, Before: textOf(was[field]), After: textOf(is[field]),
		})
	}
	return nil
}

func textOf(raw json.RawMessage) *string {
	if raw == nil {
		return nil
	}
	text := string(raw)
	return &text
}
