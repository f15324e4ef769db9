package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"

	"github.com/dezky/platform/store"
)

// anywhere is the end of the name of a words index's second index, which serves
// a search without a scope.
const anywhere = "_anywhere"

// EnsureIndexes makes collections and indexes outside of transactions, where 4.0
// cannot make them. A new words index learns the documents that are there; what
// a process of an older version writes meanwhile, which does not know the index,
// is learnt at the next start.
func (e *Engine) EnsureIndexes(ctx context.Context, all []store.Collection) error {
	leave, err := e.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, c := range all {
		if err := e.ensure(ctx, c); err != nil {
			return fmt.Errorf("make the collection %s: %w", c.Name, err)
		}
	}
	e.learn(all)
	return nil
}

func (e *Engine) ensure(ctx context.Context, c store.Collection) error {
	specs, err := specsOf(c)
	if err != nil {
		return err
	}
	if len(specs) == 0 { // otherwise its first index makes it
		err := e.command(ctx, bson.D{{Key: "create", Value: c.Name}})
		if code, _ := codeOf(err); code == namespaceExists {
			return nil
		}
		return err
	}
	if err := e.make(ctx, c, specs); err != nil {
		return err
	}
	for _, index := range c.Indexes {
		if index.Words {
			if err := e.learnWords(ctx, c, index); err != nil {
				return fmt.Errorf("learn the words of %s: %w", index.Name, err)
			}
		}
	}
	return nil
}

// make makes indexes, until the unique ones refuse what they have to. Of one that
// another process is making just now, 4.0 says that it is there.
func (e *Engine) make(ctx context.Context, c store.Collection, specs bson.A) error {
	within, cancel := e.clock.WithTimeout(ctx, longest)
	defer cancel()
	for try := 0; ; try++ {
		err := e.command(within, bson.D{{Key: "createIndexes", Value: c.Name}, {Key: "indexes", Value: specs}})
		switch code, _ := codeOf(err); code {
		case indexOptionsConflict, indexKeySpecsConflict:
			return fmt.Errorf("an index is in the database with another definition: %w", err)
		case duplicateKey:
			return duplicate(c.Name, err)
		}
		if err != nil {
			return err
		}
		if ready, err := e.ready(ctx, c); ready || err != nil {
			return err
		}
		if err := e.clock.Sleep(within, 10*backoff(try)); err != nil {
			return failed(ctx, err)
		}
	}
}

// ready says whether all unique indexes are made: others cannot be hinted at.
func (e *Engine) ready(ctx context.Context, c store.Collection) (bool, error) {
	for _, index := range c.Indexes {
		if !index.Unique {
			continue
		}
		there, err := present(index)
		if err != nil {
			return false, err
		}
		err = e.bounded(ctx, func(ctx context.Context) error {
			return e.db.Collection(c.Name).FindOne(ctx, all(there), options.FindOne().SetHint(index.Name).SetMaxTime(e.timeout)).Err()
		})
		switch code, _ := codeOf(err); {
		case code == badValue || code == noQueryExecutionPlans:
			return false, nil
		case err != nil && !errors.Is(err, mongo.ErrNoDocuments):
			return false, err
		}
	}
	return true, nil
}

// longest is how long an index of many documents may take to be made, and busy
// the codes that say that somebody else is making it just now.
const longest = 10 * time.Minute

func busy(code int32) bool { return slices.Contains([]int32{117, 276, 285, 12587}, code) }

// command carries out a command that changes the schema, to the majority.
func (e *Engine) command(ctx context.Context, command bson.D) error {
	command = append(command, bson.E{Key: "writeConcern", Value: bson.D{{Key: "w", Value: "majority"}}})
	within, cancel := e.clock.WithTimeout(ctx, longest)
	defer cancel()
	for try := 0; ; try++ {
		err := e.db.RunCommand(within, command).Err()
		if code, _ := codeOf(err); err == nil || !busy(code) {
			return failed(ctx, err)
		}
		if err := e.clock.Sleep(within, 10*backoff(try)); err != nil {
			return failed(ctx, err)
		}
	}
}

