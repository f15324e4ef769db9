package standin

import (
	"encoding/json"
	"maps"
	"slices"
)

// get reads objects by their ids, or the first 500 of them.
func (q *request) get(k kind, account string, args map[string]json.RawMessage) (any, error) {
	var ids, properties []string
	someIDs, err := argument(args, "ids", "a sequence", &ids)
	if err != nil {
		return nil, err
	}
	chosen, err := argument(args, "properties", "a sequence", &properties)
	if err != nil {
		return nil, err
	}
	objects := q.server.state.Objects[k.name]
	if !someIDs {
		for _, id := range objects.ids() {
			ids = append(ids, k.text(id))
		}
		ids = ids[:min(len(ids), maxGet)]
	}
	if len(ids) > maxGet {
		return nil, &methodError{"requestTooLarge", "The number of ids requested by the client exceeds the maximum number the server is willing to process in a single method call."}
	}
	list, notFound := []any{}, []string{}
	for _, text := range ids {
		id, ok := k.parse(text)
		o, found := objects[id]
		if !ok || !found {
			notFound = append(notFound, text)
			continue
		}
		shown := object{"id": k.text(id)}
		for name, value := range q.server.whole(k, id, o) {
			if !chosen || slices.Contains(properties, name) {
				shown[name] = value
			}
		}
		if k.name == "Domain" && (!chosen || slices.Contains(properties, "dnsZoneFile")) {
			shown["dnsZoneFile"] = q.server.zone(idText(id), o)
		}
		list = append(list, shown)
	}
	return map[string]any{"accountId": account, "list": list, "notFound": notFound}, nil
}

// text writes the id of an object of a kind.
func (k kind) text(id uint64) string {
	if k.singleton {
		return "singleton"
	}
	return idText(id)
}

// whole is an object with what the server works out, and without its secrets.
func (s *Server) whole(k kind, id uint64, o object) object {
	if k.name != "Account" && k.name != "MailingList" {
		return o
	}
	shown := maps.Clone(o)
	shown["emailAddress"] = s.address(o)
	if k.name == "Account" {
		shown["usedDiskQuota"] = s.state.Used[idText(id)]
	}
	if held, ok := o["credentials"].(map[string]any); ok {
		credentials := map[string]any{}
		for key, c := range held {
			credential := maps.Clone(c.(map[string]any))
			credential["secret"] = masked
			credentials[key] = credential
		}
		shown["credentials"] = credentials
	}
	return shown
}
