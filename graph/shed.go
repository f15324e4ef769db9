package graph

import (
	"context"
	"runtime"
	"time"

	"github.com/dezky/platform/platform"
)

// What runs and waits at once where the options do not say. Few run, because
// those beyond the cores only keep each other waiting, and whoever is refused
// behind them; mutations that wait for the disk together share a commit, so it is
// more than the cores. A short line makes bursts wait instead of refusing them.
const (
	leastTurns   = 16
	turnsPerCore = 8
	usualLine    = 128
	longestWait  = time.Second
)

// turns are who may run an operation now, and who may wait for that.
type turns struct {
	running chan struct{}
	line    chan struct{}
	clock   platform.Clock
}

func newTurns(n int, clock platform.Clock) turns {
	if n > 0 {
		return turns{make(chan struct{}, n), make(chan struct{}), clock}
	}
	return turns{make(chan struct{}, max(leastTurns, turnsPerCore*runtime.GOMAXPROCS(0))), make(chan struct{}, usualLine), clock}
}

// full says whether a request would be turned away. It is asked before anything
// is done for it.
func (t turns) full() bool {
	return len(t.running) == cap(t.running) && len(t.line) == cap(t.line)
}

// take begins a turn, which has to be ended, or fails with ResourceExhausted: at
// once where the line is full, and else when it was waited for too long.
func (t turns) take(ctx context.Context) (leave func(), err error) {
	leave = func() { <-t.running }
	select {
	case t.running <- struct{}{}:
		return leave, nil
	default:
	}
	select {
	case t.line <- struct{}{}:
		defer func() { <-t.line }()
	default:
		return nil, tooBusy()
	}
	ctx, cancel := t.clock.WithTimeout(ctx, longestWait)
	defer cancel()
	select {
	case t.running <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, tooBusy()
	}
}

func tooBusy() error {
	return platform.Errorf(platform.ResourceExhausted, "There is too much to do right now.").After(retrySoon)
}
