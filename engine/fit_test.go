package engine

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	kernels "brenier/kernels/cpu"
)

// fitReport is the report that a fit leaves in the metadata.
type fitReport struct {
	Chi2       float64 `json:"chi2"`
	Chi2Error  float64 `json:"chi2_error"`
	Tolerance  float64 `json:"tolerance"`
	Samples    uint64  `json:"samples"`
	Empty      int     `json:"empty"`
	Duplicates int     `json:"duplicates"`
	Fallbacks  int     `json:"centroid_fallbacks"`
	Met        bool    `json:"met"`
	Seed       uint64  `json:"seed"`

	W2Lower      float64 `json:"w2_lower"`
	W2LowerError float64 `json:"w2_lower_error"`
	W2Upper      float64 `json:"w2_upper"`
	W2UpperError float64 `json:"w2_upper_error"`
}

func readReport(t *testing.T, m *Model) fitReport {
	t.Helper()
	var metadata struct{ Fit fitReport }
	if err := json.Unmarshal([]byte(m.Info().Metadata), &metadata); err != nil {
		t.Fatal(err)
	}
	return metadata.Fit
}

func newEngine(t *testing.T, c Config) *Engine {
	t.Helper()
	c.Device = "cpu"
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestFit(t *testing.T) {
	const n, d = 300, 12
	points := gaussians(rand.New(rand.NewPCG(3, 4)), n*d, 1)
	e := newEngine(t, Config{})
	m, err := e.Fit(points, d, nil, FitOptions{Seed: 9, Tolerance: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	report := readReport(t, m)
	if !report.Met || report.Chi2 > 0.01 || report.Tolerance != 0.01 || report.Empty != 0 || report.Seed != 9 {
		t.Fatalf("report %+v", report)
	}

	t.Run("the report is what a user's own noise shows", func(t *testing.T) {
		const samples = 200_000
		x, cells := make([]float32, samples*d), make([]int64, samples)
		if err := m.Noise(x, 9, 0); err != nil {
			t.Fatal(err)
		}
		if err := m.Locate(x, 1, cells, nil); err != nil {
			t.Fatal(err)
		}
		var counts [n]float64
		for _, c := range cells {
			counts[c]++
		}
		chi := -1.0
		for _, c := range counts {
			chi += c * (c - 1) * n / (samples * (samples - 1.))
		}
		// The error of this estimate is at most that of the report, which is of fewer samples.
		if math.Abs(chi-report.Chi2) > 6*report.Chi2Error {
			t.Errorf("chi-squared is %v over noise, in the report %v +- %v", chi, report.Chi2, report.Chi2Error)
		}
	})

	t.Run("mass centres are the means of the cells", func(t *testing.T) {
		const samples = 200_000
		x, cells := make([]float32, samples*d), make([]int64, samples)
		if err := m.Noise(x, 1, 0); err != nil {
			t.Fatal(err)
		}
		if err := m.Locate(x, 1, cells, nil); err != nil {
			t.Fatal(err)
		}
		sums, counts := make([]float64, n*d), make([]float64, n)
		for i, c := range cells {
			counts[c]++
			for k := range d {
				sums[int(c)*d+k] += float64(x[i*d+k])
			}
		}
		// Over all cells and coordinates the squared difference must be that of two sample means of
		// spread 1 at most: 1/count here, and 300 samples a cell (65,536/300 = 218) in the fit.
		got, allowed := 0.0, 0.0
		for i, c := range m.Tensor("ot.centroids") {
			e := float64(c) - sums[i]/counts[i/d]
			got += e * e
			allowed += 1/counts[i/d] + 1./200
		}
		if got > allowed {
			t.Errorf("squared difference %v, allowed %v", got, allowed)
		}
	})

	t.Run("the quantile of the table is the share that extension keeps", func(t *testing.T) {
		const samples = 4000
		x, cells, z := make([]float32, samples*d), make([]int64, samples*8), make([]float32, samples*d)
		if err := m.Noise(x, 5, 0); err != nil {
			t.Fatal(err)
		}
		if err := m.Locate(x, 8, cells, nil); err != nil {
			t.Fatal(err)
		}
		for _, quantile := range []float64{0.1, 0.25, 0.5, 0.9} {
			limit := m.cosineAt(quantile)
			kept := 0
			for i := range samples {
				for j := 1; j < 8; j++ {
					if normalCosine(points, d, cells[8*i], cells[8*i+j]) >= limit {
						kept++
					}
				}
			}
			if share := float64(kept) / (7 * samples); math.Abs(share-quantile) > 0.02 {
				t.Errorf("quantile %v keeps %v of the neighbours", quantile, share)
			}
		}
		if err := m.Extend(x, cells, 8, Extension{}, z); err != nil {
			t.Error(err)
		}
	})

	t.Run("threads and instruction sets change no bit", func(t *testing.T) {
		configs := []Config{{Threads: 1}, {Threads: 3}}
		for _, path := range kernels.Paths() {
			configs = append(configs, Config{Path: path.String()})
		}
		for _, c := range configs {
			got, err := newEngine(t, c).Fit(points, d, nil, FitOptions{Seed: 9, Tolerance: 0.01})
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"ot.heights", "ot.centroids"} {
				if err := equalBits(got.Tensor(name), m.Tensor(name)); err != nil {
					t.Errorf("%+v: %s: %v", c, name, err)
				}
			}
			if got, want := timeless(t, got), timeless(t, m); !reflect.DeepEqual(got, want) {
				t.Errorf("%+v: metadata %v, want %v", c, got, want)
			}
		}
	})

	t.Run("saved and opened it is the same model", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "m.safetensors")
		if err := m.Save(path); err != nil {
			t.Fatal(err)
		}
		again, err := e.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if again.Info() != m.Info() {
			t.Error("the descriptions differ")
		}
		if err := equalBits(again.Tensor("ot.heights"), m.Tensor("ot.heights")); err != nil {
			t.Error(err)
		}
	})
}

