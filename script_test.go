package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	authentik "github.com/dezky/platform/integrations/authentik/standin"
	ocis "github.com/dezky/platform/integrations/ocis/standin"
	"github.com/dezky/platform/integrations/stage"
	stalwart "github.com/dezky/platform/integrations/stalwart/standin"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
	"github.com/dezky/platform/provisioning"
	"github.com/dezky/platform/store"
	"github.com/dezky/platform/store/storetest"
)

// patience is how long a script waits for what has to come.
const patience = 20 * time.Second

func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// TestScripts plays testdata/*.txtar against the whole server, each with a
// database, stand-ins and a clock of its own. With -update it writes down what
// it saw; the diff is the review.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no scripts: %v", err)
	}
	played := &coverage{fields: map[string]map[string]bool{}}
	t.Run("play", func(t *testing.T) {
		for _, file := range files {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
				t.Parallel()
				play(t, file, played)
			})
		}
	})
	if !t.Failed() {
		played.check(t)
	}
}

// scene is one script's server and all around it.
type scene struct {
	*server
	t        *testing.T
	clock    *clocktest.Clock
	identity *authentik.Server
	mail     *stalwart.Server
	files    *ocis.Server
	// filesURL is where files are looked at with a bearer token.
	filesURL string
	// shown are what answers showed once, by what it is: a person's address for a
	// password, "code" for the newest code.
	shown map[string]string
	// identityURL has another port each time.
	identityURL string
	stages      map[string]*stage.Stage
	held        map[string]bool
	apps        map[string]string
	watches     map[string]*watch
	audited     map[platform.ID]bool
	played      *coverage
	reads       *countedReads
	database    string
	tokens      []string // of everybody who asked
	// paused keeps the reconciler from taking up what is due.
	paused atomic.Bool
}

// pausable has nothing due while it is paused.
type pausable struct {
	platform.Store
	paused *atomic.Bool
}

func (p pausable) DueProvisionings(ctx context.Context, owner platform.ID, by platform.Time, n int) ([]platform.ID, error) {
	if p.paused.Load() {
		return nil, nil
	}
	return p.Store.DueProvisionings(ctx, owner, by, n)
}

