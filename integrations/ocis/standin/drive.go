package standin

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The types of drives. A virtual one is not stored.
const (
	project  = "project"
	personal = "personal"
)

// drive is a space.
type drive struct {
	Space       string // the second half of the id
	Name        string
	Description *string
	Type        string
	Alias       string
	Total, Used int64
	Disabled    bool
	Changed     time.Time
	Grants      []*grant
	// Files are the sizes of what was uploaded, by their paths.
	Files map[string]int64
}

func (s *Server) id(d *drive) string { return s.state.Storage + "$" + d.Space }

func (s *Server) find(id string) *drive {
	for _, d := range s.state.Drives {
		if s.id(d) == id {
			return d
		}
	}
	return nil
}

// written is a body. Keys that it lacks are refused; what the server knows and
// does not heed is raw.
type written struct {
	Name        *string `json:"name"`
	Description *string `json:"description"`
	DriveType   *string `json:"driveType"`
	DriveAlias  *string `json:"driveAlias"`
	Quota       *struct {
		Total     *int64          `json:"total"`
		Used      json.RawMessage `json:"used"`
		Remaining json.RawMessage `json:"remaining"`
		Deleted   json.RawMessage `json:"deleted"`
		State     json.RawMessage `json:"state"`
	} `json:"quota"`
	ID                   json.RawMessage `json:"id"`
	CreatedBy            json.RawMessage `json:"createdBy"`
	CreatedDateTime      json.RawMessage `json:"createdDateTime"`
	ETag                 json.RawMessage `json:"eTag"`
	LastModifiedBy       json.RawMessage `json:"lastModifiedBy"`
	LastModifiedDateTime json.RawMessage `json:"lastModifiedDateTime"`
	ParentReference      json.RawMessage `json:"parentReference"`
	WebURL               json.RawMessage `json:"webUrl"`
	Owner                json.RawMessage `json:"owner"`
	Items                json.RawMessage `json:"items"`
	Root                 json.RawMessage `json:"root"`
	Special              json.RawMessage `json:"special"`
}

func read(r *http.Request) (*written, error) {
	var in written
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	return &in, decoder.Decode(&in)
}

const defaultQuota = 1000000000

// create makes a space whose manager is whoever makes it.
func (s *Server) create(c *call) {
	if !s.isAdmin(c) {
		s.fail(c, http.StatusForbidden, "notAllowed", "insufficient permissions to create a space.")
		return
	}
	in, err := read(c.r)
	if err != nil || in.Name == nil || *in.Name == "" {
		s.fail(c, http.StatusBadRequest, "invalidRequest", "invalid body schema definition")
		return
	}
	if err := checkName(*in.Name); err != nil {
		s.fail(c, http.StatusBadRequest, "invalidRequest", "invalid spacename: "+err.Error())
		return
	}
	if in.DriveType != nil && *in.DriveType != project {
		s.fail(c, http.StatusBadRequest, "invalidRequest", "drives of this type cannot be created via this api")
		return
	}
	if c.r.URL.Query().Get("template") != "" {
		s.refuse(c)
		return
	}
	d := &drive{
		Space: newUUID(), Name: *in.Name, Description: in.Description, Type: project,
		Alias: "project/" + strings.ReplaceAll(strings.ToLower(*in.Name), " ", "-"), Total: defaultQuota, Changed: s.options.Clock.Now(),
		Grants: []*grant{{User: c.user.ID, Role: manager}},
	}
	if in.DriveAlias != nil {
		d.Alias = *in.DriveAlias
	}
	if in.Quota != nil && in.Quota.Total != nil && *in.Quota.Total >= 0 {
		d.Total = *in.Quota.Total
	}
	s.state.Drives = append(s.state.Drives, d)
	s.done(c, http.StatusCreated, s.render(d))
}

func checkName(name string) error {
	switch {
	case strings.ContainsAny(name, `/\.:?*"><|`):
		return errors.New(`spacenames must not contain [/ \ . : ? * " > < |]`)
	case len(name) > 255:
		return errors.New("spacename must be smaller than 255")
	}
	return nil
}

