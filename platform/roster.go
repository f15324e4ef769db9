package platform

import (
	"context"
	"slices"
)

// Roster is the Provisioner of the steps that go through a tenant's members, and
// reach no system by themselves: an import, and a tenant that was shut or opened.
// It works in batches, each a transaction of its own that also says how far it
// has come; a batch of an attempt that is no longer its session's own changes
// nothing. What was done stays done, so the next attempt goes on where the last
// one was cut off.
func (p *Platform) Roster() Provisioner { return roster{p} }

type roster struct{ p *Platform }

func (r roster) Apply(ctx context.Context, s Step) (string, error) {
	switch {
	case s.Want.Import != nil:
		return "", r.p.workOff(ctx, s)
	case s.Want.Tenant != nil:
		return "", r.p.passOn(ctx, s)
	}
	return "", ErrSkip
}

// errTaken says that an attempt is another's by now.
func errTaken() error { return Errorf(Unavailable, "Another process has taken this over.") }

// progress writes down how far an attempt has come. A look, which is no attempt,
// goes the same way without a word.
func (p *Platform) progress(ctx context.Context, w interface {
	ProvisioningReader
	ProvisioningWriter
}, s Step, done, total int32) error {
	doc, err := w.Provisioning(ctx, s.Subject)
	if err != nil {
		return err
	}
	step := doc.held(p.session(), s)
	switch {
	case step != nil && step.Looking:
		return nil
	case step == nil || step.State != ProvisioningStateRunning:
		return errTaken()
	}
	step.Done, step.Total = done, total
	doc.settle(p.now())
	return w.PutProvisioning(ctx, doc, true)
}

// workOff makes the members of an import, a chunk at a time.
func (p *Platform) workOff(ctx context.Context, s Step) error {
	i, err := p.store.Import(ctx, s.Want.Import.TenantID, s.Want.Import.ID)
	if err != nil {
		return err
	}
	for _, id := range i.chunkIDs() {
		over := false
		err := p.change(ctx, ActionMembersImported, i.TenantID, i.ID, func(w Writer) error {
			over = false
			now, err := w.Import(ctx, i.TenantID, i.ID)
			if err != nil {
				return err
			}
			if over = now.State != ImportStateRunning; over {
				return errUnchanged
			}
			return p.workOffChunk(ctx, w, s, now, id)
		})
		if over {
			return nil
		}
		if err != nil && !isUnchanged(err) {
			return err
		}
	}
	err = p.change(ctx, ActionMembersImported, i.TenantID, i.ID, func(w Writer) error {
		now, err := w.Import(ctx, i.TenantID, i.ID)
		if err != nil {
			return err
		}
		if now.State != ImportStateRunning {
			return errUnchanged
		}
		now.State = ImportStateDone
		if err := w.PutImport(ctx, now); err != nil {
			return err
		}
		return p.progress(ctx, w, s, now.Rows, now.Rows)
	})
	if isUnchanged(err) {
		return nil
	}
	return err
}

func (p *Platform) workOffChunk(ctx context.Context, w Writer, s Step, i *Import, id ID) error {
	chunks, err := w.ImportChunks(ctx, []ID{id})
	if err != nil {
		return err
	}
	c, waiting := chunks[0], 0
	for _, row := range c.Rows {
		if row.State == ImportRowStatePending {
			waiting++
		}
	}
	if waiting == 0 {
		return errUnchanged
	}
	t, err := w.Tenant(ctx, i.TenantID)
	if err != nil {
		return err
	}
	counts, err := w.CountMembersOf(ctx, []ID{t.ID})
	if err != nil {
		return err
	}
	free := int(t.Seats) - counts[t.ID]
	for _, row := range c.Rows {
		if row.State != ImportRowStatePending {
			continue
		}
		err := t.growable()
		if err == nil && free <= 0 {
			err = noSeat(t)
		}
		if err == nil {
			err = p.makeRow(ctx, w, t, row)
		}
		switch {
		case err == nil:
			row.State, row.Sealed = ImportRowStateCreated, ""
			i.Created++
			free--
		case CodeOf(err) == Conflict || CodeOf(err) == Invalid:
			row.fail(err)
			i.Failed++
		default:
			return err
		}
	}
	if err := w.PutImportChunk(ctx, c); err != nil {
		return err
	}
	if err := w.PutImport(ctx, i); err != nil {
		return err
	}
	if err := w.PutTenant(ctx, t); err != nil {
		return err
	}
	return p.progress(ctx, w, s, i.Created+i.Failed, i.Rows)
}

