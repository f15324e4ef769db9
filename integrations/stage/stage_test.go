package stage_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dezky/platform/integrations/stage"
)

// stand is a handler that counts how often it acted, with a stage around it.
type stand struct {
	stage.Stage
	acts atomic.Int32
	url  string
}

const answer = "0123456789"

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{}
	server := httptest.NewServer(s.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.acts.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Body", string(body))
		io.WriteString(w, answer)
	})))
	t.Cleanup(server.Close)
	t.Cleanup(s.Release)
	s.url = server.URL
	return s
}

// post is the answer to one call, or as much of it as came.
func (s *stand) post(ctx context.Context, t *testing.T, path string) (status int, body string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, strings.NewReader("said"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && res.StatusCode == http.StatusOK && len(data) < 1<<20 && res.Header.Get("X-Body") != "said" {
		t.Errorf("the handler did not see the body: %v", res.Header)
	}
	return res.StatusCode, string(data), err
}

func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		fault  stage.Fault
		status int
		body   string
		fails  bool
		acts   int32
	}{
		"answer": {stage.Fault{Status: 503, Body: "no"}, 503, "no", false, 0},
		"reset":  {stage.Fault{Kind: stage.Reset}, 0, "", true, 0},
		"lost":   {stage.Fault{Kind: stage.Lost}, 0, "", true, 1},
		"half":   {stage.Fault{Kind: stage.Half}, 200, answer[:5], true, 1},
		"flood":  {stage.Fault{Kind: stage.Flood}, 200, strings.Repeat(" ", 1<<20), false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.Fail(test.fault)
			status, body, err := s.post(t.Context(), t, "/")
			if status != test.status || body != test.body || (err != nil) != test.fails {
				t.Errorf("got %d with %d bytes, %v", status, len(body), err)
			}
			if n := s.acts.Load(); n != test.acts {
				t.Errorf("acted %d times, want %d", n, test.acts)
			}
		})
	}
}

func TestFaultsWithoutEnd(t *testing.T) {
	for name, test := range map[string]struct {
		kind stage.Kind
		acts int32
	}{"nothing": {stage.Nothing, 0}, "drip": {stage.Drip, 1}} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.Fail(stage.Fault{Kind: test.kind})
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, body, err := s.post(ctx, t, "/"); err == nil || len(body) > 1 {
				t.Errorf("got %q, %v", body, err)
			}
			if n := s.acts.Load(); n != test.acts {
				t.Errorf("acted %d times, want %d", n, test.acts)
			}
		})
	}
}

func TestFaultsAreChosenAndCounted(t *testing.T) {
	s := newStand(t)
	s.Fail(stage.Fault{On: "POST /a/", Times: 2, Status: 500})
	s.Fail(stage.Fault{On: "POST /a/", Times: 1, Status: 429})
	var got []int
	for _, path := range []string{"/b/", "/a/1", "/a/2", "/b/", "/a/3", "/a/4"} {
		status, _, err := s.post(t.Context(), t, path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, status)
	}
	if want := []int{200, 500, 500, 200, 429, 200}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if want := []string{"POST /b/", "POST /a/1", "POST /a/2", "POST /b/", "POST /a/3", "POST /a/4"}; !slices.Equal(s.Calls(), want) {
		t.Errorf("calls %v, want %v", s.Calls(), want)
	}
	s.Fail(stage.Fault{Status: 500})
	s.Heal()
	if status, _, err := s.post(t.Context(), t, "/a/"); status != 200 || err != nil {
		t.Errorf("healed, but got %d, %v", status, err)
	}
}

func TestLabelReadsTheBody(t *testing.T) {
	s := newStand(t)
	s.Label = func(_ *http.Request, body []byte) string { return "method " + string(body) }
	s.Fail(stage.Fault{On: "method said", Status: 418})
	if status, _, err := s.post(t.Context(), t, "/"); status != 418 || err != nil {
		t.Errorf("got %d, %v", status, err)
	}
}

func TestHold(t *testing.T) {
	s := newStand(t)
	s.Hold()
	s.Hold()
	done := make(chan int)
	go func() {
		status, _, _ := s.post(t.Context(), t, "/")
		done <- status
	}()
	for len(s.Calls()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if n := s.acts.Load(); n != 0 {
		t.Errorf("a held call acted")
	}
	s.Release()
	if status := <-done; status != 200 {
		t.Errorf("got %d after the release", status)
	}
	s.Release()
}

func TestLoadAndSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "state.json")
	state := map[string]int{"was": 1}
	if err := stage.Load(path, &state); err != nil || state["was"] != 1 {
		t.Fatalf("a file that is not there changes nothing: %v, %v", state, err)
	}
	if err := stage.Save(path, map[string]int{"is": 2}); err != nil {
		t.Fatal(err)
	}
	if err := stage.Load(path, &state); err != nil || state["is"] != 2 {
		t.Errorf("got %v, %v", state, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a state holds keys and is for its owner alone: %v, %v", info, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := stage.Load(path, &state); err == nil {
		t.Error("half a file was read")
	}
	if err := stage.Save("", state); err != nil {
		t.Error(err)
	}
}
