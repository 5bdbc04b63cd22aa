// Conversion of activations to pixels, see image.h. A run of values that lie `stride` apart is
// gathered a vector at a time, converted, and written side by side.

#ifndef BRENIER_IMAGE_KINDS
#define BRENIER_IMAGE_KINDS
enum { IMAGE_F32, IMAGE_F16, IMAGE_U8 };
#endif

// The float16 nearest to each lane, ties to even, as the lane's low 16 bits. All in integers but
// for subnormals, where a float sum does the rounding: the result's last bit is worth 2^-24, and so
// is the last bit of a float between 0.5 and 1.
BRENIER_INLINE vi BRENIER_KERNEL(image_half)(vf x) {
	const vi bits = (vi)x;
	const vi sign = bits & (int32_t)0x80000000;
	const vi magnitude = bits ^ sign;
	const vi odd = (magnitude >> 13) & 1;
	const vi normal = (magnitude - (112 << 23) + 0xfff + odd) >> 13;
	const vi subnormal = (vi)((vf)magnitude + vf_set(0.5f)) - (126 << 23);
	const vi special = (0x7c00 & (magnitude == 0x7f800000)) | (0x7e00 & (magnitude > 0x7f800000));
	const vi is_small = magnitude < (113 << 23);          // below 2^-14
	const vi is_large = magnitude >= ((127 + 16) << 23);  // 2^16 and above
	const vi is_special = magnitude >= 0x7f800000;
	vi half = (is_small & subnormal) | (~is_small & normal);
	half = (is_large & 0x7c00) | (~is_large & half);
	half = (is_special & special) | (~is_special & half);
	return half | ((sign >> 16) & 0x8000);
}

// round(x * scale + shift) within 0..255. The comparisons send a NaN to 0.
BRENIER_INLINE vi BRENIER_KERNEL(image_byte)(vf x, vf scale, vf shift) {
	vf v = vf_fma(x, scale, shift);
	v = (vf)((vi)v & (v > vf_set(0.0f)));
	const vi above = v > vf_set(255.0f);
	v = (vf)((above & (vi)vf_set(255.0f)) | (~above & (vi)v));
	return (vi)(v + vf_set(8388608.0f)) & 0xff;  // 2^23: its last bit is worth 1
}

// count values `stride` apart to out, side by side.
BRENIER_INLINE void BRENIER_KERNEL(image_run)(const int kind, const float *in, int64_t stride, void *out,
                                              int64_t count, vf scale, vf shift) {
	for (int64_t i = 0; i < count; i += LANES) {
		const int64_t here = count - i < LANES ? count - i : LANES;
		float values[LANES] = {0};
		vf x;
		if (stride == 1 && here == LANES) {
			x = vf_load(in + i);
		} else {
			for (int64_t l = 0; l < here; l++) values[l] = in[(i + l) * stride];
			x = vf_load(values);
		}
		if (kind == IMAGE_F32) {
			if (here == LANES)
				vf_store((float *)out + i, x);
			else
				memcpy((float *)out + i, values, (size_t)here * sizeof(float));
			continue;
		}
		const vi v = kind == IMAGE_F16 ? BRENIER_KERNEL(image_half)(x) : BRENIER_KERNEL(image_byte)(x, scale, shift);
		int32_t lanes[LANES];
		memcpy(lanes, &v, sizeof lanes);
		if (here == LANES) {  // a constant count, which the compiler packs
			for (int l = 0; l < LANES; l++)
				if (kind == IMAGE_F16)
					((uint16_t *)out)[i + l] = (uint16_t)lanes[l];
				else
					((uint8_t *)out)[i + l] = (uint8_t)lanes[l];
			continue;
		}
		for (int64_t l = 0; l < here; l++)
			if (kind == IMAGE_F16)
				((uint16_t *)out)[i + l] = (uint16_t)lanes[l];
			else
				((uint8_t *)out)[i + l] = (uint8_t)lanes[l];
	}
}

// A whole image: one run where the order stays, else one for each channel.
BRENIER_INLINE void BRENIER_KERNEL(image_all)(const int kind, int planar, int64_t pixels, int64_t channels,
                                              const float *in, void *out, int64_t bytes, float scale,
                                              float shift) {
	const vf s = vf_set(scale), t = vf_set(shift);
	if (!planar || channels == 1) {
		BRENIER_KERNEL(image_run)(kind, in, 1, out, pixels * channels, s, t);
		return;
	}
	for (int64_t c = 0; c < channels; c++)
		BRENIER_KERNEL(image_run)(kind, in + c, channels, (char *)out + c * pixels * bytes, pixels, s, t);
}

static void BRENIER_KERNEL(image_f32)(int planar, int64_t pixels, int64_t channels, const float *in, float *out) {
	BRENIER_KERNEL(image_all)(IMAGE_F32, planar, pixels, channels, in, out, 4, 1, 0);
}

static void BRENIER_KERNEL(image_f16)(int planar, int64_t pixels, int64_t channels, const float *in,
                                      uint16_t *out) {
	BRENIER_KERNEL(image_all)(IMAGE_F16, planar, pixels, channels, in, out, 2, 1, 0);
}

static void BRENIER_KERNEL(image_u8)(int planar, int64_t pixels, int64_t channels, float scale, float shift,
                                     const float *in, uint8_t *out) {
	BRENIER_KERNEL(image_all)(IMAGE_U8, planar, pixels, channels, in, out, 1, scale, shift);
}
