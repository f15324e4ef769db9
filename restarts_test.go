package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dezky/platform/platform"
)

// TestRestarts has 200 subscribers, or a thousand with DEZKY_LOAD=1, follow
// provisionings while one of two processes is restarted ten times, told to stop
// and killed by turns: everyone sees every sequence once (R21).
func TestRestarts(t *testing.T) {
	f := newFleet(t, 2)
	var tenants []platform.ID
	for i := range sized(20, 50) {
		tenants = append(tenants, f.create(t, i, fmt.Sprintf("acme-%d", i)))
	}
	followers := f.follow(t, tenants, sized(10, 20))
	followers.standing(t)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var working sync.WaitGroup
	var mutations atomic.Int64
	for worker := range 4 {
		working.Go(func() {
			for ctx.Err() == nil {
				id := tenants[rand.N(len(tenants))]
				if _, err := f.insist(ctx, worker, reconcileTenant, map[string]any{"id": id}); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
				mutations.Add(1)
			}
		})
	}
	begun := time.Now()
	var longest time.Duration
	for i := range 10 {
		how := syscall.SIGTERM
		if i/2%2 == 1 {
			how = syscall.SIGKILL
		}
		longest = max(longest, f.restart(t, i%2, how))
		followers.standing(t)
	}
	took := time.Since(begun)
	stop()
	working.Wait()
	f.quiet(t, tenants...)
	events, streams := followers.complete(t)
	f.once(t, tenants...)
	t.Logf("%d subscribers saw %d events over %d streams, of %d mutations; ten restarts took %v, the slowest end %v",
		len(followers.all), events, streams, mutations.Load(), took, longest)
}

// TestKilledOften makes tenants while now one, now the other of two processes
// is killed, until all are active: there is exactly one of each effect (R1).
func TestKilledOften(t *testing.T) {
	f := newFleet(t, 2)
	const wanted = 40
	ids := make([]platform.ID, wanted)
	var making sync.WaitGroup
	making.Go(func() {
		for i := range ids {
			var err error
			if ids[i], err = f.insist(t.Context(), i, createTenant, map[string]any{"slug": fmt.Sprintf("acme-%d", i)}); err != nil {
				t.Error(err)
				return
			}
			time.Sleep(rand.N(150 * time.Millisecond))
		}
	})
	active := func() int {
		n, err := f.documents.CountTenants(t.Context(), platform.TenantScope{All: true}, platform.TenantQuery{Status: platform.TenantStatusActive})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	kills := 0
	for ; active() < wanted+1 && !t.Failed(); kills++ {
		time.Sleep(100*time.Millisecond + rand.N(200*time.Millisecond)) // a random instant
		f.restart(t, kills%2, syscall.SIGKILL)
	}
	making.Wait()
	f.quiet(t, ids...)
	f.once(t, ids...)
	t.Logf("%d tenants, %d kills", wanted, kills)
}