// personal is a user's own drive, or nil before their first request.
func (s *Server) personal(user string) *drive {
	i := slices.IndexFunc(s.state.Drives, func(d *drive) bool { return d.Type == personal && d.Space == user })
	if i < 0 {
		return nil
	}
	return s.state.Drives[i]
}

func (s *Server) showPersonal(c *call, key string) {
	var d *drive
	if u := s.userOf(key); u != nil && (u == c.user || s.isAdmin(c)) {
		d = s.personal(u.ID)
	}
	s.showDrive(c, d)
}

func (s *Server) show(c *call) {
	d := s.find(c.ids[0])
	if d != nil && !s.isAdmin(c) && !d.isOpenTo(c.user) {
		d = nil
	}
	s.showDrive(c, d)
}

func (s *Server) showDrive(c *call, d *drive) {
	if d == nil {
		s.fail(c, http.StatusNotFound, "itemNotFound", "no drive returned from storage")
		return
	}
	answer(c.w, http.StatusOK, s.render(d))
}

// isOpenTo says whether the user can work in it: it is their own, or they have a
// grant, and it is not disabled.
func (d *drive) isOpenTo(u *user) bool {
	return !d.Disabled && (d.Space == u.ID || d.grant(u.ID) != nil)
}

// mayChange says whether the user is an administrator or a manager.
func (s *Server) mayChange(c *call, d *drive) bool {
	g := d.grant(c.user.ID)
	return s.isAdmin(c) || g != nil && g.Role == manager
}

func (s *Server) change(c *call) {
	in, err := read(c.r)
	if err != nil {
		s.fail(c, http.StatusBadRequest, "invalidRequest", "invalid request body: error: "+err.Error())
		return
	}
	if in.Quota != nil && !s.isAdmin(c) {
		s.fail(c, http.StatusForbidden, "notAllowed", "user is not allowed to set the space quota")
		return
	}
	d := s.find(c.ids[0])
	if d == nil || !s.mayChange(c, d) {
		s.fail(c, http.StatusNotFound, "itemNotFound", "drive not found")
		return
	}
	if in.Quota != nil && in.Quota.Total != nil {
		if *in.Quota.Total < 0 {
			s.fail(c, http.StatusInternalServerError, "generalException", "grpc error")
			return
		}
		d.Total = *in.Quota.Total
	}
	if in.Name != nil {
		if err := checkName(*in.Name); err != nil {
			s.fail(c, http.StatusBadRequest, "invalidRequest", "invalid spacename: "+err.Error())
			return
		}
		d.Name = *in.Name
	}
	if in.Description != nil {
		d.Description = in.Description
	}
	if isSet(c.r, "Restore") {
		d.Disabled = false
	}
	d.Changed = s.options.Clock.Now()
	s.done(c, http.StatusOK, s.render(d))
}

func (s *Server) remove(c *call) {
	d := s.find(c.ids[0])
	switch {
	case d == nil || !s.mayChange(c, d):
		s.fail(c, http.StatusNotFound, "itemNotFound", "drive not found")
		return
	case !isSet(c.r, "Purge"):
		d.Disabled = true
	case !d.Disabled:
		s.fail(c, http.StatusBadRequest, "invalidRequest", "error: bad request: can't purge enabled space")
		return
	default:
		s.state.Drives = slices.DeleteFunc(s.state.Drives, func(other *drive) bool { return other == d })
	}
	s.done(c, http.StatusNoContent, nil)
}

func isSet(r *http.Request, header string) bool {
	set, err := strconv.ParseBool(r.Header.Get(header))
	return err == nil && set
}

// listAll shows every drive to administrators, and to others theirs.
func (s *Server) listAll(c *call) {
	s.list(c, func(d *drive) bool { return s.isAdmin(c) || d.isOpenTo(c.user) })
}

func (s *Server) listMine(c *call) {
	s.list(c, func(d *drive) bool { return d.isOpenTo(c.user) })
}

