package platform

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The bounds of a zone text. A text record is made of strings of at most 255
// bytes each (RFC 1035, 3.3).
const (
	longestZone   = 256 << 10
	mostRecords   = 500
	longestString = 255
)

// ParseZone reads the records that the mail server wants for a domain, in the
// form of its dnsZoneFile: one record a line, the owner absolute, no TTL, class
// IN, and a text of more than 255 bytes as several strings between brackets, one
// a line. Blank lines are passed over. Anything else is Unavailable, with the
// line in its sentence: better none than half of a domain's records.
//
// MX, DKIM and DMARC records are required, and the SPF records of names that
// have an MX record. All others are recommended.
func ParseZone(text string) ([]WantedRecord, error) {
	if len(text) > longestZone {
		return nil, Errorf(Unavailable, "The mail server wants more DNS records than can be read.")
	}
	var records []WantedRecord
	zone := zoneReader{lines: strings.Split(text, "\n")}
	for zone.at < len(zone.lines) {
		number := zone.at + 1
		line := zone.next()
		if strings.TrimSpace(line) == "" {
			continue
		}
		record, problem := zone.record(line)
		if problem == "" && len(records) == mostRecords {
			problem = "too many records"
		}
		if problem != "" {
			return nil, Errorf(Unavailable, "The mail server's DNS records cannot be read from line %d on.", number).
				Because(fmt.Errorf("line %d: %s", number, problem))
		}
		records = append(records, record)
	}
	for i, r := range records {
		records[i].Required = r.required(records)
	}
	return records, nil
}

// ZoneText writes records in the form that ParseZone reads, which is the form of
// zone files too (F-6).
func ZoneText(records []WantedRecord) string {
	var zone strings.Builder
	for _, r := range records {
		value := r.Value
		if r.Type == RecordTypeTXT {
			value = quoteText(value)
		}
		zone.WriteString(r.Name + ". IN " + string(r.Type) + " " + value + "\n")
	}
	return zone.String()
}

func quoteText(text string) string {
	if len(text) <= longestString {
		return quoteString(text)
	}
	var lines strings.Builder
	for len(text) > 0 {
		n := min(longestString, len(text))
		lines.WriteString("    " + quoteString(text[:n]) + "\n")
		text = text[n:]
	}
	return "(\n" + lines.String() + ")"
}

