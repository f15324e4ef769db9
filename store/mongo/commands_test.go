package mongo

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

var update = flag.Bool("update", false, "write down the commands that are sent in testdata")

func where(all ...store.Condition) []store.Condition { return all }

func cond(field string, op store.Op, values ...any) store.Condition {
	return store.Condition{Field: field, Op: op, Values: values}
}

// call is something that an engine is asked to do.
type call struct {
	name string
	do   func(ctx context.Context, e *Engine) error
}

func finds(name string, q store.Query) call {
	return call{name, func(ctx context.Context, e *Engine) error { _, err := e.Find(ctx, "things", q); return err }}
}

func sums(name string, q store.Aggregate) call {
	return call{name, func(ctx context.Context, e *Engine) error { _, err := e.Sum(ctx, "things", q); return err }}
}

func within(name string, do func(ctx context.Context, tx store.Tx) error) call {
	return call{name, func(ctx context.Context, e *Engine) error {
		return e.Tx(ctx, func(tx store.Tx) error { return do(ctx, tx) })
	}}
}

// calls are every kind of thing that an engine can be asked for.
func calls() []call {
	one, some := cond("tenantId", store.Eq, "ten_1"), cond("tenantId", store.In, "ten_1", nil)
	text, none := &store.Mark{Value: "Anna", ID: "thi_1"}, &store.Mark{ID: "thi_1"}
	everything := `{"id":"thi_a","name":"Anna","slug":"one","none":null,"list":[1,{"$a.b":true}]}`
	return []call{
		{"make the collections and indexes", func(ctx context.Context, e *Engine) error { return e.EnsureIndexes(ctx, things()) }},
		{"get one", func(ctx context.Context, e *Engine) error {
			_, err := e.Get(ctx, "events", []platform.ID{"evt_1"})
			return err
		}},
		{"get some", func(ctx context.Context, e *Engine) error {
			_, err := e.Get(ctx, "things", []platform.ID{"thi_a", "thi_b"})
			return err
		}},
		finds("find all", store.Query{}),
		finds("find the first by name", store.Query{Where: where(one), Sort: "name", Limit: 20}),
		finds("find the next by name", store.Query{Where: where(one), Sort: "name", Limit: 20, After: text}),
		finds("find the next after one without a name", store.Query{Where: where(one), Sort: "name", Limit: 20, After: none}),
		finds("find the last by name", store.Query{Where: where(one), Sort: "name", Limit: 20, Desc: true}),
		finds("find the ones before by name", store.Query{Where: where(one), Sort: "name", Limit: 20, Desc: true, After: text}),
		finds("find the ones before one without a name", store.Query{Where: where(one), Sort: "name", Limit: 20, Desc: true, After: none}),
		finds("find the next by id", store.Query{Limit: 20, After: none}),
		finds("find the ones before by id", store.Query{Limit: 20, After: none, Desc: true}),
		finds("find the next of one name", store.Query{Where: where(one, cond("name", store.Eq, "Anna")), Sort: "name", After: text}),
		finds("find by a slug", store.Query{Where: where(cond("slug", store.Eq, "one")), Limit: 1}),
		finds("find by slugs", store.Query{Where: where(cond("slug", store.In, "one", "two"))}),
		finds("find those without a slug", store.Query{Where: where(cond("slug", store.Eq, nil), one)}),
		finds("find by two unique fields", store.Query{Where: where(one, cond("place.desk", store.Eq, 7))}),
		finds("find by ids, sorted by name", store.Query{Where: where(cond("id", store.In, "thi_a", "thi_b")), Sort: "name", Limit: 20}),
		finds("find of some tenants", store.Query{Where: where(some), Sort: "name"}),
		finds("find of no tenant in a list", store.Query{Where: where(cond("tenantId", store.In))}),
		finds("find what is less than nothing", store.Query{Where: where(cond("tenantId", store.Lte, nil))}),
		finds("find in a range", store.Query{Where: where(one, cond("name", store.Gt, "A"), cond("name", store.Lte, "B")), Sort: "name"}),
		finds("find by numbers and bools", store.Query{Where: where(one, cond("name", store.Gte, 1), cond("name", store.Lt, 3), cond("open", store.Eq, true))}),
		finds("find by a beginning", store.Query{Where: where(one, cond("name", store.Prefix, "An")), Sort: "name"}),
		finds("find by any text", store.Query{Where: where(one, cond("name", store.Prefix, ""))}),
		finds("find by a word", store.Query{Where: where(cond("search", store.Word, "anna")), Sort: "name", Limit: 20}),
		finds("find by two words of a tenant", store.Query{Where: where(one, cond("search", store.Word, "anna"), cond("search", store.Word, "mül"))}),
		{"find the first of each", func(ctx context.Context, e *Engine) error {
			q := store.Query{Where: where(cond("name", store.Gt, "A")), Sort: "name", Limit: 2, After: text}
			_, err := e.FindEach(ctx, "things", "tenantId", []string{"ten_2", "ten_1", "ten_2"}, q)
			return err
		}},
		sums("count all", store.Aggregate{}),
		sums("count by tenant", store.Aggregate{Where: where(some), By: "tenantId"}),
		sums("sum of a tenant", store.Aggregate{Where: where(one), Sum: []string{"rank", "place.desk"}}),
		sums("count by slugs", store.Aggregate{Where: where(cond("slug", store.In, "one", "two"))}),
		within("insert", func(ctx context.Context, tx store.Tx) error {
			return tx.Insert(ctx, "things", store.Doc{ID: "thi_a", Body: []byte(everything)})
		}),
		within("replace", func(ctx context.Context, tx store.Tx) error {
			return tx.Replace(ctx, "things", store.Doc{ID: "thi_a", Version: 4, Body: []byte(everything)})
		}),
		within("delete", func(ctx context.Context, tx store.Tx) error { return tx.Delete(ctx, "events", "evt_1", 1) }),
		within("read and change", func(ctx context.Context, tx store.Tx) error {
			_, get := tx.Get(ctx, "things", []platform.ID{"thi_a"})
			_, find := tx.Find(ctx, "things", store.Query{Where: where(one), Sort: "name", Limit: 1})
			_, sum := tx.Sum(ctx, "things", store.Aggregate{Where: where(one)})
			return errors.Join(get, find, sum, tx.Insert(ctx, "events", doc("evt_1")))
		}),
		within("change one's mind", func(ctx context.Context, tx store.Tx) error {
			if _, err := tx.Get(ctx, "things", []platform.ID{"thi_a"}); err != nil {
				return err
			}
			return store.ErrNoDocument
		}),
		{"beat", func(ctx context.Context, e *Engine) error {
			return e.Beat(ctx, "sessions", "ses_a", platform.At(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)))
		}},
		{"watch from now", watchOnce("")},
		{"watch from a moment", watchOnce("t1700000000.5")},
		{"watch from an event", watchOnce(mark{token: bson.Raw("\x0d\x00\x00\x00\x10_d\x00\x01\x00\x00\x00\x00")}.position())},
		{"explain", func(ctx context.Context, e *Engine) error {
			_, err := e.Explain(ctx, "things", store.Query{Where: where(cond("slug", store.In, "one", "two")), Limit: 3})
			return err
		}},
	}
}

