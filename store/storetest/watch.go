package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// patience is how long a change may take on a busy machine.
const patience = 20 * time.Second

// follower reads a watch from another goroutine.
type follower struct {
	stand   store.Position
	changes chan store.Change
	end     chan error
	cancel  context.CancelFunc
}

// follow begins a watch and waits until it stands.
func follow(t testing.TB, e store.Engine, coll string, after store.Position) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	f := &follower{changes: make(chan store.Change, 10000), end: make(chan error, 1), cancel: cancel}
	go func() {
		var last error
		for change, err := range e.Watch(ctx, coll, after) {
			if last = err; err == nil {
				f.changes <- change
			}
		}
		f.end <- last
	}()
	first := f.next(t)
	if first.Position == "" || first.Doc.ID != "" || first.Doc.Body != nil {
		t.Fatalf("the first change of %s after %q: got %+v, want a position and no document", coll, after, first)
	}
	f.stand = first.Position
	return f
}

func (f *follower) next(t testing.TB) store.Change {
	t.Helper()
	select {
	case change := <-f.changes:
		return change
	case err := <-f.end:
		t.Fatalf("the watch ended with %v, want a change", err)
	case <-time.After(patience):
		t.Fatalf("no change came in %v", patience)
	}
	panic("unreachable")
}

func (f *follower) take(t testing.TB, n int) []store.Change {
	t.Helper()
	var all []store.Change
	for range n {
		all = append(all, f.next(t))
	}
	return all
}

func changed(all []store.Change) []platform.ID {
	ids := []platform.ID{}
	for _, change := range all {
		ids = append(ids, change.Doc.ID)
	}
	return ids
}

// lost wants a watch to say that the position has left the log.
func lost(t testing.TB, e store.Engine, after store.Position) {
	t.Helper()
	n := 0
	for change, err := range e.Watch(t.Context(), events, after) {
		if n++; n > 1 {
			t.Fatalf("Watch after %q goes on after its error, with %+v", after, change)
		}
		wantError(t, fmt.Sprintf("Watch after %q", after), err, store.ErrPositionLost)
		if err == nil {
			return
		}
	}
	if n == 0 {
		t.Errorf("Watch after %q yields nothing, want ErrPositionLost", after)
	}
}

// watchOrder: every watcher in every process sees everything once and in one
// order, in which each writer's own are in theirs.
func watchOrder(t *testing.T, db Database) {
	const writers, each = 8, 15
	ctx, engines := t.Context(), handles(t, db, 2)
	followers := []*follower{follow(t, engines[0], events, ""), follow(t, engines[1], events, ""), follow(t, engines[1], events, "")}
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				err := engines[w%2].Tx(ctx, func(tx store.Tx) error {
					return insertIn(ctx, tx, events,
						doc(platform.ID(fmt.Sprintf("evt_%d_%02d_a", w, i)), nil),
						doc(platform.ID(fmt.Sprintf("evt_%d_%02d_b", w, i)), nil))
				})
				wantError(t, "Tx", err, nil)
			}
		})
	}
	all.Wait()
	var order []platform.ID
	for i, f := range followers {
		got := changed(f.take(t, 2*writers*each))
		if i == 0 {
			order = got
		}
		if diff := cmp.Diff(order, got); diff != "" {
			t.Errorf("two watchers differ (- the first, + number %d):\n%s", i, diff)
		}
	}
	for w := range writers {
		own := slices.DeleteFunc(slices.Clone(order), func(id platform.ID) bool { return id[:5] != platform.ID(fmt.Sprint("evt_", w)) })
		if len(own) != 2*each || !slices.IsSorted(own) {
			t.Errorf("writer %d's events came as %v", w, own)
		}
	}
}

func watchStands(t *testing.T, db Database) {
	e := fresh(t, db)
	empty := follow(t, e, events, "")
	insert(t, e, events, doc("evt_1", fields{"n": 1}))
	insert(t, e, others, doc("oth_1", nil))
	insert(t, e, events, doc("evt_2", nil))
	now := follow(t, e, events, "")
	insert(t, e, events, doc("evt_3", nil))

	if diff := cmp.Diff([]platform.ID{"evt_1", "evt_2", "evt_3"}, changed(empty.take(t, 3))); diff != "" {
		t.Errorf("a watch from before the first (- expected, + found):\n%s", diff)
	}
	if got := now.next(t); got.Doc.ID != "evt_3" {
		t.Errorf("a watch from now saw %s first, want evt_3", got.Doc.ID)
	}
	again := follow(t, e, events, empty.stand)
	got := again.take(t, 3)
	if diff := cmp.Diff(shown([]store.Doc{at(1, doc("evt_1", fields{"n": 1}))}), shown([]store.Doc{got[0].Doc})); diff != "" {
		t.Errorf("a watch from where the first one stood (- expected, + found):\n%s", diff)
	}
}

