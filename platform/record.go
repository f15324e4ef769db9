package platform

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The bounds of looking records up. A record that was looked up is looked at
// again when what resolvers remember of it has run out, within these two.
const (
	soonestLook = time.Minute
	latestLook  = 24 * time.Hour

	mostRounds    = 24
	mostQuestions = 400
	mostFound     = 10
	longestFound  = 1024
)

// RecordType is a type of DNS record.
type RecordType string

// The types of records that the platform asks for.
const (
	RecordTypeA     RecordType = "A"
	RecordTypeAAAA  RecordType = "AAAA"
	RecordTypeCAA   RecordType = "CAA"
	RecordTypeCNAME RecordType = "CNAME"
	RecordTypeMX    RecordType = "MX"
	RecordTypeNS    RecordType = "NS"
	RecordTypeSRV   RecordType = "SRV"
	RecordTypeTLSA  RecordType = "TLSA"
	RecordTypeTXT   RecordType = "TXT"
)

// Question is what a resolver is asked. The name is in small letters, in ASCII
// and without a dot at its end; "." is the root.
type Question struct {
	Name string
	Type RecordType
}

// Outcome says how a resolver answered.
type Outcome string

// The outcomes of a question.
const (
	// OutcomeFound comes with values.
	OutcomeFound Outcome = "FOUND"
	// OutcomeEmpty is a name without records of the type.
	OutcomeEmpty Outcome = "EMPTY"
	// OutcomeNoName is a name that is not there (NXDOMAIN).
	OutcomeNoName Outcome = "NO_NAME"
	// OutcomeFailed says nothing about the records.
	OutcomeFailed Outcome = "FAILED"
)

// Failure says why a resolver has nothing to say.
type Failure string

// The failures.
const (
	FailureTimeout     Failure = "TIMEOUT"
	FailureUnreachable Failure = "UNREACHABLE"
	// FailureServer is the resolver's own trouble (SERVFAIL), such as an
	// authoritative server that does not answer it, or a signature that is wrong.
	FailureServer  Failure = "SERVFAIL"
	FailureRefused Failure = "REFUSED"
	// FailureGarbled is an answer that is none: not DNS, or to another question.
	FailureGarbled Failure = "GARBLED"
	// FailureTooLong is an answer with more in it than an honest one has.
	FailureTooLong Failure = "TOO_LONG"
)

// Finding is what one resolver answered to one question.
type Finding struct {
	// Resolver is its address with its port.
	Resolver string
	Outcome  Outcome
	// Failure is set for OutcomeFailed alone.
	Failure Failure
	// Values are the records, in an order that says nothing: of a TXT record its
	// strings joined to one text, without quotes, in which what cannot be printed is
	// \DDD; of all others the data as zone files have it, names in small letters and
	// with a dot at their end ("10 mail.example.org.", `0 issue "ca.example"`).
	Values []string
	// Chain are the names that CNAME records led over, the last one being where the
	// values are; empty where there are none. Names are as in Question.
	Chain []string
	// TTL is how long the resolver may still answer so: the least of the records',
	// and what the zone says for what is not there.
	TTL time.Duration
}

// Answers are the findings of all resolvers to one question, one each.
type Answers struct {
	Question Question
	Findings []Finding
}

// Resolvers are the public resolvers that are asked, each for itself (F-3).
type Resolvers interface {
	// Lookup asks every resolver every question, side by side, and answers in the
	// order of the questions. A resolver that does not answer is a finding, and no
	// error. What a question is answered with is never followed to another server.
	// It is Unavailable when ctx ends first, and Invalid and Never for more
	// questions than fit into one call. It may be repeated.
	Lookup(ctx context.Context, questions []Question) ([]Answers, error)
}

// RecordPurpose says what a record is for.
type RecordPurpose string

// The purposes of records.
const (
	RecordPurposeOwnership  RecordPurpose = "OWNERSHIP"
	RecordPurposeMX         RecordPurpose = "MX"
	RecordPurposeSPF        RecordPurpose = "SPF"
	RecordPurposeDKIM       RecordPurpose = "DKIM"
	RecordPurposeDMARC      RecordPurpose = "DMARC"
	RecordPurposeMTASTS     RecordPurpose = "MTA_STS"
	RecordPurposeTLSRPT     RecordPurpose = "TLS_RPT"
	RecordPurposeService    RecordPurpose = "SERVICE"
	RecordPurposeAutoconfig RecordPurpose = "AUTOCONFIG"
	RecordPurposeCAA        RecordPurpose = "CAA"
	RecordPurposeTLSA       RecordPurpose = "TLSA"
	RecordPurposeOther      RecordPurpose = "OTHER"
)

// WantedRecord is a record that should be published. Name is as in Question,
// Value as in Finding.
type WantedRecord struct {
	Name    string        `json:"name"`
	Type    RecordType    `json:"type"`
	Value   string        `json:"value"`
	Purpose RecordPurpose `json:"purpose"`
	// Required is false for a record that makes things better, without which mail
	// works all the same.
	Required bool `json:"required"`
}

// RecordStatus says how a record is published.
type RecordStatus string

