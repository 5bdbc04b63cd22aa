// Package cholesky solves small symmetric positive definite systems, in one written order of
// operations.
package cholesky

import "math"

// Factor factors the symmetric a [p,p] in place, the lower triangle; false: it is not positive.
func Factor(a []float64, p int) bool {
	for j := range p {
		for i := j; i < p; i++ {
			sum := a[i*p+j]
			for k := range j {
				sum -= float64(a[i*p+k] * a[j*p+k])
			}
			if i > j {
				a[i*p+j] = sum / a[j*p+j]
			} else if !(sum > 0) {
				return false
			} else {
				a[j*p+j] = math.Sqrt(sum)
			}
		}
	}
	return true
}

// Solve replaces b [p] by the solution of the system that a, factored, stands for.
func Solve(a []float64, p int, b []float64) {
	for i := range p {
		for k := range i {
			b[i] -= float64(a[i*p+k] * b[k])
		}
		b[i] /= a[i*p+i]
	}
	for i := p - 1; i >= 0; i-- {
		for k := i + 1; k < p; k++ {
			b[i] -= float64(a[k*p+i] * b[k])
		}
		b[i] /= a[i*p+i]
	}
}
