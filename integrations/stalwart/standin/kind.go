package standin

import (
	"maps"
	"slices"
)

// object is one object's properties but for its id, as JSON has them.
type object map[string]any

// table is all objects of a kind by id.
type table map[uint64]object

func (t table) ids() []uint64 { return slices.Sorted(maps.Keys(t)) }

// kind is what the server knows of one kind of object.
type kind struct {
	name string
	// properties are those of every object, or, of a kind that has variants, those
	// by the object's @type.
	properties map[string]property
	variants   map[string]map[string]property
	// filters and sorts are the properties that have an index.
	filters []string
	sorts   []string
	// singleton kinds have one object, which can be neither made nor destroyed.
	singleton bool
	// sequential ids are 1, 2, 3; all others are times.
	sequential bool
	// fixed says which operations of a set this server does not play.
	fixed []string
}

// of are the properties that an object may have.
func (k kind) of(o object) map[string]property {
	if k.variants == nil {
		return k.properties
	}
	name, _ := o["@type"].(string)
	return k.variants[name]
}

// find is a property of any variant.
func (k kind) find(name string) (property, bool) {
	if p, ok := k.properties[name]; ok {
		return p, true
	}
	for _, properties := range k.variants {
		if p, ok := properties[name]; ok {
			return p, true
		}
	}
	return property{}, name == "@type" && k.variants != nil
}

// shape is what a value looks like.
type shape int

const (
	text shape = iota
	boolean
	number
	set     // {"value": true}
	numbers // {"key": 1}
	union
	list      // {"0": {…}, "1": {…}}
	reference // the id of an object
	opaque    // what this server only shows
)

// property says what may be in a property. The zero one is a text that may not
// be null.
type property struct {
	shape shape
	// serverSet ones cannot be written.
	serverSet bool
	required  bool
	nullable  bool
	start     any
	// normal checks and mends a text; problem is what is said about a bad one.
	normal  func(string) (string, bool)
	problem string
	// members are the only values that a set, or keys that numbers, may have, if
	// there are any.
	members map[string]bool
	// variants are a union's, or a list's elements', by @type; fields are those of
	// a list's elements that are no union.
	variants map[string]map[string]property
	fields   map[string]property
	// to is the kind that a reference, or each value of a set, refers to; group
	// says that it must be an account that is one.
	to    string
	group bool
}

// inner are the fields of a union's value or of a list's element.
func (p property) inner(value any) map[string]property {
	if p.fields != nil {
		return p.fields
	}
	whole, _ := value.(map[string]any)
	name, _ := whole["@type"].(string)
	return p.variants[name]
}

// link is one object that a value refers to.
type link struct {
	to, id string
	group  bool
}

// links are all objects that values refer to, in the order of their names.
func links(properties map[string]property, values map[string]any) []link {
	var all []link
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		all = append(all, properties[name].links(values[name])...)
	}
	return all
}

func (p property) links(value any) (all []link) {
	whole, _ := value.(map[string]any)
	switch p.shape {
	case reference:
		if id, ok := value.(string); ok && id != noID {
			all = append(all, link{p.to, id, p.group})
		}
	case set:
		for _, id := range slices.Sorted(maps.Keys(whole)) {
			if p.to != "" {
				all = append(all, link{p.to, id, p.group})
			}
		}
	case union:
		all = links(p.inner(whole), whole)
	case list:
		for _, key := range slices.Sorted(maps.Keys(whole)) {
			element, _ := whole[key].(map[string]any)
			all = append(all, links(p.inner(element), element)...)
		}
	}
	return all
}

// allKinds are what this server keeps, in the order in which it names holders.
func allKinds() []kind {
	return []kind{
		accountKind(), listKind(), domainKind(), keyKind(), taskKind(), roleKind(), tenantKind(), settingsKind(), imapKind(),
	}
}

func keyKind() kind {
	return kind{
		name: "DkimSignature", filters: []string{"domainId"}, sorts: []string{"id"}, fixed: []string{"create", "update"},
		properties: map[string]property{
			"domainId": {shape: reference, to: "Domain"},
			"selector": {}, "stage": {}, "createdAt": {serverSet: true}, "publicKey": {serverSet: true},
		},
	}
}

// taskKind is of what the server does by itself. That a task names a domain
// holds nobody.
func taskKind() kind {
	return kind{
		name: "Task", filters: []string{"@type", "status", "due"}, sorts: []string{"due"}, fixed: []string{"create", "update"},
		properties: map[string]property{"@type": {}, "status": {}, "due": {}, "domainId": {}},
	}
}

func roleKind() kind {
	return kind{
		name: "Role", sorts: []string{"id"}, sequential: true, fixed: []string{"create", "update", "destroy"},
		properties: map[string]property{"description": {}},
	}
}

func tenantKind() kind {
	return kind{
		name: "Tenant", filters: []string{"name"}, sorts: []string{"id"}, sequential: true, fixed: []string{"update"},
		properties: map[string]property{"name": {required: true}, "createdAt": {serverSet: true}},
	}
}