// list knows two filters. Any other comparison is ignored, and so are pages;
// what is not a comparison is refused.
func (s *Server) list(c *call, visible func(*drive) bool) {
	query := c.r.URL.Query()
	filter := strings.TrimSpace(query.Get("$filter"))
	wanted := comparison.FindStringSubmatch(filter)
	switch {
	case strings.Contains(filter, " and "):
		s.fail(c, http.StatusNotImplemented, "notSupported", "unsupported filter operand: and")
		return
	case strings.HasPrefix(filter, "contains("):
		s.fail(c, http.StatusNotImplemented, "notSupported", "unsupported filter operand: contains")
		return
	case filter != "" && wanted == nil:
		s.fail(c, http.StatusBadRequest, "invalidRequest", "invalid filter")
		return
	}
	drives := slices.Clone(s.state.Drives)
	if strings.HasPrefix(query.Get("$orderby"), "name") {
		slices.SortStableFunc(drives, func(a, b *drive) int { return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	}
	heeded := wanted != nil && (wanted[1] == "driveType" || wanted[1] == "id")
	value := []any{}
	for _, d := range drives {
		matches := !heeded || wanted[1] == "driveType" && d.Type == wanted[2] || wanted[1] == "id" && s.id(d) == wanted[2]
		if matches && visible(d) {
			value = append(value, s.render(d))
		}
	}
	if !heeded || wanted[2] == "virtual" {
		value = append(value, s.shares())
	}
	answer(c.w, http.StatusOK, map[string]any{"value": value})
}

// shares is the drive of what others share, which everybody has and nobody
// stores.
func (s *Server) shares() map[string]any {
	const id = "a0ca6a90-a365-4782-871e-d44447bbc668$a0ca6a90-a365-4782-871e-d44447bbc668"
	return map[string]any{
		"driveAlias": "virtual/shares", "driveType": "virtual", "id": id, "name": "Shares",
		"quota":  map[string]any{"state": "normal", "total": 0, "used": 0},
		"root":   map[string]any{"eTag": "DECAFC00FEE", "id": id, "webDavUrl": s.options.PublicURL + "/dav/spaces/" + id},
		"webUrl": s.options.PublicURL + "/f/" + id,
	}
}

// render shows a drive as the API does.
func (s *Server) render(d *drive) map[string]any {
	id := s.id(d)
	dav := s.options.PublicURL + "/dav/spaces/" + id
	root := map[string]any{"eTag": fmt.Sprintf("%q", strconv.FormatInt(d.Changed.UnixNano(), 16)), "id": id, "webDavUrl": dav}
	shown := map[string]any{
		"driveAlias": d.Alias, "driveType": d.Type, "id": id, "name": d.Name,
		"lastModifiedDateTime": d.Changed.UTC().Format(time.RFC3339Nano),
		"owner":                map[string]any{"user": map[string]any{"displayName": "", "id": d.Space}},
		"quota":                d.quota(), "root": root, "webUrl": s.options.PublicURL + "/f/" + id,
	}
	if d.Description != nil {
		shown["description"] = *d.Description
	}
	if d.Disabled {
		root["deleted"] = map[string]any{"state": "trashed"}
	}
	if d.Type == project {
		root["permissions"] = s.members(d)
	}
	return shown
}

// quota of a disabled drive does not say what is used. A total of 0 is no
// limit.
func (d *drive) quota() map[string]any {
	switch {
	case d.Disabled:
		return map[string]any{"total": d.Total}
	case d.Total == 0:
		return map[string]any{"remaining": int64(math.MaxInt64), "state": "normal", "total": 0, "used": d.Used}
	}
	state := "exceeded"
	switch share := float64(d.Used) / float64(d.Total); {
	case share <= 0.75:
		state = "normal"
	case share <= 0.9:
		state = "nearing"
	case share <= 0.99:
		state = "critical"
	}
	return map[string]any{"remaining": max(0, d.Total-d.Used), "state": state, "total": d.Total, "used": d.Used}
}

func text(t *string) string {
	if t == nil {
		return ""
	}
	return *t
}

// newUUID is a random one, version 4.
func newUUID() string {
	b := make([]byte, 16)
	rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
