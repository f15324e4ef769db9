package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clientRole makes this binary the clients of a benchmark: it reads its orders
// from stdin, as JSON, and writes to stdout what came of them.
const clientRole = "DEZKY_TEST_CLIENTS"

// orders are what the clients are to do: one of the two.
type orders struct {
	Load     *load
	Audience *audience
}

// clients is the process of the clients.
func clients() error {
	var errand orders
	in := bufio.NewReader(os.Stdin)
	if err := json.NewDecoder(in).Decode(&errand); err != nil {
		return err
	}
	if errand.Audience != nil {
		return errand.Audience.gather(in)
	}
	return json.NewEncoder(os.Stdout).Encode(errand.Load.run())
}

// hire starts a process of clients. What it says comes line by line; closing
// its stdin is its end.
func hire(b *testing.B, errand orders) (said *bufio.Reader, end io.WriteCloser, wait func() error) {
	b.Helper()
	binary, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), binary)
	cmd.Env = append(os.Environ(), clientRole+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	if err := json.NewEncoder(in).Encode(errand); err != nil {
		b.Fatal(err)
	}
	return bufio.NewReaderSize(out, 1<<20), in, cmd.Wait
}

// load is requests by many callers, each on a connection of its own.
type load struct {
	// Address and Path are where to, and Token by whom; "" for nobody.
	Address, Path, Token string
	// Bodies are sent in turn. A # in one is a number that was never sent before.
	Bodies  []string
	Callers int
	Time    time.Duration
	// Rate is how many requests a second there are in all, whatever is answered;
	// 0 is one after the other.
	Rate float64
}

// loaded is what came of a load.
type loaded struct {
	// Answered are the times of good answers, and Refused those of 429 and 503.
	Answered, Refused []time.Duration
	// Impolite are refusals without Retry-After, and Failed is all else.
	Impolite, Failed int
	// Took is how long it was until the last answer.
	Took time.Duration
	// Sample is one of the answers.
	Sample string
}

// measured is a load with what it cost the server.
type measured struct {
	loaded
	perSecond float64
	// each is the server's CPU time for one request.
	each time.Duration
}

// under puts a load on a server in this process.
func (l load) under(b *testing.B) measured {
	b.Helper()
	before := cpu()
	said, _, wait := hire(b, orders{Load: &l})
	var got loaded
	if err := json.NewDecoder(said).Decode(&got); err != nil {
		b.Fatal(err)
	}
	if err := wait(); err != nil {
		b.Fatal(err)
	}
	n := len(got.Answered) + len(got.Refused)
	if got.Failed > 0 || n == 0 {
		b.Fatalf("%d of %d requests failed: %.300s", got.Failed, got.Failed+n, got.Sample)
	}
	return measured{got, float64(len(got.Answered)) / got.Took.Seconds(), (cpu() - before) / time.Duration(n)}
}

func (l load) run() loaded {
	var all loaded
	var mu sync.Mutex
	var callers sync.WaitGroup
	var next atomic.Int64
	numbers := time.Now().UnixNano() // so that no two loads share one
	every := time.Duration(0)        // between two requests of one caller
	if l.Rate > 0 {
		every = time.Duration(float64(l.Callers) / l.Rate * float64(time.Second))
	}
	began := time.Now()
	for i := range l.Callers {
		callers.Go(func() {
			c := &caller{address: l.Address, head: l.head()}
			var mine loaded
			at := began.Add(every * time.Duration(i) / time.Duration(l.Callers))
			for {
				time.Sleep(time.Until(at))
				at = at.Add(every)
				if time.Since(began) > l.Time {
					break
				}
				n := next.Add(1)
				body := strings.ReplaceAll(l.Bodies[n%int64(len(l.Bodies))], "#", strconv.FormatInt(numbers+n, 10))
				mine.note(c.call(body))
			}
			mu.Lock()
			defer mu.Unlock()
			all.add(mine)
		})
	}
	callers.Wait()
	all.Took = time.Since(began)
	return all
}

func (l load) head() string {
	head := "POST " + l.Path + " HTTP/1.1\r\nHost: " + l.Address + "\r\nContent-Type: application/json\r\n"
	if l.Token != "" {
		head += "Authorization: Bearer " + l.Token + "\r\n"
	}
	return head
}

func (l *loaded) add(other loaded) {
	l.Answered = append(l.Answered, other.Answered...)
	l.Refused = append(l.Refused, other.Refused...)
	l.Impolite += other.Impolite
	l.Failed += other.Failed
	if other.Sample != "" {
		l.Sample = other.Sample
	}
}

func (l *loaded) note(res *http.Response, answer []byte, took time.Duration, err error) {
	switch {
	case err != nil:
		l.Failed++
		l.Sample = err.Error()
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable:
		l.Refused = append(l.Refused, took)
		if res.Header.Get("Retry-After") == "" {
			l.Impolite++
		}
	case res.StatusCode != http.StatusOK || strings.HasPrefix(string(answer), `{"errors"`):
		l.Failed++
		l.Sample = string(answer)
	default:
		l.Answered = append(l.Answered, took)
		if l.Sample == "" {
			l.Sample = string(answer)
		}
	}
}

// caller is one connection. It speaks HTTP by hand, because net/http's client
// takes as much of the two cores as the server.
type caller struct {
	address, head string
	conn          net.Conn
	in            *bufio.Reader
}

func (c *caller) call(body string) (res *http.Response, answer []byte, took time.Duration, err error) {
	began := time.Now()
	if c.conn == nil {
		if c.conn, err = net.Dial("tcp", c.address); err != nil {
			return nil, nil, 0, err
		}
		c.in = bufio.NewReaderSize(c.conn, 32<<10)
	}
	if _, err := fmt.Fprintf(c.conn, "%sContent-Length: %d\r\n\r\n%s", c.head, len(body), body); err != nil {
		return nil, nil, 0, err
	}
	if res, err = http.ReadResponse(c.in, nil); err != nil {
		return nil, nil, 0, err
	}
	answer, err = io.ReadAll(res.Body)
	took = time.Since(began)
	if res.Close {
		c.conn.Close()
		c.conn = nil
	}
	return res, answer, took, err
}

// inTurn puts loads on one after the other, round by round, and answers with the
// rounds of each.
func inTurn(b *testing.B, rounds int, loads ...load) [][]measured {
	out := make([][]measured, len(loads))
	for range rounds {
		for i, l := range loads {
			out[i] = append(out[i], l.under(b))
		}
	}
	return out
}

// typical is the round in the middle.
func typical(rounds []measured) measured {
	rounds = slices.Clone(rounds)
	slices.SortFunc(rounds, func(x, y measured) int { return int(x.perSecond - y.perSecond) })
	return rounds[len(rounds)/2]
}
