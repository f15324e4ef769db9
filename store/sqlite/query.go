package sqlite

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// merged is how many sorted lists one page is merged from. SQLite allows 500.
const merged = 100

const columns = "id, version, doc"

// phase is a part of a page whose rows all come before those of the next phase.
type phase struct {
	where statement
	// sort is "" where all rows have the same value, and the id alone decides:
	// SQLite does not see that and would sort.
	sort string
}

// phases divides what comes after a mark: documents without a value come first
// going up and last going down, and one range of an index cannot say that.
// c<=? AND NOT(c=? AND id>=?) seeks straight to the mark; an OR would not.
func (s search) phases(q store.Query) ([]phase, error) {
	fixed := slices.ContainsFunc(s.where, func(c store.Condition) bool { return c.Field == q.Sort && c.Op == store.Eq })
	x := ""
	if q.Sort != "" && q.Sort != "id" && !fixed {
		var err error
		if x, err = s.column(q.Sort); err != nil {
			return nil, err
		}
	}
	if q.After == nil {
		return []phase{{sort: x}}, nil
	}
	id := string(q.After.ID)
	beyond := statement{s.hide + "id>?", []any{id}}
	if q.Desc {
		beyond.sql = s.hide + "id<?"
	}
	if x == "" {
		return []phase{{where: beyond}}, nil
	}
	v, err := value(q.After.Value)
	if err != nil {
		return nil, err
	}
	without := statement{sql: x + " IS NULL"}
	switch {
	case v == nil && q.Desc:
		return []phase{{where: all(without, beyond)}}, nil
	case v == nil:
		return []phase{
			{where: all(without, beyond)},
			{where: statement{sql: x + " IS NOT NULL"}, sort: x},
		}, nil
	case q.Desc:
		return []phase{
			{where: statement{x + "<=? AND NOT(" + x + "=? AND id>=?)", []any{v, v, id}}, sort: x},
			{where: without},
		}, nil
	default:
		return []phase{{where: statement{x + ">=? AND NOT(" + x + "=? AND id<=?)", []any{v, v, id}}, sort: x}}, nil
	}
}

// find is the SQL of a page.
func find(coll store.Collection, q store.Query) (statement, error) {
	s := newSearch(coll, q.Where)
	phases, err := s.phases(q)
	if err != nil {
		return statement{}, err
	}
	var lists []statement
	for _, one := range s.apart(q.Sort) {
		conditions, err := one.conditions()
		if err != nil {
			return statement{}, err
		}
		lists = append(lists, conditions)
	}
	parts := make([]statement, len(phases))
	for i, p := range phases {
		parts[i] = p.page(coll, columns, lists, q)
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	// SQLite carries out a union without an order from left to right, and only
	// as far as the limit needs.
	for i := range parts {
		parts[i].sql = "SELECT " + columns + " FROM (" + parts[i].sql + ")"
	}
	st := join(" UNION ALL ", parts...)
	return statement{st.sql + " LIMIT ?", append(st.args, limit(q))}, nil
}

// page merges lists, each of which comes out of an index in order.
func (p phase) page(coll store.Collection, columns string, lists []statement, q store.Query) statement {
	sort := p.sort
	if len(lists) > 1 && sort != "" {
		columns += ", " + sort + " AS sort"
		sort = "sort"
	}
	parts := make([]statement, len(lists))
	for i, list := range lists {
		parts[i] = all(list, p.where)
		parts[i].sql = "SELECT " + columns + " FROM " + table(coll.Name) + " WHERE " + parts[i].sql
	}
	st := join(" UNION ALL ", parts...)
	return statement{st.sql + " ORDER BY " + order(q.Desc, sort, "id") + " LIMIT ?", append(st.args, limit(q))}
}

func order(desc bool, by ...string) string {
	by = slices.DeleteFunc(by, func(x string) bool { return x == "" })
	if !desc {
		return strings.Join(by, ", ")
	}
	return strings.Join(by, " DESC, ") + " DESC"
}

// apart takes every in apart: one search for each of its values, whose lists
// are merged in order. The list of all values together would have to be sorted.
func (s search) apart(sort string) []search {
	searches := []search{s}
	if s.hide != "" {
		return searches
	}
	for i, c := range s.where {
		values := distinct(c.Values)
		if c.Op != store.In || c.Field == sort || len(values) == 0 || len(searches)*len(values) > merged {
			continue
		}
		var next []search
		for _, one := range searches {
			for _, v := range values {
				one.where = slices.Clone(one.where)
				one.where[i] = store.Condition{Field: c.Field, Op: store.Eq, Values: []any{v}}
				next = append(next, one)
			}
		}
		searches = next
	}
	return searches
}

func distinct(values []any) []any {
	var some []any
	for _, v := range values {
		if same, err := value(v); err == nil && !slices.Contains(some, same) {
			some = append(some, same)
		}
	}
	return some
}

// findEach asks for the first of each key by a subquery that runs once a key.
// A window function would read all that every key has.
func findEach(coll store.Collection, by string, keys []string, q store.Query) (statement, error) {
	q.After = nil
	s := newSearch(coll, q.Where)
	conditions, err := s.conditions()
	if err != nil {
		return statement{}, err
	}
	key, err := s.column(by)
	if err != nil {
		return statement{}, err
	}
	phases, err := s.phases(q)
	if err != nil {
		return statement{}, err
	}
	list, err := json.Marshal(slices.Compact(slices.Sorted(slices.Values(keys))))
	if err != nil {
		return statement{}, err
	}
	p := phases[0]
	p.where = statement{sql: key + "=keys.value"}
	first := p.page(coll, "id", []statement{conditions}, q)
	return statement{
		"SELECT each.id, version, doc FROM json_each(?) AS keys CROSS JOIN " + table(coll.Name) + " AS each" +
			" WHERE each.id IN (" + first.sql + ") ORDER BY keys.key, " + order(q.Desc, p.sort, "each.id"),
		append([]any{string(list)}, first.args...),
	}, nil
}

// sum is the SQL of an aggregate.
func sum(coll store.Collection, q store.Aggregate) (statement, error) {
	s := newSearch(coll, q.Where)
	st, err := s.conditions()
	if err != nil {
		return statement{}, err
	}
	key, group := "NULL", ""
	if q.By != "" {
		if key, err = s.column(q.By); err != nil {
			return statement{}, err
		}
		group = " GROUP BY " + key
	}
	fields := []string{key, "count(*)"}
	for _, field := range q.Sum {
		x, err := expression("", field)
		if err != nil {
			return statement{}, err
		}
		fields = append(fields, "ifnull(sum("+x+"),0)")
	}
	st.sql = "SELECT " + strings.Join(fields, ", ") + " FROM " + table(coll.Name) + " WHERE " + st.sql + group
	return st, nil
}

// get finds documents by id.
func get(coll store.Collection, ids []platform.ID) (statement, error) {
	st := statement{"SELECT " + columns + " FROM " + table(coll.Name) + " WHERE ", nil}
	if len(ids) == 1 {
		return statement{st.sql + "id=?", []any{string(ids[0])}}, nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return statement{}, err
	}
	return statement{st.sql + "id IN (SELECT value FROM json_each(?))", []any{string(list)}}, nil
}

func limit(q store.Query) any {
	if q.Limit == 0 {
		return int64(-1)
	}
	return int64(q.Limit)
}
