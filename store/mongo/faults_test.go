package mongo

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

func doc(id platform.ID) store.Doc {
	return store.Doc{ID: id, Body: []byte(`{"id":"` + string(id) + `"}`)}
}

// code wants an error of a code.
func code(want platform.Code) func(error) bool {
	return func(err error) bool { return err != nil && platform.CodeOf(err) == want }
}

// unavailable is UNAVAILABLE, with a time to come again.
func unavailable(err error) bool {
	return code(platform.Unavailable)(err) && platform.RetryAfter(err) == time.Second
}

func nothingWrong(err error) bool { return err == nil }

func duplicateOf(index string) func(error) bool {
	return func(err error) bool {
		d, ok := errors.AsType[*store.DuplicateError](err)
		return ok && d.Coll == "things" && d.Index == index
	}
}

func isErr(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }

const slugTaken = `E11000 duplicate key error collection: dezky.things index: slug dup key: { : "a index: b dup key" }`

func refusedWrite(code int32, text string) answer {
	return says(bson.D{{Key: "n", Value: 0}, {Key: "writeErrors", Value: bson.A{bson.D{
		{Key: "index", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: text},
	}}}})
}

func TestTransactionsMeetTheirFaults(t *testing.T) {
	t.Parallel()
	conflict := fails(112, "WriteConflict", "WriteConflict", transientLabel)
	noSuch := fails(251, "NoSuchTransaction", "Transaction 1 has been aborted.", transientLabel)
	steppedDown := fails(189, "PrimarySteppedDown", "the primary stepped down", transientLabel)
	for what, test := range map[string]struct {
		on       map[string][]answer
		do       func(context.Context, store.Tx) error
		want     func(error) bool
		runs     int
		commands string
		reason   string
	}{
		"nothing": {
			want: nothingWrong, runs: 1, commands: "insert commitTransaction",
			reason: "what all others differ from",
		},
		"a conflict": {
			on:   map[string][]answer{"insert": {conflict}},
			want: nothingWrong, runs: 2, commands: "insert abortTransaction insert commitTransaction",
			reason: "of two who write the same the second runs again",
		},
		"a transaction that the server has lost": {
			on:   map[string][]answer{"insert": {noSuch}},
			want: nothingWrong, runs: 2, commands: "insert abortTransaction insert commitTransaction",
			reason: "a fail-over takes the open transactions along",
		},
		"a primary that steps down": {
			on:   map[string][]answer{"insert": {steppedDown}},
			want: nothingWrong, runs: 2, commands: "insert abortTransaction insert commitTransaction",
		},
		"a connection that breaks": {
			on:   map[string][]answer{"insert": {{hangUp: true}}},
			want: nothingWrong, runs: 2, commands: "insert abortTransaction insert commitTransaction",
		},
		"a duplicate": {
			on:   map[string][]answer{"insert": {refusedWrite(11000, slugTaken)}},
			want: duplicateOf("slug"), runs: 1, commands: "insert abortTransaction",
			reason: "it would be one again and again",
		},
		"a duplicate id": {
			on: map[string][]answer{"insert": {refusedWrite(11000,
				`E11000 duplicate key error collection: dezky.things index: _id_ dup key: { _id: "thi_a" }`)}},
			want: duplicateOf("id"), runs: 1, commands: "insert abortTransaction",
		},
		"a duplicate as an error of the whole command": {
			on:   map[string][]answer{"insert": {fails(11000, "DuplicateKey", slugTaken)}},
			want: duplicateOf("slug"), runs: 1, commands: "insert abortTransaction",
		},
		"a duplicate that the function goes on after": {
			on: map[string][]answer{"insert": {refusedWrite(11000, slugTaken)}, "find": {noSuch}},
			do: func(ctx context.Context, tx store.Tx) error {
				tx.Insert(ctx, "things", doc("thi_a"))
				_, err := tx.Get(ctx, "things", []platform.ID{"thi_a"})
				return err
			},
			want: duplicateOf("slug"), runs: 1, commands: "insert abortTransaction",
			reason: "NoSuchTransaction, which is transient, would send it round for ever",
		},
		"a version that is not the newest": {
			on:   map[string][]answer{"update": {says(bson.D{{Key: "n", Value: 0}, {Key: "nModified", Value: 0}})}},
			do:   func(ctx context.Context, tx store.Tx) error { return tx.Replace(ctx, "things", doc("thi_a")) },
			want: isErr(store.ErrStale), runs: 1, commands: "update abortTransaction",
		},
		"a delete of what is not there": {
			on:   map[string][]answer{"delete": {says(bson.D{{Key: "n", Value: 0}})}},
			do:   func(ctx context.Context, tx store.Tx) error { return tx.Delete(ctx, "things", "thi_a", 1) },
			want: isErr(store.ErrStale), runs: 1, commands: "delete abortTransaction",
		},
		"a stale version that the function forgives": {
			on: map[string][]answer{"delete": {says(bson.D{{Key: "n", Value: 0}})}},
			do: func(ctx context.Context, tx store.Tx) error {
				tx.Delete(ctx, "things", "thi_a", 1)
				return nil
			},
			want: isErr(store.ErrStale), runs: 1, commands: "delete abortTransaction",
		},
		"a commit whose outcome is not known": {
			on: map[string][]answer{"commitTransaction": {
				fails(64, "WriteConcernFailed", "waiting for replication timed out", unknownLabel),
				fails(64, "WriteConcernFailed", "waiting for replication timed out", unknownLabel),
			}},
			want: nothingWrong, runs: 1, commands: "insert commitTransaction commitTransaction commitTransaction",
			reason: "it is asked for again, and nothing is done twice",
		},
		"a commit that waited for its majority in vain": {
			on: map[string][]answer{"commitTransaction": {says(bson.D{{Key: "writeConcernError", Value: bson.D{
				{Key: "code", Value: 64}, {Key: "codeName", Value: "WriteConcernFailed"}, {Key: "errmsg", Value: "timed out"},
			}}})}},
			want: nothingWrong, runs: 1, commands: "insert commitTransaction commitTransaction",
		},
		"a commit whose answer is lost": {
			on:   map[string][]answer{"commitTransaction": {{hangUp: true}}},
			want: nothingWrong, runs: 1, commands: "insert commitTransaction commitTransaction",
		},
		"a commit of a transaction that is gone": {
			on:   map[string][]answer{"commitTransaction": {noSuch}},
			want: nothingWrong, runs: 2, commands: "insert commitTransaction insert commitTransaction",
			reason: "nothing of it was kept, and it runs again",
		},
		"a commit that takes too long": {
			on:   map[string][]answer{"commitTransaction": {fails(50, "MaxTimeMSExpired", "operation exceeded time limit")}},
			want: unavailable, runs: 1, commands: "insert commitTransaction",
			reason: "the caller comes again with its idempotency key",
		},
		"an error of the function": {
			do: func(ctx context.Context, tx store.Tx) error {
				if err := tx.Insert(ctx, "things", doc("thi_a")); err != nil {
					return err
				}
				return errors.New("changed my mind")
			},
			want: func(err error) bool { return err != nil && err.Error() == "changed my mind" },
			runs: 1, commands: "insert abortTransaction",
		},
		"no right to write": {
			on:   map[string][]answer{"insert": {fails(13, "Unauthorized", "not authorized on dezky to execute command")}},
			want: unavailable, runs: 1, commands: "insert abortTransaction",
		},
		"a transaction that only reads": {
			do: func(ctx context.Context, tx store.Tx) error {
				_, err := tx.Get(ctx, "things", []platform.ID{"thi_a"})
				return err
			},
			want: nothingWrong, runs: 1, commands: "find commitTransaction",
		},
		"a transaction of nothing": {
			do:   func(context.Context, store.Tx) error { return nil },
			want: nothingWrong, runs: 1, commands: "",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := serveCanned(t)
			e := open(t, s, Options{})
			for command, answers := range test.on {
				s.on(command, answers...)
			}
			runs := 0
			err := e.Tx(t.Context(), func(tx store.Tx) error {
				runs++
				if test.do != nil {
					return test.do(t.Context(), tx)
				}
				return tx.Insert(t.Context(), "things", doc("thi_a"))
			})
			if !test.want(err) || runs != test.runs {
				t.Errorf("Tx: got error %v after %d runs, want %d runs (%s)", err, runs, test.runs, test.reason)
			}
			if got := s.names(); got != test.commands {
				t.Errorf("sent were %q, want %q (%s)", got, test.commands, test.reason)
			}
		})
	}
}

