package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
)

// Launch is one of a benchmark's launches and what it asks of a card, as the engine lists them
// (engine/internal/cuda/workload says what the fields mean).
type Launch struct {
	Kernel          string
	Times           int
	Blocks, Threads int
	Shared          int
	Warps           int
	Loops           []float64
	Chain           int
	Trips           int
	Memory, Cache   float64
}

// card is a GPU that times are predicted for: its multiprocessors' part is in machines.
type card struct {
	name            string
	machine         string
	multiprocessors int
	clock           float64 // Hz, of kernels without warpgroup products
	tensorClock     float64 // Hz, at which the multiprocessors' product rate gives the measured one
	memory          float64 // bytes/s
	cache           float64 // bytes/s, of the second level
	held            float64 // bytes that stay in the second level from one call to the next
	node            float64 // seconds from one small kernel of a graph to the next
	call            float64 // seconds that a graph's launch and the wait for its end add on the host
}

// h100: 735 TFLOP/s of float16 products, 3.0 TB/s and 1.2 us a node as measured with PyTorch and a
// graph of tiny kernels; 5.5 TB/s and 30 MB of the second-level cache, and 2.5 us of a launch into a
// stream, after te42kyfo/gpu-benches.
var h100 = card{
	name: "H100 80GB", machine: "sm_90", multiprocessors: 132,
	clock: 1.755e9, tensorClock: 735e12 / (132 * 4 * 512 * 2),
	memory: 3.0e12, cache: 5.5e12, held: 30e6, node: 1.2e-6, call: 2.5e-6,
}

// Clocks that no throughput shows, of a warp that has its sub-core to itself: a load that comes from the
// second-level cache and the wait for it (265 to 480 measured on idle H100s), an instruction that
// waits for the one before, a product that waits for the one before.
const (
	tripClocks    = 600
	issueClocks   = 2
	productClocks = 33
)

// Prediction is the time of one launch.
type Prediction struct {
	Launch
	Seconds  float64 // each time
	Resident int     // blocks that a multiprocessor holds at once
	Binds    string  // what it is bound by
}

// predict is the time of a launch: a node of a graph, and the largest of what the busiest part of the
// busiest multiprocessor needs, of what the latencies of its blocks add up to, one set of resident
// ones after another, and of its bytes.
func (c card) predict(l Launch, b Budget) Prediction {
	m := machines[c.machine]
	perMultiprocessor := math.Ceil(float64(l.Blocks) / float64(c.multiprocessors))
	resident := float64(max(1, m.resident(b.Registers, l.Shared+b.StaticShared, l.Threads)))

	work := clocks{Issue: int(float64(b.Straight*l.Threads/32)/float64(l.Warps) + 0.5)}
	// Blocks that are all resident at once have begun while the kernel ahead of theirs still ran.
	straight := b.Straight
	if perMultiprocessor <= resident {
		straight -= b.Early
	}
	serial := float64(l.Trips*tripClocks + straight*issueClocks)
	for i, loop := range b.Loops {
		if i >= len(l.Loops) {
			break
		}
		work.addScaled(loop.Clocks, l.Loops[i])
		serial += l.Loops[i] * float64(issueClocks*loop.Clocks.Issue)
	}
	if len(l.Loops) > 0 {
		serial += l.Loops[0] * float64(l.Chain*productClocks)
	}
	part, most := work.bound(perMultiprocessor * float64(l.Warps) / 4)
	clock := c.clock
	if part == "tensor" && strings.Contains(l.Kernel, "wgmma") {
		clock = c.tensorClock
	}
	memory, cache := l.Memory, l.Cache
	if memory < c.held {
		memory = 0
	}
	p := Prediction{Launch: l, Seconds: most / clock, Binds: part, Resident: int(resident)}
	for _, other := range []struct {
		name    string
		seconds float64
	}{
		{"latency", serial * math.Ceil(perMultiprocessor/resident) / c.clock},
		{"memory", memory / c.memory},
		{"cache", cache / c.cache},
	} {
		if other.seconds > p.Seconds {
			p.Seconds, p.Binds = other.seconds, other.name
		}
	}
	p.Seconds += c.node
	return p
}

// forecast is the time of a benchmark and of its launches.
type forecast struct {
	name     string
	launches []Prediction
	seconds  float64
}

