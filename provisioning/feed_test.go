package provisioning

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
	"github.com/dezky/platform/store/storetest"
)

// readers is a process whose feed runs, and whose subjects change when the test
// says so.
func readers(t testing.TB, store platform.Store) (*process, *clocktest.Clock) {
	t.Helper()
	clock := clocktest.New(noon)
	p := start(t, store, clock, patient(), nil)
	runs(t, p.feed.Run)
	return p, clock
}

// changes raises a subject's sequence n times.
func (p *process) changes(t testing.TB, id platform.ID, n int) {
	t.Helper()
	for range n {
		err := p.store.Keep(t.Context(), func(b platform.Book) error {
			doc, err := b.Provisioning(t.Context(), id)
			if err != nil {
				return err
			}
			return b.PutProvisioning(t.Context(), doc, true)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// settles is a subject's last change.
func (p *process) settles(t testing.TB, id platform.ID) {
	t.Helper()
	if _, err := p.ClaimSteps(t.Context(), id, p.session.ID(), "", func(platform.Integration) bool { return false }); err != nil {
		t.Fatal(err)
	}
}

// stream is what a reader gets.
type stream <-chan *platform.ProvisioningStatus

// next is the next event in short: subject, sequences and "!" for a resync.
func (s stream) next(t testing.TB) (string, *platform.ProvisioningStatus) {
	t.Helper()
	select {
	case e, more := <-s:
		if !more {
			t.Fatal("the stream has ended")
		}
		text := fmt.Sprintf("%s %d", e.SubjectID, e.Sequence)
		if e.FirstSequence != e.Sequence {
			text = fmt.Sprintf("%s %d-%d", e.SubjectID, e.FirstSequence, e.Sequence)
		}
		if e.Resync {
			text += "!"
		}
		return text, e
	case <-time.After(10 * time.Second):
		t.Fatal("no event comes")
	}
	return "", nil
}

// wants the next events to be these.
func (s stream) wants(t testing.TB, reason string, want ...string) {
	t.Helper()
	for _, w := range want {
		if got, _ := s.next(t); got != w {
			t.Fatalf("%s: got %q, want %q", reason, got, w)
		}
	}
}

// quiet wants no event that waits already.
func (s stream) quiet(t testing.TB, reason string) {
	t.Helper()
	select {
	case e := <-s:
		t.Errorf("%s: got %+v", reason, e)
	case <-time.After(20 * time.Millisecond):
	}
}

func (p *process) subject(t testing.TB, ctx context.Context, id platform.ID, after ...int32) stream {
	t.Helper()
	var from *int32
	if len(after) > 0 {
		from = &after[0]
	}
	out, err := p.WatchProvisioning(ctx, id, from)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (p *process) every(t testing.TB, after ...platform.Cursor) stream {
	t.Helper()
	var from *platform.Cursor
	if len(after) > 0 {
		from = &after[0]
	}
	out, err := p.WatchProvisioningFeed(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestASubjectsReaderSeesEverySequenceOnce(t *testing.T) {
	t.Parallel()
	file := database(t)
	p, _ := readers(t, storetest.Open(t, file))
	other := start(t, storetest.Open(t, file), clocktest.New(noon), patient(), nil)
	id := p.tenant(t, 1)
	p.changes(t, id, 2)
	s := p.subject(t, t.Context(), id)
	s.wants(t, "first of all the present state", "ten_1 3")
	for n := 4; n <= 10; n++ {
		by := p
		if n%2 == 0 {
			by = other // on whichever process the change was made
		}
		by.changes(t, id, 1)
		s.wants(t, "then every change", fmt.Sprintf("ten_1 %d", n))
	}
	p.tenant(t, 2)
	s.quiet(t, "an event of another subject")
}

func TestAReaderOfASubjectThatIsNotThere(t *testing.T) {
	t.Parallel()
	p, _ := readers(t, storetest.New(t))
	if _, err := p.WatchProvisioning(t.Context(), "ten_nothing", nil); platform.CodeOf(err) != platform.NotFound {
		t.Errorf("got %v, want NOT_FOUND", err)
	}
	negative := int32(-1)
	if _, err := p.WatchProvisioning(t.Context(), "ten_nothing", &negative); platform.CodeOf(err) != platform.Invalid {
		t.Errorf("after -1: got %v, want INVALID", err)
	}
	if n := len(p.feed.readers); n != 0 {
		t.Errorf("%d readers are left in the feed", n)
	}
}

func TestAReaderThatComesBackMissesNothing(t *testing.T) {
	t.Parallel()
	p, _ := readers(t, storetest.New(t))
	id := p.tenant(t, 1)
	p.changes(t, id, 4)
	for name, test := range map[string]struct {
		after int32
		want  []string
	}{
		"all that was missed":  {2, []string{"ten_1 3", "ten_1 4", "ten_1 5"}},
		"from the beginning":   {0, []string{"ten_1 1", "ten_1 2", "ten_1 3", "ten_1 4", "ten_1 5"}},
		"nothing was missed":   {5, nil},
		"never seen that many": {9, []string{"ten_1 5!"}},
	} {
		s := p.subject(t, t.Context(), id, test.after)
		s.wants(t, name, test.want...)
		s.quiet(t, name)
	}
	s := p.subject(t, t.Context(), id, 5)
	p.changes(t, id, 1)
	s.wants(t, "and then goes on", "ten_1 6")
}

func TestAReaderThatComesBackTooLateGetsThePresentState(t *testing.T) {
	t.Parallel()
	p, _ := readers(t, storetest.New(t))
	id, long := p.tenant(t, 1), p.tenant(t, 2)
	p.changes(t, long, history)
	p.subject(t, t.Context(), long, 0).wants(t, "more than anybody wants to read", "ten_2 101!")
	p.subject(t, t.Context(), long, 1).wants(t, "as many as there may be", "ten_2 2")
	if _, err := p.store.Prune(t.Context(), platform.At(noon.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	p.changes(t, id, 2)
	s := p.subject(t, t.Context(), id, 0)
	s.wants(t, "what was missed is forgotten", "ten_1 3!")
	p.changes(t, id, 1)
	s.wants(t, "and then goes on", "ten_1 4")
}

func TestASlowReaderGetsTheLatest(t *testing.T) {
	t.Parallel()
	p, _ := readers(t, storetest.New(t))
	id := p.tenant(t, 1)
	slow, fast := p.subject(t, t.Context(), id), p.subject(t, t.Context(), id)
	for n := 1; n <= 30; n++ {
		fast.wants(t, "one that keeps up", fmt.Sprintf("ten_1 %d", n))
		p.changes(t, id, 1)
	}
	fast.wants(t, "one that keeps up", "ten_1 31")
	slow.wants(t, "what it was to get first", "ten_1 1")
	last, events := int32(1), 0
	for last < 31 {
		_, e := slow.next(t)
		if e.FirstSequence != last+1 || e.Resync {
			t.Fatalf("after %d: got %+v, want an event that names all that it stands for", last, e)
		}
		last = e.Sequence
		events++
	}
	if events > 2 {
		t.Errorf("%d events, want one that was on its way and one for all others", events)
	}
}

func TestAStreamEndsWithItsContext(t *testing.T) {
	t.Parallel()
	p, _ := readers(t, storetest.New(t))
	id := p.tenant(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	streams := []stream{p.subject(t, ctx, id), p.subject(t, ctx, id, 1)}
	everything, err := p.WatchProvisioningFeed(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for i, s := range append(streams, everything) {
		until(t, fmt.Sprintf("stream %d ends", i), func() bool {
			select {
			case _, more := <-s:
				return !more
			default:
				return false
			}
		})
	}
	until(t, "nobody is left in the feed", func() bool {
		p.feed.mu.Lock()
		defer p.feed.mu.Unlock()
		return len(p.feed.readers) == 0
	})
}

// fragile is a store whose watches a test can break, and whose log it can lose.
type fragile struct {
	platform.Store
	mu sync.Mutex
	// cut ends the watches that stand with this error.
	cut   chan struct{}
	cause error
	// gate, when it is there, keeps new watches from standing.
	gate chan struct{}
	lost bool
	// standing counts the watches that stand.
	standing sync.WaitGroup
}

func newFragile(s platform.Store) *fragile { return &fragile{Store: s, cut: make(chan struct{})} }

// breaks ends all watches with err, and holds up new ones until the test mends
// it.
func (f *fragile) breaks(err error, lose bool) (mend func()) {
	f.mu.Lock()
	gate := make(chan struct{})
	f.cause, f.gate, f.lost = err, gate, lose
	close(f.cut)
	f.cut = make(chan struct{})
	f.mu.Unlock()
	f.standing.Wait()
	return func() { close(gate) }
}

func (f *fragile) WatchEvents(ctx context.Context, after string) iter.Seq2[platform.LoggedEvent, error] {
	return func(yield func(platform.LoggedEvent, error) bool) {
		f.mu.Lock()
		cut, gate, lost := f.cut, f.gate, f.lost && after != ""
		f.mu.Unlock()
		if gate != nil {
			select {
			case <-gate:
			case <-ctx.Done():
				return
			}
		}
		if lost {
			f.mu.Lock()
			f.lost = false
			f.mu.Unlock()
			yield(platform.LoggedEvent{}, platform.ErrPositionLost)
			return
		}
		f.standing.Add(1)
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			select {
			case <-cut:
				cancel()
			case <-inner.Done():
			}
		}()
		for e, err := range f.Store.WatchEvents(inner, after) {
			if !yield(e, err) {
				f.standing.Done()
				return
			}
		}
		f.standing.Done()
		if ctx.Err() == nil {
			f.mu.Lock()
			err := f.cause
			f.mu.Unlock()
			yield(platform.LoggedEvent{}, err)
		}
	}
}

func TestAWatchThatBreaksGoesOnFromItsPlace(t *testing.T) {
	t.Parallel()
	store := newFragile(storetest.New(t))
	p, clock := readers(t, store)
	id := p.tenant(t, 1)
	s := p.subject(t, t.Context(), id)
	s.wants(t, "before", "ten_1 1")
	mend := store.breaks(errors.New("the connection is gone"), false)
	p.changes(t, id, 1)
	s.quiet(t, "nobody watches")
	mend()
	go wake(t, clock)
	s.wants(t, "what came meanwhile", "ten_1 2")
	p.changes(t, id, 1)
	s.wants(t, "and what comes then", "ten_1 3")
}

// wake moves the clock past the pause before a new watch.
func wake(t testing.TB, clock *clocktest.Clock) {
	for t.Context().Err() == nil {
		clock.Advance(rewatch)
		time.Sleep(time.Millisecond)
	}
}

func TestAWatchThatLostItsPlaceMakesReadersLookAgain(t *testing.T) {
	t.Parallel()
	store := newFragile(storetest.New(t))
	p, clock := readers(t, store)
	id, calm := p.tenant(t, 1), p.tenant(t, 2)
	s, still := p.subject(t, t.Context(), id), p.subject(t, t.Context(), calm)
	s.wants(t, "before", "ten_1 1")
	still.wants(t, "before", "ten_2 1")
	mend := store.breaks(errors.New("the connection is gone"), true)
	p.changes(t, id, 3)
	mend()
	go wake(t, clock)
	s.wants(t, "the present state, and the word that something may be missing", "ten_1 2-4!")
	still.quiet(t, "a subject that has not changed")
	p.changes(t, id, 1)
	s.wants(t, "and what comes then", "ten_1 5")
}

func TestTheFeedBeginsWithWhatIsNotSettled(t *testing.T) {
	t.Parallel()
	p, _ := readers(t, storetest.New(t))
	done, open := p.tenant(t, 1), p.tenant(t, 2)
	p.settles(t, done)
	p.changes(t, open, 2)
	s := p.every(t)
	got, last := s.next(t)
	if got != "ten_2 3" || last.Cursor == nil {
		t.Fatalf("got %q, %+v; want the open one, with a cursor", got, last)
	}
	for n := range 3 {
		p.changes(t, open, 1)
		s.wants(t, "every change", fmt.Sprintf("ten_2 %d", 4+n))
		p.changes(t, done, 1)
		s.wants(t, "of every subject", fmt.Sprintf("ten_1 %d", 3+n))
	}
}

func TestTheFeedGoesOnBehindItsCursor(t *testing.T) {
	t.Parallel()
	file := database(t)
	p, _ := readers(t, storetest.Open(t, file))
	a := p.tenant(t, 1)
	first := p.every(t)
	_, seen := first.next(t)
	p.changes(t, a, 1)
	b := p.tenant(t, 2)
	p.settles(t, b)
	// On another process, which is as good.
	other, _ := readers(t, storetest.Open(t, file))
	s := other.every(t, *seen.Cursor)
	s.wants(t, "all that was missed, of what is settled too", "ten_1 2")
	got, _ := s.next(t)
	if got == "ten_2 1" {
		got, _ = s.next(t)
	}
	if !strings.HasPrefix(got, "ten_2 ") || !strings.HasSuffix(got, "2") {
		t.Errorf("got %q, want the second state of the other", got)
	}
	s.quiet(t, "nothing more was missed")
	p.changes(t, a, 1)
	s.wants(t, "and then goes on", "ten_1 3")
}

func TestCursorsOfTheFeedThatAreNone(t *testing.T) {
	t.Parallel()
	p, clock := readers(t, storetest.New(t))
	p.tenant(t, 1)
	for _, c := range []platform.Cursor{"", "!", "a b"} {
		if _, err := p.WatchProvisioningFeed(t.Context(), &c); platform.CodeOf(err) != platform.Invalid {
			t.Errorf("%q: got %v, want INVALID", c, err)
		}
	}
	go wake(t, clock)
	for reason, position := range map[string]string{
		"nonsense": "x", "negative": "-5", "of a later day": "999999", "too long": strings.Repeat("9", 1000),
	} {
		s := p.every(t, platform.Cursor(base64.RawURLEncoding.EncodeToString([]byte(position))))
		s.wants(t, reason, "ten_1 1!")
	}
}

func TestACursorThatIsTooOldGetsThePresentState(t *testing.T) {
	t.Parallel()
	p, clock := readers(t, storetest.New(t))
	a := p.tenant(t, 1)
	_, seen := p.every(t).next(t)
	p.changes(t, a, 3)
	if _, err := p.store.Prune(t.Context(), platform.At(noon.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	go wake(t, clock)
	s := p.every(t, *seen.Cursor)
	s.wants(t, "the present state", "ten_1 4!")
	p.changes(t, a, 1)
	s.wants(t, "and then goes on", "ten_1 5")
}

// ahead is a store in which a subject changes after a watch stands and before
// the present state is read, and whose events come when the gate is open.
type ahead struct {
	platform.Store
	change func()
	gate   chan struct{}
}

func (a *ahead) WatchEvents(ctx context.Context, after string) iter.Seq2[platform.LoggedEvent, error] {
	return func(yield func(platform.LoggedEvent, error) bool) {
		for e, err := range a.Store.WatchEvents(ctx, after) {
			if e.Status != nil {
				select {
				case <-a.gate:
				case <-ctx.Done():
					return
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (a *ahead) OpenProvisionings(ctx context.Context) ([]*platform.Provisioning, error) {
	a.change()
	return a.Store.OpenProvisionings(ctx)
}

func TestThePresentStateIsNotFollowedByThePast(t *testing.T) {
	t.Parallel()
	store := &ahead{Store: storetest.New(t), gate: make(chan struct{})}
	p, _ := readers(t, store)
	id := p.tenant(t, 1)
	store.change = sync.OnceFunc(func() { p.changes(t, id, 3) })
	s := p.every(t)
	s.wants(t, "the present state", "ten_1 4")
	close(store.gate)
	s.quiet(t, "what led to it")
	p.changes(t, id, 1)
	s.wants(t, "and then only what is newer", "ten_1 5")
}

func TestASlowReaderOfTheFeedGetsTheLatestOfEach(t *testing.T) {
	t.Parallel()
	p, _ := readers(t, storetest.New(t))
	a, b := p.tenant(t, 1), p.tenant(t, 2)
	s, quick := p.every(t), p.every(t)
	last := map[platform.ID]int32{a: 1, b: 1}
	for range last {
		s.next(t)
		quick.next(t)
	}
	for range 10 {
		for _, id := range []platform.ID{a, b} {
			p.changes(t, id, 1)
			quick.next(t)
		}
	}
	events := 0
	for last[a] < 11 || last[b] < 11 {
		_, e := s.next(t)
		if e.FirstSequence != last[e.SubjectID]+1 {
			t.Fatalf("after %v: got %+v", last, e)
		}
		last[e.SubjectID] = e.Sequence
		events++
	}
	if events > 10 {
		t.Errorf("%d events for two subjects, want far fewer than changes", events)
	}
}
