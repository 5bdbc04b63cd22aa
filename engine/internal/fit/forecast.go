package fit

import "math"

// What is expected of c before anything has been measured, in parts of the dependence (measured at
// N = 2000, see [descent]: 1.0 to 1.2, and at N = 46,800 and 60,000: 1.06 to 1.12); and how far c drifts from one
// measurement to the next, in parts of it.
const (
	expectedConstant = 1.08
	expectedError    = 0.08
	drift            = 0.03
	surprise         = 3. // standard errors from which a measurement is believed alone

	// early is how far c drifts, in parts of it, while samples grow by the factor e: of many points it is above
	// what it comes down to at first. Codes of MNIST, N = 60,000: 1.35 at 28 samples a cell, 1.10 at 1,290; of
	// terrain, N = 46,800: 1.57 at 56 (BenchmarkFitAll in engine, and a fit to 1e-3); MNIST, N = 2000: 1.1, 1.0.
	early = 0.07
)

// forecast is what is known of c in chi-squared = c N/n, n being the samples that an average of a
// descent is made of. The average is asymptotically efficient (Polyak and Juditsky 1992): its heights
// are off by H^-1 S H^-1/n, H being the energy's Hessian and S, the covariance of one sample's
// gradient, diag(nu) - nu nu^T, times the dependence of draws that share a frame. Then chi-squared is
// tr(diag(1/nu) S)/n on average, so that c comes down to the dependence. Few samples measure a
// chi-squared that small only roughly; the forecast weighs what they say with what was known, and
// saves the many that it would take to do without.
type forecast struct {
	constant, error float64 // c and one standard error
}

// newForecast is what is expected where the energy is as steep as [sampler.steepness] says: in low
// dimension, where it is steep, a descent can be far off for long.
func newForecast(dependence, steepness float64) forecast {
	c := expectedConstant * dependence
	return forecast{constant: c, error: float64(expectedError*c) * max(1, steepness)}
}

// with is the forecast after a measurement of c, with its standard error, at exp(-ahead) of the samples that it
// is wanted for.
func (f forecast) with(constant, sd, ahead float64) forecast {
	sd = math.Hypot(sd, float64(early*ahead)*f.constant)
	known := math.Hypot(f.error, float64(drift*f.constant))
	if math.Abs(constant-f.constant) > float64(surprise*math.Hypot(sd, known)) {
		return forecast{constant, sd}
	}
	share := float64(known*known) / (float64(known*known) + float64(sd*sd)) // of the measurement
	return forecast{f.constant + float64(share*(constant-f.constant)), known * math.Sqrt(1-share)}
}
