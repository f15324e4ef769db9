// Package store keeps what the platform knows. The platform's ports are written
// here once, one file a concept, over the small document engine of engine.go;
// the engines are in folders of their own, and neither SQL nor BSON leaves them.
//
// What is promised: a change and its audit event are committed together or not
// at all; a version that was changed meanwhile is never overwritten; every value
// that must be unique is so by an index, never by a look before the write; every
// query is served by an index.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dezky/platform/platform"
)

// Store is platform.Store over an engine.
type Store struct {
	reader
	engine Engine
}

var _ platform.Store = (*Store)(nil)

// New makes what is missing of the database and returns the store.
func New(ctx context.Context, e Engine) (*Store, error) {
	if err := e.EnsureIndexes(ctx, Collections()); err != nil {
		return nil, fmt.Errorf("prepare the database: %w", err)
	}
	return &Store{reader{e}, e}, nil
}

// Close closes the engine.
func (s *Store) Close() error { return s.engine.Close() }

// reader answers questions, from a transaction or from outside of one.
type reader struct{ from Reader }

// entity is a pointer to something that the store keeps.
type entity[T any] interface {
	*T
	Doc() *platform.Document
}

func decode[T any, P entity[T]](d Doc) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(d.Body, v); err != nil {
		return nil, fmt.Errorf("read the document %s: %w", d.ID, err)
	}
	P(v).Doc().Version = d.Version
	return v, nil
}

func decodeAll[T any, P entity[T]](docs []Doc, err error) ([]*T, error) {
	if err != nil {
		return nil, err
	}
	out := make([]*T, len(docs))
	for i, d := range docs {
		if out[i], err = decode[T, P](d); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func encode(v interface{ Doc() *platform.Document }) (Doc, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return Doc{}, fmt.Errorf("write the document %s: %w", v.Doc().ID, err)
	}
	return Doc{ID: v.Doc().ID, Version: v.Doc().Version, Body: body}, nil
}

// byID reads documents by their IDs, in no order.
func byID[T any, P entity[T]](ctx context.Context, r reader, coll string, ids []platform.ID) ([]*T, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return decodeAll[T, P](r.from.Get(ctx, coll, ids))
}

// oneByID reads a document, or answers with the error for one that is missing.
func oneByID[T any, P entity[T]](ctx context.Context, r reader, coll string, id platform.ID, missing error) (*T, error) {
	return first[T](missing)(byID[T, P](ctx, r, coll, []platform.ID{id}))
}

// ofTenant reads a document by its ID, or answers with the error for one that is
// missing where it is another tenant's, or otherwise not to be found.
func ofTenant[T any, P entity[T]](
	ctx context.Context, r reader, coll string, id platform.ID, missing error, found func(*T) bool,
) (*T, error) {
	v, err := oneByID[T, P](ctx, r, coll, id, missing)
	if err == nil && !found(v) {
		return nil, missing
	}
	return v, err
}

func find[T any, P entity[T]](ctx context.Context, r reader, coll string, q Query) ([]*T, error) {
	return decodeAll[T, P](r.from.Find(ctx, coll, q))
}

// first is the only row, or the error for none.
func first[T any](missing error) func([]*T, error) (*T, error) {
	return func(rows []*T, err error) (*T, error) {
		if err == nil && len(rows) == 0 {
			err = missing
		}
		if err != nil {
			return nil, err
		}
		return rows[0], nil
	}
}

// order is how a list is sorted, and how its cursors say so.
type order[T any] struct {
	list string
	sort string
	desc bool
	// value is the text that an entry has in the field that is sorted by.
	value func(*T) string
}

// cursor is an entry's place in the list.
func (o order[T]) cursor(v *T, id platform.ID) platform.Cursor {
	return platform.NewCursor(o.list, o.value(v), id)
}

// query is the page's query: one entry more than asked for tells if there are
// more.
func (o order[T]) query(page platform.Page, where ...Condition) (Query, error) {
	q := Query{Where: where, Sort: o.sort, Desc: o.desc, Limit: page.First + 1}
	if page.After != "" {
		value, id, err := page.After.Place(o.list)
		if err != nil {
			return q, err
		}
		q.After = &Mark{Value: value, ID: id}
	}
	return q, nil
}

// pageOf cuts what a page's query found to the page.
func pageOf[T any, P entity[T]](o order[T], n int, rows []*T) platform.List[*T] {
	list := platform.List[*T]{Items: rows, More: len(rows) > n}
	if list.More {
		list.Items = rows[:n]
	}
	for _, v := range list.Items {
		list.Cursors = append(list.Cursors, o.cursor(v, P(v).Doc().ID))
	}
	return list
}

func findPage[T any, P entity[T]](
	ctx context.Context, r reader, coll string, o order[T], page platform.Page, where ...Condition,
) (platform.List[*T], error) {
	q, err := o.query(page, where...)
	if err != nil {
		return platform.List[*T]{}, err
	}
	rows, err := find[T, P](ctx, r, coll, q)
	return pageOf[T, P](o, page.First, rows), err
}

// firstPages are the first pages of a list for each of some tenants, as one read.
func firstPages[T any, P entity[T]](
	ctx context.Context, s *Store, coll string, o order[T], n int, tenants []platform.ID, of func(*T) platform.ID, where ...Condition,
) (map[platform.ID]platform.List[*T], error) {
	query, err := o.query(platform.Page{First: n}, where...)
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(tenants))
	for i, id := range tenants {
		keys[i] = string(id)
	}
	rows, err := decodeAll[T, P](s.engine.FindEach(ctx, coll, "tenantId", keys, query))
	if err != nil {
		return nil, err
	}
	each := make(map[platform.ID][]*T, len(tenants))
	for _, v := range rows {
		each[of(v)] = append(each[of(v)], v)
	}
	out := make(map[platform.ID]platform.List[*T], len(tenants))
	for tenant, rows := range each {
		out[tenant] = pageOf[T, P](o, n, rows)
	}
	return out, nil
}

