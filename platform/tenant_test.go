package platform

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// noon is when the tests of this package begin.
var noon = At(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))

// refusal is an error in short: its code and its field, or "" for none.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	if ours, ok := errors.AsType[*Error](err); ok {
		return strings.TrimSpace(string(ours.Code) + " " + ours.Field)
	}
	return err.Error()
}

func TestSlug(t *testing.T) {
	t.Parallel()
	const refused = "INVALID slug"
	for slug, test := range map[string]struct{ want, reason string }{
		"acme":                    {reason: "an ordinary one"},
		"a1":                      {reason: "the shortest"},
		strings.Repeat("a", 40):   {reason: "the longest"},
		"acme-north-2":            {reason: "hyphens and digits inside"},
		"tenants":                 {reason: "only begins like a reserved word"},
		"admin-acme":              {reason: "a reserved word as a part is no danger"},
		"":                        {refused, "nothing is no name"},
		"a":                       {refused, "too short"},
		strings.Repeat("a", 41):   {refused, "too long for a label with room before it"},
		"1acme":                   {refused, "begins with a digit"},
		"-acme":                   {refused, "a label of a domain does not begin with a hyphen"},
		"acme-":                   {refused, "nor end with one"},
		"ac--me":                  {refused, "two hyphens are the form of encoded names"},
		"xn--80ak6aa92e":          {refused, "an encoded name shows as another in a browser"},
		"Acme":                    {refused, "capitals would be a second spelling of one name"},
		"acme\n":                  {refused, "a line end at the end must not slip past the pattern"},
		"acme\r\nBcc: a@b.c":      {refused, "a line end inside is an injection"},
		"acme ":                   {refused, "blanks are not trimmed away: the caller must know the name"},
		"ac me":                   {refused, "no blanks"},
		"acme.io":                 {refused, "no dots: one label"},
		"acme_io":                 {refused, "no underscores"},
		"acme/..":                 {refused, "no path"},
		"acme\x00":                {refused, "no zero byte"},
		"\u202eemca":              {refused, "turns round what one reads"},
		"ac\u200bme":              {refused, "zero width"},
		"аcme":                    {refused, "a Cyrillic a is not a Latin one"},
		"acmé":                    {refused, "letters beyond ASCII"},
		"acme\uff0dtwo":           {refused, "a full-width hyphen"},
		"tenant-acme":             {refused, "its group would read tenant-tenant-acme, and acme's tenant-acme"},
		"tenant-":                 {refused, "the prefix of the groups alone"},
		"tenant":                  {refused, "reserved"},
		"dezky":                   {refused, "the platform's own tenant, which is made at the start"},
		"admin":                   {refused, "reserved"},
		"postmaster":              {refused, "RFC 2142"},
		"hostmaster":              {refused, "RFC 2142"},
		"webmaster":               {refused, "RFC 2142"},
		"abuse":                   {refused, "RFC 2142"},
		"noc":                     {refused, "RFC 2142"},
		"security":                {refused, "RFC 2142"},
		"info":                    {refused, "RFC 2142"},
		"marketing":               {refused, "RFC 2142"},
		"sales":                   {refused, "RFC 2142"},
		"support":                 {refused, "RFC 2142"},
		"usenet":                  {refused, "RFC 2142"},
		"news":                    {refused, "RFC 2142"},
		"www":                     {refused, "RFC 2142"},
		"uucp":                    {refused, "RFC 2142"},
		"ftp":                     {refused, "RFC 2142"},
		"autodiscover":            {refused, "mail clients ask this name for their settings"},
		"mta-sts":                 {refused, "mail servers ask this name for a policy"},
		strings.Repeat("a-", 1e5): {refused, "far too long"},
	} {
		tenant := &Tenant{Slug: "before"}
		err := tenant.setSlug(slug)
		if got := refusal(err); got != test.want {
			t.Errorf("slug %.60q (%s): got %q, want %q", slug, test.reason, got, test.want)
		}
		if err == nil && tenant.Slug != slug || err != nil && tenant.Slug != "before" {
			t.Errorf("slug %.60q: the tenant now has %.60q", slug, tenant.Slug)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("slug %.60q: the answer has %d bytes", slug, len(err.Error()))
		}
	}
}

func TestReservedSlugsAreSlugs(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, slug := range reservedSlugs() {
		if !slugForm.MatchString(slug) || len(slug) < shortestSlug || seen[slug] {
			t.Errorf("%q need not be reserved: it is no slug, or stands here twice", slug)
		}
		seen[slug] = true
	}
}

