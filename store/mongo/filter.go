package mongo

import (
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/dezky/platform/store"
)

// path is a field of a body as a stored document has it. The name is a part of
// the query, so it has to be a plain one.
func path(field string) (string, error) {
	if field == "id" {
		return "_id", nil
	}
	if !plain(field) {
		return "", fmt.Errorf("%q is no name of a field", field)
	}
	return bodyField + "." + field, nil
}

// plain says whether a name is letters and digits, with dots inside.
func plain(name string) bool {
	start := true
	for _, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		digit := '0' <= c && c <= '9'
		if !letter && (start || !digit && c != '.') {
			return false
		}
		start = c == '.'
	}
	return !start
}

// value is v as BSON takes it: whatever named type a text or a number has.
func value(v any) (any, error) {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return nil, nil
	case reflect.String:
		return r.String(), nil
	case reflect.Bool:
		return r.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int(), nil
	}
	return nil, fmt.Errorf("a %T cannot be compared with", v)
}

// search turns conditions on a collection into filters.
type search struct {
	coll  store.Collection
	where []store.Condition
}

// clauses are the filters of all conditions.
func (s search) clauses() ([]bson.D, error) {
	var all []bson.D
	for _, c := range s.where {
		clause, err := s.clause(c)
		if err != nil {
			return nil, err
		}
		all = append(all, clause)
	}
	return all, nil
}

func (s search) clause(c store.Condition) (bson.D, error) {
	values := make([]any, len(c.Values))
	for i, v := range c.Values {
		var err error
		if values[i], err = value(v); err != nil {
			return nil, err
		}
	}
	if c.Op != store.In && len(values) != 1 {
		return nil, fmt.Errorf("%s compares with one value, not with %d", c.Op, len(values))
	}
	if c.Op == store.Word {
		return s.word(c.Field, values[0])
	}
	x, err := path(c.Field)
	if err != nil {
		return nil, err
	}
	switch c.Op {
	case store.Eq:
		return is(x, values[0]), nil
	case store.In:
		return is(x, bson.D{{Key: "$in", Value: bson.A(values)}}), nil
	case store.Lt, store.Lte, store.Gt, store.Gte:
		if values[0] == nil {
			return nothing(), nil // MongoDB finds null to be equal to null here
		}
		return is(x, bson.D{{Key: "$" + string(c.Op), Value: values[0]}}), nil
	case store.Prefix:
		within, err := begins(values[0])
		return is(x, within), err
	}
	return nil, fmt.Errorf("there is no operator %q", c.Op)
}

func is(path string, what any) bson.D { return bson.D{{Key: path, Value: what}} }

// nothing is the filter that no document meets.
func nothing() bson.D { return is("_id", bson.D{{Key: "$in", Value: bson.A{}}}) }

// begins is the range of the texts that begin with a text. MongoDB compares a
// text with texts alone, and by their bytes.
func begins(prefix any) (bson.D, error) {
	text, ok := prefix.(string)
	if !ok {
		return nil, fmt.Errorf("a text begins with a text, not with a %T", prefix)
	}
	within := bson.D{{Key: "$gte", Value: text}}
	if end := past(text); end != "" {
		within = append(within, bson.E{Key: "$lt", Value: end})
	}
	return within, nil
}

// past is the least text that is greater than all that begin with prefix, or
// "" if there is none.
func past(prefix string) string {
	for prefix != "" {
		last, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch {
		case last == 0xD7FF: // surrogates follow, and are no text
			return prefix + "\uE000"
		case last < utf8.MaxRune:
			return prefix + string(last+1)
		}
	}
	return ""
}

// word holds when one and the same word is in the range: without $elemMatch one
// word could be above its beginning and another one below its end.
func (s search) word(name string, begin any) (bson.D, error) {
	if !slices.ContainsFunc(s.coll.Indexes, func(x store.Index) bool { return x.Words && x.Name == name }) {
		return nil, fmt.Errorf("%s has no words index %q to look up a word in", s.coll.Name, name)
	}
	if text, ok := begin.(string); ok {
		begin = short(text)
	}
	within, err := begins(begin)
	return is(wordsField+"."+name, bson.D{{Key: "$elemMatch", Value: within}}), err
}

// query is what a page asks MongoDB for.
type query struct {
	filter bson.D
	sort   bson.D
	// hint is the index to take, where MongoDB, which tries plans out on what is
	// there, might take one by which it has to sort much: that of the few documents
	// that the filter names by id or by unique values, or that of an order.
	hint string
	// few says that the hint finds the few, which are sorted.
	few bool
	// limit is 0 for all.
	limit int64
}

func newQuery(coll store.Collection, q store.Query) (query, error) {
	s := search{coll, q.Where}
	clauses, err := s.clauses()
	if err != nil {
		return query{}, err
	}
	out := query{limit: int64(q.Limit)}
	hint, one, known, err := s.named()
	if err != nil {
		return query{}, err
	}
	x, fixed, err := s.sorted(q.Sort)
	if err != nil {
		return query{}, err
	}
	direction := int32(1)
	if q.Desc {
		direction = -1
	}
	if !one {
		if out.hint, out.few = hint, hint != ""; !out.few {
			out.hint = s.merging(q.Sort, fixed)
		}
		if !fixed {
			out.sort = bson.D{{Key: x, Value: direction}}
		}
		out.sort = append(out.sort, bson.E{Key: "_id", Value: direction})
	}
	behind, err := after(q, x, fixed)
	if err != nil {
		return query{}, err
	}
	out.filter = all(slices.Concat(clauses, known, behind))
	return out, nil
}

