package platform_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store/storetest"
)

func TestFiveProcessesPlantOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "test.db")
	worlds := []*world{worldOn(t, storetest.Open(t, file)), worldOn(t, storetest.Open(t, file))}
	var all sync.WaitGroup
	for i := range 5 {
		all.Go(func() {
			w := worlds[i%2]
			if err := w.Bootstrap(t.Context()); err != nil {
				t.Errorf("Bootstrap: %v", err)
			}
			w.plant(t)
		})
	}
	all.Wait()
	w := worlds[0]
	if err := w.Bootstrap(t.Context()); err != nil {
		t.Errorf("Bootstrap again: %v", err)
	}
	n, err := w.store.CountTenants(t.Context(), platform.TenantScope{All: true}, platform.TenantQuery{})
	seeded, err2 := w.store.CountAuditEventsOf(t.Context(), "")
	if n != 3 || seeded != 2 || err != nil || err2 != nil {
		t.Errorf("got %d tenants and %d events, %v, %v; want dezky, acme and globex, planted by two", n, seeded, err, err2)
	}
	dezky, err := w.store.TenantBySlug(t.Context(), platform.DefaultTenant)
	if err != nil {
		t.Fatal(err)
	}
	subscriptions, err := w.store.SubscriptionsOf(t.Context(), []platform.ID{dezky.ID})
	doc, err2 := w.store.Provisioning(t.Context(), dezky.ID)
	if len(subscriptions) != 1 || err != nil || err2 != nil || doc.Sequence != 1 {
		t.Errorf("got %d subscriptions and %+v, %v, %v; want one, and its provisioning due once", len(subscriptions), doc, err, err2)
	}
}

func TestCreateTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	end := func(out platform.Writer) error {
		return out.PutPartner(t.Context(), &platform.Partner{Document: platform.Document{ID: "par_gone"}, Slug: "gone", Status: platform.PartnerStatusTerminated})
	}
	if err := w.store.Change(t.Context(), platform.AuditEvent{Document: platform.Document{ID: "aud_end"}, At: noon}, end); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		who     string
		slug    string
		partner *platform.ID
		of      platform.ID
		want    string
		reason  string
	}{
		"by an operator":        {"operator", "a1", nil, "", "", "nobody's customer"},
		"for a partner":         {"operator", "a2", pointer(platform.ID("par_nordic")), "par_nordic", "", "as it was said"},
		"by staff":              {"owner", "a3", nil, "par_nordic", "", "their partner's customer"},
		"slug that is taken":    {"operator", "acme", nil, "", "CONFLICT slug", "by an index"},
		"unknown partner":       {"operator", "a4", pointer(platform.ID("par_nothing")), "", "There is no partner par_nothing.", "not found"},
		"terminated partner":    {"operator", "a5", pointer(platform.ID("par_gone")), "", "CONFLICT partnerId", "no new customers"},
		"slug that is reserved": {"operator", "admin", nil, "", "INVALID slug", "the law"},
	} {
		in := platform.CreateTenantInput{Slug: test.slug, Name: " Name ", PartnerID: test.partner}
		got, err := platform.Mutate(w.by(t, test.who), w.Platform, in, w.CreateTenant)
		if mended(got, err) != test.want {
			t.Errorf("%s (%s): got %q, want %q", name, test.reason, mended(got, err), test.want)
		}
		if test.want != "" {
			continue
		}
		want := &platform.Tenant{
			Document: platform.Document{ID: got.Object.ID, Version: 1}, Slug: test.slug, Name: "Name", SortName: "name", Status: platform.TenantStatusPending,
			PartnerID: test.of, Plan: platform.PlanStarter, Seats: 5, CreatedAt: noon,
		}
		stored, err := w.store.Tenant(t.Context(), got.Object.ID)
		if diff := cmp.Diff(want, stored); diff != "" || err != nil {
			t.Errorf("%s: %v (- expected, + found):\n%s", name, err, diff)
		}
		now, err := w.ProvisioningOf(t.Context(), want.ID)
		if err != nil || now.Status != platform.ProvisioningStatePending || len(now.Steps) != 4 || now.Sequence != 1 {
			t.Errorf("%s: its steps are %+v, %v; want four that wait", name, now, err)
		}
	}
}

// many fills the world with tenants: every third of nordic, every fifth active,
// several with one name, created two at a time.
func (w *world) many(t testing.TB, n int) {
	t.Helper()
	var seed platform.Seed
	for i := range n {
		tenant := &platform.Tenant{
			Document: platform.Document{ID: platform.ID(fmt.Sprintf("ten_%03d", (i*37)%n))}, Slug: fmt.Sprintf("slug-%d", i),
			Name: fmt.Sprintf("Company %c", 'A'+i%7), Status: platform.TenantStatusPending, CreatedAt: noon.Add(-time.Minute),
		}
		if i%2 == 0 {
			tenant.CreatedAt = noon.Add(-time.Second)
		}
		if i%3 == 0 {
			tenant.PartnerID = "par_nordic"
		}
		if i%5 == 0 {
			tenant.Status = platform.TenantStatusActive
		}
		seed.Tenants = append(seed.Tenants, tenant)
	}
	if err := w.Plant(t.Context(), seed); err != nil {
		t.Fatal(err)
	}
}

