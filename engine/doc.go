// Package engine turns noise into images by optimal transport.
//
//	(seed, index) -> noise x -> locate (screen, rescore) -> extend -> code z -> decode -> image
//	                                                                         <- encode <-
//
// Each arrow is one stage; generate.go calls them in this order, and a [Field] lays the images out in an
// unbounded plane. A [Model] holds N points y_i in R^d (the codes of a data set), N heights h_i and a
// decoder, and may hold the encoder that the points come from; an [Engine] runs its stages on one device.
//
// # Symbols, signs and units
//
//	n      samples of a call            N   points, that is cells
//	d      dimension of noise and codes k   cells kept for a sample, best first
//
//	score               s_i(x) = <x,y_i> + h_i
//	Brenier potential   u(x)   = max_i s_i(x), convex; its gradient is the transport map
//	power cell          W_i    = {x : s_i(x) is the highest}; ties go to the lowest i
//	Kantorovich pot.    phi(x) = |x|^2/2 - u(x)
//	its dual            psi_i  = |y_i|^2/2 + h_i; phi(x) + psi_i <= |x-y_i|^2/2, equal for x in W_i
//	mass                m_i    = mu(W_i), which heights h_i make equal to the wanted nu_i
//	centroid            c_i    = E[x | x in W_i], the mass centre of cell i (not y_i)
//	angle               theta_ij between the plane normals (y_i,-1) and (y_j,-1), in radians
//
// Heights share the units of <x,y>; a constant added to all of them changes no cell. The signs are
// those of Gu, Luo, Sun and Yau, "Variational principles for Minkowski type problems, discrete
// optimal transport, and discrete Monge-Ampere equations" (2016), and of An et al., "AE-OT"
// (ICLR 2020).
//
// # Arrays
//
// All are dense and row-major: noise x [n,d] and codes z [n,d] float32, cells [n,k] and scores
// [n,k] float64 best first, images [n,C,H,W] or [n,H,W,C].
//
// # What does not depend on the machine
//
// Noise, cells, scores and codes of noise are the same bits on every device, instruction set and thread
// count and for any batch; RATIONALE.md says how and why. Images and codes of images are the same for any
// batch and thread count on one device and instruction set.
package engine
