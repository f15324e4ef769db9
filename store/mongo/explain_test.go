package mongo

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/dezky/platform/store"
)

// TestPlansAreRead as 4.0 writes them, and as 5.1 and newer do.
func TestPlansAreRead(t *testing.T) {
	t.Parallel()
	scan := func(name, tenants string) string {
		return `{"stage":"IXSCAN","keyPattern":{"doc.tenantId":1,"doc.name":1,"_id":1},"indexName":"` + name + `","isMultiKey":false,
			"isUnique":false,"direction":"forward","indexBounds":{"doc.tenantId":["` + tenants + `"],"doc.name":["[\"A\", {})"],"_id":["[MinKey, MaxKey]"]}}`
	}
	bounds := func(tenants string) string {
		return `{doc.tenantId: ` + tenants + `; doc.name: ["A", {}); _id: [MinKey, MaxKey]}`
	}
	one, two := `[\"a\", \"a\"]`, `[\"b\", \"b\"]`
	merged := `{"stage":"LIMIT","limitAmount":50,"inputStage":{"stage":"FETCH","filter":{"doc.open":{"$eq":true}},
		"inputStage":{"stage":"SORT_MERGE","sortPattern":{"doc.name":1},"inputStages":[` + scan("name", one) + `,` + scan("name", two) + `]}}}`
	want := []string{
		"LIMIT", `FETCH where {"doc.open": {"$eq": true}}`, "SORT_MERGE",
		"IXSCAN name " + bounds(`["a", "a"]`), "IXSCAN name " + bounds(`["b", "b"]`),
	}
	ids := store.Query{Where: where(cond("id", store.In, "thi_a", "thi_b")), Sort: "name"}
	tenants := store.Query{Where: where(cond("tenantId", store.In, "a", "b")), Sort: "name"}
	sorted := `{"stage":"SORT","sortPattern":{"doc.name":1},"inputStage":{"stage":"SORT_KEY_GENERATOR","inputStage":{"stage":"COLLSCAN"}}}`
	for plan, test := range map[string]struct {
		q    store.Query
		want []string
	}{
		merged:                         {tenants, want},
		`{"queryPlan":` + merged + `}`: {tenants, want},
		sorted:                         {tenants, []string{"SORT", "SORT_KEY_GENERATOR", "COLLSCAN"}},
		sorted + " ":                   {ids, []string{"SORT of the few that are named", "SORT_KEY_GENERATOR", "COLLSCAN"}},
	} {
		s := serveCanned(t)
		e := open(t, s, Options{})
		var won bson.D
		if err := bson.UnmarshalExtJSON([]byte(plan), false, &won); err != nil {
			t.Fatal(err)
		}
		s.on("explain", says(bson.D{{Key: "queryPlanner", Value: bson.D{{Key: "winningPlan", Value: won}}}}))
		got, err := e.Explain(t.Context(), "things", test.q)
		if err != nil {
			t.Errorf("Explain: %v", err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("the plan %s (- expected, + found):\n%s", plan, diff)
		}
	}
}

// TestWhatIsMergedNamesItsIndex: with one value each MongoDB sees by itself which
// index has the order.
func TestWhatIsMergedNamesItsIndex(t *testing.T) {
	t.Parallel()
	c := store.Collection{Name: "things", Indexes: []store.Index{
		{Name: "slug", Fields: []string{"slug"}, Unique: true},
		{Name: "tenant", Fields: []string{"tenantId"}},
		{Name: "name", Fields: []string{"tenantId", "name"}},
		{Name: "state", Fields: []string{"tenantId", "state", "name"}},
		{Name: "search", Fields: []string{"name"}, Words: true, Scope: "tenantId"},
	}}
	one, some := cond("tenantId", store.Eq, "ten_1"), cond("tenantId", store.In, "ten_1", nil)
	states, state := cond("state", store.In, "open", "busy"), cond("state", store.Eq, "open")
	for _, test := range []struct {
		where  []store.Condition
		sort   string
		want   string
		few    bool
		reason string
	}{
		{where: where(one), sort: "name"},
		{where: where(some), sort: "name", want: "name"},
		{where: where(some), want: "tenant"},
		{where: where(some, cond("name", store.Eq, "Anna")), sort: "name", want: "name", reason: "all have one name; the id decides"},
		{where: where(some, states), sort: "name", want: "state", reason: "it leaves out more than the name's"},
		{where: where(some, state), sort: "name", want: "state"},
		{where: where(one, states), sort: "name", reason: "the name's index has the order, and leaves out what the filter does"},
		{where: where(states), sort: "name", reason: "no index begins with the state"},
		{where: where(some), sort: "rank", reason: "no index has this order"},
		{where: where(some, cond("search", store.Word, "anna")), sort: "name", reason: "a search takes the index of its words"},
		{where: where(some, cond("id", store.In, "a", "b")), sort: "name", want: "_id_", few: true},
		{where: where(cond("slug", store.In, "a", "b")), want: "slug", few: true},
		{where: where(cond("slug", store.Eq, "a")), reason: "there is one at most"},
		{where: nil, sort: "name"},
	} {
		q, err := newQuery(c, store.Query{Where: test.where, Sort: test.sort})
		if err != nil || q.hint != test.want || q.few != test.few {
			t.Errorf("%+v by %q: got hint %q, few %v, %v; want %q, %v (%s)", test.where, test.sort, q.hint, q.few, err, test.want, test.few, test.reason)
		}
	}
}

// TestWordsAreCutAlike when they are stored and when they are looked for, in the
// middle of no letter.
func TestWordsAreCutAlike(t *testing.T) {
	t.Parallel()
	long := "x"
	for len(long) < 3000 {
		long += "ö"
	}
	index := things()[0].Indexes[3]
	body, err := toBSON([]byte(`{"name":"` + long + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	words := wordsOf(body, index)
	if len(words) != 1 || len(words[0]) > longestWord || len(words[0]) < longestWord-4 {
		t.Fatalf("the words are %v, want one of about %d bytes", words, longestWord)
	}
	for _, begin := range []string{"xö", long[:longestWord-1], long} {
		clause, err := search{coll: things()[0]}.word("search", begin)
		if err != nil {
			t.Fatal(err)
		}
		within := clause[0].Value.(bson.D)[0].Value.(bson.D)
		from, to := within[0].Value.(string), within[1].Value.(string)
		if from > words[0] || words[0] >= to || slices.Contains([]rune(to), '\uFFFD') {
			t.Errorf("%d bytes are looked for from %q to %q, where %q is not", len(begin), from, to, words[0])
		}
	}
}
