package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
	"github.com/dezky/platform/store/storetest"
)

// asked is a query that a method of the store sent to its engine.
type asked struct {
	method string
	coll   string
	query  store.Query
	// counts is a query whose order nobody sees.
	counts bool
}

// recorder is an engine that remembers what it is asked for.
type recorder struct {
	store.Engine
	method string
	asked  []asked
}

func (r *recorder) note(coll string, q store.Query, counts bool) {
	r.asked = append(r.asked, asked{r.method, coll, q, counts})
}

func (r *recorder) Find(ctx context.Context, coll string, q store.Query) ([]store.Doc, error) {
	r.note(coll, q, false)
	return r.Engine.Find(ctx, coll, q)
}

func (r *recorder) FindEach(ctx context.Context, coll, by string, keys []string, q store.Query) ([]store.Doc, error) {
	one := q
	one.Where = append([]store.Condition{{Field: by, Op: store.Eq, Values: []any{keys[0]}}}, q.Where...)
	r.note(coll, one, false)
	return r.Engine.FindEach(ctx, coll, by, keys, q)
}

// counted is the query of an aggregate. A plan is asked for pages only; sorting by
// the first range leaves the planner the same choice.
func counted(q store.Aggregate) store.Query {
	page := store.Query{Where: q.Where}
	if len(q.Where) > 0 && q.Where[0].Op != store.Eq {
		page.Sort = q.Where[0].Field
	}
	return page
}

func (r *recorder) Sum(ctx context.Context, coll string, q store.Aggregate) ([]store.Row, error) {
	r.note(coll, counted(q), true)
	return r.Engine.Sum(ctx, coll, q)
}

func (r *recorder) Tx(ctx context.Context, do func(store.Tx) error) error {
	return r.Engine.Tx(ctx, func(tx store.Tx) error { return do(recordedTx{tx, r}) })
}

type recordedTx struct {
	store.Tx
	r *recorder
}

func (t recordedTx) Find(ctx context.Context, coll string, q store.Query) ([]store.Doc, error) {
	t.r.note(coll, q, false)
	return t.Tx.Find(ctx, coll, q)
}

func (t recordedTx) Sum(ctx context.Context, coll string, q store.Aggregate) ([]store.Row, error) {
	t.r.note(coll, counted(q), true)
	return t.Tx.Sum(ctx, coll, q)
}

// missing is nil for what was looked for in vain.
func missing[T any](_ *T, err error) error {
	if platform.CodeOf(err) == platform.NotFound {
		return nil
	}
	return err
}

