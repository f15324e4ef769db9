package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	authentik "github.com/dezky/platform/integrations/authentik/standin"
	ocis "github.com/dezky/platform/integrations/ocis/standin"
	stalwart "github.com/dezky/platform/integrations/stalwart/standin"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/provisioning"
)

// The child's orders, in its environment.
const (
	childRole  = "DEZKY_TEST_CHILD"  // makes this binary one of the roles
	childKill  = "DEZKY_TEST_KILL"   // the point at which it kills itself
	childTrace = "DEZKY_TEST_POINTS" // a file for the points that it passes
	childWork  = "DEZKY_TEST_WORK"   // what it does; to make a tenant, without any
)

func TestMain(m *testing.M) {
	for role, play := range map[string]func() error{childRole: child, clientRole: clients} {
		if os.Getenv(role) == "" {
			continue
		}
		if err := play(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The roles.
const (
	roleMakeOne = "make one" // a server that makes one tenant and ends when it is active
	roleServe   = "serve"    // a server that serves until it is stopped
)

func child() error {
	if os.Getenv(childRole) == roleServe {
		return serveOn()
	}
	return makeOne()
}

// makeOne serves with the production wiring, kills itself where it was told to,
// and otherwise ends when its tenant is active and nothing is under way.
func makeOne() error {
	long := patience
	if os.Getenv(childWork) == workImport {
		long *= 4 // a thousand members
	}
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	config, err := FromEnv(os.LookupEnv)
	if err != nil {
		return err
	}
	work := os.Getenv(childWork)
	// An import that was killed goes on as soon as there is a server.
	points := &points{kill: os.Getenv(childKill), seen: map[string]int{}, armed: work == workImport}
	if file := os.Getenv(childTrace); file != "" {
		if points.trace, err = os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return err
		}
	}
	s, err := start(ctx, config, seams{
		log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		intervals: provisioning.Intervals{
			Beat: 100 * time.Millisecond, Stale: 500 * time.Millisecond, Dead: time.Second, Look: 50 * time.Millisecond,
		},
		store:     func(next platform.Store) platform.Store { return pointedStore{next, points} },
		transport: func(next http.RoundTripper) http.RoundTripper { return pointedTransport{next, points} },
	})
	if err != nil {
		return err
	}
	defer s.Close(ctx)
	if err := quiet(ctx, s); err != nil { // the default tenant first, or its calls mix with ours
		return err
	}
	if work != "" {
		if err := prepareMember(ctx, s, work); err != nil {
			return err
		}
	}
	points.arm()
	switch work {
	case workCreateMember:
		err = createBerta(ctx, s)
	case workRemoveMember:
		err = removeBerta(ctx, s)
	case workImport:
		return importThousand(ctx, s)
	default:
		err = createAcme(ctx, s)
	}
	if err != nil {
		return err
	}
	return quiet(ctx, s)
}

// createAcme may be repeated.
func createAcme(ctx context.Context, s *server) error {
	seats := int32(1000)
	_, err := s.platform.CreateTenant(ctx, platform.CreateTenantInput{Slug: "acme", Name: "Acme", Seats: &seats})
	if platform.CodeOf(err) == platform.Conflict {
		return nil
	}
	return err
}

// quiet waits until nothing is open.
func quiet(ctx context.Context, s *server) error {
	for ctx.Err() == nil {
		open, err := s.platform.Reader().OpenProvisionings(ctx)
		if err != nil {
			return err
		}
		if len(open) == 0 {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return ctx.Err()
}

// points are the moments before and after everything that a process leaves
// behind it: each save, and each call outside.
type points struct {
	mu    sync.Mutex
	armed bool
	kill  string
	trace *os.File
	seen  map[string]int
}

func (p *points) arm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = true
}

// around passes the points before and after something. What began before the
// points were armed has neither.
func (p *points) around(what string) (after func()) {
	if !p.pass("before " + what) {
		return func() {}
	}
	return func() { p.pass("after " + what) }
}

func (p *points) pass(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.armed {
		return false
	}
	p.seen[name]++
	name = fmt.Sprintf("%s %d", name, p.seen[name])
	if p.trace != nil {
		fmt.Fprintln(p.trace, name)
	}
	if name == p.kill {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return true
}

type pointedStore struct {
	platform.Store
	points *points
}

func (s pointedStore) Keep(ctx context.Context, do func(platform.Book) error) error {
	defer s.points.around("a save")()
	return s.Store.Keep(ctx, do)
}

func (s pointedStore) Change(ctx context.Context, e platform.AuditEvent, do func(platform.Writer) error) error {
	defer s.points.around("the change")()
	return s.Store.Change(ctx, e, do)
}

type pointedTransport struct {
	next   http.RoundTripper
	points *points
}

var outsideID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}(\$[0-9a-f-]{36})?`)

func (t pointedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	call := r.Method + " " + outsideID.ReplaceAllString(r.URL.Path, "*")
	defer t.points.around(call)()
	return t.next.RoundTrip(r)
}

// TestKilledAnywhere kills the server at every point of making a tenant, starts
// it again, and finds exactly one of each outside effect (R2, C-6).
func TestKilledAnywhere(t *testing.T) {
	killAnywhere(t, "", func(t *testing.T, o *outside) { o.check(t) })
}

// killAnywhere has the process do its work, and kills it at each of the points
// that it then passes, one after another.
func killAnywhere(t *testing.T, work string, check func(*testing.T, *outside)) {
	t.Helper()
	work = childWork + "=" + work
	trace := filepath.Join(t.TempDir(), "points")
	newOutside(t).run(t, work, childTrace+"="+trace)
	data, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(all) < 12 {
		t.Fatalf("there are only %d points: %q", len(all), all)
	}
	if raced && work != childWork+"=" {
		// Each point is a process of its own. All of them are tried without the race
		// detector, and some with it.
		var some []string
		for i := 0; i < len(all); i += 4 {
			some = append(some, all[i])
		}
		all = some
	}
	var killed atomic.Int32
	t.Cleanup(func() {
		t.Logf("%d points, and killed at %d of them", len(all), killed.Load())
		if n := int(killed.Load()); !t.Failed() && n < len(all)*3/4 {
			t.Errorf("only %d of %d points were reached again", n, len(all))
		}
	})
	for _, point := range all {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			o := newOutside(t)
			err := o.start(t, work, childKill+"="+point)
			end := (*exec.ExitError)(nil)
			switch {
			case err == nil: // steps run side by side, and which of them makes a call more is not the same each time
			case errors.As(err, &end) && end.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
				killed.Add(1)
			default:
				t.Fatalf("the process was to be killed, and ended with %v", err)
			}
			o.run(t, work)
			check(t, o)
		})
	}
}

// outside is one database and the outside systems, which outlive the server.
type outside struct {
	env      []string
	database string
	identity *authentik.Server
	mail     *stalwart.Server
	files    *ocis.Server
	// calls counts what came from each process, by its callerHeader.
	calls sync.Map
}

// callerHeader has the number of the process that calls, where it says so.
const callerHeader = "X-Test-Process"

func (o *outside) callsOf(pid int) int64 {
	n, _ := o.calls.LoadOrStore(strconv.Itoa(pid), new(atomic.Int64))
	return n.(*atomic.Int64).Load()
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	clock := platform.NewSystemClock()
	o := &outside{database: filepath.Join(t.TempDir(), "dezky.db")}
	var err error
	if o.identity, err = authentik.New(authentik.Options{Clock: clock, Token: platform.NewSecret("identity-token")}); err != nil {
		t.Fatal(err)
	}
	if o.mail, err = stalwart.New(stalwart.Options{Clock: clock, Token: platform.NewSecret("API_mail-token")}); err != nil {
		t.Fatal(err)
	}
	if o.files, err = ocis.New(ocis.Options{Clock: clock, Username: "dezky", Token: platform.NewSecret("files-token")}); err != nil {
		t.Fatal(err)
	}
	host := func(h http.Handler) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := o.calls.LoadOrStore(r.Header.Get(callerHeader), new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
			h.ServeHTTP(w, r)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	at := host(o.identity)
	o.identity.SetBaseURL(at)
	o.env = []string{
		childRole + "=" + roleMakeOne, "PORT=0", "DATABASE_URL=sqlite://" + o.database, "PLAYGROUND=off",
		"AUTHENTIK_URL=" + at, "AUTHENTIK_TOKEN=identity-token",
		"AUTHENTIK_ISSUERS=" + o.identity.Issuer(authentik.Portal) + "," + o.identity.Issuer(authentik.Operator),
		"STALWART_URL=" + host(o.mail), "STALWART_TOKEN=API_mail-token",
		"OCIS_URL=" + host(o.files), "OCIS_USERNAME=dezky", "OCIS_TOKEN=files-token",
	}
	return o
}

// start runs the child to its end, whatever that is.
func (o *outside) start(t *testing.T, orders ...string) error {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = append(append(os.Environ(), o.env...), orders...)
	cmd.Stderr = t.Output()
	return cmd.Run()
}

func (o *outside) run(t *testing.T, orders ...string) {
	t.Helper()
	if err := o.start(t, orders...); err != nil {
		t.Fatalf("the server did not come to rest: %v", err)
	}
}

// check finds exactly one of each outside effect, each with our mark and known
// to the database by its handle.
func (o *outside) check(t *testing.T) {
	t.Helper()
	s, handles := o.read(t)
	if s.Status != platform.TenantStatusActive {
		t.Errorf("the tenant is %s", s.Status)
	}
	groups := 0
	for name, group := range o.identity.Groups() {
		if name == "tenant-acme" {
			groups++
			if group.PK != handles[platform.IntegrationAuthentik] {
				t.Errorf("the group is %s, and the database knows %s", group.PK, handles[platform.IntegrationAuthentik])
			}
		}
	}
	domains := 0
	for name, domain := range o.mail.Domains() {
		if name == "acme.dezky.test" {
			domains++
			if domain.ID != handles[platform.IntegrationStalwart] {
				t.Errorf("the domain is %s, and the database knows %s", domain.ID, handles[platform.IntegrationStalwart])
			}
		}
	}
	spaces := 0
	for _, drive := range o.files.Drives() {
		if strings.Contains(drive.Description, string(s.ID)) {
			spaces++
			if drive.ID != handles[platform.IntegrationOCIS] || !drive.Enabled {
				t.Errorf("the space is %+v, and the database knows %s", drive, handles[platform.IntegrationOCIS])
			}
		}
	}
	if groups != 1 || domains != 1 || spaces != 1 {
		t.Errorf("there are %d groups, %d domains and %d spaces instead of one each", groups, domains, spaces)
	}
	if all := len(o.files.Drives()); all != 2 { // the default tenant's is the other
		t.Errorf("there are %d spaces in all", all)
	}
}

// open serves on the database, for a look at what it knows in the end.
func (o *outside) open(t *testing.T) *server {
	t.Helper()
	config, err := FromEnv(func(name string) (string, bool) {
		for _, entry := range o.env {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value, true
			}
		}
		return "", false
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := start(t.Context(), config, seams{log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.WithoutCancel(t.Context())) })
	return s
}

// read is what the database knows of the tenant.
func (o *outside) read(t *testing.T) (platform.Tenant, map[platform.Integration]string) {
	t.Helper()
	s := o.open(t)
	tenant, err := s.platform.Reader().TenantBySlug(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	return *tenant, handlesOf(t, s, tenant.ID)
}

// handlesOf are what a subject's steps made, which must all be done.
func handlesOf(t *testing.T, s *server, subject platform.ID) map[platform.Integration]string {
	t.Helper()
	doc, err := s.platform.Reader().Provisioning(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	handles := map[platform.Integration]string{}
	for _, step := range doc.Steps {
		handles[step.Integration] = step.Handle
		if step.State != platform.ProvisioningStateOK && step.State != platform.ProvisioningStateSkipped {
			text, _ := json.Marshal(step)
			t.Errorf("a step is not done: %s", text)
		}
	}
	return handles
}
