package fit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"

	"brenier/engine/internal/fault"
	"brenier/engine/internal/sgd"
)

// A checkpoint is the whole state of a run between two steps, so that a run that takes it up goes on
// with the same samples to the same heights. In little-endian order:
//
//	magic [8], problem [32] (SHA-256 of all that the heights depend on), saved,
//	hits int64 [N], h float64 [N], averages float64 [sgd.Averages,N], trials [History],
//	heights float32 [N] where cells are being lifted,
//	from float64 [N], move float64 [N] where a step of Newton's is on trial, SHA-256 of all before [32]
const checkpointMagic = "brnfit06"

// saved are the numbers of a checkpoint.
type saved struct {
	N                            uint64
	Next                         [streams]uint64
	Evaluated                    uint64
	Samples, Credit, Steps       uint64
	Totals                       [sgd.Averages]float64
	Until, Begun                 uint64
	Preferred                    uint64
	Empty                        int64
	ChiSquared                   float64
	Dependence, Steepness        float64
	Centre                       float64
	Constant, ConstantError      float64
	SecondOrder, Restless        bool
	GoingWrong, OnTrial          bool // of the second order
	Lifting                      bool
	Lifts                        lifts
	Worth, Size, Refused, Trials uint64
	Error, Began                 float64
	Seconds                      float64
	History                      uint64 // trials
}

// fingerprint is of the problem and of the options that the heights depend on; the tolerance and the
// most samples may be others when a run is taken up.
func (r *run) fingerprint() [sha256.Size]byte {
	hash := sha256.New()
	p := r.target.problem
	write := func(values any) {
		if err := binary.Write(hash, binary.LittleEndian, values); err != nil { // a hash takes all
			panic(err)
		}
	}
	write([]uint64{uint64(r.target.n), uint64(p.Dim), r.options.Seed, uint64(r.sampler.group), uint64(r.sampler.batch)})
	write(p.Uniform)
	write(p.Points)
	write(p.Masses)
	write(p.Shift)
	write(r.options.Start)
	return [sha256.Size]byte(hash.Sum(nil))
}

// checkpoint hands the state to the caller, now and then.
func (r *run) checkpoint() error {
	now := r.options.Now()
	if r.options.Checkpoint == nil || now.Sub(r.saved) < r.options.Every {
		return nil
	}
	r.saved = now
	if err := r.recall(); err != nil {
		return err
	}
	return r.options.Checkpoint(r.encode())
}

func (r *run) encode() []byte {
	s := saved{
		N: uint64(r.target.n), Next: r.sampler.next, Evaluated: r.sampler.evaluated,
		Samples: r.descent.samples, Credit: r.descent.credit, Steps: uint64(r.descent.steps),
		Until: r.until, Begun: r.begun, Preferred: uint64(r.preferred),
		Empty: int64(r.empty), Lifting: r.lifting != nil, Lifts: r.lifts,
		ChiSquared: r.chiSquared, Dependence: r.dependence,
		Steepness: r.steepness, Centre: r.descent.centre, Constant: r.forecast.constant, ConstantError: r.forecast.error,
		Restless: r.restless, Seconds: r.seconds(),
		History: uint64(len(r.trials)),
	}
	for i, a := range r.descent.averages {
		s.Totals[i] = a.total
	}
	if r.newton != nil {
		s.SecondOrder, s.Worth, s.Size = true, r.newton.worth, uint64(r.newton.size)
		s.GoingWrong, s.OnTrial = r.newton.restless, r.newton.from != nil
		s.Refused, s.Trials, s.Error, s.Began = uint64(r.newton.refused), uint64(r.newton.trials), r.newton.error, r.newton.began
	}
	problem := r.fingerprint()
	var b bytes.Buffer
	b.WriteString(checkpointMagic)
	b.Write(problem[:])
	write := func(values any) {
		if err := binary.Write(&b, binary.LittleEndian, values); err != nil { // a buffer takes all
			panic(err)
		}
	}
	write(s)
	write(r.descent.Hits)
	write(r.descent.H)
	for _, mean := range r.descent.Averages {
		write(mean)
	}
	write(r.trials)
	write(r.lifting)
	if s.OnTrial {
		write(r.newton.from)
		write(r.newton.move)
	}
	sum := sha256.Sum256(b.Bytes())
	b.Write(sum[:])
	return b.Bytes()
}

