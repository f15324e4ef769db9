package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
	"github.com/dezky/platform/store/mongo"
	"github.com/dezky/platform/store/sqlite"
)

// New is a fresh store for one test: on SQLite, or on the MongoDB replica set
// that MONGODB_URI names. The test's end closes it.
func New(t testing.TB) *store.Store {
	t.Helper()
	return Open(t, filepath.Join(t.TempDir(), "test.db"))
}

// Open is a store on a SQLite file, which stands for another process when there
// is one on the same file already. With MONGODB_URI the file stands for a database
// of its own there. The test's end closes it.
func Open(t testing.TB, file string) *store.Store {
	t.Helper()
	return Around(t, file, func(e store.Engine) store.Engine { return e })
}

// Around is Open with an engine that a test has put its own around.
func Around(t testing.TB, file string, wrap func(store.Engine) store.Engine) *store.Store {
	t.Helper()
	s, err := store.New(t.Context(), wrap(engine(t, file)))
	if err != nil {
		t.Fatalf("make a store on %s: %v", file, err)
	}
	return s
}

func engine(t testing.TB, file string) store.Engine {
	t.Helper()
	if uri := os.Getenv("MONGODB_URI"); uri != "" {
		return Mongo(t, uri, file)
	}
	e, err := sqlite.Open(t.Context(), file, sqlite.Options{Relaxed: true})
	if err != nil {
		t.Fatalf("open %s: %v", file, err)
	}
	closeAfter(t, e)
	return e
}

func closeAfter(t testing.TB, e store.Engine) {
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
}

// Address is what a server's configuration has to name for a database of its
// own: the file, or with MONGODB_URI the address of one there that the file stands
// for. The test's end removes it.
func Address(t testing.TB, file string) string {
	t.Helper()
	uri := os.Getenv("MONGODB_URI")
	if uri == "" {
		return file
	}
	dropAfter(t, uri, file)
	return named(uri, file)
}

// Mongo is an engine on the database of a replica set that a file stands for. The
// test's end closes it; the end of the first one's test removes the database. A
// test that fails shows the last commands that were sent.
func Mongo(t testing.TB, uri, file string) *mongo.Engine {
	t.Helper()
	dropAfter(t, uri, file)
	last := &lines{}
	e := connect(t.Context(), t, uri, file, last.add)
	closeAfter(t, e)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last commands of an engine on MongoDB, and what came back:\n%s", last)
		}
	})
	return e
}

// connect has patience: a server that many tests want something of at once may
// take more than the second that it is given to answer.
func connect(ctx context.Context, t testing.TB, uri, file string, trace func(string)) *mongo.Engine {
	t.Helper()
	var e *mongo.Engine
	var err error
	for range 10 {
		e, err = mongo.Open(ctx, named(uri, file), mongo.Options{Timeout: patience, Trace: trace})
		if platform.CodeOf(err) != platform.Unavailable {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// dropAfter removes the database that a file stands for at the end of the first
// test that asks for it, after all of its engines are closed: by one of its own.
func dropAfter(t testing.TB, uri, file string) {
	t.Helper()
	if !first(t, file) {
		return
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		e := connect(ctx, t, uri, file, nil)
		if err := errors.Join(e.Drop(ctx), e.Close()); err != nil {
			t.Errorf("remove the database: %v", err)
		}
	})
}

// first says whether nobody has asked for this file before.
func first(t testing.TB, file string) bool {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	mark, err := os.OpenFile(file+".mongodb", os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false
	}
	if err := mark.Close(); err != nil {
		t.Fatal(err)
	}
	return true
}

// named is an address with the database that a file stands for in the place of
// the one that it names. It is short: MongoDB before 4.2 has 127 bytes for the
// names of database, collection and index together.
func named(uri, file string) string {
	scheme, rest, _ := strings.Cut(uri, "://")
	head, options, _ := strings.Cut(rest, "?")
	hosts, database, _ := strings.Cut(head, "/")
	if strings.Contains(hosts, "@") && !strings.Contains(strings.ToLower(options), "authsource=") {
		// Who signs in is looked up in the database of the address, unless it says so.
		if database == "" {
			database = "admin"
		}
		options = strings.TrimPrefix(options+"&authSource="+database, "&")
	}
	test := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, filepath.Base(filepath.Dir(filepath.Dir(file))))
	hash := sha256.Sum256(fmt.Appendf(nil, "%s %d", file, os.Getpid()))
	return fmt.Sprintf("%s://%s/test_%.24s_%x?%s", scheme, hosts, test, hash[:6], options)
}

// lines keeps the last lines that were added, shortened.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const most, longest = 100, 1000
	if len(line) > longest {
		line = line[:longest] + "…"
	}
	if l.all = append(l.all, line); len(l.all) > 2*most {
		l.all = append([]string{}, l.all[most:]...)
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// MongoPlan says what is wrong with a plan of MongoDB, or nil: a page has to come
// out of an index in order, also behind a mark. A search may sort what it found,
// and for what is counted the order does not matter.
func MongoPlan(q store.Query, counts bool, plan []string) error {
	if len(plan) == 0 {
		return fmt.Errorf("there is no plan")
	}
	loose := counts
	for _, c := range q.Where {
		loose = loose || c.Op == store.Word
	}
	for _, step := range plan {
		stage, rest, _ := strings.Cut(step, " ")
		switch {
		case stage == "COLLSCAN":
			return fmt.Errorf("the whole collection is read: %s", step)
		case stage == "SORT" && rest == "" && !loose:
			return fmt.Errorf("the page is sorted: %s", step)
		case stage == "IXSCAN" && len(q.Where) > 0 && !loose && walksAll(rest):
			return fmt.Errorf("a whole index is read: %s", step)
		}
	}
	return nil
}

// walksAll says whether the bounds of an index leave nothing out: for its first
// field, behind which others can only check.
func walksAll(rest string) bool {
	_, bounds, _ := strings.Cut(rest, ": ")
	return strings.HasPrefix(bounds, "[MinKey, MaxKey]") || strings.HasPrefix(bounds, "[MaxKey, MinKey]")
}
