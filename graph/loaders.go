package graph

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/graph-gophers/dataloader/v7"

	"github.com/dezky/platform/platform"
)

// loaders answer the edges of one response. What was read together, the nodes
// of a page, is asked for its edges together: the first node that wants one
// reads it for all of its siblings, so a level costs one read a loader, however
// long the page, and waits for no timer.
type loaders struct {
	tenants       *loader[*platform.Tenant]
	partners      *loader[*platform.Partner]
	users         *loader[*platform.User]
	subscriptions *loader[*platform.TenantSubscription]
	provisionings *loader[*platform.ProvisioningStatus]
	// people are the provisionings of those behind a level of members.
	people        *loader[*platform.ProvisioningStatus]
	customers     *loader[int]
	membersCounts *loader[int]

	authenticators *loader[*int32]
	memberStorage  *loader[*platform.Storage]
	tenantStorage  *loader[*platform.Storage]
	groupMembers   *loader[[]*platform.Member]
	importRows     *loader[[]*platform.ImportRow]

	mu sync.Mutex
	// members and auditEvents are first pages, by their length.
	members     map[int]*loader[*platform.MemberConnection]
	auditEvents map[int]*loader[*platform.AuditEventConnection]
	// levels are the siblings of each object, itself included.
	levels map[any]*level
	p      *platform.Platform
}

// level is a list of objects that were read together.
type level struct {
	objects []any
	mu      sync.Mutex
	loaded  map[any]*sync.Once
}

type loadersKey struct{}

// withLoaders makes the loaders of a response when its first edge asks for them:
// most subscriptions wait, and many answers have no edges.
func withLoaders(ctx context.Context, p *platform.Platform) context.Context {
	return context.WithValue(ctx, loadersKey{}, sync.OnceValue(func() *loaders { return newLoaders(p) }))
}

func newLoaders(p *platform.Platform) *loaders {
	from := p.Reader()
	subject := func(s *platform.ProvisioningStatus) platform.ID { return s.SubjectID }
	return &loaders{
		tenants:       newLoader(byKey(from.TenantsByID, tenantID)),
		partners:      newLoader(byKey(from.PartnersByID, func(x *platform.Partner) platform.ID { return x.ID })),
		users:         newLoader(byKey(from.UsersByID, func(u *platform.User) platform.ID { return u.ID })),
		subscriptions: newLoader(byKey(from.SubscriptionsOf, func(s *platform.TenantSubscription) platform.ID { return s.TenantID })),
		provisionings: newLoader(byKey(p.ProvisioningsOf, subject)),
		people:        newLoader(byKey(p.ProvisioningsOf, subject)),
		customers:     newLoader(from.CountCustomersOf),
		membersCounts: newLoader(from.CountMembersOf),

		authenticators: newLoader(atMost(mostAsked, p.AuthenticatorsOf)),
		memberStorage:  newLoader(p.MemberStorage),
		tenantStorage:  newLoader(p.TenantStorage),
		groupMembers:   newLoader(p.MembersOfGroups),
		importRows:     newLoader(p.RowsOfImports),

		members:     map[int]*loader[*platform.MemberConnection]{},
		auditEvents: map[int]*loader[*platform.AuditEventConnection]{},
		levels:      map[any]*level{},
		p:           p,
	}
}

// loadersOf are the response's loaders. Without any, in a subscription's first
// step, there are none, and nothing is an edge.
func loadersOf(ctx context.Context) (*loaders, error) {
	ls, ok := ctx.Value(loadersKey{}).(func() *loaders)
	if !ok {
		return nil, errors.New("there are no loaders outside of a response")
	}
	return ls(), nil
}

// mostAsked is how many people a response asks the identity provider about, each
// by calls of their own: a list without pages can be longer than its price.
const mostAsked = 200

// atMost fetches the first so many keys of a response; of the others nothing is
// known.
func atMost[V any](most int, f fetch[V]) fetch[V] {
	var mu sync.Mutex
	return func(ctx context.Context, keys []platform.ID) (map[platform.ID]V, error) {
		mu.Lock()
		n := min(most, len(keys))
		most -= n
		mu.Unlock()
		if n == 0 {
			return map[platform.ID]V{}, nil
		}
		return f(ctx, keys[:n])
	}
}

func tenantID(t *platform.Tenant) platform.ID { return t.ID }

// fetch reads the values of many keys at once; those that are missing are left
// out.
type fetch[V any] func(ctx context.Context, keys []platform.ID) (map[platform.ID]V, error)

