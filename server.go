// Dezky's platform backend: one GraphQL graph over what the platform knows, and
// the reconciler that brings the outside systems in step with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/graph/playground"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/provisioning"
	"github.com/dezky/platform/resolvers"
	"github.com/dezky/platform/store"
	"github.com/dezky/platform/store/mongo"
	"github.com/dezky/platform/store/sqlite"
)

// operatorAudience is the audience of tokens for operators.
const operatorAudience = "dezky-operator"

// A server that was told to stop ends within ten seconds.
const (
	// stopTime is how long what runs may go on.
	stopTime = 8 * time.Second
	// farewell is how long it may take to say goodbye to the others.
	farewell = time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := slog.New(logHandler(os.Stderr))
	if err := run(ctx, os.Args[1:], log); err != nil {
		log.Error("stopped", "err", err)
		os.Exit(1)
	}
}

// logHandler writes for people on a terminal, and JSON everywhere else.
func logHandler(to *os.File) slog.Handler {
	if about, err := to.Stat(); err == nil && about.Mode()&os.ModeCharDevice != 0 {
		return slog.NewTextHandler(to, nil)
	}
	return slog.NewJSONHandler(to, nil)
}

// run carries out a command: to serve, without any; "backup FILE"; or, in
// development, "standins", which plays the outside systems alone.
func run(ctx context.Context, args []string, log *slog.Logger) error {
	config, err := FromEnv(os.LookupEnv)
	if err != nil {
		return fmt.Errorf("the configuration is not usable:\n%w", err)
	}
	switch {
	case len(args) == 0:
		tune()
		return serve(ctx, config, seams{log: log})
	case len(args) == 2 && args[0] == "backup":
		return backup(ctx, config, args[1])
	case len(args) == 1 && args[0] == "standins" && !config.Production:
		return alone(ctx, config, os.Stdout)
	}
	return errors.New("usage: dezky-platform-api [backup FILE | standins]")
}

// backup makes a consistent copy of the database, while a server may be running.
func backup(ctx context.Context, config Config, file string) (err error) {
	if !config.MongoDB.IsZero() {
		return errors.New("this copies SQLite files: of a MongoDB, mongodump makes the copy")
	}
	engine, err := sqlite.Open(ctx, config.Database, sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	return engine.Backup(ctx, file)
}

func serve(ctx context.Context, config Config, with seams) error {
	s, err := start(ctx, config, with)
	if err != nil {
		return err
	}
	<-ctx.Done()
	with.log.InfoContext(ctx, "stopping")
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return s.Close(last)
}

// seams are where tests, and what watches a server, take hold of it. The zero
// value of each is what production has.
type seams struct {
	log       *slog.Logger
	clock     platform.Clock
	newID     func(platform.Kind) platform.ID
	intervals provisioning.Intervals
	// spread gives numbers from 0 to 1 that spread retries.
	spread func() float64
	// engine, store and transport go around the database, the store over it and all
	// calls outside.
	engine    func(store.Engine) store.Engine
	store     func(platform.Store) platform.Store
	transport func(http.RoundTripper) http.RoundTripper
}

func (s seams) filled() seams {
	if s.clock == nil {
		s.clock = platform.NewSystemClock()
	}
	if s.newID == nil {
		s.newID = platform.NewID
	}
	if s.intervals == (provisioning.Intervals{}) {
		s.intervals = provisioning.DefaultIntervals()
	}
	if s.spread == nil {
		s.spread = rand.Float64
	}
	if s.engine == nil {
		s.engine = func(e store.Engine) store.Engine { return e }
	}
	if s.store == nil {
		s.store = func(p platform.Store) platform.Store { return p }
	}
	if s.transport == nil {
		s.transport = func(next http.RoundTripper) http.RoundTripper { return next }
	}
	return s
}

// server is a running server.
type server struct {
	URL      string
	platform *platform.Platform

	http       *http.Server
	graph      *graph.Handler
	standIns   *standIns
	engine     store.Engine
	session    *provisioning.Session
	reconciler *provisioning.Reconciler
	metrics    *metrics
	stopping   atomic.Bool
	// notice is how long a server serves on after it said that it is not ready.
	notice time.Duration
	// stopped tells the streams to end; rest tells the reconciler, and quit all
	// workers, whom work awaits.
	stopped    chan struct{}
	rest, quit context.CancelFunc
	work       sync.WaitGroup
}

// start wires a server and serves. When it returns without an error the server
// is ready; Close stops it.
func start(ctx context.Context, config Config, with seams) (s *server, err error) {
	with = with.filled()
	s = &server{standIns: &standIns{}, notice: config.StopDelay, stopped: make(chan struct{}), rest: func() {}, quit: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(ctx))
		}
	}()
	if err := s.standIns.host(&config, with.clock); err != nil {
		return s, err
	}
	if len(s.standIns.running) > 0 {
		with.log.WarnContext(ctx, "this process plays outside systems itself: set AUTHENTIK_URL, STALWART_URL and OCIS_URL to use real ones")
	}
	witness, err := s.openDatabase(ctx, config)
	if err != nil {
		return s, err
	}
	documents, err := store.New(ctx, with.engine(s.engine))
	if err != nil {
		return s, err
	}
	ports := with.store(documents)
	if s.session, err = provisioning.OpenSession(ctx, ports, witness, with.clock, with.newID, with.log, with.intervals); err != nil {
		return s, err
	}
	calls, err := transport(config.ExtraCAs)
	if err != nil {
		return s, err
	}
	s.metrics = newMetrics(with.clock)
	guarded := s.session.Guard(with.transport(calls))
	outside := connect(config, func(system string) http.RoundTripper { return s.metrics.calls(system, guarded) }, with.clock)
	feed := provisioning.NewFeed(ports, with.clock, with.log, func() { s.reconciler.Poke() })
	s.platform = platform.New(platform.Options{
		Store: ports, Clock: with.clock, NewID: with.newID, Session: s.session.ID, SealKey: config.SealKey,
		OperatorAudience: operatorAudience, MailDomain: config.MailDomain, Feed: feed,
		SignIns: outside.signIns, Mailboxes: outside.mailboxes, Files: outside.files,
	})
	outside.via[platform.IntegrationMembers] = s.platform.Roster()
	s.reconciler = provisioning.New(s.platform, ports, s.session, outside.via, with.clock, with.log, with.spread)
	if err := s.platform.Bootstrap(ctx); err != nil {
		return s, err
	}
	if err := s.standIns.populate(ctx, s.platform); err != nil {
		return s, err
	}
	s.graph = graph.New(graph.Options{
		Platform: s.platform, Resolvers: resolvers.New(s.platform), Clock: with.clock, Log: with.log,
		SignIn: graph.NewSignIn(graph.SignInOptions{
			Issuers: config.Issuers, Audience: config.Audience, Transport: calls, Clock: with.clock, Log: with.log,
		}),
		Introspection: !config.Production, Stopping: s.stopped, Origins: config.Origins, Proxies: config.Proxies,
	})
	limits := graph.DefaultLimits()
	if err := s.metrics.serve(config.MetricsPort, limits, with.log); err != nil {
		return s, err
	}
	s.http = limits.Server(s.routes(config, s.graph, with.log), with.log)
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", config.Port))
	if err != nil {
		return s, fmt.Errorf("serve HTTP: %w", err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return s, err
	}
	s.URL = "http://127.0.0.1:" + port
	working, quit := context.WithCancel(context.WithoutCancel(ctx))
	reconciling, rest := context.WithCancel(working)
	s.rest, s.quit = rest, quit
	for _, worker := range []func() error{
		func() error { return s.session.Run(working) },
		func() error { return feed.Run(working) },
		func() error { return s.reconciler.Run(reconciling) },
	} {
		s.work.Go(func() {
			if err := worker(); err != nil {
				with.log.ErrorContext(working, "a worker ended", "err", err)
			}
		})
	}
	s.work.Go(func() {
		if err := s.http.Serve(limits.Listener(listener)); !errors.Is(err, http.ErrServerClosed) {
			with.log.ErrorContext(working, "HTTP ended", "err", err)
		}
	})
	with.log.InfoContext(ctx, "ready", "url", s.URL, "playground", config.Playground)
	return s, nil
}

