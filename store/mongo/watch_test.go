package mongo

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// eventOf is the event of an insert, as a change stream has it.
func eventOf(t testing.TB, id string) bson.Raw {
	t.Helper()
	raw, err := bson.Marshal(bson.D{
		{Key: "_id", Value: bson.D{{Key: "_data", Value: "82" + id}}},
		{Key: "operationType", Value: "insert"}, {Key: "fullDocument", Value: stored(id, 1)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// positionOf is the position behind an event.
func positionOf(t testing.TB, id string) store.Position {
	t.Helper()
	return mark{token: eventOf(t, id).Lookup("_id").Document()}.position()
}

func TestAWatchGoesOnOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	gone := answer{hangUp: true}
	batchOf := func(id int64, ids ...string) answer {
		var docs []bson.Raw
		for _, id := range ids {
			docs = append(docs, eventOf(t, id))
		}
		return cursor(id, "nextBatch", docs...)
	}
	behind := positionOf(t, "a")
	strange, err := bson.Marshal(bson.D{{Key: "_id", Value: bson.D{{Key: "_data", Value: "82b"}}}, {Key: "operationType", Value: "insert"}})
	if err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		after  store.Position
		on     map[string][]answer
		want   string // the ids that come, and then the error
		opens  []string
		reason string
	}{
		"events in their order": {
			on:   map[string][]answer{"getMore": {batchOf(7, "a", "b"), batchOf(7), batchOf(7, "c"), batchOf(0)}},
			want: "a b c UNAVAILABLE", opens: []string{`"startAtOperationTime": {"$timestamp":{"t":1700000000,"i":5}}`},
			reason: "a stream that the server ended says so",
		},
		"from a position": {
			after: behind,
			on:    map[string][]answer{"getMore": {batchOf(0, "b")}},
			want:  "b UNAVAILABLE", opens: []string{`"resumeAfter": {"_data": "82a"}`},
		},
		"from a moment": {
			after: "t1700000000.5",
			on:    map[string][]answer{"getMore": {batchOf(0, "b")}},
			want:  "b UNAVAILABLE", opens: []string{`"startAtOperationTime": {"$timestamp":{"t":1700000000,"i":5}}`},
		},
		"a token that makes no sense to the server": {
			after: behind,
			on:    map[string][]answer{"aggregate": {fails(50810, "Location50810", "invalid resume token")}},
			want:  "lost", opens: []string{"resumeAfter"},
		},
		"a token that has left the log": {
			after: behind,
			on:    map[string][]answer{"aggregate": {fails(40576, "Location40576", "resume of change notification was not possible")}},
			want:  "lost", opens: []string{"resumeAfter"},
		},
		"a moment that has left the log": {
			after: "t1.1",
			on:    map[string][]answer{"aggregate": {fails(40576, "Location40576", "resume of change notification was not possible")}},
			want:  "lost", opens: []string{"startAtOperationTime"},
		},
		"a set that was made just now": {
			on:   map[string][]answer{"ping": {says(nil)}},
			want: "UNAVAILABLE", reason: "it does not say yet what time it is",
		},
		"a primary that is lost before the watch stands": {
			on:   map[string][]answer{"find": {gone, gone}},
			want: "UNAVAILABLE", reason: "what is older than the moment may not be committed yet",
		},
		"a network that breaks at opening": {
			after: behind,
			on:    map[string][]answer{"aggregate": {gone, gone}},
			want:  "UNAVAILABLE", opens: []string{"resumeAfter", "resumeAfter"},
			reason: "the position is as good as before",
		},
		"a server that is not the primary at opening": {
			after: behind,
			on:    map[string][]answer{"aggregate": {fails(10107, "NotMaster", "not master"), fails(10107, "NotMaster", "not master")}},
			want:  "UNAVAILABLE", opens: []string{"resumeAfter", "resumeAfter"},
		},
		"no right to watch": {
			after: behind,
			on:    map[string][]answer{"aggregate": {fails(13, "Unauthorized", "not authorized")}},
			want:  "UNAVAILABLE", opens: []string{"resumeAfter"},
		},
		"a failure of now": {
			on:   map[string][]answer{"aggregate": {fails(2, "BadValue", "unknown stage")}},
			want: "INTERNAL", opens: []string{"startAtOperationTime"},
			reason: "there is no position that could be lost",
		},
		"a primary that is lost on the way": {
			on:   map[string][]answer{"getMore": {batchOf(7, "a"), gone, batchOf(0, "b")}},
			want: "a b UNAVAILABLE", opens: []string{"startAtOperationTime", `"resumeAfter": {"_data": "82a"}`},
			reason: "it goes on behind what it has seen",
		},
		"a primary that is lost before the first event": {
			on:   map[string][]answer{"getMore": {gone, batchOf(0, "a")}},
			want: "a UNAVAILABLE", opens: []string{`"i":5`, `"i":5`},
			reason: "from where it stood, and not from the moment after",
		},
		"a reader that the log has overtaken": {
			on:   map[string][]answer{"getMore": {batchOf(7, "a"), fails(136, "CappedPositionLost", "the position is gone")}},
			want: "a lost", opens: []string{"startAtOperationTime"},
		},
		"a stream that an operator killed": {
			on:   map[string][]answer{"getMore": {fails(237, "CursorKilled", "killed")}},
			want: "UNAVAILABLE", opens: []string{"startAtOperationTime"},
		},
		"a document that nobody stored here": {
			on:   map[string][]answer{"getMore": {batchOf(7, "a"), cursor(7, "nextBatch", strange)}},
			want: "a lost", opens: []string{"startAtOperationTime"},
			reason: "behind the last position it would be met again and again",
		},
		"nonsense":                   {after: "nonsense", want: "lost"},
		"nonsense that was a token":  {after: "rAAAA", want: "lost"},
		"nonsense that was a moment": {after: "t99999999999.1", want: "lost"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := serveCanned(t)
			e := open(t, s, Options{})
			for command, answers := range test.on {
				s.on(command, answers...)
			}
			var got []string
			for change, err := range e.Watch(t.Context(), "events", test.after) {
				switch {
				case errors.Is(err, store.ErrPositionLost):
					got = append(got, "lost")
				case err != nil:
					got = append(got, string(platform.CodeOf(err)))
				case change.Doc.ID == "":
					if want := test.after; change.Position == "" || want != "" && change.Position != want {
						t.Errorf("the watch stands at %q, want %q", change.Position, want)
					}
				default:
					var body struct{ ID string }
					if err := bson.UnmarshalExtJSON(change.Doc.Body, false, &body); err != nil {
						t.Fatal(err)
					}
					got = append(got, body.ID)
					if want := positionOf(t, body.ID); change.Position != want {
						t.Errorf("the position of %s is %q, want %q", body.ID, change.Position, want)
					}
				}
			}
			if text := strings.Join(got, " "); text != test.want {
				t.Errorf("the watch yields %q, want %q (%s)", text, test.want, test.reason)
			}
			var opens []string
			for _, command := range s.sent() {
				if nameOf(command) == "aggregate" {
					opens = append(opens, command.String())
				}
			}
			if len(opens) != len(test.opens) {
				t.Fatalf("it was opened %d times, want %d: %v", len(opens), len(test.opens), opens)
			}
			for i, want := range test.opens {
				if !strings.Contains(opens[i], want) {
					t.Errorf("opened with %s, want %s (%s)", opens[i], want, test.reason)
				}
			}
		})
	}
}

// TestAWatchEndsAtOnce also while the server lets it wait.
func TestAWatchEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := serveCanned(t)
	e := open(t, s, Options{})
	hold := make(chan struct{})
	defer close(hold)
	s.on("getMore", answer{hold: hold, hangUp: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for change, err := range e.Watch(ctx, "events", "") {
		if n++; err != nil {
			t.Errorf("Watch: got %+v, %v after its context ended, want silence", change, err)
		}
		cancel()
	}
	if n != 1 {
		t.Errorf("the watch yields %d times, want once", n)
	}
}

func TestPositionsComeBack(t *testing.T) {
	t.Parallel()
	for _, m := range []mark{
		{time: primitive.Timestamp{T: 1700000000, I: 5}},
		{time: primitive.Timestamp{T: 1<<32 - 1, I: 1<<32 - 1}},
		{token: eventOf(t, "a").Lookup("_id").Document()},
	} {
		got, err := parseMark(m.position())
		if err != nil || got.time != m.time || string(got.token) != string(m.token) {
			t.Errorf("%s comes back as %+v, %v", m.position(), got, err)
		}
	}
}
