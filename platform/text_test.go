package platform

import (
	"strings"
	"testing"
)

func TestCleanLine(t *testing.T) {
	t.Parallel()
	const refused = "INVALID name"
	for text, test := range map[string]struct{ want, err, reason string }{
		"Acme":                  {want: "Acme", reason: "an ordinary one"},
		"  Acme & Söhne\t":      {want: "Acme & Söhne", reason: "trimmed outside"},
		"\u3000Acme\u00a0":      {want: "Acme", reason: "every script's blanks are trimmed"},
		"東京 株式会社":               {want: "東京 株式会社", reason: "every script"},
		"हिन्दी":                {want: "हिन्दी", reason: "marks that are seen"},
		"Acme 🚀":                {want: "Acme 🚀", reason: "a picture is seen"},
		"O'Neill <b>\"x\"</b>":  {want: "O'Neill <b>\"x\"</b>", reason: "signs are the page's to escape"},
		strings.Repeat("é", 20): {want: strings.Repeat("é", 20), reason: "the longest, in characters"},
		"":                      {err: refused, reason: "nothing"},
		" \t\n":                 {err: refused, reason: "nothing but blanks"},
		"\u3164":                {err: refused, reason: "a Hangul filler is a letter that is blank"},
		"\u2800\u2800":          {err: refused, reason: "the Braille blank is a sign that is blank"},
		strings.Repeat("é", 21): {err: refused, reason: "one too many"},
		"Ac\nme":                {err: refused, reason: "a line end splits a header, a log line, a table"},
		"Ac\r\nme":              {err: refused, reason: "and so does this one"},
		"Ac\u2028me":            {err: refused, reason: "a line separator"},
		"Ac\u2029me":            {err: refused, reason: "a paragraph separator"},
		"Ac\u0085me":            {err: refused, reason: "a line end of old"},
		"Ac\x00me":              {err: refused, reason: "a zero byte"},
		"Ac\x1b[31mme":          {err: refused, reason: "an escape colors a terminal"},
		"Ac\u200bme":            {err: refused, reason: "zero width"},
		"Ac\u200dme":            {err: refused, reason: "a joiner"},
		"Ac\ufeffme":            {err: refused, reason: "a mark of byte order"},
		"Ac\u00adme":            {err: refused, reason: "a soft hyphen"},
		"Ac\u202eem":            {err: refused, reason: "turns round"},
		"Ac\u2066me\u2069":      {err: refused, reason: "isolates turn round too"},
		"Ac\u034fme":            {err: refused, reason: "a joiner of graphemes"},
		"Ac\ufe0fme":            {err: refused, reason: "a selector carries what nobody sees"},
		"Ac\U000e0041me":        {err: refused, reason: "tags spell words that nobody sees"},
		"Ac\ue000me":            {err: refused, reason: "private use looks as everyone likes"},
		"Ac\xffme":              {err: refused, reason: "no UTF-8"},
		"Ac\ufffdme":            {err: refused, reason: "what was no UTF-8 before"},
	} {
		got, err := cleanLine("name", text, 20)
		if refusal(err) != test.err || got != test.want {
			t.Errorf("%q (%s): got %q, %v; want %q, %q", text, test.reason, got, err, test.want, test.err)
		}
	}
}
