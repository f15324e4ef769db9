package platform

import (
	"reflect"
	"testing"
)

func TestPresenceOfAMembership(t *testing.T) {
	t.Parallel()
	const active, suspended, gone = PresenceActive, PresenceSuspended, PresenceGone
	table := map[TenantStatus][4]Presence{ // of one who is active, suspended, lapsed, revoked
		TenantStatusPending:   {active, suspended, gone, gone},
		TenantStatusActive:    {active, suspended, gone, gone},
		TenantStatusSuspended: {suspended, suspended, gone, gone},
		TenantStatusDeleting:  {suspended, suspended, gone, gone}, // it can be undone (B-6)
		TenantStatusDeleted:   {gone, gone, gone, gone},
	}
	for status, row := range table {
		for i, state := range []MemberState{MemberStateActive, MemberStateSuspended, MemberStateLapsed, MemberStateRevoked} {
			if got := (&Member{State: state}).presence(&Tenant{Status: status}); got != row[i] {
				t.Errorf("%s in a tenant that is %s: got %s, want %s", state, status, got, row[i])
			}
		}
	}
}

func TestPresenceOfAPerson(t *testing.T) {
	t.Parallel()
	const active, suspended, gone = PresenceActive, PresenceSuspended, PresenceGone
	ours, staff, admin := User{Ours: true}, User{Ours: true, PartnerID: "par_a"}, User{Ours: true, PlatformAdmin: true}
	type of = []Presence
	for name, test := range map[string]struct {
		user   User
		of     of
		want   Presence
		reason string
	}{
		"nobody's":                      {ours, nil, gone, "we made it, and nobody wants it"},
		"nobody's, not ours":            {User{}, nil, active, "what we did not make we do not remove"},
		"one who is active":             {ours, of{active}, active, "wanted"},
		"one who is suspended":          {ours, of{suspended}, suspended, "shut, and kept"},
		"suspended, not ours":           {User{}, of{suspended}, suspended, "somebody's word shuts it"},
		"removed":                       {ours, of{gone}, gone, "E-5"},
		"removed, not ours":             {User{}, of{gone}, active, "it is the person's own again"},
		"active in one of two":          {ours, of{suspended, active}, active, "who wants most counts (E-2)"},
		"suspended in both":             {ours, of{suspended, suspended}, suspended, "nobody wants more"},
		"suspended here, removed there": {ours, of{gone, suspended}, suspended, "one still may resume them"},
		"removed from both":             {ours, of{gone, gone}, gone, "nobody wants them"},
		"three":                         {ours, of{gone, suspended, active}, active, "in any order"},
		"staff":                         {staff, of{suspended, gone}, active, "their role wants them"},
		"staff of nothing else":         {staff, nil, active, "their role wants them"},
		"platform administrator":        {admin, of{gone}, active, "their role wants them"},
		"administrator, not ours":       {User{PlatformAdmin: true}, of{suspended}, active, "their role wants them"},
	} {
		if got := test.user.presence(test.of); got != test.want {
			t.Errorf("%s: got %s, want %s (%s)", name, got, test.want, test.reason)
		}
	}
}

func TestWhatAMembershipRaises(t *testing.T) {
	t.Parallel()
	was := Member{State: MemberStateActive, Role: MemberRoleMember, Address: "a@x", Aliases: []string{"b@x"}, Sealed: "old"}
	in := func(state MemberState) func(*Member) { return func(m *Member) { m.State = state } }
	for name, test := range map[string]struct {
		from        MemberState
		change      func(*Member)
		own, others bool
		reason      string
	}{
		"nothing":         {MemberStateActive, func(*Member) {}, false, false, "no difference"},
		"role":            {MemberStateActive, func(m *Member) { m.Role = MemberRoleAdmin }, true, false, "the tenant's space asks for it, the person's account does not"},
		"aliases":         {MemberStateActive, func(m *Member) { m.Aliases = nil }, true, false, "the mailbox's"},
		"quota":           {MemberStateActive, func(m *Member) { m.MailQuotaMiB = 1 }, true, false, "the mailbox's"},
		"new password":    {MemberStateActive, func(m *Member) { m.Sealed = "new" }, true, false, "the mailbox's"},
		"password gone":   {MemberStateActive, func(m *Member) { m.Sealed = "" }, false, false, "everybody has it"},
		"address":         {MemberStateActive, func(m *Member) { m.Address = "c@x" }, true, true, "mailing lists have it"},
		"mail until":      {MemberStateActive, func(m *Member) { m.MailUntil = &Time{} }, false, false, "it is said of outside, not to it"},
		"source":          {MemberStateActive, func(m *Member) { m.Source = MemberSourceMutation }, false, false, "ours alone"},
		"suspended":       {MemberStateActive, in(MemberStateSuspended), true, true, "shut out"},
		"resumed":         {MemberStateSuspended, in(MemberStateActive), true, true, "let in"},
		"lapsed":          {MemberStateActive, in(MemberStateLapsed), true, true, "gone"},
		"removed":         {MemberStateSuspended, in(MemberStateRevoked), true, true, "gone"},
		"lapsed, removed": {MemberStateLapsed, in(MemberStateRevoked), false, false, "it was gone already"},
		"restored":        {MemberStateRevoked, in(MemberStateActive), true, true, "there again"},
	} {
		old := was
		old.State = test.from
		m := old
		test.change(&m)
		if own, others := m.Raises(&old), m.RaisesOthers(&old); own != test.own || others != test.others {
			t.Errorf("%s: raises itself %v, others %v (%s)", name, own, others, test.reason)
		}
	}
	for state, want := range map[MemberState]bool{
		MemberStateActive: true, MemberStateSuspended: true, MemberStateLapsed: false, MemberStateRevoked: false,
	} {
		if m := (&Member{State: state}); m.Raises(nil) != want || m.RaisesOthers(nil) != want {
			t.Errorf("a new one that is %s: %v, want %v", state, m.Raises(nil), want)
		}
	}
}

