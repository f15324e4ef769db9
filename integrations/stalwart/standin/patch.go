package standin

import (
	"maps"
	"slices"
	"strings"
)

// patch writes one value at one path of an object: a property, a value of a
// set, or a field of a union's present variant. It changes nothing of what the
// object shares with its former self.
func (k kind) patch(o object, path string, value any) *setError {
	name, inner, deep := strings.Cut(path, "/")
	p, known := k.properties[unescape(name)]
	switch {
	case !known:
		return invalidPatch("Invalid property", path)
	case p.serverSet:
		return invalidPatch("Cannot modify server set property", path)
	case !deep:
		read, refusal := p.read(path, value)
		if refusal == nil {
			o[name] = read
		}
		return refusal
	case p.shape == set:
		whole := maps.Clone(o[name].(map[string]any))
		switch wanted, isBool := value.(bool); {
		case isBool && wanted:
			whole[unescape(inner)] = true
		case isBool || value == nil:
			delete(whole, unescape(inner))
		default:
			return invalidPatch("Invalid value for object property", path)
		}
		o[name] = whole
		return p.checkMembers(name, whole)
	case p.shape == union:
		whole := maps.Clone(o[name].(map[string]any))
		field, known := p.variants[whole["@type"].(string)][unescape(inner)]
		if !known {
			return invalidPatch("Invalid JSON Pointer path", path)
		}
		read, refusal := field.read(path, value)
		if refusal == nil {
			whole[unescape(inner)] = read
			o[name] = whole
		}
		return refusal
	}
	return invalidPatch("Invalid JSON Pointer path", path)
}

// read checks a whole value and puts it into its normal form.
func (p property) read(path string, value any) (any, *setError) {
	if value == nil && p.nullable {
		return nil, nil
	}
	switch p.shape {
	case text, reference:
		return p.readText(path, value)
	case boolean:
		if _, ok := value.(bool); !ok {
			return nil, invalidPatch("Invalid value for property.", path)
		}
	case number:
		if n, ok := value.(float64); !ok || n < 0 || n != float64(int64(n)) {
			return nil, invalidPatch("Invalid value for property.", path)
		}
	case set:
		return p.readSet(path, value)
	case union:
		return p.readUnion(path, value)
	}
	return value, nil
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

// readSet reads {"value": true}. An array is no set.
func (p property) readSet(path string, value any) (any, *setError) {
	written, ok := value.(map[string]any)
	if !ok {
		return nil, invalidPatch("Invalid value for object property", path)
	}
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

func (p property) checkMembers(path string, whole map[string]any) *setError {
	for name := range whole {
		if p.members != nil && !slices.Contains(p.members, name) {
			return invalidPatch("Invalid key for object property", path)
		}
	}
	return nil
}

// readUnion reads a variant by its @type and fills in what was left out.
func (p property) readUnion(path string, value any) (any, *setError) {
	written, ok := value.(map[string]any)
	if !ok {
		return nil, invalidPatch("Invalid value for object property", path)
	}
	kind, _ := written["@type"].(string)
	fields, known := p.variants[kind]
	if !known {
		return nil, invalidPatch("Missing or invalid '@type' property in object", path)
	}
	whole := map[string]any{"@type": kind}
	for name, field := range fields {
		whole[name] = field.start
	}
	for name, in := range written {
		if name == "@type" {
			continue
		}
		field, known := fields[name]
		if !known {
			return nil, invalidPatch("Invalid key for object", path)
		}
		read, refusal := field.read(path+"/"+name, in)
		if refusal != nil {
			return nil, refusal
		}
		whole[name] = read
	}
	return whole, nil
}