func play(t *testing.T, file string, played *coverage) {
	script, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t)
	s.played = played
	for i := range script.Files {
		s.section(&script.Files[i])
	}
	if updating() {
		if err := os.WriteFile(file, txtar.Format(script), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func newScene(t *testing.T) *scene {
	t.Helper()
	return newSceneWith(t, "test-token", func(*Config, *seams) {})
}

// newSceneWith lets a test change what it needs. Secret is in every token that
// the server has for the systems outside.
func newSceneWith(t *testing.T, secret string, change func(*Config, *seams)) *scene {
	t.Helper()
	clock := clocktest.New(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))
	s := &scene{
		t: t, clock: clock, held: map[string]bool{}, apps: map[string]string{}, watches: map[string]*watch{},
		audited: map[platform.ID]bool{}, shown: map[string]string{},
	}
	config := s.outside(secret)
	// Nobody dies of a clock that is moved by an hour.
	intervals := provisioning.DefaultIntervals()
	intervals.Stale, intervals.Dead = 10_000*time.Hour, 10_000*time.Hour
	with := seams{
		log: slog.New(slog.NewTextHandler(t.Output(), nil)), clock: clock, newID: counter(), intervals: intervals,
		spread: func() float64 { return 0.5 },
		engine: func(next store.Engine) store.Engine { s.reads = &countedReads{Engine: next}; return s.reads },
		store:  func(next platform.Store) platform.Store { return pausable{next, &s.paused} },
	}
	change(&config, &with)
	if address := storetest.Address(t, config.Database); strings.HasPrefix(address, "mongodb") {
		config.Database, config.MongoDB = "", platform.NewSecret(address)
	}
	s.database = config.Database
	running, err := start(t.Context(), config, with)
	if err != nil {
		t.Fatal(err)
	}
	s.server = running
	t.Cleanup(func() {
		for _, stage := range s.stages {
			stage.Release()
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := running.Close(ctx); err != nil {
			t.Errorf("stop the server: %v", err)
		}
	})
	s.settle()
	s.audits()
	return s
}

// counter makes IDs that are the same each time a script is played.
func counter() func(platform.Kind) platform.ID {
	var mu sync.Mutex
	next := map[platform.Kind]int{}
	return func(kind platform.Kind) platform.ID {
		mu.Lock()
		defer mu.Unlock()
		next[kind]++
		return platform.ID(fmt.Sprintf("%s_%04d", kind, next[kind]))
	}
}

// outside hosts the outside systems in this process, where the script can hold
// them and make them fail.
func (s *scene) outside(secret string) Config {
	t := s.t
	apiKey := platform.NewSecret("API_" + secret)
	appToken := platform.NewSecret(secret + "-files")
	identity, err := authentik.New(authentik.Options{Clock: s.clock, Token: platform.NewSecret(secret + "-identity")})
	if err != nil {
		t.Fatal(err)
	}
	mail, err := stalwart.New(stalwart.Options{Token: apiKey, Clock: s.clock, PublicURL: "https://mail.dezky.test", Hostname: "mail.dezky.test"})
	if err != nil {
		t.Fatal(err)
	}
	address := func(h http.Handler) string {
		host := httptest.NewServer(h)
		t.Cleanup(host.Close)
		return host.URL
	}
	at := address(identity)
	identity.SetBaseURL(at)
	files, err := ocis.New(ocis.Options{
		Username: "dezky", Token: appToken, Clock: s.clock, PublicURL: "https://files.dezky.test",
		UserInfo: at + "/application/o/userinfo/",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.identity, s.mail, s.files = identity, mail, files
	s.stages = map[string]*stage.Stage{"authentik": identity.Stage(), "stalwart": mail.Stage(), "ocis": files.Stage()}
	s.identityURL, s.filesURL = at, address(files)
	return Config{
		Database:  filepath.Join(t.TempDir(), "dezky.db"),
		Authentik: Outside{URL: at, Token: identity.Token()},
		Issuers:   []string{identity.Issuer(authentik.Portal), identity.Issuer(authentik.Operator)},
		Audience:  []string{authentik.Portal, authentik.Operator},
		Stalwart:  Outside{URL: address(mail), Token: apiKey}, MailDomain: "dezky.test",
		OCIS: Outside{URL: s.filesURL, Token: appToken}, OCISUsername: "dezky",
		SealKey: platform.NewSecret(developmentKey),
	}
}

// section plays one section of a script.
func (s *scene) section(f *txtar.File) {
	s.t.Helper()
	head, said, spoken := strings.Cut(f.Name, ":")
	words := strings.Fields(head)
	switch {
	case words[0] == "seed":
		s.seed(string(f.Data))
	case words[0] == "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.clock.Advance(d)
		s.settle()
	case words[0] == "pause":
		s.paused.Store(true)
	case words[0] == "resume":
		s.paused.Store(false)
		s.reconciler.Poke()
		s.settle()
	case words[0] == "hold":
		s.stages[words[1]].Hold()
		s.held[words[1]] = true
	case words[0] == "release":
		delete(s.held, words[1])
		s.stages[words[1]].Release()
		s.settle()
	case words[0] == "fail":
		status, err := strconv.Atoi(words[2])
		if err != nil {
			s.t.Fatal(err)
		}
		fault := stage.Fault{Status: status, Header: map[string]string{"Content-Type": "application/json"}, Body: "{}"}
		if len(words) > 3 {
			fault.Header["Retry-After"] = words[3]
		}
		s.stages[words[1]].Fail(fault)
	case words[0] == "heal":
		s.stages[words[1]].Heal()
	case words[0] == "events":
		s.expect(f, s.watches[words[1]].read(s.t, strings.Count(string(f.Data), "event: ")))
	case words[0] == "latest":
		s.expect(f, s.watches[words[1]].latest(s.t))
	case words[0] == "watch":
		s.watches[words[1]] = s.watch(words[3], string(f.Data))
	case words[0] == "access":
		s.expect(f, s.access(words[1]))
	case spoken:
		s.ask(f, words, strings.TrimSpace(said))
	default:
		s.t.Fatalf("nobody knows what to do with %q", f.Name)
	}
}

// expect compares what was seen with the section, or writes it down.
func (s *scene) expect(f *txtar.File, seen string) {
	s.t.Helper()
	if updating() {
		f.Data = []byte(seen)
		return
	}
	if diff := cmp.Diff(strings.Split(string(f.Data), "\n"), strings.Split(seen, "\n")); diff != "" {
		s.t.Errorf("%s (-expected +seen):\n%s", f.Name, diff)
	}
}

// ask sends a question. Its section holds the document, an empty line, and the
// answer with what it left behind.
func (s *scene) ask(f *txtar.File, words []string, said string) {
	s.t.Helper()
	question, _, _ := strings.Cut(string(f.Data), answerMark)
	raw := words[0] == "raw"
	if raw {
		words = words[1:]
	}
	calls := s.calls()
	body := []byte(strings.TrimSpace(question))
	if !raw {
		body = document(s.t, strings.ReplaceAll(question, "THE-CODE", s.shown["code"]))
	}
	status, answer := s.post(words[0], body)
	answer = s.hide(answer)
	audits := s.audits()
	if refusedOnly(audits) && s.calls() != calls {
		s.t.Errorf("%s (%s): a refused mutation called outside", f.Name, said)
	}
	s.settle()
	audits = append(audits, s.audits()...)
	if !raw {
		s.played.note(s.t, question, answer)
	}
	seen := question[:len(strings.TrimRight(question, "\n"))] + "\n" + answerMark
	if status != http.StatusOK {
		seen += fmt.Sprintf("status: %d\n", status)
	}
	seen += tidy(s.t, answer) + "\n"
	for _, e := range audits {
		seen += e + "\n"
	}
	s.expect(f, seen)
}

// answerMark parts a question from its answer.
const answerMark = "---\n"

// document makes a request of a section's document; lines that begin with
// "variables:" give variables.
func document(t *testing.T, question string) []byte {
	var query strings.Builder
	request := map[string]any{}
	for line := range strings.Lines(question) {
		if variables, ok := strings.CutPrefix(line, "variables:"); ok {
			request["variables"] = json.RawMessage(variables)
			continue
		}
		query.WriteString(line)
	}
	request["query"] = query.String()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func (s *scene) post(who string, body []byte) (int, []byte) {
	s.t.Helper()
	res, err := http.DefaultClient.Do(s.request(who, body, "application/json"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, bytes.ReplaceAll(answer, []byte(s.identityURL), []byte("https://id.dezky.test"))
}

// request is signed by who: "nobody", somebody, or somebody through an
// application ("olga@dezky-portal"), or with a token that is no good ("forged").
func (s *scene) request(who string, body []byte, accept string) *http.Request {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+"/graphql", bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	if who == "nobody" {
		return req
	}
	name, application, given := strings.Cut(who, "@")
	if !given {
		application = s.apps[name]
	}
	token := "forged"
	if name != "forged" {
		if token, err = s.identity.SignIn(name, application); err != nil {
			s.t.Fatalf("sign in as %s: %v", who, err)
		}
	}
	s.tokens = append(s.tokens, token)
	req.Header.Set("Authorization", "Bearer "+token)
	return req
}

func (s *scene) calls() int {
	n := 0
	for _, stage := range s.stages {
		n += len(stage.Calls())
	}
	return n
}

func refusedOnly(audits []string) bool {
	return len(audits) > 0 && !slices.ContainsFunc(audits, func(line string) bool { return strings.Contains(line, " DONE") })
}

// audits are the lines of what was recorded since the last time.
func (s *scene) audits() (lines []string) {
	s.t.Helper()
	docs, err := s.engine.Find(s.t.Context(), "audit", store.Query{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, doc := range docs {
		if s.audited[doc.ID] {
			continue
		}
		s.audited[doc.ID] = true
		var e platform.AuditEvent
		if err := json.Unmarshal(doc.Body, &e); err != nil {
			s.t.Fatal(err)
		}
		line := fmt.Sprintf("audit: %s %s %s by %s", e.Action, orDash(string(e.Target)), e.Outcome, e.Role)
		if e.TenantID == "" {
			line += " (platform log)"
		}
		lines = append(lines, line)
	}
	return lines
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// settle waits until the reconciler has nothing more to do by the clock as it
// stands, but for what a held system keeps waiting.
func (s *scene) settle() {
	s.t.Helper()
	late := time.Now().Add(patience)
	for !s.settled() {
		if time.Now().After(late) {
			s.t.Fatal("provisioning does not come to rest")
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *scene) settled() bool {
	s.t.Helper()
	if s.paused.Load() {
		return true
	}
	docs, err := s.platform.Reader().OpenProvisionings(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, doc := range docs {
		if doc.DueAt != nil && !doc.DueAt.After(s.clock.Now()) {
			return false
		}
		for _, step := range doc.Steps {
			if step.State == platform.ProvisioningStateRunning && !s.held[strings.ToLower(string(step.Integration))] {
				return false
			}
		}
	}
	return true
}
