package graph

import "github.com/dezky/platform/platform"

// usualTurns is how many operations run at once where the options do not say. It
// is far more than what two cores can do at a time, and few enough that the last
// of them is answered within a second.
const usualTurns = 256

// turns are who may run an operation now. Nobody waits for one: a client that is
// told at once when to come back is served sooner than one in a long line.
type turns chan struct{}

func newTurns(n int) turns {
	if n == 0 {
		n = usualTurns
	}
	return make(turns, n)
}

// full says whether a request would be turned away. It is asked before anything
// is done for it.
func (t turns) full() bool { return len(t) == cap(t) }

// take begins a turn, which has to be ended, or fails with ResourceExhausted.
func (t turns) take() (leave func(), err error) {
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	default:
		return nil, tooBusy()
	}
}

func tooBusy() error {
	return platform.Errorf(platform.ResourceExhausted, "There is too much to do right now.").After(retrySoon)
}
