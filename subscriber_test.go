package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dezky/platform/platform"
)

// subscriber follows one tenant by server-sent events, as graphql-sse does: it
// comes again whenever its stream ends without "complete", says what it saw last,
// and wants every sequence once.
type subscriber struct {
	*fleet
	tenant platform.ID
	place  int

	last     atomic.Int32 // sequence
	standing atomic.Bool  // its stream is open
	streams  atomic.Int32
}

// errOver is a stream's end after which no client would come again.
var errOver = errors.New("the server said that the stream was complete")

// run follows until ctx ends. Its error is a promise that was broken.
func (s *subscriber) run(ctx context.Context) error {
	for ; ctx.Err() == nil; s.place++ {
		err := s.stream(ctx, s.at(s.place))
		s.standing.Store(false)
		if err != nil {
			return fmt.Errorf("%s, after %d: %w", s.tenant, s.last.Load(), err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(20*time.Millisecond + rand.N(80*time.Millisecond)):
		}
	}
	return nil
}

// stream follows one stream to its end.
func (s *subscriber) stream(ctx context.Context, url string) error {
	const follow = `subscription($id: ID!, $after: Int) {
		provisioningStatus(tenantId: $id, after: $after) { sequence firstSequence resync } }`
	req, err := s.request(ctx, url, follow, map[string]any{"id": s.tenant, "after": s.last.Load()}, "text/event-stream")
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil //nolint:nilerr // nobody is there
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return nil
	default:
		return fmt.Errorf("the server answers %s", res.Status)
	}
	s.streams.Add(1)
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "": // the stream has begun, or goes on
			s.standing.Store(true)
		case name == "event" && value == "complete":
			return errOver
		case name == "data":
			if again, err := s.take(value); again || err != nil {
				return err
			}
		}
	}
	return nil
}

// take looks at one event. It may ask for another stream.
func (s *subscriber) take(data string) (again bool, err error) {
	var a answer
	if err := json.Unmarshal([]byte(data), &a); err != nil {
		return false, err
	}
	if len(a.Errors) > 0 {
		if a.later() {
			return true, nil
		}
		return false, fmt.Errorf("the stream says %s", a.Errors[0].Message)
	}
	e, last := a.Data["provisioningStatus"], s.last.Load()
	if e.FirstSequence != last+1 || e.Sequence < e.FirstSequence || e.Resync {
		return false, fmt.Errorf("after %d came %d to %d (resync %v)", last, e.FirstSequence, e.Sequence, e.Resync)
	}
	s.last.Store(e.Sequence)
	return false, nil
}

// followers are many subscribers.
type followers struct {
	all    []*subscriber
	broken atomic.Pointer[error]
	stop   func()
}

// follow has each tenant followed by so many, spread over the places.
func (f *fleet) follow(t *testing.T, tenants []platform.ID, each int) *followers {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &followers{}
	var running sync.WaitGroup
	for i, tenant := range tenants {
		for j := range each {
			s := &subscriber{fleet: f, tenant: tenant, place: i + j}
			c.all = append(c.all, s)
			running.Go(func() {
				if err := s.run(ctx); err != nil {
					c.broken.CompareAndSwap(nil, &err)
				}
			})
		}
	}
	c.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(c.stop)
	return c
}

// wait waits until something is so for all of them.
func (c *followers) wait(t *testing.T, what string, so func(*subscriber) bool) {
	t.Helper()
	until(t, "all subscribers "+what, func() bool {
		if err := c.broken.Load(); err != nil {
			t.Fatal(*err)
		}
		for _, s := range c.all {
			if !so(s) {
				return false
			}
		}
		return true
	})
}

func (c *followers) standing(t *testing.T) {
	t.Helper()
	c.wait(t, "have a stream", func(s *subscriber) bool { return s.standing.Load() })
}

// complete wants everyone to have seen everything; it says how many events, and
// over how many streams, that were.
func (c *followers) complete(t *testing.T) (events, streams int) {
	t.Helper()
	sequences := map[platform.ID]int32{}
	for _, s := range c.all {
		sequences[s.tenant] = 0
	}
	for tenant := range sequences {
		doc, err := c.all[0].documents.Provisioning(t.Context(), tenant)
		if err != nil {
			t.Fatal(err)
		}
		sequences[tenant] = doc.Sequence
	}
	c.wait(t, "have seen everything", func(s *subscriber) bool { return s.last.Load() == sequences[s.tenant] })
	c.stop()
	for _, s := range c.all {
		events += int(s.last.Load())
		streams += int(s.streams.Load())
	}
	return events, streams
}
