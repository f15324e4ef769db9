package platform_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// people are n rows, of whom some have a bad name.
func people(n int, bad ...int) []*platform.MemberRowInput {
	rows := make([]*platform.MemberRowInput, n)
	for i := range rows {
		rows[i] = &platform.MemberRowInput{Name: fmt.Sprint("Person ", i+1), MailName: fmt.Sprint("p", i+1)}
	}
	for _, number := range bad {
		rows[number-1].MailName = "not a name"
	}
	return rows
}

// imports begins an import into acme, which has room.
func (w *world) imports(t testing.TB, rows []*platform.MemberRowInput) *platform.ImportStartPayload {
	t.Helper()
	begun, err := w.BulkCreateMembers(w.by(t, "admin"), platform.BulkCreateMembersInput{TenantID: "ten_acme", Rows: rows})
	if err != nil || len(begun.UserErrors) > 0 {
		t.Fatalf("got %+v, %v", begun, err)
	}
	return begun
}

// rows are those of an import.
func (w *world) rows(t testing.TB, id platform.ID) []*platform.ImportRow {
	t.Helper()
	all, err := w.RowsOfImports(t.Context(), []platform.ID{id})
	if err != nil {
		t.Fatal(err)
	}
	return all[id]
}

// tally counts an import's rows by their states, and looks that they are in order
// and that only those that wait have anything sealed.
func (w *world) tally(t testing.TB, id platform.ID) map[platform.ImportRowState]int {
	t.Helper()
	states := map[platform.ImportRowState]int{}
	for i, row := range w.rows(t, id) {
		states[row.State]++
		if row.Number != int32(i+1) {
			t.Errorf("row %d is at %d", row.Number, i+1)
		}
		if (row.Sealed != "") != (row.State == platform.ImportRowStatePending) {
			t.Errorf("row %d is %s, and keeps %q", row.Number, row.State, row.Sealed)
		}
	}
	return states
}

