package platform

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestWhatErrorsSay(t *testing.T) {
	t.Parallel()
	const (
		ours = "Something went wrong on our side."
		late = "It took too long and was given up."
	)
	cause := errors.New("SELECT * FROM tenants: disk I/O error")
	for name, test := range map[string]struct {
		err     error
		code    Code
		message string
		can     bool
		after   time.Duration
		reason  string
	}{
		"ours":     {Errorf(NotFound, "There is no tenant %s.", "x"), NotFound, "There is no tenant x.", true, 0, "as it was made"},
		"caused":   {Errorf(Unavailable, "No answer.").Because(cause), Unavailable, "No answer.", true, 0, "the cause is for the log"},
		"wrapped":  {fmt.Errorf("read: %w", Errorf(Conflict, "Taken.").On("slug")), Conflict, "Taken.", true, 0, "the first in the chain"},
		"joined":   {errors.Join(cause, Errorf(Invalid, "No.")), Invalid, "No.", true, 0, "in a tree too"},
		"nested":   {Errorf(Unavailable, "Outer.").Because(Errorf(NotFound, "Inner.")), Unavailable, "Outer.", true, 0, "the outer one"},
		"foreign":  {cause, Internal, ours, true, 0, "a text that is not ours never reaches a client"},
		"internal": {Errorf(Internal, "key %q", "k"), Internal, ours, true, 0, "not even ours, when it is internal"},
		"deadline": {fmt.Errorf("call: %w", context.DeadlineExceeded), Unavailable, late, true, 0, "a deadline can pass"},
		"canceled": {context.Canceled, Internal, ours, true, 0, "nobody waits for the answer"},
		"never":    {Errorf(Invalid, "No.").Never(), Invalid, "No.", false, 0, "says so"},
		"never in": {fmt.Errorf("x: %w", Errorf(Invalid, "No.").Never()), Invalid, "No.", false, 0, "says so through wrapping"},
		"after":    {Errorf(Unavailable, "Busy.").After(time.Minute), Unavailable, "Busy.", true, time.Minute, "says when"},
	} {
		got := []any{CodeOf(test.err), MessageOf(test.err), CanPass(test.err), RetryAfter(test.err)}
		want := []any{test.code, test.message, test.can, test.after}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s (%s): got %v, want %v", name, test.reason, got, want)
		}
	}
	err := Errorf(Unavailable, "No answer.").Because(cause)
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "disk") {
		t.Errorf("the log must see the cause: %v", err)
	}
}

func TestNamesThatSomebodyMadeUpAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 1<<16)
	for name, err := range map[string]error{
		"tenant": NoTenant(long), "tenant by ID": NoTenant(ID(long)), "partner": NoPartner(ID(long)), "operation": NoProvisioning(ID(long)),
	} {
		text := MessageOf(err)
		if len(text) > 100 || strings.ToValidUTF8(text, "?") != text || CodeOf(err) != NotFound {
			t.Errorf("%s: got %d bytes of %s: %.100q", name, len(text), CodeOf(err), text)
		}
	}
	if got := MessageOf(NoTenant(ID("ten_" + strings.Repeat("a", 20)))); !strings.HasSuffix(got, "aaa.") {
		t.Errorf("an ID of ours is not cut: %s", got)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	seen := map[ID]bool{}
	for range 1000 {
		id := NewID(KindTenant)
		if id.Kind() != KindTenant || len(id) != 24 || seen[id] || strings.ToLower(string(id)) != string(id) {
			t.Fatalf("got %q", id)
		}
		seen[id] = true
	}
	for id, want := range map[ID]Kind{
		"ten_acme": KindTenant, "ten_": "", "ten": "", "": "", "tenant_a": "", "_a": "", "mem_a_b": KindMember,
	} {
		if got := id.Kind(); got != want {
			t.Errorf("%q: got kind %q, want %q", id, got, want)
		}
	}
}