// timeless is a model's metadata but for the seconds that its fit took.
func timeless(t *testing.T, m *Model) (metadata map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(m.Info().Metadata), &metadata); err != nil {
		t.Fatal(err)
	}
	delete(metadata["fit"].(map[string]any), "seconds")
	return metadata
}

// cosineAt is the model's limit for a quantile.
func (m *Model) cosineAt(quantile float64) float64 {
	e, err := m.resolve(Extension{Angle: Quantile, Theta: quantile})
	if err != nil {
		panic(err)
	}
	return e.MinCosine
}

// normalCosine is the cosine of the angle between the planes of two points.
func normalCosine(points []float32, d int, a, b int64) float64 {
	dot, aa, bb := 1.0, 1.0, 1.0
	for k := range int64(d) {
		u, v := float64(points[a*int64(d)+k]), float64(points[b*int64(d)+k])
		dot += u * v
		aa += u * u
		bb += v * v
	}
	return dot / math.Sqrt(aa*bb)
}

func TestFitWithDecoder(t *testing.T) {
	content := smallModel(40, 5)
	decoder := openModel(t, Config{}, content)
	points := content.Points.Data
	m, err := decoder.engine.Fit(points, 5, nil, FitOptions{Tolerance: 0.05, Decoder: decoder, Images: 700, Source: "uniform"})
	if err != nil {
		t.Fatal(err)
	}
	z := points[:5*7]
	got, want := make([]float32, 7*pixels), make([]float32, 7*pixels)
	if err := errors.Join(m.Decode(z, Float32Image(got, NCHW)), decoder.Decode(z, Float32Image(want, NCHW))); err != nil {
		t.Fatal(err)
	}
	if err := equalBits(got, want); err != nil {
		t.Errorf("the decoder is another one: %v", err)
	}
	mean, deviation := m.statistics.known()
	if mean == nil || deviation == nil {
		t.Fatal("no image statistics")
	}
	images := make([]float32, 20_000*pixels)
	if err := m.Generate(20_000, 77, 0, Extension{}, Float32Image(images, NCHW)); err != nil {
		t.Fatal(err)
	}
	for p := range pixels {
		sum, square := 0.0, 0.0
		for i := p; i < len(images); i += pixels {
			sum += float64(images[i])
			square += float64(images[i]) * float64(images[i])
		}
		sum /= 20_000
		spread := math.Sqrt(square/20_000 - sum*sum)
		if e := float64(mean.Data[p]) - sum; math.Abs(e) > 6*spread/math.Sqrt(700) {
			t.Errorf("pixel %d: mean %v, want %v", p, mean.Data[p], sum)
		}
		if e := float64(deviation.Data[p])/spread - 1; math.Abs(e) > 0.25 {
			t.Errorf("pixel %d: deviation %v, want %v", p, deviation.Data[p], spread)
		}
	}
}

