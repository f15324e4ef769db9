package graph

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// preflightAge is how long a browser may remember that it asked.
const preflightAge = 10 * time.Minute

// Secure sets, on every answer of next, the headers that keep a browser from
// doing more with it than was meant. What sets one itself has its way. It goes
// once around everything that is served.
func Secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// share lets the pages of the options' origins read the answer; there are no
// cookies to let along. It says whether the request only asked for that.
func (h *Handler) share(w http.ResponseWriter, r *http.Request) (answered bool) {
	if len(h.origins) == 0 {
		return false
	}
	head := w.Header()
	head.Add("Vary", "Origin")
	origin := r.Header.Values("Origin")
	if len(origin) != 1 || !slices.Contains(h.origins, origin[0]) {
		return false
	}
	head.Set("Access-Control-Allow-Origin", origin[0])
	head.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	head.Set("Access-Control-Allow-Methods", http.MethodPost)
	head.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
	head.Set("Access-Control-Max-Age", strconv.Itoa(int(preflightAge.Seconds())))
	w.WriteHeader(http.StatusNoContent)
	return true
}
