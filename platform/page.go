package platform

import (
	"context"
	"encoding/base64"
	"encoding/json"
)

// Document is what everything that the store keeps has: an ID, and the version
// at which it was read. Only the store changes the version.
type Document struct {
	ID      ID    `json:"id"`
	Version int64 `json:"-"`
}

// Doc gives the store its way to the ID and the version.
func (d *Document) Doc() *Document { return d }

// Page sizes: what a list has when nobody says, and the most that anybody gets.
const (
	DefaultPage = 20
	MaxPage     = 100
)

// longestCursor is more than any place in a list takes.
const longestCursor = 4 << 10

// Page is the part of a list that is asked for.
type Page struct {
	First int
	After Cursor
}

// NewPage checks a field's arguments. Without first it is DefaultPage long.
func NewPage(first *int32, after *Cursor) (Page, error) {
	page := Page{First: DefaultPage}
	if first != nil {
		page.First = int(*first)
	}
	if page.First < 1 || page.First > MaxPage {
		return Page{}, Errorf(Invalid, "A page has 1 to %d entries.", MaxPage).On("first")
	}
	if after != nil {
		page.After = *after
	}
	return page, nil
}

// Cursor is a place in one list. It is opaque to clients, good in the list that
// it came from and in no other, and gives nobody a right to anything.
type Cursor string

// cursorPlace is what a Cursor says.
type cursorPlace struct {
	// List names the list and its order.
	List string `json:"l"`
	// Value is the sorted field's value of the last entry: text or a whole number.
	Value any `json:"v"`
	ID    ID  `json:"i"`
}

// NewCursor is the place behind an entry of a list.
func NewCursor(list string, value any, id ID) Cursor {
	data, err := json.Marshal(cursorPlace{list, value, id})
	if err != nil {
		return "" // a text, a number and two names always have a JSON form
	}
	return Cursor(base64.RawURLEncoding.EncodeToString(data))
}

// Place reads what NewCursor wrote for the same list. A Cursor of another list,
// or one that was tampered with, is Invalid.
func (c Cursor) Place(list string) (value any, id ID, err error) {
	if len(c) > longestCursor {
		c = "" // is no place
	}
	var place cursorPlace
	data, err := base64.RawURLEncoding.DecodeString(string(c))
	if err == nil {
		err = json.Unmarshal(data, &place)
	}
	if err != nil || place.List != list || place.ID == "" {
		return nil, "", Errorf(Invalid, "This cursor does not belong to this list.").On("after").Because(err)
	}
	switch value := place.Value.(type) {
	case string, nil:
		return value, place.ID, nil
	case float64:
		return int64(value), place.ID, nil
	}
	return nil, "", Errorf(Invalid, "This cursor does not belong to this list.").On("after")
}

// List is a page as the store reads it.
type List[T any] struct {
	Items []T
	// Cursors belong to the items, in their order.
	Cursors []Cursor
	// More says that the list goes on behind the page.
	More bool
}

// Connection is a page of a list as Relay's clients read it.
type Connection[T any] struct {
	Edges    []*Edge[T]
	PageInfo PageInfo
	total    func(context.Context) (int, error)
}

// Edge is an entry of a list and its place.
type Edge[T any] struct {
	Node   T
	Cursor Cursor
}

// PageInfo says where a page stands in its list.
type PageInfo struct {
	HasNextPage     bool
	HasPreviousPage bool
	StartCursor     *Cursor
	EndCursor       *Cursor
}

// NewConnection makes a connection of a page. Total is asked only by a client
// that wants the number.
func NewConnection[T any](page Page, list List[T], total func(context.Context) (int, error)) *Connection[T] {
	c := &Connection[T]{
		Edges:    make([]*Edge[T], len(list.Items)),
		PageInfo: PageInfo{HasNextPage: list.More, HasPreviousPage: page.After != ""},
		total:    total,
	}
	for i, item := range list.Items {
		c.Edges[i] = &Edge[T]{Node: item, Cursor: list.Cursors[i]}
	}
	if n := len(c.Edges); n > 0 {
		c.PageInfo.StartCursor, c.PageInfo.EndCursor = &c.Edges[0].Cursor, &c.Edges[n-1].Cursor
	}
	return c
}

// firstPages makes connections of the first pages of a list that each of some
// tenants has; one without an entry has an empty page.
func firstPages[T any](
	tenants []ID, first int, lists map[ID]List[T], connect func(tenant ID, page Page, list List[T]) *Connection[T],
) map[ID]*Connection[T] {
	out := make(map[ID]*Connection[T], len(tenants))
	for _, id := range tenants {
		out[id] = connect(id, Page{First: first}, lists[id])
	}
	return out
}

// Nodes are the entries without their places.
func (c *Connection[T]) Nodes() []T {
	nodes := make([]T, len(c.Edges))
	for i, e := range c.Edges {
		nodes[i] = e.Node
	}
	return nodes
}

// TotalCount counts the whole list, and reads the store to do so.
func (c *Connection[T]) TotalCount(ctx context.Context) (int32, error) {
	n, err := c.total(ctx)
	return int32(n), err //nolint:gosec // no list here has two thousand million entries
}

// tenantList is the page of a tenant's list that a client asks for.
func tenantList[T any](
	ctx context.Context, tenant ID, first *int32, after *Cursor,
	read func(context.Context, ID, Page) (List[T], error), count func(context.Context, ID) (int, error),
) (*Connection[T], error) {
	page, err := NewPage(first, after)
	if err != nil {
		return nil, err
	}
	list, err := read(ctx, tenant, page)
	if err != nil {
		return nil, err
	}
	return NewConnection(page, list, func(ctx context.Context) (int, error) { return count(ctx, tenant) }), nil
}