func watchResumes(t *testing.T, db Database) {
	engines := handles(t, db, 2)
	f := follow(t, engines[0], events, "")
	var want []platform.ID
	for i := range 250 {
		want = append(want, platform.ID(fmt.Sprintf("evt_%03d", i)))
	}
	for i := 0; i < len(want); i += 50 {
		var docs []store.Doc
		for _, id := range want[i : i+50] {
			docs = append(docs, doc(id, nil))
		}
		insert(t, engines[0], events, docs...)
	}
	all := f.take(t, len(want))
	if diff := cmp.Diff(want, changed(all)); diff != "" {
		t.Fatalf("the watch (- expected, + found):\n%s", diff)
	}
	for _, i := range []int{0, 1, 98, 99, 100, 120, 248, 249} {
		resumed := follow(t, engines[1], events, all[i].Position)
		if diff := cmp.Diff(want[i+1:], changed(resumed.take(t, len(want)-i-1)), cmp.Transformer("none", func(ids []platform.ID) []platform.ID { return append([]platform.ID{}, ids...) })); diff != "" {
			t.Errorf("resumed after number %d (- expected, + found):\n%s", i, diff)
		}
		// Also the position of the first change is one to go on from.
		if again := follow(t, engines[1], events, resumed.stand); i < 249 && again.next(t).Doc.ID != want[i+1] {
			t.Errorf("resumed where the watch after number %d stood: not the same", i)
		}
	}
}

// watchPruned: a position behind which something was pruned away yields either
// all that was inserted since or ErrPositionLost, and never a gap.
func watchPruned(t *testing.T, db Database) {
	e := fresh(t, db)
	for _, nonsense := range []store.Position{"nonsense", "-1", "99999999999999999999999", "1.5", "12345678", `{"_data":"00"}`} {
		lost(t, e, nonsense)
	}
	f := follow(t, e, events, "")
	docs := []store.Doc{doc("evt_1", nil), doc("evt_2", nil), doc("evt_3", nil), doc("evt_4", nil)}
	insert(t, e, events, docs...)
	all := f.take(t, 4)
	prune := func(docs ...store.Doc) {
		for _, d := range docs {
			remove(t, e, events, at(1, d))
		}
	}
	prune(docs[:3]...)
	if got := follow(t, e, events, all[2].Position).next(t); got.Doc.ID != "evt_4" {
		t.Errorf("behind the last that was pruned comes %s, want evt_4", got.Doc.ID)
	}
	noGap := func(i int) {
		n := i
		for change, err := range e.Watch(t.Context(), events, all[i].Position) {
			if err != nil {
				wantError(t, fmt.Sprintf("Watch after number %d", i), err, store.ErrPositionLost)
				return
			}
			if change.Doc.ID == "" {
				continue
			}
			if n++; change.Doc.ID != docs[n].ID {
				t.Fatalf("after number %d came %s, want %s or ErrPositionLost", i, change.Doc.ID, docs[n].ID)
			}
			if n == 3 {
				return
			}
		}
	}
	noGap(0)
	noGap(1)
	prune(docs[3])
	noGap(2)
	latest := follow(t, e, events, all[3].Position)
	insert(t, e, events, doc("evt_5", nil))
	if got := latest.next(t); got.Doc.ID != "evt_5" {
		t.Errorf("behind the newest, with all pruned, comes %s, want evt_5", got.Doc.ID)
	}
}

// watchCommits: nothing is seen before it is committed, by nobody.
func watchCommits(t *testing.T, db Database) {
	ctx, engines := t.Context(), handles(t, db, 2)
	followers := []*follower{follow(t, engines[0], events, ""), follow(t, engines[1], events, "")}
	err := engines[0].Tx(ctx, func(tx store.Tx) error {
		if err := tx.Insert(ctx, events, doc("evt_1", nil)); err != nil {
			return err
		}
		time.Sleep(60 * time.Millisecond)
		for i, f := range followers {
			if len(f.changes) > 0 {
				t.Errorf("watcher %d sees %+v before the commit", i, f.next(t))
			}
		}
		return nil
	})
	wantError(t, "Tx", err, nil)
	for i, f := range followers {
		if got := f.next(t); got.Doc.ID != "evt_1" {
			t.Errorf("watcher %d sees %s, want evt_1", i, got.Doc.ID)
		}
	}
}

func watchEnds(t *testing.T, db Database) {
	e := fresh(t, db)
	f := follow(t, e, events, "")
	f.cancel()
	select {
	case <-f.end:
	case <-time.After(patience):
		t.Fatal("the watch goes on after its context has ended")
	}
	for _, err := range e.Watch(t.Context(), "nothing", "") {
		if err == nil {
			t.Error("a watch of an unknown collection: no error")
		}
		break
	}
	for range e.Watch(t.Context(), events, "") {
		break
	}
	insert(t, e, events, doc("evt_1", nil))
}
