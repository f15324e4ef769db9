package main

import (
	"context"
	"slices"
	"testing"

	ocis "github.com/dezky/platform/integrations/ocis/standin"
	"github.com/dezky/platform/platform"
)

// What a child does with a member.
const (
	workCreateMember = "create a member"
	workRemoveMember = "remove a member"
)

const berta = "berta@acme.dezky.test"

// prepareMember makes what has to be there before the work, and may be repeated.
func prepareMember(ctx context.Context, s *server, work string) error {
	if err := createAcme(ctx, s); err != nil {
		return err
	}
	if work == workRemoveMember {
		if m, err := findBerta(ctx, s); err != nil || m != nil {
			return err
		}
		if err := createBerta(ctx, s); err != nil {
			return err
		}
	}
	return quiet(ctx, s)
}

// findBerta is the member, removed or not, or nil.
func findBerta(ctx context.Context, s *server) (*platform.Member, error) {
	read := s.platform.Reader()
	held, err := read.AddressesByID(ctx, []platform.ID{berta})
	if err != nil || len(held) == 0 {
		return nil, err
	}
	found, err := read.MembersByID(ctx, []platform.ID{held[0].Holder})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// createBerta may be repeated.
func createBerta(ctx context.Context, s *server) error {
	t, err := s.platform.Reader().TenantBySlug(ctx, "acme")
	if err != nil {
		return err
	}
	_, _, err = s.platform.CreateMember(ctx, platform.CreateMemberInput{TenantID: t.ID, Name: "Berta", MailName: "berta", Aliases: []string{"info"}})
	if platform.CodeOf(err) == platform.Conflict {
		return nil
	}
	return err
}

// removeBerta may be repeated.
func removeBerta(ctx context.Context, s *server) error {
	m, err := findBerta(ctx, s)
	if err != nil || m == nil {
		return err
	}
	_, err = s.platform.RemoveMember(ctx, platform.RemoveMemberInput{TenantID: m.TenantID, MemberID: m.ID})
	return err
}

// TestKilledWhileMakingAMember kills the server at every point of making a
// member, starts it again, and finds one account of each kind, known by its
// handle, and no password kept (R2, E-1).
func TestKilledWhileMakingAMember(t *testing.T) {
	killAnywhere(t, workCreateMember, func(t *testing.T, o *outside) {
		s := o.open(t)
		m, err := findBerta(t.Context(), s)
		if err != nil || m == nil {
			t.Fatalf("there is no member: %v", err)
		}
		u, err := s.platform.Reader().User(t.Context(), m.UserID)
		if err != nil {
			t.Fatal(err)
		}
		if m.Sealed != "" || u.Sealed != "" {
			t.Error("the password is still kept")
		}
		own, person := handlesOf(t, s, m.ID), handlesOf(t, s, u.ID)
		account, ok := o.identity.Users()[berta]
		if !ok || account.UUID != u.Subject || account.UUID != person[platform.IntegrationAuthentik] || !account.Active {
			t.Errorf("the sign-in is %+v, and the database knows %s and %s", account, u.Subject, person[platform.IntegrationAuthentik])
		}
		if !slices.Contains(account.Groups, "tenant-acme") {
			t.Errorf("the person is in %q", account.Groups)
		}
		if n := len(o.identity.Users()); n != 2 { // the other is the one that the API token is of
			t.Errorf("there are %d sign-ins", n)
		}
		mailboxes := o.mail.Accounts()
		if len(mailboxes) != 1 || mailboxes[berta].ID != own[platform.IntegrationStalwart] {
			t.Errorf("the mailboxes are %+v, and the database knows %s", mailboxes, own[platform.IntegrationStalwart])
		}
		files := o.files.Users()
		i := slices.IndexFunc(files, func(u ocis.User) bool { return u.Username == berta })
		if len(files) != 1 || i < 0 || files[i].ID != person[platform.IntegrationOCIS] {
			t.Fatalf("the accounts for files are %+v, and the database knows %s", files, person[platform.IntegrationOCIS])
		}
		if grants := o.files.Grants(handlesOf(t, s, m.TenantID)[platform.IntegrationOCIS]); len(grants) != 1 || grants[files[i].ID] != "editor" {
			t.Errorf("the grants are %v", grants)
		}
	})
}

// TestKilledWhileRemovingAMember does the same with a removal, and finds nothing
// left (E-5).
func TestKilledWhileRemovingAMember(t *testing.T) {
	killAnywhere(t, workRemoveMember, func(t *testing.T, o *outside) {
		s := o.open(t)
		if m, err := findBerta(t.Context(), s); err != nil || m != nil {
			t.Errorf("the address is still held by %+v: %v", m, err)
		}
		if account, ok := o.identity.Users()[berta]; ok {
			t.Errorf("the sign-in is there: %+v", account)
		}
		if mailboxes := o.mail.Accounts(); len(mailboxes) != 0 {
			t.Errorf("there are mailboxes: %+v", mailboxes)
		}
		if files := o.files.Users(); len(files) != 0 {
			t.Errorf("the accounts for files are %+v", files)
		}
		tenant, err := s.platform.Reader().TenantBySlug(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		if grants := o.files.Grants(handlesOf(t, s, tenant.ID)[platform.IntegrationOCIS]); len(grants) != 0 {
			t.Errorf("there are grants: %v", grants)
		}
	})
}
