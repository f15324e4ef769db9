package platform

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// mostHops is how many aliases are followed one after the other.
const mostHops = 8

// targetsOf are the hosts that wanted records of a type and name lead to.
func targetsOf(all []WantedRecord, name string, kind RecordType) []string {
	var hosts []string
	for _, w := range all {
		if w.Name == name && w.Type == kind {
			hosts = append(hosts, lastField(w.Value))
		}
	}
	return hosts
}

// lastField is the host that an MX, SRV or CNAME record leads to.
func lastField(value string) string {
	fields := strings.Fields(value)
	if len(fields) == 0 {
		return ""
	}
	return hostOf(fields[len(fields)-1])
}

// preference is the first number of an MX or SRV record. The smallest is tried
// first.
func preference(value string) int {
	first, _, _ := strings.Cut(value, " ")
	number, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return number
}

// checkMX wants every exchanger to be one of ours, in whatever order. Another
// one beside ours is wrong even where it comes last: a sender who cannot reach
// ours for a moment leaves the mail there, and nobody looks for it.
func (w WantedRecord) checkMX(all []WantedRecord, f Finding) verdict {
	ours, host := targetsOf(all, w.Name, RecordTypeMX), lastField(w.Value)
	present, best := false, 1<<16
	var strangers []string
	first := 1 << 16
	for _, value := range f.Values {
		target := lastField(value)
		switch {
		case target == ".":
			return verdictWrong(f.Values, "The domain says that it takes no mail at all (a null MX record).")
		case slices.Contains(ours, target):
			present, best = present || target == host, min(best, preference(value))
		default:
			strangers, first = append(strangers, target), min(first, preference(value))
		}
	}
	switch {
	case !present:
		return verdictWrong(f.Values, "Mail does not come to %s.", host)
	case len(strangers) == 0:
		return verdictRight(f.Values, "")
	case first <= best:
		return verdictWrong(f.Values, "Mail goes to %s too, and not after ours: take that record away.", strangers[0])
	}
	return verdictWrong(f.Values, "Mail goes to %s whenever ours cannot be reached: take that record away.", strangers[0])
}

// checkService wants our host and port to be offered, and nobody else's before
// or beside it. Weights are free, and so are the numbers of priorities.
func (w WantedRecord) checkService(all []WantedRecord, f Finding) verdict {
	var ours []string
	for _, other := range all {
		if other.Name == w.Name && other.Type == RecordTypeSRV {
			ours = append(ours, offerOf(other.Value))
		}
	}
	present, best, first := false, 1<<16, 1<<16
	stranger := ""
	for _, value := range f.Values {
		switch offered := offerOf(value); {
		case slices.Contains(ours, offered):
			present, best = present || offered == offerOf(w.Value), min(best, preference(value))
		case preference(value) < first:
			stranger, first = offered, preference(value)
		}
	}
	switch {
	case !present && len(f.Values) == 1 && lastField(f.Values[0]) == ".":
		return verdictWrong(f.Values, "The domain says that it does not have this service.")
	case !present:
		return verdictWrong(f.Values, "Apps are not led to %s.", offerOf(w.Value))
	case first <= best:
		return verdictWrong(f.Values, "Apps are led to %s too, and not after ours.", stranger)
	}
	return verdictRight(f.Values, "")
}

// offerOf is the host and port of an SRV record.
func offerOf(value string) string {
	fields := strings.Fields(value)
	if len(fields) != 4 {
		return value
	}
	return hostOf(fields[3]) + " port " + fields[2]
}

// checkCNAME wants the alias to lead to our host, over others if need be.
func (w WantedRecord) checkCNAME(f Finding, v *recordView) verdict {
	host, name := lastField(w.Value), w.Name
	var found []string
	seen := map[string]bool{name: true}
	for range mostHops {
		switch {
		case f.Outcome == OutcomeFailed:
			return verdictUnknown(found, "%s", f.Failure.sentence())
		case f.Outcome != OutcomeFound && name == w.Name && f.Outcome == OutcomeNoName:
			return verdictMissing("%s", absence(f, w.Type))
		case f.Outcome != OutcomeFound && name == w.Name:
			return verdictMissing("The name has no CNAME record; an address of its own does not count, since ours may change.")
		case f.Outcome != OutcomeFound:
			return verdictWrong(found, "The alias leads to %s and not to %s.", name, host)
		case len(f.Values) > 1:
			return verdictWrong(append(found, f.Values...), "The name has several CNAME records, and may have one.")
		}
		found = append(found, f.Values[0])
		name = hostOf(f.Values[0])
		switch {
		case name == host:
			return verdictRight(found, "")
		case seen[name]:
			return verdictWrong(found, "The alias leads in a circle.")
		}
		seen[name] = true
		f = v.look(name, RecordTypeCNAME)
	}
	return verdictWrong(found, "The alias leads over too many others.")
}