func TestACancelledTransactionIsNotCommitted(t *testing.T) {
	t.Parallel()
	s := serveCanned(t)
	e := open(t, s, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	err := e.Tx(ctx, func(tx store.Tx) error {
		err := tx.Insert(ctx, "things", doc("thi_a"))
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Tx: got %v, want that its context ended", err)
	}
	if got := s.names(); got != "insert abortTransaction" {
		t.Errorf("sent were %q, want an insert and its end", got)
	}
}

// TestOneWhoNeverGetsBetweenTheOthersIsTold after some time, and not never.
func TestOneWhoNeverGetsBetweenTheOthersIsTold(t *testing.T) {
	t.Parallel()
	s := serveCanned(t)
	e := open(t, s, Options{Timeout: 50 * time.Millisecond})
	for range 10000 {
		s.on("insert", fails(112, "WriteConflict", "WriteConflict", transientLabel))
	}
	err := e.Tx(t.Context(), func(tx store.Tx) error { return tx.Insert(t.Context(), "things", doc("thi_a")) })
	if !code(platform.ResourceExhausted)(err) || platform.RetryAfter(err) == 0 {
		t.Errorf("Tx that meets a conflict every time: got %v, want RESOURCE_EXHAUSTED and when to come again", err)
	}
}

func TestReadsMeetTheirFaults(t *testing.T) {
	t.Parallel()
	gone, notPrimary := answer{hangUp: true}, fails(10107, "NotMaster", "not master")
	for what, test := range map[string]struct {
		on     []answer
		more   []answer
		want   func(error) bool
		found  int
		reason string
	}{
		"a connection that breaks":           {on: []answer{gone, rows(stored("thi_a", 1))}, want: nothingWrong, found: 1, reason: "the driver asks again once"},
		"connections that break":             {on: []answer{gone, gone}, want: unavailable},
		"a server that is not the primary":   {on: []answer{notPrimary, rows(stored("thi_a", 1))}, want: nothingWrong, found: 1},
		"servers that are not the primary":   {on: []answer{notPrimary, notPrimary}, want: unavailable},
		"a read that takes too long":         {on: []answer{fails(50, "MaxTimeMSExpired", "operation exceeded time limit")}, want: unavailable},
		"no right to read":                   {on: []answer{fails(13, "Unauthorized", "not authorized")}, want: unavailable},
		"a mistake":                          {on: []answer{fails(2, "BadValue", "unknown operator")}, want: code(platform.Internal), reason: "our own fault is not the database's"},
		"a second page":                      {on: []answer{cursor(5, "firstBatch", stored("thi_a", 1))}, more: []answer{cursor(0, "nextBatch", stored("thi_b", 1))}, want: nothingWrong, found: 2},
		"a cursor killed between two pages":  {on: []answer{cursor(5, "firstBatch", stored("thi_a", 1))}, more: []answer{fails(43, "CursorNotFound", "cursor id 5 not found")}, want: unavailable},
		"a connection lost between pages":    {on: []answer{cursor(5, "firstBatch", stored("thi_a", 1))}, more: []answer{gone}, want: unavailable, reason: "half of what was asked for is not an answer"},
		"a document that nobody stored here": {on: []answer{rows(bson.Raw("\x05\x00\x00\x00\x00"))}, want: code(platform.Internal)},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := serveCanned(t)
			e := open(t, s, Options{})
			s.on("find", test.on...)
			s.on("getMore", test.more...)
			docs, err := e.Find(t.Context(), "things", store.Query{})
			if !test.want(err) || err == nil && len(docs) != test.found {
				t.Errorf("Find: got %d documents and error %v (%s)", len(docs), err, test.reason)
			}
		})
	}
}

