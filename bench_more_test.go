package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dezky/platform/graph"
	authentik "github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/platform"
)

// allocations is how many bytes this process has ever allocated.
func allocations() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// startAndSize is P10, of the binary that production has.
func startAndSize(b *testing.B) figure {
	dir := b.TempDir()
	build := func(name string, flags ...string) (string, float64) {
		file := filepath.Join(dir, name)
		cmd := exec.CommandContext(b.Context(), "go", append(append([]string{"build"}, flags...), "-o", file, ".")...)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		about, err := os.Stat(file)
		if err != nil {
			b.Fatal(err)
		}
		return file, float64(about.Size()) / 1e6
	}
	binary, size := build("whole")
	_, stripped := build("stripped", "-ldflags", "-s -w")
	var first float64
	var starts []float64
	var resident float64
	for i := range 6 {
		took, rss := startOnce(b, binary, filepath.Join(dir, "dezky.db"), i == 5)
		if i == 0 {
			first = took
			continue
		}
		starts, resident = append(starts, took), rss
	}
	return figure{
		what: "start to ready; idle memory; binary", measured: fmt.Sprintf("%.0f ms; %.1f MiB; %.1f MB", middle(starts), resident, size),
		must: "≤ 500 ms; ≤ 60 MiB; ≤ 60 MB", world: "≤ 150 ms; ≤ 40 MiB; ≤ 40 MB",
		note: fmt.Sprintf("median of 5 starts on a database that is there, %.0f ms on none; RSS 2 s after; stripped %.1f MB", first, stripped),
	}
}

// startOnce starts the server, waits until it is ready, and stops it.
func startOnce(b *testing.B, binary, database string, rest bool) (millis, resident float64) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.CommandContext(b.Context(), binary)
	cmd.Env = []string{
		"ENVIRONMENT=production", "PORT=" + port, "DATABASE_URL=sqlite://" + database, "SEAL_KEY=" + developmentKey,
		"AUTHENTIK_URL=off", "STALWART_URL=off", "OCIS_URL=off", "AUTHENTIK_ISSUERS=https://id.dezky.test/",
	}
	var said strings.Builder
	cmd.Stderr = &said
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for {
		res, err := http.Get("http://" + address + "/healthz/ready")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Since(began) > patience {
			cmd.Process.Kill()
			b.Fatalf("the server is not ready: %v\n%s", err, said.String())
		}
		time.Sleep(time.Millisecond)
	}
	millis = float64(time.Since(began).Microseconds()) / 1000
	if rest {
		time.Sleep(2 * time.Second)
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			b.Fatal(err)
		}
		_, rss, _ := strings.Cut(string(text), "VmRSS:")
		fmt.Sscan(rss, &resident)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return millis, resident / 1024
}

// tokenCheck is P13.
func tokenCheck(b *testing.B) figure {
	clock := platform.NewSystemClock()
	identity, err := authentik.New(authentik.Options{Clock: clock, Token: platform.NewSecret("identity-token")})
	if err != nil {
		b.Fatal(err)
	}
	host := httptest.NewServer(identity)
	defer host.Close()
	identity.SetBaseURL(host.URL)
	person := authentik.Person{Username: "olga", Name: "Olga", Email: "olga@dezky.test", UUID: uuidOf("olga"), Groups: []string{"tenant-acme"}}
	if err := identity.AddPerson(person); err != nil {
		b.Fatal(err)
	}
	var all []string
	for _, algorithm := range []string{"RS256", "ES256"} {
		if err := identity.RotateKey(authentik.Portal, algorithm); err != nil {
			b.Fatal(err)
		}
		signIn := graph.NewSignIn(graph.SignInOptions{
			Issuers: []string{identity.Issuer(authentik.Portal)}, Audience: []string{authentik.Portal},
			Transport: http.DefaultTransport, Clock: clock, Log: slog.New(slog.DiscardHandler),
		})
		check := func(token string) {
			if _, err := signIn.Check(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
		tokens := make([]string, 1001)
		for i := range tokens {
			if tokens[i], err = identity.SignIn("olga", authentik.Portal); err != nil {
				b.Fatal(err)
			}
		}
		check(tokens[1000]) // it fetches the keys
		began := cpu()
		for _, token := range tokens[:1000] {
			check(token)
		}
		first := (cpu() - began) / 1000
		const times = 200_000
		began = cpu()
		for range times {
			check(tokens[0])
		}
		again := (cpu() - began) / times
		all = append(all, fmt.Sprintf("%s %.0f µs, then %.2f µs", algorithm, micro(first), micro(again)))
	}
	return figure{
		what: "token check, first and again", measured: strings.Join(all, "; "), must: "≤ 60 µs, then ≤ 1 µs",
		note: "CPU time, in this process, the keys fetched before",
	}
}

// updates is P14.
func updates(w *world) figure {
	mutation := func(change string) load {
		var queries []string
		for i := range 1000 {
			queries = append(queries, fmt.Sprintf(
				`mutation { updateTenant(input: {tenantId: "ten_%06d", %s, idempotencyKey: "key-#"}) { tenant { id } userErrors { message } } }`,
				1000+i, change))
		}
		return w.load(16, 4*time.Second, queries...)
	}
	named := mutation(`name: "Renamed #"`).under(w.b)
	w.calm()
	seats := mutation(`seats: 30`).under(w.b)
	if !strings.Contains(named.Sample, `"userErrors":[]`) {
		w.b.Errorf("an update failed: %.300s", named.Sample)
	}
	return figure{
		what:     "updateTenant with audit, key and event",
		measured: fmt.Sprintf("%.0f/s", named.perSecond), must: "≥ 1,500/s", world: "≥ 3,500/s",
		note: fmt.Sprintf("16 callers, 1,000 tenants, synchronous=FULL, %s, CPU %s, the reconciler follows; without an event (seats) %.0f/s",
			percentiles(named.Answered), ms(named.each), seats.perSecond),
	}
}

// calm waits until nothing is to be done outside.
func (w *world) calm() {
	w.b.Helper()
	ctx, cancel := context.WithTimeout(w.b.Context(), patience)
	defer cancel()
	w.must(quiet(ctx, w.server))
	w.must(ctx.Err())
}

// overload is P12.
func overload(w *world) figure {
	peak := 0.0
	for _, callers := range []int{8, 32, 64} {
		peak = max(peak, w.load(callers, 2*time.Second, listQuery).under(w.b).perSecond)
	}
	flood := w.load(1024, 5*time.Second, listQuery)
	flood.Rate = 3 * peak
	got := flood.under(w.b)
	f := figure{
		what: "three times the capacity", must: "refused ≤ 5 ms, goodput ≥ 90 %", ratio: "-",
		note: fmt.Sprintf("peak %.0f/s of the list of P1, then %.0f/s asked on 1,024 connections; %d answered (%s), %d refused",
			peak, flood.Rate, len(got.Answered), percentiles(got.Answered), len(got.Refused)),
	}
	if len(got.Refused) == 0 {
		f.measured = "nobody was refused"
		return f
	}
	f.measured = fmt.Sprintf("goodput %.0f %%, refused %s, Retry-After on %.0f %%", 100*got.perSecond/peak, percentiles(got.Refused),
		100*float64(len(got.Refused)-got.Impolite)/float64(len(got.Refused)))
	return f
}
