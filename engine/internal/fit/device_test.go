package fit

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/sgd"
)

// naive is a Device that does what the interface says and no more: sample i of a seed is a
// generator's output for (seed, i), and cells come from sorting nothing but the k best scores.
type naive struct {
	points  []float32
	d       int
	uniform bool
	threads int
	heights []float32
}

func newNaive(p Problem, threads int) *naive {
	return &naive{points: p.Points, d: p.Dim, uniform: p.Uniform, threads: threads}
}

func (v *naive) SetHeights(h []float32) error {
	v.heights = append(v.heights[:0], h...)
	return nil
}

func (v *naive) Draw(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	var wait sync.WaitGroup
	for part := range v.threads {
		wait.Add(1)
		go func() {
			defer wait.Done()
			sample := make([]float32, v.d)
			for i := part * n / v.threads; i < (part+1)*n/v.threads; i++ {
				random := rand.New(rand.NewPCG(seed, first+uint64(i)))
				for c := range sample {
					if v.uniform {
						sample[c] = float32(random.Float64() - 0.5)
					} else {
						sample[c] = float32(random.NormFloat64())
					}
				}
				copy(scores[min(i*k, len(scores)):], v.best(sample, cells[i*k:(i+1)*k]))
				if x != nil {
					copy(x[i*v.d:], sample)
				}
			}
		}()
	}
	wait.Wait()
	return nil
}

// best finds the len(cells) cells of highest score by insertion.
func (v *naive) best(x []float32, cells []int64) []float64 {
	scores := make([]float64, 0, len(cells)+1)
	found := make([]int64, 0, len(cells)+1)
	for i, h := range v.heights {
		s := float64(h)
		for c, y := range v.points[i*v.d : (i+1)*v.d] {
			s += float64(x[c]) * float64(y)
		}
		at := len(scores)
		for at > 0 && s > scores[at-1] {
			at--
		}
		if at == len(cells) {
			continue
		}
		scores = append(scores[:at], append([]float64{s}, scores[at:]...)...)
		found = append(found[:at], append([]int64{int64(i)}, found[at:]...)...)
		if len(scores) > len(cells) {
			scores, found = scores[:len(cells)], found[:len(cells)]
		}
	}
	copy(cells, found)
	return scores
}

// rotating is a naive RotatedDrawer: draw i is rho R u with R the Haar rotation of its group, u
// uniform on the unit sphere of a few coordinates chosen at random, and rho the norm of a gaussian.
type rotating struct {
	*naive
	group, axes int

	frame     [][]float64 // R, rows
	frameOf   uint64
	frameSeed uint64
}

func (v *rotating) Group() int { return v.group }

// rotation is the Gram-Schmidt frame of a gaussian matrix.
func (v *rotating) rotation(seed, group uint64) [][]float64 {
	if v.frame != nil && v.frameSeed == seed && v.frameOf == group {
		return v.frame
	}
	random := rand.New(rand.NewPCG(seed, group^0xffff))
	frame := make([][]float64, v.d)
	for i := range frame {
		row := make([]float64, v.d)
		for k := range row {
			row[k] = random.NormFloat64()
		}
		for _, other := range frame[:i] {
			dot := 0.0
			for k := range row {
				dot += row[k] * other[k]
			}
			for k := range row {
				row[k] -= dot * other[k]
			}
		}
		normalise(row)
		frame[i] = row
	}
	v.frame, v.frameSeed, v.frameOf = frame, seed, group
	return frame
}

// counting is a naive Device that counts its draws itself.
type counting struct {
	*naive
	counts []int32
	taken  int
}

func (v *counting) Count(n int, seed, first uint64, rotated bool) error {
	if rotated {
		return errors.New("it has no rotated draws")
	}
	v.counts = append(v.counts, make([]int32, len(v.heights)-len(v.counts))...)
	cells := make([]int64, n)
	if err := v.Draw(n, seed, first, 1, cells, nil, nil); err != nil {
		return err
	}
	for _, c := range cells {
		v.counts[c]++
	}
	return nil
}

func (v *counting) TakeCounts(counts []int32) error {
	copy(counts, v.counts)
	clear(v.counts)
	v.taken++
	return nil
}

// descending is a counting Device that takes the steps of even masses, as one that is far away: it shares
// no memory with the caller.
type descending struct {
	counting
	state                   sgd.State
	started, steps, fetched int
}

func newDescending(p Problem) *descending {
	return &descending{counting: counting{naive: newNaive(p, 2)}}
}

func (v *descending) StartDescent(s *sgd.State) error {
	v.state = copyOf(s)
	v.started++
	return nil
}

func copyOf(s *sgd.State) sgd.State {
	c := sgd.State{Rates: slices.Clone(s.Rates), Hits: slices.Clone(s.Hits), H: slices.Clone(s.H)}
	for i, mean := range s.Averages {
		c.Averages[i] = slices.Clone(mean)
	}
	return c
}

