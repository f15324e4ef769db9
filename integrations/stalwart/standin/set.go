package standin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// setError says why one object was not set.
type setError struct {
	Type             string            `json:"type"`
	Description      string            `json:"description,omitempty"`
	Properties       []string          `json:"properties,omitempty"`
	ObjectID         *objectID         `json:"objectId,omitempty"`
	LinkedObjects    []objectID        `json:"linkedObjects,omitempty"`
	ValidationErrors []validationError `json:"validationErrors,omitempty"`
}

type objectID struct {
	Object string `json:"object"`
	ID     string `json:"id"`
}

type validationError struct {
	Type     string `json:"type"`
	Property string `json:"property"`
}

func invalidPatch(description, path string) *setError {
	return &setError{Type: "invalidPatch", Description: description, Properties: []string{path}}
}

// setAnswer leaves out what is empty, as the server does. It has no states.
type setAnswer struct {
	AccountID    string               `json:"accountId"`
	Created      map[string]any       `json:"created,omitempty"`
	Updated      map[string]any       `json:"updated,omitempty"`
	Destroyed    []string             `json:"destroyed,omitempty"`
	NotCreated   map[string]*setError `json:"notCreated,omitempty"`
	NotUpdated   map[string]*setError `json:"notUpdated,omitempty"`
	NotDestroyed map[string]*setError `json:"notDestroyed,omitempty"`
}

func newSetAnswer(account string) *setAnswer {
	return &setAnswer{
		AccountID: account,
		Created:   map[string]any{}, Updated: map[string]any{},
		NotCreated: map[string]*setError{}, NotUpdated: map[string]*setError{}, NotDestroyed: map[string]*setError{},
	}
}

// set creates, updates and destroys, in this order. It is not atomic: what was
// done before a failure stays done.
func (q *request) set(k kind, account string, args map[string]json.RawMessage) (any, error) {
	var create, update map[string]map[string]any
	var destroy []string
	if _, err := argument(args, "create", "a map", &create); err != nil {
		return nil, err
	}
	if _, err := argument(args, "update", "a map", &update); err != nil {
		return nil, err
	}
	if _, err := argument(args, "destroy", "a sequence", &destroy); err != nil {
		return nil, err
	}
	if len(create)+len(update)+len(destroy) > maxSet {
		return nil, &methodError{"requestTooLarge", "The number of ids requested by the client exceeds the maximum number the server is willing to process in a single method call."}
	}
	answer := newSetAnswer(account)
	for _, creation := range slices.Sorted(maps.Keys(create)) {
		if err := q.resolveCreations(k, creation, create[creation]); err != nil {
			return nil, err
		}
		id, refusal := q.server.create(k, create[creation])
		if refusal != nil {
			answer.NotCreated[creation] = refusal
			continue
		}
		q.created[creation] = id
		answer.Created[creation] = map[string]string{"id": id}
	}
	for _, key := range slices.Sorted(maps.Keys(update)) {
		if err := q.update(k, key, update[key], slices.Contains(destroy, key), answer); err != nil {
			return nil, err
		}
	}
	return answer, q.destroy(k, destroy, answer)
}

func (q *request) update(k kind, key string, patch map[string]any, willDestroy bool, answer *setAnswer) error {
	text, err := q.creationID(key)
	if err != nil {
		return err
	}
	id, ok := k.parse(text)
	if !ok {
		return nil // no word about it, as live
	}
	if err := q.resolveCreations(k, text, patch); err != nil {
		return err
	}
	if willDestroy {
		answer.NotUpdated[text] = &setError{Type: "willDestroy"}
	} else if refusal := q.server.update(k, id, patch); refusal != nil {
		answer.NotUpdated[text] = refusal
	} else {
		answer.Updated[text] = nil
	}
	return nil
}

func (q *request) destroy(k kind, keys []string, answer *setAnswer) error {
	for _, key := range keys {
		text, err := q.creationID(key)
		if err != nil {
			return err
		}
		id, ok := k.parse(text)
		if !ok {
			continue // no word about it, as live
		}
		if refusal := q.server.destroy(k, id); refusal != nil {
			answer.NotDestroyed[text] = refusal
		} else {
			answer.Destroyed = append(answer.Destroyed, text)
		}
	}
	return nil
}