// merging is the index that a page comes out of in order only if what it has for
// each of several values is merged, which MongoDB does up to 200 times. It is ""
// where an index has the order by itself, or none has it.
func (s search) merging(sort string, fixed bool) string {
	if slices.ContainsFunc(s.where, func(c store.Condition) bool { return c.Op == store.Word }) {
		return ""
	}
	var behind []string
	if !fixed {
		behind = []string{sort}
	}
	name, longest := "", 0
	for _, index := range s.coll.Indexes {
		n := len(index.Fields) - len(behind)
		if index.Unique || index.Words || n <= 0 || !slices.Equal(index.Fields[n:], behind) {
			continue
		}
		equal, merged := true, false
		for _, field := range index.Fields[:n] {
			one, several := s.compared(field)
			equal, merged = equal && (one || several), merged || !one
		}
		switch {
		case equal && !merged:
			return ""
		case equal && n > longest:
			name, longest = index.Name, n
		}
	}
	return name
}

// compared says whether a field is compared for equality with one value, or with
// several.
func (s search) compared(field string) (one, several bool) {
	for _, c := range s.where {
		if c.Field == field {
			one, several = one || c.Op == store.Eq, several || c.Op == store.In
		}
	}
	return one, several
}

// sorted is the field that a page is sorted by before the id. It is fixed where
// all have the same value, or there is none: the id alone decides.
func (s search) sorted(field string) (x string, fixed bool, err error) {
	if field == "" || field == "id" {
		return "", true, nil
	}
	x, err = path(field)
	return x, slices.ContainsFunc(s.where, func(c store.Condition) bool { return c.Field == field && c.Op == store.Eq }), err
}

// after is the part behind a mark, as one range of an index: the range begins
// with all that equal the mark, and $nor, which no index is looked at for, takes
// out those that come before it. Documents without a value are first going up
// and last going down; $lte would leave them out.
func after(q store.Query, x string, fixed bool) ([]bson.D, error) {
	if q.After == nil {
		return nil, nil
	}
	id := string(q.After.ID)
	beyond, notBeyond := "$gt", "$lte"
	if q.Desc {
		beyond, notBeyond = "$lt", "$gte"
	}
	byID := is("_id", bson.D{{Key: beyond, Value: id}})
	if fixed {
		return []bson.D{byID}, nil
	}
	v, err := value(q.After.Value)
	if err != nil {
		return nil, err
	}
	rest := is("$nor", bson.A{bson.D{{Key: x, Value: v}, {Key: "_id", Value: bson.D{{Key: notBeyond, Value: id}}}}})
	switch {
	case v == nil && q.Desc:
		return []bson.D{is(x, nil), byID}, nil
	case v == nil:
		return []bson.D{rest}, nil
	case q.Desc:
		return []bson.D{is(x, bson.D{{Key: "$not", Value: bson.D{{Key: "$gt", Value: v}}}}), rest}, nil
	default:
		return []bson.D{is(x, bson.D{{Key: "$gte", Value: v}}), rest}, nil
	}
}

// named says whether the conditions name each document, by its id or by all
// values of a unique index: the index that finds them, whether there is one
// document at most, and what the index needs to be told.
func (s search) named() (hint string, one bool, known []bson.D, err error) {
	if values := s.equal("id"); values > 0 {
		return "_id_", values == 1, nil, nil
	}
	for _, index := range s.coll.Indexes {
		if !index.Unique {
			continue
		}
		one, all := true, true
		for _, field := range index.Fields {
			values := s.equal(field)
			one, all = one && values == 1, all && values > 0
		}
		if all {
			known, err = present(index)
			return index.Name, one, known, err
		}
	}
	return "", false, nil, nil
}

// equal is with how many values a field is compared for equality; 0 also when
// one of them is nil.
func (s search) equal(field string) int {
	for _, c := range s.where {
		there := !slices.ContainsFunc(c.Values, func(v any) bool { return v == nil })
		if c.Field == field && there && (c.Op == store.Eq || c.Op == store.In) {
			return len(c.Values)
		}
	}
	return 0
}

// present is the filter of a unique index: all fields are there, and not null.
// A partial index serves a query only if the query has that filter too.
func present(index store.Index) ([]bson.D, error) {
	var all []bson.D
	for _, field := range index.Fields {
		x, err := path(field)
		if err != nil {
			return nil, err
		}
		all = append(all, is(x, bson.D{{Key: "$type", Value: bson.A{"string", "number", "bool"}}}))
	}
	return all, nil
}

func all(clauses []bson.D) bson.D {
	switch len(clauses) {
	case 0:
		return bson.D{}
	case 1:
		return clauses[0]
	}
	list := make(bson.A, len(clauses))
	for i, clause := range clauses {
		list[i] = clause
	}
	return is("$and", list)
}
