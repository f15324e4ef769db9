package standin

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// zone renders the DNS records of a domain, always from what is there now.
func (s *Server) zone(id string, o object) string {
	name, host := o["name"].(string), s.options.Hostname
	var zone strings.Builder
	record := func(owner, rest string, args ...any) {
		fmt.Fprintf(&zone, owner+". IN "+rest+"\n", args...)
	}
	for _, key := range s.keysOf(id) {
		k := s.state.Objects["DkimSignature"][key]
		algorithm := "ed25519"
		if strings.Contains(k["@type"].(string), "Rsa") {
			algorithm = "rsa"
		}
		record("%s._domainkey.%s", "TXT %s", k["selector"], name,
			txt(fmt.Sprintf("v=DKIM1; k=%s; h=sha256; p=%s", algorithm, k["publicKey"])))
	}
	if strings.HasSuffix(host, "."+name) {
		record("%s", "TXT %s", host, txt("v=spf1 a -all"))
	}
	record("%s", "TXT %s", name, txt("v=spf1 mx -all"))
	record("%s", "MX 10 %s.", name, host)
	report, _ := o["reportAddressUri"].(string)
	if strings.HasPrefix(report, "mailto:") && !strings.Contains(report, "@") {
		report += "@" + name
	}
	if report != "" {
		record("_dmarc.%s", "TXT %s", name, txt("v=DMARC1; p=reject; rua="+report))
	}
	for _, service := range []struct {
		name string
		port int
	}{{"caldavs", 443}, {"carddavs", 443}, {"imaps", 993}, {"jmap", 443}, {"pop3s", 995}, {"submissions", 465}} {
		record("_%s._tcp.%s", "SRV 0 1 %d %s.", service.name, name, service.port, host)
	}
	digest := sha256.Sum256([]byte(s.options.PublicURL + " " + host))
	record("mta-sts.%s", "CNAME %s.", name, host)
	record("_mta-sts.%s", "TXT %s", name, txt(fmt.Sprintf("v=STSv1; id=%d", binary.BigEndian.Uint64(digest[:]))))
	if report != "" {
		record("_smtp._tls.%s", "TXT %s", name, txt("v=TLSRPTv1; rua="+report))
	}
	record("ua-auto-config.%s", "CNAME %s.", name, host)
	record("_ua-auto-config.%s", "TXT %s", name, txt("v=UAAC1; a=sha256; d="+base64.StdEncoding.EncodeToString(digest[:])))
	record("autoconfig.%s", "CNAME %s.", name, host)
	record("autodiscover.%s", "CNAME %s.", name, host)
	return zone.String()
}

// txt quotes a text; one over 255 bytes goes into strings of 255 between
// brackets, one a line.
func txt(text string) string {
	if len(text) <= 255 {
		return quote(text)
	}
	var lines strings.Builder
	for len(text) > 0 {
		n := min(255, len(text))
		lines.WriteString("    " + quote(text[:n]) + "\n")
		text = text[n:]
	}
	return "(\n" + lines.String() + ")"
}

func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// normalDomain lower-cases a name and refuses one that ends in nothing public
// and nothing reserved. Unlike the live server it takes no name that is not
// ASCII.
func normalDomain(name string) (string, bool) {
	name = strings.ToLower(name)
	labels := strings.Split(name, ".")
	if len(labels) < 2 || len(name) > 253 {
		return "", false
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" ||
			strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return "", false
		}
	}
	switch labels[len(labels)-1] {
	case "test", "localhost", "local", "internal", "lan", "home", "corp", "intranet", "private", "localdomain":
		return name, true
	}
	suffix, isICANN := publicsuffix.PublicSuffix(name)
	return name, isICANN || strings.Contains(suffix, ".")
}

func normalAddress(address string) (string, bool) {
	local, host, ok := strings.Cut(strings.ToLower(address), "@")
	if _, valid := normalDomain(host); !ok || !valid || local == "" {
		return "", false
	}
	return local + "@" + host, true
}
