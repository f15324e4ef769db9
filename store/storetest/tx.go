package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

func versions(t *testing.T, db Database) {
	ctx, e := t.Context(), fresh(t, db)
	a, b := doc("thi_a", fields{"name": "one"}), doc("thi_b", fields{"name": "other"})
	insert(t, e, things, a, b)
	stored(t, e, things, at(1, a), at(1, b))

	changed := doc("thi_a", fields{"name": "two", "note": `quotes ' " and Ünïcode 🙂`})
	err := e.Tx(ctx, func(tx store.Tx) error { return tx.Replace(ctx, things, at(1, changed)) })
	wantError(t, "Replace at version 1", err, nil)
	stored(t, e, things, at(2, changed), at(1, b))

	docs, err := e.Get(ctx, things, []platform.ID{"thi_b", "thi_none", "thi_a"})
	wantError(t, "Get", err, nil)
	if diff := cmp.Diff([]platform.ID{"thi_a", "thi_b"}, sortedIDs(docs)); diff != "" {
		t.Errorf("Get of a, b and one that is not there (- expected, + found):\n%s", diff)
	}
	if docs, err = e.Get(ctx, things, nil); err != nil || len(docs) != 0 {
		t.Errorf("Get of nothing: got %v, %v", docs, err)
	}

	remove(t, e, things, at(2, changed))
	stored(t, e, things, at(1, b))
	insert(t, e, things, a)
	stored(t, e, things, at(1, a), at(1, b))
}

func stale(t *testing.T, db Database) {
	ctx, e := t.Context(), fresh(t, db)
	a := doc("thi_a", fields{"rank": 1})
	newer := doc("thi_a", fields{"rank": 2})
	insert(t, e, things, a)
	err := e.Tx(ctx, func(tx store.Tx) error { return tx.Replace(ctx, things, at(1, newer)) })
	wantError(t, "Replace at version 1", err, nil)

	for what, do := range map[string]func(tx store.Tx) error{
		"Replace at the version before": func(tx store.Tx) error { return tx.Replace(ctx, things, at(1, a)) },
		"Replace at a version to come":  func(tx store.Tx) error { return tx.Replace(ctx, things, at(3, a)) },
		"Replace of what is not there":  func(tx store.Tx) error { return tx.Replace(ctx, things, at(1, doc("thi_x", nil))) },
		"Delete at the version before":  func(tx store.Tx) error { return tx.Delete(ctx, things, "thi_a", 1) },
		"Delete of what is not there":   func(tx store.Tx) error { return tx.Delete(ctx, things, "thi_x", 1) },
	} {
		wantError(t, what, e.Tx(ctx, do), store.ErrStale)
	}
	stored(t, e, things, at(2, newer))
}

func duplicates(t *testing.T, db Database) {
	ctx, e := t.Context(), fresh(t, db)
	a := doc("thi_a", fields{"tenantId": "ten_1", "slug": "one", "place": fields{"desk": 7}})
	b := doc("thi_b", fields{"tenantId": "ten_2", "slug": "two", "place": fields{"desk": 7}})
	insert(t, e, things, a, b)
	for _, test := range []struct {
		what  string
		do    func(tx store.Tx) error
		index string
	}{
		{"insert id thi_a", func(tx store.Tx) error { return tx.Insert(ctx, things, doc("thi_a", nil)) }, "id"},
		{"insert slug two", func(tx store.Tx) error { return tx.Insert(ctx, things, doc("thi_c", fields{"slug": "two"})) }, "slug"},
		{"replace by slug two", func(tx store.Tx) error { return tx.Replace(ctx, things, at(1, doc("thi_a", fields{"slug": "two"}))) }, "slug"},
		{"insert desk 7 of ten_2", func(tx store.Tx) error {
			return tx.Insert(ctx, things, doc("thi_c", fields{"tenantId": "ten_2", "place": fields{"desk": 7}}))
		}, "desk"},
	} {
		wantDuplicate(t, test.what, e.Tx(ctx, test.do), test.index)
	}
	stored(t, e, things, at(1, a), at(1, b))

	remove(t, e, things, at(1, a))
	insert(t, e, things, doc("thi_c", fields{"slug": "one"}))
}