func TestADatabaseThatIsAwayIsTold(t *testing.T) {
	t.Parallel()
	s := serveCanned(t)
	e := open(t, s, Options{Timeout: 300 * time.Millisecond})
	hold := make(chan struct{})
	s.on("find", answer{hold: hold, hangUp: true})
	if _, err := e.Find(t.Context(), "things", store.Query{}); !unavailable(err) {
		t.Errorf("Find that is never answered: got %v, want UNAVAILABLE", err)
	}
	close(hold)
	s.mu.Lock()
	s.hello = bson.D{{Key: "ok", Value: 0}, {Key: "errmsg", Value: "no"}}
	s.mu.Unlock()
	s.cut()
	for what, do := range map[string]func() error{
		"Find": func() error { _, err := e.Find(t.Context(), "things", store.Query{}); return err },
		"Tx": func() error {
			return e.Tx(t.Context(), func(tx store.Tx) error { return tx.Insert(t.Context(), "things", doc("thi_a")) })
		},
		"Beat": func() error { return e.Beat(t.Context(), "sessions", "ses_a", platform.Time{}) },
		"Watch": func() error {
			for _, err := range e.Watch(t.Context(), "events", "") {
				return err
			}
			return nil
		},
	} {
		if err := do(); !unavailable(err) {
			t.Errorf("%s of a database that is away: got %v, want UNAVAILABLE", what, err)
		}
	}
}

