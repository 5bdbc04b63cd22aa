package engine

import (
	"errors"
	"math"
	"os"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cpu"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/fit"
	"brenier/engine/internal/modelfile"
	"brenier/engine/internal/sgd"

	"github.com/x448/float16"
)

// DefaultTolerance is the chi-squared at which a fit stops unless told otherwise: masses are then off
// by 3 % of their size, root mean square. Samples cease to improve visibly at about 0.05.
const DefaultTolerance = 1e-3

// maxPoints bounds N, as locate's cells are 32-bit integers on the devices.
const maxPoints = math.MaxInt32

// FitOptions say what a fit is for and how far it goes. The zero value takes every default.
type FitOptions struct {
	Source     string                 // "gaussian" ("" too): N(0,I), or "uniform": on [-1/2,1/2]^d
	Method     FitMethod              // how heights are found; FitAuto: as dimension and number suggest
	Tolerance  float64                // stop at this chi-squared; 0: DefaultTolerance
	SamplesMax uint64                 // give up after this many samples; 0: chosen from N
	Seed       uint64                 // same seed, points and options: same heights
	Points     DType                  // the points are rounded to this, F32 or F16, before all else
	Progress   func(FitProgress) bool // called a few times a second; false: stop; must not use the engine
	Heights    []float32              // h [N], known already: only measured, not sought; may be nil
	Start      []float32              // h [N] to start from, as those of an earlier fit; may be nil
	Rebalance  bool                   // where the samples run out first, lift cells that are still empty
	Checkpoint string                 // a file that the fit's state is kept in and taken up from; "": none
	Decoder    *Model                 // its decoder and output go into the result; may be nil
	Images     int                    // with a decoder: samples that output.mean and .deviation are of
}

// FitProgress is where a fit stands.
type FitProgress struct {
	Samples, SamplesMax uint64  // both 0 while an exact fit is solved
	ChiSquared          float64 // on samples the fit never saw; NaN: not measured yet
	Empty               int     // cells that those samples missed beyond what chance misses; -1: not yet
	Seconds             float64
	Energy              float64 // E(h) on those samples; NaN: not measured yet
	SecondsLeft         float64 // a prediction, the certificate included; NaN: none yet
	Tested, ToTest      uint64  // samples of the certificate so far, and that it takes; both 0: not begun
}

// Fit finds heights for points y [N,d] so that cell i has mass nu_i, and makes them a model, with
// the cells' mass centres and the angles that extension's quantiles refer to.
//
// masses [N] are positive and are scaled to sum 1; nil means 1/N each. The error is chi-squared,
// sum_i (m_i - nu_i)^2 / nu_i, estimated without bias on samples that had no part in the fit. It
// stops when chi-squared and twice its standard error are within the tolerance and no cell is empty
// but by chance. The report, with whether that was met, is in the model's metadata under "fit"; an
// unmet one is no error. A point equal to an earlier one leaves its mass to that one.
//
// The heights depend on the points, masses, options and seed alone, bit for bit. A progress
// function that returns false ends it with ErrCancelled, and nothing is left behind.
//
// On the line and in the plane heights can be exact: see [FitMethod]. The report then has the largest
// error of the masses, integrated, under "mass_error".
//
// With Checkpoint, the state of a sampled fit is written to that file every 20 seconds, the old one or a whole new
// one at any time, and a fit that finds the file there goes on from it to the same heights. The file
// must be of the same points, masses, source, start and seed; the tolerance and the samples may be
// others. It stays when the fit is done, so that a smaller tolerance can take it up.
func (e *Engine) Fit(points []float32, d int, masses []float64, o FitOptions) (*Model, error) {
	if err := e.gate.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	model, err := newFitModel(points, d, masses, o)
	if err != nil {
		return nil, err
	}
	if err := e.fit(model, o); err != nil {
		return nil, err
	}
	made, err := e.assemble(model)
	if err != nil || model.Graph == nil || o.Images == 0 {
		return made, err
	}
	if err := made.MeasureImages(o.Images); err != nil {
		made.Close()
		return nil, err
	}
	return made, nil
}

// FromHeights makes a model of points y [N,d] and heights h [N] as they are: no mass centres and no
// angles, so that cell and pair are the modes it has. [Engine.Fit] with Heights measures those.
func (e *Engine) FromHeights(points []float32, d int, heights []float32, source string) (*Model, error) {
	if err := e.gate.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	model, err := newFitModel(points, d, nil, FitOptions{Source: source, Heights: heights})
	if err != nil {
		return nil, err
	}
	model.Heights.Data = heights
	return e.assemble(model)
}

