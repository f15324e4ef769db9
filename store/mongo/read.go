package mongo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

const (
	// batch is how many documents come in one answer; the next ones cost another
	// round trip. An answer is never above 16 MB.
	batch = 1000
	// abreast is how many keys are asked for at once by FindEach.
	abreast = 16
)

// catalog is what EnsureIndexes was told of the collections.
type catalog struct {
	mu    sync.Mutex
	known atomic.Pointer[map[string]store.Collection]
}

func (c *catalog) collection(name string) (store.Collection, error) {
	if known := c.known.Load(); known != nil {
		if coll, ok := (*known)[name]; ok {
			return coll, nil
		}
	}
	return store.Collection{}, fmt.Errorf("there is no collection %q", name)
}

func (c *catalog) learn(all []store.Collection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[string]store.Collection{}
	if known := c.known.Load(); known != nil {
		for name, coll := range *known {
			next[name] = coll
		}
	}
	for _, coll := range all {
		next[coll.Name] = coll
	}
	c.known.Store(&next)
}

// reader answers reads, in a transaction or outside of one: run knows where.
type reader struct {
	*catalog
	run func(ctx context.Context, do func(context.Context) error) error
	in  *mongo.Database
	// counts is in, or the same database asked at secondaries.
	counts  *mongo.Database
	timeout time.Duration
}

func (r reader) Get(ctx context.Context, coll string, ids []platform.ID) ([]store.Doc, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if len(ids) == 1 {
		return r.docs(ctx, coll, func(store.Collection) (query, error) { return query{filter: byID(ids[0])}, nil })
	}
	some := make(bson.A, len(ids))
	for i, id := range ids {
		some[i] = string(id)
	}
	return r.docs(ctx, coll, func(store.Collection) (query, error) {
		return query{filter: is("_id", bson.D{{Key: "$in", Value: some}})}, nil
	})
}

func (r reader) Find(ctx context.Context, coll string, q store.Query) ([]store.Doc, error) {
	return r.docs(ctx, coll, func(c store.Collection) (query, error) { return newQuery(c, q) })
}

func (r reader) docs(ctx context.Context, coll string, build func(store.Collection) (query, error)) ([]store.Doc, error) {
	c, err := r.collection(coll)
	if err != nil {
		return nil, err
	}
	q, err := build(c)
	if err != nil {
		return nil, err
	}
	var docs []store.Doc
	err = r.run(ctx, func(ctx context.Context) (err error) {
		docs, err = r.find(ctx, c, q)
		return err
	})
	return docs, err
}

func (r reader) find(ctx context.Context, c store.Collection, q query) ([]store.Doc, error) {
	o := options.Find().SetBatchSize(batch).SetMaxTime(r.timeout)
	if q.sort != nil {
		o.SetSort(q.sort)
	}
	if q.hint != "" {
		o.SetHint(q.hint)
	}
	if q.limit > 0 {
		o.SetLimit(q.limit)
	}
	if searchable(c) {
		o.SetProjection(withoutWords())
	}
	rows, err := r.in.Collection(c.Name).Find(ctx, q.filter, o)
	if err != nil {
		return nil, err
	}
	var docs []store.Doc
	err = each(ctx, rows, func(raw bson.Raw) error {
		doc, err := fromStored(raw)
		docs = append(docs, doc)
		return err
	})
	return docs, err
}

func withoutWords() bson.D { return bson.D{{Key: wordsField, Value: int32(0)}} }

// each reads a cursor to its end and closes it.
func each(ctx context.Context, rows *mongo.Cursor, do func(bson.Raw) error) error {
	defer rows.Close(ctx) //nolint:errcheck // what there was to read is read
	for rows.Next(ctx) {
		if err := do(rows.Current); err != nil {
			return err
		}
	}
	return rows.Err()
}