// resume takes up a checkpoint of the same problem.
func (r *run) resume(data []byte) error {
	n := r.target.n
	want := len(checkpointMagic) + 2*sha256.Size + binary.Size(saved{}) + 8*n*(2+sgd.Averages)
	head := len(checkpointMagic) + sha256.Size
	if len(data) < head || string(data[:len(checkpointMagic)]) != checkpointMagic {
		return fault.Invalid("checkpoint: not one of this version; remove it to start anew")
	}
	problem := r.fingerprint()
	if !bytes.Equal(data[len(checkpointMagic):head], problem[:]) {
		return fault.Invalid("checkpoint: it is of other points, masses, source, start or seed, or of another kind of draws; remove it to start anew")
	}
	var s saved
	if fixed := head + binary.Size(s); len(data) >= fixed {
		decode(data[head:], &s)
		want += binary.Size(Trial{}) * int(min(s.History, uint64(len(data))))
		if s.Lifting {
			want += 4 * n
		}
		if s.OnTrial {
			want += 2 * 8 * n
		}
	}
	if len(data) != want {
		return fault.Invalid("checkpoint: want %d bytes for %d points, got %d; remove it to start anew", want, n, len(data))
	}
	body := data[:len(data)-sha256.Size]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], data[len(body):]) {
		return fault.Invalid("checkpoint: its checksum does not fit its contents; remove it to start anew")
	}
	rest := body[head+binary.Size(s):]
	read := func(into any) { rest = rest[decode(rest, into):] }
	r.sampler.next, r.sampler.evaluated = s.Next, s.Evaluated
	r.begun = s.Begun
	r.until, r.preferred = s.Until, int(s.Preferred)
	r.empty, r.lifts = int(s.Empty), s.Lifts
	r.lifts.Raised = min(r.lifts.Raised, uint64(len(raisings)))
	r.chiSquared, r.dependence = s.ChiSquared, s.Dependence
	r.steepness, r.forecast = s.Steepness, forecast{s.Constant, s.ConstantError}
	r.restless, r.before = s.Restless, s.Seconds
	r.descent = newDescent(r.target, make([]float64, n), 0, r.sampler.batch)
	d := r.descent
	d.samples, d.credit, d.steps, d.centre = s.Samples, s.Credit, int(s.Steps), s.Centre
	read(d.Hits)
	read(d.H)
	for i := range d.averages {
		d.averages[i].total = s.Totals[i]
		read(d.Averages[i])
	}
	r.trials = make([]Trial, s.History)
	read(r.trials)
	if s.Lifting {
		r.lifting = make([]float32, n)
		read(r.lifting)
	}
	for _, v := range d.H {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fault.Invalid("checkpoint: a height is %v; remove it to start anew", v)
		}
	}
	if s.SecondOrder {
		r.newton = &newton{newtonState: newtonState{
			worth: s.Worth, size: int(s.Size), refused: int(s.Refused), restless: s.GoingWrong,
			trials: int(s.Trials), error: s.Error, began: s.Began,
		}}
		if s.OnTrial {
			r.newton.from, r.newton.move = make([]float64, n), make([]float64, n)
			read(r.newton.from)
			read(r.newton.move)
		}
	}
	if r.until > 0 { // a smaller tolerance or more samples may be asked for than before
		r.until = min(max(r.until, r.samples()), r.options.SamplesMax)
	}
	r.setMethod()
	return nil
}

// decode fills a value of fixed size from data that are long enough, and says how many bytes it took.
func decode(data []byte, into any) int {
	n, err := binary.Decode(data, binary.LittleEndian, into)
	if err != nil {
		panic(err)
	}
	return n
}