// assemble makes a model of one in memory by the same way as one from a file, checks included.
func (e *Engine) assemble(model *modelfile.Model) (*Model, error) {
	data, err := modelfile.Encode(model)
	if err != nil {
		return nil, err
	}
	file, err := modelfile.Parse(data)
	if err != nil {
		return nil, err
	}
	return e.prepare(file)
}

// newFitModel checks the arguments and makes them a model that lacks its heights only.
func newFitModel(points []float32, d int, masses []float64, o FitOptions) (*modelfile.Model, error) {
	if d < 1 {
		return nil, fault.Invalid("dimension: want 1 or more, got %d", d)
	}
	n, err := rows("points", len(points), d)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > maxPoints {
		return nil, fault.Invalid("points: want 1 .. %d rows, got %d", maxPoints, n)
	}
	if err := finite("points", points, d, 0); err != nil {
		return nil, err
	}
	for name, h := range map[string][]float32{"heights": o.Heights, "start": o.Start} {
		if h != nil && len(h) != n {
			return nil, fault.Invalid("%s: want [%d], one for each point, got %d", name, n, len(h))
		}
		if err := finite(name, h, 1, 0); err != nil {
			return nil, err
		}
	}
	if o.Images < 0 {
		return nil, fault.Invalid("images: want 0 or more, got %d", o.Images)
	}
	if o.Tolerance < 0 || o.Tolerance-o.Tolerance != 0 {
		return nil, fault.Invalid("tolerance: want a number above 0, or 0 for the default, got %v", o.Tolerance)
	}
	model := &modelfile.Model{
		Points:  &modelfile.Tensor{Shape: []int{n, d}, Data: points},
		Heights: &modelfile.Tensor{Shape: []int{n}},
	}
	switch o.Source {
	case "", "gaussian":
		model.Source = backend.Gaussian
	case "uniform":
		model.Source = backend.Uniform
	default:
		return nil, fault.Invalid("source: want gaussian or uniform, got %q", o.Source)
	}
	switch o.Points {
	case F32:
	case F16:
		if model.Points.Data, err = halves(points, d); err != nil {
			return nil, err
		}
		model.Points.DType = modelfile.F16
	default:
		return nil, fault.Invalid("points: want them kept as F32 or F16, got %d", o.Points)
	}
	if masses != nil {
		if model.Masses, err = massTensor(masses, n); err != nil {
			return nil, err
		}
	}
	if o.Decoder != nil {
		if err := o.Decoder.lendDecoder(model); err != nil {
			return nil, err
		}
	}
	return model, nil
}

// halves rounds values to float16.
func halves(values []float32, d int) ([]float32, error) {
	rounded := make([]float32, len(values))
	for i, v := range values {
		rounded[i] = float16.Fromfloat32(v).Float32()
		if math.IsInf(float64(rounded[i]), 0) {
			return nil, fault.Invalid("points: row %d, column %d is %v, beyond float16; keep them as F32", i/d, i%d, v)
		}
	}
	return rounded, nil
}

// massTensor scales masses to sum 1.
func massTensor(masses []float64, n int) (*modelfile.Tensor, error) {
	if len(masses) != n {
		return nil, fault.Invalid("masses: want [%d], one for each point, got %d", n, len(masses))
	}
	sum := 0.0
	for i, v := range masses {
		if !(v > 0) || math.IsInf(v, 0) {
			return nil, fault.Invalid("masses: row %d is %v; want finite masses above 0: leave such a point out", i, v)
		}
		sum += v
	}
	t := &modelfile.Tensor{Shape: []int{n}, Data: make([]float32, n)}
	for i, v := range masses {
		t.Data[i] = float32(v / sum)
		if t.Data[i] == 0 || math.IsInf(sum, 0) {
			return nil, fault.Invalid("masses: row %d is %v of %v in all, too small a share for float32; leave such a point out", i, v, sum)
		}
	}
	return t, nil
}

// lendDecoder puts the model's decoder, output and encoder into another one, which shares their memory.
func (m *Model) lendDecoder(to *modelfile.Model) error {
	if err := m.gate.enter(); err != nil {
		return err
	}
	defer m.gate.leave()
	if err := m.needDecoder(); err != nil {
		return err
	}
	from := m.file.Model()
	if got := to.Points.Shape[1]; got != m.parts.d {
		return fault.Invalid("points: the decoder reads codes of dimension %d, the points have %d", m.parts.d, got)
	}
	to.Graph, to.Weights, to.Output = from.Graph, from.Weights, from.Output
	to.Encoder, to.EncoderWeights = from.Encoder, from.EncoderWeights
	return nil
}

