// Package stage is what every stand-in stands on: it can be told to fail in all
// the ways in which real systems fail, it can hold its answers back, it keeps
// count of the calls, and it keeps its state in a file.
package stage

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Kind is a way to fail.
type Kind int

// The ways to fail.
const (
	// Answer answers with the fault's status, headers and body instead of acting.
	Answer Kind = iota
	// Nothing accepts the request and never answers.
	Nothing
	// Reset ends the connection without acting.
	Reset
	// Lost acts, and ends the connection before the answer.
	Lost
	// Half acts, and ends the connection in the middle of the answer.
	Half
	// Drip acts, and answers one byte a second.
	Drip
	// Flood does not act, and answers with a gigabyte.
	Flood
)

// Fault is one thing to go wrong.
type Fault struct {
	Kind Kind
	// On is what the label of a call begins with, such as "POST /core/groups/";
	// "" is every call.
	On string
	// Times is how often it happens before it is over; 0 is for ever.
	Times  int
	Status int
	Header map[string]string
	Body   string
}

// Stage stands around a stand-in's handler. The zero Stage is ready for use.
type Stage struct {
	// Label names a call; method and path unless told otherwise. A label that
	// needs the body reads it from body.
	Label func(r *http.Request, body []byte) string

	mu     sync.Mutex
	faults []*Fault
	calls  []string
	held   chan struct{}
}

// Fail adds a fault. Faults are tried in the order in which they were added.
func (s *Stage) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Heal takes all faults away.
func (s *Stage) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Hold keeps every call waiting, before it acts, until Release.
func (s *Stage) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = make(chan struct{})
	}
}

// Release lets the calls go on.
func (s *Stage) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		close(s.held)
		s.held = nil
	}
}

// Calls are the labels of all calls so far, in the order of their arrival.
func (s *Stage) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

// Wrap puts the stage around a handler.
func (s *Stage) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := readBody(r)
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
			return
		}
		label := r.Method + " " + r.URL.Path
		if s.Label != nil {
			label = s.Label(r, body)
		}
		fault, held := s.enter(label)
		if held != nil {
			select {
			case <-held:
			case <-r.Context().Done():
				return
			}
		}
		if fault == nil {
			next.ServeHTTP(w, r)
			return
		}
		fault.play(w, r, next)
	})
}

func (s *Stage) enter(label string) (*Fault, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, label)
	for i, f := range s.faults {
		if !strings.HasPrefix(label, f.On) {
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			}
		}
		return f, s.held
	}
	return nil, s.held
}

func (f *Fault) play(w http.ResponseWriter, r *http.Request, next http.Handler) {
	switch f.Kind {
	case Answer:
		for name, value := range f.Header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(f.Status)
		write(w, []byte(f.Body))
	case Nothing:
		<-r.Context().Done()
	case Reset:
		panic(http.ErrAbortHandler)
	case Lost:
		next.ServeHTTP(newRecorded(), r)
		panic(http.ErrAbortHandler)
	case Half, Drip:
		whole := newRecorded()
		next.ServeHTTP(whole, r)
		f.cutShort(w, r, whole)
	case Flood:
		w.Header().Set("Content-Type", "application/json")
		chunk := []byte(strings.Repeat(" ", 1<<16))
		for range 1 << 14 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
}

func (f *Fault) cutShort(w http.ResponseWriter, r *http.Request, whole *recorded) {
	for name, values := range whole.header {
		w.Header()[name] = values
	}
	w.WriteHeader(whole.status)
	out := http.NewResponseController(w)
	if f.Kind == Half {
		write(w, whole.body[:len(whole.body)/2])
		flush(out)
		panic(http.ErrAbortHandler)
	}
	for i := range whole.body {
		write(w, whole.body[i:i+1])
		flush(out)
		select {
		case <-r.Context().Done():
			return
		case <-time.After(time.Second): //nolint:forbidigo // the network knows no test clock
		}
	}
}

// recorded is an answer that was made and not sent.
type recorded struct {
	header http.Header
	status int
	body   []byte
}

func newRecorded() *recorded { return &recorded{header: http.Header{}, status: http.StatusOK} }

func (r *recorded) Header() http.Header { return r.header }

func (r *recorded) WriteHeader(status int) { r.status = status }

func (r *recorded) Write(data []byte) (int, error) {
	r.body = append(r.body, data...)
	return len(data), nil
}

// readBody reads the whole body and puts it back for the handler.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

// write and flush ignore a client that went away: a stand-in has nobody to
// tell.
func write(w io.Writer, data []byte) { w.Write(data) } //nolint:errcheck // see above

func flush(c *http.ResponseController) { c.Flush() } //nolint:errcheck // see above

// Load reads a stand-in's state from its file; a file that is not there leaves
// the state as it is. Without a path it does nothing.
func Load(path string, state any) error {
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(data, state)
}

// Save writes a stand-in's state to its file, whole or not at all. Without a
// path it does nothing.
func Save(path string, state any) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
