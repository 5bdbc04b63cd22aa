// Independent fma chains in registers: the rate of the multiply-add units, floats per vector
// times two flop. Returns something that depends on all of them, so that none is dropped.
double BRENIER_KERNEL(brenier_fma_peak)(int64_t rounds) {
	enum { CHAINS = 12 };
	vf sum[CHAINS];
	const vf a = vf_set(0.999f), b = vf_set(1e-3f);
	for (int c = 0; c < CHAINS; c++) sum[c] = vf_set((float)c);
	for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
		for (int c = 0; c < CHAINS; c++) sum[c] = vf_fma(sum[c], a, b);
	}
	vf all = sum[0];
	for (int c = 1; c < CHAINS; c++) all += sum[c];
	float lanes[LANES];
	vf_store(lanes, all);
	double total = 0;
	for (int l = 0; l < LANES; l++) total += lanes[l];
	return total;
}
