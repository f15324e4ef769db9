package platform_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
)

// shelf is a system that answers with what it holds, or not.
type shelf struct {
	spaces, accounts, mail map[string]platform.Use
	away                   bool
	asked                  [][]string
	// hangs hears of a question that gets no answer.
	hangs chan struct{}
}

func (s *shelf) ask(ctx context.Context, handles []string, use map[string]platform.Use) (map[string]platform.Use, error) {
	s.asked = append(s.asked, handles)
	if s.hangs != nil {
		close(s.hangs)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if s.away {
		return use, platform.Errorf(platform.Unavailable, "Away.")
	}
	return use, nil
}

func (s *shelf) SpaceUse(ctx context.Context, handles []string) (map[string]platform.Use, error) {
	return s.ask(ctx, handles, s.spaces)
}

func (s *shelf) AccountUse(ctx context.Context, handles []string) (map[string]platform.Use, error) {
	return s.ask(ctx, handles, s.accounts)
}

func (s *shelf) MailUse(ctx context.Context, handles []string) (map[string]platform.Use, error) {
	return s.ask(ctx, handles, s.mail)
}

func (*shelf) LongestConnection(context.Context) (time.Duration, error) { return 0, nil }

func bytes(n string) platform.Bytes { return platform.Bytes(n) }

func TestStorageThatIsNotKnownIsNotZero(t *testing.T) {
	t.Parallel()
	w := office(t)
	files := &shelf{
		spaces:   map[string]platform.Use{"ocis-ten_acme": {UsedBytes: 5, QuotaBytes: 10}, "": {UsedBytes: 9}},
		accounts: map[string]platform.Use{"ocis-usr_member": {UsedBytes: 0}},
	}
	mail := &shelf{mail: map[string]platform.Use{"stalwart-mem_member": {UsedBytes: 1 << 60, QuotaBytes: 1 << 61}}}
	tenants := func() map[platform.ID]*platform.Storage {
		t.Helper()
		got, err := w.TenantStorage(t.Context(), []platform.ID{"ten_acme", "ten_globex", "ten_none"})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	members := func() map[platform.ID]*platform.Storage {
		t.Helper()
		got, err := w.MemberStorage(t.Context(), []platform.ID{"mem_member", "mem_admin"})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	unknown := map[platform.ID]*platform.Storage{"ten_acme": {}, "ten_globex": {}, "ten_none": {}}
	nobody := map[platform.ID]*platform.Storage{"mem_member": {}, "mem_admin": {}}
	if diff := cmp.Diff(unknown, tenants()) + cmp.Diff(nobody, members()); diff != "" {
		t.Errorf("where nothing is used (- expected, + found):\n%s", diff)
	}
	w.asks(platform.Options{Files: files, Mailboxes: mail})
	wantTenants := map[platform.ID]*platform.Storage{
		"ten_acme": {Files: &platform.StorageUse{UsedBytes: "5", QuotaBytes: pointer(bytes("10"))}}, "ten_globex": {}, "ten_none": {},
	}
	wantMembers := map[platform.ID]*platform.Storage{
		"mem_member": {
			Files: &platform.StorageUse{UsedBytes: "0"},
			Mail:  &platform.StorageUse{UsedBytes: "1152921504606846976", QuotaBytes: pointer(bytes("2305843009213693952"))},
		},
		"mem_admin": {},
	}
	if diff := cmp.Diff(wantTenants, tenants()) + cmp.Diff(wantMembers, members()); diff != "" {
		t.Errorf("(- expected, + found):\n%s", diff)
	}
	files.away = true
	wantMembers["mem_member"].Files = nil
	if diff := cmp.Diff(unknown, tenants()) + cmp.Diff(wantMembers, members()); diff != "" {
		t.Errorf("while the files are away (- expected, + found):\n%s", diff)
	}

	// One that hangs is given up by the clock, and takes no time from the other.
	files.away, files.hangs = false, make(chan struct{})
	answer := make(chan map[platform.ID]*platform.Storage)
	go func() {
		got, _ := w.MemberStorage(context.WithoutCancel(t.Context()), []platform.ID{"mem_member", "mem_admin"})
		answer <- got
	}()
	<-files.hangs
	w.clock.Advance(5 * time.Second)
	if diff := cmp.Diff(wantMembers, <-answer); diff != "" {
		t.Errorf("while the files hang (- expected, + found):\n%s", diff)
	}

	files.hangs = nil
	asked := len(files.asked)
	fresh := worldOn(t, w.store).asks(platform.Options{Files: files, Mailboxes: mail})
	m, _ := fresh.hires(t, "bert")
	if got, err := fresh.MemberStorage(t.Context(), []platform.ID{m.ID}); err != nil || got[m.ID].Files != nil || got[m.ID].Mail != nil || len(files.asked) != asked {
		t.Errorf("of whom nothing is there yet: %+v, %v, asked %v", got[m.ID], err, files.asked[asked:])
	}
}

func TestAuthenticatorsThatAreNotKnownAreNotZero(t *testing.T) {
	t.Parallel()
	w := office(t)
	door := &doors{counts: map[string]int{"admin": 2, "member": 0, "": 7}}
	m, _ := w.hires(t, "bert")
	everybody := []platform.ID{"usr_admin", "usr_member", "usr_globex", m.UserID}
	count := func() map[platform.ID]*int32 {
		t.Helper()
		got, err := w.AuthenticatorsOf(t.Context(), everybody)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := count(); len(got) != 0 {
		t.Errorf("where there is no provider: %v", got)
	}
	w.asks(platform.Options{SignIns: door})
	want := map[platform.ID]*int32{"usr_admin": pointer(int32(2)), "usr_member": pointer(int32(0))}
	if diff := cmp.Diff(want, count()); diff != "" {
		t.Errorf("who is not there is not known (- expected, + found):\n%s", diff)
	}
	if got, err := w.AuthenticatorsOf(t.Context(), []platform.ID{m.UserID}); err != nil || len(got) != 0 || door.asked != 1 {
		t.Errorf("who has no account yet: %v, %v, asked %d times", got, err, door.asked)
	}
	door.away = true
	if got := count(); len(got) != 0 {
		t.Errorf("while it is away: %v", got)
	}
	door.hangs = make(chan struct{})
	answer := make(chan map[platform.ID]*int32)
	go func() {
		got, _ := w.AuthenticatorsOf(context.WithoutCancel(t.Context()), everybody)
		answer <- got
	}()
	<-door.hangs
	w.clock.Advance(5 * time.Second)
	if got := <-answer; len(got) != 0 {
		t.Errorf("when it hangs: %v", got)
	}
}

func TestAStepOfAPersonNamesTheTenantThatAsks(t *testing.T) {
	t.Parallel()
	w := office(t)
	m, _ := w.hires(t, "bert")
	w.joins(t, m.UserID, "ten_globex", isMember)
	w.works(t, except(platform.IntegrationOCIS, m.UserID))
	retry := platform.RetryOperationInput{TenantID: "ten_globex", SubjectID: m.UserID, Integration: platform.IntegrationOCIS}
	if now, err := w.RetryOperation(w.by(t, "globex"), retry); err != nil || now.TenantID != "ten_globex" {
		t.Errorf("got %+v, %v; want nothing told of their other tenants", now, err)
	}
}

func TestARepeatedRetryNamesTheTenantThatAsks(t *testing.T) {
	t.Parallel()
	w := office(t)
	m, _ := w.hires(t, "bert")
	w.joins(t, m.UserID, "ten_globex", isMember)
	w.works(t, except(platform.IntegrationOCIS, m.UserID))
	retry := platform.RetryOperationInput{
		TenantID: "ten_globex", SubjectID: m.UserID, Integration: platform.IntegrationOCIS, IdempotencyKey: pointer("again"),
	}
	for range 2 {
		p, err := platform.Mutate(w.by(t, "operator"), w.Platform, retry, w.RetryOperation)
		if err != nil || p.Object == nil || p.Object.TenantID != "ten_globex" {
			t.Fatalf("got %+v, %v; want nothing told of their other tenants", p, err)
		}
	}
}