func TestTenantSet(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	number := func(n int32) *int32 { return &n }
	plan := PlanEnterprise
	base := Tenant{Name: "Acme", Plan: PlanStarter, Seats: 5, Industry: "Anvils", BrandColor: "#112233"}
	for name, test := range map[string]struct {
		name, industry, color *string
		plan                  *Plan
		seats                 *int32
		change                func(*Tenant)
		want, reason          string
	}{
		"nothing":           {change: func(*Tenant) {}, reason: "what is absent stays"},
		"name":              {name: text("  Beta  "), change: func(t *Tenant) { t.Name = "Beta" }, reason: "trimmed"},
		"no name":           {name: text(" "), want: "INVALID name", reason: "a name cannot be cleared"},
		"invisible name":    {name: text("Ac\u200bme"), want: "INVALID name", reason: "zero width"},
		"longest name":      {name: text(strings.Repeat("é", 100)), change: func(t *Tenant) { t.Name = strings.Repeat("é", 100) }, reason: "characters, not bytes"},
		"long name":         {name: text(strings.Repeat("é", 101)), want: "INVALID name", reason: "one too many"},
		"plan":              {plan: &plan, change: func(t *Tenant) { t.Plan = PlanEnterprise }, reason: "the schema has checked it"},
		"one seat":          {seats: number(1), change: func(t *Tenant) { t.Seats = 1 }, reason: "the fewest"},
		"most seats":        {seats: number(100_000), change: func(t *Tenant) { t.Seats = 100_000 }, reason: "the most"},
		"no seats":          {seats: number(0), want: "INVALID seats", reason: "a tenant without a seat has no administrator"},
		"negative seats":    {seats: number(-1), want: "INVALID seats", reason: "no such number"},
		"too many seats":    {seats: number(100_001), want: "INVALID seats", reason: "a typing mistake that would be billed"},
		"industry":          {industry: text(" Rockets "), change: func(t *Tenant) { t.Industry = "Rockets" }, reason: "trimmed"},
		"clear industry":    {industry: text(""), change: func(t *Tenant) { t.Industry = "" }, reason: "an empty text clears"},
		"blank industry":    {industry: text("  "), want: "INVALID industry", reason: "blanks are a mistake, not a wish to clear"},
		"long industry":     {industry: text(strings.Repeat("x", 61)), want: "INVALID industry", reason: "one too many"},
		"color":             {color: text("#AbCdEf"), change: func(t *Tenant) { t.BrandColor = "#abcdef" }, reason: "one spelling is stored"},
		"clear color":       {color: text(""), change: func(t *Tenant) { t.BrandColor = "" }, reason: "an empty text clears"},
		"short color":       {color: text("#abc"), want: "INVALID brandColor", reason: "six digits"},
		"color with alpha":  {color: text("#aabbccdd"), want: "INVALID brandColor", reason: "six digits"},
		"color's name":      {color: text("red"), want: "INVALID brandColor", reason: "no names"},
		"color with an end": {color: text("#aabbcc\n"), want: "INVALID brandColor", reason: "a line end must not slip past the pattern"},
		"color with more":   {color: text("#aabbcc;background:url(//evil)"), want: "INVALID brandColor", reason: "it goes into style sheets"},
	} {
		got := base
		if err := got.set(test.name, test.plan, test.seats, test.industry, test.color); refusal(err) != test.want {
			t.Errorf("%s (%s): got error %v, want %q", name, test.reason, err, test.want)
		}
		if test.want != "" {
			continue
		}
		want := base
		test.change(&want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (%s) (- expected, + found):\n%s", name, test.reason, diff)
		}
	}
}

func TestTenantChangeable(t *testing.T) {
	t.Parallel()
	for status, want := range map[TenantStatus]string{
		TenantStatusPending: "", TenantStatusActive: "", TenantStatusSuspended: "",
		TenantStatusDeleting: "CONFLICT", TenantStatusDeleted: "CONFLICT",
	} {
		if got := refusal((&Tenant{Status: status}).changeable()); got != want {
			t.Errorf("%s: got %q, want %q", status, got, want)
		}
	}
}

func TestDesiredDependsOnSlugAndNameAlone(t *testing.T) {
	t.Parallel()
	base := Tenant{Document: Document{ID: "ten_a"}, Slug: "acme", Name: "Acme"}
	for reason, test := range map[string]struct {
		change func(*Tenant)
		raised bool
	}{
		"the name stands outside":         {func(t *Tenant) { t.Name = "Beta" }, true},
		"a color does not":                {func(t *Tenant) { t.BrandColor = "#000000" }, false},
		"nor do seats":                    {func(t *Tenant) { t.Seats = 9 }, false},
		"nor does turning active":         {func(t *Tenant) { t.Status = TenantStatusActive }, false},
		"nor does a version by the store": {func(t *Tenant) { t.Version = 3 }, false},
	} {
		other := base
		test.change(&other)
		if got := other.Desired() != base.Desired(); got != test.raised {
			t.Errorf("%s: raised is %v", reason, got)
		}
	}
	if got := base.Desired().Group(); got != "tenant-acme" {
		t.Errorf("the group is %q, want tenant-acme", got)
	}
}

func TestTenantsInput(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	number := func(n int32) *int32 { return &n }
	active, newest, cursor := TenantStatusActive, TenantOrderNewest, Cursor("x")
	for name, test := range map[string]struct {
		in   TenantsInput
		want TenantQuery
		err  string
	}{
		"nothing":           {in: TenantsInput{}, want: TenantQuery{Page: Page{First: 20}}},
		"everything":        {in: TenantsInput{number(3), &cursor, &TenantFilter{&active}, text(" Acme "), &newest}, want: TenantQuery{active, "Acme", newest, Page{3, cursor}}},
		"an empty search":   {in: TenantsInput{Search: text("")}, want: TenantQuery{Page: Page{First: 20}}},
		"a blank search":    {in: TenantsInput{Search: text("  ")}, want: TenantQuery{Page: Page{First: 20}}},
		"a long search":     {in: TenantsInput{Search: text(strings.Repeat("x", 101))}, err: "INVALID search"},
		"an unseen search":  {in: TenantsInput{Search: text("a\u200b")}, err: "INVALID search"},
		"an empty page":     {in: TenantsInput{First: number(0)}, err: "INVALID first"},
		"an enormous page":  {in: TenantsInput{First: number(101)}, err: "INVALID first"},
		"a filter with nil": {in: TenantsInput{Filter: &TenantFilter{}}, want: TenantQuery{Page: Page{First: 20}}},
	} {
		got, err := test.in.query()
		if refusal(err) != test.err {
			t.Errorf("%s: got error %v, want %q", name, err, test.err)
		}
		if diff := cmp.Diff(test.want, got); err == nil && diff != "" {
			t.Errorf("%s (- expected, + found):\n%s", name, diff)
		}
	}
}
