// Package graph runs the schema: it signs callers in, authorizes each field,
// loads what hangs on lists in one read a level, and turns errors into what a
// client may see. What a field means is the resolvers' and the platform's.
//
// What is guaranteed: a document is measured and priced before it is validated;
// a directive has spoken before a field does anything; an error's text reaches a
// client only if the platform wrote it; an answer has at most twenty errors; no
// request body is logged or echoed.
package graph

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

// mostErrors is how many errors an answer has.
const mostErrors = 20

// Options are what the graph needs. All down to Stopping must be set.
type Options struct {
	Platform  *platform.Platform
	SignIn    *SignIn
	Resolvers generated.ResolverRoot
	Clock     platform.Clock
	Log       *slog.Logger
	// Stopping ends the streams when it closes, in a way that clients come again.
	Stopping <-chan struct{}
	// Origins are the web origins, such as https://portal.dezky.dk, whose pages may
	// read answers and open a WebSocket, besides our own host's. Nobody else's may.
	Origins []string
	// Introspection lets everyone read the schema. Operators always may.
	Introspection bool
	// Proxies is how many proxies of ours stand before the server.
	Proxies int
	// Turns is how many operations run at once; those beyond are told at once to
	// come back. 0 is the usual number, with a short line behind it.
	Turns int
}

// Handler answers GraphQL requests over HTTP: by POST, as a stream of
// server-sent events where the client accepts that, and over a WebSocket.
type Handler struct {
	server  *handler.Server
	signIn  *SignIn
	p       *platform.Platform
	clock   platform.Clock
	log     *slog.Logger
	present graphql.ErrorPresenterFunc

	origins  []string
	proxies  int
	turns    turns
	callers  *callers
	stopping <-chan struct{}
	open     sync.WaitGroup // sockets, which http.Server forgets
}

// New makes the handler.
func New(o Options) *Handler {
	h := &Handler{
		signIn: o.SignIn, p: o.Platform, clock: o.Clock, log: o.Log, present: presenter(o.Log),
		origins: o.Origins, proxies: o.Proxies, turns: newTurns(o.Turns, o.Clock), callers: newCallers(o.Clock, o.Platform.SignIn),
		stopping: o.Stopping,
	}
	guard := directives{platform: o.Platform, log: o.Log}
	schema := generated.NewExecutableSchema(generated.Config{
		Resolvers: o.Resolvers,
		Directives: generated.DirectiveRoot{
			Public:        guard.rule(platform.RulePublic),
			Authenticated: guard.rule(platform.RuleAuthenticated),
			TenantMember:  guard.rule(platform.RuleTenantMember),
			TenantAdmin:   guard.rule(platform.RuleTenantAdmin),
			PartnerStaff:  guard.rule(platform.RulePartnerStaff),
			Operator:      guard.rule(platform.RuleOperator),
		},
	})
	server := handler.New(schema)
	server.AddTransport(sockets{h})
	server.AddTransport(events{h})
	server.AddTransport(post{h})
	server.SetParserTokenLimit(mostTokens)
	server.SetQueryCache(newDocuments())
	server.SetDisableSuggestion(true)
	server.SetValidationRulesFn(silentRules)
	server.SetErrorPresenter(h.present)
	server.SetRecoverFunc(recovered)
	server.AroundResponses(h.aroundResponse)
	server.Use(newCosts(schema.Schema(), o.Platform, o.Introspection))
	h.server = server
	return h
}

// silentRules are the rules of validation that suggest no names. The executor
// changes what it is given, so they are made anew each time.
func silentRules() *rules.Rules {
	r := rules.NewDefaultRules()
	r.ReplaceRule(rules.KnownArgumentNamesRule.Name, rules.KnownArgumentNamesRuleWithoutSuggestions.RuleFunc)
	r.ReplaceRule(rules.KnownTypeNamesRule.Name, rules.KnownTypeNamesRuleWithoutSuggestions.RuleFunc)
	r.ReplaceRule(rules.ValuesOfCorrectTypeRule.Name, rules.ValuesOfCorrectTypeRuleWithoutSuggestions.RuleFunc)
	return r
}