func TestAClosedEngineAsksNothing(t *testing.T) {
	t.Parallel()
	s := serveCanned(t)
	e := open(t, s, Options{})
	for range 2 {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	for _, call := range calls() {
		if call.name == "change one's mind" {
			continue
		}
		if err := call.do(t.Context(), e); !code(platform.Unavailable)(err) {
			t.Errorf("%s after Close: got %v, want UNAVAILABLE", call.name, err)
		}
	}
	if got := s.names(); got != "" {
		t.Errorf("sent were %q after Close", got)
	}
}

// TestADropTakesItsTime: a server that is busy may need longer for it than for
// any other call.
func TestADropTakesItsTime(t *testing.T) {
	t.Parallel()
	s := serveCanned(t)
	e, err := Open(t.Context(), "mongodb://"+s.address+"/test_one?replicaSet=rs0", Options{Timeout: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	hold := make(chan struct{})
	s.on("dropDatabase", answer{hold: hold, doc: says(nil).doc})
	go func() {
		time.Sleep(100 * time.Millisecond)
		close(hold)
	}()
	if err := e.Drop(t.Context()); err != nil {
		t.Errorf("Drop: %v", err)
	}
	if err := open(t, s, Options{}).Drop(t.Context()); err == nil || strings.Contains(s.names(), "dropDatabase dropDatabase") {
		t.Errorf("Drop of a database that is not a test's: got %v, want a refusal", err)
	}
}

func TestWhatIsTooMuchIsShed(t *testing.T) {
	t.Parallel()
	s := serveCanned(t)
	e := open(t, s, Options{Pool: 1})
	hold := make(chan struct{})
	done := make(chan error, queue)
	for range queue {
		s.on("find", answer{hold: hold, doc: rows().doc})
		go func() {
			_, err := e.Find(t.Context(), "things", store.Query{})
			done <- err
		}()
	}
	for full := false; !full; time.Sleep(time.Millisecond) {
		e.gate.mu.Lock()
		full = e.gate.inside == queue
		e.gate.mu.Unlock()
	}
	if _, err := e.Find(t.Context(), "things", store.Query{}); !code(platform.ResourceExhausted)(err) {
		t.Errorf("one call too many: got %v, want RESOURCE_EXHAUSTED", err)
	}
	if err := e.Beat(t.Context(), "sessions", "ses_a", platform.Time{}); err != nil {
		t.Errorf("a beat beside too many calls: %v", err)
	}
	close(hold)
	for range queue {
		if err := <-done; err != nil {
			t.Errorf("a call that was let in: %v", err)
		}
	}
}

func TestABeatOfTheDead(t *testing.T) {
	t.Parallel()
	s := serveCanned(t)
	e := open(t, s, Options{})
	s.on("update", says(bson.D{{Key: "n", Value: 0}, {Key: "nModified", Value: 0}}))
	if err := e.Beat(t.Context(), "sessions", "ses_a", platform.Time{}); !errors.Is(err, store.ErrNoDocument) {
		t.Errorf("Beat: got %v, want that there is no document", err)
	}
}

func TestIndexesThatCannotBeMade(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		create, index, find []answer
		want                func(error) bool
	}{
		"all is there":               {create: []answer{fails(48, "NamespaceExists", "a collection already exists")}, want: nothingWrong},
		"somebody else makes it now": {index: []answer{fails(12587, "BackgroundOperationInProgressForNamespace", "busy"), says(nil)}, want: nothingWrong},
		"another definition": {index: []answer{fails(86, "IndexKeySpecsConflict", "Index must have unique name. slug")}, want: func(err error) bool {
			return err != nil && strings.Contains(err.Error(), "another definition") && strings.Contains(err.Error(), "things")
		}},
		"somebody else makes a unique one now": {
			find: []answer{rows(), fails(2, "BadValue", "error processing query: planner returned error: bad hint"), rows()}, want: nothingWrong,
		},
		"values that were not unique for somebody else": {
			find:  []answer{fails(2, "BadValue", "error processing query: planner returned error: bad hint")},
			index: []answer{says(nil), fails(11000, "DuplicateKey", slugTaken)}, want: duplicateOf("slug"),
		},
		"no right to look":           {find: []answer{fails(13, "Unauthorized", "not authorized")}, want: unavailable},
		"values that are not unique": {index: []answer{fails(11000, "DuplicateKey", slugTaken)}, want: duplicateOf("slug")},
		"no right to":                {create: []answer{fails(13, "Unauthorized", "not authorized")}, want: unavailable},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := serveCanned(t)
			e := open(t, s, Options{})
			s.on("create", test.create...)
			s.on("createIndexes", test.index...)
			s.on("find", test.find...)
			if err := e.EnsureIndexes(t.Context(), things()); !test.want(err) {
				t.Errorf("EnsureIndexes: got %v", err)
			}
		})
	}
}