// byKey makes a fetch of a read whose rows come in no order.
func byKey[V any](read func(context.Context, []platform.ID) ([]V, error), key func(V) platform.ID) fetch[V] {
	return func(ctx context.Context, keys []platform.ID) (map[platform.ID]V, error) {
		rows, err := read(ctx, keys)
		out := make(map[platform.ID]V, len(rows))
		for _, row := range rows {
			out[key(row)] = row
		}
		return out, err
	}
}

// loader is a dataloader whose batches can also be read ahead. A key without a
// value has V's zero.
type loader[V any] struct {
	*dataloader.Loader[platform.ID, V]
	fetch fetch[V]

	mu sync.Mutex
	// read are the keys that were read ahead.
	read map[platform.ID]bool
}

func newLoader[V any](f fetch[V]) *loader[V] {
	batch := func(ctx context.Context, keys []platform.ID) []*dataloader.Result[V] {
		values, err := f(ctx, keys)
		out := make([]*dataloader.Result[V], len(keys))
		for i, key := range keys {
			out[i] = &dataloader.Result[V]{Data: values[key], Error: err}
		}
		return out
	}
	return &loader[V]{
		Loader: dataloader.NewBatchedLoader(batch, dataloader.WithWait[platform.ID, V](time.Millisecond)),
		fetch:  f, read: map[platform.ID]bool{},
	}
}

// Together says that objects were read together, so that their edges are too.
func Together[T any](ctx context.Context, objects []*T) {
	ls, err := loadersOf(ctx)
	if err != nil || len(objects) < 2 {
		return
	}
	l := &level{loaded: map[any]*sync.Once{}}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, object := range objects {
		if object != nil {
			l.objects = append(l.objects, object)
			ls.levels[object] = l
		}
	}
}

// Page hands a page on to the client, its nodes as read together.
func Page[T any](ctx context.Context) func(*platform.Connection[*T], error) (*platform.Connection[*T], error) {
	return func(page *platform.Connection[*T], err error) (*platform.Connection[*T], error) {
		if err == nil {
			Together(ctx, page.Nodes())
		}
		return page, err
	}
}

// along loads the value that hangs on an object, and with it those of its
// siblings. What is loaded is in its turn read together.
func along[P, V any](ctx context.Context, ls *loaders, l *loader[V], object *P, key func(*P) platform.ID) (V, error) {
	id := key(object)
	if id == "" {
		return *new(V), nil
	}
	ls.mu.Lock()
	siblings := ls.levels[object]
	ls.mu.Unlock()
	if siblings != nil {
		siblings.once(l).Do(func() { ahead(ctx, l, siblings.objects, key) })
	}
	return l.Load(ctx, id)()
}

func (l *level) once(loader any) *sync.Once {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.loaded[loader] == nil {
		l.loaded[loader] = &sync.Once{}
	}
	return l.loaded[loader]
}

// ahead reads a level's values and lays them into the loader. Where that fails
// the loader reads for itself, and its error is the edge's.
func ahead[P, V any](ctx context.Context, l *loader[V], objects []any, key func(*P) platform.ID) {
	keys := l.unread(objects, func(object any) platform.ID {
		if parent, ok := object.(*P); ok {
			return key(parent)
		}
		return ""
	})
	if len(keys) == 0 {
		return
	}
	values, err := l.fetch(ctx, keys)
	if err != nil {
		return
	}
	loaded := make([]V, len(keys))
	for i, k := range keys {
		loaded[i] = values[k]
		l.Prime(ctx, k, values[k])
	}
	joined(ctx, loaded)
}

// unread are the keys of objects that were not read ahead yet, each once. From
// now on they count as read.
func (l *loader[V]) unread(objects []any, key func(any) platform.ID) (keys []platform.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, object := range objects {
		if id := key(object); id != "" && !l.read[id] {
			keys, l.read[id] = append(keys, id), true
		}
	}
	return keys
}

// joined makes a level of what was loaded for a level.
func joined[V any](ctx context.Context, loaded []V) {
	switch loaded := any(loaded).(type) {
	case []*platform.Tenant:
		Together(ctx, loaded)
	case []*platform.Partner:
		Together(ctx, loaded)
	case []*platform.MemberConnection:
		Together(ctx, entries(loaded))
	case []*platform.AuditEventConnection:
		Together(ctx, entries(loaded))
	}
}

// entries are the nodes of some pages.
func entries[T any](pages []*platform.Connection[*T]) (all []*T) {
	for _, page := range pages {
		if page != nil {
			all = append(all, page.Nodes()...)
		}
	}
	return all
}