// aroundResponse runs once for a query and once for each event of a
// subscription, so that no event is answered from an old cache.
func (h *Handler) aroundResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	start := h.clock.Running()
	res := next(withLoaders(ctx, h.p))
	if res == nil {
		return nil
	}
	slices.SortStableFunc(res.Errors, inDocument)
	if len(res.Errors) > mostErrors {
		res.Errors = res.Errors[:mostErrors]
	}
	h.logResponse(ctx, res, h.clock.Running()-start)
	return res
}

// logResponse writes the one line of an operation: never the document, the
// variables or the answer. Events of a subscription that are good are many and
// say nothing; they are for a log that shows everything.
func (h *Handler) logResponse(ctx context.Context, res *graphql.Response, took time.Duration) {
	level := slog.LevelInfo
	if graphql.HasOperationContext(ctx) && len(res.Errors) == 0 {
		if op := graphql.GetOperationContext(ctx).Operation; op != nil && op.Operation == ast.Subscription {
			level = slog.LevelDebug
		}
	}
	if !h.log.Enabled(ctx, level) {
		return
	}
	attributes := []slog.Attr{
		slog.String("requestId", requestOf(ctx).RequestID),
		slog.Float64("ms", float64(took.Microseconds())/1000),
	}
	if graphql.HasOperationContext(ctx) {
		if op := graphql.GetOperationContext(ctx).Operation; op != nil {
			attributes = append(attributes, slog.String("operation", string(op.Operation)), slog.String("name", cut(op.Name, 64)))
		}
	}
	if a := platform.ActorOf(ctx); a != nil {
		attributes = append(attributes, slog.String("subject", a.Identity.Subject))
	}
	if len(res.Errors) > 0 {
		attributes = append(attributes, slog.Any("code", res.Errors[0].Extensions["code"]))
	}
	h.log.LogAttrs(ctx, level, "graphql", attributes...)
}

func cut(text string, longest int) string {
	if len(text) > longest {
		return text[:longest]
	}
	return text
}

// ServeHTTP signs the caller in and runs the request. A token that is there and
// not good ends it; without one, only public fields answer.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from := platform.From{
		IP: callerIP(r, h.proxies), UserAgent: cut(r.UserAgent(), 300), RequestID: string(platform.NewID(platform.KindRequest)),
	}
	w.Header().Set("X-Request-Id", from.RequestID)
	if h.share(w, r) {
		return
	}
	ctx := withRequest(r.Context(), from)
	if h.turns.full() {
		h.refuse(ctx, w, http.StatusTooManyRequests, tooBusy())
		return
	}
	actor, err := h.actor(ctx, r, from)
	if err != nil {
		h.refuse(ctx, w, statusOf(platform.CodeOf(err)), err)
		return
	}
	if actor != nil {
		ctx = platform.WithActor(ctx, actor)
	}
	h.server.ServeHTTP(w, r.WithContext(ctx))
}

// actor is who calls, or nil without a token.
func (h *Handler) actor(ctx context.Context, r *http.Request, from platform.From) (*platform.Actor, error) {
	token, err := BearerToken(r.Header.Get("Authorization"))
	if err != nil || token == "" {
		return nil, err
	}
	is, err := h.signIn.Check(ctx, token)
	if err != nil {
		return nil, err
	}
	return h.p.SignIn(ctx, *is, from)
}

// refuse answers a request that is not run.
func (h *Handler) refuse(ctx context.Context, w http.ResponseWriter, status int, err error) {
	h.refuseAs(ctx, w, status, plainJSON, err)
}

// refuseAs is refuse in a media type, or in application/json without one.
func (h *Handler) refuseAs(ctx context.Context, w http.ResponseWriter, status int, kind string, err error) {
	if kind == "" {
		kind = plainJSON
	}
	writeJSON(w, status, kind, refusal{Errors: gqlerror.List{h.present(ctx, err)}})
}

// complain is for what no client is told.
func (h *Handler) complain(ctx context.Context, err error) {
	h.log.WarnContext(ctx, "a connection cannot go on", "requestId", requestOf(ctx).RequestID, "err", err)
}
