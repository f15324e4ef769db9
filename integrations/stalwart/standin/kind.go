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
	name       string
	properties map[string]property
	// filters and sorts are the properties that have an index.
	filters []string
	sorts   []string
}

// shape is what a value looks like.
type shape int

const (
	text shape = iota
	boolean
	number
	set // {"value": true}
	union
	reference // the id of an object
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
	// members are the only values that a set may have, if there are any.
	members []string
	// variants are a union's, by @type.
	variants map[string]map[string]property
	// to is the kind that is referred to.
	to string
}

// kindOf knows what this server keeps.
func kindOf(name string) (kind, bool) {
	switch name {
	case "Domain":
		return domainKind(), true
	case "DkimSignature":
		return kind{name: name, properties: map[string]property{
			"domainId": {shape: reference, to: "Domain"},
			"selector": {}, "stage": {}, "createdAt": {serverSet: true}, "publicKey": {serverSet: true},
		}, filters: []string{"domainId"}, sorts: []string{"id"}}, true
	}
	return kind{}, false
}

func domainKind() kind {
	manual := map[string]property{}
	return kind{
		name:    "Domain",
		filters: []string{"name", "aliases", "text", "memberTenantId"},
		sorts:   []string{"id", "name"},
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
					"algorithms":       {shape: set, start: automaticKeys()["algorithms"], members: keyTypes()},
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
