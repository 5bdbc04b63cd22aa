package fit

const (
	steepnessSamples = 4096
	nearTies         = 0.1 // share of the samples, those of least gap, that count as near-ties
	steepnessFree    = 8.  // steepness that the step bears as it is
)

// steepness measures by how much the energy curves more than the random-energy model says.
//
// The trace of the energy's Hessian is P(gap < delta)/delta for small delta, gap being the
// difference of a sample's two best scores: a sample that near a boundary crosses it when either
// cell's height moves by delta. The model's trace is sum_i nu_i quantile_i/scale_i. Their ratio is
// about 1 on codes of 64 dimensions and more, 6 to 9 in 8 or inside clusters, where the step as it
// is serves best, and hundreds in the plane, where cells are narrow.
func (s *sampler) steepness(t *target, h []float64) (float64, error) {
	if t.cells < 2 {
		return 1, nil
	}
	near, err := s.evaluate(t, h, s.reserve(steepnessSamples), steepnessSamples)
	if err != nil {
		return 0, err
	}
	delta, count := near.nearest(nearTies)
	if delta == 0 {
		return 1, nil
	}
	trace := float64(count) / steepnessSamples / delta
	model := 0.0
	for i, nu := range t.mass {
		model += float64(nu*t.quantile[i]) / t.scale[i]
	}
	return trace / model, nil
}

// steep reports whether cells are so narrow that steps must be short and the last cells be put right one by one.
func (r *run) steep() bool { return r.steepness > steepnessFree }