// The statuses of a record.
const (
	RecordStatusOK RecordStatus = "OK"
	// RecordStatusWrong is published, and does not do what it should.
	RecordStatusWrong   RecordStatus = "WRONG"
	RecordStatusMissing RecordStatus = "MISSING"
	// RecordStatusUnknown says nothing against the record: nobody could tell, or
	// the resolvers do not agree yet.
	RecordStatusUnknown RecordStatus = "UNKNOWN"
)

// RecordCheck is how a wanted record was found.
type RecordCheck struct {
	Wanted WantedRecord `json:"wanted"`
	Status RecordStatus `json:"status"`
	// Expected is the value to publish. Others can be right too.
	Expected string `json:"expected"`
	// Found are the values that were judged, at most ten, and none of those that
	// are there for something else.
	Found []string `json:"found,omitempty"`
	// Reason is a sentence for a person. With OK it says what could be better, and
	// is mostly empty.
	Reason string `json:"reason,omitempty"`
	// LookAgain is the wait after which another look can see something else.
	LookAgain time.Duration `json:"lookAgain"`
}

// OwnershipRecord is the text that proves that a domain is its claimer's (F-1).
func OwnershipRecord(domain, token string) WantedRecord {
	return WantedRecord{
		Name: domain, Type: RecordTypeTXT, Value: ownershipPrefix + token, Purpose: RecordPurposeOwnership, Required: true,
	}
}

const ownershipPrefix = "dezky-verification="

// AskRecords asks all that CheckRecords has to know, in a bounded number of
// rounds, since answers raise questions: an SPF record names others. Its errors
// are those of Lookup.
func AskRecords(ctx context.Context, r Resolvers, wanted []WantedRecord) ([]Answers, error) {
	var known []Answers
	for range mostRounds {
		questions := QuestionsFor(wanted, known)
		questions = questions[:min(len(questions), mostQuestions-len(known))]
		if len(questions) == 0 {
			return known, nil
		}
		answers, err := r.Lookup(ctx, questions)
		if err != nil {
			return nil, err
		}
		known = append(known, answers...)
	}
	return known, nil
}

// QuestionsFor are the questions that are open after what is known, each once;
// none when there is nothing more to ask.
func QuestionsFor(wanted []WantedRecord, known []Answers) []Question {
	views := recordViews(known)
	if len(views) == 0 {
		views = []*recordView{{}}
	}
	var open []Question
	asked := map[Question]bool{}
	for _, w := range wanted {
		for _, v := range views {
			w.judge(wanted, v)
			for _, q := range v.missing {
				if !asked[q] {
					asked[q] = true
					open = append(open, q)
				}
			}
		}
	}
	return open
}

// CheckRecords judges each wanted record by what the resolvers found, in the
// order of the wanted ones.
//
// A resolver that failed has no say; if all failed, the record is UNKNOWN. If
// one finds it right and another does not, it is UNKNOWN too: a change spreads
// from resolver to resolver, in both directions, and a domain turns neither good
// nor bad by half of one. If none finds it right and they differ in how, it is
// WRONG.
func CheckRecords(wanted []WantedRecord, known []Answers) []RecordCheck {
	views := recordViews(known)
	checks := make([]RecordCheck, 0, len(wanted))
	for _, w := range wanted {
		verdicts := make([]verdict, 0, len(views))
		for _, v := range views {
			verdicts = append(verdicts, w.judge(wanted, v))
		}
		checks = append(checks, w.conclude(verdicts))
	}
	return checks
}

// recordView is what one resolver has told.
type recordView struct {
	resolver string
	known    map[Question]Finding
	// missing is what had to be known and was not asked yet.
	missing []Question
}

func recordViews(known []Answers) []*recordView {
	var views []*recordView
	byResolver := map[string]*recordView{}
	for _, a := range known {
		for _, f := range a.Findings {
			v := byResolver[f.Resolver]
			if v == nil {
				v = &recordView{resolver: f.Resolver, known: map[Question]Finding{}}
				byResolver[f.Resolver], views = v, append(views, v)
			}
			v.known[a.Question] = f
		}
	}
	return views
}

// look is what the resolver found; what it was not asked yet is a failure.
func (v *recordView) look(name string, kind RecordType) Finding {
	q := Question{name, kind}
	f, ok := v.known[q]
	if !ok {
		v.missing = append(v.missing, q)
		return Finding{Outcome: OutcomeFailed}
	}
	return f
}

// verdict is a record's status by one resolver.
type verdict struct {
	status   RecordStatus
	found    []string
	reason   string
	resolver string
	ttl      time.Duration
}

func verdictRight(found []string, remark string) verdict {
	return verdict{status: RecordStatusOK, found: found, reason: remark}
}

func verdictWrong(found []string, format string, args ...any) verdict {
	return verdict{status: RecordStatusWrong, found: found, reason: fmt.Sprintf(format, args...)}
}

func verdictMissing(format string, args ...any) verdict {
	return verdict{status: RecordStatusMissing, reason: fmt.Sprintf(format, args...)}
}

func verdictUnknown(found []string, format string, args ...any) verdict {
	return verdict{status: RecordStatusUnknown, found: found, reason: fmt.Sprintf(format, args...)}
}

