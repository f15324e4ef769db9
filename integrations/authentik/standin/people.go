package standin

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
)

// Person is somebody to sign in as. Fields that are left empty get what the
// comment says.
type Person struct {
	Username string
	Name     string // the username
	Email    string
	// UUID is the subject of the person's tokens. Unless given it follows from
	// the username, so that it survives the loss of the file.
	UUID string
	// Groups are names. Those that are missing are made, without a mark.
	Groups []string
	// Application is the one that the person is meant to sign in through:
	// Portal. Any other lets them in too.
	Application string
	// EmailUnverified makes tokens say email_verified: false, as Authentik's own
	// mappings do.
	EmailUnverified bool
	// MFA makes tokens say that a second factor was used, and gives the person an
	// authenticator.
	MFA bool
}

// AddPerson makes a user for development. One that is there already stays as it
// is, so that a restart undoes nothing.
func (s *Server) AddPerson(p Person) error {
	if p.UUID == "" {
		hash := sha256.Sum256([]byte("dezky development person " + p.Username))
		p.UUID = formatUUID([16]byte(hash[:16]), 8)
	}
	if p.Name == "" {
		p.Name = p.Username
	}
	if p.Application == "" {
		p.Application = Portal
	}
	return s.change(func() error {
		if s.userNamed(p.Username) != nil {
			return nil
		}
		var groups []string
		for _, name := range p.Groups {
			if s.named[name] == nil {
				s.addGroup(&group{Name: name})
			}
			groups = append(groups, s.named[name].PK)
		}
		u := &user{UUID: p.UUID, Username: p.Username, Name: p.Name, Email: p.Email, Type: "internal", Path: "dezky", Active: true, Person: &p}
		s.addUser(u)
		s.setGroups(u, groups)
		if p.MFA {
			s.addDevice(u, "totp", true)
		}
		return nil
	})
}

// People are those whom AddPerson made and who are there, in that order, with
// the groups that they are in now.
func (s *Server) People() []Person {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []Person
	for _, pk := range slices.Sorted(maps.Keys(s.state.Users)) {
		u := s.state.Users[pk]
		if u.Person == nil {
			continue
		}
		p := *u.Person
		p.Username, p.Name, p.Email, p.UUID, p.Groups = u.Username, u.Name, u.Email, u.UUID, s.groupNames(u)
		all = append(all, p)
	}
	return all
}

// groupNames are the names of the groups that the user is in directly.
func (s *Server) groupNames(u *user) []string {
	names := []string{}
	for _, pk := range u.Groups {
		names = append(names, s.state.Groups[pk].Name)
	}
	slices.Sort(names)
	return names
}

// signInUser is an active user, or an error.
func (s *Server) signInUser(username string) (*user, error) {
	u := s.userNamed(username)
	if u == nil || !u.Active {
		return nil, fmt.Errorf("there is no active user %s", username)
	}
	return u, nil
}
