package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"brenier/engine"
)

var benchCommand = command{
	name: "bench", argument: "[MODEL]", least: 0, most: 1,
	summary: "Time locate on random points, and decode of a model, against the machine's floor and other programs",
	examples: []string{
		"bench",
		"bench digits.safetensors --peers",
		"bench --dims 64 --batches 1,1024 --k 1 --threads 1 --json",
	},
	setup: setupBench,
}

// benchRow is a line of the table.
type benchRow struct {
	Stage   string             `json:"stage"`
	Case    string             `json:"case"`
	Bound   string             `json:"bound"` // what sets the floor: "fma", or "memory" or a cache that the data fits
	Floor   float64            `json:"floor_seconds"`
	Best    float64            `json:"best_seconds"`
	Median  float64            `json:"median_seconds"`
	Peers   map[string]float64 `json:"peers_best_seconds,omitempty"`
	problem peerCase
	flop    float64
	bytes   int
}

// locateGrid is the locate problems: every combination.
type locateGrid struct {
	points              int
	dims, batches, best []int
}

func setupBench(flags *flag.FlagSet) func(*console, []string) error {
	points := flags.Int("points", 60000, "locate among `n` points")
	dims := flags.String("dims", "64,128,256,512", "`list` of dimensions to locate in")
	batches := flags.String("batches", "1,64,1024,4096", "`list` of numbers of samples to locate at once")
	ks := flags.String("k", "1,8", "`list` of numbers of cells to keep")
	images := flags.String("images", "1,64", "`list` of numbers of codes to decode at once")
	peers := flags.Bool("peers", false, "time other programs too, by Python's faiss, numpy, onnxruntime and torch where it has them")
	python := flags.String("python", "python3", "the Python `program` of --peers")
	return func(c *console, arguments []string) error {
		grid := locateGrid{points: *points}
		var counts []int
		for _, list := range []struct {
			flag, text string
			to         *[]int
		}{{"--dims", *dims, &grid.dims}, {"--batches", *batches, &grid.batches}, {"--k", *ks, &grid.best}, {"--images", *images, &counts}} {
			var err error
			if *list.to, err = parseList(list.flag, list.text); err != nil {
				return err
			}
		}
		if *points < 1 {
			return usagef("--points: want 1 or more, got %d", *points)
		}
		e, err := engine.New(c.config)
		if err != nil {
			return err
		}
		defer e.Close()
		if on := e.Info(); on.Name != "cpu" {
			return usagef("the floors are a processor's and the engine runs on %s: add --device cpu (a GPU is timed by bench/gpu)", on.Name)
		}
		c.progress(0, "measuring the machine's floor")
		floor, err := measureFloor(e.Info())
		if err != nil {
			return err
		}
		rows, err := benchLocate(c, e, grid)
		if err != nil {
			return err
		}
		if len(arguments) > 0 {
			decode, err := benchDecode(e, arguments[0], counts)
			if err != nil {
				return err
			}
			rows = append(rows, decode...)
		}
		floor.measureFMA()
		for i := range rows {
			rows[i].Floor, rows[i].Bound = floor.of(rows[i].flop, rows[i].bytes)
		}
		if *peers {
			if err := timePeers(c, *python, e.Info().Threads, rows); err != nil {
				return err
			}
		}
		c.finish()
		if c.json {
			return c.writeJSON(map[string]any{"device": device(e.Info()), "floor": floor, "rows": rows})
		}
		printBench(c, e.Info(), floor, rows)
		return nil
	}
}

// parseList reads whole numbers from 1, separated by commas; "" is none.
func parseList(name, text string) ([]int, error) {
	var list []int
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		v, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || v < 1 {
			return nil, usagef("%s: want whole numbers from 1, as 1,64, got %q", name, text)
		}
		list = append(list, v)
	}
	return list, nil
}

func benchLocate(c *console, e *engine.Engine, grid locateGrid) ([]benchRow, error) {
	var rows []benchRow
	for at, d := range grid.dims {
		model, err := randomMap(e, grid.points, d)
		if err != nil {
			return nil, err
		}
		for _, b := range grid.batches {
			x := make([]float32, b*d)
			if err := model.Noise(x, 1, 0); err != nil {
				return nil, err
			}
			for _, k := range grid.best {
				c.progress(float64(at)/float64(len(grid.dims)), fmt.Sprintf("locate d = %d, B = %d, k = %d", d, b, k))
				k = min(k, grid.points)
				cells := make([]int64, b*k)
				best, median, err := repeat(func() error { return model.Locate(x, k, cells, nil) })
				if err != nil {
					return nil, err
				}
				row := benchRow{
					Stage: "locate", Case: fmt.Sprintf("N=%d d=%d B=%d k=%d", grid.points, d, b, k), Best: best, Median: median,
					problem: peerCase{Kind: "locate", Points: grid.points, Dim: d, Batch: b, K: k},
				}
				row.flop, row.bytes = 2*float64(grid.points)*float64(d)*float64(b), 4*grid.points*d
				rows = append(rows, row)
			}
		}
		model.Close()
	}
	return rows, nil
}

