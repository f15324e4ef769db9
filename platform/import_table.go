package platform

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// readTable reads a table with a head.
func readTable(text string) ([]*MemberRowInput, error) {
	table := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	table.TrimLeadingSpace = true
	if head, _, _ := strings.Cut(text, "\n"); strings.Count(head, ";") > strings.Count(head, ",") {
		table.Comma = ';' // as spreadsheets write it where the comma is in numbers
	}
	bad := func(err error) error {
		return Errorf(Invalid, "This is no table that can be read: %s.", err).On("csv")
	}
	head, err := table.Read()
	if err != nil {
		return nil, bad(errors.New("it has no first line"))
	}
	if err := checkColumns(head); err != nil {
		return nil, bad(err)
	}
	var rows []*MemberRowInput
	for {
		record, err := table.Read()
		switch {
		case errors.Is(err, io.EOF) && len(rows) > 0:
			return rows, nil
		case errors.Is(err, io.EOF), err == nil && len(rows) == mostRows:
			return nil, Errorf(Invalid, "An import has 1 to %d rows.", mostRows).On("csv")
		case err != nil:
			line := 0
			if at, ok := errors.AsType[*csv.ParseError](err); ok {
				line = at.StartLine
			}
			return nil, bad(fmt.Errorf("line %d has not the columns of the first one, or a quote that is not closed", line))
		}
		rows = append(rows, rowOf(head, record))
	}
}

// checkColumns writes the columns of a head in small letters, and refuses those
// that nobody knows, that are there twice, or that are missing.
func checkColumns(head []string) error {
	known := []string{"name", "mailname", "role", "aliases", "mailquotamib"}
	for i, column := range head {
		head[i] = strings.ToLower(strings.TrimSpace(column))
		switch {
		case !slices.Contains(known, head[i]):
			return fmt.Errorf("there is no column %q", shorten(ID(column)))
		case slices.Contains(head[:i], head[i]):
			return fmt.Errorf("the column %q is there twice", shorten(ID(column)))
		}
	}
	for _, needed := range []string{"name", "mailName"} {
		if !slices.Contains(head, strings.ToLower(needed)) {
			return fmt.Errorf("the column %q is missing", needed)
		}
	}
	return nil
}

// rowOf is a record by its columns. What is no role or no number becomes one
// that is refused with the row.
func rowOf(head, record []string) *MemberRowInput {
	row := &MemberRowInput{}
	for i, column := range head {
		value := strings.TrimSpace(record[i])
		if value == "" {
			continue
		}
		switch column {
		case "name":
			row.Name = value
		case "mailname":
			row.MailName = value
		case "role":
			role := MemberRole(strings.ToUpper(value))
			row.Role = &role
		case "aliases":
			row.Aliases = strings.Fields(value)
		case "mailquotamib":
			quota := int32(-1)
			if n, err := strconv.ParseInt(value, 10, 32); err == nil {
				quota = int32(n)
			}
			row.MailQuotaMiB = &quota
		}
	}
	return row
}
