package graph

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/dezky/platform/platform"
)

const (
	eventStream = "text/event-stream"
	// heartbeat keeps proxies from closing a quiet stream.
	heartbeat = 12 * time.Second
	// writeTime is how long a client may take to receive one event.
	writeTime = 10 * time.Second
)

// events is the protocol of graphql-sse with distinct connections: one POST is
// one operation, and its answers come as server-sent events. It is our own
// because gqlgen's echoes and logs the body of a request that it cannot read.
type events struct{ *Handler }

// Supports takes requests that accept a stream of events, and would not as well
// have their answer in JSON: urql names all that it can read, whatever it asks.
func (events) Supports(r *http.Request) bool {
	stream, named := quality(r, eventStream)
	for _, kind := range []string{plainJSON, responseJSON} {
		if q, too := quality(r, kind); too && q >= stream {
			return false
		}
	}
	return named && stream > 0
}

// Do answers one request, for as long as its operation runs.
func (t events) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	params, status, err := readParams(w, r)
	if err != nil {
		t.refuse(ctx, w, status, err)
		return
	}
	s := &stream{out: w, flush: http.NewResponseController(w)}
	operation, invalid := exec.CreateOperationContext(ctx, params)
	if invalid != nil {
		s.open()
		s.fail(exec.DispatchError(graphql.WithOperationContext(ctx, operation), invalid))
		s.complete()
		return
	}
	at := resumable(operation)
	at.goOn(operation, r.Header.Get("Last-Event-ID"))
	g := &guard{}
	answer, ctx := exec.DispatchOperation(withGuard(ctx, g), operation)
	s.open()
	ended := make(chan error, 2)
	beats := make(chan struct{}, 1)
	go func() { ended <- t.watchOver(ctx, g, t.every(heartbeat, beats)) }()
	answers := make(chan event)
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				ended <- recovered(ctx, cause)
			}
		}()
		// gqlgen makes the next answer in the last one's memory.
		for res := answer(ctx); res != nil; res = answer(ctx) {
			data, err := encode(res)
			if err != nil {
				ended <- err
				return
			}
			select {
			case answers <- event{at.of(res.Data), data}:
			case <-ctx.Done():
				return
			}
		}
		close(answers)
	}()
	for s.err == nil {
		select {
		case <-r.Context().Done():
			return
		case <-t.stopping:
			return // without "complete", so that the client comes again
		case err := <-ended:
			if err != nil {
				s.fail(exec.DispatchError(ctx, gqlerror.List{gqlerror.Wrap(err)}))
			}
			s.complete()
			return
		case <-beats:
			s.write(": \n\n")
		case e, more := <-answers:
			if !more {
				s.complete()
				return
			}
			s.next(e)
		}
	}
}

// stream writes events. After a write that failed it does nothing more.
type stream struct {
	out   http.ResponseWriter
	flush *http.ResponseController
	err   error
}

func (s *stream) open() {
	head := s.out.Header()
	head.Set("Content-Type", eventStream+"; charset=utf-8")
	head.Set("X-Accel-Buffering", "no")
	s.out.WriteHeader(http.StatusOK)
	s.write(": \n\n")
}

// event is an answer, and the place in the stream by which a client goes on
// behind it, if it has one.
type event struct {
	id   string
	data []byte
}

func (s *stream) next(e event) {
	id := ""
	if e.id != "" {
		id = "id: " + e.id + "\n"
	}
	s.write(id + "event: next\ndata: " + string(e.data) + "\n\n")
}

func (s *stream) fail(res *graphql.Response) {
	data, err := encode(res)
	if err != nil {
		s.err = err
		return
	}
	s.next(event{data: data})
}

func (s *stream) complete() { s.write("event: complete\ndata: \n\n") }

func (s *stream) write(text string) {
	if s.err != nil {
		return
	}
	// The kernel keeps this deadline, by the machine's clock.
	if s.err = s.flush.SetWriteDeadline(platform.SystemClock{}.Now().Add(writeTime)); s.err != nil {
		return
	}
	if _, s.err = s.out.Write([]byte(text)); s.err == nil {
		s.err = s.flush.Flush()
	}
}

// encode leaves data out where nothing was run.
func encode(res *graphql.Response) ([]byte, error) {
	if len(res.Data) == 0 {
		return json.Marshal(refusal{res.Errors, res.Extensions})
	}
	return json.Marshal(res)
}
