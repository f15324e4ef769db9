package standin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// queryArgs are the arguments of a query. Where it matters whether one is
// there, it is a pointer.
type queryArgs struct {
	sort []struct {
		Property    string
		IsAscending *bool
	}
	position       *int
	anchor         *string
	anchorOffset   int
	limit          *int
	calculateTotal bool
}

func (q *request) query(k kind, account string, args map[string]json.RawMessage) (any, error) {
	var a queryArgs
	for name, to := range map[string]any{
		"sort": &a.sort, "position": &a.position, "anchor": &a.anchor, "anchorOffset": &a.anchorOffset,
		"limit": &a.limit, "calculateTotal": &a.calculateTotal,
	} {
		if _, err := argument(args, name, "another type", to); err != nil {
			return nil, err
		}
	}
	ids, err := q.filtered(k, args["filter"])
	if err != nil {
		return nil, err
	}
	property, ascending := "id", false
	if len(a.sort) > 0 {
		property = a.sort[0].Property
		ascending = a.sort[0].IsAscending == nil || *a.sort[0].IsAscending
		if !slices.Contains(k.sorts, property) {
			return nil, unsupportedSort(k, property)
		}
	}
	answer := map[string]any{"accountId": account, "queryState": "n", "canCalculateChanges": true, "position": 0}
	if property == "id" && !a.calculateTotal && a.anchorOffset == 0 && (a.position == nil || *a.position > 0) {
		answer["ids"] = texts(a.walk(ids, ascending))
		return answer, nil
	}
	if property != "id" && property != "due" { // what is due at one time is in the order of its ids
		objects := q.server.state.Objects[k.name]
		slices.SortStableFunc(ids, func(x, y uint64) int {
			return strings.Compare(fmt.Sprint(objects[x][property]), fmt.Sprint(objects[y][property]))
		})
	}
	if !ascending {
		slices.Reverse(ids)
	}
	return answer, a.page(ids, answer)
}

func unsupportedSort(k kind, property string) error {
	if k.name == "Task" {
		return &methodError{"unsupportedSort", "Only sorting by 'due' is supported for tasks"}
	}
	return &methodError{"unsupportedSort", fmt.Sprintf("Property %s is not supported for sorting", property)}
}

// walk is the server's fast path: it pages through the ids in ascending order
// and turns the page round only afterwards; the anchor is not part of the page.
func (a queryArgs) walk(ids []uint64, ascending bool) []uint64 {
	if a.anchor != nil {
		after, _ := parseID(*a.anchor)
		ids = slices.DeleteFunc(ids, func(id uint64) bool { return id <= after })
	}
	if a.position != nil {
		ids = ids[min(*a.position, len(ids)):]
	}
	ids = ids[:min(a.most(), len(ids))]
	if !ascending {
		slices.Reverse(ids)
	}
	return ids
}

// page is the slow path, by the rules of RFC 8620.
func (a queryArgs) page(ids []uint64, answer map[string]any) error {
	total, from := len(ids), 0
	if a.position != nil {
		from = *a.position
		if from < 0 {
			from = max(0, total+from)
		}
	}
	if a.anchor != nil {
		anchor, _ := parseID(*a.anchor)
		at := slices.Index(ids, anchor)
		if at < 0 {
			return &methodError{"anchorNotFound", ""}
		}
		from = max(0, at+a.anchorOffset)
	}
	from = min(from, total)
	answer["position"] = from
	answer["ids"] = texts(ids[from:min(from+a.most(), total)])
	if a.calculateTotal {
		answer["total"] = total
	}
	if total > a.most() {
		answer["limit"] = a.most()
	}
	return nil
}

func (a queryArgs) most() int {
	if a.limit == nil {
		return maxQuery
	}
	return min(max(0, *a.limit), maxQuery)
}

func texts(ids []uint64) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = idText(id)
	}
	return all
}

// filtered are the ids that a filter leaves, in ascending order.
func (q *request) filtered(k kind, filter json.RawMessage) ([]uint64, error) {
	objects := q.server.state.Objects[k.name]
	ids := objects.ids()
	conditions, err := conditionsOf(filter)
	if err != nil {
		return nil, err
	}
	for _, condition := range conditions {
		for property, raw := range condition {
			var want string
			p, known := k.find(property)
			if !known && property != "text" {
				return nil, &methodError{"unsupportedFilter", property}
			}
			if !slices.Contains(k.filters, property) || json.Unmarshal(raw, &want) != nil {
				return nil, &methodError{"unsupportedFilter", fmt.Sprintf("Filter on property %s is not supported or invalid", property)}
			}
			if p.shape == reference || p.to != "" {
				id, ok := parseID(want)
				if !ok {
					return nil, &methodError{"unsupportedFilter", fmt.Sprintf("Filter on property %s is not supported or invalid", property)}
				}
				want = idText(id)
			}
			ids = slices.DeleteFunc(ids, func(id uint64) bool { return !matches(objects[id], property, want) })
		}
	}
	return ids, nil
}

// conditionsOf reads a filter: properties, or an AND of such.
func conditionsOf(filter json.RawMessage) ([]map[string]json.RawMessage, error) {
	if filter == nil || string(filter) == "null" {
		return nil, nil
	}
	var operator struct {
		Operator   string
		Conditions []json.RawMessage
	}
	var condition map[string]json.RawMessage
	if json.Unmarshal(filter, &condition) != nil {
		return nil, &methodError{"invalidArguments", fmt.Sprintf("invalid type: `%s`, expected a map", filter)}
	}
	if json.Unmarshal(filter, &operator) != nil || operator.Operator == "" {
		return []map[string]json.RawMessage{condition}, nil
	}
	if operator.Operator != "AND" {
		return nil, &methodError{"unsupportedFilter", "Only AND is supported in filters"}
	}
	var all []map[string]json.RawMessage
	for _, inner := range operator.Conditions {
		conditions, err := conditionsOf(inner)
		if err != nil {
			return nil, err
		}
		all = append(all, conditions...)
	}
	return all, nil
}

func matches(o object, property, want string) bool {
	switch property {
	case "aliases", "memberGroupIds":
		held, _ := o[property].(map[string]any)
		_, ok := held[want]
		return ok
	case "text":
		return hasWords(o, want)
	case "status": // no other narrows anything
		status, _ := o[property].(map[string]any)
		return want != "Failed" || status["@type"] == want
	}
	return o[property] == want
}

// hasWords says whether every word of want, but those of one letter, is a whole
// word of the name, an alias or the description.
func hasWords(o object, want string) bool {
	words := wordsOf(o["name"])
	words = append(words, wordsOf(o["description"])...)
	held, _ := o["aliases"].(map[string]any)
	for key, alias := range held {
		if element, isElement := alias.(map[string]any); isElement {
			words = append(words, wordsOf(element["name"])...)
			continue
		}
		words = append(words, wordsOf(key)...)
	}
	for _, word := range wordsOf(want) {
		if len(word) > 1 && !slices.Contains(words, word) {
			return false
		}
	}
	return true
}

func wordsOf(value any) []string {
	text, _ := value.(string)
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}
