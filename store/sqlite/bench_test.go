package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
	"github.com/dezky/platform/store/sqlite"
)

// filled has 50,000 notes of 50 tenants.
func filled(b *testing.B) *sqlite.Engine {
	b.Helper()
	e := openNotes(b, filepath.Join(b.TempDir(), "bench.db"), sqlite.Options{})
	for i := 0; i < 50_000; i += 1000 {
		var docs []store.Doc
		for n := i; n < i+1000; n++ {
			docs = append(docs, benchNote(n))
		}
		if err := insert(b.Context(), e, docs...); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	return e
}

func benchNote(n int) store.Doc {
	return note(fmt.Sprintf("not_%08d", n), map[string]any{
		"tenantId": fmt.Sprint("ten_", n%50), "createdAt": fmt.Sprintf("2026-01-31T12:00:00.%06dZ", n),
		"text": "about as long as a document that has a name, a state and some settings",
	})
}

func BenchmarkGet(b *testing.B) {
	e := filled(b)
	for i := range b.N {
		id := platform.ID(fmt.Sprintf("not_%08d", i*7919%50_000))
		if docs, err := e.Get(b.Context(), "notes", []platform.ID{id}); err != nil || len(docs) != 1 {
			b.Fatal(docs, err)
		}
	}
}

func BenchmarkPageOf50(b *testing.B) {
	of := func(op store.Op, tenants ...any) []store.Condition {
		return []store.Condition{{Field: "tenantId", Op: op, Values: tenants}}
	}
	mark := &store.Mark{Value: "2026-01-31T12:00:00.025000Z", ID: "not_x"}
	for name, q := range map[string]store.Query{
		"first":        {Where: of(store.Eq, "ten_7")},
		"behind":       {Where: of(store.Eq, "ten_7"), After: mark},
		"of-3-tenants": {Where: of(store.In, "ten_7", "ten_8", "ten_9"), After: mark},
	} {
		q.Sort, q.Desc, q.Limit = "createdAt", true, 50
		b.Run(name, func(b *testing.B) {
			e := filled(b)
			for range b.N {
				if docs, err := e.Find(b.Context(), "notes", q); err != nil || len(docs) != 50 {
					b.Fatal(len(docs), err)
				}
			}
		})
	}
}

func BenchmarkFirst10Of50Keys(b *testing.B) {
	e := filled(b)
	var keys []string
	for i := range 50 {
		keys = append(keys, fmt.Sprint("ten_", i))
	}
	for range b.N {
		docs, err := e.FindEach(b.Context(), "notes", "tenantId", keys, store.Query{Sort: "createdAt", Desc: true, Limit: 10})
		if err != nil || len(docs) != 500 {
			b.Fatal(len(docs), err)
		}
	}
}

// BenchmarkCommit inserts one document a commit, by so many writers at once.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			e := filled(b)
			next := atomic.Int64{}
			next.Store(50_000)
			left := atomic.Int64{}
			left.Store(int64(b.N))
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					for left.Add(-1) >= 0 {
						if err := insert(b.Context(), e, benchNote(int(next.Add(1)))); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}
