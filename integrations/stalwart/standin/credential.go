package standin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

func credentialTypes() map[string]map[string]property {
	secondary := map[string]property{
		"credentialId": {serverSet: true}, "secret": {required: true}, "description": {nullable: true}, "createdAt": {serverSet: true},
		"expiresAt": {nullable: true}, "allowedIps": {shape: set, start: map[string]any{}}, "permissions": {shape: opaque},
	}
	return map[string]map[string]property{
		"Password": {
			"credentialId": {serverSet: true}, "secret": {required: true}, "expiresAt": {nullable: true},
			"allowedIps": {shape: set, start: map[string]any{}},
		},
		"AppPassword": secondary, "ApiKey": secondary,
	}
}

// masked is how the server shows every secret; whoever writes it back changes
// nothing.
const masked = "****"

// sealed begins the form in which this server keeps a secret.
const sealed = "sha256:"

func seal(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return sealed + hex.EncodeToString(sum[:])
}

// checkCredentials keeps secrets and numbers new credentials. Old is the
// account as it was, or nil.
func checkCredentials(old, o object) *setError {
	before := map[any]map[string]any{}
	next := uint64(0)
	for _, c := range elements(old["credentials"]) {
		before[c["credentialId"]] = c
		id, _ := parseID(c["credentialId"].(string))
		next = max(next, id+1)
	}
	whole, _ := o["credentials"].(map[string]any)
	passwords := 0
	for _, key := range indexes(whole) {
		c := maps.Clone(whole[key].(map[string]any))
		was := before[c["credentialId"]]
		if c["@type"] == "Password" {
			passwords++
		}
		switch {
		case c["@type"] != "Password" && was == nil:
			return &setError{Type: "invalidProperties", Description: "Secondary credentials cannot be set directly.", Properties: []string{"credentials"}}
		case passwords > 1:
			return &setError{Type: "invalidProperties", Description: "Only one password credential is allowed.", Properties: []string{"credentials"}}
		case was != nil && (c["secret"] == was["secret"] || c["secret"] == masked):
			c["secret"] = was["secret"]
		case c["@type"] != "Password":
			return &setError{Type: "forbidden", Description: "The secrets of app passwords and API keys cannot be changed."}
		default:
			secret, _ := c["secret"].(string)
			if refusal := strength(secret); refusal != "" {
				return &setError{Type: "invalidProperties", Description: refusal, Properties: []string{"secret"}}
			}
			if !isHash(secret) {
				secret = seal(secret)
			}
			c["secret"] = secret
		}
		if was == nil {
			c["credentialId"] = idText(next)
			next++
		}
		whole[key] = c
	}
	return nil
}

// isHash says whether a secret is a hash already, which is kept as it is and
// not measured.
func isHash(secret string) bool {
	for _, prefix := range []string{"$argon2", "$pbkdf2", "$scrypt", "$2", "$1$", "$5$", "$6$", "$sha1$", "{SSHA}", "{SSHA256}", "{SHA}", "{PLAIN}"} {
		if strings.HasPrefix(secret, prefix) {
			return true
		}
	}
	return false
}

// strength is what is wrong with a password, or "". Where the live server
// guesses, this one knows a few weak ones.
func strength(secret string) string {
	common := []string{"password123", "password1", "password", "12345678", "123456789", "qwertyuiop", "iloveyou", "letmein1", "welcome1"}
	switch n := utf8.RuneCountInString(secret); {
	case isHash(secret):
		return ""
	case n < 8:
		return "Password must be at least 8 characters long."
	case n > 128:
		return "Password must be at most 128 characters long."
	case slices.Contains(common, strings.ToLower(secret)):
		return "Password is too weak. This is a very common password. Add another word or two. Uncommon words are better."
	case strings.Count(secret, secret[:1]) == len(secret):
		return "Password is too weak. Repeats like \"aaa\" are easy to guess. Add another word or two. Uncommon words are better. Avoid repeated words and characters."
	}
	return ""
}

// opens says whether a secret is one of an account's. Nobody signs in with a
// password that was set as a hash, since this server knows no hashes.
func (s *Server) opens(o object, secret string) bool {
	now := s.options.Clock.Now().UTC().Format(time.RFC3339)
	for _, c := range elements(o["credentials"]) {
		expires, ends := c["expiresAt"].(string)
		if c["@type"] != "ApiKey" && c["secret"] == seal(secret) && !(ends && expires <= now) {
			return true
		}
	}
	return false
}

// ownerOf is the account whose API key a token is.
func (s *Server) ownerOf(token string) (uint64, bool) {
	for _, id := range s.state.Objects["Account"].ids() {
		for _, c := range elements(s.state.Objects["Account"][id]["credentials"]) {
			if c["@type"] == "ApiKey" && c["secret"] == seal(token) {
				return id, true
			}
		}
	}
	return 0, false
}