// watchOnce watches until the watch stands.
func watchOnce(after store.Position) func(context.Context, *Engine) error {
	return func(ctx context.Context, e *Engine) error {
		for _, err := range e.Watch(ctx, "events", after) {
			return err
		}
		return nil
	}
}

// TestCommands: every command that can be sent, as it is on the wire, without
// the session's id and how often it was used, which are others in each run.
func TestCommands(t *testing.T) {
	t.Parallel()
	s := serveCanned(t)
	e := open(t, s, Options{})
	var all strings.Builder
	for _, call := range calls() {
		s.forget()
		if call.name == "make the collections and indexes" { // and learn a document's words
			old, err := bson.Marshal(bson.D{{Key: "_id", Value: "thi_a"}, {Key: "version", Value: int64(2)}, {Key: "doc", Value: bson.D{{Key: "note", Value: "Anna"}}}})
			if err != nil {
				t.Fatal(err)
			}
			s.on("find", rows(), rows(), rows(old)) // after a look at each unique index
		}
		if err := call.do(t.Context(), e); err != nil && !errors.Is(err, store.ErrNoDocument) {
			t.Errorf("%s: %v", call.name, err)
		}
		var lines []string
		for _, command := range s.sent() {
			lawful(t, call.name, command)
			lines = append(lines, withoutSession(t, command))
		}
		if call.name == "find the first of each" { // which are asked for at once
			slices.Sort(lines)
		}
		all.WriteString("-- " + call.name + " --\n" + strings.Join(lines, "\n") + "\n")
	}
	file := filepath.Join("testdata", "commands.txt")
	if *update {
		if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(all.String(), "\n")); diff != "" {
		t.Errorf("what is sent (- %s, + now; -update writes it down):\n%s", file, diff)
	}
}

