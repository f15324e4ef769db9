package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
)

const workImport = "import members"

// badRows are those of the thousand that become nobody.
func badRows() []int32 { return []int32{7, 500, 999} }

// importThousand begins an import of a thousand rows, three of them bad, unless
// it was begun before, and waits for its end.
func importThousand(ctx context.Context, s *server) error {
	t, err := s.platform.Reader().TenantBySlug(ctx, "acme")
	if err != nil {
		return err
	}
	begun, err := s.platform.ImportsOf(ctx, t.ID, nil, nil)
	if err != nil {
		return err
	}
	if len(begun.Nodes()) == 0 {
		if err := beginImport(ctx, s, t.ID); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		if begun, err = s.platform.ImportsOf(ctx, t.ID, nil, nil); err != nil {
			return err
		}
		if begun.Nodes()[0].State == platform.ImportStateDone {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return ctx.Err()
}

func beginImport(ctx context.Context, s *server, tenant platform.ID) error {
	in := platform.BulkCreateMembersInput{TenantID: tenant}
	for n := int32(1); n <= 1000; n++ {
		row := &platform.MemberRowInput{Name: fmt.Sprintf("Person %d", n), MailName: fmt.Sprintf("p%d", n)}
		if slices.Contains(badRows(), n) {
			row.MailName = "not a name"
		}
		in.Rows = append(in.Rows, row)
	}
	out, err := s.platform.BulkCreateMembers(ctx, in)
	if err == nil && len(out.Passwords) != 997 {
		err = fmt.Errorf("%d passwords, %+v", len(out.Passwords), out.UserErrors)
	}
	return err
}

// TestImportKilledMidway kills the server in the middle of an import, again and
// again, and finds every row at its end once: 997 members, and what was wrong
// with the other three (E-8).
func TestImportKilledMidway(t *testing.T) {
	o := newOutside(t)
	for i, entry := range o.env { // who becomes a member is all that counts here
		if name, _, ok := strings.Cut(entry, "_URL="); ok && name != "DATABASE" {
			o.env[i] = name + "_URL=off"
		}
	}
	work := childWork + "=" + workImport
	for _, point := range []string{"after the change 3", "before the change 8", "after the change 8", "after the change 8"} {
		err := o.start(t, work, childKill+"="+point)
		if killed := (*exec.ExitError)(nil); !errors.As(err, &killed) || killed.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the process was to be killed %s, and ended with %v", point, err)
		}
	}
	o.run(t, work)
	s := o.open(t)
	tenant, err := s.platform.Reader().TenantBySlug(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	imports, err := s.platform.ImportsOf(t.Context(), tenant.ID, nil, nil)
	if err != nil || len(imports.Nodes()) != 1 {
		t.Fatalf("there are %d imports: %v", len(imports.Nodes()), err)
	}
	i := imports.Nodes()[0]
	if i.State != platform.ImportStateDone || i.Created != 997 || i.Failed != 3 {
		t.Errorf("the import ended as %+v", i)
	}
	counts, err := s.platform.Reader().CountMembersOf(t.Context(), []platform.ID{tenant.ID})
	if err != nil || counts[tenant.ID] != 997 {
		t.Errorf("there are %d members: %v", counts[tenant.ID], err)
	}
	rows, err := s.platform.RowsOfImports(t.Context(), []platform.ID{i.ID})
	if err != nil {
		t.Fatal(err)
	}
	var bad []int32
	for _, row := range rows[i.ID] {
		switch row.State {
		case platform.ImportRowStateFailed:
			bad = append(bad, row.Number)
			if row.Field != "mailName" || row.Message == "" {
				t.Errorf("row %d says %q of %q", row.Number, row.Message, row.Field)
			}
		case platform.ImportRowStateCreated:
			if row.Sealed != "" {
				t.Errorf("row %d still keeps its password", row.Number)
			}
		default:
			t.Errorf("row %d is %s", row.Number, row.State)
		}
	}
	if diff := cmp.Diff(badRows(), bad); diff != "" {
		t.Errorf("the rows that became nobody:\n%s", diff)
	}
}
