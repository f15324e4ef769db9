package graph

import (
	"context"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/vektah/gqlparser/v2/ast"
)

// The bounds of what is kept of documents. A parsed document takes up to a
// hundred times its text, so the text is what is bounded.
const (
	latelyEntries = 1000
	latelyWeight  = 512 << 10
)

// lately keeps what was used last, up to a number and a weight.
type lately[K comparable, V any] struct {
	mu     sync.Mutex
	kept   *simplelru.LRU[K, weighed[V]]
	weight int
}

type weighed[V any] struct {
	value  V
	weight int
}

func newLately[K comparable, V any]() *lately[K, V] {
	l := &lately[K, V]{}
	l.kept, _ = simplelru.NewLRU(latelyEntries, func(_ K, gone weighed[V]) { l.weight -= gone.weight }) //nolint:errcheck // only a size below one is an error
	return l
}

// Get is what was kept under a key.
func (l *lately[K, V]) Get(key K) (V, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.kept.Get(key)
	return found.value, ok
}

// Add keeps a value, in the place of what was used longest ago.
func (l *lately[K, V]) Add(key K, value V, weight int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept.Remove(key)
	l.kept.Add(key, weighed[V]{value, weight})
	l.weight += weight
	for l.weight > latelyWeight {
		l.kept.RemoveOldest()
	}
}

// documents are the parsed and validated documents that gqlgen keeps.
type documents struct {
	*lately[string, *ast.QueryDocument]
}

func newDocuments() documents { return documents{newLately[string, *ast.QueryDocument]()} }

// Get is the document of a text.
func (d documents) Get(_ context.Context, text string) (*ast.QueryDocument, bool) {
	return d.lately.Get(text)
}

// Add keeps a document.
func (d documents) Add(_ context.Context, text string, doc *ast.QueryDocument) {
	d.lately.Add(text, doc, len(text))
}
