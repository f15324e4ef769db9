package sqlite

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dezky/platform/store"
)

// expression is a field in SQL, spelt as in the indexes: only so are they used.
// The name is a part of the statement, so it has to be a plain one. The row is
// "", or what stands before its columns, such as "new.".
func expression(row, field string) (string, error) {
	if field == "id" {
		return row + "id", nil
	}
	if !plain(field) {
		return "", fmt.Errorf("%q is no name of a field", field)
	}
	return "json_extract(" + row + "doc,'$." + field + "')", nil
}

// plain says whether a name is letters and digits, with dots inside.
func plain(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		for i, c := range []byte(part) {
			letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
			digit := '0' <= c && c <= '9'
			if !letter && (!digit || i == 0) {
				return false
			}
		}
		if part == "" {
			return false
		}
	}
	return true
}

// value is v as SQLite takes it: whatever named type a text or a number has.
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

// search turns conditions on a collection into SQL.
type search struct {
	coll  store.Collection
	where []store.Condition
	// hide stands before every column, and is a plus when a words index is to find
	// the documents: the planner then takes no other. It cannot know which one
	// finds fewer.
	hide string
}

func newSearch(coll store.Collection, where []store.Condition) search {
	s := search{coll: coll, where: where}
	if slices.ContainsFunc(where, func(c store.Condition) bool { return c.Op == store.Word }) {
		s.hide = "+"
	}
	return s
}

func (s search) column(field string) (string, error) {
	x, err := expression("", field)
	return s.hide + x, err
}

// conditions is all of them, joined with and.
func (s search) conditions() (statement, error) {
	parts := make([]statement, len(s.where))
	searched := false
	for i, c := range s.where {
		var err error
		if c.Op == store.Word {
			parts[i], err = s.word(c, searched)
			searched = true
		} else {
			parts[i], err = s.compare(c)
		}
		if err != nil {
			return statement{}, err
		}
	}
	return all(parts...), nil
}

func (s search) compare(c store.Condition) (statement, error) {
	x, err := s.column(c.Field)
	if err != nil {
		return statement{}, err
	}
	values := make([]any, len(c.Values))
	for i, v := range c.Values {
		if values[i], err = value(v); err != nil {
			return statement{}, err
		}
	}
	if c.Op == store.In {
		return oneOf(x, values)
	}
	if len(values) != 1 {
		return statement{}, fmt.Errorf("%s compares with one value, not with %d", c.Op, len(values))
	}
	switch c.Op {
	case store.Eq:
		if values[0] == nil {
			return statement{sql: x + " IS NULL"}, nil
		}
		return statement{x + "=?", values}, nil
	case store.Lt:
		return statement{x + "<?", values}, nil
	case store.Lte:
		return statement{x + "<=?", values}, nil
	case store.Gt:
		return statement{x + ">?", values}, nil
	case store.Gte:
		return statement{x + ">=?", values}, nil
	case store.Prefix:
		return begins(x, values[0])
	}
	return statement{}, fmt.Errorf("there is no operator %q", c.Op)
}

// oneOf binds a list as one value, so that the statement is the same for every
// length.
func oneOf(x string, values []any) (statement, error) {
	some := slices.DeleteFunc(slices.Clone(values), func(v any) bool { return v == nil })
	list, err := json.Marshal(some)
	if err != nil {
		return statement{}, err
	}
	st := statement{x + " IN (SELECT value FROM json_each(?))", []any{string(list)}}
	if len(some) < len(values) {
		st.sql = "(" + st.sql + " OR " + x + " IS NULL)"
	}
	return st, nil
}

func begins(x string, prefix any) (statement, error) {
	text, ok := prefix.(string)
	if !ok {
		return statement{}, fmt.Errorf("a text begins with a text, not with a %T", prefix)
	}
	if end := past(text); end != "" {
		return statement{x + ">=? AND " + x + "<?", []any{text, end}}, nil
	}
	return statement{x + ">=?", []any{text}}, nil
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

// word holds for documents that the words index finds. The first one leads to
// the documents, the others only check them.
func (s search) word(c store.Condition, searched bool) (statement, error) {
	i := slices.IndexFunc(s.coll.Indexes, func(x store.Index) bool { return x.Words && x.Name == c.Field })
	if i < 0 || len(c.Values) != 1 {
		return statement{}, fmt.Errorf("%s has no words index %q to look up one word in", s.coll.Name, c.Field)
	}
	index := s.coll.Indexes[i]
	var parts []statement
	scope := slices.IndexFunc(s.where, func(c store.Condition) bool {
		return index.Scope != "" && c.Field == index.Scope && c.Op == store.Eq && len(c.Values) == 1
	})
	if scope >= 0 {
		v, err := value(s.where[scope].Values[0])
		if err != nil {
			return statement{}, err
		}
		if v == nil {
			v = ""
		}
		parts = append(parts, statement{"scope=?", []any{v}})
	}
	v, err := value(c.Values[0])
	if err != nil {
		return statement{}, err
	}
	match, err := begins("word", v)
	if err != nil {
		return statement{}, err
	}
	st := all(append(parts, match)...)
	st.sql = "id IN (SELECT id FROM " + side(s.coll.Name, index.Name) + " WHERE " + st.sql + ")"
	if searched {
		st.sql = "+" + st.sql
	}
	return st, nil
}

func all(parts ...statement) statement {
	parts = slices.DeleteFunc(parts, func(st statement) bool { return st.sql == "" })
	if len(parts) == 0 {
		return statement{sql: "true"}
	}
	return join(" AND ", parts...)
}

func join(with string, parts ...statement) statement {
	var st statement
	for i, part := range parts {
		if i > 0 {
			st.sql += with
		}
		st.sql += part.sql
		st.args = append(st.args, part.args...)
	}
	return st
}
