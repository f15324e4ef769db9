package standin

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// form are the parameters of a call. What no operation has asked for is unknown,
// and refused.
type form struct {
	all   url.Values
	asked map[string]bool
	first *failure
}

// read reads the parameters, of a GET from its address and else from its body.
func read(r *http.Request) (*form, *failure) {
	values := r.URL.Query()
	if r.Method != http.MethodGet {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, invalid("", "The body cannot be read.")
		}
		kind := r.Header.Get("Content-Type")
		if len(body) > 0 && !strings.HasPrefix(kind, "application/x-www-form-urlencoded") {
			return nil, invalid("", "The body must be form-encoded, and is "+kind+".")
		}
		if values, err = url.ParseQuery(string(body)); err != nil {
			return nil, invalid("", "The body is no form.")
		}
	}
	return &form{all: values, asked: map[string]bool{}}, nil
}

// fail keeps the first thing that is wrong.
func (f *form) fail(code, param, message string) {
	if f.first == nil {
		f.first = invalid(code, message)
		f.first.Param = param
	}
}

// has says whether a parameter was sent.
func (f *form) has(name string) bool {
	f.asked[name] = true
	return len(f.all[name]) > 0
}

// text is a parameter, or "".
func (f *form) text(name string) string {
	f.asked[name] = true
	return f.all.Get(name)
}

// need is a parameter that must be there and not be empty.
func (f *form) need(name string) string {
	if !f.has(name) {
		f.fail("parameter_missing", name, "Missing required param: "+name+".")
	} else if f.text(name) == "" {
		f.fail("parameter_invalid_empty", name, "You passed an empty string for '"+name+"'. We assume empty values are an attempt to "+
			"unset a parameter; however '"+name+"' cannot be unset. You should remove '"+name+"' from your request or supply a non-empty value.")
	}
	return f.text(name)
}

// number is a whole number, or the given one where there is none.
func (f *form) number(name string, otherwise int64) int64 {
	if !f.has(name) {
		return otherwise
	}
	n, err := strconv.ParseInt(f.text(name), 10, 64)
	if err != nil {
		f.fail("parameter_invalid_integer", name, "Invalid integer: "+f.text(name))
	}
	return n
}

// yes is a boolean, or the given one where there is none.
func (f *form) yes(name string, otherwise bool) bool {
	if !f.has(name) {
		return otherwise
	}
	switch f.text(name) {
	case "true":
		return true
	case "false":
		return false
	}
	f.fail("", name, "Invalid boolean: "+f.text(name))
	return false
}

// one is one of some words, or the first where there is none.
func (f *form) one(name string, words ...string) string {
	if !f.has(name) {
		return words[0]
	}
	if !slices.Contains(words, f.text(name)) {
		f.fail("", name, "Invalid "+name+": must be one of "+strings.Join(words, ", "))
	}
	return f.text(name)
}

// metadata merges what was sent into what is there. An empty value takes a key
// away, and an empty "metadata" all of them.
func (f *form) metadata(old object) object {
	out := object{}
	for key, value := range old {
		out[key] = value
	}
	if f.has("metadata") && f.text("metadata") == "" {
		out = object{}
	}
	for name := range f.all {
		key, ok := strings.CutPrefix(name, "metadata[")
		if !ok || !strings.HasSuffix(key, "]") {
			continue
		}
		key = strings.TrimSuffix(key, "]")
		switch value := f.text(name); {
		case len(key) > 40 || len(value) > 500 || len(out) == 50 && out[key] == nil:
			f.fail("", name, "Metadata may have 50 keys of 40 characters, and values of 500.")
		case value == "":
			delete(out, key)
		default:
			out[key] = value
		}
	}
	return out
}

// rows are the names of an array's rows, such as "items[0]", in their order.
func (f *form) rows(name string) []string {
	found := map[int]string{}
	for key := range f.all {
		rest, ok := strings.CutPrefix(key, name+"[")
		if !ok {
			continue
		}
		index, _, _ := strings.Cut(rest, "]")
		if n, err := strconv.Atoi(index); err == nil {
			found[n] = name + "[" + index + "]"
		}
	}
	var order []int
	for n := range found {
		order = append(order, n)
	}
	slices.Sort(order)
	var out []string
	for _, n := range order {
		out = append(out, found[n])
	}
	return out
}

// list is an array of texts, written with numbers or without.
func (f *form) list(name string) []string {
	out := append([]string(nil), f.all[name+"[]"]...)
	f.asked[name+"[]"] = true
	for _, row := range f.rows(name) {
		out = append(out, f.text(row))
	}
	return out
}

func (f *form) expansions() []string { return f.list("expand") }

// unknown is what is wrong with the parameters: one that nobody asked for, or the
// first that could not be read.
func (f *form) unknown() *failure {
	var names []string
	for name := range f.all {
		if !f.asked[name] {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		out := invalid("parameter_unknown", "Received unknown parameter: "+names[0])
		out.Param = names[0]
		return out
	}
	return f.first
}
