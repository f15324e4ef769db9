package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/dezky/platform/store/sqlite"
)

var figuresAsked = flag.String("figures", "", "the rows that BenchmarkFigures measures, such as P1,P14; all without")

// figure is one row of the table. Nothing asserts it: machines are noisy.
type figure struct {
	number, what, must, world string
	// measured is what came out; ratio is that to the plain handler of the same
	// run, in the rows that are about one.
	measured, ratio, note string
}

// BenchmarkFigures prints what this server does beside what it promises, as named
// at the top of the table. The server is this process, and its clients are another one on
// the same machine, so that memory and CPU are the server's alone.
func BenchmarkFigures(b *testing.B) {
	tune()
	asked := func(number string) bool {
		return *figuresAsked == "" || slices.Contains(strings.Split(*figuresAsked, ","), number)
	}
	var table []figure
	add := func(number string, row func() figure) {
		if !asked(number) {
			return
		}
		began := time.Now()
		f := row()
		f.number = number
		table = append(table, f)
		fmt.Fprintf(os.Stderr, "%s %s (%s; %s)\n", number, f.measured, f.note, time.Since(began).Round(time.Millisecond))
	}
	add("P10", func() figure { return startAndSize(b) })
	add("P13", func() figure { return tokenCheck(b) })
	if asked("P1") || asked("P2") {
		small := newWorld(b, sqlite.Memory, amounts{partners: 5, tenants: 50, members: 250})
		add("P1", func() figure { return listOfFifty(small) })
		add("P2", func() figure { return oneField(small) })
		small.close()
	}
	if *figuresAsked == "" || slices.ContainsFunc([]string{"P3", "P4", "P5", "P6", "P7", "P8", "P12", "P14"}, asked) {
		began := time.Now()
		large := newWorld(b, filepath.Join(b.TempDir(), "dezky.db"), amounts{partners: 200, tenants: 10_000, members: 100_000})
		fmt.Fprintf(os.Stderr, "seeded in %s\n", time.Since(began).Round(time.Millisecond))
		add("P3", func() figure { return portalHome(large) })
		add("P4", func() figure { return readsByPage(large) })
		add("P5", func() figure { return hostile(large) })
		add("P8", func() figure { return firstEvent(large) })
		add("P14", func() figure { return updates(large) })
		add("P12", func() figure { return overload(large) })
		add("P6", func() figure { return idleSubscriptions(large) })
		add("P7", func() figure { return fanOut(large) })
		large.close()
	}
	slices.SortFunc(table, func(x, y figure) int { return cmp.Compare(x.order(), y.order()) })
	show(table)
	b.ReportMetric(0, "ns/op")
}

func (f figure) order() int {
	n, _ := strconv.Atoi(strings.TrimPrefix(f.number, "P"))
	return n
}

func show(table []figure) {
	fmt.Printf("\n%s, %d cores, GOMAXPROCS %d, %s; clients are another process on the same cores\n\n",
		runtime.Version(), runtime.NumCPU(), runtime.GOMAXPROCS(0), busy())
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "#\twhat\tmeasured\tratio\tmust\tworld class\tnote")
	for _, f := range table {
		fmt.Fprintln(out, strings.Join([]string{
			f.number, f.what, f.measured, cmp.Or(f.ratio, "-"), f.must, cmp.Or(f.world, "-"), f.note,
		}, "\t"))
	}
	out.Flush()
	fmt.Println()
}

// busy is what else the machine has to do.
func busy() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "load unknown"
	}
	return "load " + strings.Join(strings.Fields(string(text))[:3], " ")
}

// middle is the median.
func middle(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// share is the value below which a part of all of them is.
func share(part float64, all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(part*float64(len(all))))]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }

func percentiles(all []time.Duration) string {
	return fmt.Sprintf("p50 %s, p99 %s", ms(share(0.5, all)), ms(share(0.99, all)))
}
