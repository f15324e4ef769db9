package provisioning

import (
	"slices"
	"sync"

	"github.com/dezky/platform/platform"
)

// mailbox holds for a reader what it has not taken yet: of each subject the
// newest event only, in the order of their places in the log. So it never grows
// beyond the subjects there are, however slow the reader is.
type mailbox struct {
	mu      sync.Mutex
	waiting []*platform.ProvisioningStatus
	// lost says that events may have been missed.
	lost bool
	full chan struct{}
}

func newMailbox() *mailbox { return &mailbox{full: make(chan struct{}, 1)} }

// put adds an event. One of the same subject that still waits gives way to it,
// and the new one stands for both.
func (m *mailbox) put(e *platform.ProvisioningStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	event := *e
	same := func(other *platform.ProvisioningStatus) bool { return other.SubjectID == e.SubjectID }
	if i := slices.IndexFunc(m.waiting, same); i >= 0 {
		event.FirstSequence = m.waiting[i].FirstSequence
		m.waiting = slices.Delete(m.waiting, i, i+1)
	}
	m.waiting = append(m.waiting, &event)
	m.ring()
}

// lose says that events may have been missed.
func (m *mailbox) lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = true
	m.ring()
}

func (m *mailbox) ring() {
	select {
	case m.full <- struct{}{}:
	default:
	}
}

// take empties the mailbox into the reader's hands, one event at a time: the
// next event, or nil when there is none; and whether events may be missing
// before it.
func (m *mailbox) take() (next *platform.ProvisioningStatus, lost bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lost, m.lost = m.lost, false
	if len(m.waiting) > 0 {
		next, m.waiting = m.waiting[0], m.waiting[1:]
		m.ring()
	}
	return next, lost
}
