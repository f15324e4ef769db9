package standin

import (
	"encoding/json"
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
			ids = append(ids, idText(id))
		}
		ids = ids[:min(len(ids), maxGet)]
	}
	if len(ids) > maxGet {
		return nil, &methodError{"requestTooLarge", "The number of ids requested by the client exceeds the maximum number the server is willing to process in a single method call."}
	}
	list, notFound := []any{}, []string{}
	for _, text := range ids {
		id, ok := parseID(text)
		o, found := objects[id]
		if !ok || !found {
			notFound = append(notFound, text)
			continue
		}
		shown := object{"id": idText(id)}
		for name, value := range o {
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