// judge is the verdict by one resolver. All are the wanted records among which
// w stands, since some are right only together.
func (w WantedRecord) judge(all []WantedRecord, v *recordView) verdict {
	v.missing = nil
	f := v.look(w.Name, w.Type)
	var out verdict
	if f.Outcome == OutcomeFailed {
		out = verdictUnknown(nil, "%s", f.Failure.sentence())
	} else {
		out = w.law(all, f, v)
	}
	if len(v.missing) > 0 {
		out = verdictUnknown(nil, "It was not looked up yet.")
	}
	out.resolver, out.ttl = v.resolver, f.TTL
	return out
}

func (w WantedRecord) law(all []WantedRecord, f Finding, v *recordView) verdict {
	switch {
	case w.Purpose == RecordPurposeSPF:
		return w.checkSPF(all, f, v)
	case w.Type == RecordTypeCNAME:
		return w.checkCNAME(f, v)
	case w.Type == RecordTypeCAA:
		return w.checkCAA(f, v)
	case f.Outcome != OutcomeFound:
		return verdictMissing("%s", absence(f, w.Type))
	case w.Purpose == RecordPurposeMX:
		return w.checkMX(all, f)
	case w.Purpose == RecordPurposeService:
		return w.checkService(all, f)
	case w.Purpose == RecordPurposeTLSA:
		return w.checkTLSA(f)
	case w.Purpose == RecordPurposeOwnership:
		return w.checkOwnership(f)
	case w.Purpose == RecordPurposeDKIM:
		return w.checkDKIM(f)
	case w.Purpose == RecordPurposeDMARC:
		return w.checkDMARC(f)
	case w.Purpose == RecordPurposeMTASTS:
		return w.checkMTASTS(f)
	case w.Purpose == RecordPurposeTLSRPT:
		return w.checkTLSRPT(f)
	}
	return w.checkText(f)
}

// conclude makes one of what the resolvers found.
func (w WantedRecord) conclude(verdicts []verdict) RecordCheck {
	check := RecordCheck{
		Wanted: w, Status: RecordStatusUnknown, Expected: w.Value, Reason: "It was not looked up yet.", LookAgain: soonestLook,
	}
	sure := slices.DeleteFunc(slices.Clone(verdicts), func(v verdict) bool { return v.status == RecordStatusUnknown })
	bad := slices.DeleteFunc(slices.Clone(sure), func(v verdict) bool { return v.status == RecordStatusOK })
	// WRONG says more than MISSING, so it speaks for both.
	slices.SortStableFunc(bad, func(a, b verdict) int { return -cmp.Compare(a.status, b.status) })
	switch {
	case len(verdicts) == 0:
	case len(sure) == 0:
		check.fill(verdicts)
	case len(bad) == 0:
		check.fill(sure)
		check.Status = RecordStatusOK
	case len(bad) == len(sure):
		check.fill(bad)
		check.Status = bad[0].status
	default:
		check.fill(bad)
		check.Reason = fmt.Sprintf("The resolvers do not agree, so a change may still be spreading. %s says: %s", bad[0].resolver, bad[0].reason)
		check.found(sure)
	}
	return check
}

// fill takes over what verdicts say, the first one's reason for all of them.
func (c *RecordCheck) fill(from []verdict) {
	c.found(from)
	c.Reason = from[0].reason
	wait := time.Duration(0)
	for _, v := range from {
		wait = max(wait, v.ttl)
	}
	c.LookAgain = min(max(wait, soonestLook), latestLook)
}

func (c *RecordCheck) found(from []verdict) {
	c.Found = nil
	for _, v := range from {
		for _, value := range v.found {
			value = strings.ToValidUTF8(value[:min(len(value), longestFound)], "")
			if len(c.Found) < mostFound && !slices.Contains(c.Found, value) {
				c.Found = append(c.Found, value)
			}
		}
	}
}

func (f Failure) sentence() string {
	switch f {
	case FailureTimeout:
		return "The resolver did not answer in time."
	case FailureUnreachable:
		return "The resolver cannot be reached."
	case FailureServer:
		return "The resolver cannot find it out: the domain's own name servers may be down, or its DNSSEC signatures wrong."
	case FailureRefused:
		return "The resolver refuses to answer."
	case FailureGarbled:
		return "The resolver gave an answer that makes no sense."
	case FailureTooLong:
		return "The answer has more in it than can be read."
	}
	return "It was not looked up yet."
}

// absence tells the two ways apart in which there is nothing.
func absence(f Finding, kind RecordType) string {
	if f.Outcome == OutcomeNoName {
		return "The name does not exist yet."
	}
	return fmt.Sprintf("The name has no %s record.", kind)
}

// hostOf is a name as Question has it: in small letters, without the dot at its
// end.
func hostOf(name string) string {
	if name == "." {
		return name
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// isHost says whether text is a name as Question has it, other than the root.
// Labels may have underscores, and be a single asterisk.
func isHost(text string) bool {
	if text == "" || len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && (c != '*' || label != "*") {
				return false
			}
		}
	}
	return true
}
