package platform

import (
	"fmt"
	"io"
	"strconv"
	"time"
)

// Time is a moment in UTC, to the microsecond. Written out it has always the
// same width, so that texts sort as moments do, in every database.
type Time struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000000Z"

// At is the moment t.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Microsecond)} }

// Add is the moment d later.
func (t Time) Add(d time.Duration) Time { return Time{t.Time.Add(d)} }

func (t Time) String() string { return t.UTC().Format(timeLayout) }

// MarshalJSON writes the moment with all its digits.
func (t Time) MarshalJSON() ([]byte, error) {
	return t.UTC().AppendFormat(nil, `"`+timeLayout+`"`), nil
}

// UnmarshalJSON reads any RFC 3339 moment.
func (t *Time) UnmarshalJSON(data []byte) error {
	if len(data) < 2 || data[0] != '"' {
		return fmt.Errorf("%.40s is no text", data)
	}
	parsed, err := time.Parse(time.RFC3339Nano, string(data[1:len(data)-1]))
	if err != nil {
		return err
	}
	*t = At(parsed)
	return nil
}

// MarshalGQL writes the moment as GraphQL's Time.
func (t Time) MarshalGQL(w io.Writer) {
	io.WriteString(w, strconv.Quote(t.String())) //nolint:errcheck // a GraphQL writer is a buffer
}

// UnmarshalGQL reads an RFC 3339 moment and refuses everything else.
func (t *Time) UnmarshalGQL(value any) error {
	text, ok := value.(string)
	if !ok {
		return Errorf(Invalid, "A time is written as text, such as 2026-01-31T12:00:00Z.")
	}
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return Errorf(Invalid, "A time is written like 2026-01-31T12:00:00Z.").Because(fmt.Errorf("parse time: %w", err))
	}
	*t = At(parsed)
	return nil
}