// makeRow makes a row's member.
func (p *Platform) makeRow(ctx context.Context, w Writer, t *Tenant, row *ImportRow) error {
	password, err := p.open(row.Sealed, row.MemberID)
	if err != nil {
		return err
	}
	_, err = p.makeMember(ctx, w, t, newMember{
		member: row.MemberID, user: row.UserID, name: row.Name, mailName: row.MailName, role: row.Role, aliases: row.Aliases,
		quota: row.MailQuotaMiB, password: password,
	})
	return err
}

// batch is how many members are gone through in one transaction (B-5).
const batch = 100

// passOn has everything of a tenant's members and groups tried that the tenant's
// being shut or open changes.
func (p *Platform) passOn(ctx context.Context, s Step) error {
	var after ID
	for done, last := int32(0), false; !last; {
		var members []*Member
		err := p.store.Keep(ctx, func(b Book) (err error) {
			t, err := b.Tenant(ctx, s.Subject)
			if err != nil {
				return err
			}
			if members, err = b.MembersAfter(ctx, t.ID, after, batch); err != nil {
				return err
			}
			var subjects []ID
			for _, m := range members {
				subjects = append(subjects, m.ID, m.UserID)
			}
			if err := p.passOnTo(ctx, b, t, subjects); err != nil {
				return err
			}
			come := done + int32(len(members)) //nolint:gosec // there are at most batch
			if come == 0 {
				return nil
			}
			total := come
			if len(members) == batch {
				total = max(come, t.Seats)
			}
			return p.progress(ctx, b, s, come, total)
		})
		if err != nil {
			return err
		}
		if last = len(members) < batch; len(members) > 0 {
			after = members[len(members)-1].ID
			done += int32(len(members)) //nolint:gosec // there are at most batch
		}
	}
	return p.passOnToGroups(ctx, s)
}

// passOnToGroups is for the groups: whoever is in one is in it for as long as
// their tenant is open.
func (p *Platform) passOnToGroups(ctx context.Context, s Step) error {
	groups, err := p.store.AllGroupsOf(ctx, s.Subject)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(groups, batch) {
		err := p.store.Keep(ctx, func(b Book) error {
			t, err := b.Tenant(ctx, s.Subject)
			if err != nil {
				return err
			}
			doc, err := b.Provisioning(ctx, s.Subject)
			if err != nil {
				return err
			}
			if doc.held(p.session(), s) == nil {
				return errTaken()
			}
			var subjects []ID
			for _, g := range some {
				subjects = append(subjects, g.ID)
			}
			return p.passOnTo(ctx, b, t, subjects)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// passOnTo tells subjects that the tenant is shut, or open, unless they were
// told.
func (p *Platform) passOnTo(ctx context.Context, b Book, t *Tenant, subjects []ID) error {
	slices.Sort(subjects)
	docs, err := b.ProvisioningsByID(ctx, slices.Compact(subjects))
	if err != nil {
		return err
	}
	for _, doc := range docs {
		shut := slices.DeleteFunc(slices.Clone(doc.Shut), func(id ID) bool { return id == t.ID })
		if !doc.tell(append(shut, t.ifShut()...), p.now()) {
			continue
		}
		if err := b.PutProvisioning(ctx, doc, true); err != nil {
			return err
		}
	}
	return nil
}
