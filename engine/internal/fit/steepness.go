package fit

import "sort"

const (
	steepnessSamples = 4 * Batch
	nearTies         = 0.1 // share of the samples, those of least gap, that count as near-ties
	steepnessFree    = 8.  // steepness that the step bears as it is
)

// steepness measures by how much the energy curves more than the random-energy model says, and
// returns by how much the step must be divided for it.
//
// The trace of the energy's Hessian is P(gap < delta)/delta for small delta, gap being the
// difference of a sample's two best scores: a sample that near a boundary crosses it when either
// cell's height moves by delta. The model's trace is sum_i nu_i quantile_i/scale_i. Their ratio is
// about 1 on codes of 64 dimensions and more, 6 to 9 in 8 or inside clusters, where the step as it
// is serves best, and hundreds in the plane, where cells are narrow.
func (s *sampler) steepness(t *target) (float64, error) {
	if t.cells < 2 {
		return 1, nil
	}
	gaps := make([]float64, 0, steepnessSamples)
	scores := make([]float64, 2*Batch)
	for range steepnessSamples / Batch {
		cells := s.cells[:2*Batch]
		if err := s.device.Draw(Batch, streamSeed(s.seed, steepnessStream), s.steepnessUsed, 2, cells, scores, nil); err != nil {
			return 0, err
		}
		s.steepnessUsed += Batch
		for i := range Batch {
			// A duplicate ties with its owner everywhere, which is not a boundary.
			if gap := scores[2*i] - scores[2*i+1]; gap > 0 {
				gaps = append(gaps, gap)
			}
		}
	}
	near := int(nearTies * float64(len(gaps)))
	if near < 10 {
		return 1, nil
	}
	sort.Float64s(gaps)
	trace := float64(near) / float64(len(gaps)) / gaps[near-1]
	model := 0.0
	for i, nu := range t.mass {
		model += float64(nu*t.quantile[i]) / t.scale[i]
	}
	return max(1, trace/float64(steepnessFree*model)), nil
}
