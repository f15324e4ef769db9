package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	authentik "github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// world is a server with data, as production runs it: no outside system is in
// it but the issuer of tokens, and its log is written to nowhere.
type world struct {
	*server
	b        *testing.B
	identity *authentik.Server
	issuer   *httptest.Server
	store    platform.Store
	reads    *countedReads
	// token is an operator's.
	token string
	held  amounts
}

// amounts are how much of everything there is.
type amounts struct{ partners, tenants, members int }

func newWorld(b *testing.B, database string, held amounts) *world {
	b.Helper()
	w := &world{b: b, held: held}
	var err error
	w.identity, err = authentik.New(authentik.Options{Clock: platform.NewSystemClock(), Token: platform.NewSecret("identity-token")})
	w.must(err)
	w.issuer = httptest.NewServer(w.identity)
	w.identity.SetBaseURL(w.issuer.URL)
	off := Outside{Off: true}
	w.server, err = start(b.Context(), Config{
		Production: true, Database: database, Authentik: off, Stalwart: off, OCIS: off,
		Issuers:  []string{w.identity.Issuer(authentik.Operator)},
		Audience: []string{authentik.Operator}, SealKey: platform.NewSecret(developmentKey),
	}, seams{
		log:    slog.New(slog.NewJSONHandler(io.Discard, nil)),
		engine: func(next store.Engine) store.Engine { w.reads = &countedReads{Engine: next}; return w.reads },
		store:  func(next platform.Store) platform.Store { w.store = next; return next },
	})
	w.must(err)
	w.must(w.identity.AddPerson(authentik.Person{
		Username: "olga", Name: "Olga", Email: "olga@dezky.test", UUID: uuidOf("olga"), Groups: []string{"dezky-platform-admins"},
	}))
	w.must(w.platform.Plant(b.Context(), platform.Seed{Users: []*platform.User{{
		Document: platform.Document{ID: "usr_olga"}, Subject: uuidOf("olga"), Email: "olga@dezky.test", Name: "Olga",
		PlatformAdmin: true, CreatedAt: platform.At(time.Now()),
	}}}))
	w.token, err = w.identity.SignIn("olga", authentik.Operator, authentik.ExpiresIn(24*time.Hour))
	w.must(err)
	w.fill()
	return w
}

func (w *world) close() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.b.Context()), patience)
	defer cancel()
	w.must(w.server.Close(ctx))
	w.issuer.Close()
}

func (w *world) must(err error) {
	if err != nil {
		w.b.Helper()
		w.b.Fatal(err)
	}
}

// kept is anything that the store keeps.
type kept interface{ Doc() *platform.Document }