// fit completes a model by its heights, centroids, table of angles and report.
func (e *Engine) fit(model *modelfile.Model, o FitOptions) error {
	if o.Tolerance == 0 {
		o.Tolerance = DefaultTolerance
	}
	n, d := model.Points.Shape[0], model.Points.Shape[1]
	exactly, err := o.solvesExactly(n, d)
	if err != nil {
		return err
	}
	problem := fit.Problem{Points: model.Points.Data, Dim: d, Uniform: model.Source == backend.Uniform}
	if model.Masses != nil {
		problem.Masses = unitSum(model.Masses.Data)
	}
	problem.Centre()
	device, err := newFitDevice(e.device, model.Source, problem.Points, d, fit.MaxCells)
	if err != nil {
		return err
	}
	defer device.Close()
	pool, done := e.hostPool()
	defer done()
	options := fit.Options{
		Tolerance: o.Tolerance, SamplesMax: o.SamplesMax, Seed: o.Seed, Start: o.Start, Rebalance: o.Rebalance,
		Parallel: pool.Share,
	}
	if o.Progress != nil {
		options.Progress = func(p fit.Progress) bool { return o.Progress(FitProgress(p)) }
	}
	if exactly && o.Heights == nil {
		result, report, err := e.fitExactly(model, problem, device.drawer(), o, options)
		if err != nil {
			return stopped(err)
		}
		complete(model, result, report)
		return nil
	}
	if o.Checkpoint != "" && o.Heights == nil {
		if options.Resume, err = readCheckpoint(o.Checkpoint); err != nil {
			return err
		}
		options.Checkpoint = func(state []byte) error { return modelfile.WriteBytes(o.Checkpoint, state) }
	}
	result, err := solve(problem, device.drawer(), o.Heights, options)
	if err != nil {
		return stopped(err)
	}
	complete(model, result, certificate(result, o))
	return nil
}

// hostPool is the threads of the processor: those that the device itself works with, or, where it is
// no processor, some of their own until done.
func (e *Engine) hostPool() (pool *cpu.Pool, done func()) {
	if device, ok := e.device.(interface{ Pool() *cpu.Pool }); ok {
		return device.Pool(), func() {}
	}
	pool = cpu.NewPool(e.threads)
	return pool, pool.Close
}

// stopped is the error of a fit that was stopped as one of the engine; others stay.
func stopped(err error) error {
	if errors.As(err, new(fit.Stopped)) || errors.Is(err, fault.ErrCancelled) {
		return fault.New(fault.ErrCancelled, "the fit was stopped by its progress function")
	}
	return err
}

// complete puts a result into the model.
func complete(model *modelfile.Model, result *fit.Result, report *modelfile.Fit) {
	model.Heights.Data = result.Heights
	model.Centroids = &modelfile.Tensor{DType: model.Points.DType, Shape: model.Points.Shape, Data: result.Centroids}
	extension := modelfile.DefaultExtension(model.Points.Shape[0], true)
	extension.Cosines = result.Cosines
	model.Extension = &extension
	model.Fit = report
}

// readCheckpoint reads the state of an earlier run; nil where there is none.
func readCheckpoint(path string) ([]byte, error) {
	state, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.New(fault.ErrIO, "checkpoint: %s: cannot be read: %w", path, err)
	}
	return state, nil
}

func solve(p fit.Problem, device fit.Device, heights []float32, o fit.Options) (*fit.Result, error) {
	if heights == nil {
		return fit.Solve(p, device, o)
	}
	return fit.Certify(p, heights, device, o)
}

// unitSum widens masses and scales them to sum 1 in float64: float32 shares miss it by a little.
func unitSum(masses []float32) []float64 {
	sum := 0.0
	for _, v := range masses {
		sum += float64(v)
	}
	scaled := make([]float64, len(masses))
	for i, v := range masses {
		scaled[i] = float64(v) / sum
	}
	return scaled
}

// certificate is a report as the model file holds it.
func certificate(result *fit.Result, o FitOptions) *modelfile.Fit {
	r := result.Report
	return &modelfile.Fit{
		Samples: r.Samples, TestSamples: r.TestSamples, Chi2: r.ChiSquared, Chi2Error: r.ChiSquaredError,
		Empty: r.Empty, TotalVariation: r.TotalVariation, Seed: o.Seed, Seconds: r.Seconds,
		Method: r.Method, Tolerance: o.Tolerance, Met: r.Met, Group: r.Group,
		TotalVariationFloor: r.TotalVariationFloor, EmptyExpected: r.EmptyExpected, EmptyMass: r.EmptyMass,
		LargestError: r.LargestError, LargestErrorFloor: r.LargestErrorFloor, LargestErrorCertain: r.LargestErrorCertain,
		Energy: r.Energy, EnergyError: r.EnergyError,
		W2Lower: r.W2Lower, W2LowerError: r.W2LowerError, W2Upper: r.W2Upper, W2UpperError: r.W2UpperError,
		SamplesToHalve: r.SamplesToHalve, Duplicates: r.Duplicates, CentroidFallbacks: r.CentroidFallbacks,
		CentroidError: r.CentroidError, AngleError: r.AngleError,
		History: history(result.Trials), Masses: (*modelfile.Histogram)(result.Masses),
	}
}

