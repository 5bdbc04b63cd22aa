// The activations on one vector. Polynomials are those of Cephes' expf and tanhf (Moshier, 1989);
// relative error below 2e-7. A NaN stays one. Included by the kernels that apply an activation.

// e^x for |x| <= 87: x = n ln 2 + r with |r| <= ln(2)/2.
BRENIER_INLINE vf BRENIER_KERNEL(exp)(vf x) {
	const vf magic = vf_set(12582912.0f);  // 1.5 * 2^23: a sum with it is rounded to an integer
	const vf shifted = vf_fma(x, vf_set(1.44269504088896341f), magic);
	const vf n = shifted - magic;
	vf r = vf_fma(n, vf_set(-0.693359375f), x);
	r = vf_fma(n, vf_set(2.12194440e-4f), r);
	vf p = vf_set(1.9875691500e-4f);
	p = vf_fma(p, r, vf_set(1.3981999507e-3f));
	p = vf_fma(p, r, vf_set(8.3334519073e-3f));
	p = vf_fma(p, r, vf_set(4.1665795894e-2f));
	p = vf_fma(p, r, vf_set(1.6666665459e-1f));
	p = vf_fma(p, r, vf_set(5.0000001201e-1f));
	p = vf_fma(p, r * r, r) + vf_set(1.0f);
	const vi power = ((vi)shifted - (vi)magic + 127) << 23;
	return p * (vf)power;
}

// Both bounds pass a NaN on: the maximum returns its second argument then.
BRENIER_INLINE vf BRENIER_KERNEL(clamp)(vf x, vf low, vf high) {
	return -vf_max(-high, -vf_max(low, x));
}

BRENIER_INLINE vf BRENIER_KERNEL(select)(vi mask, vf yes, vf no) {
	return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

BRENIER_INLINE vf BRENIER_KERNEL(sigmoid)(vf x) {
	const vf bounded = BRENIER_KERNEL(clamp)(x, vf_set(-87.0f), vf_set(87.0f));
	return vf_set(1.0f) / (vf_set(1.0f) + BRENIER_KERNEL(exp)(-bounded));
}

// x sigmoid(x); below -87 it is 0 to 1e-35, and the bound keeps -inf * 0 away.
BRENIER_INLINE vf BRENIER_KERNEL(silu)(vf x) {
	return vf_max(vf_set(-87.0f), x) * BRENIER_KERNEL(sigmoid)(x);
}

// An odd polynomial near 0, where 1 - 2/(e^2x + 1) would cancel.
BRENIER_INLINE vf BRENIER_KERNEL(tanh)(vf x) {
	const vi sign = (vi)x & (vi)vf_set(-0.0f);
	const vf magnitude = (vf)((vi)x ^ sign);
	const vf bounded = -vf_max(vf_set(-43.0f), -magnitude);
	const vf e = BRENIER_KERNEL(exp)(bounded + bounded);
	const vf far = vf_set(1.0f) - vf_set(2.0f) / (e + vf_set(1.0f));
	const vf z = x * x;
	vf p = vf_set(-5.70498872745e-3f);
	p = vf_fma(p, z, vf_set(2.06390887954e-2f));
	p = vf_fma(p, z, vf_set(-5.37397155531e-2f));
	p = vf_fma(p, z, vf_set(1.33314422036e-1f));
	p = vf_fma(p, z, vf_set(-3.33332819422e-1f));
	const vf near = vf_fma(p * z, magnitude, magnitude);
	const vi small = magnitude < vf_set(0.625f);
	return (vf)((vi)BRENIER_KERNEL(select)(small, near, far) | sign);
}

BRENIER_INLINE vf BRENIER_KERNEL(linear)(vf x, const brenier_activation *a) {
	const vf zero = vf_set(0.0f);
	const vf bent = vf_fma(vf_set(a->alpha), -vf_max(zero, -x), vf_max(zero, x));
	return BRENIER_KERNEL(clamp)(bent, vf_set(a->low), vf_set(a->high));
}

// Applies an activation to a run of values: a function of its own, for its length.
static __attribute__((noinline)) void BRENIER_KERNEL(activate)(float *x, int64_t count,
                                                               const brenier_activation *a) {
	for (int64_t i = 0; i < count; i += LANES) {
		float buffer[LANES] = {0};
		const int64_t here = count - i < LANES ? count - i : LANES;
		float *at = x + i;
		if (here < LANES) at = memcpy(buffer, x + i, (size_t)here * sizeof(float));
		const vf v = vf_load(at);
		vf y;
		switch (a->kind) {
		case BRENIER_LINEAR: y = BRENIER_KERNEL(linear)(v, a); break;
		case BRENIER_SILU: y = BRENIER_KERNEL(silu)(v); break;
		case BRENIER_TANH: y = BRENIER_KERNEL(tanh)(v); break;
		default: y = BRENIER_KERNEL(sigmoid)(v); break;
		}
		vf_store(at, y);
		if (here < LANES) memcpy(x + i, buffer, (size_t)here * sizeof(float));
	}
}