// openDatabase opens what the configuration names. On one machine a lock is
// witness that a process has died; between machines only its beat is.
func (s *server) openDatabase(ctx context.Context, c Config) (provisioning.Witness, error) {
	if !c.MongoDB.IsZero() {
		engine, err := mongo.Open(ctx, c.MongoDB.Reveal(), mongo.Options{})
		if err != nil {
			return nil, err
		}
		s.engine = engine
		return nil, nil
	}
	engine, err := sqlite.Open(ctx, c.Database, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	s.engine = engine
	return engine.Witness(), nil
}

func (s *server) routes(config Config, api http.Handler, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/graphql", api)
	if config.Playground {
		options := s.standIns.playground()
		options.Log = log
		page := playground.Handler(options)
		mux.Handle("/playground", page)
		mux.Handle("/playground/", page)
	}
	mux.HandleFunc("GET /healthz/live", func(w http.ResponseWriter, _ *http.Request) { health(w, true) })
	mux.HandleFunc("GET /healthz/ready", func(w http.ResponseWriter, r *http.Request) { health(w, s.ready(r.Context())) })
	return graph.Secure(s.parting(mux))
}

// parting closes a connection after its answer once the server is to stop, so
// that few are left to be closed under a request that is on its way.
func (s *server) parting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// ready says whether requests can be answered: the database does, and nobody
// has told the server to stop.
func (s *server) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := s.platform.Reader().TenantBySlug(ctx, platform.DefaultTenant)
	return err == nil && !s.stopping.Load()
}

func health(w http.ResponseWriter, good bool) {
	w.Header().Set("Content-Type", "application/json")
	status, text := http.StatusOK, `{"service":"dezky-platform-api","status":"ok"}`
	if !good {
		status, text = http.StatusServiceUnavailable, `{"service":"dezky-platform-api","status":"unavailable"}`
	}
	w.WriteHeader(status)
	w.Write([]byte(text)) //nolint:errcheck // a prober that went away is nobody to tell
}

// Close stops the server. It is not ready any more, and serves on for its notice,
// so that whoever sends it requests learns that; then it takes no more, streams
// end so that their clients come again, and requests and attempts that run may
// finish until ctx ends. As long as they run the session lives; after that
// another process can take over at once.
func (s *server) Close(ctx context.Context) error {
	var all []error
	if s.stopping.CompareAndSwap(false, true) {
		if s.URL != "" {
			wait, cancel := context.WithTimeout(ctx, s.notice)
			<-wait.Done()
			cancel()
		}
		close(s.stopped)
	}
	s.rest()
	if s.http != nil {
		if err := s.http.Shutdown(ctx); err != nil {
			all = append(all, err, s.http.Close())
		}
		all = append(all, s.graph.Drain(ctx)) // Shutdown knows of no sockets
	}
	s.quit()
	s.work.Wait()
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if s.session != nil {
		all = append(all, s.session.Close(bye))
	}
	if s.engine != nil {
		all = append(all, s.engine.Close())
	}
	if s.metrics != nil {
		all = append(all, s.metrics.close())
	}
	return errors.Join(append(all, s.standIns.close())...)
}
