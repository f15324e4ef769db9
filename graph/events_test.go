package graph_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dezky/platform/graph"
)

// sse is a stream of events as a client sees it.
type sse struct {
	t     testing.TB
	lines *bufio.Scanner
	close func() error
}

// stream asks for one. Headers come in pairs.
func (w *world) stream(t testing.TB, who, query, variables string, headers ...string) *sse {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": json.RawMessage(variables)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+"/graphql", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+w.Token(t, who))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	return &sse{t, bufio.NewScanner(res.Body), res.Body.Close}
}

// next is the next event, "" where the stream has ended.
func (s *sse) next() (id, kind, data string) {
	s.t.Helper()
	defer time.AfterFunc(patience, func() { s.close() }).Stop()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			data = value
		case "":
			if kind != "" {
				return id, kind, data
			}
		}
	}
	return "", "", ""
}

const (
	ownSteps   = `subscription($after: Int) { steps: provisioningStatus(tenantId: "ten_acme", after: $after) { firstSequence n: sequence } }`
	everything = `subscription($from: Cursor) { provisioningFeed(after: $from) { firstSequence sequence cursor } }`
)

// TestEventsGoOn: a client that comes again with the last id gets what came
// after, whatever its first request said.
func TestEventsGoOn(t *testing.T) {
	for name, test := range map[string]struct{ who, query, variables string }{
		"by sequence":            {"admin", ownSteps, `{}`},
		"by sequence, after one": {"admin", ownSteps, `{"after": 0}`},
		"by cursor":              {"operator", everything, `{"from": null}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.stream(t, test.who, test.query, test.variables)
			id, kind, data := s.next()
			for ; id == ""; id, kind, data = s.next() { // until the present state is complete
				if kind != "next" {
					t.Fatalf("%q %s %s", id, kind, data)
				}
			}
			w.change(t)
			id, _, first := s.next()
			s.close()
			w.change(t)
			w.change(t)
			s = w.stream(t, test.who, test.query, test.variables, "Last-Event-ID", id)
			_, seen := sequencesIn(t, first)
			for last := seen + 2; seen < last; {
				_, _, data := s.next()
				from, to := sequencesIn(t, data)
				if from != seen+1 {
					t.Fatalf("%d is followed by %d to %d", seen, from, to)
				}
				seen = to
			}
		})
	}
}

// sequencesIn are the first and the last that an event stands for.
func sequencesIn(t *testing.T, data string) (first, last int) {
	t.Helper()
	var event struct {
		Data struct {
			Steps            struct{ FirstSequence, N int }
			ProvisioningFeed struct{ FirstSequence, Sequence int }
		}
	}
	if err := json.Unmarshal([]byte(data), &event); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	steps, feed := event.Data.Steps, event.Data.ProvisioningFeed
	return steps.FirstSequence + feed.FirstSequence, steps.N + feed.Sequence
}

// TestEventsWithoutAPlace have no ids, and are as they are without the header.
func TestEventsWithoutAPlace(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct{ reason, query, id string }{
		"no sequence":   {"there is nothing to go on by", `subscription($after: Int) { provisioningStatus(tenantId: "ten_acme", after: $after) { status } }`, "1"},
		"no variable":   {"the document says where to begin", `subscription { provisioningStatus(tenantId: "ten_acme") { sequence } }`, "1"},
		"a query":       {"it is answered once", `query { me { user { id } } }`, "1"},
		"no id of ours": {"a stranger's id says nothing here", ownSteps, "marker"},
	} {
		t.Run(name, func(t *testing.T) {
			s := w.stream(t, "admin", test.query, `{}`, "Last-Event-ID", test.id)
			id, kind, data := s.next()
			if kind != "next" || strings.Contains(data, "errors") || (id != "") != (test.query == ownSteps) {
				t.Errorf("%s\ngot %q %s %s", test.reason, id, kind, data)
			}
		})
	}
}

// TestEventsAreNotEchoed: no part of a body that cannot be read is in the answer
// or in the log.
func TestEventsAreNotEchoed(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, func(o *graph.Options, _ *graph.Limits) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for name, body := range map[string]string{
		"no JSON":      `marker`,
		"half of it":   `{"query": "marker`,
		"wrong type":   `{"query": ["marker"]}`,
		"wrong member": `{"query": "{ me { user { id } } }", "variables": "marker"}`,
	} {
		t.Run(name, func(t *testing.T) {
			got := w.Post(t, "admin", body, "Accept", "text/event-stream")
			if got.Status != http.StatusBadRequest || strings.Contains(got.Body, "marker") {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		})
	}
	w.Stop()
	if strings.Contains(log.String(), "marker") {
		t.Error(log.String())
	}
}
