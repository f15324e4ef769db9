package main

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// watch is a subscription that a script follows.
type watch struct {
	lines    chan string
	question string
	played   *coverage
	close    func()
}

func (s *scene) watch(who, question string) *watch {
	s.t.Helper()
	req := s.request(strings.TrimSuffix(who, ":"), document(s.t, question), "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	w := &watch{lines: make(chan string, 1000), question: question, played: s.played}
	var group sync.WaitGroup
	group.Go(func() {
		defer close(w.lines)
		var event string
		for scan := bufio.NewScanner(res.Body); scan.Scan(); {
			switch name, value, _ := strings.Cut(scan.Text(), ": "); name {
			case "event":
				event = value
			case "data":
				w.lines <- event + "\n" + value
			}
		}
	})
	w.close = func() { res.Body.Close(); group.Wait() }
	s.t.Cleanup(w.close)
	return w
}

// read takes as many events as are expected, and any that come right behind.
func (w *watch) read(t *testing.T, expected int) string {
	t.Helper()
	var out strings.Builder
	for n := 0; ; n++ {
		wait := patience
		if n >= expected || updating() {
			wait = 200 * time.Millisecond
		}
		select {
		case line, more := <-w.lines:
			if !more {
				return out.String() + "closed\n"
			}
			event, data, _ := strings.Cut(line, "\n")
			fmt.Fprintf(&out, "event: %s\n", event)
			if data != "" {
				w.played.note(t, w.question, []byte(data))
				out.WriteString(tidy(t, []byte(data)) + "\n")
			}
			if event == "complete" {
				return out.String()
			}
		case <-time.After(wait):
			return out.String()
		}
	}
}

// latest is the last event of each subject, once no more come: those of several
// subjects come in no order.
func (w *watch) latest(t *testing.T) string {
	t.Helper()
	last := map[string]string{}
	for {
		select {
		case line := <-w.lines:
			_, data, _ := strings.Cut(line, "\n")
			w.played.note(t, w.question, []byte(data))
			subject := subjectOf.FindString(data)
			last[subject] = tidy(t, []byte(data)) + "\n"
		case <-time.After(200 * time.Millisecond):
			var out string
			for _, subject := range slices.Sorted(maps.Keys(last)) {
				out += last[subject]
			}
			return out
		}
	}
}

var subjectOf = regexp.MustCompile(`"subjectId":"[^"]+"`)
