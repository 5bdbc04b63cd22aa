package exact

import "math"

// sum adds with the rounding errors kept aside (Neumaier, "Rundungsfehleranalyse einiger Verfahren
// zur Summation endlicher Summen", ZAMM 54, 1974), for sums of millions of masses whose small
// remainders matter.
type sum struct{ high, low float64 }

func (s *sum) add(v float64) {
	t := s.high + v
	if math.Abs(s.high) >= math.Abs(v) {
		s.low += (s.high - t) + v
	} else {
		s.low += (v - t) + s.high
	}
	s.high = t
}

func (s *sum) value() float64 { return s.high + s.low }