// collect walks through all pages of a list of tenants.
func collect(t testing.TB, w *world, ctx context.Context, in platform.TenantsInput) (all []*platform.Tenant) {
	t.Helper()
	in.First = pointer(int32(7))
	for page := 0; ; page++ {
		got, err := w.Tenants(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		if got.PageInfo.HasPreviousPage != (page > 0) || len(got.Nodes()) > 7 {
			t.Errorf("page %d: %+v with %d entries", page, got.PageInfo, len(got.Nodes()))
		}
		all = append(all, got.Nodes()...)
		if !got.PageInfo.HasNextPage {
			if n, err := got.TotalCount(t.Context()); int(n) != len(all) || err != nil {
				t.Errorf("total: got %d, %v; the pages have %d", n, err, len(all))
			}
			return all
		}
		in.After = got.PageInfo.EndCursor
	}
}

func TestListsOfTenants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	w.many(t, 40)
	// The owner is also a member: of a customer of the own partner, and of a stranger.
	add := func(out platform.Writer) error {
		for i, tenant := range []platform.ID{"ten_acme", "ten_globex"} {
			m := &platform.Member{
				Document: platform.Document{ID: platform.ID(fmt.Sprintf("mem_owner%d", i))}, TenantID: tenant, UserID: "usr_owner",
				Role: platform.MemberRoleMember, State: platform.MemberStateActive, JoinedAt: noon,
			}
			if err := out.PutMember(t.Context(), m); err != nil {
				return err
			}
		}
		return nil
	}
	if err := w.store.Change(t.Context(), platform.AuditEvent{Document: platform.Document{ID: "aud_add"}, At: noon}, add); err != nil {
		t.Fatal(err)
	}
	every, err := w.store.Tenants(t.Context(), platform.TenantScope{All: true}, platform.TenantQuery{Page: platform.Page{First: 1000}})
	if err != nil || len(every.Items) != 42 {
		t.Fatalf("%d tenants, %v", len(every.Items), err)
	}
	for name, sees := range map[string]func(*platform.Tenant) bool{
		"operator": func(*platform.Tenant) bool { return true },
		"owner":    func(x *platform.Tenant) bool { return x.PartnerID == "par_nordic" || x.ID == "ten_globex" },
		"support":  func(x *platform.Tenant) bool { return x.PartnerID == "par_nordic" },
		"admin":    func(x *platform.Tenant) bool { return x.ID == "ten_acme" },
		"stranger": func(*platform.Tenant) bool { return false },
	} {
		for _, order := range []platform.TenantOrder{"", platform.TenantOrderNewest} {
			for _, status := range []platform.TenantStatus{"", platform.TenantStatusActive} {
				for _, search := range []string{"", "Comp", "company b", "SLUG 1", "nobody", "-"} {
					in := platform.TenantsInput{OrderBy: &order, Search: &search}
					if status != "" {
						in.Filter = &platform.TenantFilter{Status: &status}
					}
					want := slices.DeleteFunc(slices.Clone(every.Items), func(x *platform.Tenant) bool {
						return !sees(x) || status != "" && x.Status != status || !found(x, search)
					})
					slices.SortFunc(want, func(a, b *platform.Tenant) int {
						if order == platform.TenantOrderNewest {
							return -strings.Compare(a.CreatedAt.String()+string(a.ID), b.CreatedAt.String()+string(b.ID))
						}
						return strings.Compare(a.Name+"\x00"+string(a.ID), b.Name+"\x00"+string(b.ID))
					})
					got := collect(t, w, w.by(t, name), in)
					if diff := cmp.Diff(idsOf(want), idsOf(got)); diff != "" {
						t.Errorf("%s, order %q, status %q, search %q (- expected, + found):\n%s", name, order, status, search, diff)
					}
				}
			}
		}
	}
}

// found says whether each word of a search begins a word of name or slug. What
// has signs alone finds nothing.
func found(x *platform.Tenant, search string) bool {
	split := func(r rune) bool { return r == ' ' || r == '-' }
	words := strings.FieldsFunc(strings.ToLower(x.Name+" "+x.Slug), split)
	if search == "-" {
		return false
	}
	for _, s := range strings.FieldsFunc(strings.ToLower(search), split) {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, s) }) {
			return false
		}
	}
	return true
}

func idsOf(all []*platform.Tenant) []platform.ID {
	ids := []platform.ID{}
	for _, x := range all {
		ids = append(ids, x.ID)
	}
	return ids
}

func TestCursorsOfTenants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	page, err := w.Tenants(w.by(t, "operator"), platform.TenantsInput{First: pointer(int32(1))})
	if err != nil {
		t.Fatal(err)
	}
	newest := platform.TenantOrderNewest
	if _, err := w.Tenants(w.by(t, "operator"), platform.TenantsInput{After: page.PageInfo.EndCursor, OrderBy: &newest}); code(err) != platform.Invalid {
		t.Errorf("a cursor of another order: got %v, want INVALID", err)
	}
	// A cursor is a place and no right: it shows a stranger nothing.
	got, err := w.Tenants(w.by(t, "globex"), platform.TenantsInput{After: page.PageInfo.EndCursor})
	if err != nil || len(got.Nodes()) != 1 || got.Nodes()[0].ID != "ten_globex" {
		t.Errorf("another's cursor: got %v, %v; want globex alone", got, err)
	}
	if _, err := w.Tenants(t.Context(), platform.TenantsInput{}); code(err) != platform.Unauthenticated {
		t.Errorf("without a caller: got %v", err)
	}
}