func TestFromHeights(t *testing.T) {
	e := newEngine(t, Config{})
	points := []float32{-1, 0, 1, 0, 0, 2}
	m, err := e.FromHeights(points, 2, []float32{0.5, 0, -3}, "gaussian")
	if err != nil {
		t.Fatal(err)
	}
	cells, scores := make([]int64, 1), make([]float64, 1)
	if err := m.Locate([]float32{0.125, 1}, 1, cells, scores); err != nil || cells[0] != 0 || scores[0] != 0.375 {
		t.Errorf("cell %v, score %v, %v", cells, scores, err)
	}
	if m.Info().HasCentroids {
		t.Error("a map that was never measured has mass centres")
	}
	measured, err := e.Fit(points, 2, nil, FitOptions{Heights: []float32{0.5, 0, -3}})
	if err != nil {
		t.Fatal(err)
	}
	if err := equalBits(measured.Tensor("ot.heights"), []float32{0.5, 0, -3}); err != nil {
		t.Error(err)
	}
	if r := readReport(t, measured); r.Samples != 0 || r.Met || r.Chi2 < 0.1 || !measured.Info().HasCentroids {
		t.Errorf("report %+v", r)
	}
}

// Points that are scaled or lie far off have the same cells: one setting fits them all.
func TestFitScales(t *testing.T) {
	const n, d = 200, 12
	points := gaussians(rand.New(rand.NewPCG(5, 6)), n*d, 1)
	e := newEngine(t, Config{})
	fit := func(name string, change func(float32) float32) []float32 {
		t.Helper()
		moved := make([]float32, len(points))
		for i, v := range points {
			moved[i] = change(v)
		}
		m, err := e.Fit(moved, d, nil, FitOptions{Tolerance: 0.01})
		if err != nil {
			t.Fatal(err)
		}
		if r := readReport(t, m); !r.Met || r.Empty != 0 {
			t.Errorf("%s: report %+v", name, r)
		}
		return m.Tensor("ot.heights")
	}
	h := fit("as_they_are", func(v float32) float32 { return v })
	spread := 0.0
	for _, v := range h {
		spread += float64(v) * float64(v)
	}
	for name, c := range map[string]struct {
		change func(float32) float32
		scale  float64
	}{
		"times_0.01":   {func(v float32) float32 { return v * 0.01 }, 0.01},
		"times_100":    {func(v float32) float32 { return v * 100 }, 100},
		"shifted_1000": {func(v float32) float32 { return v + 1000 }, 1},
	} {
		off := 0.0
		for i, v := range fit(name, c.change) {
			e := float64(v)/c.scale - float64(h[i])
			off += e * e
		}
		// Both are within the tolerance of the same heights, and of different samples once points
		// differ by a rounding.
		if off > 0.01*spread {
			t.Errorf("%s: heights are %.3g of their spread off", name, math.Sqrt(off/spread))
		}
	}
}

// In many dimensions groups of draws are larger than what a plan is made of, which then has independent ones.
func TestFit_many_dimensions(t *testing.T) {
	const n, d = 60, 130
	m, err := newEngine(t, Config{}).Fit(gaussians(rand.New(rand.NewPCG(8, 8)), n*d, 1), d, nil, FitOptions{Tolerance: 0.05})
	if err != nil {
		t.Fatal(err)
	}
	r := readReport(t, m)
	if !r.Met || r.Empty != 0 {
		t.Errorf("report %+v", r)
	}
	if off := r.W2Lower - r.W2Upper; off > 4*math.Hypot(r.W2LowerError, r.W2UpperError) || r.W2UpperError > 0.01*r.W2Upper {
		t.Errorf("W2^2 from %.4g +- %.2g to %.4g +- %.2g", r.W2Lower, r.W2LowerError, r.W2Upper, r.W2UpperError)
	}
}

// torus is n points about a torus in space, denser inside.
func torus(random *rand.Rand, n int) []float32 {
	points := make([]float32, 0, 3*n)
	for range n {
		around, across := 2*math.Pi*random.Float64(), 2*math.Pi*random.Float64()
		out := 2 + 0.7*math.Cos(across)
		for _, v := range []float64{out * math.Cos(around), out * math.Sin(around), 0.7 * math.Sin(across)} {
			points = append(points, float32(v+0.05*random.NormFloat64()))
		}
	}
	return points
}

