package platform

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadingATable(t *testing.T) {
	t.Parallel()
	admin, quota, none := MemberRoleAdmin, int32(512), int32(-1)
	boss := MemberRole("BOSS")
	many := func(n int) string {
		return "name,mailName\n" + strings.Repeat("A,a\n", n)
	}
	anna := []*MemberRowInput{{Name: "Anna", MailName: "anna"}}
	for name, test := range map[string]struct {
		text   string
		want   []*MemberRowInput
		says   string // in the sentence of a refusal
		reason string
	}{
		"plain":                   {"name,mailName\nAnna,anna\n", anna, "", "what is needed"},
		"no last newline":         {"name,mailName\nAnna,anna", anna, "", "editors leave it out"},
		"windows":                 {"\ufeffname;mailName\r\nAnna;anna\r\n", anna, "", "as spreadsheets save it"},
		"a mark and quotes":       {"\ufeff\"name\",\"mailName\"\n\"Anna\",\"anna\"\n", anna, "", "the mark comes before the quote"},
		"any order, any capitals": {"MAILNAME , Name\nanna,Anna\n", anna, "", "people write heads by hand"},
		"empty lines":             {"name,mailName\n\nAnna,anna\n\n", anna, "", "they say nothing"},
		"blanks":                  {"name,mailName\n  Anna , anna \n", anna, "", "they say nothing"},
		"all columns": {
			"name,mailName,role,aliases,mailQuotaMiB\nAnna,anna,admin,info  sales,512\nBert,bert,,,\n",
			[]*MemberRowInput{
				{Name: "Anna", MailName: "anna", Role: &admin, Aliases: []string{"info", "sales"}, MailQuotaMiB: &quota}, {Name: "Bert", MailName: "bert"},
			}, "", "what is empty is not said",
		},
		"quotes": {
			"name,mailName\n\"Anna \"\"A.\"\" Berg, PhD\",anna\n",
			[]*MemberRowInput{{Name: `Anna "A." Berg, PhD`, MailName: "anna"}}, "", "a comma in a name",
		},
		"semicolons and a comma": {
			"name;mailName\nBerg, Anna;anna\n", []*MemberRowInput{{Name: "Berg, Anna", MailName: "anna"}}, "", "the head says what parts",
		},
		"no role, no number": {
			"name,mailName,role,mailQuotaMiB\nAnna,anna,boss,much\n",
			[]*MemberRowInput{{Name: "Anna", MailName: "anna", Role: &boss, MailQuotaMiB: &none}}, "", "refused with the row, not with the table",
		},
		"a number too long": {
			"name,mailName,mailQuotaMiB\nAnna,anna,99999999999\n",
			[]*MemberRowInput{{Name: "Anna", MailName: "anna", MailQuotaMiB: &none}}, "", "refused with the row",
		},
		"nothing":        {"", nil, "no first line", "no table"},
		"a mark alone":   {"\ufeff", nil, "no first line", "no table"},
		"a head alone":   {"name,mailName\n", nil, "1 to 2000 rows", "nobody to import"},
		"unknown column": {"name,mailName,shoe\nAnna,anna,38\n", nil, `no column "shoe"`, "a typing error would lose a column"},
		"missing column": {"name,role\nAnna,ADMIN\n", nil, `"mailName" is missing`, "every row would fail"},
		"column twice":   {"name,mailName,Name\nAnna,anna,B\n", nil, "there twice", "nobody knows which counts"},
		"short record":   {"name,mailName\nAnna,anna\nBert\n", nil, "line 3", "something is missing"},
		"long record":    {"name,mailName\nAnna,anna,x\n", nil, "line 2", "something is too much"},
		"open quote":     {"name,mailName\n\"Anna,anna\nBert,bert\n", nil, "line 2", "the rest would be one name"},
		"bare quote":     {"name,mailName\nAn\"na,anna\n", nil, "line 2", "in the first field, of which nothing is known then"},
		"as many as may": {many(2000), make([]*MemberRowInput, 2000), "", "bounded"},
		"one too many":   {many(2001), nil, "1 to 2000 rows", "bounded"},
	} {
		got, err := readTable(test.text)
		if test.says != "" {
			ours, _ := errors.AsType[*Error](err)
			if ours == nil || ours.Code != Invalid || ours.Field != "csv" || !strings.Contains(ours.Message, test.says) {
				t.Errorf("%s: got %v, %v, want %q on csv (%s)", name, got, err, test.says, test.reason)
			}
			continue
		}
		if len(test.want) == mostRows && len(got) == mostRows {
			continue
		}
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (%s) (- expected, + found):\n%s", name, err, test.reason, diff)
		}
	}
}

func TestLookingAtRows(t *testing.T) {
	t.Parallel()
	n := 0
	p := New(Options{NewID: func(k Kind) ID { n++; return ID(fmt.Sprintf("%s_%d", k, n)) }, SealKey: NewSecret("x"), Clock: NewSystemClock()})
	boss, admin, none := MemberRole("BOSS"), MemberRoleAdmin, int32(-1)
	rows := []struct {
		in     MemberRowInput
		field  string
		reason string
	}{
		{MemberRowInput{Name: "Anna", MailName: "Anna", Aliases: []string{"info", "anna"}}, "", "good; one's own name is no second one"},
		{MemberRowInput{Name: "", MailName: "b"}, "name", "nobody"},
		{MemberRowInput{Name: "C", MailName: "c c"}, "mailName", "no mail name"},
		{MemberRowInput{Name: "D", MailName: "d", Role: &boss}, "role", "no role"},
		{MemberRowInput{Name: "E", MailName: "e", MailQuotaMiB: &none}, "mailQuotaMiB", "no number"},
		{MemberRowInput{Name: "F", MailName: "anna"}, "mailName", "that of the first"},
		{MemberRowInput{Name: "G", MailName: "INFO"}, "mailName", "an alias of the first"},
		{MemberRowInput{Name: "H", MailName: "h", Aliases: []string{"anna"}}, "aliases", "an alias is an address too"},
		{MemberRowInput{Name: "I", MailName: "h"}, "", "the one before is nobody"},
		{MemberRowInput{Name: "J", MailName: "e", Role: &admin}, "", "and so is that"},
	}
	var in []*MemberRowInput
	for _, r := range rows {
		in = append(in, &r.in)
	}
	got, err := p.planImport("ten_a", "x.test", in)
	if err != nil || len(got.chunks) != 1 || got.Failed != 7 || got.Rows != 10 || len(got.passwords) != 3 {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i, row := range got.chunks[0].Rows {
		want, failed := rows[i], rows[i].field != ""
		if row.Number != int32(i+1) || row.Field != want.field || (row.Message != "") != failed || (row.State == ImportRowStateFailed) != failed {
			t.Errorf("row %d: got %+v (%s)", i+1, row, want.reason)
		}
		if failed && (row.Sealed != "" || row.MemberID != "" || row.UserID != "" || row.Becomes() != nil) {
			t.Errorf("row %d is nobody, and has %+v", i+1, row)
		}
		if !failed && (row.Sealed == "" || row.Becomes() == nil) {
			t.Errorf("row %d is somebody, and has %+v", i+1, row)
		}
		if row.Role != MemberRoleMember && row.Role != MemberRoleAdmin {
			t.Errorf("row %d is shown with the role %q", i+1, row.Role)
		}
	}
	if got.passwords[0].Number != 1 || got.passwords[0].Address != "anna@x.test" || got.passwords[1].Number != 9 || got.passwords[2].Number != 10 {
		t.Errorf("the passwords are %+v", got.passwords)
	}
}
