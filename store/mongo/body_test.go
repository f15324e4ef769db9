package mongo

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"

	"github.com/dezky/platform/store"
)

func TestBodiesComeBackByteForByte(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{}`,
		`{"id":"thi_a","z":1,"a":2}`,
		`{"n":[0,-1,9007199254740993,9223372036854775807,-9223372036854775808]}`,
		`{"empty":[],"none":null,"object":{},"text":"","yes":true,"no":false}`,
		`{"deep":[[],[[{}]],{"a":[{"b":null}]}]}`,
		`{"text":"quotes ' \" \\ / \b\f\n\r\t \u0000\u001f\u007f Ünïcode 🙂 \u003c\u0026\u003e \u2028\u2029"}`,
		`{"":1,"$set":2,"a.b":3,"%24":4,"%":5,"a$b":6,"x\u0000":7,"\u003c":8,"%2525":9,".":10,"$":11,"é":12}`,
		`{"_id":"a body's own","version":"too","doc":{"words":[]}}`,
		`{"again":1,"again":2}`,
	} {
		want := body
		var compact any
		if json.Unmarshal([]byte(body), &compact) != nil {
			t.Fatalf("%s is no JSON", body)
		}
		want = strings.ReplaceAll(want, `\u007f`, "\x7f") // encoding/json writes it as it is
		raw, err := toBSON([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if err := raw.Validate(); err != nil {
			t.Errorf("%s became no BSON: %v", body, err)
		}
		got, err := toJSON(raw)
		if err != nil || string(got) != want {
			t.Errorf("%s comes back as %s, %v", body, got, err)
		}
	}
}

func TestBodiesThatCannotBeStored(t *testing.T) {
	t.Parallel()
	for body, reason := range map[string]string{
		``:                          "nothing",
		`[]`:                        "a list",
		`null`:                      "no object",
		`{"a":1.5}`:                 "a fraction",
		`{"a":1e3}`:                 "a float",
		`{"a":9223372036854775808}`: "more than 64 bits",
		`{"a":1} {"b":2}`:           "two of them",
		`{"a":1`:                    "half of one",
		`{"a":[1,{"b":0.1}]}`:       "a fraction further in",
	} {
		if raw, err := toBSON([]byte(body)); err == nil {
			t.Errorf("%s (%s) became %s, want an error", body, reason, bson.Raw(raw))
		}
	}
}

// TestWhatAPersonLeavesIsRead: the mongo shell writes every number as a float.
func TestWhatAPersonLeavesIsRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		value any
		want  string
	}{
		{int32(5), `{"a":5}`},
		{float64(5), `{"a":5}`},
		{float64(-3), `{"a":-3}`},
		{5.5, ""},
		{math.Inf(1), ""},
		{math.NaN(), ""},
		{float64(1 << 60), ""},
	} {
		raw, err := bson.Marshal(bson.D{{Key: "a", Value: test.value}})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := toJSON(raw); (err == nil) != (test.want != "") || err == nil && string(got) != test.want {
			t.Errorf("%v: got %s, %v; want %q", test.value, got, err, test.want)
		}
	}
}

func FuzzBodies(f *testing.F) {
	for _, body := range []string{`{"a":[1,null,{"$b.c":"\u003c\u2028"}],"":""}`, `{"n":-12,"%25":{"x":true}}`, `{"a":1.5}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		raw, err := toBSON([]byte(body))
		if err != nil {
			return
		}
		if err := raw.Validate(); err != nil {
			t.Fatalf("%q became no BSON: %v", body, err)
		}
		once, err := toJSON(raw)
		if err != nil {
			t.Fatalf("%q does not come back: %v", body, err)
		}
		var want, got any
		if err := errors.Join(json.Unmarshal([]byte(body), &want), json.Unmarshal(once, &got)); err != nil {
			t.Fatalf("%q comes back as %q: %v", body, once, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q comes back as another (- was, + is):\n%s", body, diff)
		}
		again, err := toBSON(once)
		if err != nil || string(again) != string(raw) {
			t.Fatalf("%q is stored otherwise when it was read: %v", body, err)
		}
	})
}

func FuzzNames(f *testing.F) {
	for _, name := range []string{"", "%", "%24", "$a", "a.b", "%%24", "\x00", "a%"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		kept := escaped(name)
		if kept == "" || kept[0] == '$' || strings.ContainsAny(kept, ".\x00") {
			t.Errorf("%q is kept as %q, which MongoDB 4.0 does not take", name, kept)
		}
		if got := unescaped(kept); got != name {
			t.Errorf("%q is kept as %q and comes back as %q", name, kept, got)
		}
	})
}

func TestStoredDocuments(t *testing.T) {
	t.Parallel()
	c := things()[0]
	body := `{"id":"thi_a","name":"Anna Anna-Müller","note":42,"place":{"desk":7}}`
	raw, err := toStored(c, store.Doc{ID: "thi_a", Body: []byte(body)}, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"_id": "thi_a","version": {"$numberLong":"3"},"doc": {"id": "thi_a","name": "Anna Anna-Müller","note": {"$numberLong":"42"},` +
		`"place": {"desk": {"$numberLong":"7"}}},"words": {"search": ["anna","müller"]}}`
	if raw.String() != want {
		t.Errorf("stored is\n%s, want\n%s", raw, want)
	}
	got, err := fromStored(raw)
	if err != nil || got.ID != "thi_a" || got.Version != 3 || string(got.Body) != body {
		t.Errorf("it comes back as %s %d %s, %v", got.ID, got.Version, got.Body, err)
	}
	none, err := toStored(c, store.Doc{ID: "thi_b", Body: []byte(`{"id":"thi_b"}`)}, 1)
	if err != nil || !strings.Contains(none.String(), `"words": {"search": []}`) {
		t.Errorf("one without words is stored as %s, %v; it must not look like one whose words are not known", none, err)
	}
}

func TestDuplicatesNameTheirIndex(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`E11000 duplicate key error collection: facts.a index: uk_k dup key: { : "x" }`:                             "uk_k",
		`E11000 duplicate key error collection: dezky.things index: _id_ dup key: { : "thi_a" }`:                    "id",
		`E11000 duplicate key error collection: dezky.things index: slug dup key: { doc.slug: " index: name dup" }`: "slug",
		`E11000 duplicate key error collection: dezky.things index: slug collation: {} dup key: { doc.slug: "a" }`:  "slug",
		`E11000 duplicate key error`: "id",
	} {
		for _, err := range []error{
			mongo.WriteException{WriteErrors: []mongo.WriteError{{Code: 11000, Message: text}}},
			mongo.CommandError{Code: 11000, Name: "DuplicateKey", Message: text},
		} {
			d, ok := errors.AsType[*store.DuplicateError](duplicate("things", err))
			if !ok || d.Coll != "things" || d.Index != want {
				t.Errorf("%v: got %v, want index %s", err, d, want)
			}
		}
	}
}

func FuzzPast(f *testing.F) {
	for _, text := range []string{"", "a", "\ud7ff", "\U0010FFFF", "a\U0010FFFF", "Ä"} {
		f.Add(text, "\x00")
		f.Add(text, "\U0010FFFF")
	}
	f.Fuzz(func(t *testing.T, prefix, more string) {
		if !utf8.ValidString(prefix) || !utf8.ValidString(more) {
			return
		}
		end := past(prefix)
		if end != "" && (prefix+more >= end || !utf8.ValidString(end) || strings.HasPrefix(end, prefix) && prefix != "") {
			t.Errorf("what begins with %q ends before %q, and %q does not", prefix, end, prefix+more)
		}
	})
}
