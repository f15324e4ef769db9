package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// countedReads counts the reads outside of transactions.
type countedReads struct {
	store.Engine
	n atomic.Int64
}

func (c *countedReads) Get(ctx context.Context, coll string, ids []platform.ID) ([]store.Doc, error) {
	c.n.Add(1)
	return c.Engine.Get(ctx, coll, ids)
}

func (c *countedReads) Find(ctx context.Context, coll string, q store.Query) ([]store.Doc, error) {
	c.n.Add(1)
	return c.Engine.Find(ctx, coll, q)
}

func (c *countedReads) FindEach(ctx context.Context, coll, by string, keys []string, q store.Query) ([]store.Doc, error) {
	c.n.Add(1)
	return c.Engine.FindEach(ctx, coll, by, keys, q)
}

func (c *countedReads) Sum(ctx context.Context, coll string, q store.Aggregate) ([]store.Row, error) {
	c.n.Add(1)
	return c.Engine.Sum(ctx, coll, q)
}

// TestAPageCostsTheSameReadsHoweverLong is B-2 and P4: relations four levels
// deep, through Relay edges, cost a constant number of store reads.
func TestAPageCostsTheSameReadsHoweverLong(t *testing.T) {
	s := newScene(t)
	var seed strings.Builder
	seed.WriteString("operator olga\n")
	for p := range 5 {
		fmt.Fprintf(&seed, "partner p%d\n", p)
	}
	for i := range 100 {
		fmt.Fprintf(&seed, "tenant t%02d of p%d\n", i, i%5)
		for m := range 3 {
			fmt.Fprintf(&seed, "member m%dof%d of t%02d\n", m, i, i)
		}
	}
	s.paused.Store(true) // what the reconciler reads is none of a page's
	s.seed(seed.String())
	counts := map[int]int64{}
	for _, first := range []int{1, 10, 100} {
		query := fmt.Sprintf(`{ tenants(first: %d, search: "t") { totalCount edges { node {
			partner { name customersCount }
			subscription { plan }
			membersCount
			provisioning { status steps { integration } }
			members(first: 2) { edges { node { role user { name } tenant { slug partner { slug } }
				provisioning { status } personProvisioning { status } storage { files { usedBytes } } authenticators } } }
		} } } }`, first)
		body, err := json.Marshal(map[string]string{"query": query})
		if err != nil {
			t.Fatal(err)
		}
		var answer []byte
		for try := range 3 { // a look of the reconciler may be on its way
			before := s.reads.n.Load()
			_, answer = s.post("olga", body)
			if n := s.reads.n.Load() - before; try == 0 || n < counts[first] {
				counts[first] = n
			}
		}
		if strings.Contains(string(answer), `"errors"`) || strings.Count(string(answer), `"membersCount"`) != first {
			t.Fatalf("the page of %d is not what was asked for: %.300s", first, answer)
		}
	}
	t.Logf("store reads by page length: %v", counts)
	if counts[1] != counts[10] || counts[10] != counts[100] {
		t.Errorf("store reads by page length: %v", counts)
	}
}
