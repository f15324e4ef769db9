package stalwart

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dezky/platform/platform"
)

// alias is another address of an account or a list. Lists of them are objects
// with the keys 0, 1, 2.
type alias struct {
	Enabled     bool    `json:"enabled"`
	Name        string  `json:"name"`
	DomainID    string  `json:"domainId"`
	Description *string `json:"description"`
}

func aliasList(aliases []alias) map[string]alias {
	all := map[string]alias{}
	for i, a := range aliases {
		all[strconv.Itoa(i)] = a
	}
	return all
}

// mendAliases are exactly the wanted ones, each with what somebody wrote to it,
// and whether that differs from what is there.
func mendAliases(held map[string]alias, wanted []alias) (map[string]alias, bool) {
	theirs := map[address]alias{}
	for _, a := range held {
		theirs[address{a.Name, a.DomainID}] = a
	}
	mended, differ := make([]alias, len(wanted)), len(theirs) != len(wanted)
	for i, a := range wanted {
		known, there := theirs[address{a.Name, a.DomainID}]
		differ = differ || !there || !known.Enabled
		a.Description = known.Description
		mended[i] = a
	}
	return aliasList(mended), differ
}

// permissions are what an account may do beside, or instead of, what its roles
// allow. What is disabled is so whatever else says.
type permissions struct {
	Type     string          `json:"@type"`
	Enabled  map[string]bool `json:"enabledPermissions"`
	Disabled map[string]bool `json:"disabledPermissions"`
}

// MarshalJSON leaves out what a type has not, which the server would refuse.
func (p permissions) MarshalJSON() ([]byte, error) {
	whole := map[string]any{"@type": p.Type}
	if p.Type != inherit {
		whole["enabledPermissions"], whole["disabledPermissions"] = object(p.Enabled), object(p.Disabled)
	}
	return json.Marshal(whole)
}

// object is a set as the server takes it, which is never null.
func object(set map[string]bool) map[string]bool {
	if set == nil {
		return map[string]bool{}
	}
	return set
}

// The types of permissions: those of the roles, more or less than these, or
// others.
const (
	inherit = "Inherit"
	merge   = "Merge"
)

func inherited() permissions { return permissions{Type: inherit} }

// frozen are the permissions whose lack freezes a mailbox. Without
// "authenticate" nobody signs in by any protocol or kind of password.
func frozen() []string { return []string{"authenticate", "emailReceive", "emailSend"} }

// of are the permissions for a presence. What somebody chose besides is kept.
func (p permissions) of(presence platform.Presence) permissions {
	wanted := permissions{Type: p.Type, Enabled: maps.Clone(p.Enabled), Disabled: maps.Clone(p.Disabled)}
	if wanted.Disabled == nil {
		wanted.Disabled = map[string]bool{}
	}
	for _, name := range frozen() {
		if presence == platform.PresenceSuspended {
			wanted.Disabled[name] = true
		} else {
			delete(wanted.Disabled, name)
		}
	}
	switch {
	case p.Type == merge && len(wanted.Disabled) == 0 && len(wanted.Enabled) == 0:
		return inherited()
	case p.Type == inherit && len(wanted.Disabled) > 0:
		wanted.Type = merge
	}
	return wanted
}

func (p permissions) equal(other permissions) bool {
	return p.Type == other.Type && maps.Equal(p.Enabled, other.Enabled) && maps.Equal(p.Disabled, other.Disabled)
}

func passwordCredential(password platform.Secret) map[string]any {
	return map[string]any{"@type": "Password", "secret": password.Reveal()}
}

// passwordPatch sets the secret of the one password that an account can have,
// or adds one. Only a path leaves the app passwords beside it alive.
func (a *account) passwordPatch(password platform.Secret) map[string]any {
	next := 0
	for _, key := range slices.Sorted(maps.Keys(a.Credentials)) {
		if a.Credentials[key].Type == "Password" {
			return map[string]any{"credentials/" + key + "/secret": password.Reveal()}
		}
		if index, err := strconv.Atoi(key); err == nil {
			next = max(next, index+1)
		}
	}
	return map[string]any{"credentials/" + strconv.Itoa(next): passwordCredential(password)}
}

// sortedAliases are a list's in the order of the alphabet.
func sortedAliases(aliases map[string]alias) []alias {
	return slices.SortedFunc(maps.Values(aliases), func(a, b alias) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.DomainID, b.DomainID))
	})
}
