package platform_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// TestWhatIsNotSeenIsNotThere wants the same words for what is there and not
// for the caller as for what is not there.
func TestWhatIsNotSeenIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	ctx := w.by(t, "globex")
	for name, target := range map[string]func(there bool) (platform.Target, string){
		"by ID":   func(b bool) (platform.Target, string) { return platform.Target{TenantID: id(b)}, string(id(b)) },
		"by slug": func(b bool) (platform.Target, string) { return platform.Target{TenantSlug: slug(b)}, slug(b) },
		"by both": func(b bool) (platform.Target, string) {
			return platform.Target{TenantID: id(b), TenantSlug: "globex"}, string(id(b))
		},
		"by a partner": func(b bool) (platform.Target, string) {
			partner := platform.ID("par_nothing")
			if b {
				partner = "par_nordic"
			}
			return platform.Target{PartnerID: partner}, string(partner)
		},
	} {
		for _, mutating := range []bool{false, true} {
			var answers [2]string
			for i, there := range []bool{false, true} {
				on, named := target(there)
				rule := platform.RuleTenantMember
				if on.PartnerID != "" {
					rule = platform.RulePartnerStaff
				}
				err := w.Admit(ctx, rule, on, mutating)
				answers[i] = strings.ReplaceAll(fmt.Sprint(code(err), err), named, "X")
			}
			if answers[0] != answers[1] || !strings.HasPrefix(answers[0], "NOT_FOUND") {
				t.Errorf("%s: what is not there is %q, and what is not seen %q", name, answers[0], answers[1])
			}
		}
	}
	if err := w.Admit(ctx, platform.RuleTenantMember, platform.Target{}, false); code(err) != platform.NotFound {
		t.Errorf("about nothing: got %v, want NOT_FOUND", err)
	}
}

func id(there bool) platform.ID {
	if there {
		return "ten_acme"
	}
	return "ten_nothing"
}

func slug(there bool) string {
	if there {
		return "acme"
	}
	return "nothing"
}

func TestNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	for _, tenant := range []platform.ID{"ten_acme", ""} {
		event := platform.AuditEvent{Document: platform.Document{ID: "aud_" + tenant + "x"}, At: noon, TenantID: tenant}
		if err := w.store.Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		id     platform.ID
		seenBy string
	}{
		{"ten_acme", "operator owner support admin member"},
		{"ten_globex", "operator globex"},
		{"par_nordic", "operator owner support"},
		{"usr_member", "operator member"},
		{"mem_member", "operator owner support admin member"},
		{"mem_globex", "operator globex"},
		{"sub_acme", "operator owner support admin member"},
		{"aud_ten_acmex", "operator owner support admin"},
		{"aud_x", "operator"},
		{"ten_nothing", ""},
		{"par_nothing", ""},
		{"mem_nothing", ""},
		{"nonsense", ""},
		{"ses_x", ""},
		{"", ""},
		{platform.ID("ten_" + strings.Repeat("a", 1<<16)), ""},
	} {
		for _, name := range []string{"operator", "owner", "support", "admin", "member", "globex", "stranger"} {
			node, err := w.Node(w.by(t, name), test.id)
			sees := strings.Contains(" "+test.seenBy+" ", " "+name+" ")
			if sees != (node != nil && err == nil) {
				t.Errorf("%.40s for %s: got %v, %v; want it seen: %v", test.id, name, node, err, sees)
			}
			if !sees && (code(err) != platform.NotFound || !strings.HasPrefix(err.Error(), "There is nothing with the ID "+string(test.id[:min(40, len(test.id))])) || len(err.Error()) > 100) {
				t.Errorf("%.40s for %s: got %.200v; want the same words for everything", test.id, name, err)
			}
		}
		if _, err := w.Node(t.Context(), test.id); code(err) != platform.Unauthenticated {
			t.Errorf("%.40s without a caller: got %v", test.id, err)
		}
	}
}

func TestWhatCannotBeReadAdmitsNobody(t *testing.T) {
	t.Parallel()
	s := wrapped(t, func(e store.Engine) store.Engine { return e })
	w := worldOn(t, s)
	w.plant(t)
	admin, owner := w.by(t, "admin"), w.by(t, "owner")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, rule := range []platform.Rule{platform.RuleTenantMember, platform.RuleTenantAdmin, platform.RulePartnerStaff} {
		for _, ctx := range []struct {
			name string
			err  error
		}{
			{"admin", w.Admit(admin, rule, platform.Target{TenantID: "ten_acme"}, false)},
			{"owner", w.Admit(owner, rule, platform.Target{TenantID: "ten_acme"}, false)},
		} {
			if code(ctx.err) != platform.Unavailable {
				t.Errorf("@%s for %s without a database: got %v, want UNAVAILABLE", rule, ctx.name, ctx.err)
			}
		}
	}
	if _, err := w.SignIn(t.Context(), platform.Identity{Subject: "admin"}, platform.From{}); code(err) != platform.Unavailable {
		t.Errorf("sign-in without a database: got %v", err)
	}
}
