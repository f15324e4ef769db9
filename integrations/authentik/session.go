package authentik

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/dezky/platform/platform"
)

// session is somebody's sign-in in a browser.
type session struct {
	UUID string `json:"uuid"`
	User int    `json:"user"`
}

// refreshToken goes on when the session that it came from has ended.
type refreshToken struct {
	PK   int `json:"pk"`
	User struct {
		PK int `json:"pk"`
	} `json:"user"`
}

// mostRounds is how often sessions are ended and looked for again: somebody may
// sign in meanwhile.
const mostRounds = 3

// endSessions ends the sessions of a user and their refresh tokens, and looks
// again until there are none. Both lists are read, and every row of them is
// held against the user, before anything is ended: Authentik lists everybody's
// where it does not know the filter.
func (c *Client) endSessions(ctx context.Context, u *user) error {
	for range mostRounds {
		sessions, tokens, err := c.signedIn(ctx, u)
		if err != nil || len(sessions)+len(tokens) == 0 {
			return err
		}
		for _, s := range sessions {
			if err := c.remove(ctx, "/core/authenticated_sessions/"+url.PathEscape(s.UUID)+"/"); err != nil {
				return err
			}
		}
		for _, t := range tokens {
			if err := c.remove(ctx, "/oauth2/refresh_tokens/"+strconv.Itoa(t.PK)+"/"); err != nil {
				return err
			}
		}
	}
	sessions, tokens, err := c.signedIn(ctx, u)
	if err == nil && len(sessions)+len(tokens) > 0 {
		return platform.Errorf(platform.Unavailable, "The person signs in again as fast as their sessions are ended.")
	}
	return err
}

// signedIn are the sessions and the refresh tokens of a user. Anybody else's
// among them is an error.
func (c *Client) signedIn(ctx context.Context, u *user) ([]session, []refreshToken, error) {
	if err := c.checkUser(u); err != nil {
		return nil, nil, err
	}
	sessions, err := list[session](ctx, c, "/core/authenticated_sessions/", url.Values{"user__username": {u.Username}})
	if err != nil {
		return nil, nil, err
	}
	tokens, err := list[refreshToken](ctx, c, "/oauth2/refresh_tokens/", url.Values{"user": {strconv.Itoa(u.PK)}})
	if err != nil {
		// A filter by a user who is gone is refused for good.
		if now, lookErr := c.userWithUUID(ctx, u.UUID); !platform.CanPass(err) && lookErr == nil && now == nil {
			return nil, nil, nil
		}
		return nil, nil, err
	}
	for _, s := range sessions {
		if s.User != u.PK {
			return nil, nil, othersSession(u.PK, s.User)
		}
		if s.UUID == "" {
			return nil, nil, c.call.Garbled(fmt.Errorf("a session without a uuid"))
		}
	}
	for _, t := range tokens {
		if t.User.PK != u.PK {
			return nil, nil, othersSession(u.PK, t.User.PK)
		}
		if t.PK <= 0 {
			return nil, nil, c.call.Garbled(fmt.Errorf("a refresh token without a pk"))
		}
	}
	return sessions, tokens, nil
}

func othersSession(asked, listed int) error {
	return platform.Errorf(platform.Unavailable, "The identity provider listed somebody else's session, so none was ended.").
		Because(fmt.Errorf("asked for user %d, one is of user %d", asked, listed)).Never()
}

// remove deletes what is at a path. What is not there is deleted already.
func (c *Client) remove(ctx context.Context, path string) error {
	a, err := c.send(ctx, http.MethodDelete, path, nil, nil)
	if err != nil || a.Status == http.StatusNoContent || a.Status == http.StatusNotFound {
		return err
	}
	return c.refused(a)
}