func (v *descending) StepDescent(s sgd.Step) error {
	v.state.Take(s, v.counts)
	clear(v.counts)
	for i, h := range v.state.H {
		v.heights[i] = float32(h - s.Centre)
	}
	v.steps++
	return nil
}

func (v *descending) FetchDescent(s *sgd.State) error {
	copy(s.Hits, v.state.Hits)
	copy(s.H, v.state.H)
	for i, mean := range v.state.Averages {
		copy(s.Averages[i], mean)
	}
	v.fetched++
	return nil
}

// summing is a Device that sums samples itself, plainly.
type summing struct {
	Device
	d, cells     int
	begun, ended int  // sums
	room         bool // for them
}

func (v *summing) NewSums(m []float64, exponent, _ int) (backend.Sums, error) {
	if !v.room {
		return nil, nil
	}
	v.begun++
	return &plainSums{device: v, m: m, exponent: exponent, sums: make([]int64, v.cells*v.d)}, nil
}

type plainSums struct {
	device   *summing
	m        []float64
	exponent int
	sums     []int64
	ahead    []drawn
}

func (s *plainSums) Ahead() int { return 3 }

func (s *plainSums) Draw(n int, seed, first uint64, rotated bool) error {
	d := s.device.d
	if len(s.ahead) == s.Ahead() {
		return errors.New("too many draws are on their way")
	}
	b := drawn{n: n, cells: make([]int64, n), scores: make([]float64, n), x: make([]float32, n*d)}
	draw := s.device.Device.Draw
	if rotated {
		draw = s.device.Device.(RotatedDrawer).DrawRotated
	}
	if err := draw(n, seed, first, 1, b.cells, b.scores, b.x); err != nil {
		return err
	}
	for i, cell := range b.cells {
		for k, v := range b.x[i*d : (i+1)*d] {
			s.sums[int(cell)*d+k] += int64(math.RoundToEven(math.Ldexp(float64(v), s.exponent)))
		}
	}
	s.ahead = append(s.ahead, b)
	return nil
}

func (s *plainSums) Take(cells []int64, scores, along, squares []float64) error {
	b := s.ahead[0]
	s.ahead = s.ahead[1:]
	if len(cells) != b.n {
		return fmt.Errorf("%d draws are taken of %d", len(cells), b.n)
	}
	copy(cells, b.cells)
	copy(scores, b.scores)
	for i := range along {
		x := b.x[i*s.device.d : (i+1)*s.device.d]
		along[i], squares[i] = inner(x, s.m), inner(x, x)
	}
	if told := s.m == nil; told != (along == nil) || told != (squares == nil) {
		return errors.New("products are asked for with nothing, or not with something")
	}
	return nil
}

func (s *plainSums) Total(sums []int64) error {
	if len(s.ahead) > 0 || s.m == nil {
		return errors.New("draws were not taken, or not added up")
	}
	copy(sums, s.sums)
	return nil
}

func (s *plainSums) Close() error {
	s.device.ended++
	return nil
}

// rotatedSumming is a summing Device with rotated draws.
type rotatedSumming struct {
	*summing
	*rotating
}

func (v rotatedSumming) SetHeights(h []float32) error { return v.rotating.SetHeights(h) }
func (v rotatedSumming) Draw(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	return v.rotating.Draw(n, seed, first, k, cells, scores, x)
}

func normalise(v []float64) {
	norm := 0.0
	for _, e := range v {
		norm += e * e
	}
	for k := range v {
		v[k] /= math.Sqrt(norm)
	}
}

func (v *rotating) DrawRotated(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {

	group := first / uint64(v.group)
	if (first+uint64(n)-1)/uint64(v.group) != group {
		return fmt.Errorf("draws %d .. %d are not of one group of %d", first, first+uint64(n)-1, v.group)
	}
	frame := v.rotation(seed, group)
	sample := make([]float32, v.d)
	for i := range n {
		random := rand.New(rand.NewPCG(seed^0x5555, first+uint64(i)))
		u := make([]float64, v.axes)
		for j := range u {
			u[j] = random.NormFloat64()
		}
		normalise(u)
		rho := 0.0
		for range v.d {
			e := random.NormFloat64()
			rho += e * e
		}
		rho = math.Sqrt(rho)
		axes := random.Perm(v.d)[:v.axes]
		for c := range sample {
			sum := 0.0
			for j, a := range axes {
				sum += u[j] * frame[a][c]
			}
			sample[c] = float32(rho * sum)
		}
		found := v.best(sample, cells[i*k:(i+1)*k])
		if scores != nil {
			copy(scores[i*k:], found)
		}
		if x != nil {
			copy(x[i*v.d:], sample)
		}
	}
	return nil
}
