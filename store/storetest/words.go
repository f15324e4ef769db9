package storetest

import (
	"strings"
	"testing"

	"github.com/dezky/platform/store"
)

func words(t *testing.T, db Database) {
	e := fresh(t, db)
	insert(t, e, things,
		doc("thi_a", fields{"tenantId": "ten_1", "name": "Anna Müller-Lüdenscheidt", "note": "Sales, 2nd floor"}),
		doc("thi_b", fields{"tenantId": "ten_1", "name": "ANNABEL o'Neill", "note": "anna@müller.example"}),
		doc("thi_c", fields{"tenantId": "ten_2", "name": "Anna Anna anna", "note": nil}),
		doc("thi_d", fields{"tenantId": "ten_2", "name": 42, "note": "हिन्दी Ελλάδα 東京 Straße"}),
		doc("thi_e", fields{"name": "Anna without a tenant"}),
		doc("thi_f", fields{"tenantId": "ten_1"}),
	)
	word := func(all ...string) (conditions []store.Condition) {
		for _, w := range all {
			conditions = append(conditions, is("search", store.Word, w))
		}
		return conditions
	}
	of := func(tenant any, all ...string) []store.Condition {
		return append(word(all...), is("tenantId", store.Eq, tenant))
	}
	for _, test := range []struct {
		where  []store.Condition
		want   string
		reason string
	}{
		{where: word("anna"), want: "abce", reason: "without a scope, everywhere"},
		{where: of("ten_1", "anna"), want: "ab"},
		{where: of("ten_2", "anna"), want: "c", reason: "a document comes once, however often the word"},
		{where: of("ten_3", "anna"), want: ""},
		{where: of(nil, "anna"), want: "e", reason: "no tenant is a scope like another"},
		{where: of("ten_1", "annab"), want: "b"},
		{where: of("ten_1", "nna"), want: "", reason: "the middle of a word is not its beginning"},
		{where: of("ten_1", "anna", "mül"), want: "ab", reason: "each word in any field"},
		{where: of("ten_1", "lü", "sal", "2"), want: "a"},
		{where: of("ten_1", "neill"), want: "b"},
		{where: of("ten_1", "anna", "nobody"), want: ""},
		{where: word("हिन्दी"), want: "d", reason: "marks belong to their letters"},
		{where: word("ελλ"), want: "d", reason: "lower case is everyone's"},
		{where: word("東"), want: "d"},
		{where: word("straße"), want: "d"},
		{where: word("42"), want: "", reason: "a number is no text"},
		{where: word("a%"), want: "", reason: "no sign in it means anything"},
		{where: append(of("ten_1", "anna"), is("note", store.Prefix, "S")), want: "a"},
	} {
		for _, desc := range []bool{false, true} {
			got := ""
			for _, d := range find(t, e, things, store.Query{Where: test.where, Desc: desc}) {
				got += strings.TrimPrefix(string(d.ID), "thi_")
			}
			want := test.want
			if desc {
				want = reversed(want)
			}
			if got != want {
				t.Errorf("%+v: found %q, want %q (%s)", test.where, got, want, test.reason)
			}
		}
	}
	long := strings.Repeat("ö", 1500)
	insert(t, e, things, doc("thi_long", fields{"tenantId": "ten_1", "note": long + " and more"}))
	for _, begin := range []string{"öö", long, "more"} {
		if got := find(t, e, things, store.Query{Where: of("ten_1", begin)}); len(got) != 1 {
			t.Errorf("a long word, by %d of its bytes: found %v, want thi_long", len(begin), idsOf(got))
		}
	}
	rows, err := e.Sum(t.Context(), things, store.Aggregate{Where: of("ten_1", "anna")})
	if err != nil || len(rows) != 1 || rows[0].Count != 2 {
		t.Errorf("Sum of the word anna: got %+v, %v, want 2", rows, err)
	}
}

func reversed(s string) string {
	out := ""
	for _, r := range s {
		out = string(r) + out
	}
	return out
}

// wordsFollow: what is found is what is stored now.
func wordsFollow(t *testing.T, db Database) {
	ctx, e := t.Context(), fresh(t, db)
	check := func(when string, want map[string]string) {
		t.Helper()
		for at, id := range want {
			tenant, word, _ := strings.Cut(at, " ")
			got := ""
			for _, d := range find(t, e, things, store.Query{Where: where(is("search", store.Word, word), is("tenantId", store.Eq, tenant))}) {
				got += string(d.ID)
			}
			if got != id {
				t.Errorf("%s, %q in %s finds %q, want %q", when, word, tenant, got, id)
			}
		}
	}
	replace := func(version int64, f fields) {
		t.Helper()
		err := e.Tx(ctx, func(tx store.Tx) error { return tx.Replace(ctx, things, at(version, doc("thi_a", f))) })
		wantError(t, "Replace", err, nil)
	}
	insert(t, e, things, doc("thi_a", fields{"tenantId": "ten_1", "name": "Anna Berg"}))
	replace(1, fields{"tenantId": "ten_1", "name": "Anna Tal"})
	check("after a new name", map[string]string{"ten_1 anna": "thi_a", "ten_1 berg": "", "ten_1 tal": "thi_a"})
	replace(2, fields{"tenantId": "ten_2", "name": "Anna Tal"})
	check("after a move", map[string]string{"ten_1 anna": "", "ten_2 anna": "thi_a"})
	replace(3, fields{"tenantId": "ten_2", "note": "Anna"})
	check("after a move to another field", map[string]string{"ten_2 anna": "thi_a", "ten_2 tal": ""})
	replace(4, fields{"tenantId": "ten_2"})
	check("after the text went", map[string]string{"ten_2 anna": ""})
	replace(5, fields{"tenantId": "ten_2", "name": "Anna"})
	remove(t, e, things, at(6, doc("thi_a", nil)))
	check("after the delete", map[string]string{"ten_2 anna": ""})
	insert(t, e, things, doc("thi_a", fields{"tenantId": "ten_2", "name": "Zoe"}))
	check("after a new one with the old id", map[string]string{"ten_2 anna": "", "ten_2 zoe": "thi_a"})
}
