package platform

import (
	"context"
	"strconv"
	"sync"
	"time"
)

// liveTime is how long an answer waits for what is read live from an outside
// system.
const liveTime = 5 * time.Second

// Storage is how full something is, live from the outside systems (K-3). What
// cannot be asked, or is not there yet, is nil and never zero.
type Storage struct {
	Files *StorageUse
	Mail  *StorageUse
}

// StorageUse is bytes used, of as many as there may be.
type StorageUse struct {
	UsedBytes Bytes
	// QuotaBytes is nil for as much as there is.
	QuotaBytes *Bytes
}

// Bytes counts bytes. In the graph it is a text, since a client's numbers may end
// at 2^53.
type Bytes string

func bytesOf(n int64) Bytes { return Bytes(strconv.FormatInt(n, 10)) }

func (u Use) storage() *StorageUse {
	out := &StorageUse{UsedBytes: bytesOf(u.UsedBytes)}
	if u.QuotaBytes > 0 {
		quota := bytesOf(u.QuotaBytes)
		out.QuotaBytes = &quota
	}
	return out
}

// TenantStorage is what the tenants' spaces hold; a tenant without a space has
// nil.
func (p *Platform) TenantStorage(ctx context.Context, tenants []ID) (map[ID]*Storage, error) {
	handles, err := p.handles(ctx, tenants, IntegrationOCIS)
	if err != nil {
		return nil, err
	}
	ctx, cancel := p.clock.WithTimeout(ctx, liveTime)
	defer cancel()
	var use map[string]Use
	if p.files != nil && len(handles) > 0 {
		use = known(p.files.SpaceUse(ctx, valuesOf(handles)))
	}
	out := map[ID]*Storage{}
	for _, id := range tenants {
		out[id] = &Storage{}
		out[id].Files = held(use, handles[id])
	}
	return out, nil
}

// MemberStorage is what the members' own spaces and mailboxes hold.
func (p *Platform) MemberStorage(ctx context.Context, members []ID) (map[ID]*Storage, error) {
	rows, err := p.store.MembersByID(ctx, members)
	if err != nil {
		return nil, err
	}
	users := make([]ID, len(rows))
	for i, m := range rows {
		users[i] = m.UserID
	}
	mailboxes, err := p.handles(ctx, members, IntegrationStalwart)
	if err != nil {
		return nil, err
	}
	accounts, err := p.handles(ctx, users, IntegrationOCIS)
	if err != nil {
		return nil, err
	}
	ctx, cancel := p.clock.WithTimeout(ctx, liveTime)
	defer cancel()
	var mail, files map[string]Use
	var both sync.WaitGroup // so that one that does not answer takes no time from the other
	if p.mailboxes != nil && len(mailboxes) > 0 {
		both.Go(func() { mail = known(p.mailboxes.MailUse(ctx, valuesOf(mailboxes))) })
	}
	if p.files != nil && len(accounts) > 0 {
		both.Go(func() { files = known(p.files.AccountUse(ctx, valuesOf(accounts))) })
	}
	both.Wait()
	out := map[ID]*Storage{}
	for _, m := range rows {
		out[m.ID] = &Storage{}
		out[m.ID].Mail, out[m.ID].Files = held(mail, mailboxes[m.ID]), held(files, accounts[m.UserID])
	}
	return out, nil
}

// held is how full the thing with a handle is, or nil where that is not known.
func held(use map[string]Use, handle string) *StorageUse {
	if u, ok := use[handle]; ok && handle != "" {
		return u.storage()
	}
	return nil
}

// known is what an outside system answered; of one that does not answer nothing
// is known.
func known(use map[string]Use, err error) map[string]Use {
	if err != nil {
		return nil
	}
	return use
}

// handles are what subjects are called in a system, where they are there.
func (p *Platform) handles(ctx context.Context, subjects []ID, in Integration) (map[ID]string, error) {
	docs, err := p.store.ProvisioningsByID(ctx, subjects)
	if err != nil {
		return nil, err
	}
	out := map[ID]string{}
	for _, doc := range docs {
		if s := doc.step(in); s != nil && s.Handle != "" {
			out[doc.ID] = s.Handle
		}
	}
	return out, nil
}

func valuesOf(m map[ID]string) []string {
	out := make([]string, 0, len(m))
	for _, v := range m {
		out = append(out, v)
	}
	return out
}
