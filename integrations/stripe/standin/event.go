package standin

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

// emit keeps an event about an object as it is now.
func (c *call) emit(kind string, about object) {
	event := c.newEvent(kind, about, c.now)
	event["request"] = object{"id": c.request, "idempotency_key": orNull(c.key)}
}

// newEvent keeps an event that no call has caused.
func (s *Server) newEvent(kind string, about object, now int64) object {
	event := s.add(object{
		"id": newID("evt", 24), "object": "event", "api_version": Version, "created": now, "data": object{"object": s.show(about)},
		"livemode": false, "pending_webhooks": int64(1), "request": object{"id": nil, "idempotency_key": nil}, "type": kind,
	})
	s.state.Waiting = append(s.state.Waiting, event.id())
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return event
}

func listEvents(c *call) (any, *failure) {
	return c.listing("/v1/events", where(c.of("event"), c.same("type"), c.created()))
}

// Event is an event as a test looks at it. Object is the id of what it is about.
type Event struct{ ID, Type, Object string }

// Events are all events so far, in the order in which they happened.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Event
	for _, o := range s.of("event") {
		out = append(out, Event{ID: o.id(), Type: o.text("type"), Object: o.inner("data").inner("object").id()})
	}
	return out
}

// Signed is an event as it is sent now: the Stripe-Signature header and the body.
func (s *Server) Signed(id string, secret platform.Secret) (header string, body []byte, err error) {
	s.mu.Lock()
	event := s.get("event", id)
	if event != nil {
		event = s.show(event)
	}
	s.mu.Unlock()
	if event == nil {
		return "", nil, fmt.Errorf("there is no event %s", id)
	}
	if body, err = json.MarshalIndent(event, "", "  "); err != nil {
		return "", nil, err
	}
	return Sign(body, secret, s.options.Clock.Now()), body, nil
}

// Sign is the Stripe-Signature header of a body that is sent at a moment.
func Sign(body []byte, secret platform.Secret, at time.Time) string {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	fmt.Fprintf(mac, "%d.", at.Unix())
	mac.Write(body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

// Endpoint is where events are sent to.
type Endpoint struct {
	URL    string
	Secret platform.Secret
	HTTP   *http.Client
}

// Deliver sends the events that the endpoint has not taken yet. Order says which
// are sent, in which order and how often, by their ids; nil is each once, as they
// happened. Those that were answered with a success are sent no more. The error
// is that of the first that was not.
func (s *Server) Deliver(ctx context.Context, to Endpoint, order func(ids []string) []string) error {
	s.mu.Lock()
	ids := slices.Clone(s.state.Waiting)
	s.mu.Unlock()
	if order != nil {
		ids = order(ids)
	}
	var first error
	for _, id := range ids {
		err := s.send(ctx, to, id)
		if err == nil {
			err = s.taken(id)
		}
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Run sends every event soon after it has happened, and again every ten seconds
// until it is taken. It ends with ctx.
func (s *Server) Run(ctx context.Context, to Endpoint) {
	for {
		if s.Deliver(ctx, to, nil) != nil {
			if s.options.Clock.Sleep(ctx, 10*time.Second) != nil {
				return
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
		}
	}
}

func (s *Server) send(ctx context.Context, to Endpoint, id string) error {
	header, body, err := s.Signed(id, to.Secret)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Stripe-Signature", header)
	req.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
	client := to.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // nothing is read of it
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("the event %s was answered with %d", id, res.StatusCode)
	}
	return nil
}

func (s *Server) taken(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Waiting = slices.DeleteFunc(s.state.Waiting, func(waiting string) bool { return waiting == id })
	if event := s.get("event", id); event != nil {
		event["pending_webhooks"] = int64(0)
	}
	return stage.Save(s.options.File, s.state)
}