// count counts the documents that meet the conditions.
func count(ctx context.Context, r reader, coll string, where ...Condition) (int, error) {
	rows, err := r.from.Sum(ctx, coll, Aggregate{Where: where})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	return int(rows[0].Count), nil
}

// countBy counts them for each value of a field that holds IDs.
func countBy(ctx context.Context, r reader, coll, by string, where ...Condition) (map[platform.ID]int, error) {
	rows, err := r.from.Sum(ctx, coll, Aggregate{Where: where, By: by})
	out := make(map[platform.ID]int, len(rows))
	for _, row := range rows {
		if key, ok := row.Key.(string); ok {
			out[platform.ID(key)] = int(row.Count)
		}
	}
	return out, err
}

// searched are the conditions of a search. It is not ok when nothing can be
// found: no text has a word without letters and digits.
func searched(text string) (words []Condition, ok bool) {
	for _, word := range Words(text) {
		words = append(words, compare("words", Word, word))
	}
	return words, text == "" || len(words) > 0
}

func eq(field string, value any) Condition { return Condition{field, Eq, []any{value}} }

func in[V ~string](field string, values ...V) Condition { return Condition{field, In, anys(values)} }

func compare(field string, op Op, value any) Condition { return Condition{field, op, []any{value}} }

func anys[V ~string](values []V) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// Change runs do in one transaction and commits its audit event with it.
func (s *Store) Change(ctx context.Context, event platform.AuditEvent, do func(platform.Writer) error) error {
	return s.transact(ctx, func(w *writer) error {
		w.now = event.At
		if err := do(w); err != nil {
			return err
		}
		if err := w.finishAttempt(ctx, event); err != nil {
			return err
		}
		event.Changes = w.changes
		return w.insert(ctx, audit, &event)
	})
}

// Keep runs do in one transaction, without an audit event.
func (s *Store) Keep(ctx context.Context, do func(platform.Book) error) error {
	return s.transact(ctx, func(w *writer) error { return do(w) })
}

// mostTries bounds how often a transaction is made again. One that meets a
// newer version has read from outside of it, and will again.
const mostTries = 5

// transact runs do in a transaction of the engine, and again if a version that
// it read was changed meanwhile. Versions rise only after the commit.
func (s *Store) transact(ctx context.Context, do func(*writer) error) error {
	var err error
	for range mostTries {
		var w *writer
		err = s.engine.Tx(ctx, func(tx Tx) error {
			w = &writer{reader: reader{tx}, tx: tx, versions: map[*platform.Document]int64{}}
			return do(w)
		})
		if err == nil {
			for doc, version := range w.versions {
				doc.Version = version
			}
			return nil
		}
		if !errors.Is(err, ErrStale) {
			break
		}
	}
	if errors.Is(err, ErrStale) {
		return platform.Errorf(platform.Conflict, "Somebody else changed this at the same time.").Because(err)
	}
	if duplicate, ok := errors.AsType[*DuplicateError](err); ok {
		return taken(duplicate)
	}
	return err
}

// taken says in a person's words which value is not free.
func taken(d *DuplicateError) error {
	switch d.Coll + "." + d.Index {
	case tenants + ".slug":
		return platform.Errorf(platform.Conflict, "This slug is taken.").On("slug").Because(d)
	case groups + ".key":
		return platform.Errorf(platform.Conflict, "The tenant has a group of this name.").On("name").Because(d)
	case audit + ".id":
		return platform.Errorf(platform.Conflict, "This event is recorded already.").Because(d)
	}
	return d
}

// writer is platform.Writer and platform.Book in one transaction.
type writer struct {
	reader
	tx       Tx
	versions map[*platform.Document]int64
	changes  []platform.FieldChange
	now      platform.Time
}

// insert adds a new document; nobody hears of its fields.
func (w *writer) insert(ctx context.Context, coll string, v interface{ Doc() *platform.Document }) error {
	doc, err := encode(v)
	if err != nil {
		return err
	}
	if err := w.tx.Insert(ctx, coll, doc); err != nil {
		return err
	}
	w.versions[v.Doc()] = 1
	return nil
}

// replace puts a document in the place of the version that it was read at.
func (w *writer) replace(ctx context.Context, coll string, v interface{ Doc() *platform.Document }) error {
	doc, err := encode(v)
	if err != nil {
		return err
	}
	if earlier, ok := w.versions[v.Doc()]; ok {
		doc.Version = earlier
	}
	if err := w.tx.Replace(ctx, coll, doc); err != nil {
		return err
	}
	w.versions[v.Doc()] = doc.Version + 1
	return nil
}

// put stores a document, new or changed, and notes in the audit event what
// differs. It returns what was there before, or nil.
func put[T any, P entity[T]](ctx context.Context, w *writer, coll string, v P) (old *T, err error) {
	doc := v.Doc()
	before, err := w.from.Get(ctx, coll, []platform.ID{doc.ID})
	if err != nil {
		return nil, err
	}
	if len(before) == 0 {
		err = w.insert(ctx, coll, v)
	} else if old, err = decode[T, P](before[0]); err == nil {
		err = w.replace(ctx, coll, v)
	}
	if err != nil {
		return nil, err
	}
	return old, w.note(before, v)
}