// FindEach asks for each key by a find of its own, some at a time: each reads
// exactly its first n by an index. 4.0 has no $firstN, and every single command
// that it has for this reads all documents of a key, or every key's in turn.
func (e *Engine) FindEach(ctx context.Context, coll, by string, keys []string, q store.Query) ([]store.Doc, error) {
	c, err := e.collection(coll)
	if err != nil {
		return nil, err
	}
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	queries := make([]query, len(keys))
	for i, key := range keys {
		one := q
		one.After = nil
		one.Where = append([]store.Condition{{Field: by, Op: store.Eq, Values: []any{key}}}, q.Where...)
		if queries[i], err = newQuery(c, one); err != nil {
			return nil, err
		}
	}
	lists := make([][]store.Doc, len(keys))
	err = e.run(ctx, func(ctx context.Context) error {
		return parallel(ctx, len(queries), func(ctx context.Context, i int) (err error) {
			lists[i], err = e.find(ctx, c, queries[i])
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return slices.Concat(lists...), nil
}

// parallel calls do for 0 to n-1, some at a time, until one fails.
func parallel(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, abreast) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err) // the first one counts
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func (r reader) Sum(ctx context.Context, coll string, q store.Aggregate) ([]store.Row, error) {
	c, err := r.collection(coll)
	if err != nil {
		return nil, err
	}
	pipeline, err := sum(c, q)
	if err != nil {
		return nil, err
	}
	var rows []store.Row
	err = r.run(ctx, func(ctx context.Context) error {
		rows = nil
		found, err := r.counts.Collection(c.Name).Aggregate(ctx, pipeline, options.Aggregate().SetMaxTime(r.timeout))
		if err != nil {
			return err
		}
		return each(ctx, found, func(raw bson.Raw) error {
			row, err := rowOf(bsoncore.Document(raw), len(q.Sum))
			rows = append(rows, row)
			return err
		})
	})
	if err == nil && len(rows) == 0 && q.By == "" {
		rows = []store.Row{{Sums: make([]int64, len(q.Sum))}} // MongoDB has no group of nothing
	}
	return rows, err
}

// sum is the pipeline of an aggregate. Numbers come as they are in the
// documents: 64 bits stay whole.
func sum(coll store.Collection, q store.Aggregate) (bson.A, error) {
	s := search{coll, q.Where}
	clauses, err := s.clauses()
	if err != nil {
		return nil, err
	}
	_, _, known, err := s.named()
	if err != nil {
		return nil, err
	}
	group := bson.D{{Key: "_id", Value: nil}}
	if q.By != "" {
		x, err := path(q.By)
		if err != nil {
			return nil, err
		}
		group[0].Value = "$" + x
	}
	group = append(group, bson.E{Key: "count", Value: bson.D{{Key: "$sum", Value: int32(1)}}})
	for i, field := range q.Sum {
		x, err := path(field)
		if err != nil {
			return nil, err
		}
		group = append(group, bson.E{Key: sumName(i), Value: bson.D{{Key: "$sum", Value: "$" + x}}})
	}
	return bson.A{
		bson.D{{Key: "$match", Value: all(slices.Concat(clauses, known))}},
		bson.D{{Key: "$group", Value: group}},
	}, nil
}

func sumName(i int) string { return fmt.Sprint("sum", i) }

func rowOf(doc bsoncore.Document, sums int) (store.Row, error) {
	row := store.Row{Sums: make([]int64, sums)}
	switch key := doc.Lookup("_id"); key.Type {
	case bson.TypeString:
		row.Key = key.StringValue()
	case bson.TypeBoolean:
		row.Key = key.Boolean()
	case bson.TypeNull:
	default:
		n, ok := whole(key)
		if !ok {
			return row, fmt.Errorf("a group has the key %s", key)
		}
		row.Key = n
	}
	var ok bool
	if row.Count, ok = whole(doc.Lookup("count")); !ok {
		return row, fmt.Errorf("a group has the count %s", doc.Lookup("count"))
	}
	for i := range row.Sums {
		if row.Sums[i], ok = whole(doc.Lookup(sumName(i))); !ok {
			return row, fmt.Errorf("a sum is %s, which is no whole number of 64 bits", doc.Lookup(sumName(i)))
		}
	}
	return row, nil
}
