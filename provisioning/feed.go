package provisioning

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/dezky/platform/platform"
)

// rewatch is how long to wait before a watch that broke is begun anew.
const rewatch = 250 * time.Millisecond

// history is how many past events are read at once.
const history = 100

// Feed is platform.Feed over the event log: an event is a hint, and the
// document the truth. One watch serves all readers of single subjects in this
// process.
type Feed struct {
	store platform.Store
	clock platform.Clock
	log   *slog.Logger
	// poke hears of every event.
	poke func()

	mu      sync.Mutex
	readers map[platform.ID]map[*mailbox]struct{}
	// standing is closed while the watch stands.
	standing chan struct{}
}

// NewFeed makes a feed; its Run has to run. Poke is called for every event.
func NewFeed(store platform.Store, clock platform.Clock, log *slog.Logger, poke func()) *Feed {
	return &Feed{
		store: store, clock: clock, log: log, poke: poke,
		readers: map[platform.ID]map[*mailbox]struct{}{}, standing: make(chan struct{}),
	}
}

// Run watches the log until ctx ends. Where the watch breaks it goes on from
// the last event; where that is not to be had, every reader looks at the present
// state.
func (f *Feed) Run(ctx context.Context) error {
	position := ""
	for ctx.Err() == nil {
		err := f.watch(ctx, &position)
		if ctx.Err() != nil {
			return nil
		}
		f.log.WarnContext(ctx, "the watch of the event log broke", "err", err)
		if errors.Is(err, platform.ErrPositionLost) {
			position = ""
		}
		if f.clock.Sleep(ctx, rewatch) != nil {
			return nil
		}
	}
	return nil
}

func (f *Feed) watch(ctx context.Context, position *string) error {
	anew := *position == ""
	for logged, err := range f.store.WatchEvents(ctx, *position) {
		if err != nil {
			return err
		}
		*position = logged.Position
		if logged.Status == nil {
			f.stand(anew)
		} else {
			f.deliver(logged.Status)
		}
		f.poke()
	}
	return ctx.Err()
}

// stand says that the watch stands. One that does not go on where the last one
// broke may have missed events.
func (f *Feed) stand(anew bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.standing:
		if !anew {
			return
		}
		for _, boxes := range f.readers {
			for box := range boxes {
				box.lose()
			}
		}
	default:
		close(f.standing)
	}
}

func (f *Feed) deliver(e *platform.ProvisioningStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for box := range f.readers[e.SubjectID] {
		box.put(e)
	}
}

func (f *Feed) register(subject platform.ID) *mailbox {
	box := newMailbox()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readers[subject] == nil {
		f.readers[subject] = map[*mailbox]struct{}{}
	}
	f.readers[subject][box] = struct{}{}
	return box
}

func (f *Feed) forget(subject platform.ID, box *mailbox) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readers[subject], box)
	if len(f.readers[subject]) == 0 {
		delete(f.readers, subject)
	}
}

