package fit

// real is what points, samples and means are kept in.
type real interface{ float32 | float64 }

// inner is the inner product of a and b, of one length, in float64: four sums side by side, which
// do not wait for one another, in one order everywhere.
func inner[A, B real](a []A, b []B) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	k := 0
	for ; k+4 <= len(a); k += 4 {
		s0 += float64(float64(a[k]) * float64(b[k]))
		s1 += float64(float64(a[k+1]) * float64(b[k+1]))
		s2 += float64(float64(a[k+2]) * float64(b[k+2]))
		s3 += float64(float64(a[k+3]) * float64(b[k+3]))
	}
	for ; k < len(a); k++ {
		s0 += float64(float64(a[k]) * float64(b[k]))
	}
	return (s0 + s1) + (s2 + s3)
}
