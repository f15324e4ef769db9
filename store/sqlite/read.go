package sqlite

import (
	"context"

	"github.com/ncruces/go-sqlite3"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// reader answers reads, in a transaction or outside of one: run knows where.
type reader struct {
	*catalog
	run func(ctx context.Context, st statement, row func(*sqlite3.Stmt)) error
}

func (r reader) Get(ctx context.Context, coll string, ids []platform.ID) ([]store.Doc, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return r.docs(ctx, coll, func(c store.Collection) (statement, error) { return get(c, ids) })
}

func (r reader) Find(ctx context.Context, coll string, q store.Query) ([]store.Doc, error) {
	return r.docs(ctx, coll, func(c store.Collection) (statement, error) { return find(c, q) })
}

func (r reader) Sum(ctx context.Context, coll string, q store.Aggregate) ([]store.Row, error) {
	c, err := r.collection(coll)
	if err != nil {
		return nil, err
	}
	st, err := sum(c, q)
	if err != nil {
		return nil, err
	}
	var rows []store.Row
	err = r.run(ctx, st, func(row *sqlite3.Stmt) {
		out := store.Row{Count: row.ColumnInt64(1), Sums: make([]int64, len(q.Sum))}
		switch row.ColumnType(0) {
		case sqlite3.TEXT:
			out.Key = row.ColumnText(0)
		case sqlite3.INTEGER:
			out.Key = row.ColumnInt64(0)
		}
		for i := range out.Sums {
			out.Sums[i] = row.ColumnInt64(2 + i)
		}
		rows = append(rows, out)
	})
	return rows, err
}

func (r reader) docs(ctx context.Context, coll string, build func(store.Collection) (statement, error)) ([]store.Doc, error) {
	c, err := r.collection(coll)
	if err != nil {
		return nil, err
	}
	st, err := build(c)
	if err != nil {
		return nil, err
	}
	var docs []store.Doc
	err = r.run(ctx, st, func(row *sqlite3.Stmt) { docs = append(docs, doc(row, 0)) })
	return docs, err
}

// doc reads a document from a row's columns, from the given one on.
func doc(row *sqlite3.Stmt, from int) store.Doc {
	return store.Doc{
		ID:      platform.ID(row.ColumnText(from)),
		Version: row.ColumnInt64(from + 1),
		Body:    row.ColumnBlob(from+2, nil),
	}
}
