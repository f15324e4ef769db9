package standin

import (
	"io"
	"net/http"
)

// reply is an answer that is written out.
type reply struct {
	Status int    `json:"status"`
	Body   string `json:"body"`

	early    bool
	replayed string // the request that it is the answer to
	key      string
}

func (r *reply) write(w http.ResponseWriter) {
	if r.key != "" {
		w.Header().Set("Idempotency-Key", r.key)
	}
	if r.replayed != "" {
		w.Header().Set("Idempotent-Replayed", "true")
		w.Header().Set("Original-Request", r.replayed)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.Status)
	io.WriteString(w, r.Body) //nolint:errcheck // a client that went away has nothing to be told
}

// kept is the first answer to a key.
type kept struct {
	reply
	// Print tells one call from another, in whatever order its parameters came.
	Print   string `json:"print"`
	Request string `json:"request"`
	At      int64  `json:"at"`
}

// keyLife is how long a key is remembered, in seconds.
const keyLife = 24 * 60 * 60

// once carries out a call unless its key has an answer.
func (s *Server) once(c *call, r *http.Request, run func() *reply) *reply {
	if c.key == "" {
		return run()
	}
	prints := r.Method + " " + r.URL.Path + "?" + c.all.Encode()
	if old := s.state.Keys[c.key]; old != nil && c.now-old.At < keyLife {
		if old.Print != prints {
			return (&failure{status: http.StatusBadRequest, Type: "idempotency_error", Message: "Keys for idempotent requests can only be " +
				"used with the same parameters they were first used with. Try using a key other than '" + c.key +
				"' if you meant to execute a different request."}).reply()
		}
		return &reply{Status: old.Status, Body: old.Body, replayed: old.Request, key: c.key}
	}
	out := run()
	out.key = c.key
	if !out.early {
		s.state.Keys[c.key] = &kept{reply: *out, Print: prints, Request: c.request, At: c.now}
	}
	return out
}

func (s *Server) takeOff(key string) bool {
	s.flying.Lock()
	defer s.flying.Unlock()
	if s.busy[key] {
		return false
	}
	s.busy[key] = true
	return true
}

func (s *Server) land(key string) {
	s.flying.Lock()
	defer s.flying.Unlock()
	delete(s.busy, key)
}

func inUse(key string) *failure {
	return &failure{status: http.StatusConflict, Type: "invalid_request_error", Code: "idempotency_key_in_use",
		Message: "There is currently another in-progress request using this Idempotent Key (" + key +
			"). This probably means you submitted twice, and the other request is still going through."}
}