// reads calls every method that reads, with arguments as in daily use: the first
// page and a later one, one ID and several.
func reads(ctx context.Context, s *store.Store) map[string]func() error {
	ids := []platform.ID{"ten_a", "ten_b", "ten_c"}
	page := platform.Page{First: 20}
	behind := func(list string, value any) platform.Page {
		return platform.Page{First: 20, After: platform.NewCursor(list, value, "ten_b")}
	}
	return map[string]func() error{
		"UserBySubject": func() error { return missing(s.UserBySubject(ctx, "nobody")) },
		"UsersByID":     func() error { _, err := s.UsersByID(ctx, ids); return err },
		"MembershipsOf": func() error { _, err := s.MembershipsOf(ctx, "usr_a"); return err },
		"MembersByID":   func() error { _, err := s.MembersByID(ctx, ids); return err },
		"MembersOf": func() error {
			for _, p := range []platform.Page{page, behind("members", start.String())} {
				if _, err := s.MembersOf(ctx, "ten_a", p); err != nil {
					return err
				}
			}
			return nil
		},
		"FirstMembersOf":     func() error { _, err := s.FirstMembersOf(ctx, ids, 20); return err },
		"FirstAuditEventsOf": func() error { _, err := s.FirstAuditEventsOf(ctx, ids, 1); return err },
		"CountMembersOf":     func() error { _, err := s.CountMembersOf(ctx, ids); return err },
		"User":               func() error { return missing(s.User(ctx, "usr_a")) },
		"Users": func() error {
			for _, search := range []string{"", "beta 0"} {
				for _, p := range []platform.Page{page, behind("users", "a@dezky.test")} {
					if _, err := s.Users(ctx, search, p); err != nil {
						return err
					}
				}
			}
			return nil
		},
		"CountUsers": func() error {
			_, all := s.CountUsers(ctx, "")
			_, some := s.CountUsers(ctx, "beta")
			return errors.Join(all, some)
		},
		"Member":        func() error { return missing(s.Member(ctx, "ten_a", "mem_a")) },
		"CountAdminsOf": func() error { _, err := s.CountAdminsOf(ctx, "ten_a"); return err },
		"MembersAfter": func() error {
			_, first := s.MembersAfter(ctx, "ten_a", "", 100)
			_, later := s.MembersAfter(ctx, "ten_a", "mem_b", 100)
			return errors.Join(first, later)
		},
		"UnknownUsers":     func() error { _, err := s.UnknownUsers(ctx, "anna"); return err },
		"AddressesByID":    func() error { _, err := s.AddressesByID(ctx, []platform.ID{"a@b.c", "d@b.c"}); return err },
		"AddressesOf":      func() error { _, err := s.AddressesOf(ctx, "mem_a"); return err },
		"OpenInvitations":  func() error { _, err := s.OpenInvitations(ctx, "a@dezky.test"); return err },
		"InvitationByCode": func() error { return missing(s.InvitationByCode(ctx, "0123")) },
		"Invitation":       func() error { return missing(s.Invitation(ctx, "ten_a", "ivt_a")) },
		"InvitationsByID":  func() error { _, err := s.InvitationsByID(ctx, ids); return err },
		"OpenInvitationsOf": func() error {
			_, first := s.OpenInvitationsOf(ctx, "ten_a", page)
			_, later := s.OpenInvitationsOf(ctx, "ten_a", behind("invitations", start.String()))
			return errors.Join(first, later)
		},
		"CountOpenInvitationsOf": func() error { _, err := s.CountOpenInvitationsOf(ctx, "ten_a"); return err },
		"Group":                  func() error { return missing(s.Group(ctx, "ten_a", "grp_a")) },
		"GroupsByID":             func() error { _, err := s.GroupsByID(ctx, ids); return err },
		"GroupsOf": func() error {
			_, first := s.GroupsOf(ctx, "ten_a", page)
			_, later := s.GroupsOf(ctx, "ten_a", behind("groups", "sales"))
			return errors.Join(first, later)
		},
		"CountGroupsOf": func() error { _, err := s.CountGroupsOf(ctx, "ten_a"); return err },
		"AllGroupsOf":   func() error { _, err := s.AllGroupsOf(ctx, "ten_a"); return err },
		"Import":        func() error { return missing(s.Import(ctx, "ten_a", "imp_a")) },
		"ImportsByID":   func() error { _, err := s.ImportsByID(ctx, ids); return err },
		"ImportChunks":  func() error { _, err := s.ImportChunks(ctx, ids); return err },
		"ImportsOf": func() error {
			_, first := s.ImportsOf(ctx, "ten_a", page)
			_, later := s.ImportsOf(ctx, "ten_a", behind("imports", start.String()))
			return errors.Join(first, later)
		},
		"CountImportsOf":        func() error { _, err := s.CountImportsOf(ctx, "ten_a"); return err },
		"CountRunningImportsOf": func() error { _, err := s.CountRunningImportsOf(ctx, "ten_a"); return err },
		"Partner":               func() error { _, err := s.Partner(ctx, "par_a"); return err },
		"PartnersByID":          func() error { _, err := s.PartnersByID(ctx, []platform.ID{"par_a"}); return err },
		"PartnerBySlug":         func() error { _, err := s.PartnerBySlug(ctx, "nordic"); return err },
		"CountCustomersOf": func() error {
			_, err := s.CountCustomersOf(ctx, []platform.ID{"par_a", "par_b"})
			return err
		},
		"Tenant":        func() error { _, err := s.Tenant(ctx, "ten_a"); return err },
		"TenantBySlug":  func() error { _, err := s.TenantBySlug(ctx, "a-0"); return err },
		"TenantsByID":   func() error { _, err := s.TenantsByID(ctx, ids); return err },
		"TenantsBySlug": func() error { _, err := s.TenantsBySlug(ctx, []string{"a-0", "b-0", "nobody"}); return err },
		"Tenants": func() error {
			return eachTenantQuery(ids, func(scope platform.TenantScope, q platform.TenantQuery) error {
				_, err := s.Tenants(ctx, scope, q)
				return err
			})
		},
		"CountTenants": func() error {
			return eachTenantQuery(ids, func(scope platform.TenantScope, q platform.TenantQuery) error {
				_, err := s.CountTenants(ctx, scope, q)
				return err
			})
		},
		"SubscriptionsOf":   func() error { _, err := s.SubscriptionsOf(ctx, ids); return err },
		"SubscriptionsByID": func() error { _, err := s.SubscriptionsByID(ctx, ids); return err },
		"AuditEventsOf": func() error {
			for _, tenant := range []platform.ID{"", "ten_a"} {
				for _, p := range []platform.Page{page, behind("audit", start.String())} {
					if _, err := s.AuditEventsOf(ctx, tenant, p); err != nil {
						return err
					}
				}
			}
			return nil
		},
		"AuditEventsByID":    func() error { _, err := s.AuditEventsByID(ctx, ids); return err },
		"CountAuditEventsOf": func() error { _, err := s.CountAuditEventsOf(ctx, "ten_a"); return err },
		"Provisioning":       func() error { _, err := s.Provisioning(ctx, "ten_a"); return err },
		"ProvisioningsByID":  func() error { _, err := s.ProvisioningsByID(ctx, ids); return err },
		"FailingProvisionings": func() error {
			for _, p := range []platform.Page{page, behind("failing", start.String())} {
				if _, err := s.FailingProvisionings(ctx, p); err != nil {
					return err
				}
			}
			return nil
		},
		"CountFailingProvisionings": func() error { _, err := s.CountFailingProvisionings(ctx); return err },
		"OpenProvisionings":         func() error { _, err := s.OpenProvisionings(ctx); return err },
		"DueProvisionings": func() error {
			for _, owner := range []platform.ID{"", "ses_a"} {
				if _, err := s.DueProvisionings(ctx, owner, start, 10); err != nil {
					return err
				}
			}
			return nil
		},
		"ProvisioningOwners":   func() error { _, err := s.ProvisioningOwners(ctx); return err },
		"ProvisioningsOwnedBy": func() error { _, err := s.ProvisioningsOwnedBy(ctx, "ses_a", 10); return err },
		"EventsAfter":          func() error { _, err := s.EventsAfter(ctx, "ten_a", 3, 100); return err },
		"Sessions":             func() error { _, err := s.Sessions(ctx); return err },
		"Prune":                func() error { _, err := s.Prune(ctx, start.Add(-time.Hour)); return err },
	}
}

