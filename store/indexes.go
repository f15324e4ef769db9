package store

// The collections.
const (
	addresses     = "addresses"
	attempts      = "attempts"
	audit         = "audit"
	events        = "events"
	groups        = "groups"
	importChunks  = "importChunks"
	imports       = "imports"
	invitations   = "invitations"
	members       = "members"
	partners      = "partners"
	provisioning  = "provisioning"
	sessions      = "sessions"
	subscriptions = "subscriptions"
	tenants       = "tenants"
	users         = "users"
)

// Collections are all that the store keeps and every index that a query of its
// leans on.
func Collections() []Collection {
	return []Collection{
		{Name: addresses, Indexes: []Index{{Name: "holder", Fields: []string{"holder"}}}},
		{Name: attempts, Indexes: []Index{{Name: "at", Fields: []string{"at"}}}},
		{Name: audit, Indexes: []Index{{Name: "log", Fields: []string{"tenantId", "at"}}}},
		{Name: events, Indexes: []Index{
			{Name: "sequence", Fields: []string{"subjectId", "sequence"}}, // unique by the id, which has both
			{Name: "at", Fields: []string{"at"}},
		}},
		{Name: groups, Indexes: []Index{
			{Name: "name", Fields: []string{"tenantId", "status", "sortName"}},
			{Name: "key", Fields: []string{"tenantId", "key"}, Unique: true}, // a deleted group has none
		}},
		{Name: importChunks},
		{Name: imports, Indexes: []Index{{Name: "newest", Fields: []string{"tenantId", "createdAt"}}}},
		{Name: invitations, Indexes: []Index{
			{Name: "email", Fields: []string{"email", "state"}},
			{Name: "code", Fields: []string{"code"}, Unique: true},
			{Name: "newest", Fields: []string{"tenantId", "state", "createdAt"}},
		}},
		{Name: members, Indexes: []Index{
			{Name: "user", Fields: []string{"userId", "tenantId"}, Unique: true},
			{Name: "joined", Fields: []string{"userId", "joinedAt"}},
			{Name: "tenant", Fields: []string{"tenantId", "joinedAt"}},
			{Name: "state", Fields: []string{"tenantId", "state"}},
			{Name: "all", Fields: []string{"tenantId"}},
		}},
		{Name: partners, Indexes: []Index{{Name: "slug", Fields: []string{"slug"}, Unique: true}}},
		{Name: provisioning, Indexes: []Index{
			// Owner first, or the work of others fills the page of what is due.
			{Name: "due", Fields: []string{"owner", "dueAt"}},
			{Name: "failing", Fields: []string{"failingSince"}},
			{Name: "open", Fields: []string{"open"}},
		}},
		{Name: sessions},
		{Name: subscriptions, Indexes: []Index{{Name: "tenant", Fields: []string{"tenantId"}, Unique: true}}},
		{Name: tenants, Indexes: []Index{
			{Name: "slug", Fields: []string{"slug"}, Unique: true},
			{Name: "name", Fields: []string{"sortName"}},
			{Name: "newest", Fields: []string{"createdAt"}},
			{Name: "statusName", Fields: []string{"status", "sortName"}},
			{Name: "statusNewest", Fields: []string{"status", "createdAt"}},
			{Name: "partnerName", Fields: []string{"partnerId", "sortName"}},
			{Name: "partnerNewest", Fields: []string{"partnerId", "createdAt"}},
			{Name: "words", Fields: []string{"name", "slug"}, Words: true, Scope: "partnerId"},
		}},
		{Name: users, Indexes: []Index{
			{Name: "subject", Fields: []string{"subject"}, Unique: true},
			{Name: "username", Fields: []string{"username"}},
			{Name: "email", Fields: []string{"email"}},
			{Name: "words", Fields: []string{"name", "email"}, Words: true},
		}},
	}
}
