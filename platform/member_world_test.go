package platform_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// office is a world with its people in it, whose steps can be carried out.
func office(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	w.plant(t)
	w.works(t, done)
	return w
}

// officeOn is an office on an engine that a test has put its own around.
func officeOn(t testing.TB, wrap func(store.Engine) store.Engine) *world {
	t.Helper()
	w := worldOn(t, wrapped(t, wrap))
	w.plant(t)
	w.works(t, done)
	return w
}

// asks is the world with outside systems that can be asked at once, or another
// key.
func (w *world) asks(o platform.Options) *world {
	o.Store, o.Clock, o.NewID, o.OperatorAudience, o.MailDomain = w.store, w.clock, platform.NewID, operators, "dezky.test"
	o.Session = func() platform.ID { return w.session }
	if o.SealKey.IsZero() {
		o.SealKey = platform.NewSecret("for tests")
	}
	w.Platform = platform.New(o)
	return w
}

// done is how an attempt ends that goes well.
func done(s platform.Step) platform.StepResult {
	return platform.StepResult{Handle: strings.ToLower(string(s.Integration)) + "-" + string(s.Subject)}
}

func everything(platform.Integration) bool { return true }

// claim is a subject's due steps, started by this session.
func (w *world) claim(t testing.TB, subject platform.ID) []platform.Step {
	t.Helper()
	doc, err := w.store.Provisioning(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := w.ClaimSteps(t.Context(), subject, w.session, doc.Owner, everything)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func (w *world) report(t testing.TB, s platform.Step, r platform.StepResult) {
	t.Helper()
	if err := w.ReportStep(t.Context(), w.session, s, r, 0); err != nil {
		t.Fatal(err)
	}
}

// works carries out what is due, as a reconciler does, until nothing is.
func (w *world) works(t testing.TB, end func(platform.Step) platform.StepResult) {
	t.Helper()
	for range 100 {
		some := false
		for _, owner := range []platform.ID{"", w.session} {
			due, err := w.store.DueProvisionings(t.Context(), owner, platform.At(w.clock.Now()), 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, subject := range due {
				some = true
				for _, s := range w.claim(t, subject) {
					if s.Integration == platform.IntegrationMembers {
						_, err := w.Roster().Apply(t.Context(), s)
						w.report(t, s, platform.StepResult{Err: err})
						continue
					}
					w.report(t, s, end(s))
				}
			}
		}
		if !some {
			return
		}
	}
	t.Fatal("there is always something due")
}

// wants is what a subject wants now, by the first of its steps. Everything of it
// is settled afterwards.
func (w *world) wants(t testing.TB, subject platform.ID) (want platform.Want) {
	t.Helper()
	err := w.store.Keep(t.Context(), func(b platform.Book) error {
		doc, err := b.Provisioning(t.Context(), subject)
		if err != nil {
			return err
		}
		doc.Raise(platform.At(w.clock.Now()))
		return b.PutProvisioning(t.Context(), doc, true)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range w.claim(t, subject) {
		want = s.Want
		w.report(t, s, done(s))
	}
	return want
}

// generations are how often something else was wanted of subjects.
func (w *world) generations(t testing.TB, subjects ...platform.ID) map[platform.ID]int32 {
	t.Helper()
	docs, err := w.store.ProvisioningsByID(t.Context(), subjects)
	if err != nil {
		t.Fatal(err)
	}
	out := map[platform.ID]int32{}
	for _, doc := range docs {
		out[doc.ID] = doc.Generation
	}
	return out
}

// raised are those of some subjects of which something else is wanted since.
func (w *world) raised(t testing.TB, since map[platform.ID]int32, subjects ...platform.ID) string {
	t.Helper()
	now := w.generations(t, subjects...)
	var some []string
	for _, id := range subjects {
		if now[id] != since[id] {
			some = append(some, string(id))
		}
	}
	return strings.Join(some, " ")
}

// hires makes somebody a member of acme by its administrator.
func (w *world) hires(t testing.TB, mailName string) (*platform.Member, string) {
	t.Helper()
	m, password, err := w.CreateMember(w.by(t, "admin"), platform.CreateMemberInput{TenantID: "ten_acme", Name: mailName, MailName: mailName})
	if err != nil {
		t.Fatalf("create %s: %v", mailName, err)
	}
	return m, password.Reveal()
}

func (w *world) member(t testing.TB, id platform.ID) *platform.Member {
	t.Helper()
	all, err := w.store.MembersByID(t.Context(), []platform.ID{id})
	if err != nil || len(all) != 1 {
		t.Fatalf("%s: %d members, %v", id, len(all), err)
	}
	return all[0]
}

func (w *world) user(t testing.TB, id platform.ID) *platform.User {
	t.Helper()
	u, err := w.store.User(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// puts changes the world past every rule.
func (w *world) puts(t testing.TB, do func(context.Context, platform.Writer) error) {
	t.Helper()
	event := platform.AuditEvent{Document: platform.Document{ID: platform.NewID(platform.KindAuditEvent)}, At: noon, Action: platform.ActionSeeded}
	if err := w.store.Change(t.Context(), event, func(out platform.Writer) error { return do(t.Context(), out) }); err != nil {
		t.Fatal(err)
	}
}

// seats gives a tenant so many seats.
func (w *world) seats(t testing.TB, tenant platform.ID, n int32) {
	t.Helper()
	w.puts(t, func(ctx context.Context, out platform.Writer) error {
		found, err := out.Tenant(ctx, tenant)
		if err != nil {
			return err
		}
		found.Seats = n
		return out.PutTenant(ctx, found)
	})
}

// turns gives a tenant a status past every rule, and has nothing passed on.
func (w *world) turns(t testing.TB, tenant platform.ID, status platform.TenantStatus) {
	t.Helper()
	w.puts(t, func(ctx context.Context, out platform.Writer) error {
		found, err := out.Tenant(ctx, tenant)
		if err != nil {
			return err
		}
		found.Status = status
		return out.PutTenant(ctx, found)
	})
}

// joins makes one who was planted an active member of a tenant too.
func (w *world) joins(t testing.TB, user, tenant platform.ID, role platform.MemberRole) platform.ID {
	t.Helper()
	m := &platform.Member{
		Document: platform.Document{ID: platform.NewID(platform.KindMember)}, TenantID: tenant, UserID: user, Role: role,
		State: platform.MemberStateActive, Source: platform.MemberSourceMutation, JoinedAt: noon,
	}
	w.puts(t, func(ctx context.Context, out platform.Writer) error { return out.PutMember(ctx, m) })
	return m.ID
}

// holder is who claims an address, or "".
func (w *world) holder(t testing.TB, address string) platform.ID {
	t.Helper()
	all, err := w.store.AddressesByID(t.Context(), []platform.ID{platform.ID(address)})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		return ""
	}
	return all[0].Holder
}

// step is a subject's step in a system.
func (w *world) step(t testing.TB, subject platform.ID, in platform.Integration) *platform.ProvisioningStep {
	t.Helper()
	doc, err := w.store.Provisioning(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range doc.Steps {
		if s.Integration == in {
			return s
		}
	}
	t.Fatalf("%s has no step %s", subject, in)
	return nil
}

// telling is everything that readers of the log and the lists can see of a
// tenant, as text.
func (w *world) telling(t testing.TB, logs ...platform.ID) string {
	t.Helper()
	text, err := json.Marshal(w.events(t, logs...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// atOnce runs n times at the same time and counts how it ended.
func atOnce(n int, do func(i int) error) map[platform.Code]int {
	var all sync.WaitGroup
	var mu sync.Mutex
	ends := map[platform.Code]int{}
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			err := do(i)
			mu.Lock()
			defer mu.Unlock()
			ends[code(err)]++
		})
	}
	close(start)
	all.Wait()
	return ends
}