// forecasts are those of every benchmark, by name.
func forecasts(launches map[string][]Launch, budgets []Budget) ([]forecast, error) {
	known := map[string]Budget{}
	for _, b := range budgets {
		if b.Machine == h100.machine {
			known[b.Kernel] = b
		}
	}
	var list []forecast
	for _, name := range slices.Sorted(maps.Keys(launches)) {
		f := forecast{name: name}
		for _, l := range launches[name] {
			b, ok := known[l.Kernel]
			if !ok {
				return nil, fmt.Errorf("%s launches %s, which is not among the cubins for %s", name, l.Kernel, h100.machine)
			}
			p := h100.predict(l, b)
			f.launches = append(f.launches, p)
			f.seconds += p.Seconds * float64(l.Times)
		}
		if strings.HasPrefix(name, "Generate/") { // timed on the host
			f.seconds += h100.call
		}
		list = append(list, f)
	}
	return list, nil
}

// limits are the times, in microseconds, that a benchmark must not be predicted to exceed.
var limits = map[string]float64{
	"Locate/65536x60000x64/k=1":    1100,
	"Locate/65536x60000x128/k=1":   1900,
	"Locate/16384x1281167x256/k=1": 20000,
	"Locate/1x1000000x64/k=1":      55,
	"Locate/1x60000x64/k=1":        8,
	"Decode/mnist/1":               14,
	"Decode/mnist/4096":            700,
	"Decode/terrain/1":             30,
	"Decode/terrain/1024":          2000,
	"Generate/mnist/1":             25,
	"Rotated/60000x64/k=1":         3600,
	"Rotated/46800x128/k=1":        3600,
}

// exceeding says which benchmarks are predicted to take more than they may.
func exceeding(list []forecast) (faults []string) {
	missing := maps.Clone(limits)
	for _, f := range list {
		limit, limited := limits[f.name]
		delete(missing, f.name)
		if us := 1e6 * f.seconds; limited && us > limit {
			faults = append(faults, fmt.Sprintf("%s: predicted to take %.1f us, and may take %.0f", f.name, us, limit))
		}
	}
	for name := range missing {
		faults = append(faults, name+": there is no such benchmark to predict")
	}
	return faults
}

func readLaunches(path string) (map[string][]Launch, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	launches := map[string][]Launch{}
	if err := json.Unmarshal(text, &launches); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return launches, nil
}

// predicted is the microseconds of every benchmark, as bench/gpu lays them beside the measured ones.
func predicted(list []forecast) []byte {
	times := map[string]float64{}
	for _, f := range list {
		times[f.name] = math.Round(1e7*f.seconds) / 10
	}
	text, err := json.MarshalIndent(times, "", " ")
	if err != nil { // a map of numbers cannot fail
		panic(err)
	}
	return append(text, '\n')
}

// writePredictions writes the forecasts as a part of the page.
func writePredictions(text *bytes.Buffer, list []forecast) {
	fmt.Fprintf(text, predictionsHead, h100.name)
	for _, f := range list {
		limit := ""
		if us, limited := limits[f.name]; limited {
			limit = fmt.Sprintf("%.0f", us)
		}
		fmt.Fprintf(text, "| **%s** | | | | **%.1f** | %s | |\n", f.name, 1e6*f.seconds, limit)
		for _, p := range f.launches {
			fmt.Fprintf(text, "| %s | %d x %d x %d | %d | %d | %.1f | | %s |\n",
				p.Kernel, p.Times, p.Blocks, p.Threads, p.Shared, p.Resident, 1e6*p.Seconds, p.Binds)
		}
	}
}

const predictionsHead = `## Predicted times on an %s, in microseconds

Of every benchmark of bench/gpu and of its launches (bench/sass/launches.json). A launch takes a node of a
graph, 1.2 us, and the longest of: what the busiest part of the busiest multiprocessor needs, what the
latencies of its blocks add up to, and its bytes. Generate is timed on the host, which adds 2.5 us. A time
that must not be exceeded stands beside the predicted one. Shared is the bytes of dynamic shared memory of a
block, resident the blocks that a multiprocessor holds at once.

| benchmark, launch | launches x blocks x threads | shared | resident | predicted | at most | binds |
|---|---|---|---|---|---|---|
`
