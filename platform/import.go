package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Import makes many members at once (E-8). It goes on by itself, chunk by chunk,
// after a crash too; each row ends as a member or with what was wrong with it.
type Import struct {
	Document
	TenantID  ID          `json:"tenantId"`
	State     ImportState `json:"state"`
	Rows      int32       `json:"rows"`
	Created   int32       `json:"created"`
	Failed    int32       `json:"failed"`
	Chunks    int32       `json:"chunks"`
	CreatedAt Time        `json:"createdAt"`
}

// IsNode makes an import a Node of the graph.
func (*Import) IsNode() {}

// ImportState is how far an import has come.
type ImportState string

// The states.
const (
	ImportStateRunning   ImportState = "RUNNING"
	ImportStateDone      ImportState = "DONE"
	ImportStateCancelled ImportState = "CANCELLED"
)

// ImportChunk is some rows that are worked off in one transaction. Its ID is the
// import's with a number.
type ImportChunk struct {
	Document
	Rows []*ImportRow `json:"rows"`
}

// ImportRow is one person of an import.
type ImportRow struct {
	// Number counts from 1, as the client sent them.
	Number       int32          `json:"number"`
	Name         string         `json:"name"`
	MailName     string         `json:"mailName"`
	Role         MemberRole     `json:"role"`
	Aliases      []string       `json:"aliases,omitempty"`
	MailQuotaMiB int32          `json:"mailQuotaMiB,omitempty"`
	State        ImportRowState `json:"state"`
	MemberID     ID             `json:"memberId,omitempty"`
	UserID       ID             `json:"userId,omitempty"`
	// Field and Message say what was wrong.
	Field   string `json:"field,omitempty"`
	Message string `json:"message,omitempty"`
	Sealed  Sealed `json:"sealed,omitempty"`
}

// ImportRowState is what became of a row.
type ImportRowState string

// The states.
const (
	ImportRowStatePending   ImportRowState = "PENDING"
	ImportRowStateCreated   ImportRowState = "CREATED"
	ImportRowStateFailed    ImportRowState = "FAILED"
	ImportRowStateCancelled ImportRowState = "CANCELLED"
)

// What audit says of imports.
const (
	ActionMembersImported Action = "MEMBERS_IMPORTED"
	ActionImportCancelled Action = "IMPORT_CANCELLED"
)

// Bounds of an import.
const (
	mostRows  = 2000
	chunkRows = 50
	// mostImports is how many of a tenant's imports run at once.
	mostImports = 5
)

// ImportReader reads imports.
type ImportReader interface {
	// Import is the import of this tenant with this ID, or NotFound.
	Import(ctx context.Context, tenant, id ID) (*Import, error)
	// ImportsByID are those of the imports that exist, in no order.
	ImportsByID(ctx context.Context, ids []ID) ([]*Import, error)
	// ImportChunks are the chunks with these IDs, in no order.
	ImportChunks(ctx context.Context, ids []ID) ([]*ImportChunk, error)
	// ImportsOf lists a tenant's imports, newest first.
	ImportsOf(ctx context.Context, tenant ID, page Page) (List[*Import], error)
	// CountImportsOf counts them.
	CountImportsOf(ctx context.Context, tenant ID) (int, error)
	// CountRunningImportsOf counts those that go on.
	CountRunningImportsOf(ctx context.Context, tenant ID) (int, error)
}

// ImportWriter changes imports.
type ImportWriter interface {
	// PutImport stores the import; a new one has its provisioning due.
	PutImport(ctx context.Context, i *Import) error
	// PutImportChunk stores a chunk. Audit hears of its import alone.
	PutImportChunk(ctx context.Context, c *ImportChunk) error
}

// ImportConnection is a page of imports.
type ImportConnection = Connection[*Import]

// ImportEdge is an import in a list.
type ImportEdge = Edge[*Import]

// ImportPayload is the answer of mutations about an import.
type ImportPayload = Payload[*Import]

// ImportStartPayload is the answer of mutations that begin an import.
type ImportStartPayload struct {
	Payload[*Import]
	// Passwords are the one-time passwords of the rows that can become members,
	// shown this once.
	Passwords []*ImportPassword
}

// ImportPassword is one row's.
type ImportPassword struct {
	Number   int32
	Address  string
	Password string
}

// MemberRowInput is one person of a bulkCreateMembers.
type MemberRowInput struct {
	Name         string
	MailName     string
	Role         *MemberRole
	Aliases      []string
	MailQuotaMiB *int32
}

// BulkCreateMembersInput says who become members.
type BulkCreateMembersInput struct {
	TenantID       ID
	Rows           []*MemberRowInput
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in BulkCreateMembersInput) Attempt() Attempt {
	return Attempt{Action: ActionMembersImported, TenantID: in.TenantID, Key: in.IdempotencyKey}
}