func TestWhatAPersonRaises(t *testing.T) {
	t.Parallel()
	was := User{Name: "A", Email: "a@x", Username: "a", Subject: "s", Sealed: "old"}
	for name, test := range map[string]struct {
		change           func(*User)
		own, memberships bool
		reason           string
	}{
		"nothing":       {func(*User) {}, false, false, "no difference"},
		"name":          {func(u *User) { u.Name = "B" }, true, true, "mailboxes show it"},
		"email":         {func(u *User) { u.Email = "b@x" }, true, true, "an account may be made for a membership"},
		"username":      {func(u *User) { u.Username = "b" }, true, true, "an account may be made for a membership"},
		"administrator": {func(u *User) { u.PlatformAdmin = true }, true, false, "they may be wanted for it"},
		"staff":         {func(u *User) { u.PartnerID = "par_a" }, true, false, "they may be wanted for it"},
		"staff role":    {func(u *User) { u.PartnerRole = PartnerRoleOwner }, false, false, "read from here alone"},
		"new password":  {func(u *User) { u.Sealed = "new" }, true, false, "the sign-in's"},
		"password gone": {func(u *User) { u.Sealed = "" }, false, false, "everybody has it"},
		"signed out":    {func(u *User) { u.SignedOutAt = &Time{} }, false, false, "an act, which is over"},
	} {
		u := was
		test.change(&u)
		if own, memberships := u.Raises(&was), u.RaisesMemberships(&was); own != test.own || memberships != test.memberships {
			t.Errorf("%s: raises itself %v, memberships %v (%s)", name, own, memberships, test.reason)
		}
	}
}

func TestTellingOfShutTenants(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		was, is []ID
		news    bool
		reason  string
	}{
		"none":          {nil, nil, false, "nothing to say"},
		"none, emptied": {[]ID{}, nil, false, "the same"},
		"shut":          {nil, []ID{"ten_a"}, true, "told"},
		"told":          {[]ID{"ten_a"}, []ID{"ten_a"}, false, "once"},
		"another order": {[]ID{"ten_a", "ten_b"}, []ID{"ten_b", "ten_a"}, false, "a set"},
		"opened":        {[]ID{"ten_a", "ten_b"}, []ID{"ten_b"}, true, "told"},
	} {
		doc := NewProvisioning("usr_a", "ten_a", StepsOf(KindUser), noon)
		doc.Shut = test.was
		for _, s := range doc.Steps {
			s.calm(ProvisioningStateOK)
		}
		doc.settle(noon)
		if news := doc.tell(test.is, noon); news != test.news || doc.Open != test.news || (doc.Generation == 2) != test.news {
			t.Errorf("%s: news %v, open %v, generation %d (%s)", name, news, doc.Open, doc.Generation, test.reason)
		}
		if len(doc.Shut) != len(test.is) {
			t.Errorf("%s: got %v", name, doc.Shut)
		}
	}
}

func TestUntilWhenAFrozenMailboxIsRead(t *testing.T) {
	t.Parallel()
	box := func(p Presence) *MemberWant { return &MemberWant{Presence: p, Mailbox: &MailboxWant{Presence: p}} }
	first, later := noon.Add(1), noon.Add(2)
	for name, test := range map[string]struct {
		was    *Time
		want   *MemberWant
		said   *Time
		is     *Time
		reason string
	}{
		"frozen":       {nil, box(PresenceSuspended), &first, &first, "from now on"},
		"frozen still": {&first, box(PresenceSuspended), &later, &first, "a connection from then is no younger for a second look"},
		"failed":       {&first, box(PresenceSuspended), nil, &first, "it was frozen before"},
		"never frozen": {nil, box(PresenceSuspended), nil, nil, "not yet"},
		"thawed":       {&first, box(PresenceActive), nil, nil, "anybody may"},
		"gone":         {&first, box(PresenceGone), nil, nil, "nothing to read"},
		"no mailbox":   {nil, &MemberWant{Presence: PresenceSuspended}, nil, nil, "nothing to read"},
	} {
		s := &ProvisioningStep{OpenUntil: test.was}
		if s.shutMail(test.want, test.said); !reflect.DeepEqual(s.OpenUntil, test.is) {
			t.Errorf("%s: got %v, want %v (%s)", name, s.OpenUntil, test.is, test.reason)
		}
	}
}
