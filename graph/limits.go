package graph

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Limits are how long and how much a listener bears with its clients.
type Limits struct {
	// HeaderTime and BodyTime are how long a request may take to arrive: its
	// head, and all of it. A stream that is answered has no such limit.
	HeaderTime, BodyTime time.Duration
	// IdleTime is how long a connection may wait for its next request.
	IdleTime time.Duration
	// HeaderBytes is the length of the longest head.
	HeaderBytes int
	// Connections is how many there are at once; the next waits until one ends.
	Connections int
}

// DefaultLimits are those of production.
func DefaultLimits() Limits {
	return Limits{
		HeaderTime: 5 * time.Second, BodyTime: 10 * time.Second, IdleTime: time.Minute,
		HeaderBytes: 32 << 10, Connections: 20_000,
	}
}

// Server serves a handler within the limits. It has no limit for the whole of an
// answer, since a stream has no end: who writes one sets a deadline for each
// write.
func (l Limits) Server(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: l.HeaderTime,
		ReadTimeout:       l.BodyTime,
		IdleTimeout:       l.IdleTime,
		MaxHeaderBytes:    l.HeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// Listener takes as many connections as the limits allow.
func (l Limits) Listener(from net.Listener) net.Listener {
	return netutil.LimitListener(from, l.Connections)
}