func absentIsNoDuplicate(t *testing.T, db Database) {
	e := fresh(t, db)
	insert(t, e, things,
		doc("thi_a", nil), doc("thi_b", nil),
		doc("thi_c", fields{"slug": nil}), doc("thi_d", fields{"slug": nil}),
		doc("thi_e", fields{"tenantId": "ten_1"}), doc("thi_f", fields{"tenantId": "ten_1", "place": fields{}}),
		doc("thi_g", fields{"place": fields{"desk": 1}}), doc("thi_h", fields{"place": fields{"desk": 1}}),
	)
}

func oneOfForty(t *testing.T, db Database) {
	ctx, engines := t.Context(), handles(t, db, 2)
	errs := make([]error, 40)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			errs[i] = engines[i%2].Tx(ctx, func(tx store.Tx) error {
				return tx.Insert(ctx, things, doc(platform.ID(fmt.Sprint("thi_", i)), fields{"slug": "wanted"}))
			})
		})
	}
	all.Wait()
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantDuplicate(t, fmt.Sprint("writer ", i, " of slug wanted"), err, "slug")
	}
	if won != 1 {
		t.Errorf("%d of 40 writers of one slug won, want 1", won)
	}
	if got := find(t, engines[0], things, store.Query{}); len(got) != 1 {
		t.Errorf("%d documents are stored, want 1", len(got))
	}
}

func increments(t *testing.T, db Database) {
	ctx, engines := t.Context(), handles(t, db, 2)
	insert(t, engines[0], things, doc("thi_a", fields{"rank": 0}))
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			for range 10 {
				err := engines[i%2].Tx(ctx, func(tx store.Tx) error {
					docs, err := tx.Get(ctx, things, []platform.ID{"thi_a"})
					if err != nil || len(docs) != 1 {
						return fmt.Errorf("read %d documents: %w", len(docs), err)
					}
					var now struct{ Rank int }
					if err := json.Unmarshal(docs[0].Body, &now); err != nil {
						return err
					}
					return tx.Replace(ctx, things, at(docs[0].Version, doc("thi_a", fields{"rank": now.Rank + 1})))
				})
				if err != nil {
					t.Errorf("increment: %v", err)
				}
			}
		})
	}
	all.Wait()
	stored(t, engines[1], things, at(101, doc("thi_a", fields{"rank": 100})))
}

