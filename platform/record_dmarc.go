package platform

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// strictness orders the policies; -1 is none of them.
func strictness(policy string) int {
	return slices.Index([]string{"none", "quarantine", "reject"}, strings.ToLower(policy))
}

// checkDMARC wants a policy as strict as ours, or stricter (RFC 7489, 6.3).
// Reports to us, all of the mails and the subdomains are said, and not demanded,
// unless subdomains are in what we want.
func (w WantedRecord) checkDMARC(f Finding) verdict {
	text, out, ok := w.one(f, "DMARC", isDMARC)
	if !ok {
		return out
	}
	found := []string{text}
	list, problem := listOf(text, "DMARC1")
	if problem == "" {
		wanted, _ := parseTags(w.Value, true)
		var remark string
		if problem, remark = dmarcProblem(list, wanted); problem == "" {
			return verdictRight(found, remark)
		}
	}
	return verdictWrong(found, "%s", problem)
}

// isDMARC holds also for what was meant so, with the version at another place.
func isDMARC(text string) bool {
	return begins("DMARC")(text) || strings.Contains(strings.ToLower(text), "v=dmarc1")
}

func dmarcProblem(list, wanted tagList) (problem, remark string) {
	policy, there := list.get("p")
	ours, _ := wanted.get("p")
	below, hasBelow := list.get("sp")
	oursBelow, wantsBelow := wanted.get("sp")
	part, hasPart := list.get("pct")
	rua, _ := list.get("rua")
	oursRua, _ := wanted.get("rua")
	if !hasBelow {
		below = policy
	}
	if !wantsBelow {
		oursBelow = ours
	}
	percent, err := strconv.Atoi(part)
	switch {
	case !there:
		return "It has no policy (p=).", ""
	case strictness(policy) < 0:
		return fmt.Sprintf("Its policy (p=%.20s) is none of none, quarantine and reject.", policy), ""
	case strictness(below) < 0:
		return fmt.Sprintf("Its policy for subdomains (sp=%.20s) is none of none, quarantine and reject.", below), ""
	case hasPart && (err != nil || percent < 0 || percent > 100):
		return "Its percentage (pct=) is no number from 0 to 100.", ""
	case strictness(policy) < strictness(ours):
		return fmt.Sprintf("Its policy is %s, which is weaker than %s.", strings.ToLower(policy), ours), ""
	case wantsBelow && strictness(below) < strictness(oursBelow):
		return fmt.Sprintf("Its policy for subdomains is %s, which is weaker than %s.", strings.ToLower(below), oursBelow), ""
	}
	var remarks []string
	if hasPart && percent < 100 && strictness(policy) > 0 {
		remarks = append(remarks, fmt.Sprintf("The policy holds for only %d of 100 mails (pct).", percent))
	}
	if strictness(below) < strictness(oursBelow) {
		remarks = append(remarks, fmt.Sprintf("The policy for subdomains is weaker (sp=%s).", strings.ToLower(below)))
	}
	if flag, _ := list.get("t"); strings.EqualFold(flag, "y") {
		remarks = append(remarks, "The policy is only being tried out (t=y).")
	}
	if !reportsTo(rua, oursRua) {
		remarks = append(remarks, "Reports do not come to us (rua).")
	}
	return "", strings.Join(remarks, " ")
}