func TestServersThatAreRefused(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		with   func(hello bson.D) bson.D
		want   string
		code   platform.Code
		reason string
	}{
		"a lone server": {
			with: func(bson.D) bson.D {
				return bson.D{{Key: "ismaster", Value: true}, {Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 7}, {Key: "ok", Value: 1}}
			},
			want: "rs.initiate()", code: platform.Internal, reason: "the error says how to mend it",
		},
		"a server that waits for its set": {
			with: func(bson.D) bson.D {
				return bson.D{{Key: "ismaster", Value: false}, {Key: "isreplicaset", Value: true}, {Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 7}, {Key: "ok", Value: 1}}
			},
			want: "rs.initiate()", code: platform.Unavailable,
		},
		"a mongos": {
			with: func(bson.D) bson.D {
				return bson.D{{Key: "ismaster", Value: true}, {Key: "msg", Value: "isdbgrid"}, {Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 7}, {Key: "ok", Value: 1}}
			},
			want: "not supported yet", code: platform.Internal,
		},
		"an old server": {
			with: func(hello bson.D) bson.D {
				out := append(bson.D{}, hello...)
				for i, e := range out {
					if e.Key == "maxWireVersion" {
						out[i].Value = 6
					}
				}
				return out
			},
			want: "4.0 or newer", code: platform.Internal,
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := serveCanned(t)
			s.hello = test.with(s.hello)
			e, err := Open(t.Context(), "mongodb://"+s.address+"/", Options{})
			if err == nil {
				e.Close()
				t.Fatal("Open: no error")
			}
			if !strings.Contains(err.Error(), test.want) || platform.CodeOf(err) != test.code {
				t.Errorf("Open: got %v, code %s; want %q and code %s (%s)", err, platform.CodeOf(err), test.want, test.code, test.reason)
			}
		})
	}
}

// TestNoErrorShowsThePassword also where it is the password that is wrong.
func TestNoErrorShowsThePassword(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"mongodb://dezky:s3cr3t@127.0.0.1:1/dezky":      "127.0.0.1:1/dezky",
		"mongodb://dezky:s3cr3t@127.0.0.1:99999/dezky":  "port",
		"mongodb://dezky:s3cr3t/x@127.0.0.1:1/dezky":    "percent-encoded",
		"mongodb://dezky:s3cr3t@x@127.0.0.1:1/dezky":    "percent-encoded",
		"mongodb://dezky:s3cr3t@127.0.0.1:1/dezky?w=-3": "invalid value",
		"mongodb://dezky:s3cr3t%@127.0.0.1:1/dezky":     "percent-encoded",
		"nonsense": "not usable",
	} {
		_, err := Open(t.Context(), address, Options{})
		if err == nil || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), want) {
			t.Errorf("Open of %s: got %v, want %q and no password", address, err, want)
		}
	}
}
