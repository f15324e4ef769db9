package store

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"unicode"

	"github.com/dezky/platform/platform"
)

// Engine is a database as the store needs it: documents in named collections,
// each with an id and a version. What it promises is in storetest, for every
// engine alike. It is written for SQLite and for MongoDB 4.0: it has nothing
// that one of the two cannot do, no number that all writers share, and a
// transaction's function that may run more than once.
//
// Every method obeys its context. An engine that cannot reach its database
// answers with a platform.Error of code Unavailable.
type Engine interface {
	Reader
	// FindEach is the first q.Limit documents of each key, in q's order, as one
	// read: key is what the field by holds. q.After does not count.
	FindEach(ctx context.Context, coll, by string, keys []string, q Query) ([]Doc, error)
	// Tx runs do in one transaction and commits it if do returns nil. do may run
	// more than once, each time on the newest state, so it changes nothing but
	// through tx. What do returns comes back as it is; nothing is written then.
	// A context that ends before the commit begins leaves nothing behind.
	Tx(ctx context.Context, do func(tx Tx) error) error
	// Watch yields what is inserted into a collection by any process, in the
	// order of the commits, from after the given position on, until ctx ends.
	// The first change has no document: it says that the watch stands, and where;
	// what is committed after it was yielded is not missed. The zero position is
	// now. A position that is too old or makes no sense yields ErrPositionLost.
	Watch(ctx context.Context, coll string, after Position) iter.Seq2[Change, error]
	// Beat raises the beat of a session: it sets the document's field beatAt and
	// raises its version. It is the one write outside Tx, on a connection of its
	// own, so that no other write holds it up. ErrNoDocument says that the
	// session was declared dead.
	Beat(ctx context.Context, coll string, session platform.ID, at platform.Time) error
	// EnsureIndexes makes what is missing of the collections and their indexes.
	// It may be called by several processes at once.
	EnsureIndexes(ctx context.Context, all []Collection) error
	// Explain says how the engine would carry out a read: one line a step. For
	// the test that every query is served by an index.
	Explain(ctx context.Context, coll string, q Query) ([]string, error)
	Close() error
}

// Reader reads documents, in a transaction or outside of one.
type Reader interface {
	// Get finds documents by id, in no order; those that are missing are left out.
	Get(ctx context.Context, coll string, ids []platform.ID) ([]Doc, error)
	// Find is a page of what q asks for, in q's order.
	Find(ctx context.Context, coll string, q Query) ([]Doc, error)
	// Sum counts and sums, grouped by one field. Without a field there is one row.
	Sum(ctx context.Context, coll string, q Aggregate) ([]Row, error)
}

// Tx is what a transaction can do. What it writes it reads back at once; others
// see it after the commit, all of it or nothing.
type Tx interface {
	Reader
	// Insert adds a document, with version 1. An id or a unique value that is
	// taken is a *DuplicateError, and ends the transaction.
	Insert(ctx context.Context, coll string, doc Doc) error
	// Replace puts doc in the place of the version doc.Version, and raises that
	// by one. Another version or none is ErrStale, and ends the transaction.
	Replace(ctx context.Context, coll string, doc Doc) error
	// Delete removes the version of a document. Another version or none is
	// ErrStale, and ends the transaction.
	Delete(ctx context.Context, coll string, id platform.ID, version int64) error
}

// Doc is a document: JSON with an id and a version. The body is an object with
// its own "id"; moments in it are texts of one width, numbers are whole.
type Doc struct {
	ID      platform.ID
	Version int64
	Body    json.RawMessage
}

// Query is a page of documents: those for which all conditions hold, sorted by
// one field and then, in the same direction, by id.
type Query struct {
	Where []Condition
	// Sort is a field with an index behind the fields that Where compares for
	// equality; "" sorts by id.
	Sort string
	Desc bool
	// After is the last document of the page before.
	After *Mark
	// Limit is how many to read; 0 is all.
	Limit int
}

// Mark is a place in a sorted list: a document's value in the field that is
// sorted by (text, a whole number or nil), and its id.
type Mark struct {
	Value any
	ID    platform.ID
}

// Op compares a field with values.
type Op string

// The operators. A field that a document lacks, or that is null, is equal to
// nil and to nothing else, and neither less nor greater than anything.
const (
	Eq     Op = "eq"     // equal to the value; nil is "not there"
	In     Op = "in"     // equal to one of the values
	Lt     Op = "lt"     // less than the value
	Lte    Op = "lte"    // less than or equal to the value
	Gt     Op = "gt"     // greater than the value
	Gte    Op = "gte"    // greater than or equal to the value
	Prefix Op = "prefix" // a text that begins with the value
	// Word holds when a word of the collection's words index begins with the
	// value, which is one of Words. Its field is the name of that index. What it finds is sorted after
	// it was found; every other query walks an index in order.
	Word Op = "word"
)

// Condition is a comparison. Values are texts, whole numbers, bools or nil.
type Condition struct {
	Field  string
	Op     Op
	Values []any
}

// Aggregate counts the documents for which all conditions hold, and sums
// fields of them, in groups.
type Aggregate struct {
	Where []Condition
	// By is the field that groups; "" makes one group of all.
	By string
	// Sum names fields with whole numbers.
	Sum []string
}

// Row is a group: its key (nil without one), how many documents are in it, and
// the sums in the order of Aggregate.Sum.
type Row struct {
	Key   any
	Count int64
	Sums  []int64
}

// Position is a place in the log of a collection, as the engine writes it. It
// is opaque to everyone else; "" is now.
type Position string

// Change is a document that was inserted, or, first of all, the word that the
// watch stands (with an empty Doc).
type Change struct {
	Position Position
	Doc      Doc
}

// Collection is a table of documents and what is indexed of them.
type Collection struct {
	Name    string
	Indexes []Index
}

// Index is one index of a collection.
type Index struct {
	// Name is unique in the collection. A DuplicateError carries it.
	Name string
	// Fields are compared and sorted in this order; the id follows by itself.
	Fields []string
	// Unique refuses a second document with the same values. A document in which
	// one of the fields is missing or null is not indexed. It finds documents by
	// these values; for an order it takes an index that is not unique.
	Unique bool
	// Words indexes the beginnings of the fields' Words. The query's first equality
	// condition on Scope, if there is one, narrows the search.
	Words bool
	Scope string
}

// Words splits a text as a words index does: runs of letters, with their marks,
// and of digits, in lower case. An index that was made with another splitting
// needs another name.
func Words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r)
	})
}

// What an engine answers besides errors of the database.
var (
	// ErrStale says that the version to be replaced is not the newest.
	ErrStale = errors.New("the document was changed meanwhile")
	// ErrNoDocument says that there is no such document.
	ErrNoDocument = errors.New("there is no such document")
	// ErrPositionLost says that a position has left the log.
	ErrPositionLost = errors.New("the position has left the log")
)

// DuplicateError says which index refused a document; "id" is the document's id.
type DuplicateError struct {
	Coll  string
	Index string
}

func (e *DuplicateError) Error() string {
	return "duplicate in " + e.Coll + ", index " + e.Index
}
