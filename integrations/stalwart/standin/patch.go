package standin

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// patch writes one value at one path of an object: a property, or what is
// inside of one. It changes nothing of what the object shares with its former
// self.
func (k kind) patch(o object, path string, value any) *setError {
	steps := strings.Split(path, "/")
	for i, step := range steps {
		steps[i] = unescape(step)
	}
	p, known := k.of(o)[steps[0]]
	if !known {
		return invalidPatch("Invalid property", path)
	}
	written, refusal := p.write(o[steps[0]], steps[1:], path, value)
	if refusal == nil {
		o[steps[0]] = written
	}
	return refusal
}

// write is the value after a change of it, or of what the steps lead to.
func (p property) write(old any, steps []string, path string, value any) (any, *setError) {
	switch {
	case p.serverSet:
		return nil, invalidPatch("Cannot modify server set property", path)
	case len(steps) == 0:
		return p.read(path, value)
	}
	held, isMap := old.(map[string]any)
	step, rest := steps[0], steps[1:]
	if !isMap || p.shape != union && p.shape != list && len(rest) > 0 {
		return nil, invalidPatch("Invalid JSON Pointer path", path)
	}
	whole := maps.Clone(held)
	switch p.shape {
	case set:
		return whole, p.writeMember(whole, step, path, value)
	case numbers:
		return whole, p.writeNumber(whole, step, path, value)
	case list:
		return whole, p.writeElement(whole, step, rest, path, value)
	case union:
		return whole, writeField(p.inner(whole), whole, step, rest, path, value)
	}
	return nil, invalidPatch("Invalid JSON Pointer path", path)
}

func (p property) writeMember(whole map[string]any, step, path string, value any) *setError {
	switch wanted, isBool := value.(bool); {
	case isBool && wanted:
		whole[step] = true
	case isBool || value == nil:
		delete(whole, step)
	default:
		return invalidPatch("Invalid value for object property", path)
	}
	return p.checkMembers(path, whole)
}

func (p property) writeNumber(whole map[string]any, step, path string, value any) *setError {
	if value == nil {
		delete(whole, step)
		return nil
	}
	if !isWhole(value) {
		return invalidPatch("Invalid value for property.", path)
	}
	whole[step] = value
	return p.checkMembers(path, whole)
}

// writeElement puts an element at an index, takes it away, or goes into it.
func (p property) writeElement(whole map[string]any, step string, rest []string, path string, value any) *setError {
	if _, err := strconv.ParseUint(step, 10, 31); err != nil {
		return invalidPatch("Invalid JSON Pointer path", path)
	}
	if len(rest) == 0 && value == nil {
		delete(whole, step)
		return nil
	}
	if len(rest) == 0 {
		element, refusal := p.readElement(path, value)
		whole[step] = element
		return refusal
	}
	element, there := whole[step].(map[string]any)
	if !there {
		return invalidPatch("Invalid JSON Pointer path", path)
	}
	element = maps.Clone(element)
	whole[step] = element
	return writeField(p.inner(element), element, rest[0], rest[1:], path, value)
}

func writeField(fields map[string]property, whole map[string]any, step string, rest []string, path string, value any) *setError {
	field, known := fields[step]
	if !known {
		return invalidPatch("Invalid JSON Pointer path", path)
	}
	written, refusal := field.write(whole[step], rest, path, value)
	if refusal == nil {
		whole[step] = written
	}
	return refusal
}

// read checks a whole value and puts it into its normal form.
func (p property) read(path string, value any) (any, *setError) {
	if value == nil && p.nullable {
		return nil, nil
	}
	whole, isMap := value.(map[string]any)
	switch p.shape {
	case text, reference:
		return p.readText(path, value)
	case boolean:
		if _, ok := value.(bool); !ok {
			return nil, invalidPatch("Invalid value for property.", path)
		}
		return value, nil
	case number:
		if !isWhole(value) {
			return nil, invalidPatch("Invalid value for property.", path)
		}
		return value, nil
	case opaque:
		return nil, invalidPatch("This server leaves this property as it is", path)
	}
	if !isMap {
		return nil, invalidPatch("Invalid value for object property", path)
	}
	switch p.shape {
	case set:
		return p.readSet(path, whole)
	case numbers:
		return p.readNumbers(path, whole)
	case list:
		return p.readList(path, whole)
	}
	return readFields(p.variants, path, whole)
}

