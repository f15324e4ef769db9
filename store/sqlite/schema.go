package sqlite

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"

	"github.com/dezky/platform/store"
)

// catalog is what EnsureIndexes was told of the collections.
type catalog struct {
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

// learn is called by one at a time.
func (c *catalog) learn(all []store.Collection) {
	next := map[string]store.Collection{}
	if known := c.known.Load(); known != nil {
		maps.Copy(next, *known)
	}
	for _, coll := range all {
		next[coll.Name] = coll
	}
	c.known.Store(&next)
}

// object is something that the schema has by name: a table, an index or a
// trigger. SQLite keeps the text that made it, so that a changed definition
// under an old name does not go unseen.
type object struct {
	name string
	sql  string
	// fill is what a new one needs besides, or "".
	fill string
}

func quoted(name string) string     { return `"` + name + `"` }
func table(coll string) string      { return quoted(coll) }
func side(coll, name string) string { return quoted(coll + "/" + name) }

// EnsureIndexes makes everything in one transaction, so that two processes
// that start at once do it one after the other.
func (e *Engine) EnsureIndexes(ctx context.Context, all []store.Collection) error {
	if err := e.writer.enter(ctx, alone); err != nil {
		return err
	}
	defer e.writer.leave()
	c := e.writer.conn
	err := e.immediately(ctx, c, func() error {
		have := map[string]string{}
		err := c.run(statement{sql: "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"}, func(row *sqlite3.Stmt) {
			have[row.ColumnText(0)] = row.ColumnText(1)
		})
		if err != nil {
			return err
		}
		for _, coll := range all {
			if err := ensure(ctx, c, coll, have); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return failed(ctx, err)
	}
	e.learn(all)
	return nil
}

func ensure(ctx context.Context, c *conn, coll store.Collection, have map[string]string) error {
	objects, err := objectsOf(coll)
	if err != nil {
		return err
	}
	for _, o := range objects {
		switch have[o.name] {
		case o.sql:
			continue
		case "":
		default:
			return fmt.Errorf("%s is in the database with another definition: %s", o.name, have[o.name])
		}
		for _, sql := range []string{o.sql, o.fill} {
			if sql == "" {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := duplicate(coll.Name, c.db.Exec(sql)); err != nil {
				return err
			}
		}
	}
	return nil
}

func objectsOf(coll store.Collection) ([]object, error) {
	if !plain(coll.Name) {
		return nil, fmt.Errorf("%q is no name of a collection", coll.Name)
	}
	objects := []object{{
		name: coll.Name,
		// AUTOINCREMENT: a position that was pruned away is not given again.
		sql: "CREATE TABLE " + table(coll.Name) + " (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, version INTEGER NOT NULL, doc TEXT NOT NULL)",
	}}
	for _, index := range coll.Indexes {
		if !plain(index.Name) || len(index.Fields) == 0 {
			return nil, fmt.Errorf("index %q of %s needs a plain name and a field", index.Name, coll.Name)
		}
		objectsOf := indexObjects
		if index.Words {
			objectsOf = wordsObjects
		}
		more, err := objectsOf(coll.Name, index)
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

func indexObjects(coll string, index store.Index) ([]object, error) {
	var fields, there []string
	for _, field := range index.Fields {
		x, err := expression("", field)
		if err != nil {
			return nil, err
		}
		fields = append(fields, x)
		there = append(there, x+" IS NOT NULL")
	}
	kind, where := "INDEX ", ""
	if index.Unique {
		kind, where = "UNIQUE INDEX ", " WHERE "+strings.Join(there, " AND ")
	} else if !slices.Contains(fields, "id") {
		fields = append(fields, "id")
	}
	return []object{{
		name: coll + "/" + index.Name,
		sql:  "CREATE " + kind + side(coll, index.Name) + " ON " + table(coll) + " (" + strings.Join(fields, ", ") + ")" + where,
	}}, nil
}