// TestOnlyCountsMayBeBehind: with SecondaryCounts a count outside of a transaction
// may be asked of a secondary, and nothing else.
func TestOnlyCountsMayBeBehind(t *testing.T) {
	t.Parallel()
	s := serveCanned(t)
	e := open(t, s, Options{SecondaryCounts: true})
	for _, call := range calls() {
		s.forget()
		if err := call.do(t.Context(), e); err != nil && !errors.Is(err, store.ErrNoDocument) {
			t.Errorf("%s: %v", call.name, err)
		}
		for _, command := range s.sent() {
			preference, ok := command.Lookup("$readPreference").DocumentOK()
			behind := ok && preference.Lookup("mode").StringValue() == "secondaryPreferred"
			_, inTransaction := command.Lookup("autocommit").BooleanOK()
			counts := nameOf(command) == "aggregate" && strings.Contains(command.String(), "$group") && !inTransaction
			if behind != counts {
				t.Errorf("%s: may be answered by a secondary: %v, want %v: %s", call.name, behind, counts, command)
			}
		}
	}
}

func withoutSession(t *testing.T, command bson.Raw) string {
	t.Helper()
	var fields bson.D
	if err := bson.Unmarshal(command, &fields); err != nil {
		t.Fatal(err)
	}
	fields = slices.DeleteFunc(fields, func(e bson.E) bool { return e.Key == "lsid" || e.Key == "$clusterTime" })
	for i, e := range fields {
		if e.Key == "txnNumber" {
			fields[i].Value = "some"
		}
	}
	text, err := bson.MarshalExtJSON(fields, false, false)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// lawful wants a command to have nothing that MongoDB 4.0 lacks, and to write in
// a transaction, but for beats and what belongs to the making of an index.
func lawful(t *testing.T, name string, command bson.Raw) {
	t.Helper()
	known := strings.Fields("$and $nor $not $in $gt $gte $lt $lte $type $elemMatch $exists $match $group $sum $set $inc " +
		"$changeStream $db $clusterTime $readPreference %24a%2Eb")
	var walk func(v bson.RawValue)
	walk = func(v bson.RawValue) {
		if v.Type != bson.TypeEmbeddedDocument && v.Type != bson.TypeArray {
			return
		}
		elements, err := bson.Raw(v.Value).Elements()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range elements {
			if strings.HasPrefix(e.Key(), "$") && !slices.Contains(known, e.Key()) {
				t.Errorf("%s: MongoDB 4.0 is not known to have %s: %s", name, e.Key(), command)
			}
			walk(e.Value())
		}
	}
	walk(bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: command})
	if command.Lookup("$db").StringValue() == "dezky" && slices.Contains([]string{"insert", "update", "delete"}, nameOf(command)) {
		if _, ok := command.Lookup("txnNumber").Int64OK(); !ok {
			t.Errorf("%s: a write that cannot be repeated: %s", name, command)
		}
		auto, ok := command.Lookup("autocommit").BooleanOK()
		if (!ok || auto) && name != "beat" && name != "make the collections and indexes" {
			t.Errorf("%s: a write outside of a transaction: %s", name, command)
		}
	}
}

// TestEveryQueryOfTheStoreIsServedByAnIndex as far as that can be seen without
// a server: behind the fields that are compared for equality an index has those
// that the page is sorted by. The server's own plans are looked at where there
// is one.
func TestEveryQueryOfTheStoreIsServedByAnIndex(t *testing.T) {
	t.Parallel()
	s := serveCanned(t)
	s2, err := store.New(t.Context(), open(t, s, Options{}))
	if err != nil {
		t.Fatal(err)
	}
	s.forget()
	asked := 0
	askEverything(t, s2)
	for _, command := range s.sent() {
		lawful(t, "a read", command)
		if name := nameOf(command); name == "find" || name == "aggregate" {
			asked++
			if !served(t, command) {
				t.Errorf("no index serves %s", command)
			}
		}
	}
	if asked < 60 {
		t.Errorf("only %d queries were asked", asked)
	}
	for _, bad := range []bson.D{
		{{Key: "find", Value: "members"}, {Key: "filter", Value: bson.D{{Key: "doc.role", Value: "ADMIN"}}}},
		{{Key: "find", Value: "members"}, {Key: "filter", Value: bson.D{{Key: "doc.tenantId", Value: "a"}}}, {Key: "sort", Value: bson.D{{Key: "doc.role", Value: 1}}}},
		{{Key: "find", Value: "tenants"}, {Key: "filter", Value: bson.D{{Key: "doc.slug", Value: "a"}}}},
	} {
		raw, err := bson.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		if served(t, raw) {
			t.Errorf("that no index serves %s is not found out", bson.Raw(raw))
		}
	}
}