func ownWrites(t *testing.T, db Database) {
	ctx, engines := t.Context(), handles(t, db, 2)
	a := doc("thi_a", fields{"tenantId": "ten_1", "name": "Old Anna", "rank": 1})
	b := doc("thi_b", fields{"tenantId": "ten_1", "name": "Berta", "rank": 2})
	newer := doc("thi_a", fields{"tenantId": "ten_1", "name": "New Anna", "rank": 5})
	insert(t, engines[0], things, a, b)
	err := engines[0].Tx(ctx, func(tx store.Tx) error {
		if err := tx.Replace(ctx, things, at(1, newer)); err != nil {
			return err
		}
		if err := tx.Delete(ctx, things, "thi_b", 1); err != nil {
			return err
		}
		if err := tx.Insert(ctx, things, doc("thi_c", fields{"tenantId": "ten_1", "rank": 3})); err != nil {
			return err
		}
		page := find(t, tx, things, store.Query{Where: where(is("tenantId", store.Eq, "ten_1")), Sort: "rank"})
		if diff := cmp.Diff([]platform.ID{"thi_c", "thi_a"}, idsOf(page)); diff != "" {
			t.Errorf("a page inside (- expected, + found):\n%s", diff)
		}
		got, err := tx.Get(ctx, things, []platform.ID{"thi_a"})
		if err != nil {
			return err
		}
		if diff := cmp.Diff(shown([]store.Doc{at(2, newer)}), shown(got)); diff != "" {
			t.Errorf("the document inside (- expected, + found):\n%s", diff)
		}
		rows, err := tx.Sum(ctx, things, store.Aggregate{Sum: []string{"rank"}})
		if err != nil {
			return err
		}
		if diff := cmp.Diff([]store.Row{{Count: 2, Sums: []int64{8}}}, rows); diff != "" {
			t.Errorf("the sum inside (- expected, + found):\n%s", diff)
		}
		for word, want := range map[string]int{"new": 1, "old": 0, "berta": 0} {
			if got := find(t, tx, things, store.Query{Where: where(is("search", store.Word, word))}); len(got) != want {
				t.Errorf("the word %s inside finds %v, want %d", word, idsOf(got), want)
			}
		}
		for _, e := range engines {
			stored(t, e, things, at(1, a), at(1, b))
		}
		return nil
	})
	wantError(t, "Tx", err, nil)
	stored(t, engines[1], things, at(2, newer), at(1, doc("thi_c", fields{"tenantId": "ten_1", "rank": 3})))
}

func rollback(t *testing.T, db Database) {
	ctx, e := t.Context(), fresh(t, db)
	a := doc("thi_a", fields{"name": "Anna"})
	insert(t, e, things, a)
	seen := follow(t, e, events, "")
	no := errors.New("changed my mind")
	err := e.Tx(ctx, func(tx store.Tx) error {
		if err := tx.Replace(ctx, things, at(1, doc("thi_a", fields{"name": "Berta"}))); err != nil {
			return err
		}
		if err := insertIn(ctx, tx, things, doc("thi_b", fields{"name": "Cäsar", "slug": "c"})); err != nil {
			return err
		}
		if err := insertIn(ctx, tx, events, doc("evt_1", nil)); err != nil {
			return err
		}
		return no
	})
	if err != no { //nolint:errorlint // this very error, and not one around it
		t.Errorf("Tx: got %v, want the very error of its function", err)
	}
	stored(t, e, things, at(1, a))
	for word, want := range map[string]int{"anna": 1, "berta": 0, "cäsar": 0} {
		if got := find(t, e, things, store.Query{Where: where(is("search", store.Word, word))}); len(got) != want {
			t.Errorf("the word %s finds %v, want %d", word, idsOf(got), want)
		}
	}
	insert(t, e, things, doc("thi_c", fields{"slug": "c"}))
	insert(t, e, events, doc("evt_2", nil))
	if got := seen.next(t); got.Doc.ID != "evt_2" {
		t.Errorf("the watch saw %s, want evt_2 alone", got.Doc.ID)
	}
}

// failureEnds: a failed write ends the transaction, whether its function minds
// or not.
func failureEnds(t *testing.T, db Database) {
	ctx, e := t.Context(), fresh(t, db)
	a := doc("thi_a", fields{"slug": "a"})
	insert(t, e, things, a)
	for what, bad := range map[string]func(tx store.Tx) error{
		"duplicate": func(tx store.Tx) error { return tx.Insert(ctx, things, doc("thi_b", fields{"slug": "a"})) },
		"stale":     func(tx store.Tx) error { return tx.Delete(ctx, things, "thi_a", 9) },
	} {
		err := e.Tx(ctx, func(tx store.Tx) error {
			if err := tx.Insert(ctx, things, doc("thi_c", nil)); err != nil {
				return err
			}
			if err := bad(tx); err == nil {
				t.Errorf("%s: no error", what)
			}
			if _, err := tx.Get(ctx, things, []platform.ID{"thi_a"}); err == nil {
				t.Errorf("%s: a read after it succeeds", what)
			}
			return nil
		})
		if err == nil {
			t.Errorf("%s, and the function returns nil: Tx has no error", what)
		}
	}
	stored(t, e, things, at(1, a))
}

