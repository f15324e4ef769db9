package standin

import (
	"maps"
	"slices"
)

func domainKind() kind {
	manual := map[string]property{}
	return kind{
		name:       "Domain",
		sequential: true,
		filters:    []string{"name", "aliases", "text", "memberTenantId"},
		sorts:      []string{"id", "name"},
		properties: map[string]property{
			"name":        {required: true, normal: normalDomain, problem: "Invalid domain name"},
			"aliases":     {shape: set, start: map[string]any{}},
			"isEnabled":   {shape: boolean, start: true},
			"createdAt":   {serverSet: true},
			"description": {nullable: true},
			"logo":        {nullable: true},
			"certificateManagement": {shape: union, start: map[string]any{"@type": "Manual"}, variants: map[string]map[string]property{
				"Manual": manual,
				"Automatic": {
					"acmeProviderId":          {shape: reference, to: "AcmeProvider", required: true},
					"subjectAlternativeNames": {shape: set, start: map[string]any{}},
				},
			}},
			"dkimManagement": {shape: union, start: automaticKeys(), variants: map[string]map[string]property{
				"Manual": manual,
				"Automatic": {
					"algorithms":       {shape: set, start: automaticKeys()["algorithms"], members: membersOf(keyTypes())},
					"selectorTemplate": {start: automaticKeys()["selectorTemplate"]},
					"rotateAfter":      {shape: number, start: automaticKeys()["rotateAfter"]},
					"retireAfter":      {shape: number, start: automaticKeys()["retireAfter"]},
					"deleteAfter":      {shape: number, start: automaticKeys()["deleteAfter"]},
				},
			}},
			"dnsManagement": {shape: union, start: map[string]any{"@type": "Manual"}, variants: map[string]map[string]property{
				"Manual": manual,
				"Automatic": {
					"dnsServerId":    {shape: reference, to: "DnsServer", required: true},
					"origin":         {nullable: true},
					"publishRecords": {shape: set, start: map[string]any{}},
				},
			}},
			"memberTenantId":  {shape: reference, to: "Tenant", nullable: true},
			"directoryId":     {shape: reference, to: "Directory", nullable: true},
			"catchAllAddress": {nullable: true, normal: normalAddress, problem: "Invalid email address"},
			"subAddressing": {shape: union, start: map[string]any{"@type": "Enabled"}, variants: map[string]map[string]property{
				"Enabled": manual, "Disabled": manual,
			}},
			"allowRelaying":    {shape: boolean, start: false},
			"reportAddressUri": {nullable: true, start: "mailto:postmaster"},
			"dnsZoneFile":      {serverSet: true},
		},
	}
}

// automaticKeys are the defaults of automatic DKIM.
func automaticKeys() map[string]any {
	return map[string]any{
		"@type":            "Automatic",
		"algorithms":       map[string]any{"Dkim1Ed25519Sha256": true, "Dkim1RsaSha256": true},
		"selectorTemplate": "v{version}-{algorithm}-{date-%Y%m%d}",
		"rotateAfter":      7776000000.0,
		"retireAfter":      604800000.0,
		"deleteAfter":      2592000000.0,
	}
}

// keyTypes are the algorithms in which this server makes keys; the live one has
// two more.
func keyTypes() []string { return []string{"Dkim1Ed25519Sha256", "Dkim1RsaSha256"} }

func membersOf(names []string) map[string]bool {
	members := map[string]bool{}
	for _, name := range names {
		members[name] = true
	}
	return members
}

// checkNames keeps domains' names and aliases apart.
func (s *Server) checkNames(id uint64, o object) *setError {
	names := map[string]string{o["name"].(string): "name"}
	for alias := range o["aliases"].(map[string]any) {
		names[alias] = "aliases"
	}
	domains := s.state.Objects["Domain"]
	for _, other := range domains.ids() {
		if other == id {
			continue
		}
		held := domains[other]
		theirs := append(slices.Sorted(maps.Keys(held["aliases"].(map[string]any))), held["name"].(string))
		for _, name := range theirs {
			if property, taken := names[name]; taken {
				return &setError{Type: "primaryKeyViolation", Properties: []string{property}, ObjectID: &objectID{"Domain", idText(other)}}
			}
		}
	}
	return nil
}