// fill writes the documents as the store would, many to a transaction. Nothing
// of them is due: the steps are done, and the log has no events of them.
func (w *world) fill() {
	now := platform.At(time.Now())
	const batch = 5000
	var waiting []func(store.Tx) error
	flush := func() {
		w.must(w.engine.Tx(w.b.Context(), func(tx store.Tx) error {
			for _, insert := range waiting {
				if err := insert(tx); err != nil {
					return err
				}
			}
			return nil
		}))
		waiting = waiting[:0]
	}
	put := func(coll string, v kept) {
		body, err := json.Marshal(v)
		w.must(err)
		waiting = append(waiting, func(tx store.Tx) error {
			return tx.Insert(w.b.Context(), coll, store.Doc{ID: v.Doc().ID, Body: body})
		})
		if len(waiting) == batch {
			flush()
		}
	}
	as := func(kind platform.Kind, i int) platform.Document {
		return platform.Document{ID: platform.ID(fmt.Sprintf("%s_%06d", kind, i))}
	}
	for i := range w.held.partners {
		put("partners", &platform.Partner{
			Document: as(platform.KindPartner, i), Slug: fmt.Sprintf("partner-%03d", i), Name: fmt.Sprintf("Partner %03d", i),
			Status: platform.PartnerStatusActive, CreatedAt: now,
		})
	}
	trades := []string{"Bakery", "Joinery", "Notaries", "Logistics", "Opticians", "Shipyard", "Gardens"}
	for i := range w.held.tenants {
		at := now.Add(time.Duration(i) * time.Microsecond)
		t := &platform.Tenant{
			Document: as(platform.KindTenant, i), Slug: fmt.Sprintf("tenant-%05d", i),
			Name:   fmt.Sprintf("%s %05d", trades[i%len(trades)], i),
			Status: platform.TenantStatusActive, PartnerID: as(platform.KindPartner, i%w.held.partners).ID,
			Plan: platform.PlanBusiness, Seats: 25, CreatedAt: at,
		}
		put("tenants", t)
		put("subscriptions", &platform.TenantSubscription{
			Document: as(platform.KindSubscription, i), TenantID: t.ID, Plan: t.Plan, Cycle: platform.CycleMonthly,
			Seats: t.Seats, Status: platform.SubscriptionStatusActive, Since: at,
		})
		put("provisioning", settled(t.ID, at))
		for n := range 3 {
			put("audit", &platform.AuditEvent{
				Document: as(platform.KindAuditEvent, 3*i+n), At: at.Add(time.Duration(n) * time.Second), ActorID: "usr_olga",
				ActorEmail: "olga@dezky.test", Role: platform.RoleOperator, TenantID: t.ID, Action: platform.ActionTenantUpdated,
				Target: t.ID, Outcome: platform.AuditOutcomeDone, IP: "192.0.2.1", RequestID: "req_of-a-benchmark",
			})
		}
	}
	for i := range w.held.members {
		u := &platform.User{
			Document: as(platform.KindUser, i), Subject: fmt.Sprintf("subject-%06d", i), Email: fmt.Sprintf("person-%06d@dezky.test", i),
			Name: fmt.Sprintf("Person %06d", i), CreatedAt: now,
		}
		put("users", u)
		put("members", &platform.Member{
			Document: as(platform.KindMember, i), TenantID: as(platform.KindTenant, i%w.held.tenants).ID, UserID: u.ID,
			Role: platform.MemberRoleMember, State: platform.MemberStateActive, Source: platform.MemberSourceMutation,
			JoinedAt: now.Add(time.Duration(i) * time.Microsecond),
		})
	}
	flush()
}

// settled is a subject whose steps are all done.
func settled(subject platform.ID, at platform.Time) *platform.Provisioning {
	p := platform.NewProvisioning(subject, subject, platform.StepsOf(platform.KindTenant), at)
	for _, step := range p.Steps {
		step.State, step.Attempts, step.Generation = platform.ProvisioningStateOK, 1, p.Generation
		step.Started, step.Finished, step.Handle = &at, &at, "the-outside-object-"+string(subject)
	}
	p.Sequence, p.DueAt, p.Open = 5, nil, false
	return p
}

// request is a document as the body of a request.
func request(query string) string {
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		panic(err) // a map of texts always has a JSON form
	}
	return string(body)
}

// ask sends a body as the operator, from this process.
func (w *world) ask(body string) []byte {
	w.b.Helper()
	req, err := http.NewRequestWithContext(w.b.Context(), http.MethodPost, w.URL+"/graphql", strings.NewReader(body))
	w.must(err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+w.token)
	res, err := http.DefaultClient.Do(req)
	w.must(err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	w.must(err)
	return answer
}

// answered is ask for what has to be answered without an error.
func (w *world) answered(query string) []byte {
	w.b.Helper()
	answer := w.ask(request(query))
	if !bytes.HasPrefix(answer, []byte(`{"data":{`)) || bytes.Contains(answer, []byte(`"errors"`)) {
		w.b.Fatalf("%.300s", answer)
	}
	return answer
}

// cpu is what this process has used so far.
func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err) // it knows itself
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// memory is what this process has of the system, once all that can be given
// back is.
func memory() float64 {
	for range 5 { // each halves the stacks that are not needed any more
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Sys - m.HeapReleased)
}