func quoteString(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// required says whether mail suffers without the record.
func (w WantedRecord) required(all []WantedRecord) bool {
	switch w.Purpose {
	case RecordPurposeMX, RecordPurposeDKIM, RecordPurposeDMARC:
		return true
	case RecordPurposeSPF:
		return slices.ContainsFunc(all, func(other WantedRecord) bool { return other.Type == RecordTypeMX && other.Name == w.Name })
	}
	return false
}

// zoneReader goes through the lines of a zone text.
type zoneReader struct {
	lines []string
	at    int
}

func (z *zoneReader) next() string {
	z.at++
	return z.lines[z.at-1]
}

// record reads the record that begins with line. A problem, if there is one, is
// for the log.
func (z *zoneReader) record(line string) (r WantedRecord, problem string) {
	parts := strings.SplitN(line, " ", 4)
	if len(parts) < 4 || parts[1] != "IN" {
		return r, "not of the form owner IN type data"
	}
	name, ok := parseName(parts[0])
	if !ok {
		return r, "the owner is no absolute name"
	}
	r.Name, r.Type = name, RecordType(parts[2])
	switch r.Type {
	case RecordTypeTXT:
		r.Value, problem = z.text(parts[3])
	case RecordTypeMX:
		r.Value, problem = parseNumbers(parts[3], 1)
	case RecordTypeSRV:
		r.Value, problem = parseNumbers(parts[3], 3)
	case RecordTypeCNAME:
		r.Value, problem = parseNumbers(parts[3], 0)
	case RecordTypeCAA:
		r.Value, problem = parseCAALine(parts[3])
	case RecordTypeTLSA:
		r.Value, problem = parseTLSA(parts[3])
	default:
		problem = "a type that is not known here"
	}
	r.Purpose = purposeOf(r)
	return r, problem
}

// text reads one string, or several between brackets.
func (z *zoneReader) text(data string) (text, problem string) {
	if data != "(" {
		return parsePiece(data)
	}
	var whole strings.Builder
	for z.at < len(z.lines) {
		line := strings.TrimLeft(z.next(), " ")
		if line == ")" {
			return whole.String(), ""
		}
		part, problem := parsePiece(line)
		if problem != "" {
			return "", problem
		}
		whole.WriteString(part)
	}
	return "", "a bracket is never closed"
}

// parsePiece reads a string of a text.
func parsePiece(data string) (text, problem string) {
	if text, problem = parseString(data); len(text) > longestString {
		return "", "a string of more than 255 bytes"
	}
	return text, problem
}

// parseString reads a string between quotation marks, in which a backslash
// stands before a backslash and a quotation mark, and before nothing else.
func parseString(data string) (text, problem string) {
	inner, ok := strings.CutPrefix(data, `"`)
	if !ok {
		return "", "a text without quotation marks"
	}
	var out strings.Builder
	for i := 0; i < len(inner); i++ {
		switch c := inner[i]; {
		case c == '"' && i == len(inner)-1 && utf8.ValidString(out.String()):
			return out.String(), ""
		case c == '"' || c < ' ' || c == 0x7f:
			return "", "a text with what does not belong into one"
		case c == '\\':
			if i++; i == len(inner) || inner[i] != '\\' && inner[i] != '"' {
				return "", "a backslash before what needs none"
			}
			out.WriteByte(inner[i])
		default:
			out.WriteByte(c)
		}
	}
	return "", "a quotation mark is never closed"
}

// parseNumbers reads some numbers and a name.
func parseNumbers(data string, n int) (value, problem string) {
	fields := strings.Split(data, " ")
	if len(fields) != n+1 {
		return "", "too much or too little data"
	}
	for i, field := range fields[:n] {
		number, err := strconv.ParseUint(field, 10, 16)
		if err != nil {
			return "", "a number is none, or too large"
		}
		fields[i] = strconv.FormatUint(number, 10)
	}
	name, ok := parseName(fields[n])
	if !ok {
		return "", "the target is no absolute name"
	}
	fields[n] = name + "."
	return strings.Join(fields, " "), ""
}

func parseName(text string) (name string, ok bool) {
	name, dotted := strings.CutSuffix(strings.ToLower(text), ".")
	return name, dotted && isHost(name)
}

func parseCAALine(data string) (value, problem string) {
	fields := strings.SplitN(data, " ", 3)
	if len(fields) != 3 {
		return "", "too little data"
	}
	flags, err := strconv.ParseUint(fields[0], 10, 8)
	tag := strings.ToLower(fields[1])
	if err != nil || tag == "" || strings.Trim(tag, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return "", "no flags and tag"
	}
	text, problem := parseString(fields[2])
	return fmt.Sprintf("%d %s %s", flags, tag, quoteString(text)), problem
}

func parseTLSA(data string) (value, problem string) {
	fields := strings.Split(data, " ")
	if len(fields) != 4 {
		return "", "too much or too little data"
	}
	for i, field := range fields[:3] {
		number, err := strconv.ParseUint(field, 10, 8)
		if err != nil {
			return "", "a number is none, or too large"
		}
		fields[i] = strconv.FormatUint(number, 10)
	}
	fields[3] = strings.ToLower(fields[3])
	if hash, err := hex.DecodeString(fields[3]); err != nil || len(hash) == 0 {
		return "", "the certificate's data is not hexadecimal"
	}
	return strings.Join(fields, " "), ""
}

// purposeOf knows a record by its type and by how its name begins.
func purposeOf(r WantedRecord) RecordPurpose {
	switch r.Type {
	case RecordTypeMX:
		return RecordPurposeMX
	case RecordTypeSRV:
		return RecordPurposeService
	case RecordTypeCAA:
		return RecordPurposeCAA
	case RecordTypeTLSA:
		return RecordPurposeTLSA
	case RecordTypeCNAME:
		if strings.HasPrefix(r.Name, "mta-sts.") {
			return RecordPurposeMTASTS
		}
		return RecordPurposeAutoconfig
	}
	for prefix, purpose := range map[string]RecordPurpose{
		"_dmarc.": RecordPurposeDMARC, "_mta-sts.": RecordPurposeMTASTS, "_smtp._tls.": RecordPurposeTLSRPT,
		"_ua-auto-config.": RecordPurposeAutoconfig, "_validation-persist.": RecordPurposeCAA,
	} {
		if strings.HasPrefix(r.Name, prefix) {
			return purpose
		}
	}
	switch {
	case strings.Contains(r.Name, "._domainkey."):
		return RecordPurposeDKIM
	case isSPF(r.Value):
		return RecordPurposeSPF
	case strings.HasPrefix(r.Value, ownershipPrefix):
		return RecordPurposeOwnership
	}
	return RecordPurposeOther
}