// Subject follows one subject.
func (f *Feed) Subject(ctx context.Context, subject platform.ID, after *int32) (<-chan *platform.ProvisioningStatus, error) {
	select {
	case <-f.standing:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	box := f.register(subject) // before the state is read, so that nothing falls between
	past, err := f.past(ctx, subject, after)
	if err != nil {
		f.forget(subject, box)
		return nil, err
	}
	out := make(chan *platform.ProvisioningStatus)
	go func() {
		defer close(out)
		defer f.forget(subject, box)
		last := int32(0)
		if after != nil {
			last = *after
		}
		for _, e := range past {
			if !send(ctx, out, e) {
				return
			}
			last = e.Sequence
		}
		f.follow(ctx, subject, box, last, out)
	}()
	return out, nil
}

// past is what a reader has to see before the changes to come: the events after
// a sequence, or the present state.
func (f *Feed) past(ctx context.Context, subject platform.ID, after *int32) ([]*platform.ProvisioningStatus, error) {
	present, err := f.present(ctx, subject)
	if err != nil || after == nil {
		return []*platform.ProvisioningStatus{present}, err
	}
	missed := int(present.Sequence) - int(*after)
	if missed == 0 {
		return nil, nil
	}
	if missed > 0 && missed <= history {
		events, err := f.store.EventsAfter(ctx, subject, *after, missed)
		if err != nil || len(events) == missed {
			return events, err
		}
	}
	present.Resync = true
	return []*platform.ProvisioningStatus{present}, nil
}

func (f *Feed) present(ctx context.Context, subject platform.ID) (*platform.ProvisioningStatus, error) {
	doc, err := f.store.Provisioning(ctx, subject)
	if err != nil {
		return nil, err
	}
	return doc.Present(), nil
}

// follow hands a reader the changes after a sequence. What it was too slow for
// it gets in one event.
func (f *Feed) follow(
	ctx context.Context, subject platform.ID, box *mailbox, last int32, out chan<- *platform.ProvisioningStatus,
) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-box.full:
		}
		next, lost := box.take()
		if lost {
			present, err := f.present(ctx, subject)
			if err != nil {
				box.lose()
				if f.clock.Sleep(ctx, rewatch) != nil {
					return
				}
				continue
			}
			present.Resync, next = true, present
		}
		if next == nil || next.Sequence <= last {
			continue
		}
		next.FirstSequence, last = last+1, next.Sequence
		if !send(ctx, out, next) {
			return
		}
	}
}

func send(ctx context.Context, out chan<- *platform.ProvisioningStatus, e *platform.ProvisioningStatus) bool {
	select {
	case out <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// All follows every subject. Each reader has a watch of its own, so that it can
// begin anywhere in the log.
func (f *Feed) All(ctx context.Context, after *platform.Cursor) (<-chan *platform.ProvisioningStatus, error) {
	position := ""
	if after != nil {
		raw, err := base64.RawURLEncoding.DecodeString(string(*after))
		if err != nil || len(raw) == 0 {
			return nil, platform.Errorf(platform.Invalid, "This is no cursor of this feed.").On("after").Because(err)
		}
		position = string(raw)
	}
	box := newMailbox()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		for ctx.Err() == nil {
			if err := f.watchAll(ctx, &position, box); ctx.Err() == nil {
				f.log.WarnContext(ctx, "a feed's watch of the event log broke", "err", err)
			}
			if f.clock.Sleep(ctx, rewatch) != nil {
				return
			}
		}
	}()
	out := make(chan *platform.ProvisioningStatus)
	go func() {
		defer close(out)
		defer cancel()
		f.followAll(ctx, box, out)
	}()
	return out, nil
}

// watchAll fills a feed's mailbox. Where the place in the log is lost, or was
// never given, it begins with the present state of what is not settled.
func (f *Feed) watchAll(ctx context.Context, position *string, box *mailbox) error {
	anew := *position == ""
	shown := map[platform.ID]int32{} // where the present state is ahead of the log
	for logged, err := range f.store.WatchEvents(ctx, *position) {
		if errors.Is(err, platform.ErrPositionLost) {
			*position = ""
			box.lose()
		}
		if err != nil {
			return err
		}
		*position = logged.Position
		cursor := platform.Cursor(base64.RawURLEncoding.EncodeToString([]byte(logged.Position)))
		if e := logged.Status; e != nil {
			if e.Sequence > shown[e.SubjectID] {
				e.Cursor = &cursor
				box.put(e)
			}
			continue
		}
		if !anew {
			continue
		}
		open, err := f.store.OpenProvisionings(ctx)
		if err != nil {
			*position = ""
			return err
		}
		for i, doc := range open {
			e := doc.Present()
			shown[e.SubjectID] = e.Sequence
			if i == len(open)-1 { // who goes on from here has seen them all
				e.Cursor = &cursor
			}
			box.put(e)
		}
	}
	return ctx.Err()
}

func (f *Feed) followAll(ctx context.Context, box *mailbox, out chan<- *platform.ProvisioningStatus) {
	missing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-box.full:
		}
		next, lost := box.take()
		missing = missing || lost
		if next == nil {
			continue
		}
		next.Resync, missing = missing, false
		if !send(ctx, out, next) {
			return
		}
	}
}
