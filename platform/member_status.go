package platform

import (
	"context"
	"sync"
)

// WatchMember follows what the outside systems have of a member: the steps of the
// membership (group, mailbox, files of the tenant) and those of the person
// (sign-in, account for files), each event with the subject that it is of. Each
// has its own sequence to go on from (C-7).
func (p *Platform) WatchMember(ctx context.Context, tenant, member ID, after, personAfter *int32) (<-chan *ProvisioningStatus, error) {
	for _, sequence := range []*int32{after, personAfter} {
		if err := checkSequence(sequence); err != nil {
			return nil, err
		}
	}
	m, err := p.store.Member(ctx, tenant, member)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	own, err := p.feed.Subject(ctx, m.ID, after)
	if err != nil {
		cancel()
		return nil, err
	}
	person, err := p.feed.Subject(ctx, m.UserID, personAfter)
	if err != nil {
		cancel()
		return nil, err
	}
	out := make(chan *ProvisioningStatus)
	var both sync.WaitGroup
	for _, in := range []<-chan *ProvisioningStatus{own, person} {
		both.Go(func() {
			defer cancel()
			for e := range in {
				shown := *e
				shown.TenantID = tenant // a person may be other tenants' too, which is nobody's business here
				select {
				case out <- &shown:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	go func() {
		defer cancel()
		both.Wait()
		close(out)
	}()
	return out, nil
}

// WatchImport follows how far an import has come (C-7).
func (p *Platform) WatchImport(ctx context.Context, tenant, id ID, after *int32) (<-chan *ProvisioningStatus, error) {
	if err := checkSequence(after); err != nil {
		return nil, err
	}
	if _, err := p.store.Import(ctx, tenant, id); err != nil {
		return nil, err
	}
	return p.feed.Subject(ctx, id, after)
}

// AuthenticatorsOf counts the confirmed authenticators of people, live (J-2).
// Who is not in the answer is not known, and when the identity provider does not
// answer that is everybody: not known is never zero.
func (p *Platform) AuthenticatorsOf(ctx context.Context, users []ID) (map[ID]*int32, error) {
	out := map[ID]*int32{}
	if p.signIns == nil {
		return out, nil
	}
	people, err := p.store.UsersByID(ctx, users)
	if err != nil {
		return nil, err
	}
	var subjects []string
	for _, u := range people {
		if u.Subject != "" {
			subjects = append(subjects, u.Subject)
		}
	}
	if len(subjects) == 0 {
		return out, nil
	}
	ctx, cancel := p.clock.WithTimeout(ctx, liveTime)
	defer cancel()
	counts, err := p.signIns.Authenticators(ctx, subjects)
	if err != nil {
		return out, nil //nolint:nilerr // what cannot be asked is not known, which is an answer
	}
	for _, u := range people {
		if n, ok := counts[u.Subject]; ok && u.Subject != "" {
			count := int32(n) //nolint:gosec // nobody has that many
			out[u.ID] = &count
		}
	}
	return out, nil
}