// Many cells in few dimensions: a start by scales, cells lifted by searches, and narrow cells at the end.
func TestFit_many_cells(t *testing.T) {
	const n, d, tolerance = 6000, 3, 0.1
	random := rand.New(rand.NewPCG(9, 9))
	points := torus(random, n)
	var heights [][]float32
	for _, threads := range []int{1, 2} {
		m, err := newEngine(t, Config{Threads: threads}).Fit(points, d, nil, FitOptions{Tolerance: tolerance})
		if err != nil {
			t.Fatal(err)
		}
		if r := readReport(t, m); !r.Met || r.Empty != 0 {
			t.Errorf("report %+v", r)
		}
		heights = append(heights, m.Tensor("ot.heights"))
	}
	if err := equalBits(heights[0], heights[1]); err != nil {
		t.Errorf("one thread and two: %v", err)
	}
	const samples = 40 * n
	x := gaussians(random, samples*d, 1)
	counts := make([]float64, n)
	for b := range samples {
		best, highest := 0, math.Inf(-1)
		for i, h := range heights[0] {
			s := float64(h)
			for k, v := range points[i*d : (i+1)*d] {
				s += float64(x[b*d+k]) * float64(v)
			}
			if s > highest {
				best, highest = i, s
			}
		}
		counts[best]++
	}
	chi := -1.0 // without bias: sum_i c_i (c_i - 1)/(B (B-1)) / nu_i - 1
	for i, c := range counts {
		if chi += c * (c - 1) * n / samples / (samples - 1); c == 0 {
			t.Errorf("cell %d is empty", i)
		}
	}
	if chi > tolerance+4*math.Sqrt(2*n)/samples {
		t.Errorf("chi-squared %.4f, want %v", chi, tolerance)
	}
}

// In space, where thin cells are lifted before a certificate, a small chi-squared is met as well.
func TestFit_fine_in_space(t *testing.T) {
	m, err := newEngine(t, Config{}).Fit(torus(rand.New(rand.NewPCG(9, 9)), 2000), 3, nil, FitOptions{Tolerance: 1e-3, SamplesMax: 6_000_000})
	if err != nil {
		t.Fatal(err)
	}
	if r := readReport(t, m); !r.Met || r.Empty != 0 {
		t.Errorf("report %+v", r)
	}
}

func TestFitCheckpoint(t *testing.T) {
	points := gaussians(rand.New(rand.NewPCG(7, 7)), 400, 1)
	e := newEngine(t, Config{})
	path := filepath.Join(t.TempDir(), "state")
	first, err := e.Fit(points, 4, nil, FitOptions{Tolerance: 0.05})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("no checkpoint"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Fit(points, 4, nil, FitOptions{Checkpoint: path}); !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), "checkpoint: not one of this version") {
		t.Errorf("error %v", err)
	}
	if _, err := e.Fit(points, 4, nil, FitOptions{Checkpoint: t.TempDir()}); !errors.Is(err, ErrIO) {
		t.Errorf("a directory for a checkpoint: error %v", err)
	}
	missing := filepath.Join(t.TempDir(), "not yet")
	again, err := e.Fit(points, 4, nil, FitOptions{Tolerance: 0.05, Checkpoint: missing})
	if err != nil {
		t.Fatal(err)
	}
	if err := equalBits(again.Tensor("ot.heights"), first.Tensor("ot.heights")); err != nil {
		t.Errorf("with a checkpoint the heights are others: %v", err)
	}
	warm, err := e.Fit(points, 4, nil, FitOptions{Tolerance: 0.01, Start: first.Tensor("ot.heights")})
	if err != nil {
		t.Fatal(err)
	}
	if r := readReport(t, warm); !r.Met {
		t.Errorf("from heights of an earlier fit: %+v", r)
	}
}

// fullWorkspace has no room for sums, or fails to say so.
type fullWorkspace struct {
	backend.Workspace
	err error
}

func (w fullWorkspace) NewSums([]float64, int, int) (backend.Sums, error) { return nil, w.err }

// Without room for sums on the device, or without a way, samples are summed on the host.
func TestFitDevice_sums(t *testing.T) {
	lost := fault.New(fault.ErrDevice, "lost")
	for name, c := range map[string]struct {
		workspace backend.Workspace
		want      error
	}{
		"no way":  {nil, nil},
		"no room": {fullWorkspace{err: fault.New(fault.ErrOutOfMemory, "full")}, nil},
		"lost":    {fullWorkspace{err: lost}, lost},
	} {
		v := &fitDevice{workspace: c.workspace}
		if sums, err := v.NewSums(nil, 0, 1); sums != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", name, sums, err)
		}
	}
}

