package standin

import (
	"errors"
	"maps"
	"slices"

	"github.com/dezky/platform/integrations/stage"
)

// Domain is what a test looks at.
type Domain struct {
	ID          string
	Description string
	// Keys is how many DKIM keys there are by now.
	Keys int
}

// Domains are the domains by name.
func (s *Server) Domains() map[string]Domain {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.growKeys()
	all := map[string]Domain{}
	for id, d := range s.state.Objects["Domain"] {
		text, _ := d["description"].(string)
		name, _ := d["name"].(string)
		all[name] = Domain{ID: idText(id), Description: text, Keys: len(s.keysOf(idText(id)))}
	}
	return all
}

// Orphans counts the DKIM keys, and the failed tasks, of domains that are gone.
func (s *Server) Orphans() (keys, tasks int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.growKeys()
	orphaned := func(name string) (n int) {
		for _, o := range s.state.Objects[name] {
			domain, _ := o["domainId"].(string)
			id, _ := parseID(domain)
			if _, there := s.state.Objects["Domain"][id]; !there {
				n++
			}
		}
		return n
	}
	return orphaned("DkimSignature"), orphaned("Task")
}

// Account is what a test looks at.
type Account struct {
	ID string
	// Type is User or Group.
	Type        string
	Description string
	// Aliases are whole addresses, in the order of the alphabet.
	Aliases []string
	// Quota is 0 for as much as there is.
	Quota int64
	Used  int64
	// Permissions is Inherit, Merge or Replace, and Disabled what is taken away.
	Permissions string
	Disabled    []string
	// Credentials are their kinds, in their order.
	Credentials []string
}

// Accounts are the accounts by address.
func (s *Server) Accounts() map[string]Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]Account{}
	for id, o := range s.state.Objects["Account"] {
		a := Account{ID: idText(id), Used: s.state.Used[idText(id)]}
		a.Type, _ = o["@type"].(string)
		a.Description, _ = o["description"].(string)
		quotas, _ := o["quotas"].(map[string]any)
		quota, _ := quotas["maxDiskQuota"].(float64)
		a.Quota = int64(quota)
		chosen, _ := o["permissions"].(map[string]any)
		a.Permissions, _ = chosen["@type"].(string)
		disabled, _ := chosen["disabledPermissions"].(map[string]any)
		a.Disabled = slices.Sorted(maps.Keys(disabled))
		for _, alias := range elements(o["aliases"]) {
			a.Aliases = append(a.Aliases, s.address(alias))
		}
		slices.Sort(a.Aliases)
		for _, c := range elements(o["credentials"]) {
			kind, _ := c["@type"].(string)
			a.Credentials = append(a.Credentials, kind)
		}
		all[s.address(o)] = a
	}
	return all
}

// List is what a test looks at.
type List struct {
	ID          string
	Description string
	// Recipients are in the order of the alphabet.
	Recipients []string
}

// Lists are the mailing lists by address.
func (s *Server) Lists() map[string]List {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]List{}
	for id, o := range s.state.Objects["MailingList"] {
		text, _ := o["description"].(string)
		recipients, _ := o["recipients"].(map[string]any)
		all[s.address(o)] = List{ID: idText(id), Description: text, Recipients: slices.Sorted(maps.Keys(recipients))}
	}
	return all
}

// ErrUndelivered says that a mail did not reach a mailbox.
var ErrUndelivered = errors.New("the mail was not delivered")

// Deliver puts a mail of so many bytes into the mailbox at an address. It fails
// with ErrUndelivered where there is none, where it may not receive, and where
// the mail does not fit.
func (s *Server) Deliver(address string, bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.accountAt(address)
	o := s.state.Objects["Account"][id]
	quotas, _ := o["quotas"].(map[string]any)
	quota, _ := quotas["maxDiskQuota"].(float64)
	used := s.state.Used[idText(id)] + bytes
	if !ok || !may(o, "emailReceive") || quota > 0 && used > int64(quota) {
		return ErrUndelivered
	}
	s.state.Used[idText(id)] = used
	return stage.Save(s.options.File, s.state)
}
