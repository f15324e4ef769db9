package authentik

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/dezky/platform/platform"
)

var (
	_ platform.SignIns = (*Client)(nil)
	_ platform.SSOApps = (*Client)(nil)
	_ platform.Probe   = (*Client)(nil)
)

// EndSessions implements platform.SignIns.
func (c *Client) EndSessions(ctx context.Context, subject string) error {
	u, err := c.userWithUUID(ctx, subject)
	if err != nil || u == nil {
		return err
	}
	return c.endSessions(ctx, u)
}

// Authenticators implements platform.SignIns. Authentik counts nothing and has
// no list of several users, so it is two calls for each. Kinds of authenticators
// that the token may not view are left out of its answer without a word.
func (c *Client) Authenticators(ctx context.Context, subjects []string) (map[string]int, error) {
	var known []string
	seen := map[string]bool{}
	for _, subject := range subjects {
		if isUUID(subject) && !seen[subject] { // nobody has any other
			known = append(known, subject)
		}
		seen[subject] = true
	}
	var mu sync.Mutex
	counts := map[string]int{}
	err := each(ctx, known, func(ctx context.Context, subject string) error {
		u, err := c.userWithUUID(ctx, subject)
		if err != nil || u == nil {
			return err
		}
		n, err := c.countDevices(ctx, u)
		mu.Lock()
		defer mu.Unlock()
		counts[subject] = n
		return err
	})
	if err != nil {
		return nil, err
	}
	return counts, nil
}

// staticDevice begins the model of recovery codes.
const staticDevice = "authentik_stages_authenticator_static."

// countDevices counts a user's confirmed authenticators. Without a user the
// list is of everybody's, and its rows do not say whose they are.
func (c *Client) countDevices(ctx context.Context, u *user) (int, error) {
	if err := c.checkUser(u); err != nil {
		return 0, err
	}
	a, err := c.send(ctx, http.MethodGet, "/authenticators/admin/all/", url.Values{"user": {strconv.Itoa(u.PK)}}, nil)
	if err != nil {
		return 0, err
	}
	devices, err := read[[]struct {
		Model     string `json:"meta_model_name"`
		Type      string `json:"type"`
		Confirmed bool   `json:"confirmed"`
	}](c, a, http.StatusOK)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, d := range devices {
		if d.Confirmed && !strings.HasPrefix(d.Model, staticDevice) && !strings.HasPrefix(d.Type, staticDevice) {
			n++
		}
	}
	return n, nil
}

// Probe implements platform.Probe: it asks whose the token is. An account that
// is not active, or that somebody acts as, is not one to work with.
func (c *Client) Probe(ctx context.Context) error {
	a, err := c.send(ctx, http.MethodGet, "/core/users/me/", nil, nil)
	if err != nil {
		return err
	}
	me, err := read[struct {
		User struct {
			PK       int    `json:"pk"`
			Username string `json:"username"`
			IsActive bool   `json:"is_active"`
		} `json:"user"`
		Original json.RawMessage `json:"original"`
	}](c, a, http.StatusOK)
	switch {
	case err != nil:
		return err
	case me.User.PK <= 0 || me.User.Username == "":
		return c.call.Garbled(fmt.Errorf("it does not say whose the token is"))
	case !me.User.IsActive || (len(me.Original) > 0 && string(me.Original) != "null"):
		return platform.Errorf(platform.Unavailable, "The identity provider does not let our account work for itself.").
			Because(fmt.Errorf("user %s, active: %t", me.User.Username, me.User.IsActive)).Never()
	}
	return nil
}

// atOnce is how many calls one job makes at once, so that it leaves others
// their turn.
const atOnce = 4

// each does something for every item, a few at once, and starts no more after
// the first error, which it answers with.
func each[T any](ctx context.Context, items []T, do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan T)
	var workers sync.WaitGroup
	for range min(atOnce, len(items)) {
		workers.Go(func() {
			for item := range work {
				if err := do(ctx, item); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for _, item := range items {
		select {
		case work <- item:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(work)
	workers.Wait()
	return context.Cause(ctx)
}