func isWhole(value any) bool {
	n, ok := value.(float64)
	return ok && n >= 0 && n == float64(int64(n))
}

func (p property) readText(path string, value any) (any, *setError) {
	written, ok := value.(string)
	if !ok || written == "" {
		return nil, invalidPatch("Invalid value for property.", path)
	}
	if p.shape == reference {
		if _, ok := parseID(written); !ok {
			return nil, invalidPatch("Failed to parse Id from string", path)
		}
	}
	if p.normal == nil {
		return written, nil
	}
	normal, ok := p.normal(written)
	if !ok {
		return nil, invalidPatch(p.problem, path)
	}
	return normal, nil
}

// readSet reads {"value": true}; null is for paths alone.
func (p property) readSet(path string, written map[string]any) (any, *setError) {
	whole := map[string]any{}
	for name, in := range written {
		wanted, isBool := in.(bool)
		if !isBool {
			return nil, invalidPatch("Invalid value for object property", path)
		}
		if wanted {
			whole[name] = true
		}
	}
	return whole, p.checkMembers(path, whole)
}

func (p property) readNumbers(path string, written map[string]any) (any, *setError) {
	for _, in := range written {
		if !isWhole(in) {
			return nil, invalidPatch("Invalid value for object property", path)
		}
	}
	return written, p.checkMembers(path, written)
}

func (p property) checkMembers(path string, whole map[string]any) *setError {
	for name := range whole {
		if p.members != nil && !p.members[name] {
			return invalidPatch("Invalid key for object property", path)
		}
	}
	return nil
}

// readList reads {"0": {…}}. What is wrong with an element is said without its
// index.
func (p property) readList(path string, written map[string]any) (any, *setError) {
	whole := map[string]any{}
	for index, in := range written {
		if _, err := strconv.ParseUint(index, 10, 31); err != nil {
			return nil, invalidPatch("Invalid key for object property", path)
		}
		element, refusal := p.readElement(path, in)
		if refusal != nil {
			return nil, refusal
		}
		whole[index] = element
	}
	return whole, nil
}

func (p property) readElement(path string, value any) (any, *setError) {
	written, ok := value.(map[string]any)
	if !ok {
		return nil, invalidPatch("Invalid value for object property", path)
	}
	if p.fields != nil {
		return fill(p.fields, path, map[string]any{}, written)
	}
	return readFields(p.variants, path, written)
}

// readFields reads a variant by its @type.
func readFields(variants map[string]map[string]property, path string, written map[string]any) (any, *setError) {
	name, _ := written["@type"].(string)
	fields, known := variants[name]
	if !known {
		return nil, invalidPatch("Missing or invalid '@type' property in object", path)
	}
	return fill(fields, path, map[string]any{"@type": name}, written)
}

// fill reads each field and puts in what was left out.
func fill(fields map[string]property, path string, whole, written map[string]any) (any, *setError) {
	for name, field := range fields {
		whole[name] = field.start
	}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		if name == "@type" && whole[name] != nil {
			continue
		}
		field, known := fields[name]
		if !known {
			return nil, invalidPatch("Invalid key for object", path)
		}
		read, refusal := field.write(nil, nil, path+"/"+name, written[name])
		if refusal != nil {
			return nil, refusal
		}
		whole[name] = read
	}
	return whole, nil
}

// indexes are a list's keys in the order of their numbers.
func indexes(whole map[string]any) []string {
	return slices.SortedFunc(maps.Keys(whole), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
}

// renumber gives the elements of each list the keys 0, 1, 2, as every save
// does.
func (k kind) renumber(o object) {
	for name, p := range k.of(o) {
		whole, _ := o[name].(map[string]any)
		if p.shape != list || whole == nil {
			continue
		}
		counted := map[string]any{}
		for i, key := range indexes(whole) {
			counted[strconv.Itoa(i)] = whole[key]
		}
		o[name] = counted
	}
}
