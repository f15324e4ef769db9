package provisioning

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dezky/platform/platform"
)

// event is an event of a subject, such as "a3".
func event(text string) *platform.ProvisioningStatus {
	e := &platform.ProvisioningStatus{SubjectID: platform.ID(text[:1])}
	fmt.Sscan(text[1:], &e.Sequence)
	e.FirstSequence = e.Sequence
	return e
}

// empty takes all that waits, such as "a1-3 b2".
func empty(m *mailbox) string {
	var got []string
	for {
		select {
		case <-m.full:
		default:
			return strings.Join(got, " ")
		}
		next, lost := m.take()
		if lost {
			got = append(got, "lost")
		}
		if next == nil {
			continue
		}
		text := fmt.Sprintf("%s%d", next.SubjectID, next.Sequence)
		if next.FirstSequence != next.Sequence {
			text = fmt.Sprintf("%s%d-%d", next.SubjectID, next.FirstSequence, next.Sequence)
		}
		got = append(got, text)
	}
}

func TestMailbox(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ put, want, reason string }{
		"nothing":          {"", "", "nothing rings"},
		"in order":         {"a1 b1 c1", "a1 b1 c1", "each in its place"},
		"one subject":      {"a1 a2 a3", "a1-3", "one event stands for all"},
		"moves back":       {"a1 b1 a2", "b1 a1-2", "in the order of the newest: resuming behind b1 still finds a2"},
		"several":          {"a1 b1 a2 c1 b2 a3", "c1 b1-2 a1-3", "each subject once"},
		"lost":             {"! a1", "lost a1", "before the next event"},
		"lost in between":  {"a1 ! b1", "lost a1 b1", "at the next event, whichever it is"},
		"lost and nothing": {"!", "lost", "the reader hears of it at once"},
		"lost twice":       {"! !", "lost", "once is enough"},
	} {
		m := newMailbox()
		for word := range strings.FieldsSeq(test.put) {
			if word == "!" {
				m.lose()
			} else {
				m.put(event(word))
			}
		}
		if got := empty(m); got != test.want {
			t.Errorf("%s (%s): got %q, want %q", name, test.reason, got, test.want)
		}
	}
}

func TestMailboxNeverGrowsBeyondItsSubjects(t *testing.T) {
	t.Parallel()
	m := newMailbox()
	for i := range 10_000 {
		m.put(&platform.ProvisioningStatus{SubjectID: platform.ID(fmt.Sprint("s", i%3)), Sequence: int32(i), FirstSequence: int32(i)})
	}
	if len(m.waiting) != 3 {
		t.Errorf("%d events wait, want one a subject", len(m.waiting))
	}
	e := event("a1")
	m.put(e)
	next, _ := m.take()
	for next.SubjectID != "a" {
		next, _ = m.take()
	}
	if next == e {
		t.Error("readers share an event, which each of them changes")
	}
}