// askEverything calls every method of the store that reads: with all that can be
// said, and with as little as possible.
func askEverything(t *testing.T, s *store.Store) {
	t.Helper()
	for _, port := range []reflect.Type{reflect.TypeFor[platform.Reader](), reflect.TypeFor[platform.MemberLister]()} {
		for i := range port.NumMethod() {
			method := reflect.ValueOf(s).MethodByName(port.Method(i).Name)
			for _, text := range []string{"", "beta 0"} {
				in := []reflect.Value{reflect.ValueOf(t.Context())}
				for n := 1; n < method.Type().NumIn(); n++ {
					in = append(in, filled(method.Type().In(n), text))
				}
				out := method.Call(in)
				err, _ := out[len(out)-1].Interface().(error)
				if err != nil && platform.CodeOf(err) != platform.NotFound {
					t.Errorf("%s: %v", port.Method(i).Name, err)
				}
			}
		}
	}
}

// filled is a value of a type: IDs always name something, other texts are text.
func filled(of reflect.Type, text string) reflect.Value {
	v := reflect.New(of).Elem()
	switch {
	case of == reflect.TypeFor[platform.ID]():
		v.SetString("ten_a")
	case of == reflect.TypeFor[platform.Cursor](), of == reflect.TypeFor[platform.Time]():
	case of.Kind() == reflect.String:
		v.SetString(text)
	case of.Kind() == reflect.Bool:
		v.SetBool(text == "")
	case v.CanInt():
		v.SetInt(10)
	case of.Kind() == reflect.Slice:
		v = reflect.Append(v, filled(of.Elem(), "a"), filled(of.Elem(), "b"))
	case of.Kind() == reflect.Struct:
		for i := range of.NumField() {
			if of.Field(i).IsExported() {
				v.Field(i).Set(filled(of.Field(i).Type, text))
			}
		}
	}
	return v
}

// served says whether an index of the store's serves a find or an aggregate.
func served(t *testing.T, command bson.Raw) bool {
	t.Helper()
	coll := command.Index(0).Value().StringValue()
	filter, ok := command.Lookup("filter").DocumentOK()
	if !ok {
		filter = command.Lookup("pipeline", "0", "$match").Document()
	}
	equal, ranged := map[string]bool{}, map[string]bool{}
	sortOf(t, filter, equal, ranged)
	var sorted []string
	if sort, ok := command.Lookup("sort").DocumentOK(); ok {
		for _, e := range elementsOf(t, sort) {
			if !equal[e.Key()] {
				sorted = append(sorted, e.Key())
			}
		}
	}
	_, hinted := command.Lookup("hint").StringValueOK()
	for _, index := range indexesOf(t, coll) {
		if index.partial && !strings.Contains(filter.String(), "$type") {
			continue
		}
		n := 0
		for n < len(index.fields) && equal[index.fields[n]] {
			n++
		}
		found := n > 0 || ranged[index.fields[0]] || len(equal)+len(ranged) == 0
		ordered := len(sorted) <= len(index.fields)-n && slices.Equal(sorted, index.fields[n:n+min(len(sorted), len(index.fields)-n)])
		word := strings.HasPrefix(index.fields[len(index.fields)-1], wordsField) // what a search finds is sorted
		if found && (ordered || hinted || word) {
			return true
		}
	}
	return false
}

func elementsOf(t *testing.T, doc bson.Raw) []bson.RawElement {
	t.Helper()
	elements, err := doc.Elements()
	if err != nil {
		t.Fatal(err)
	}
	return elements
}

// sortOf sorts the paths of a filter into those that are compared for equality
// and those with a range. What $nor takes out finds nothing.
func sortOf(t *testing.T, filter bson.Raw, equal, ranged map[string]bool) {
	for _, e := range elementsOf(t, filter) {
		switch inner, ok := e.Value().DocumentOK(); {
		case e.Key() == "$and":
			for _, clause := range elementsOf(t, bson.Raw(e.Value().Array())) {
				sortOf(t, clause.Value().Document(), equal, ranged)
			}
		case e.Key() == "$nor":
		case !ok || inner.Index(0).Key() == "$in":
			equal[e.Key()] = true
		case inner.Index(0).Key() != "$type":
			ranged[e.Key()] = true
		}
	}
}

type shape struct {
	fields  []string
	partial bool
}

func indexesOf(t *testing.T, coll string) []shape {
	t.Helper()
	all := []shape{{fields: []string{"_id"}}}
	for _, c := range store.Collections() {
		if c.Name != coll {
			continue
		}
		specs, err := specsOf(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range specs {
			var s shape
			for _, e := range one.(bson.D) {
				switch e.Key {
				case "key":
					for _, field := range e.Value.(bson.D) {
						s.fields = append(s.fields, field.Key)
					}
				case "partialFilterExpression":
					s.partial = true
				}
			}
			all = append(all, s)
		}
	}
	return all
}