// checkTLSA wants our data among the records. Others may stand beside it.
func (w WantedRecord) checkTLSA(f Finding) verdict {
	for _, value := range f.Values {
		if strings.EqualFold(strings.Join(strings.Fields(value), " "), w.Value) {
			return verdictRight(f.Values, "")
		}
	}
	return verdictWrong(f.Values, "The certificate's data is not ours; servers that check it will not deliver.")
}

// caa is a CAA record: who may issue certificates (RFC 8659).
type caa struct {
	critical bool
	tag      string
	// value is without the parameters, which are beside it.
	value      string
	parameters map[string]string
}

func parseCAA(record string) (c caa, ok bool) {
	fields := strings.SplitN(record, " ", 3)
	if len(fields) != 3 {
		return caa{}, false
	}
	flags, err := strconv.ParseUint(fields[0], 10, 8)
	text, problem := parseString(fields[2])
	if problem != "" { // bytes that cannot be printed: it limits all the same
		text = strings.Trim(fields[2], `"`)
	}
	c = caa{critical: flags&128 != 0, tag: strings.ToLower(fields[1]), parameters: map[string]string{}}
	value, rest, _ := strings.Cut(text, ";")
	c.value = strings.TrimSpace(value)
	for part := range strings.SplitSeq(rest, ";") {
		if name, value, ok := strings.Cut(part, "="); ok {
			c.parameters[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	return c, err == nil
}

// checkCAA wants our issuer to be allowed. A name without CAA records has those
// of the nearest name above it; where there are none at all, everybody may
// issue.
func (w WantedRecord) checkCAA(f Finding, v *recordView) verdict {
	for name := w.Name; f.Outcome != OutcomeFound; {
		_, above, _ := strings.Cut(name, ".")
		if !strings.Contains(above, ".") {
			return verdictRight(nil, "No CAA record limits who issues certificates, so ours may.")
		}
		name = above
		if f = v.look(name, RecordTypeCAA); f.Outcome == OutcomeFailed {
			return verdictUnknown(nil, "%s", f.Failure.sentence())
		}
	}
	wanted, _ := parseCAA(w.Value)
	limited, allowed, why := false, false, ""
	for _, record := range f.Values {
		c, ok := parseCAA(record)
		switch {
		case !ok:
		case c.tag == wanted.tag && c.tag != "issue" && c.tag != "issuewild":
			allowed = allowed || strings.EqualFold(c.value, wanted.value)
		case c.critical && !slices.Contains([]string{"issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc"}, c.tag):
			return verdictWrong(f.Values, "The property %s is marked critical, and no issuer knows it.", c.tag)
		case c.tag == wanted.tag:
			limited = true
			problem := c.admits(wanted)
			allowed = allowed || problem == ""
			if why == "" || strings.EqualFold(c.value, wanted.value) {
				why = problem
			}
		}
	}
	switch {
	case allowed:
		return verdictRight(f.Values, "")
	case wanted.tag != "issue" && wanted.tag != "issuewild":
		return verdictMissing("There are CAA records, and none is %s.", w.Value)
	case !limited:
		return verdictRight(f.Values, "No CAA record limits who issues such certificates, so ours may.")
	}
	return verdictWrong(f.Values, "%s", why)
}

// admits says why an issue record does not let the wanted issuer in, or "".
func (c caa) admits(wanted caa) string {
	if !strings.EqualFold(hostOf(c.value), hostOf(wanted.value)) {
		return fmt.Sprintf("%s may not issue certificates for the domain.", wanted.value)
	}
	if account := c.parameters["accounturi"]; account != "" && account != wanted.parameters["accounturi"] {
		return fmt.Sprintf("%s may issue certificates for the domain, but not to our account.", wanted.value)
	}
	return ""
}
