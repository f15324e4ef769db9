package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

func beat(t *testing.T, db Database) {
	ctx, engines := t.Context(), handles(t, db, 2)
	now := platform.At(time.Date(2026, 1, 31, 12, 0, 0, 123456789, time.UTC))
	insert(t, engines[0], sessions, doc("ses_a", fields{"host": "one"}), doc("ses_b", nil))
	wantError(t, "Beat", engines[0].Beat(ctx, sessions, "ses_a", now), nil)
	wantError(t, "Beat from another process", engines[1].Beat(ctx, sessions, "ses_a", now.Add(time.Second)), nil)
	a := doc("ses_a", fields{"host": "one", "beatAt": "2026-01-31T12:00:01.123456Z"})
	stored(t, engines[0], sessions, at(3, a), at(1, doc("ses_b", nil)))

	err := engines[0].Tx(ctx, func(tx store.Tx) error { return tx.Replace(ctx, sessions, at(2, a)) })
	wantError(t, "Replace at the version before the beat", err, store.ErrStale)
	remove(t, engines[0], sessions, at(3, a))
	wantError(t, "Beat after the delete", engines[0].Beat(ctx, sessions, "ses_a", now), store.ErrNoDocument)
	stored(t, engines[1], sessions, at(1, doc("ses_b", nil)))

	// Writers do not hold it up.
	over, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := 0; over.Err() == nil; n++ {
				err := engines[i%2].Tx(ctx, func(tx store.Tx) error {
					return tx.Insert(ctx, things, doc(platform.ID(fmt.Sprintf("thi_%d_%d", i, n)), nil))
				})
				wantError(t, "Tx beside beats", err, nil)
			}
		})
	}
	for range 20 {
		wantError(t, "Beat beside writers", engines[0].Beat(ctx, sessions, "ses_b", now), nil)
	}
	stop()
	all.Wait()
}

// indexes: making them again changes nothing, several processes may do it at
// once, and a new one knows the old documents.
func indexes(t *testing.T, db Database) {
	ctx, open := t.Context(), db(t)
	e := open()
	if err := e.EnsureIndexes(ctx, []store.Collection{{Name: things}}); err != nil {
		t.Fatalf("EnsureIndexes of a collection without indexes: %v", err)
	}
	a := doc("thi_a", fields{"tenantId": "ten_1", "name": "Anna", "slug": "one"})
	insert(t, e, things, a, doc("thi_b", fields{"tenantId": "ten_2", "name": "Anna", "note": "Berta"}))
	engines := []store.Engine{e, open(), open()}
	var all sync.WaitGroup
	for i := range 9 {
		all.Go(func() { wantError(t, "EnsureIndexes", engines[i%3].EnsureIndexes(ctx, collections()), nil) })
	}
	all.Wait()
	err := engines[2].Tx(ctx, func(tx store.Tx) error { return tx.Insert(ctx, things, doc("thi_c", fields{"slug": "one"})) })
	wantDuplicate(t, "a second slug under a new index", err, "slug")
	for word, want := range map[string][]platform.ID{"anna": {"thi_a", "thi_b"}, "berta": {"thi_b"}} {
		got := idsOf(find(t, engines[1], things, store.Query{Where: where(is("search", store.Word, word))}))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the word %s under a new index (- expected, + found):\n%s", word, diff)
		}
	}
	remove(t, e, things, at(1, a))
	if got := find(t, engines[2], things, store.Query{Where: where(is("search", store.Word, "anna"))}); len(got) != 1 {
		t.Errorf("after a delete the word anna finds %v, want thi_b", idsOf(got))
	}
	different := []store.Collection{{Name: things, Indexes: []store.Index{{Name: "name", Fields: []string{"name"}}}}}
	if err := e.EnsureIndexes(ctx, different); err == nil {
		t.Error("EnsureIndexes with another definition under an old name: no error")
	}
}

// closed: Close waits for those who write; whoever was told of a commit has it.
func closed(t *testing.T, db Database) {
	ctx, engines := t.Context(), handles(t, db, 2)
	e := engines[0]
	f := follow(t, e, events, "")
	var kept atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := 0; ; n++ {
				err := e.Tx(ctx, func(tx store.Tx) error {
					return tx.Insert(ctx, things, doc(platform.ID(fmt.Sprintf("thi_%d_%d", i, n)), nil))
				})
				if err != nil {
					if platform.CodeOf(err) != platform.Unavailable {
						t.Errorf("Tx beside Close: got %v, want UNAVAILABLE", err)
					}
					return
				}
				kept.Add(1)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	for range 2 {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	all.Wait()
	if got := len(find(t, engines[1], things, store.Query{})); int64(got) != kept.Load() {
		t.Errorf("%d commits were answered before Close, and %d documents are stored", kept.Load(), got)
	}
	select {
	case <-f.end:
	case <-time.After(patience):
		t.Error("a watch goes on after Close")
	}
	for what, do := range map[string]func() error{
		"Get":           func() error { _, err := e.Get(ctx, things, []platform.ID{"thi_a"}); return err },
		"Find":          func() error { _, err := e.Find(ctx, things, store.Query{}); return err },
		"Sum":           func() error { _, err := e.Sum(ctx, things, store.Aggregate{}); return err },
		"Explain":       func() error { _, err := e.Explain(ctx, things, store.Query{}); return err },
		"Tx":            func() error { return e.Tx(ctx, func(store.Tx) error { return nil }) },
		"Beat":          func() error { return e.Beat(ctx, sessions, "ses_a", platform.Time{}) },
		"EnsureIndexes": func() error { return e.EnsureIndexes(ctx, collections()) },
		"FindEach": func() error {
			_, err := e.FindEach(ctx, things, "tenantId", []string{"ten_1"}, store.Query{Limit: 1})
			return err
		},
		"Watch": func() error {
			for _, err := range e.Watch(ctx, events, "") {
				return err
			}
			return nil
		},
	} {
		if err := do(); platform.CodeOf(err) != platform.Unavailable {
			t.Errorf("%s after Close: got %v, want UNAVAILABLE", what, err)
		}
	}
}
