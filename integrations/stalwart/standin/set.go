package standin

import (
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
	answer := &setAnswer{
		AccountID: account,
		Created:   map[string]any{}, Updated: map[string]any{},
		NotCreated: map[string]*setError{}, NotUpdated: map[string]*setError{}, NotDestroyed: map[string]*setError{},
	}
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
	id, ok := parseID(text)
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
		id, ok := parseID(text)
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

// resolveCreations replaces each #name in a property that holds an id. One that
// is not known fails the call.
func (q *request) resolveCreations(k kind, from string, values map[string]any) error {
	for key, value := range values {
		text, isText := value.(string)
		name, isReference := strings.CutPrefix(text, "#")
		if !isText || !isReference || k.properties[key].shape != reference {
			continue
		}
		id, ok := q.created[name]
		if !ok {
			return &methodError{"invalidResultReference", fmt.Sprintf("Invalid reference to non-existing object %q from %q", name, from)}
		}
		values[key] = id
	}
	return nil
}

func (s *Server) create(k kind, values map[string]any) (string, *setError) {
	if k.name != "Domain" {
		return "", &setError{Type: "forbidden", Description: "This server makes keys by itself only"}
	}
	made := object{}
	for name, p := range k.properties {
		if !p.serverSet {
			made[name] = p.start
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, known := k.properties[name]; !known {
			return "", invalidPatch("Invalid key for object", "")
		}
		if refusal := k.patch(made, name, values[name]); refusal != nil {
			return "", refusal
		}
	}
	now := s.options.Clock.Now().UTC()
	made["createdAt"] = now.Format(time.RFC3339)
	if refusal := s.check(k, 0, made); refusal != nil {
		return "", refusal
	}
	s.state.LastDomain++
	id := s.state.LastDomain
	s.put(k.name, id, made)
	s.plantKeys(idText(id), made)
	return idText(id), nil
}

func (s *Server) update(k kind, id uint64, patch map[string]any) *setError {
	old, ok := s.state.Objects[k.name][id]
	if !ok {
		return &setError{Type: "notFound"}
	}
	if k.name != "Domain" {
		return &setError{Type: "forbidden", Description: "This server leaves keys as they are"}
	}
	changed := maps.Clone(old)
	for _, path := range slices.Sorted(maps.Keys(patch)) {
		if refusal := k.patch(changed, path, patch[path]); refusal != nil {
			return refusal
		}
	}
	if refusal := s.check(k, id, changed); refusal != nil {
		return refusal
	}
	s.put(k.name, id, changed)
	s.plantKeys(idText(id), changed)
	return nil
}

func (s *Server) destroy(k kind, id uint64) *setError {
	if _, ok := s.state.Objects[k.name][id]; !ok {
		return &setError{Type: "notFound"}
	}
	if k.name == "Domain" {
		var linked []objectID
		for _, key := range s.keysOf(idText(id)) {
			linked = append(linked, objectID{"DkimSignature", idText(key)})
		}
		if len(linked) > 0 {
			return &setError{Type: "objectIsLinked", ObjectID: &objectID{"Domain", idText(id)}, LinkedObjects: linked}
		}
	}
	delete(s.state.Objects[k.name], id)
	s.changed = true
	return nil
}

func (s *Server) put(kind string, id uint64, o object) {
	s.state.Objects[kind][id] = o
	s.changed = true
}

// check is what has to hold for an object as a whole. An id of 0 is a new one.
func (s *Server) check(k kind, id uint64, o object) *setError {
	if refusal := s.checkProperties(k.properties, o); refusal != nil {
		return refusal
	}
	names := map[string]string{o["name"].(string): "name"}
	for alias := range o["aliases"].(map[string]any) {
		names[alias] = "aliases"
	}
	for _, other := range s.state.Objects[k.name].ids() {
		if other == id {
			continue
		}
		held := s.state.Objects[k.name][other]
		theirs := append(slices.Sorted(maps.Keys(held["aliases"].(map[string]any))), held["name"].(string))
		for _, name := range theirs {
			if property, taken := names[name]; taken {
				return &setError{Type: "primaryKeyViolation", Properties: []string{property}, ObjectID: &objectID{k.name, idText(other)}}
			}
		}
	}
	return nil
}

func (s *Server) checkProperties(properties map[string]property, o map[string]any) *setError {
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		p, value := properties[name], o[name]
		switch {
		case p.required && value == nil:
			return &setError{Type: "validationFailed", ValidationErrors: []validationError{{"Required", name}}}
		case p.shape == reference && value != nil:
			id, _ := parseID(value.(string))
			if _, ok := s.state.Objects[p.to][id]; !ok {
				return &setError{Type: "invalidForeignKey", ObjectID: &objectID{p.to, value.(string)}}
			}
		case p.shape == union:
			inner := value.(map[string]any)
			if refusal := s.checkProperties(p.variants[inner["@type"].(string)], inner); refusal != nil {
				return refusal
			}
		}
	}
	return nil
}