// ImportMembersInput says the same as a table.
type ImportMembersInput struct {
	TenantID ID
	// Csv has a first line with the columns name, mailName, and, if there are such,
	// role, aliases (with blanks between) and mailQuotaMiB, in any order.
	Csv            string
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in ImportMembersInput) Attempt() Attempt {
	return Attempt{Action: ActionMembersImported, TenantID: in.TenantID, Key: in.IdempotencyKey}
}

// CancelImportInput names the import that goes no further.
type CancelImportInput struct {
	TenantID       ID
	ImportID       ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in CancelImportInput) Attempt() Attempt {
	return Attempt{Action: ActionImportCancelled, TenantID: in.TenantID, Target: in.ImportID, Key: in.IdempotencyKey}
}

// importing is an import that begins, with what is shown once.
type importing struct {
	*Import
	chunks    []*ImportChunk
	passwords []*ImportPassword
}

// BulkCreateMembers begins an import. All rows are looked at before anything is
// done: those that can become members wait for their turn, the others say what is
// wrong with them.
func (p *Platform) BulkCreateMembers(ctx context.Context, in BulkCreateMembersInput) (*ImportStartPayload, error) {
	return startImport(ctx, p, in, in.TenantID, func() ([]*MemberRowInput, error) { return in.Rows, nil })
}

// ImportMembers begins an import from a table.
func (p *Platform) ImportMembers(ctx context.Context, in ImportMembersInput) (*ImportStartPayload, error) {
	return startImport(ctx, p, in, in.TenantID, func() ([]*MemberRowInput, error) { return readTable(in.Csv) })
}

func startImport[In Attempted](
	ctx context.Context, p *Platform, in In, tenant ID, read func() ([]*MemberRowInput, error),
) (*ImportStartPayload, error) {
	var passwords []*ImportPassword
	object, repeated, err := mutate(ctx, p, in, func(ctx context.Context, _ In) (*Import, error) {
		rows, err := read()
		if err != nil {
			return nil, err
		}
		begun, err := p.startImport(ctx, tenant, rows)
		if begun == nil {
			return nil, err
		}
		passwords = begun.passwords // also with an error: the commit may have gone through
		return begun.Import, err
	})
	payload, err := split(object, err)
	if err != nil {
		return nil, err
	}
	out := &ImportStartPayload{Payload: *payload, Passwords: []*ImportPassword{}}
	switch {
	case repeated:
		out.UserErrors = append(out.UserErrors, alreadyShown())
	case len(out.UserErrors) == 0:
		out.Passwords = passwords
	}
	return out, nil
}

func (p *Platform) startImport(ctx context.Context, tenant ID, rows []*MemberRowInput) (*importing, error) {
	if len(rows) == 0 || len(rows) > mostRows {
		return nil, Errorf(Invalid, "An import has 1 to %d rows.", mostRows).On("rows")
	}
	t, err := p.store.Tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	domain, err := p.primaryDomain(t)
	if err != nil {
		return nil, err
	}
	begun, err := p.planImport(tenant, domain, rows)
	if err != nil {
		return nil, err
	}
	err = p.change(ctx, ActionMembersImported, tenant, begun.ID, func(w Writer) error {
		t, err := p.growing(ctx, w, tenant, 0)
		if err != nil {
			return err
		}
		running, err := w.CountRunningImportsOf(ctx, tenant)
		if err != nil {
			return err
		}
		if running >= mostImports {
			return Errorf(Conflict, "At most %d imports run at once.", mostImports)
		}
		for _, c := range begun.chunks {
			if err := w.PutImportChunk(ctx, c); err != nil {
				return err
			}
		}
		if err := w.PutImport(ctx, begun.Import); err != nil {
			return err
		}
		return w.PutTenant(ctx, t) // where two that begin at once meet
	})
	return begun, err
}

// planImport looks at all rows.
func (p *Platform) planImport(tenant ID, domain string, rows []*MemberRowInput) (*importing, error) {
	i := &Import{
		Document: Document{ID: p.newID(KindImport)}, TenantID: tenant, State: ImportStateRunning,
		Rows: int32(len(rows)), CreatedAt: p.now(), //nolint:gosec // there are at most mostRows
	}
	out := &importing{Import: i}
	seen := map[string]int32{}
	for at, in := range rows {
		row := p.planRow(int32(at+1), in, seen) //nolint:gosec // there are at most mostRows
		if row.State == ImportRowStateFailed {
			i.Failed++
		} else {
			password := newPassword()
			var err error
			if row.Sealed, err = p.seal(password, row.MemberID); err != nil {
				return nil, err
			}
			out.passwords = append(out.passwords, &ImportPassword{
				Number: row.Number, Address: row.MailName + "@" + domain, Password: password.Reveal(),
			})
		}
		if at%chunkRows == 0 {
			out.chunks = append(out.chunks, &ImportChunk{Document: Document{ID: chunkID(i.ID, len(out.chunks))}})
		}
		c := out.chunks[len(out.chunks)-1]
		c.Rows = append(c.Rows, row)
	}
	i.Chunks = int32(len(out.chunks)) //nolint:gosec // there are fewer than rows
	return out, nil
}

