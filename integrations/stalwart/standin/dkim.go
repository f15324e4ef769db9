package standin

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// pendingKey is a DKIM key that the server is about to make.
type pendingKey struct {
	Domain string
	Type   string
	Due    time.Time
	// First keys come even when their domain has gone meanwhile, and then belong
	// to nothing; later ones do not (seen live).
	First bool
}

// plantKeys brings the keys to come in step with a domain's DKIM management.
func (s *Server) plantKeys(domain string, o object) {
	management := o["dkimManagement"].(map[string]any)
	if management["@type"] == "Manual" && s.options.StubbornKeys {
		return
	}
	if management["@type"] == "Manual" {
		s.state.Pending = slices.DeleteFunc(s.state.Pending, func(p pendingKey) bool { return p.Domain == domain })
		return
	}
	have := map[string]bool{}
	for _, key := range s.keysOf(domain) {
		have[s.state.Objects["DkimSignature"][key]["@type"].(string)] = true
	}
	for _, p := range s.state.Pending {
		have[p.Type] = have[p.Type] || p.Domain == domain
	}
	delay, first := s.options.FirstKey, true
	for _, name := range keyTypes() {
		if wanted := management["algorithms"].(map[string]any)[name] == true; !wanted || have[name] {
			continue
		}
		s.state.Pending = append(s.state.Pending, pendingKey{domain, name, s.options.Clock.Now().Add(delay), first})
		delay, first = s.options.SecondKey, false
	}
}

// growKeys makes the keys whose time has come.
func (s *Server) growKeys() {
	now := s.options.Clock.Now()
	s.state.Pending = slices.DeleteFunc(s.state.Pending, func(p pendingKey) bool {
		if p.Due.After(now) {
			return false
		}
		id, _ := parseID(p.Domain)
		_, there := s.state.Objects["Domain"][id]
		if !there && p.First {
			s.failTask(p)
		}
		if there || p.First {
			s.makeKey(p)
		}
		return true
	})
}

func (s *Server) makeKey(p pendingKey) {
	algorithm, public := "ed25519", edPublicKey()
	if strings.Contains(p.Type, "Rsa") {
		algorithm, public = "rsa", rsaPublicKey()
	}
	due := p.Due.UTC()
	s.put("DkimSignature", s.snowflake(due), object{
		"auid": nil, "canonicalization": "relaxed/relaxed", "expire": nil,
		"headers":    map[string]any{"From": true, "To": true, "Date": true, "Subject": true, "Message-ID": true},
		"privateKey": map[string]any{"secret": "****", "@type": "Text"},
		"report":     true, "thirdParty": nil, "thirdPartyHash": nil, "domainId": p.Domain, "memberTenantId": nil,
		"selector":  fmt.Sprintf("v1-%s-%s", algorithm, due.Format("20060102")),
		"createdAt": due.Format(time.RFC3339), "nextTransitionAt": nil, "stage": "active",
		"@type": p.Type, "publicKey": public,
	})
}

// failTask leaves the task behind that found no domain for its second key. It
// stays until somebody destroys it.
func (s *Server) failTask(p pendingKey) {
	due := p.Due.UTC()
	at := due.Format(time.RFC3339)
	s.put("Task", s.snowflake(due), object{
		"@type": "DkimManagement", "domainId": p.Domain, "status": map[string]any{
			"@type": "Failed", "createdAt": at, "failedAt": at, "failedAttemptNumber": 0.0,
			"failureReason": "Failed to write DKIM signature: Invalid foreign key: Domain with id " + p.Domain,
		},
	})
}

// snowflake is an id that is a time, so that ids grow; two of one moment differ
// all the same.
func (s *Server) snowflake(at time.Time) uint64 {
	s.state.LastKey = max(s.state.LastKey+1, uint64(at.UnixMilli())<<19) //nolint:gosec // never before 1970
	return s.state.LastKey
}

// keysOf are the ids of a domain's keys, in ascending order.
func (s *Server) keysOf(domain string) []uint64 {
	keys := s.state.Objects["DkimSignature"]
	return slices.DeleteFunc(keys.ids(), func(id uint64) bool { return keys[id]["domainId"] != domain })
}

// The public keys have the form of real ones and no private half: nothing here
// signs, and making RSA keys takes time that no test needs.
func edPublicKey() string { return base64.StdEncoding.EncodeToString(random(32)) }

func rsaPublicKey() string {
	modulus := random(256)
	modulus[0] |= 0x80
	modulus[255] |= 1
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537})
	if err != nil {
		return "" // an RSA key is always one that can be written
	}
	return base64.StdEncoding.EncodeToString(der)
}

func random(n int) []byte {
	data := make([]byte, n)
	rand.Read(data)
	return data
}
