// Package playground serves GraphiQL at /playground: a page for trying the API
// by hand, with sign-in by a click where the server offers that.
//
// The page is built from npm packages at locked versions into dist, which is
// git-ignored, and embedded at compile time; `make playground` builds it.
// Without it a placeholder says how to get it. Everything the page needs comes
// from this server: no request ever goes to another host, and the content
// security policy makes the browser see to it. Queries and mutations are POSTs
// to /graphql, and each subscription is a WebSocket there.
//
// Whoever can open the page can sign in as any person that Options lists, so
// a server that is not for development lists none, or does not mount it.
package playground

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed dist
var embedded embed.FS

const (
	pageFile        = "dist/index.html"
	placeholderFile = "dist/placeholder.html"
)

// Person is someone whom the page offers to sign in as.
type Person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
}

// Token is a bearer token for /graphql. The page asks for another one after
// ExpiresAt.
type Token struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// Options says whom the page can sign in as. Without either function there is
// no sign-in, and the page offers a field for a token instead.
type Options struct {
	// People is asked at each load of the page.
	People func() []Person
	// SignIn is called for IDs that People gives, and no others. The text of
	// its error goes to Log and not to the page.
	SignIn func(ctx context.Context, person string) (Token, error)
	// Log may be nil.
	Log *slog.Logger
}

// Built reports whether the Playground itself is embedded, and not only the
// placeholder.
func Built() bool {
	return built(embedded)
}

func built(files fs.FS) bool {
	_, err := fs.Stat(files, pageFile)
	return err == nil
}

// Handler answers /playground and everything below it, and is mounted at both
// "/playground" and "/playground/" without stripping the prefix.
func Handler(o Options) http.Handler {
	return newHandler(embedded, o)
}

func newHandler(files fs.FS, o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	page := pageFile
	if !built(files) {
		page = placeholderFile
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /playground", servePage(files, page))
	mux.HandleFunc("GET /playground/{$}", servePage(files, page))
	mux.HandleFunc("GET /playground/assets/{file}", serveAsset(files))
	if o.People != nil && o.SignIn != nil {
		mux.HandleFunc("GET /playground/people", o.servePeople)
		mux.HandleFunc("POST /playground/sign-in", o.serveSignIn)
	}
	return secure(mux)
}

// policy allows what the page does and nothing else. To connect to 'self' is
// also to open a WebSocket there. Inline styles are GraphiQL's: its menus,
// dialogs and the editor make style elements as they open. Fonts are part of
// its style sheet.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; " +
	"img-src 'self' data:; font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// servePage is never cached: it names the assets of this very build.
func servePage(files fs.FS, name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		serveFile(w, r, files, name)
	}
}

// serveAsset lets assets be cached for ever: a name carries the hash of the
// content.
func serveAsset(files fs.FS) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := "dist/assets/" + r.PathValue("file") // not joined: what leads elsewhere is no valid name
		if info, err := fs.Stat(files, name); err != nil || info.IsDir() {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		serveFile(w, r, files, name)
	}
}

// contentTypes are what a build consists of. They are written here because
// mime.TypeByExtension answers from the machine's own tables.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
}

func serveFile(w http.ResponseWriter, r *http.Request, files fs.FS, name string) {
	if kind, ok := contentTypes[path.Ext(name)]; ok {
		w.Header().Set("Content-Type", kind)
	}
	http.ServeFileFS(w, r, files, name)
}

func (o Options) servePeople(w http.ResponseWriter, _ *http.Request) {
	people := o.People()
	if people == nil {
		people = []Person{}
	}
	writeJSON(w, people)
}

// bodyLimit is far more than {"person": "…"} needs.
const bodyLimit = 4 << 10

// foreign refuses what a browser sends on behalf of another site. Together
// with the content type, which no form can send, it keeps tokens from pages
// that are not ours. A client that is not a browser passes: it could claim
// any origin.
var foreign = http.NewCrossOriginProtection()

// own says whether a host is named in a way that no other site can make lead
// here: a name that resolves to this machine passes for same-origin.
func own(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(strings.Trim(host, "[]")) != nil
}

func (o Options) serveSignIn(w http.ResponseWriter, r *http.Request) {
	if err := foreign.Check(r); err != nil || !own(r.Host) {
		http.Error(w, "Only the Playground itself may ask for a token.", http.StatusForbidden)
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		http.Error(w, "The request must be JSON.", http.StatusUnsupportedMediaType)
		return
	}
	var in struct {
		Person string `json:"person"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit)).Decode(&in); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			http.Error(w, "The request is too large.", http.StatusRequestEntityTooLarge)
			return
		}
		http.Error(w, "The request is not readable JSON.", http.StatusBadRequest)
		return
	}
	if !slices.ContainsFunc(o.People(), func(p Person) bool { return p.ID == in.Person }) {
		http.Error(w, "There is no such person.", http.StatusNotFound)
		return
	}
	token, err := o.SignIn(r.Context(), in.Person)
	if err != nil {
		o.Log.ErrorContext(r.Context(), "playground sign-in failed", "person", in.Person, "err", err)
		http.Error(w, "Signing in failed; the server's log says why.", http.StatusBadGateway)
		return
	}
	writeJSON(w, token)
}

// writeJSON has nobody to tell of a failed write.
func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(value) //nolint:errcheck // see above
}