// credentialKind is x:ApiKey or x:AppPassword: a part of the account that the
// call names, as an object of its own.
func (q *request) credentialKind(name, operation, account string, args map[string]json.RawMessage) (any, error) {
	id, _ := parseID(account)
	owner, there := q.server.state.Objects["Account"][id]
	switch operation {
	case "get":
		return q.getCredentials(name, account, owner, args)
	case "set":
		return q.setCredentials(name, account, id, owner, there, args)
	}
	return nil, &methodError{"unknownMethod", "x:" + name + "/" + operation}
}

func (q *request) getCredentials(name, account string, owner object, args map[string]json.RawMessage) (any, error) {
	var ids []string
	some, err := argument(args, "ids", "a sequence", &ids)
	if err != nil {
		return nil, err
	}
	list, notFound := []any{}, []string{}
	for _, c := range elements(owner["credentials"]) {
		switch {
		case some && !slices.Contains(ids, c["credentialId"].(string)):
		case c["@type"] != name: // as live, also where no id was asked for
			notFound = append(notFound, c["credentialId"].(string))
		default:
			shown := maps.Clone(c)
			shown["id"], shown["secret"] = c["credentialId"], masked
			delete(shown, "credentialId")
			delete(shown, "@type")
			list = append(list, shown)
		}
	}
	return map[string]any{"accountId": account, "list": list, "notFound": notFound}, nil
}

func (q *request) setCredentials(name, account string, id uint64, owner object, there bool, args map[string]json.RawMessage) (any, error) {
	var create map[string]map[string]any
	var destroy []string
	if _, err := argument(args, "create", "a map", &create); err != nil {
		return nil, err
	}
	if _, err := argument(args, "destroy", "a sequence", &destroy); err != nil {
		return nil, err
	}
	answer := newSetAnswer(account)
	for _, creation := range slices.Sorted(maps.Keys(create)) {
		if !there {
			answer.NotCreated[creation] = &setError{Type: "notFound"}
			continue
		}
		var made map[string]string
		var refusal *setError
		if owner, made, refusal = q.server.addCredential(name, id, owner, create[creation]); refusal != nil {
			answer.NotCreated[creation] = refusal
			continue
		}
		answer.Created[creation] = made
	}
	for _, credential := range destroy {
		changed, _ := maps.Clone(owner["credentials"].(map[string]any)), 0
		maps.DeleteFunc(changed, func(_ string, c any) bool {
			held := c.(map[string]any)
			return held["credentialId"] == credential && held["@type"] == name
		})
		if len(changed) == len(owner["credentials"].(map[string]any)) {
			answer.NotDestroyed[credential] = &setError{Type: "notFound"}
			continue
		}
		owner = maps.Clone(owner)
		owner["credentials"] = changed
		accountKind().renumber(owner)
		q.server.put("Account", id, owner)
		answer.Destroyed = append(answer.Destroyed, credential)
	}
	return answer, nil
}

// addCredential makes a secret that is shown this once.
func (s *Server) addCredential(name string, id uint64, owner object, values map[string]any) (object, map[string]string, *setError) {
	held, next := 0, uint64(0)
	for _, c := range elements(owner["credentials"]) {
		number, _ := parseID(c["credentialId"].(string))
		next = max(next, number+1)
		if c["@type"] == name {
			held++
		}
	}
	if held >= 5 {
		return owner, nil, &setError{Type: "overQuota", Description: "There are as many as are allowed."}
	}
	credential := map[string]any{
		"@type": name, "credentialId": idText(max(next, 1)), "description": nil, "createdAt": s.options.Clock.Now().UTC().Format(time.RFC3339),
		"expiresAt": nil, "permissions": map[string]any{"@type": "Inherit"}, "allowedIps": map[string]any{},
	}
	for _, key := range []string{"description", "expiresAt", "permissions", "allowedIps"} {
		if value, ok := values[key]; ok {
			credential[key] = value
		}
	}
	secret := "app_" + strings.ToLower(rand.Text())
	if name == "ApiKey" {
		data := binary.BigEndian.AppendUint32(nil, uint32(id)) //nolint:gosec // the number of an account
		data = binary.BigEndian.AppendUint32(data, uint32(max(next, 1)))
		secret = "API_" + base64.RawURLEncoding.EncodeToString(append(data, random(20)...))
	}
	credential["secret"] = seal(secret)
	changed := maps.Clone(owner)
	all := maps.Clone(owner["credentials"].(map[string]any))
	all[strconv.Itoa(len(all))] = credential
	changed["credentials"] = all
	s.put("Account", id, changed)
	return changed, map[string]string{"id": credential["credentialId"].(string), "secret": secret}, nil
}
