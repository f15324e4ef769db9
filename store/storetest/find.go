package storetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

func operators(t *testing.T, db Database) {
	e := fresh(t, db)
	insert(t, e, things,
		doc("thi_a", fields{"name": "Anna", "rank": 1, "open": true, "place": fields{"desk": 7}}),
		doc("thi_b", fields{"name": "anna", "rank": -2, "open": false}),
		doc("thi_c", fields{"name": "Änne", "rank": 3}),
		doc("thi_d", fields{"name": "An%_*.", "rank": 9007199254740993}),
		doc("thi_e", fields{"name": nil, "rank": nil}),
		doc("thi_f", nil),
		doc("thi_g", fields{"name": "", "rank": 0}),
	)
	type kind string
	for _, test := range []struct {
		where  []store.Condition
		want   string
		reason string
	}{
		{where: where(), want: "abcdefg", reason: "no condition holds for all"},
		{where: where(is("name", store.Eq, "Anna")), want: "a", reason: "texts differ in case"},
		{where: where(is("name", store.Eq, kind("Anna"))), want: "a", reason: "a named type is what it is made of"},
		{where: where(is("name", store.Eq, "")), want: "g", reason: "an empty text is there"},
		{where: where(is("name", store.Eq, nil)), want: "ef", reason: "null and missing are the same"},
		{where: where(is("rank", store.Eq, 1)), want: "a"},
		{where: where(is("rank", store.Eq, 0)), want: "g", reason: "zero is there"},
		{where: where(is("rank", store.Eq, int64(9007199254740993))), want: "d", reason: "a number has 64 bits"},
		{where: where(is("rank", store.Eq, int64(9007199254740992))), want: ""},
		{where: where(is("rank", store.Eq, "1")), want: "", reason: "a number is no text"},
		{where: where(is("open", store.Eq, true)), want: "a"},
		{where: where(is("open", store.Eq, false)), want: "b", reason: "missing is not false"},
		{where: where(is("place.desk", store.Eq, 7)), want: "a"},
		{where: where(is("id", store.Eq, platform.ID("thi_c"))), want: "c"},
		{where: where(is("name", store.In, "Anna", "Änne", "Zoe")), want: "ac"},
		{where: where(is("name", store.In, "Anna", nil)), want: "aef"},
		{where: where(is("name", store.In, "Anna", "Anna")), want: "a", reason: "a set"},
		{where: where(is("name", store.In)), want: "", reason: "one of nothing is nothing"},
		{where: where(is("name", store.In, nil)), want: "ef"},
		{where: where(is("rank", store.In, 1, 3)), want: "ac"},
		{where: where(is("open", store.In, true, false)), want: "ab"},
		{where: where(is("id", store.In, "thi_b", "thi_a", "thi_x")), want: "ab"},
		{where: where(is("rank", store.Lt, 1)), want: "bg", reason: "null is less than nothing"},
		{where: where(is("rank", store.Lte, 1)), want: "abg"},
		{where: where(is("rank", store.Gt, 1)), want: "cd"},
		{where: where(is("rank", store.Gte, 1)), want: "acd"},
		{where: where(is("rank", store.Gt, nil)), want: ""},
		{where: where(is("rank", store.Lte, nil)), want: ""},
		{where: where(is("rank", store.Gte, -2), is("rank", store.Lt, 1)), want: "bg"},
		{where: where(is("name", store.Gt, "Anna")), want: "bc", reason: "texts are compared by their bytes"},
		{where: where(is("name", store.Prefix, "An")), want: "ad"},
		{where: where(is("name", store.Prefix, "An%_")), want: "d", reason: "no sign in it means anything"},
		{where: where(is("name", store.Prefix, "An*")), want: ""},
		{where: where(is("name", store.Prefix, "An.")), want: ""},
		{where: where(is("name", store.Prefix, "Ä")), want: "c"},
		{where: where(is("name", store.Prefix, "")), want: "abcdg", reason: "every text begins with nothing; null is no text"},
		{where: where(is("name", store.Prefix, "A"), is("open", store.Eq, nil)), want: "d"},
	} {
		got := ""
		for _, d := range find(t, e, things, store.Query{Where: test.where}) {
			got += strings.TrimPrefix(string(d.ID), "thi_")
		}
		if got != test.want {
			t.Errorf("%+v: found %q, want %q (%s)", test.where, got, test.want, test.reason)
		}
		rows, err := e.Sum(t.Context(), things, store.Aggregate{Where: test.where})
		if err != nil || len(rows) != 1 || rows[0].Count != int64(len(test.want)) {
			t.Errorf("%+v: Sum counts %+v, %v, want %d", test.where, rows, err, len(test.want))
		}
	}
}

