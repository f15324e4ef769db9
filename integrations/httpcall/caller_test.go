package httpcall_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dezky/platform/integrations/httpcall"
	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is an outside system that answers "{}", and a caller of it.
type world struct {
	stage  stage.Stage
	clock  *clocktest.Clock
	caller *httpcall.Caller
	url    string
}

func newWorld(t *testing.T, limits httpcall.Limits) *world {
	t.Helper()
	w := &world{clock: clocktest.New(start)}
	server := httptest.NewServer(w.stage.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Write([]byte("{}"))
	})))
	t.Cleanup(server.Close)
	t.Cleanup(w.stage.Release)
	w.caller = httpcall.New("mail server", http.DefaultTransport, w.clock, limits)
	w.url = server.URL
	return w
}

func (w *world) do(ctx context.Context, t *testing.T) (*httpcall.Answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/a/", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	return w.caller.Do(ctx, req)
}

func TestDo(t *testing.T) {
	w := newWorld(t, httpcall.DefaultLimits())
	a, err := w.do(t.Context(), t)
	if err != nil || a.Status != http.StatusOK || string(a.Body) != "{}" || !a.IsJSON() {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestDoDoesNotFollow(t *testing.T) {
	w := newWorld(t, httpcall.DefaultLimits())
	w.stage.Fail(stage.Fault{Status: http.StatusMovedPermanently, Header: map[string]string{"Location": "/b/"}, Times: 1})
	a, err := w.do(t.Context(), t)
	if err != nil || a.Status != http.StatusMovedPermanently {
		t.Fatalf("got %+v, %v", a, err)
	}
	if calls := w.stage.Calls(); len(calls) != 1 {
		t.Errorf("a redirect was followed: %v", calls)
	}
	if err := w.caller.Refused(a, ""); platform.CanPass(err) {
		t.Errorf("a redirect is a mistake in our configuration: %v", err)
	}
}

func TestDoFailures(t *testing.T) {
	for name, test := range map[string]struct {
		fault   stage.Fault
		message string
	}{
		"reset": {stage.Fault{Kind: stage.Reset}, "The mail server does not answer."},
		"lost":  {stage.Fault{Kind: stage.Lost}, "The mail server does not answer."},
		"half":  {stage.Fault{Kind: stage.Half}, "The mail server broke off its answer."},
		"flood": {stage.Fault{Kind: stage.Flood}, "The mail server gave an answer that is too long."},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, httpcall.Limits{Call: time.Minute, Answer: 1 << 20, Parallel: 1})
			w.stage.Fail(test.fault)
			_, err := w.do(t.Context(), t)
			if platform.CodeOf(err) != platform.Unavailable || platform.MessageOf(err) != test.message || !platform.CanPass(err) {
				t.Errorf("got %v", err)
			}
			w.stage.Heal()
			if _, err := w.do(t.Context(), t); err != nil {
				t.Errorf("the slot is free again: %v", err)
			}
		})
	}
}

// TestDoEndsInTime has a call that never ends, and one that waits for its slot:
// both end when their own time is up.
func TestDoEndsInTime(t *testing.T) {
	for name, kind := range map[string]stage.Kind{"nothing": stage.Nothing, "drip": stage.Drip} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, httpcall.Limits{Call: 10 * time.Second, Answer: 100, Parallel: 1})
			w.stage.Fail(stage.Fault{Kind: kind})
			results := make(chan error, 2)
			for range 2 {
				go func() {
					_, err := w.do(t.Context(), t)
					results <- err
				}()
			}
			if err := w.clock.Sleeping(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
			w.clock.Advance(10 * time.Second)
			for range 2 {
				if err := <-results; platform.CodeOf(err) != platform.Unavailable || !platform.CanPass(err) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func TestDoInParallel(t *testing.T) {
	w := newWorld(t, httpcall.Limits{Call: time.Minute, Answer: 100, Parallel: 3})
	w.stage.Hold()
	results := make(chan error, 10)
	for range 10 {
		go func() {
			_, err := w.do(t.Context(), t)
			results <- err
		}()
	}
	if err := w.clock.Sleeping(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	for len(w.stage.Calls()) < 3 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond) // time for a fourth, if there were one
	if n := len(w.stage.Calls()); n != 3 {
		t.Errorf("%d calls at once, want 3", n)
	}
	w.stage.Release()
	for range 10 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t, httpcall.DefaultLimits())
	for name, test := range map[string]struct {
		reason  string
		status  int
		after   string
		canPass bool
		wait    time.Duration
	}{
		"400":             {"our request is wrong", 400, "", false, 0},
		"401":             {"our credentials are wrong", 401, "", false, 0},
		"403":             {"our credentials are wrong", 403, "", false, 0},
		"404":             {"our address is wrong", 404, "", false, 0},
		"408":             {"it was too slow", 408, "", true, 0},
		"409":             {"whoever can adopt asks first", 409, "", false, 0},
		"425":             {"it says so", 425, "", true, 0},
		"429, seconds":    {"it says when", 429, "120", true, 2 * time.Minute},
		"429, date":       {"it says when", 429, start.Add(90 * time.Second).Format(http.TimeFormat), true, 90 * time.Second},
		"429, past":       {"that is now", 429, start.Add(-time.Hour).Format(http.TimeFormat), true, 0},
		"429, nonsense":   {"that says nothing", 429, "soon", true, 0},
		"429, negative":   {"that says nothing", 429, "-5", true, 0},
		"500":             {"a bug that is mended", 500, "", true, 0},
		"503, seconds":    {"it says when", 503, "7", true, 7 * time.Second},
		"a redirect":      {"our address is wrong", 302, "", false, 0},
		"400 with header": {"it cannot pass, whenever", 400, "7", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.caller.Refused(&httpcall.Answer{Status: test.status, Header: http.Header{"Retry-After": {test.after}}}, "because")
			if platform.CanPass(err) != test.canPass || platform.RetryAfter(err) != test.wait {
				t.Errorf("%s\ngot %v, can pass: %t, after %s", test.reason, err, platform.CanPass(err), platform.RetryAfter(err))
			}
			if !strings.Contains(err.Error(), "because") || strings.Contains(platform.MessageOf(err), "because") {
				t.Errorf("the detail is for the log alone: %v", err)
			}
		})
	}
}
