package graph_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/platform"
)

// BenchmarkIdleSockets says what a socket with one quiet subscription keeps of
// the server's memory, stacks and kernel buffers apart. The clients are another
// process.
func BenchmarkIdleSockets(b *testing.B) {
	n := 10_000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < 12_000 {
		n = 2_000
	}
	w := newWorld(b, func(o *graph.Options, _ *graph.Limits) { o.Clock = platform.NewSystemClock() })
	token := w.Token(b, "admin", standin.ExpiresIn(365*24*time.Hour))
	w.crowd(b, token, 200).Close()
	before, stacks := memory()
	crowd := w.crowd(b, token, n)
	after, stacksAfter := memory()
	b.ReportMetric(float64(after-before)/float64(n), "bytes/socket")
	b.ReportMetric(float64(stacksAfter-stacks)/float64(n), "stack-bytes/socket")
	b.ReportMetric(float64(runtime.NumGoroutine())/float64(n), "goroutines/socket")
	b.ReportMetric(0, "ns/op")
	crowd.Close()
}

// memory is what the process has of the system, and what of it is stacks.
func memory() (all, stacks uint64) {
	for range 5 { // each halves the stacks that are not needed any more
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased, m.StackInuse
}

// crowd has another process open sockets with one subscription each. They live
// until it is closed.
func (w *world) crowd(t testing.TB, token string, n int) io.Closer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "TestSocketCrowd")
	cmd.Env = append(os.Environ(), "CROWD="+strings.Join([]string{w.URL, token, strconv.Itoa(n)}, " "))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.HasPrefix(lines.Text(), "---"); {
		if lines.Text() == "ready" {
			return closing(func() error { in.Close(); return cmd.Wait() })
		}
	}
	t.Fatal("the crowd did not come")
	return nil
}

type closing func() error

func (c closing) Close() error { return c() }

// TestSocketCrowd is the process of the crowd, and no test.
func TestSocketCrowd(t *testing.T) {
	var url, token string
	var n int
	if _, err := fmt.Sscan(os.Getenv("CROWD"), &url, &token, &n); err != nil {
		t.Skip("it runs for benchmarks")
	}
	var opening sync.WaitGroup
	slots := make(chan struct{}, 50)
	for range n {
		slots <- struct{}{}
		opening.Go(func() {
			defer func() { <-slots }()
			conn, _, err := websocket.Dial(t.Context(), url+"/graphql", &websocket.DialOptions{
				Subprotocols: []string{"graphql-transport-ws"}, HTTPClient: &http.Client{},
			})
			if err != nil {
				t.Error(err)
				return
			}
			c := &wsClient{t: t, conn: conn}
			c.send(hello(token))
			c.want("connection_ack")
			c.send(subscribe("1", follow))
			c.want("next 1")
			go func() {
				for {
					if _, _, err := conn.Read(context.Background()); err != nil {
						return
					}
				}
			}()
		})
	}
	opening.Wait()
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}