// randomMap has N(0,I) points and the heights that make their power cells Voronoi cells.
func randomMap(e *engine.Engine, n, d int) (*engine.Model, error) {
	random := rand.New(rand.NewPCG(1, uint64(d)))
	points, heights := make([]float32, n*d), make([]float32, n)
	for i := range heights {
		for k := i * d; k < (i+1)*d; k++ {
			points[k] = float32(random.NormFloat64())
			heights[i] -= points[k] * points[k] / 2
		}
	}
	return e.FromHeights(points, d, heights, "gaussian")
}

func benchDecode(e *engine.Engine, path string, counts []int) ([]benchRow, error) {
	model, err := e.Open(path)
	if err != nil {
		return nil, err
	}
	defer model.Close()
	work, err := model.MultiplyAdds()
	if err != nil {
		return nil, err
	}
	info := model.Info()
	var rows []benchRow
	for _, n := range counts {
		z := make([]float32, n*info.Dimension)
		if err := model.Noise(z, 1, 0); err != nil {
			return nil, err
		}
		images := make([]float32, n*info.Channels*info.Height*info.Width)
		best, median, err := repeat(func() error { return model.Decode(z, engine.Float32Image(images, engine.NCHW)) })
		if err != nil {
			return nil, err
		}
		row := benchRow{
			Stage: "decode", Case: fmt.Sprintf("%s B=%d", filepath.Base(path), n), Best: best, Median: median,
			problem: peerCase{Kind: "decode", Model: path, Dim: info.Dimension, Batch: n},
		}
		row.flop, row.bytes = 2*float64(work)*float64(n), 4*info.Parameters
		rows = append(rows, row)
	}
	return rows, nil
}

// A case is repeated until it has taken benchTime, but leastRuns times at least.
const (
	benchTime = 600 * time.Millisecond
	leastRuns = 3
	mostRuns  = 1000
)

// repeat times do after one run that does not count.
func repeat(do func() error) (best, median float64, err error) {
	if err := do(); err != nil {
		return 0, 0, err
	}
	var runs []float64
	for start := time.Now(); len(runs) < leastRuns || time.Since(start) < benchTime && len(runs) < mostRuns; {
		before := time.Now()
		if err := do(); err != nil {
			return 0, 0, err
		}
		runs = append(runs, time.Since(before).Seconds())
	}
	slices.Sort(runs)
	return runs[0], runs[len(runs)/2], nil
}

func printBench(c *console, on engine.Info, floor floor, rows []benchRow) {
	c.printf("on %s\nfma peak %.0f GFLOP/s, memory %.1f GB/s beyond the caches, all threads together; times are the best of several\n\n", device(on), floor.FLOPS/1e9, floor.Bandwidth/1e9)
	names := map[string]bool{}
	for _, r := range rows {
		for name := range r.Peers {
			names[name] = true
		}
	}
	peers := make([]string, 0, len(names))
	for name := range names {
		peers = append(peers, name)
	}
	slices.Sort(peers)
	width := 0
	for _, r := range rows {
		width = max(width, len(r.Case))
	}
	c.printf("%-7s %-*s %10s %10s %10s %7s  %-6s", "stage", width, "case", "floor", "time", "median", "floor %", "bound")
	for _, name := range peers {
		c.printf(" %20s", name)
	}
	c.printf("\n")
	for _, r := range rows {
		c.printf("%-7s %-*s %10s %10s %10s %7.0f  %-6s", r.Stage, width, r.Case, seconds(r.Floor), seconds(r.Best), seconds(r.Median), 100*r.Floor/r.Best, r.Bound)
		for _, name := range peers {
			cell := "-"
			if t, timed := r.Peers[name]; timed {
				cell = fmt.Sprintf("%s (%.2fx)", seconds(t), t/r.Best)
			}
			c.printf(" %20s", cell)
		}
		c.printf("\n")
	}
}