// row is a document of the page tests, as it is sorted.
type row struct {
	id            platform.ID
	tenant, state string
	name, rank    any
}

func (r row) doc() store.Doc {
	return doc(r.id, fields{"tenantId": r.tenant, "state": r.state, "name": r.name, "rank": r.rank})
}

func (r row) value(sort string) any {
	switch sort {
	case "name":
		return r.name
	case "rank":
		return r.rank
	}
	return nil
}

// compare has nil first, and then the id.
func compare(sort string) func(a, b row) int {
	return func(a, b row) int {
		byID := cmp.Compare(a.id, b.id)
		switch x := a.value(sort).(type) {
		case string:
			if y, ok := b.value(sort).(string); ok {
				return cmp.Or(strings.Compare(x, y), byID)
			}
		case int64:
			if y, ok := b.value(sort).(int64); ok {
				return cmp.Or(cmp.Compare(x, y), byID)
			}
		}
		there := func(r row) int {
			if r.value(sort) == nil {
				return 0
			}
			return 1
		}
		return cmp.Or(there(a)-there(b), byID)
	}
}

// rows have few values, so that many are equal, and some without.
func rows(n int) []row {
	random := rand.New(rand.NewPCG(1, 2)) // the same in every run
	names := []any{nil, "", "Anna", "anna", "Änne", "Zoe", "Zoe 2"}
	ranks := []any{nil, int64(-5), int64(0), int64(3), int64(20)}
	all := make([]row, n)
	for i := range all {
		all[i] = row{
			id:     platform.ID(fmt.Sprintf("thi_%04d", random.IntN(10)*1000+i)),
			tenant: fmt.Sprint("ten_", random.IntN(3)),
			state:  fmt.Sprint("state", random.IntN(2)),
			name:   names[random.IntN(len(names))],
			rank:   ranks[random.IntN(len(ranks))],
		}
	}
	return all
}

// walk reads all pages of q, and calls between after each.
func walk(t testing.TB, e store.Engine, q store.Query, between func()) []platform.ID {
	t.Helper()
	all := []platform.ID{}
	for {
		page := find(t, e, things, q)
		if q.Limit > 0 && len(page) > q.Limit {
			t.Fatalf("%+v: a page of %d", q, len(page))
		}
		all = append(all, idsOf(page)...)
		if q.Limit == 0 || len(page) < q.Limit {
			return all
		}
		last := page[len(page)-1]
		q.After = &store.Mark{ID: last.ID, Value: valueIn(t, last, q.Sort)}
		if between != nil {
			between()
		}
	}
}

func valueIn(t testing.TB, d store.Doc, field string) any {
	t.Helper()
	var body struct {
		Name *string
		Rank *int64
	}
	if err := json.Unmarshal(d.Body, &body); err != nil {
		t.Fatalf("body of %s: %v", d.ID, err)
	}
	switch {
	case field == "name" && body.Name != nil:
		return *body.Name
	case field == "rank" && body.Rank != nil:
		return *body.Rank
	}
	return nil
}

func pages(t *testing.T, db Database) {
	e, all := fresh(t, db), rows(60)
	for _, r := range all {
		insert(t, e, things, r.doc())
	}
	for _, filter := range []struct {
		where []store.Condition
		keep  func(r row) bool
	}{
		{nil, func(row) bool { return true }},
		{where(is("tenantId", store.Eq, "ten_1")), func(r row) bool { return r.tenant == "ten_1" }},
		{where(is("tenantId", store.In, "ten_0", "ten_2", "ten_9", "ten_2")), func(r row) bool { return r.tenant != "ten_1" }},
		{where(is("tenantId", store.In, "ten_0", "ten_1"), is("state", store.In, "state0", "state1"), is("rank", store.Gte, 0)), func(r row) bool {
			rank, ok := r.rank.(int64)
			return r.tenant != "ten_2" && ok && rank >= 0
		}},
		{where(is("tenantId", store.Eq, "ten_1"), is("rank", store.Eq, 3)), func(r row) bool { return r.tenant == "ten_1" && r.rank == int64(3) }},
		{where(is("tenantId", store.Eq, "ten_1"), is("rank", store.Eq, nil)), func(r row) bool { return r.tenant == "ten_1" && r.rank == nil }},
		{where(is("rank", store.In, 3, nil)), func(r row) bool { return r.rank == int64(3) || r.rank == nil }},
		{where(is("tenantId", store.Eq, "ten_1"), is("search", store.Word, "zoe")), func(r row) bool {
			return r.tenant == "ten_1" && (r.name == "Zoe" || r.name == "Zoe 2")
		}},
	} {
		for _, sort := range []string{"", "id", "name", "rank"} {
			for _, desc := range []bool{false, true} {
				kept := slices.DeleteFunc(slices.Clone(all), func(r row) bool { return !filter.keep(r) })
				slices.SortFunc(kept, compare(sort))
				if desc {
					slices.Reverse(kept)
				}
				want := []platform.ID{}
				for _, r := range kept {
					want = append(want, r.id)
				}
				for _, limit := range []int{0, 3, 1000} {
					q := store.Query{Where: filter.where, Sort: sort, Desc: desc, Limit: limit}
					if diff := gocmp.Diff(want, walk(t, e, q, nil)); diff != "" {
						t.Fatalf("pages of %+v (- expected, + found):\n%s", q, diff)
					}
				}
			}
		}
	}
}

