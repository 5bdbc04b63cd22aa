package reference

import (
	"math"
	"math/bits"

	"brenier/engine/internal/backend"
)

// Philox is Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2,
// 3", SC 2011).
func Philox(counter [4]uint32, key [2]uint32) [4]uint32 {
	c, k := counter, key
	for range 10 {
		hi0, lo0 := bits.Mul32(0xD2511F53, c[0])
		hi1, lo1 := bits.Mul32(0xCD9E8D57, c[2])
		c = [4]uint32{hi1 ^ c[1] ^ k[0], lo1, hi0 ^ c[3] ^ k[1], lo0}
		k[0] += 0x9E3779B9
		k[1] += 0xBB67AE85
	}
	return c
}

// Noise writes samples first, first+1, ... of seed to x [n,d]. Dimension i of a sample is word i%4
// of the block with counter (index low, index high, i/4, stream) under the key (seed low, high).
func Noise(source backend.Source, x []float32, d int, seed, first uint64, stream uint32) {
	key := [2]uint32{uint32(seed), uint32(seed >> 32)}
	for at := range x {
		index, i := first+uint64(at/d), at%d
		word := Philox([4]uint32{uint32(index), uint32(index >> 32), uint32(i / 4), stream}, key)[i%4]
		u := float64((float64(word) + 0.5) * 0x1p-32)
		if source == backend.Uniform {
			x[at] = float32(u - 0.5)
		} else {
			x[at] = float32(NormalQuantile(u))
		}
	}
}

// NormalQuantile is the quantile of N(0,1) at u in [2^-33, 1 - 2^-33]: Wichura's routine PPND16
// (Algorithm AS 241, Applied Statistics 37, 1988) without its last interval, which u does not
// reach. Its operations and their order are those of kernels/cpu/noise_kernel.h, bit for bit.
func NormalQuantile(u float64) float64 {
	q := u - 0.5
	if math.Abs(q) <= 0.425 {
		r := math.FMA(-q, q, 0.180625)
		return float64(q * (horner(r, &centralNumerator) / horner(r, &centralDenominator)))
	}
	p := u
	if q > 0 {
		p = 1 - u
	}
	r := math.Sqrt(-naturalLog(p)) - 1.6
	tail := horner(r, &tailNumerator) / horner(r, &tailDenominator)
	if q < 0 {
		return -tail
	}
	return tail
}

// Coefficients of PPND16, highest power first.
var (
	centralNumerator = [8]float64{2.5090809287301226727e+3, 3.3430575583588128105e+4,
		6.7265770927008700853e+4, 4.5921953931549871457e+4, 1.3731693765509461125e+4,
		1.9715909503065514427e+3, 1.3314166789178437745e+2, 3.3871328727963666080e+0}
	centralDenominator = [8]float64{5.2264952788528545610e+3, 2.8729085735721942674e+4,
		3.9307895800092710610e+4, 2.1213794301586595867e+4, 5.3941960214247511077e+3,
		6.8718700749205790830e+2, 4.2313330701600911252e+1, 1}
	tailNumerator = [8]float64{7.74545014278341407640e-4, 2.27238449892691845833e-2,
		2.41780725177450611770e-1, 1.27045825245236838258e+0, 3.64784832476320460504e+0,
		5.76949722146069140550e+0, 4.63033784615654529590e+0, 1.42343711074968357734e+0}
	tailDenominator = [8]float64{1.05075007164441684324e-9, 5.47593808499534494600e-4,
		1.51986665636164571966e-2, 1.48103976427480074590e-1, 6.89767334985100004550e-1,
		1.67638483018380384940e+0, 2.05319162663775882187e+0, 1}
)

func horner(r float64, c *[8]float64) float64 {
	sum := c[0]
	for _, next := range c[1:] {
		sum = math.FMA(sum, r, next)
	}
	return sum
}

// naturalLog is ln p of a normal positive p: FreeBSD's e_log.c (Sun Microsystems, 1993) with every
// fused operation written out.
func naturalLog(p float64) float64 {
	const rootHalf = 0x3FE6A09E667F3BCD
	moved := math.Float64bits(p) + (0x3FF0000000000000 - rootHalf)
	m := math.Float64frombits(moved&0x000FFFFFFFFFFFFF + rootHalf)
	e := float64(int(moved>>52) - 1023)

	f := m - 1
	s := f / (f + 2)
	z := float64(s * s)
	half := float64(float64(0.5*f) * f)
	R := 1.479819860511658591e-01
	for _, c := range [...]float64{1.531383769920937332e-01, 1.818357216161805012e-01,
		2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01,
		6.666666666666735130e-01} {
		R = math.FMA(R, z, c)
	}
	R = float64(R * z)
	low := math.FMA(s, half+R, float64(e*1.90821492927058770002e-10))
	return math.FMA(e, 6.93147180369123816490e-01, f-(half-low))
}
