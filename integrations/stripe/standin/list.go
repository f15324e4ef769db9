package standin

import (
	"slices"
)

// page is a page of a list, the newest first.
type page struct {
	rows []object
	url  string
	more bool
}

func (p *page) object(s *Server) object {
	rows := []object{}
	for _, row := range p.rows {
		rows = append(rows, s.show(row))
	}
	return object{"object": "list", "url": p.url, "has_more": p.more, "data": array(rows)}
}

// listing answers with a page of rows, which come the oldest first.
func (c *call) listing(url string, rows []object) (any, *failure) {
	rows = slices.Clone(rows)
	slices.Reverse(rows)
	slices.SortStableFunc(rows, func(a, b object) int { return int(b.number("created") - a.number("created")) })
	return c.cut(url, rows)
}

// cut takes the page that was asked for out of rows in their order.
func (c *call) cut(url string, rows []object) (any, *failure) {
	limit := c.form.number("limit", 10)
	after, before := c.text("starting_after"), c.text("ending_before")
	if limit < 1 || limit > 100 {
		c.fail("", "limit", "This value must be greater than or equal to 1 and less than or equal to 100.")
	}
	if f := c.unknown(); f != nil {
		return nil, f
	}
	at := func(id string) int { return slices.IndexFunc(rows, func(o object) bool { return o.id() == id }) }
	n := int(limit)
	switch {
	case after != "":
		i := at(after)
		if i < 0 {
			return nil, noSuch("object", after, "starting_after")
		}
		rows = rows[i+1:]
	case before != "":
		i := at(before)
		if i < 0 {
			return nil, noSuch("object", before, "ending_before")
		}
		from := max(0, i-n)
		return &page{rows: rows[from:i], url: url, more: from > 0}, nil
	}
	return &page{rows: rows[:min(n, len(rows))], url: url, more: len(rows) > n}, nil
}

// created reads the filter by the moment of making.
func (c *call) created() func(object) bool {
	low, high := int64(0), int64(1)<<62
	if c.has("created") {
		low = c.form.number("created", 0)
		high = low
	}
	for name, bound := range map[string]func(int64){
		"gt":  func(n int64) { low = max(low, n+1) },
		"gte": func(n int64) { low = max(low, n) },
		"lt":  func(n int64) { high = min(high, n-1) },
		"lte": func(n int64) { high = min(high, n) },
	} {
		if field := "created[" + name + "]"; c.has(field) {
			bound(c.form.number(field, 0))
		}
	}
	return func(o object) bool { return o.number("created") >= low && o.number("created") <= high }
}

// where are the rows that pass.
func where(rows []object, pass ...func(object) bool) []object {
	var out []object
	for _, o := range rows {
		if !slices.ContainsFunc(pass, func(p func(object) bool) bool { return !p(o) }) {
			out = append(out, o)
		}
	}
	return out
}

// same filters by a field, if the parameter of its name was sent.
func (c *call) same(field string) func(object) bool {
	sent, want := c.has(field), c.text(field)
	return func(o object) bool { return !sent || o.text(field) == want }
}

// one answers with the object of a kind whose id is in the path.
func one(kind, what string) operation {
	return func(c *call) (any, *failure) {
		o := c.get(kind, c.ids[0])
		if o == nil {
			return nil, noSuch(what, c.ids[0], "id")
		}
		return o, nil
	}
}
