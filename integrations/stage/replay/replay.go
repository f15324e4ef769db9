// Package replay holds a stand-in against what was recorded from the live
// system: the same requests, and answers of the same shape. Only tests use it.
package replay

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// Line is one recorded exchange.
type Line struct {
	Name    string
	Request struct {
		Method  string
		Path    string
		Auth    string
		Headers map[string]string
		Body    json.RawMessage
	}
	Response struct {
		Status int
		Body   any
	}
}

// Read reads a file of exchanges, one a line.
func Read(path string) ([]Line, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var lines []Line
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line Line
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(lines)+1, err)
		}
		lines = append(lines, line)
	}
	return lines, scanner.Err()
}

// Comparison compares answers, and learns which of our texts stands for which
// recorded one.
type Comparison struct {
	// Normal is what must be equal of a text under a key, such as nothing for an
	// id or a date.
	Normal func(key, text string) string

	ours map[string]string
}

// Ours puts what was learned into a recorded request.
func (c *Comparison) Ours(text string) string {
	for _, theirs := range slices.SortedFunc(maps.Keys(c.ours), func(a, b string) int { return len(b) - len(a) }) {
		text = strings.ReplaceAll(text, theirs, c.ours[theirs])
	}
	return text
}

// Diff lists in what an answer differs. Objects have the same keys; lists of
// objects may lack entries, but for the last one, and may be in another order.
func (c *Comparison) Diff(want, found any) []string {
	if c.ours == nil {
		c.ours = map[string]string{}
	}
	return c.diff(c.ours, "", "", want, found)
}

func (c *Comparison) diff(learned map[string]string, path, key string, want, found any) []string {
	switch want := want.(type) {
	case map[string]any:
		found, ok := found.(map[string]any)
		if !ok {
			break
		}
		var all []string
		for name := range found {
			if _, wanted := want[name]; !wanted {
				all = append(all, path+"/"+name+" is too much")
			}
		}
		for name, inner := range want {
			if _, there := found[name]; !there {
				all = append(all, path+"/"+name+" is missing")
				continue
			}
			all = append(all, c.diff(learned, path+"/"+name, name, inner, found[name])...)
		}
		slices.Sort(all)
		return all
	case []any:
		found, ok := found.([]any)
		if !ok {
			break
		}
		if len(want) > 0 && isObject(want[0]) {
			return c.diffObjects(learned, path, key, want, found)
		}
		if len(want) != len(found) {
			return []string{fmt.Sprintf("%s has %d entries instead of %d", path, len(found), len(want))}
		}
		var all []string
		for i := range want {
			all = append(all, c.diff(learned, fmt.Sprintf("%s/%d", path, i), key, want[i], found[i])...)
		}
		return all
	case string:
		found, ok := found.(string)
		if !ok {
			break
		}
		if c.Normal(key, want) == c.Normal(key, found) {
			learn(learned, want, found)
			return nil
		}
	default:
		if want == found {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s is %v instead of %v", path, found, want)}
}

func isObject(value any) bool {
	_, ok := value.(map[string]any)
	return ok
}

func (c *Comparison) diffObjects(learned map[string]string, path, key string, want, found []any) []string {
	if len(found) == 0 || len(found) > len(want) {
		return []string{fmt.Sprintf("%s has %d entries instead of %d", path, len(found), len(want))}
	}
	var all []string
	for i, inner := range found {
		var nearest []string
		var names map[string]string
		for _, candidate := range want {
			theirs := map[string]string{}
			differences := c.diff(theirs, fmt.Sprintf("%s/%d", path, i), key, candidate, inner)
			if names == nil || len(differences) < len(nearest) {
				nearest, names = differences, theirs
			}
		}
		all = append(all, nearest...)
		maps.Copy(learned, names)
	}
	return all
}

// learn keeps pairs of long names that differ; an id in two halves is two
// names, since a path has them escaped.
func learn(learned map[string]string, theirs, ours string) {
	a, b := strings.Split(theirs, "$"), strings.Split(ours, "$")
	for i := range min(len(a), len(b)) {
		if len(a[i]) >= 12 && a[i] != b[i] {
			learned[a[i]] = b[i]
		}
	}
}
