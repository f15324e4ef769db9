package platform

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cleanLine is a text that a person typed into one line: trimmed, not empty,
// no longer than longest, and without characters that hide or turn round what
// one reads (controls, bidirectional marks, zero widths).
func cleanLine(field, text string, longest int) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", Errorf(Invalid, "This must not be empty.").On(field)
	case utf8.RuneCountInString(text) > longest:
		return "", Errorf(Invalid, "This must be no longer than %d characters.", longest).On(field)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, hides):
		return "", Errorf(Invalid, "This must not have invisible characters.").On(field)
	}
	return text, nil
}

// hides holds for what is not seen: also for letters that are blank by
// themselves, such as the Hangul fillers, and for the selectors of a variant,
// which can carry any text along.
func hides(r rune) bool {
	return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
		r == '\u2800' || r == utf8.RuneError
}