// planRow looks at one row, and at those before it for the same address.
func (p *Platform) planRow(number int32, in *MemberRowInput, seen map[string]int32) *ImportRow {
	d, err := CreateMemberInput{
		Name: in.Name, MailName: in.MailName, Role: in.Role, Aliases: in.Aliases, MailQuotaMiB: in.MailQuotaMiB,
	}.draft()
	row := &ImportRow{
		Number: number, Name: d.name, MailName: d.mailName, Role: d.role, Aliases: d.aliases, MailQuotaMiB: d.quota,
		State: ImportRowStatePending, MemberID: p.newID(KindMember), UserID: p.newID(KindUser),
	}
	for at, name := range append([]string{d.mailName}, d.aliases...) {
		if err != nil || seen[name] == 0 {
			continue
		}
		field := "mailName"
		if at > 0 {
			field = "aliases"
		}
		err = Errorf(Conflict, "The mail name %s is that of row %d too.", name, seen[name]).On(field)
	}
	if err != nil {
		row.fail(err)
		return row
	}
	for _, name := range append([]string{d.mailName}, d.aliases...) {
		seen[name] = number
	}
	return row
}

func (r *ImportRow) fail(err error) {
	r.State, r.Message, r.Sealed, r.MemberID, r.UserID = ImportRowStateFailed, MessageOf(err), "", "", ""
	if ours, ok := errors.AsType[*Error](err); ok {
		r.Field = ours.Field
	}
}

// Becomes is the member that the row is, or waits to be.
func (r *ImportRow) Becomes() *ID {
	if r.MemberID == "" {
		return nil
	}
	return &r.MemberID
}

func chunkID(i ID, n int) ID { return ID(fmt.Sprintf("%s_%04d", i, n)) }

func (i *Import) chunkIDs() []ID {
	ids := make([]ID, i.Chunks)
	for n := range ids {
		ids[n] = chunkID(i.ID, n)
	}
	return ids
}

// CancelImport stops an import: what became a member stays one, what waits is
// left.
func (p *Platform) CancelImport(ctx context.Context, in CancelImportInput) (*Import, error) {
	var i *Import
	err := p.change(ctx, ActionImportCancelled, in.TenantID, in.ImportID, func(w Writer) (err error) {
		if i, err = w.Import(ctx, in.TenantID, in.ImportID); err != nil {
			return err
		}
		if i.State != ImportStateRunning {
			return Errorf(Conflict, "This import is over.").On("importId")
		}
		i.State = ImportStateCancelled
		chunks, err := w.ImportChunks(ctx, i.chunkIDs())
		if err != nil {
			return err
		}
		for _, c := range chunks {
			if !c.cancel() {
				continue
			}
			if err := w.PutImportChunk(ctx, c); err != nil {
				return err
			}
		}
		return w.PutImport(ctx, i)
	})
	return i, err
}

// cancel leaves the rows that wait, with nothing kept of their passwords, and
// says if there were any.
func (c *ImportChunk) cancel() (waited bool) {
	for _, row := range c.Rows {
		if row.State == ImportRowStatePending {
			row.State, row.Sealed, row.MemberID, row.UserID, waited = ImportRowStateCancelled, "", "", "", true
		}
	}
	return waited
}

// ImportsOf lists a tenant's imports.
func (p *Platform) ImportsOf(ctx context.Context, tenant ID, first *int32, after *Cursor) (*ImportConnection, error) {
	return tenantList(ctx, tenant, first, after, p.store.ImportsOf, p.store.CountImportsOf)
}

// RowsOfImports are the rows of imports, in their order.
func (p *Platform) RowsOfImports(ctx context.Context, ids []ID) (map[ID][]*ImportRow, error) {
	imports, err := p.store.ImportsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	var wanted []ID
	for _, i := range imports {
		wanted = append(wanted, i.chunkIDs()...)
	}
	chunks, err := p.store.ImportChunks(ctx, wanted)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(chunks, func(a, b *ImportChunk) int { return strings.Compare(string(a.ID), string(b.ID)) })
	out := map[ID][]*ImportRow{}
	for _, i := range imports {
		out[i.ID] = []*ImportRow{}
		for _, c := range chunks {
			if slices.Contains(i.chunkIDs(), c.ID) {
				out[i.ID] = append(out[i.ID], c.Rows...)
			}
		}
	}
	return out, nil
}

// NoImport is the answer for an import that is not there, or not of this tenant.
func NoImport(id ID) error { return Errorf(NotFound, "There is no import %s.", shorten(id)) }
