package graph

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/dezky/platform/platform"
)

// price is what a field costs: so much itself, and its selection as often as it
// has entries.
type price struct {
	own int
	// length is how many entries a list has that nobody pages.
	length int
	// page is how many entries a paged list has when nobody says; 0 elsewhere.
	page int
	// flat fields cost the same whatever is selected of them.
	flat bool
}

// Prices of what the tables do not name.
const (
	fieldPrice    = 1
	mutationPrice = 50 // a transaction, with its audit event
	usualLength   = 10
)

// fieldPrices are those of fields that cost more than to write them down: a read
// of the store for each parent, or for the request.
func fieldPrices() map[string]int {
	return map[string]int{
		"Query.node":                           5,
		"Query.tenant":                         5,
		"Query.me":                             5,
		"Query.tenants":                        10,
		"Query.user":                           5,
		"Query.users":                          10,
		"Query.failedOperations":               10,
		"Subscription.provisioningStatus":      10,
		"Subscription.provisioningFeed":        10,
		"Subscription.memberStatus":            20,
		"Subscription.importStatus":            10,
		"Query.groups":                         10,
		"Query.invitations":                    10,
		"Query.imports":                        10,
		"Tenant.members":                       5,
		"Tenant.storage":                       50, // live, from outside
		"Member.storage":                       20,
		"Member.authenticators":                50, // two calls outside
		"Mutation.bulkCreateMembers":           4000,
		"Mutation.importMembers":               4000,
		"Group.members":                        5,
		"Import.rows":                          10,
		"GroupConnection.totalCount":           5,
		"InvitationConnection.totalCount":      5,
		"ImportConnection.totalCount":          5,
		"Tenant.auditEvents":                   10,
		"TenantConnection.totalCount":          5,
		"MemberConnection.totalCount":          5,
		"AuditEventConnection.totalCount":      5,
		"UserConnection.totalCount":            5,
		"FailedOperationConnection.totalCount": 5,
		"Query.__schema":                       2000,
		"Query.__type":                         500,
	}
}

// listLengths are how long lists without pages are taken to be.
func listLengths() map[string]int {
	return map[string]int{
		"Me.memberships":                   20,
		"AuditEvent.changes":               25, // that of an import has many
		"ProvisioningStatus.steps":         4,
		"FailedOperation.steps":            4,
		"SecurityPolicy.ipAllowlist":       20,
		"Group.members":                    50,
		"Import.rows":                      200,
		"ImportStartPayload.passwords":     200,
		"GroupPayload.userErrors":          2,
		"InvitationPayload.userErrors":     2,
		"InvitationCodePayload.userErrors": 2,
		"ImportPayload.userErrors":         2,
		"ImportStartPayload.userErrors":    2,
		"MemberPasswordPayload.userErrors": 2,
		"TenantPayload.userErrors":         2,
		"UserPayload.userErrors":           2,
		"MemberPayload.userErrors":         2,
		"ProvisioningPayload.userErrors":   2,
	}
}

// priceList prices every field of the schema.
func priceList(schema *ast.Schema) map[*ast.FieldDefinition]price {
	prices, lengths := fieldPrices(), listLengths()
	out := map[*ast.FieldDefinition]price{}
	for _, on := range schema.Types {
		for _, f := range on.Fields {
			name := on.Name + "." + f.Name
			p := price{own: fieldPrice, length: 1, flat: strings.HasPrefix(f.Name, "__")}
			if on == schema.Mutation {
				p.own = mutationPrice
			}
			if own := prices[name]; own > 0 {
				p.own = own
			}
			if first := f.Arguments.ForName("first"); first != nil {
				p.page = platform.DefaultPage
				if first.DefaultValue != nil {
					p.page = literalSize(first.DefaultValue)
				}
			}
			if f.Type.Elem != nil && !paged(on) {
				p.length = usualLength
				if length := lengths[name]; length > 0 {
					p.length = length
				}
			}
			out[f] = p
		}
	}
	return out
}

// paged says whether a type is a page of a list: its lists are as long as the
// field that has the page was asked for, which is counted there.
func paged(on *ast.Definition) bool { return strings.HasSuffix(on.Name, "Connection") }