// history is the trials as the model file holds them, or nil.
func history(trials []fit.Trial) *modelfile.History {
	if len(trials) == 0 {
		return nil
	}
	h := &modelfile.History{}
	for _, t := range trials {
		h.Samples = append(h.Samples, t.Samples)
		h.Chi2 = append(h.Chi2, t.ChiSquared)
		h.Chi2Error = append(h.Chi2Error, t.ChiSquaredError)
	}
	return h
}

// fitDevice is a device as the fit uses it: noise and locate of one workspace.
type fitDevice struct {
	backend   backend.Backend
	source    backend.Source
	d, batch  int
	model     backend.Model
	workspace backend.Workspace
}

// newFitDevice makes one for points [N,d], and k cells of a sample at most. Its heights are 0.
func newFitDevice(device backend.Backend, source backend.Source, points []float32, d, k int) (*fitDevice, error) {
	n := len(points) / d
	model, err := device.Prepare(backend.Parts{Source: source, Dim: d, Points: points, Heights: make([]float32, n)})
	if err != nil {
		return nil, err
	}
	batch := fit.BatchFor(n, d)
	workspace, err := model.NewWorkspace(batch, min(n, k))
	if err != nil {
		model.Close()
		return nil, err
	}
	return &fitDevice{backend: device, source: source, d: d, batch: batch, model: model, workspace: workspace}, nil
}

// rotatedDevice is a fitDevice whose workspace draws samples that share a rotation.
type rotatedDevice struct {
	*fitDevice
	backend.RotatedDrawer
}

// descendingDevice is one whose workspace takes the steps of a descent itself, too.
type descendingDevice struct {
	rotatedDevice
	sgd.Descender
}

// drawer is the device with all that it can do.
func (v *fitDevice) drawer() fit.Map {
	rotated, ok := v.workspace.(backend.RotatedDrawer)
	if !ok {
		return v
	}
	device := rotatedDevice{v, rotated}
	if descender, ok := v.workspace.(sgd.Descender); ok {
		return descendingDevice{device, descender}
	}
	return device
}

// NewMap implements [fit.Mapper].
func (v *fitDevice) NewMap(points []float32) (fit.Map, error) {
	device, err := newFitDevice(v.backend, v.source, points, v.d, fit.MapCells)
	if errors.Is(err, fault.ErrOutOfMemory) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return device.drawer(), nil
}

// Locate implements [fit.Map].
func (v *fitDevice) Locate(x []float32, k int, cells []int64) error {
	for n := len(x) / v.d; n > 0; n = len(x) / v.d {
		n = min(n, v.batch)
		if err := v.workspace.PutNoise(x[:n*v.d]); err != nil {
			return err
		}
		if err := v.workspace.Locate(n, k); err != nil {
			return err
		}
		if err := v.workspace.GetCells(n, k, cells[:n*k], nil); err != nil {
			return err
		}
		x, cells = x[n*v.d:], cells[n*k:]
	}
	return nil
}

// Close implements [fit.Map].
func (v *fitDevice) Close() error { return errors.Join(v.workspace.Close(), v.model.Close()) }

func (v *fitDevice) SetHeights(h []float32) error { return v.model.SetHeights(h) }

func (v *fitDevice) Count(n int, seed, first uint64, rotated bool) error {
	return v.workspace.Count(n, seed, first, rotated)
}

func (v *fitDevice) TakeCounts(counts []int32) error { return v.workspace.TakeCounts(counts) }

func (v *fitDevice) NewSums(m []float64, exponent, most int) (backend.Sums, error) {
	summer, ok := v.workspace.(backend.Summer)
	if !ok {
		return nil, nil
	}
	sums, err := summer.NewSums(m, exponent, most)
	if errors.Is(err, fault.ErrOutOfMemory) {
		return nil, nil // the samples come to the host, where there is more
	}
	if err != nil {
		return nil, err
	}
	return sums, nil
}

func (v *fitDevice) Draw(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	if err := v.workspace.Draw(n, k, seed, first, x); err != nil {
		return err
	}
	return v.workspace.GetCells(n, k, cells, scores)
}
