package standin

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// What a provider is made with, as a fresh Authentik brings it.
const (
	authorizationFlow = "default-provider-authorization-implicit-consent"
	explicitFlow      = "default-provider-authorization-explicit-consent"
	invalidationFlow  = "default-provider-invalidation-flow"
	managedMapping    = "goauthentik.io/providers/oauth2/scope-"
	managedKey        = "goauthentik.io/crypto/jwt-managed"
)

// mappedScopes are the scopes with a mapping.
var mappedScopes = []string{"openid", "email", "profile", offlineAccess}

// pkOf is a pk that is the same in every stand-in.
func pkOf(what string) string {
	hash := sha256.Sum256([]byte("dezky development " + what))
	return formatUUID([16]byte(hash[:16]), 8)
}

func flowPK(slug string) string { return pkOf("flow " + slug) }

func mappingPK(scope string) string { return pkOf("mapping " + scope) }

func allMappings() []string {
	var all []string
	for _, scope := range mappedScopes {
		all = append(all, mappingPK(scope))
	}
	return all
}

func (s *Server) listFlows(r *http.Request) reply {
	set, refusal := filters(r, "slug designation", "denied_action flow_uuid name search")
	if refusal != nil {
		return *refusal
	}
	var rows []any
	for _, flow := range [][2]string{
		{"default-authentication-flow", "authentication"}, {"default-invalidation-flow", "invalidation"},
		{explicitFlow, "authorization"}, {authorizationFlow, "authorization"}, {invalidationFlow, "invalidation"},
	} {
		if matches(set["slug"], flow[0]) && matches(set["designation"], flow[1]) {
			rows = append(rows, showFlow(flow[0], flow[1]))
		}
	}
	return paged(r, rows)
}

func showFlow(slug, designation string) map[string]any {
	pk := flowPK(slug)
	return map[string]any{
		"pk": pk, "policybindingmodel_ptr_id": pk, "name": slug, "slug": slug, "title": slug, "designation": designation,
		"background": "", "background_url": "", "background_themed_urls": nil, "stages": []any{}, "policies": []any{}, "cache_count": 0,
		"policy_engine_mode": "any", "compatibility_mode": false, "export_url": "", "layout": "stacked",
		"denied_action": "message_continue", "authentication": "none",
	}
}

func (s *Server) listKeyPairs(r *http.Request) reply {
	set, refusal := filters(r, "name managed has_key", "key_type ordering search")
	if refusal != nil {
		return *refusal
	}
	const name = "authentik Internal JWT Certificate"
	hasKey, err := strconv.ParseBool(set["has_key"])
	var rows []any
	if matches(set["name"], name) && matches(set["managed"], managedKey) && (err != nil || hasKey) {
		pk := pkOf("key pair")
		rows = append(rows, map[string]any{
			"pk": pk, "name": name, "managed": managedKey, "private_key_available": true, "key_type": "ec",
			"fingerprint_sha256": nil, "fingerprint_sha1": nil, "cert_expiry": nil, "cert_subject": nil,
			"certificate_download_url": "", "private_key_download_url": "",
		})
	}
	return paged(r, rows)
}

// listScopeMappings takes several managed names, and refuses one that nothing
// has.
func (s *Server) listScopeMappings(r *http.Request) reply {
	if _, refusal := filters(r, "", "managed__isnull name ordering scope_name search"); refusal != nil {
		return *refusal
	}
	asked := slices.DeleteFunc(slices.Clone(r.URL.Query()["managed"]), func(name string) bool { return name == "" })
	var rows []any
	known := []string{}
	for _, scope := range mappedScopes {
		managed := managedMapping + scope
		known = append(known, managed)
		if len(asked) > 0 && !slices.Contains(asked, managed) {
			continue
		}
		rows = append(rows, map[string]any{
			"pk": mappingPK(scope), "managed": managed, "name": "authentik default OAuth Mapping: OpenID '" + scope + "'",
			"expression": "return {}", "component": "ak-property-mapping-provider-scope-form", "scope_name": scope, "description": "",
			"verbose_name": "Scope Mapping", "verbose_name_plural": "Scope Mappings",
			"meta_model_name": "authentik_providers_oauth2.scopemapping",
		})
	}
	for _, name := range asked {
		if !slices.Contains(known, name) {
			return reply{http.StatusBadRequest, map[string][]string{
				"managed": {fmt.Sprintf("Select a valid choice. %s is not one of the available choices.", name)},
			}}
		}
	}
	return paged(r, rows)
}