// eachTenantQuery goes through all that a list of tenants can be asked for.
func eachTenantQuery(ids []platform.ID, ask func(platform.TenantScope, platform.TenantQuery) error) error {
	scopes := []platform.TenantScope{{All: true}, {PartnerID: "par_a"}, {IDs: ids}, {PartnerID: "par_a", IDs: ids}}
	cursors := map[platform.TenantOrder]platform.Cursor{
		platform.TenantOrderName:   platform.NewCursor("tenants/name", "Beta 0", "ten_b"),
		platform.TenantOrderNewest: platform.NewCursor("tenants/newest", start.String(), "ten_b"),
	}
	for _, scope := range scopes {
		for order, behind := range cursors {
			for _, status := range []platform.TenantStatus{"", platform.TenantStatusActive} {
				for _, search := range []string{"", "beta 0"} {
					for _, after := range []platform.Cursor{"", behind} {
						q := platform.TenantQuery{
							Status: status, Search: search, Order: order, Page: platform.Page{First: 20, After: after},
						}
						if err := ask(scope, q); err != nil {
							return err
						}
					}
				}
			}
		}
	}
	return nil
}

func TestEveryQueryIsServedByAnIndex(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	s := storetest.Around(t, filepath.Join(t.TempDir(), "test.db"), func(e store.Engine) store.Engine { r.Engine = e; return r })
	change(t, s, func(w platform.Writer) error {
		if err := w.PutPartner(t.Context(), &platform.Partner{Document: platform.Document{ID: "par_a"}, Slug: "nordic"}); err != nil {
			return err
		}
		for _, id := range []platform.ID{"ten_a", "ten_b", "ten_c"} {
			slug := strings.TrimPrefix(string(id), "ten_") + "-0"
			tenant := &platform.Tenant{Document: platform.Document{ID: id}, Slug: slug, Name: "Beta 0", CreatedAt: start}
			if err := w.PutTenant(t.Context(), tenant); err != nil {
				return err
			}
		}
		return nil
	})
	calls := reads(t.Context(), s)
	for method, call := range calls {
		r.method = method
		if err := call(); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	for _, port := range []reflect.Type{reflect.TypeFor[platform.Reader](), reflect.TypeFor[platform.MemberLister]()} {
		for i := range port.NumMethod() {
			if method := port.Method(i).Name; calls[method] == nil {
				t.Errorf("no call of %s here: what does it ask its engine for?", method)
			}
		}
	}
	if len(r.asked) < 200 {
		t.Errorf("only %d queries were recorded", len(r.asked))
	}
	scan := regexp.MustCompile(`^SCAN `)
	walk := regexp.MustCompile(`^SCAN \w+ USING (COVERING )?INDEX`)
	explained := map[string]bool{}
	for _, a := range r.asked {
		key := fmt.Sprint(a.coll, a.query, a.query.After, a.counts)
		if explained[key] {
			continue
		}
		explained[key] = true
		plan, err := r.Explain(t.Context(), a.coll, a.query)
		if err != nil {
			t.Errorf("explain %s: %v", a.method, err)
		}
		if os.Getenv("MONGODB_URI") != "" {
			if err := storetest.MongoPlan(a.query, a.counts, plan); err != nil {
				t.Errorf("%s: no index serves %+v in %s: %v", a.method, a.query, a.coll, err)
			}
			continue
		}
		searches := slices.ContainsFunc(a.query.Where, func(c store.Condition) bool { return c.Op == store.Word })
		for _, step := range plan {
			switch {
			case strings.Contains(step, "AUTOMATIC"):
			case strings.Contains(step, "TEMP B-TREE") && !searches && !a.counts:
			case scan.MatchString(step) && !harmless(step) && !(len(a.query.Where) == 0 && walk.MatchString(step)):
			default:
				continue
			}
			t.Errorf("%s: no index serves %+v in %s: %s", a.method, a.query, a.coll, strings.Join(plan, "; "))
			break
		}
	}
}

// harmless is a step that walks through a list that was an argument.
func harmless(step string) bool {
	return strings.HasPrefix(step, "SCAN json_each") || strings.HasPrefix(step, "SCAN (")
}
