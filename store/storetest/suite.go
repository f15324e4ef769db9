// Package storetest is what every engine of the store promises, as tests. It
// knows of no engine: what one cannot do, the others do not promise either.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// Database makes an empty database for one test. Each call of open is another
// engine on it, which stands for another process; the test's end closes them.
type Database func(t testing.TB) (open func() store.Engine)

// Run tests an engine. Indexed says what is wrong with the plan of a page that
// has to come out of an index in order, or nil.
func Run(t *testing.T, db Database, indexed func(q store.Query, plan []string) error) {
	for name, test := range map[string]func(*testing.T, Database){
		"versions":                  versions,
		"stale":                     stale,
		"duplicates":                duplicates,
		"absent is not a duplicate": absentIsNoDuplicate,
		"one of forty":              oneOfForty,
		"increments":                increments,
		"own writes":                ownWrites,
		"rollback":                  rollback,
		"a failure ends it":         failureEnds,
		"cancelled":                 cancelled,
		"panic":                     panics,
		"unknown names":             unknownNames,
		"operators":                 operators,
		"pages":                     pages,
		"pages while rows change":   pagesWhileRowsChange,
		"first of each":             firstOfEach,
		"sums":                      sums,
		"words":                     words,
		"words follow":              wordsFollow,
		"watch":                     watchOrder,
		"watch says where":          watchStands,
		"watch resumes":             watchResumes,
		"watch has no gap":          watchPruned,
		"watch sees commits":        watchCommits,
		"watch ends":                watchEnds,
		"beat":                      beat,
		"indexes":                   indexes,
		"closed":                    closed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, db)
		})
	}
	t.Run("plans", func(t *testing.T) {
		t.Parallel()
		plans(t, db, indexed)
	})
}

const things, others, events, sessions = "things", "others", "events", "sessions"

// collections are those of the tests.
func collections() []store.Collection {
	return []store.Collection{
		{Name: things, Indexes: []store.Index{
			{Name: "slug", Fields: []string{"slug"}, Unique: true},
			{Name: "desk", Fields: []string{"tenantId", "place.desk"}, Unique: true},
			{Name: "name", Fields: []string{"tenantId", "name"}},
			{Name: "rank", Fields: []string{"tenantId", "rank"}},
			{Name: "tenant", Fields: []string{"tenantId"}},
			{Name: "state", Fields: []string{"tenantId", "state", "rank"}},
			{Name: "search", Fields: []string{"name", "note"}, Words: true, Scope: "tenantId"},
		}},
		{Name: others},
		{Name: events},
		{Name: sessions},
	}
}

// fresh is an engine on an empty database with the collections of the tests.
func fresh(t testing.TB, db Database) store.Engine {
	t.Helper()
	return handles(t, db, 1)[0]
}

// handles are several engines on one database.
func handles(t testing.TB, db Database, n int) []store.Engine {
	t.Helper()
	open := db(t)
	var engines []store.Engine
	for range n {
		e := open()
		if err := e.EnsureIndexes(t.Context(), collections()); err != nil {
			t.Fatalf("EnsureIndexes: %v", err)
		}
		engines = append(engines, e)
	}
	return engines
}

// fields are a document without its id.
type fields map[string]any

func doc(id platform.ID, f fields) store.Doc {
	all := maps.Clone(f)
	if all == nil {
		all = fields{}
	}
	all["id"] = id
	body, err := json.Marshal(all)
	if err != nil {
		panic(err) // a test's own mistake
	}
	return store.Doc{ID: id, Body: body}
}

// at is the document at a version.
func at(version int64, d store.Doc) store.Doc {
	d.Version = version
	return d
}

func insert(t testing.TB, e store.Engine, coll string, docs ...store.Doc) {
	t.Helper()
	err := e.Tx(t.Context(), func(tx store.Tx) error { return insertIn(t.Context(), tx, coll, docs...) })
	if err != nil {
		t.Fatalf("insert %v into %s: %v", idsOf(docs), coll, err)
	}
}

func insertIn(ctx context.Context, tx store.Tx, coll string, docs ...store.Doc) error {
	for _, d := range docs {
		if err := tx.Insert(ctx, coll, d); err != nil {
			return err
		}
	}
	return nil
}

func remove(t testing.TB, e store.Engine, coll string, docs ...store.Doc) {
	t.Helper()
	err := e.Tx(t.Context(), func(tx store.Tx) error {
		for _, d := range docs {
			if err := tx.Delete(t.Context(), coll, d.ID, d.Version); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("delete %v from %s: %v", idsOf(docs), coll, err)
	}
}

func find(t testing.TB, r store.Reader, coll string, q store.Query) []store.Doc {
	t.Helper()
	docs, err := r.Find(t.Context(), coll, q)
	if err != nil {
		t.Fatalf("Find(%s, %+v): %v", coll, q, err)
	}
	return docs
}

// stored wants exactly these documents to be in the collection, with versions.
func stored(t testing.TB, r store.Reader, coll string, want ...store.Doc) {
	t.Helper()
	got := find(t, r, coll, store.Query{})
	if diff := cmp.Diff(shown(want), shown(got)); diff != "" {
		t.Errorf("in %s (- expected, + found):\n%s", coll, diff)
	}
}

// shown is documents to compare: engines may write JSON as they like.
func shown(docs []store.Doc) []map[string]any {
	all := []map[string]any{}
	for _, d := range docs {
		one := map[string]any{}
		if err := json.Unmarshal(d.Body, &one); err != nil {
			one["body"] = string(d.Body)
		}
		one["(id)"], one["(version)"] = d.ID, d.Version
		all = append(all, one)
	}
	return all
}

func idsOf(docs []store.Doc) []platform.ID {
	ids := []platform.ID{}
	for _, d := range docs {
		ids = append(ids, d.ID)
	}
	return ids
}

func sortedIDs(docs []store.Doc) []platform.ID { return slices.Sorted(slices.Values(idsOf(docs))) }

func is(field string, op store.Op, values ...any) store.Condition {
	return store.Condition{Field: field, Op: op, Values: values}
}

func where(all ...store.Condition) []store.Condition { return all }

// wantDuplicate wants err to name the index.
func wantDuplicate(t testing.TB, what string, err error, index string) {
	t.Helper()
	dup, ok := errors.AsType[*store.DuplicateError](err)
	if !ok || dup.Coll != things || dup.Index != index {
		t.Errorf("%s: got %v, want a DuplicateError of %s, index %s", what, err, things, index)
	}
}

func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}