// creationID is what #name stands for.
func (q *request) creationID(text string) (string, error) {
	name, isReference := strings.CutPrefix(text, "#")
	if !isReference {
		return text, nil
	}
	id, ok := q.created[name]
	if !ok {
		return "", &methodError{"invalidResultReference", fmt.Sprintf("Id reference %q not found.", name)}
	}
	return id, nil
}

// parse reads the id of an object of a kind.
func (k kind) parse(text string) (uint64, bool) {
	if k.singleton {
		return 0, text == "singleton"
	}
	return parseID(text)
}

// resolveCreations replaces each #name where an id belongs. One that is not
// known fails the call.
func (q *request) resolveCreations(k kind, from string, values map[string]any) error {
	for path, value := range values {
		name, _, _ := strings.Cut(path, "/")
		p, _ := k.find(name)
		resolved, err := q.resolveValue(p, from, value)
		if err != nil {
			return err
		}
		values[path] = resolved
	}
	return nil
}

func (q *request) resolveValue(p property, from string, value any) (any, error) {
	switch value := value.(type) {
	case string:
		name, isReference := strings.CutPrefix(value, "#")
		if !isReference || p.shape != reference {
			return value, nil
		}
		id, ok := q.created[name]
		if !ok {
			return nil, &methodError{"invalidResultReference", fmt.Sprintf("Invalid reference to non-existing object %q from %q", name, from)}
		}
		return id, nil
	case map[string]any:
		resolved := map[string]any{}
		for key, in := range value {
			inner := property{}
			switch {
			case p.shape == set && p.to != "" && strings.HasPrefix(key, "#"):
				id, err := q.resolveValue(property{shape: reference}, from, key)
				if err != nil {
					return nil, err
				}
				key = id.(string)
			case p.shape == list && p.fields != nil && key != "@type":
				inner = property{shape: union, variants: map[string]map[string]property{"": p.fields}}
			case p.shape == union:
				inner = p.inner(value)[key]
			}
			read, err := q.resolveValue(inner, from, in)
			if err != nil {
				return nil, err
			}
			resolved[key] = read
		}
		return resolved, nil
	}
	return value, nil
}

