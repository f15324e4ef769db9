package standin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// device is an authenticator.
type device struct {
	PK        int       `json:"pk"`
	User      int       `json:"user"`
	Kind      string    `json:"kind"`
	Confirmed bool      `json:"confirmed"`
	Created   time.Time `json:"created"`
}

// AddDevice gives somebody an authenticator. Kind is totp, webauthn, duo, sms,
// email or static; those of the last are recovery codes.
func (s *Server) AddDevice(username, kind string, confirmed bool) error {
	return s.change(func() error {
		u := s.userNamed(username)
		if u == nil {
			return fmt.Errorf("there is no user %s", username)
		}
		s.addDevice(u, kind, confirmed)
		return nil
	})
}

func (s *Server) addDevice(u *user, kind string, confirmed bool) {
	d := &device{PK: s.number(), User: u.PK, Kind: kind, Confirmed: confirmed, Created: s.clock.Now().UTC()}
	s.state.Devices[d.PK] = d
}

// listDevices answers with a bare list. Without a user it is everybody's, and no
// row says whose it is.
func (s *Server) listDevices(r *http.Request) reply {
	user := 0
	if asked := r.URL.Query().Get("user"); asked != "" {
		var err error
		if user, err = strconv.Atoi(asked); err != nil {
			return reply{http.StatusBadRequest, map[string][]string{"user": {"A valid integer is required."}}}
		}
	}
	rows := []any{}
	for _, pk := range slices.Sorted(maps.Keys(s.state.Devices)) {
		if d := s.state.Devices[pk]; user == 0 || d.User == user {
			rows = append(rows, d.show())
		}
	}
	return ok(rows)
}

func (d *device) show() map[string]any {
	model := "authentik_stages_authenticator_" + d.Kind + "."
	names := map[string]string{"totp": "TOTPDevice", "webauthn": "WebAuthnDevice", "static": "StaticDevice"}
	class := names[d.Kind]
	if class == "" {
		class = strings.ToUpper(d.Kind[:1]) + d.Kind[1:] + "Device"
	}
	return map[string]any{
		"verbose_name": class, "verbose_name_plural": class + "s", "meta_model_name": model + strings.ToLower(class),
		"type": model + class, "pk": strconv.Itoa(d.PK), "name": d.Kind, "confirmed": d.Confirmed,
		"created": d.Created, "last_updated": d.Created, "last_used": nil, "extra_description": nil, "external_id": nil,
	}
}