// pagesWhileRowsChange: what is there all the time comes exactly once.
func pagesWhileRowsChange(t *testing.T, db Database) {
	for _, sort := range []string{"", "name", "rank"} {
		for _, desc := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v", sort, desc), func(t *testing.T) {
				t.Parallel()
				e, all := fresh(t, db), rows(70)
				for _, r := range all[:50] {
					r.tenant = "ten_1"
					insert(t, e, things, r.doc())
				}
				come, went := all[50:], 0
				got := walk(t, e, store.Query{Where: where(is("tenantId", store.Eq, "ten_1")), Sort: sort, Desc: desc, Limit: 5}, func() {
					for range min(3, len(come)) {
						come[0].tenant = "ten_1"
						insert(t, e, things, come[0].doc())
						come = come[1:]
					}
					for range 3 {
						if went < 25 {
							remove(t, e, things, at(1, all[went].doc()))
							went++
						}
					}
				})
				times := map[platform.ID]int{}
				for _, id := range got {
					if times[id]++; times[id] > 1 {
						t.Errorf("%s came twice", id)
					}
				}
				for _, r := range all[25:50] {
					if times[r.id] != 1 {
						t.Errorf("%s was there all the time and came %d times", r.id, times[r.id])
					}
				}
			})
		}
	}
}

func firstOfEach(t *testing.T, db Database) {
	e, all := fresh(t, db), rows(60)
	for _, r := range all {
		insert(t, e, things, r.doc())
	}
	for _, conditions := range [][]store.Condition{
		nil,
		where(is("state", store.Eq, "state1")),
		where(is("state", store.In, "state0", "state1"), is("rank", store.Gt, 0)),
		where(is("search", store.Word, "zoe")),
	} {
		for _, sort := range []string{"", "name", "rank"} {
			for _, q := range []store.Query{
				{Where: conditions, Sort: sort, Limit: 1},
				{Where: conditions, Sort: sort, Limit: 5, Desc: true, After: &store.Mark{Value: "Zoe", ID: "thi_0001"}},
				{Where: conditions, Sort: sort},
			} {
				docs, err := e.FindEach(t.Context(), things, "tenantId", []string{"ten_2", "ten_0", "ten_9", "ten_0"}, q)
				if err != nil {
					t.Fatalf("FindEach(%+v): %v", q, err)
				}
				got := map[string][]platform.ID{}
				for _, d := range docs {
					var body struct{ TenantID string }
					if err := json.Unmarshal(d.Body, &body); err != nil {
						t.Fatal(err)
					}
					got[body.TenantID] = append(got[body.TenantID], d.ID)
				}
				want := map[string][]platform.ID{}
				for _, key := range []string{"ten_0", "ten_2"} {
					one := q
					one.After = nil
					one.Where = append(where(is("tenantId", store.Eq, key)), q.Where...)
					if ids := idsOf(find(t, e, things, one)); len(ids) > 0 {
						want[key] = ids
					}
				}
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("FindEach(%+v) (- as Find for each key, + found):\n%s", q, diff)
				}
			}
		}
	}
	docs, err := e.FindEach(t.Context(), things, "tenantId", nil, store.Query{Limit: 3})
	if err != nil || len(docs) != 0 {
		t.Errorf("FindEach of no key: got %v, %v", idsOf(docs), err)
	}
}