func (s *Server) create(k kind, values map[string]any) (string, *setError) {
	if k.singleton || slices.Contains(k.fixed, "create") {
		return "", &setError{Type: "forbidden", Description: "This server makes no " + k.name}
	}
	made := object{}
	if k.variants != nil {
		made["@type"] = values["@type"]
		if k.of(made) == nil {
			return "", invalidPatch("Missing or invalid '@type' property in object", "")
		}
	}
	for name, p := range k.of(made) {
		if !p.serverSet {
			made[name] = p.start
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name == "@type" && k.variants != nil {
			continue
		}
		if _, known := k.find(name); !known {
			return "", invalidPatch("Invalid key for object", "")
		}
		if refusal := k.patch(made, name, values[name]); refusal != nil {
			return "", refusal
		}
	}
	if k.of(made)["createdAt"].serverSet {
		made["createdAt"] = s.options.Clock.Now().UTC().Format(time.RFC3339)
	}
	k.renumber(made)
	if refusal := s.check(k, 0, nil, made); refusal != nil {
		return "", refusal
	}
	id := s.nextID(k)
	s.put(k.name, id, made)
	if k.name == "Domain" {
		s.plantKeys(idText(id), made)
	}
	return idText(id), nil
}

// nextID counts, since ids are never used again.
func (s *Server) nextID(k kind) uint64 {
	if k.name == "Domain" {
		s.state.LastDomain++
		return s.state.LastDomain
	}
	s.state.Last[k.name]++
	return s.state.Last[k.name]
}

func (s *Server) update(k kind, id uint64, patch map[string]any) *setError {
	old, ok := s.state.Objects[k.name][id]
	if !ok {
		return &setError{Type: "notFound"}
	}
	if slices.Contains(k.fixed, "update") {
		return &setError{Type: "forbidden", Description: "This server leaves every " + k.name + " as it is"}
	}
	changed := maps.Clone(old)
	for _, path := range slices.Sorted(maps.Keys(patch)) {
		if path == "@type" && k.variants != nil {
			if patch[path] != old[path] {
				return &setError{Type: "invalidProperties", Description: "The type of an account cannot be changed.", Properties: []string{"@type"}}
			}
			continue
		}
		if refusal := k.patch(changed, path, patch[path]); refusal != nil {
			return refusal
		}
	}
	k.renumber(changed)
	if refusal := s.check(k, id, old, changed); refusal != nil {
		return refusal
	}
	s.put(k.name, id, changed)
	if k.name == "Domain" {
		s.plantKeys(idText(id), changed)
	}
	return nil
}

func (s *Server) destroy(k kind, id uint64) *setError {
	held, ok := s.state.Objects[k.name][id]
	switch {
	case k.singleton:
		return &setError{Type: "singleton"}
	case !ok:
		return &setError{Type: "notFound"}
	case slices.Contains(k.fixed, "destroy"):
		return &setError{Type: "forbidden", Description: "This server keeps every " + k.name}
	}
	if holders := s.holders(k.name, id); len(holders) > 0 {
		return &setError{Type: "objectIsLinked", ObjectID: &objectID{k.name, idText(id)}, LinkedObjects: holders}
	}
	s.release(k.name, held)
	delete(s.state.Objects[k.name], id)
	if k.name == "Account" {
		delete(s.state.Used, idText(id))
	}
	s.changed = true
	return nil
}

// holders are all objects that refer to one. Nothing is destroyed along with
// anything.
func (s *Server) holders(name string, id uint64) []objectID {
	var all []objectID
	for _, k := range s.kinds {
		for _, other := range s.state.Objects[k.name].ids() {
			o := s.state.Objects[k.name][other]
			if !slices.ContainsFunc(links(k.of(o), o), func(l link) bool {
				theirs, ok := parseID(l.id)
				return ok && l.to == name && theirs == id
			}) {
				continue
			}
			holder := objectID{k.name, idText(other)}
			if k.singleton {
				holder.ID = "singleton"
			}
			all = append(all, holder)
		}
	}
	return all
}

func (s *Server) put(kind string, id uint64, o object) {
	s.release(kind, s.state.Objects[kind][id])
	s.state.Objects[kind][id] = o
	s.hold(kind, id, o)
	s.changed = true
}

// check is what has to hold for an object as a whole. An id of 0 is a new one,
// and old is nil then.
func (s *Server) check(k kind, id uint64, old, o object) *setError {
	properties := k.of(o)
	if name := missing(properties, o); name != "" {
		return &setError{Type: "validationFailed", ValidationErrors: []validationError{{"Required", name}}}
	}
	for _, l := range links(properties, o) {
		theirs, _ := parseID(l.id)
		there, ok := s.state.Objects[l.to][theirs]
		if !ok || l.group && there["@type"] != "Group" {
			return &setError{Type: "invalidForeignKey", ObjectID: &objectID{l.to, l.id}}
		}
	}
	switch k.name {
	case "Domain":
		return s.checkNames(id, o)
	case "Account", "MailingList":
		if refusal := checkCredentials(old, o); refusal != nil {
			return refusal
		}
		return s.checkAddresses(k, id, o)
	}
	return nil
}

// missing is a required property without a value, or "".
func missing(properties map[string]property, o map[string]any) string {
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		p, value := properties[name], o[name]
		inside := ""
		switch {
		case p.required && value == nil:
			return name
		case p.shape == union:
			whole, _ := value.(map[string]any)
			inside = missing(p.inner(whole), whole)
		case p.shape == list:
			for _, element := range elements(value) {
				inside = cmp.Or(inside, missing(p.inner(element), element))
			}
		}
		if inside != "" {
			return inside
		}
	}
	return ""
}