// specsOf are the indexes of a collection as createIndexes takes them.
// background makes that a server before 4.2 goes on serving meanwhile.
func specsOf(c store.Collection) (bson.A, error) {
	if !plain(c.Name) {
		return nil, fmt.Errorf("%q is no name of a collection", c.Name)
	}
	specs := bson.A{}
	for _, index := range c.Indexes {
		if !plain(index.Name) || len(index.Fields) == 0 {
			return nil, fmt.Errorf("index %q of %s needs a plain name and a field", index.Name, c.Name)
		}
		kind := indexSpec
		if index.Words {
			kind = wordsSpecs
		}
		some, err := kind(index)
		if err != nil {
			return nil, err
		}
		specs = append(specs, some...)
	}
	return specs, nil
}

func spec(name string, more bson.D, paths ...string) bson.D {
	key := bson.D{}
	for _, path := range paths {
		key = append(key, bson.E{Key: path, Value: int32(1)})
	}
	return append(bson.D{{Key: "key", Value: key}, {Key: "name", Value: name}, {Key: "background", Value: true}}, more...)
}

// indexSpec has the id last, as every page is sorted by it last. A unique index
// is partial: what lacks one of the fields is not in it, so that it does not
// matter how many do.
func indexSpec(index store.Index) (bson.A, error) {
	var paths []string
	for _, field := range index.Fields {
		x, err := path(field)
		if err != nil {
			return nil, err
		}
		paths = append(paths, x)
	}
	if !index.Unique {
		if !slices.Contains(paths, "_id") {
			paths = append(paths, "_id")
		}
		return bson.A{spec(index.Name, nil, paths...)}, nil
	}
	clauses, err := present(index)
	if err != nil {
		return nil, err
	}
	return bson.A{spec(index.Name, bson.D{
		{Key: "unique", Value: true},
		{Key: "partialFilterExpression", Value: slices.Concat(clauses...)},
	}, paths...)}, nil
}

// wordsSpecs are an index of each word behind the scope, and one of each word
// alone.
func wordsSpecs(index store.Index) (bson.A, error) {
	for _, field := range index.Fields {
		if _, err := path(field); err != nil {
			return nil, err
		}
	}
	words := wordsField + "." + index.Name
	if index.Scope == "" {
		return bson.A{spec(index.Name, nil, words)}, nil
	}
	scope, err := path(index.Scope)
	if err != nil {
		return nil, err
	}
	return bson.A{spec(index.Name, nil, scope, words), spec(index.Name+anywhere, nil, words)}, nil
}

// learnWords gives their words to the documents that were written by one who did
// not know the index. It neither raises their version nor writes to one that was
// replaced meanwhile; several processes may do it at once.
func (e *Engine) learnWords(ctx context.Context, c store.Collection, index store.Index) error {
	field := wordsField + "." + index.Name
	unknown := bson.E{Key: field, Value: bson.D{{Key: "$exists", Value: false}}}
	for {
		learnt := 0
		err := e.bounded(ctx, func(ctx context.Context) error {
			o := options.Find().SetLimit(batch).SetBatchSize(batch).SetMaxTime(e.timeout)
			rows, err := e.db.Collection(c.Name).Find(ctx, bson.D{unknown}, o)
			if err != nil {
				return err
			}
			var updates []mongo.WriteModel
			err = each(ctx, rows, func(raw bson.Raw) error {
				body, ok := raw.Lookup(bodyField).DocumentOK()
				if !ok {
					return errors.New("a document has no body")
				}
				words := bson.RawValue{Type: bson.TypeArray, Value: textArray(wordsOf(bsoncore.Document(body), index))}
				updates = append(updates, mongo.NewUpdateOneModel().
					SetFilter(bson.D{{Key: "_id", Value: raw.Lookup("_id")}, {Key: versionField, Value: raw.Lookup(versionField)}, unknown}).
					SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: field, Value: words}}}}))
				return nil
			})
			if learnt = len(updates); err != nil || learnt == 0 {
				return err
			}
			_, err = e.db.Collection(c.Name).BulkWrite(ctx, updates, options.BulkWrite().SetOrdered(false))
			return err
		})
		if err != nil || learnt == 0 {
			return err
		}
	}
}
