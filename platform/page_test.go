package platform

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCursor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		value, want any
		id          ID
	}{
		"text":         {"Acme", "Acme", "ten_a"},
		"markup":       {`<b>"&"</b>`, `<b>"&"</b>`, "ten_a"},
		"any script":   {"東京 🚀", "東京 🚀", "ten_a"},
		"no text":      {"", "", "ten_a"},
		"number":       {int64(42), int64(42), "ten_a"},
		"nothing":      {nil, nil, "ten_a"},
		"longest name": {strings.Repeat("<", longestName), strings.Repeat("<", longestName), ID("ten_" + strings.Repeat("a", 20))},
	} {
		value, id, err := NewCursor("tenants/name", test.value, test.id).Place("tenants/name")
		if err != nil || value != test.want || id != test.id {
			t.Errorf("%s: got %v, %s, %v; want %v, %s", name, value, id, err, test.want, test.id)
		}
	}
}

func TestCursorsThatAreNone(t *testing.T) {
	t.Parallel()
	raw := func(s string) Cursor { return Cursor(base64.RawURLEncoding.EncodeToString([]byte(s))) }
	for reason, c := range map[string]Cursor{
		"nothing":                           "",
		"of another list":                   NewCursor("tenants/newest", "2026", "ten_a"),
		"not base64":                        "!!!",
		"base64 with padding":               NewCursor("tenants/name", "Acme", "ten_a") + "=",
		"cut off":                           NewCursor("tenants/name", "Acme", "ten_a")[:20],
		"not JSON":                          raw("Acme"),
		"another JSON":                      raw(`["tenants/name","Acme","ten_a"]`),
		"more behind":                       raw(`{"l":"tenants/name","v":"a","i":"ten_a"} {}`),
		"without an ID":                     raw(`{"l":"tenants/name","v":"a"}`),
		"a list for a value":                raw(`{"l":"tenants/name","v":["a"],"i":"ten_a"}`),
		"an object for a value":             raw(`{"l":"tenants/name","v":{"$ne":1},"i":"ten_a"}`),
		"a truth for a value":               raw(`{"l":"tenants/name","v":true,"i":"ten_a"}`),
		"an object for an ID":               raw(`{"l":"tenants/name","v":"a","i":{"$ne":1}}`),
		"a long one, though well formed":    NewCursor("tenants/name", strings.Repeat("a", 1<<20), "ten_a"),
		"long and deep":                     raw(strings.Repeat("[", 1<<20)),
		"long and of nothing that is known": Cursor(strings.Repeat("A", 1<<20)),
	} {
		value, id, err := c.Place("tenants/name")
		if refusal(err) != "INVALID after" || value != nil || id != "" {
			t.Errorf("%s: got %v, %q, %v; want INVALID on after", reason, value, id, err)
		}
	}
}

func TestNewPage(t *testing.T) {
	t.Parallel()
	number := func(n int32) *int32 { return &n }
	after := Cursor("x")
	for name, test := range map[string]struct {
		first *int32
		after *Cursor
		want  Page
		err   string
	}{
		"nothing said":  {want: Page{First: 20}},
		"the smallest":  {first: number(1), want: Page{First: 1}},
		"the largest":   {first: number(100), after: &after, want: Page{First: 100, After: "x"}},
		"none":          {first: number(0), err: "INVALID first"},
		"negative":      {first: number(-1), err: "INVALID first"},
		"one too many":  {first: number(101), err: "INVALID first"},
		"as many as go": {first: number(1<<31 - 1), err: "INVALID first"},
	} {
		got, err := NewPage(test.first, test.after)
		if diff := cmp.Diff(test.want, got); refusal(err) != test.err || diff != "" {
			t.Errorf("%s: got %v, want %q (- expected, + found):\n%s", name, err, test.err, diff)
		}
	}
}

func TestConnection(t *testing.T) {
	t.Parallel()
	total := func(context.Context) (int, error) { return 7, nil }
	c := NewConnection(Page{First: 2, After: "before"}, List[string]{Items: []string{"a", "b"}, Cursors: []Cursor{"ca", "cb"}, More: true}, total)
	if diff := cmp.Diff([]string{"a", "b"}, c.Nodes()); diff != "" {
		t.Errorf("nodes (- expected, + found):\n%s", diff)
	}
	first, last := Cursor("ca"), Cursor("cb")
	if diff := cmp.Diff(PageInfo{true, true, &first, &last}, c.PageInfo); diff != "" {
		t.Errorf("page info (- expected, + found):\n%s", diff)
	}
	if n, err := c.TotalCount(t.Context()); n != 7 || err != nil {
		t.Errorf("total: got %d, %v", n, err)
	}
	empty := NewConnection(Page{First: 2}, List[string]{}, total)
	if diff := cmp.Diff(PageInfo{}, empty.PageInfo); diff != "" || empty.Edges == nil || empty.Nodes() == nil {
		t.Errorf("an empty page has empty lists and no cursors (- expected, + found):\n%s", diff)
	}
}
