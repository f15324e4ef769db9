package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/platform"
)

// metrics counts the calls outside, and serves what it counted on a port of its
// own. No label has anything that a person typed.
type metrics struct {
	clock    platform.Clock
	registry *prometheus.Registry
	outcomes *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	http     *http.Server
}

func newMetrics(clock platform.Clock) *metrics {
	m := &metrics{
		clock:    clock,
		registry: prometheus.NewRegistry(),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dezky_outside_calls_total", Help: "Calls to outside systems, by their status or by failed where there was no answer.",
		}, []string{"system", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dezky_outside_call_seconds", Help: "How long calls to outside systems took until their answer began.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"system"}),
	}
	m.registry.MustRegister(m.outcomes, m.seconds, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// calls counts the calls to one system.
func (m *metrics) calls(system string, next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		began := m.clock.Running()
		res, err := next.RoundTrip(r)
		m.seconds.WithLabelValues(system).Observe((m.clock.Running() - began).Seconds())
		outcome := "failed"
		if err == nil {
			outcome = strconv.Itoa(res.StatusCode)
		}
		m.outcomes.WithLabelValues(system, outcome).Inc()
		return res, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// serve answers GET /metrics on a port; 0 is none.
func (m *metrics) serve(port int, limits graph.Limits, log *slog.Logger) error {
	if port == 0 {
		return nil
	}
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	m.http = limits.Server(mux, log)
	go func() {
		if err := m.http.Serve(limits.Listener(listener)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics ended", "err", err)
		}
	}()
	return nil
}

func (m *metrics) close() error {
	if m.http == nil {
		return nil
	}
	return m.http.Close()
}