func sums(t *testing.T, db Database) {
	e := fresh(t, db)
	insert(t, e, things,
		doc("thi_a", fields{"tenantId": "ten_1", "rank": 3, "place": fields{"desk": 1}}),
		doc("thi_b", fields{"tenantId": "ten_1", "rank": -1}),
		doc("thi_c", fields{"tenantId": "ten_2", "rank": 1 << 53}),
		doc("thi_d", fields{"tenantId": "ten_2", "rank": 1, "place": fields{"desk": 2}}),
		doc("thi_e", fields{"tenantId": "ten_2", "rank": nil}),
		doc("thi_f", fields{"rank": 5}),
	)
	for _, test := range []struct {
		q    store.Aggregate
		want []store.Row
	}{
		{store.Aggregate{}, []store.Row{{Count: 6, Sums: []int64{}}}},
		{store.Aggregate{Sum: []string{"rank", "place.desk"}}, []store.Row{{Count: 6, Sums: []int64{8 + 1<<53, 3}}}},
		{store.Aggregate{Where: where(is("tenantId", store.Eq, "ten_9")), Sum: []string{"rank"}}, []store.Row{{Count: 0, Sums: []int64{0}}}},
		{store.Aggregate{Where: where(is("tenantId", store.Eq, "ten_9")), By: "tenantId"}, nil},
		{store.Aggregate{By: "tenantId", Sum: []string{"rank"}}, []store.Row{
			{Key: nil, Count: 1, Sums: []int64{5}},
			{Key: "ten_1", Count: 2, Sums: []int64{2}},
			{Key: "ten_2", Count: 3, Sums: []int64{1 + 1<<53}},
		}},
		{store.Aggregate{Where: where(is("tenantId", store.In, "ten_1", nil)), By: "rank"}, []store.Row{
			{Key: int64(-1), Count: 1, Sums: []int64{}},
			{Key: int64(3), Count: 1, Sums: []int64{}},
			{Key: int64(5), Count: 1, Sums: []int64{}},
		}},
	} {
		got, err := e.Sum(t.Context(), things, test.q)
		if err != nil {
			t.Fatalf("Sum(%+v): %v", test.q, err)
		}
		slices.SortFunc(got, func(a, b store.Row) int { return strings.Compare(fmt.Sprint(a.Key), fmt.Sprint(b.Key)) })
		slices.SortFunc(test.want, func(a, b store.Row) int { return strings.Compare(fmt.Sprint(a.Key), fmt.Sprint(b.Key)) })
		if diff := gocmp.Diff(test.want, got); diff != "" {
			t.Errorf("Sum(%+v) (- expected, + found):\n%s", test.q, diff)
		}
	}
}

// plans: pages come out of an index in order, also behind a mark.
func plans(t *testing.T, db Database, indexed func(q store.Query, plan []string) error) {
	e := fresh(t, db)
	text, number, none := &store.Mark{Value: "Anna", ID: "thi_1"}, &store.Mark{Value: int64(3), ID: "thi_1"}, &store.Mark{ID: "thi_1"}
	one, some := is("tenantId", store.Eq, "ten_1"), is("tenantId", store.In, "ten_1", "ten_2", "ten_3")
	for _, q := range []store.Query{
		{},
		{After: none},
		{Where: where(is("id", store.Eq, "thi_1"))},
		{Where: where(is("slug", store.Eq, "one"))},
		{Where: where(one), Sort: ""},
		{Where: where(one), Sort: "", After: none},
		{Where: where(one), Sort: "name"},
		{Where: where(one), Sort: "name", After: text},
		{Where: where(one), Sort: "name", After: none},
		{Where: where(one), Sort: "rank", After: number},
		{Where: where(one, is("rank", store.Gte, 3), is("rank", store.Lt, 9)), Sort: "rank"},
		{Where: where(one, is("name", store.Prefix, "An")), Sort: "name", After: text},
		{Where: where(one, is("state", store.Eq, "open")), Sort: "rank", After: number},
		{Where: where(one, is("state", store.In, "open", "busy")), Sort: "rank", After: number},
		{Where: where(one, is("state", store.Eq, nil)), Sort: "rank", After: none},
		{Where: where(one, is("rank", store.Eq, 3)), Sort: "rank", After: number},
		{Where: where(some), Sort: "name"},
		{Where: where(some), Sort: "name", After: text},
		{Where: where(some), Sort: "rank", After: none},
		{Where: where(some, is("state", store.In, "open", "busy", nil)), Sort: "rank"},
	} {
		for _, q.Desc = range []bool{false, true} {
			q.Limit = 50
			plan, err := e.Explain(t.Context(), things, q)
			if err == nil {
				err = indexed(q, plan)
			}
			if err != nil {
				t.Errorf("Explain(%+v): %v\n%s", q, err, strings.Join(plan, "\n"))
			}
		}
	}
	for _, q := range []store.Query{
		{Where: where(is("note", store.Eq, "x"))},
		{Where: where(is("note", store.Eq, "x")), Limit: 50},
		{Sort: "note", Limit: 50},
		{Where: where(is("tenantId", store.Eq, "ten_1")), Sort: "note", Limit: 50},
	} {
		plan, err := e.Explain(t.Context(), things, q)
		if err != nil || indexed(q, plan) == nil {
			t.Errorf("Explain(%+v): that no index serves it is not found out: %v\n%s", q, err, strings.Join(plan, "\n"))
		}
	}
}