// cancelled: those whose context ends leave nothing, and do not take along
// those who write at the same time.
func cancelled(t *testing.T, db Database) {
	e := fresh(t, db)
	var all sync.WaitGroup
	var mu sync.Mutex
	var want []platform.ID
	for i := range 60 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			id := platform.ID(fmt.Sprintf("thi_%02d", i))
			if i%6 == 0 {
				cancel()
			}
			err := e.Tx(ctx, func(tx store.Tx) error {
				if err := tx.Insert(ctx, things, doc(id, fields{"name": "Anna"})); err != nil {
					return err
				}
				if i%6 == 1 {
					cancel()
				}
				if i%6 == 2 {
					cancel()
					return tx.Insert(ctx, things, doc(id+"more", nil))
				}
				return nil
			})
			if i%6 > 2 {
				mu.Lock()
				defer mu.Unlock()
				want = append(want, id)
				wantError(t, "Tx beside cancelled ones", err, nil)
				return
			}
			wantError(t, "Tx with a context that ended", err, context.Canceled)
		})
	}
	all.Wait()
	got := find(t, e, things, store.Query{Where: where(is("search", store.Word, "anna"))})
	if len(got) != len(want) || len(want) != len(find(t, e, things, store.Query{})) {
		t.Errorf("stored are %v, want %v", idsOf(got), want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	_, err := e.Find(ctx, things, store.Query{})
	wantError(t, "Find after the deadline", err, context.DeadlineExceeded)
}

func panics(t *testing.T, db Database) {
	ctx, e := t.Context(), fresh(t, db)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			defer func() {
				if got := recover(); (got == "oh no") != (i%2 == 1) {
					t.Errorf("writer %d: the caller recovers %v", i, got)
				}
			}()
			err := e.Tx(ctx, func(tx store.Tx) error {
				if err := tx.Insert(ctx, things, doc(platform.ID(fmt.Sprintf("thi_%02d", i)), nil)); err != nil {
					return err
				}
				if i%2 == 1 {
					panic("oh no")
				}
				return nil
			})
			wantError(t, "Tx beside panics", err, nil)
		})
	}
	all.Wait()
	for i, d := range find(t, e, things, store.Query{}) {
		if want := platform.ID(fmt.Sprintf("thi_%02d", 2*i)); d.ID != want {
			t.Errorf("found %s, want %s", d.ID, want)
		}
	}
}

// unknownNames: a mistake in a name is an error and reaches no database.
func unknownNames(t *testing.T, db Database) {
	ctx, e := t.Context(), fresh(t, db)
	for what, do := range map[string]func() error{
		"an unknown collection": func() error { _, err := e.Find(ctx, "nothing", store.Query{}); return err },
		"a field with a quote": func() error {
			_, err := e.Find(ctx, things, store.Query{Where: where(is("a') OR ('1", store.Eq, 1))})
			return err
		},
		"a sort with a quote": func() error { _, err := e.Find(ctx, things, store.Query{Sort: `a"`}); return err },
		"an unknown operator": func() error {
			_, err := e.Find(ctx, things, store.Query{Where: where(is("a", "like", "b"))})
			return err
		},
		"an unknown words index": func() error {
			_, err := e.Find(ctx, things, store.Query{Where: where(is("name", store.Word, "b"))})
			return err
		},
		"a fraction": func() error {
			_, err := e.Find(ctx, things, store.Query{Where: where(is("rank", store.Eq, 1.5))})
			return err
		},
		"a group with a quote": func() error { _, err := e.Sum(ctx, things, store.Aggregate{By: "a'"}); return err },
		"a collection with a quote": func() error {
			return e.EnsureIndexes(ctx, []store.Collection{{Name: `a"b`}})
		},
	} {
		if err := do(); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