func (w *world) imported(t testing.TB, id platform.ID) *platform.Import {
	t.Helper()
	i, err := w.store.Import(t.Context(), "ten_acme", id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

const (
	created   = platform.ImportRowStateCreated
	failedRow = platform.ImportRowStateFailed
	pending   = platform.ImportRowStatePending
	cancelled = platform.ImportRowStateCancelled
)

type tallied = map[platform.ImportRowState]int

func TestAThousandRowsOfWhomThreeAreBad(t *testing.T) {
	t.Parallel()
	w := office(t)
	w.seats(t, "ten_acme", 2000)
	begun := w.imports(t, people(1000, 7, 500, 1000))
	id := begun.Object.ID
	if len(begun.Passwords) != 997 || begun.Object.State != platform.ImportStateRunning || begun.Object.Failed != 3 {
		t.Fatalf("%d passwords, %+v", len(begun.Passwords), begun.Object)
	}
	if diff := cmp.Diff(tallied{pending: 997, failedRow: 3}, w.tally(t, id)); diff != "" {
		t.Errorf("before it is worked off (- expected, + found):\n%s", diff)
	}
	w.full(t, "ten_acme", 2)
	step := w.claim(t, id)[0]
	before, err := w.store.Provisioning(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Roster().Apply(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	w.report(t, step, platform.StepResult{})
	w.full(t, "ten_acme", 999)
	if diff := cmp.Diff(tallied{created: 997, failedRow: 3}, w.tally(t, id)); diff != "" {
		t.Errorf("(- expected, + found):\n%s", diff)
	}
	for _, row := range w.rows(t, id) {
		bad := row.Number == 7 || row.Number == 500 || row.Number == 1000
		if bad && (row.Field != "mailName" || row.Message == "" || row.Name == "") || !bad && (row.Field != "" || row.Message != "") {
			t.Errorf("got %+v", row)
		}
	}
	if i := w.imported(t, id); i.State != platform.ImportStateDone || i.Created != 997 || i.Failed != 3 || i.Rows != 1000 {
		t.Errorf("got %+v", i)
	}

	// What was shown is what their systems get.
	shown := begun.Passwords[0]
	first := w.member(t, *w.rows(t, id)[0].Becomes())
	if s := w.claim(t, first.ID)[0]; shown.Number != 1 || shown.Address != first.Address || s.Want.Member.Mailbox.Password.Reveal() != shown.Password {
		t.Errorf("the password that was shown, for %s, is not that of %s", shown.Address, first.Address)
	}
	for _, text := range []string{w.telling(t, "ten_acme", ""), fmt.Sprintf("%+v", w.imported(t, id))} {
		if strings.Contains(text, shown.Password) {
			t.Error("a password is in the log")
		}
	}

	// Every chunk is one loud event, in order, that has come further.
	events, err := w.store.EventsAfter(t.Context(), id, before.Sequence, 100)
	if err != nil || len(events) != 22 {
		t.Fatalf("%d events, %v; want one a chunk, the end, and the report", len(events), err)
	}
	done := int32(-1)
	for i, e := range events {
		s := e.Steps[0]
		if e.Sequence != before.Sequence+int32(i)+1 || s.Total != 1000 || s.Done < done || i < 20 && s.Done == done {
			t.Errorf("event %d: sequence %d, %d of %d after %d", i, e.Sequence, s.Done, s.Total, done)
		}
		done = s.Done
	}
	if last := events[21].Steps[0]; last.State != platform.ProvisioningStateOK || last.Done != 1000 {
		t.Errorf("the last event is %+v", last)
	}
}

func TestAnImportsPasswordsAreShownOnce(t *testing.T) {
	t.Parallel()
	var lose atomic.Int32
	w := officeOn(t, func(e store.Engine) store.Engine { return forgetful{e, &lose} })
	in := platform.ImportMembersInput{TenantID: "ten_acme", Csv: "name,mailName\nA,a\nB,b\n", IdempotencyKey: pointer("k1")}
	ctx := w.by(t, "admin")
	lose.Store(2) // the first is the key's
	first, err := w.ImportMembers(ctx, in)
	if err != nil || first.Object == nil || len(first.Passwords) != 2 {
		t.Fatalf("the commit had gone through: %+v, %v; want the passwords, which nobody can be shown later", first, err)
	}
	again, err := w.ImportMembers(ctx, in)
	if err != nil || again.Object.ID != first.Object.ID || len(again.Passwords) != 0 || again.UserErrors[0].Code != platform.UserErrorCodeAlreadyShown {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	in.Csv = "name,mailName\nA,a\n"
	other, err := w.ImportMembers(ctx, in)
	if err != nil || other.Object != nil || len(other.Passwords) != 0 || other.UserErrors[0].Code != platform.UserErrorCodeConflict {
		t.Errorf("something else with the key: %+v, %v", other, err)
	}
	if n, err := w.store.CountImportsOf(t.Context(), "ten_acme"); err != nil || n != 1 {
		t.Errorf("%d imports, %v", n, err)
	}
	for _, bad := range []platform.ImportMembersInput{{TenantID: "ten_acme"}, {TenantID: "ten_acme", Csv: "name\nA\n"}} {
		if got, err := w.ImportMembers(ctx, bad); err != nil || got.Object != nil || len(got.UserErrors) != 1 || *got.UserErrors[0].Field != "csv" {
			t.Errorf("%+v: %+v, %v", bad, got, err)
		}
	}
	for _, n := range []int{0, 2001} {
		got, err := w.BulkCreateMembers(ctx, platform.BulkCreateMembersInput{TenantID: "ten_acme", Rows: people(n)})
		if err != nil || len(got.UserErrors) != 1 || *got.UserErrors[0].Field != "rows" {
			t.Errorf("%d rows: %+v, %v", n, got, err)
		}
	}
	w.turns(t, "ten_acme", platform.TenantStatusSuspended)
	if got, err := w.BulkCreateMembers(ctx, platform.BulkCreateMembersInput{TenantID: "ten_acme", Rows: people(1)}); err != nil || len(got.UserErrors) != 1 {
		t.Errorf("into a tenant that is shut: %+v, %v", got, err)
	}
}

func TestWhatHappensWhileRowsWait(t *testing.T) {
	t.Parallel()
	w := office(t)
	w.seats(t, "ten_acme", 200)
	rows := people(60)
	rows[2].Aliases = []string{"info"}
	begun := w.imports(t, rows)
	// Others were quicker.
	if _, _, err := w.CreateMember(w.by(t, "admin"), newcomer{TenantID: "ten_acme", Name: "P", MailName: "p2", Aliases: []string{"info"}}); err != nil {
		t.Fatal(err)
	}
	w.seats(t, "ten_acme", 54) // three are taken
	w.works(t, done)
	w.full(t, "ten_acme", 54)
	if diff := cmp.Diff(tallied{created: 51, failedRow: 9}, w.tally(t, begun.Object.ID)); diff != "" {
		t.Errorf("(- expected, + found):\n%s", diff)
	}
	for _, row := range w.rows(t, begun.Object.ID) {
		want := ""
		switch {
		case row.Number == 2:
			want = "mailName: The address p2@acme.dezky.test is taken."
		case row.Number == 3:
			want = "aliases: The address info@acme.dezky.test is taken."
		case row.Number > 53:
			want = ": All 54 seats of the tenant are taken."
		}
		if got := row.Field + ": " + row.Message; got != want && (want != "" || row.Message != "") {
			t.Errorf("row %d: %q, want %q", row.Number, got, want)
		}
	}
	if w.holder(t, "p3@acme.dezky.test") != "" {
		t.Error("a row that was refused has claimed an address")
	}

	second := w.imports(t, people(10))
	w.turns(t, "ten_acme", platform.TenantStatusSuspended)
	w.works(t, done)
	if diff := cmp.Diff(tallied{failedRow: 10}, w.tally(t, second.Object.ID)); diff != "" {
		t.Errorf("in a tenant that was shut meanwhile (- expected, + found):\n%s", diff)
	}
}

// cutting has a session's roster cut off after each chunk.
func (w *world) cutting(t testing.TB, left *int, step platform.Step) error {
	t.Helper()
	*left = 1
	defer func() { *left = -1 }()
	_, err := w.Roster().Apply(t.Context(), step)
	return err
}

func TestAnImportThatIsCutOffAfterEachChunk(t *testing.T) {
	t.Parallel()
	left := -1
	w := officeOn(t, func(e store.Engine) store.Engine { return flaky{e, &left} })
	w.seats(t, "ten_acme", 1000)
	const n = 230 // five chunks
	begun := w.imports(t, people(n, 100))
	id := begun.Object.ID
	step, sessions := w.claim(t, id)[0], []platform.ID{w.session}
	var steps []platform.Step
	for chunk := range 5 {
		// Each of the chunks that are done takes one transaction, which changes nothing.
		left = chunk + 1
		if _, err := w.Roster().Apply(t.Context(), step); code(err) != platform.Unavailable {
			t.Fatalf("chunk %d: %v", chunk, err)
		}
		left = -1
		want := min(n, (chunk+1)*50)
		if got := w.tally(t, id); got[created]+got[failedRow] != want && want > 100 || got[created] > want {
			t.Errorf("cut off after chunk %d: %v", chunk, got)
		}
		if s := w.step(t, id, platform.IntegrationMembers); s.Done < int32(want)-1 || s.Total != n {
			t.Errorf("cut off after chunk %d: %d of %d", chunk, s.Done, s.Total)
		}
		steps = append(steps, step)
		dead := w.session
		w.session = platform.NewID(platform.KindSession)
		sessions = append(sessions, w.session)
		again, err := w.ClaimSteps(t.Context(), id, w.session, dead, everything)
		if err != nil || len(again) != 1 {
			t.Fatalf("taken over: %v, %v", again, err)
		}
		step = again[0]
		// The dead one was not: what it still does is nothing.
		before := w.tally(t, id)
		alive := w.session
		w.session = sessions[chunk]
		if _, err := w.Roster().Apply(t.Context(), steps[chunk]); code(err) != platform.Unavailable {
			t.Errorf("the zombie of chunk %d: %v", chunk, err)
		}
		w.session = alive
		if diff := cmp.Diff(before, w.tally(t, id)); diff != "" {
			t.Errorf("the zombie of chunk %d (- expected, + found):\n%s", chunk, diff)
		}
	}
	if _, err := w.Roster().Apply(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	w.report(t, step, platform.StepResult{})
	w.works(t, done)
	w.full(t, "ten_acme", 2+n-1)
	if diff := cmp.Diff(tallied{created: n - 1, failedRow: 1}, w.tally(t, id)); diff != "" {
		t.Errorf("(- expected, + found):\n%s", diff)
	}
	if i := w.imported(t, id); i.State != platform.ImportStateDone || i.Created != n-1 || i.Failed != 1 {
		t.Errorf("got %+v", i)
	}
	seen := map[string]bool{}
	for _, row := range w.rows(t, id) {
		if row.Becomes() == nil {
			continue
		}
		m := w.member(t, *row.Becomes())
		if seen[m.Address] || m.Address != row.MailName+"@acme.dezky.test" {
			t.Errorf("row %d is %+v", row.Number, m)
		}
		seen[m.Address] = true
	}
	// A look after the takeover, and whoever comes late, find nothing to do.
	events, audited := len(w.events(t, "ten_acme")), 0
	for _, e := range w.events(t, "ten_acme") {
		if e.Action == platform.ActionMembersImported {
			audited++
		}
	}
	if audited != 7 {
		t.Errorf("%d records, want one of the beginning, one a chunk, and one of the end", audited)
	}
	w.clock.Advance(time.Minute)
	if w.works(t, done); len(w.events(t, "ten_acme")) != events {
		t.Errorf("%d events more, of an import that is over", len(w.events(t, "ten_acme"))-events)
	}
}

func TestAnImportMadeAgainDoublesNothing(t *testing.T) {
	t.Parallel()
	w := officeOn(t, func(e store.Engine) store.Engine { return twice{e} })
	w.seats(t, "ten_acme", 102)
	begun := w.imports(t, people(110))
	w.works(t, done)
	w.full(t, "ten_acme", 102)
	if diff := cmp.Diff(tallied{created: 100, failedRow: 10}, w.tally(t, begun.Object.ID)); diff != "" {
		t.Errorf("(- expected, + found):\n%s", diff)
	}
}

func TestAnImportThatIsCancelled(t *testing.T) {
	t.Parallel()
	left := -1
	w := officeOn(t, func(e store.Engine) store.Engine { return flaky{e, &left} })
	w.seats(t, "ten_acme", 1000)
	begun := w.imports(t, people(120, 3, 119))
	id := begun.Object.ID
	step := w.claim(t, id)[0]
	if err := w.cutting(t, &left, step); code(err) != platform.Unavailable {
		t.Fatal(err)
	}
	in := platform.CancelImportInput{TenantID: "ten_acme", ImportID: id}
	if _, err := w.CancelImport(w.by(t, "globex"), platform.CancelImportInput{TenantID: "ten_globex", ImportID: id}); code(err) != platform.NotFound {
		t.Errorf("another tenant's: %v", err)
	}
	if i, err := w.CancelImport(w.by(t, "admin"), in); err != nil || i.State != platform.ImportStateCancelled {
		t.Fatalf("got %+v, %v", i, err)
	}
	check := func(when string) {
		t.Helper()
		if diff := cmp.Diff(tallied{created: 49, failedRow: 2, cancelled: 69}, w.tally(t, id)); diff != "" {
			t.Errorf("%s (- expected, + found):\n%s", when, diff)
		}
		w.full(t, "ten_acme", 51)
	}
	check("at once")
	if _, err := w.Roster().Apply(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	w.report(t, step, platform.StepResult{})
	w.works(t, done)
	check("when its worker comes by")
	for _, row := range w.rows(t, id) {
		if row.State == cancelled && row.Becomes() != nil {
			t.Errorf("%+v is somebody", row)
		}
	}
	if i := w.imported(t, id); i.State != platform.ImportStateCancelled || i.Created != 49 {
		t.Errorf("got %+v", i)
	}
	if _, err := w.CancelImport(w.by(t, "admin"), in); code(err) != platform.Conflict {
		t.Errorf("cancelled twice: %v", err)
	}
}

func TestAnImportWithAnotherKeyStops(t *testing.T) {
	t.Parallel()
	w := office(t)
	begun := w.imports(t, people(2))
	w.asks(platform.Options{SealKey: platform.NewSecret("another")})
	step := w.claim(t, begun.Object.ID)[0]
	_, err := w.Roster().Apply(t.Context(), step)
	if err == nil || platform.CanPass(err) {
		t.Errorf("got %v, want an error that does not pass", err)
	}
	w.report(t, step, platform.StepResult{Err: err})
	if s := w.step(t, begun.Object.ID, platform.IntegrationMembers); s.State != platform.ProvisioningStateError || s.NextTry != nil {
		t.Errorf("got %+v", s)
	}
	if diff := cmp.Diff(tallied{pending: 2}, w.tally(t, begun.Object.ID)); diff != "" {
		t.Errorf("(- expected, + found):\n%s", diff)
	}
	text, _ := json.Marshal(w.step(t, begun.Object.ID, platform.IntegrationMembers))
	for _, p := range begun.Passwords {
		if strings.Contains(string(text), p.Password) {
			t.Error("the step shows a password")
		}
	}
	if _, err := w.Roster().Apply(context.WithoutCancel(t.Context()), platform.Step{Subject: "grp_a"}); err == nil {
		t.Error("a subject without members to go through")
	}
}

func TestFewImportsRunAtOnce(t *testing.T) {
	t.Parallel()
	w := office(t)
	w.seats(t, "ten_acme", 100)
	start := func(context.Context) (*platform.ImportStartPayload, error) {
		return w.BulkCreateMembers(w.by(t, "admin"), platform.BulkCreateMembersInput{TenantID: "ten_acme", Rows: people(1)})
	}
	begun := atOnce(8, func(int) error {
		out, err := start(t.Context())
		if err == nil && len(out.UserErrors) > 0 {
			if len(out.Passwords) > 0 {
				t.Error("one that did not begin shows passwords")
			}
			return platform.Errorf(platform.Conflict, "%s", out.UserErrors[0].Message)
		}
		return err
	})
	list, err := w.ImportsOf(t.Context(), "ten_acme", nil, nil)
	if err != nil || len(list.Nodes()) > 5 || len(list.Nodes()) != begun[""] || begun[""]+begun[platform.Conflict] != 8 {
		t.Fatalf("%d begun, of %v, %v", len(list.Nodes()), begun, err)
	}
	for len(list.Nodes()) < 5 { // who met too many others at once may try again
		if _, err := start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if list, err = w.ImportsOf(t.Context(), "ten_acme", nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := start(t.Context()); err != nil || len(out.UserErrors) != 1 || out.UserErrors[0].Message != "At most 5 imports run at once." {
		t.Errorf("a sixth: %+v, %v", out, err)
	}
	w.works(t, done)
	if out, err := start(t.Context()); err != nil || len(out.UserErrors) > 0 {
		t.Errorf("once they are done: %+v, %v", out, err)
	}
}
