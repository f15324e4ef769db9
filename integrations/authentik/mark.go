package authentik

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/dezky/platform/platform"
)

// markKey is the attribute under which all that is ours stands.
const markKey = "dezky"

// attributes are those of a group or a user, ours and others'.
type attributes map[string]json.RawMessage

// mark says whose a group or a user is. Each field is "" where it does not
// say.
type mark struct {
	TenantID platform.ID `json:"tenantId"`
	GroupID  platform.ID `json:"groupId"`
	UserID   platform.ID `json:"userId"`
}

// mark reads the mark. One that cannot be read is somebody else's: then ok is
// false.
func (a attributes) mark() (m mark, ok bool) {
	own := a[markKey]
	if len(own) == 0 {
		return mark{}, true
	}
	err := json.Unmarshal(own, &m)
	return m, err == nil
}

// marked are the attributes with fields set in the mark, and everything else
// kept: a PATCH replaces all attributes at once. It is nil where nothing has to
// be changed.
func (a attributes) marked(fields map[string]string) (attributes, error) {
	own := attributes{}
	if err := json.Unmarshal(a[markKey], &own); err != nil || own == nil {
		own = attributes{} // no mark yet
	}
	wanted := maps.Clone(own)
	for name, text := range fields {
		wanted.set(name, text)
	}
	if maps.EqualFunc(own, wanted, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		return nil, nil
	}
	written, err := json.Marshal(wanted)
	if err != nil {
		return nil, fmt.Errorf("write a mark: %w", err)
	}
	all := maps.Clone(a)
	if all == nil {
		all = attributes{}
	}
	all[markKey] = written
	return all, nil
}

// set puts a text under name, unless it is there already, however it is
// written.
func (a attributes) set(name, text string) {
	var old string
	if json.Unmarshal(a[name], &old) == nil && old == text {
		return
	}
	a[name], _ = json.Marshal(text) //nolint:errcheck // every text can be written
}