func TestFitErrors(t *testing.T) {
	e := newEngine(t, Config{})
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	decoder := openModel(t, Config{}, smallModel(10, 3))
	onlyMap, err := e.FromHeights([]float32{1, 2}, 2, []float32{0}, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		points []float32
		d      int
		masses []float64
		o      FitOptions
		kind   error
		says   string
	}{
		"no points":         {nil, 2, nil, FitOptions{}, ErrInvalidArgument, "points: want 1 .."},
		"no dimension":      {[]float32{1}, 0, nil, FitOptions{}, ErrInvalidArgument, "dimension: want 1 or more, got 0"},
		"half a row":        {[]float32{1, 2, 3}, 2, nil, FitOptions{}, ErrInvalidArgument, "rows of 2, got 3 values"},
		"nan":               {[]float32{1, 2, 3, nan}, 2, nil, FitOptions{}, ErrInvalidArgument, "points: row 1, column 1 is NaN"},
		"infinity":          {[]float32{inf, 2}, 2, nil, FitOptions{}, ErrInvalidArgument, "points: row 0, column 0 is +Inf"},
		"too few masses":    {[]float32{1, 2}, 1, []float64{1}, FitOptions{}, ErrInvalidArgument, "masses: want [2]"},
		"mass of zero":      {[]float32{1, 2}, 1, []float64{1, 0}, FitOptions{}, ErrInvalidArgument, "masses: row 1 is 0"},
		"negative mass":     {[]float32{1, 2}, 1, []float64{-2, 1}, FitOptions{}, ErrInvalidArgument, "masses: row 0 is -2"},
		"mass not a number": {[]float32{1, 2}, 1, []float64{1, math.NaN()}, FitOptions{}, ErrInvalidArgument, "masses: row 1 is NaN"},
		"vanishing mass":    {[]float32{1, 2}, 1, []float64{1, 1e-60}, FitOptions{}, ErrInvalidArgument, "masses: row 1"},
		"masses overflow":   {[]float32{1, 2}, 1, []float64{1e308, 1e308}, FitOptions{}, ErrInvalidArgument, "masses: row 0"},
		"source":            {[]float32{1}, 1, nil, FitOptions{Source: "cauchy"}, ErrInvalidArgument, `got "cauchy"`},
		"tolerance":         {[]float32{1}, 1, nil, FitOptions{Tolerance: -1}, ErrInvalidArgument, "tolerance"},
		"tolerance nan":     {[]float32{1}, 1, nil, FitOptions{Tolerance: math.NaN()}, ErrInvalidArgument, "tolerance"},
		"dtype":             {[]float32{1}, 1, nil, FitOptions{Points: U8}, ErrInvalidArgument, "F32 or F16"},
		"beyond float16":    {[]float32{1, 70000}, 1, nil, FitOptions{Points: F16}, ErrInvalidArgument, "row 1, column 0 is 70000"},
		"heights":           {[]float32{1, 2}, 1, nil, FitOptions{Heights: []float32{1}}, ErrInvalidArgument, "heights: want [2]"},
		"height nan":        {[]float32{1, 2}, 1, nil, FitOptions{Heights: []float32{1, nan}}, ErrInvalidArgument, "heights: row 1"},
		"start":             {[]float32{1, 2}, 1, nil, FitOptions{Start: []float32{1}}, ErrInvalidArgument, "start: want [2]"},
		"start nan":         {[]float32{1, 2}, 1, nil, FitOptions{Start: []float32{1, nan}}, ErrInvalidArgument, "start: row 1"},
		"images":            {[]float32{1}, 1, nil, FitOptions{Images: -1}, ErrInvalidArgument, "images"},
		"other dimension":   {[]float32{1, 2}, 2, nil, FitOptions{Decoder: decoder}, ErrInvalidArgument, "dimension 3, the points have 2"},
		"no decoder":        {[]float32{1, 2}, 2, nil, FitOptions{Decoder: onlyMap}, ErrUnsupported, "no decoder"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := e.Fit(c.points, c.d, c.masses, c.o)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || m != nil {
				t.Errorf("model %v, error %v; want %q", m, err, c.says)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		before := len(e.models)
		calls := 0
		m, err := e.Fit(gaussians(rand.New(rand.NewPCG(1, 1)), 600, 1), 6, nil, FitOptions{
			Tolerance: 1e-9,
			Progress:  func(p FitProgress) bool { calls++; return calls < 2 },
		})
		if !errors.Is(err, ErrCancelled) || m != nil || calls != 2 || len(e.models) != before {
			t.Errorf("model %v, error %v, %d calls, %d models", m, err, calls, len(e.models)-before)
		}
	})
	t.Run("closed", func(t *testing.T) {
		closed := newEngine(t, Config{})
		closed.Close()
		if _, err := closed.Fit([]float32{1}, 1, nil, FitOptions{}); !errors.Is(err, ErrClosed) {
			t.Errorf("error %v", err)
		}
	})
}
