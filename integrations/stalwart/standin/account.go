package standin

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// recordedPermissions are the names of the live server's permissions.
//
//go:embed permissions.json
var recordedPermissions []byte

func permissions() []string {
	var all []string
	if err := json.Unmarshal(recordedPermissions, &all); err != nil {
		return nil // the file is a part of this program
	}
	return all
}

// accountKind are mailboxes, and groups that share one.
func accountKind() kind {
	manual := map[string]property{}
	permission := membersOf(permissions())
	chosen := map[string]property{
		"enabledPermissions":  {shape: set, start: map[string]any{}, members: permission},
		"disabledPermissions": {shape: set, start: map[string]any{}, members: permission},
	}
	custom := map[string]property{"roleIds": {shape: set, start: map[string]any{}, to: "Role"}}
	both := map[string]property{
		"permissions": {shape: union, start: map[string]any{"@type": "Inherit"}, variants: map[string]map[string]property{
			"Inherit": manual, "Merge": chosen, "Replace": chosen,
		}},
		"quotas": {shape: numbers, start: map[string]any{}, members: membersOf([]string{
			"maxDiskQuota", "maxEmails", "maxMailboxes", "maxEmailSubmissions", "maxEmailIdentities", "maxSieveScripts",
			"maxCalendars", "maxAddressBooks", "maxFiles", "maxAppPasswords", "maxApiKeys",
		})},
		"locale":        {start: "en_US"},
		"timeZone":      {nullable: true},
		"usedDiskQuota": {serverSet: true},
	}
	maps.Copy(both, addressed())
	user, group := maps.Clone(both), both
	user["credentials"] = property{shape: list, start: map[string]any{}, variants: credentialTypes()}
	user["memberGroupIds"] = property{shape: set, start: map[string]any{}, to: "Account", group: true}
	user["roles"] = property{shape: union, start: map[string]any{"@type": "User"}, variants: map[string]map[string]property{
		"User": manual, "Admin": manual, "Custom": custom,
	}}
	user["encryptionAtRest"] = property{shape: union, start: map[string]any{"@type": "Disabled"}, variants: map[string]map[string]property{"Disabled": manual}}
	group["roles"] = property{shape: union, start: map[string]any{"@type": "Default"}, variants: map[string]map[string]property{
		"Default": manual, "Custom": custom,
	}}
	return kind{
		name:       "Account",
		sequential: true,
		filters:    []string{"domainId", "name", "@type", "memberGroupIds", "memberTenantId", "text"},
		sorts:      []string{"id", "name", "domainId", "@type"},
		variants:   map[string]map[string]property{"User": user, "Group": group},
	}
}

// listKind are mailing lists.
func listKind() kind {
	properties := addressed()
	delete(properties, "createdAt") // lists do not say it
	properties["recipients"] = property{shape: set, start: map[string]any{}}
	return kind{
		name:       "MailingList",
		sequential: true,
		filters:    []string{"text", "memberTenantId"},
		sorts:      []string{"id", "name"},
		properties: properties,
	}
}

// addressed are the properties of everything that has an address.
func addressed() map[string]property {
	local := property{required: true, normal: normalLocal, problem: "Invalid email local part"}
	return map[string]property{
		"name":        local,
		"domainId":    {shape: reference, to: "Domain", required: true},
		"description": {nullable: true},
		"aliases": {shape: list, start: map[string]any{}, fields: map[string]property{
			"enabled":     {shape: boolean, start: true},
			"name":        local,
			"domainId":    {shape: reference, to: "Domain", required: true},
			"description": {nullable: true},
		}},
		"memberTenantId": {shape: reference, to: "Tenant", nullable: true},
		"createdAt":      {serverSet: true},
		"emailAddress":   {serverSet: true},
	}
}

// normalLocal is the part of an address before the @.
func normalLocal(name string) (string, bool) {
	name = strings.ToLower(strings.ReplaceAll(name, " ", ""))
	bad := name == "" || len(name) > 64 || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.ContainsAny(name, "@\"\\<>()[],;:\t\r\n")
	return name, !bad
}

// addressKey is an address as the server keeps it unique: no two objects of
// any kind share one.
func addressKey(name, domain any) string { return fmt.Sprintf("%v@%v", name, domain) }

// addressKeys are all addresses of an account or a list.
func addressKeys(o object) []string {
	keys := []string{addressKey(o["name"], o["domainId"])}
	for _, alias := range elements(o["aliases"]) {
		keys = append(keys, addressKey(alias["name"], alias["domainId"]))
	}
	return keys
}

// elements are a list's, in their order.
func elements(value any) []map[string]any {
	whole, _ := value.(map[string]any)
	all := make([]map[string]any, 0, len(whole))
	for _, key := range indexes(whole) {
		if element, ok := whole[key].(map[string]any); ok {
			all = append(all, element)
		}
	}
	return all
}

// checkAddresses refuses an address that somebody else has.
func (s *Server) checkAddresses(k kind, id uint64, o object) *setError {
	ours := objectID{k.name, idText(id)}
	for _, key := range addressKeys(o) {
		if holder, taken := s.addresses[key]; taken && holder != ours {
			return &setError{Type: "primaryKeyViolation", Properties: []string{"email"}, ObjectID: &holder}
		}
	}
	return nil
}

// hold and release keep the index of addresses.
func (s *Server) hold(kind string, id uint64, o object) {
	if kind != "Account" && kind != "MailingList" {
		return
	}
	for _, key := range addressKeys(o) {
		s.addresses[key] = objectID{kind, idText(id)}
	}
}

func (s *Server) release(kind string, o object) {
	if kind != "Account" && kind != "MailingList" || o == nil {
		return
	}
	for _, key := range addressKeys(o) {
		delete(s.addresses, key)
	}
}

// address is an object's own, or an alias's.
func (s *Server) address(o map[string]any) string {
	text, _ := o["domainId"].(string)
	id, _ := parseID(text)
	return fmt.Sprintf("%v@%v", o["name"], s.state.Objects["Domain"][id]["name"])
}

// accountAt is the account that an address or an alias belongs to. Without a
// domain the address is in the default one.
func (s *Server) accountAt(address string) (uint64, bool) {
	local, name, _ := strings.Cut(strings.ToLower(address), "@")
	for _, id := range s.state.Objects["Domain"].ids() {
		isDefault := name == "" && s.state.Objects["SystemSettings"][0]["defaultDomainId"] == idText(id)
		if s.state.Objects["Domain"][id]["name"] != name && !isDefault {
			continue
		}
		holder, ok := s.addresses[addressKey(local, idText(id))]
		account, _ := parseID(holder.ID)
		return account, ok && holder.Object == "Account"
	}
	return 0, false
}

// may says whether an account has a permission. Of roles it knows that every
// one may sign in, send and receive, and that an administrator may do all.
func may(o object, permission string) bool {
	chosen, _ := o["permissions"].(map[string]any)
	disabled, _ := chosen["disabledPermissions"].(map[string]any)
	enabled, _ := chosen["enabledPermissions"].(map[string]any)
	roles, _ := o["roles"].(map[string]any)
	byRole := chosen["@type"] != "Replace" && (roles["@type"] == "Admin" ||
		slices.Contains([]string{"authenticate", "authenticateWithAlias", "imapAuthenticate", "emailReceive", "emailSend"}, permission))
	return disabled[permission] == nil && (byRole || enabled[permission] != nil)
}
