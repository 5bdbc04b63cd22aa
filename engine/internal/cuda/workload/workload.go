//go:build cuda

// Package workload says what a launch of a kernel asks of a card: how often its loops go round and how
// many bytes they move. With what an iteration takes, counted from the machine code by bench/sass, that
// predicts how long the launch takes, before any card has run it.
package workload

/*
#cgo CFLAGS: -std=c11 -O2 -Wall -Wextra -I${SRCDIR}/../../../../kernels/cuda
#include "conv.h"
#include "conv_tiles.h"
#include "extend.h"
#include "gather.h"
#include "locate.h"
#include "locate_wgmma.h"
#include "noise.h"
#include "rotated.h"
#include "../cpu/rotated.h"
#include "select_extend.h"
*/
import "C"

import (
	"fmt"
	"math"
	"strings"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
)

// Launch is one launch of a kernel, and its work.
type Launch struct {
	Kernel  string
	Times   int // that it is made
	Blocks  int
	Threads int // of a block
	Shared  int // bytes of dynamic shared memory of a block

	// Warps of a block walk the loops, each Loops[0] times the hot one in all, Loops[1] times the one
	// around it, and so on outwards; of blocks that do not do the same, the one that does most.
	Warps int
	Loops []float64

	Chain  int     // products of an iteration of the hot loop that wait for one another
	Trips  int     // times that a block waits for memory, one after another, once the kernel ahead has ended
	Memory float64 // bytes to and from the device's memory: what no earlier launch left in the cache
	Cache  float64 // bytes to and from the second-level cache
}

// Of returns the work of one launch by its parameters. It panics on a kernel that it does not know: every
// kernel that a stage launches has its line here.
func Of(f *driver.Function, grid, block driver.Dim, shared int, params unsafe.Pointer) Launch {
	l := Launch{
		Kernel: f.Name, Times: 1, Blocks: max(1, grid.X) * max(1, grid.Y) * max(1, grid.Z),
		Threads: max(1, block.X) * max(1, block.Y), Shared: shared, Trips: 2,
	}
	l.Warps = l.Threads / 32
	name := strings.TrimPrefix(f.Name, "brenier_cuda_")
	switch {
	case strings.HasPrefix(name, "noise_"):
		l.noise((*C.brenier_noise_params)(params))
	case name == "locate_samples":
		l.samples((*C.brenier_locate_samples_params)(params))
	case strings.HasPrefix(name, "locate_wgmma_"):
		l.wgmma((*C.brenier_locate_screen_params)(params), strings.HasSuffix(name, "_sliced"))
	case strings.HasPrefix(name, "locate_few_"):
		l.few((*C.brenier_locate_few_params)(params), strings.TrimPrefix(name, "locate_few_"))
	case strings.HasPrefix(name, "locate_select"):
		l.selects((*C.brenier_locate_decide_params)(params))
	case name == "locate_rescore":
		l.rescore((*C.brenier_locate_decide_params)(params))
	case name == "locate_plain":
		l.Trips = 1 // it looks for rows left undecided, of which there are next to none
	case name == "extend":
		l.extend((*C.brenier_extend_params)(params))
	case name == "select_extend":
		l.selectExtend((*C.brenier_select_extend_params)(params))
	case strings.HasPrefix(name, "conv_plain_"):
		panic(name + ": no workload is known of it")
	case strings.HasPrefix(name, "conv_") && strings.HasSuffix(name, "_few"):
		l.convFew((*C.brenier_cuda_conv)(params))
	case strings.HasPrefix(name, "conv_"):
		l.conv((*C.brenier_cuda_conv)(params), name[strings.LastIndexByte(name, '_')+1:])
	case strings.HasPrefix(name, "code_"):
		p := (*C.brenier_cuda_code)(params)
		l.Cache = float64(p.n) * float64(p.dim) * (4 + 2)
	case strings.HasPrefix(name, "image_"):
		p := (*C.brenier_cuda_image)(params)
		l.Cache = float64(p.n) * float64(p.pixels*p.channels) * 2
		l.Memory = float64(p.n) * float64(p.pixels*p.channels) * elementBytes(p.out.kind)
	case strings.HasPrefix(name, "rotated_"):
		l.rotated(name, params)
	case name == "gather_units":
		p := (*C.brenier_cuda_gather)(params)
		l.Cache = 2 * float64(p.n) * float64(p.count) * float64(p.unit)
	default:
		panic(name + ": no workload is known of it")
	}
	return l
}

func (l *Launch) noise(p *C.brenier_noise_params) {
	l.Trips = 1
	l.Cache = 4 * float64(p.n) * float64(p.d)
}

// samples: a warp a row, 32 chunks of 8 dimensions at a time.
func (l *Launch) samples(p *C.brenier_locate_samples_params) {
	l.Loops = []float64{float64((p.slices*8 + 31) / 32)}
	l.Trips = 2 // the row and the map's constants, the row again
	l.Cache = float64(p.row_count) * (4*float64(p.dim) + 128*float64(p.slices))
}

// wgmma: the two warpgroups that multiply go through all cell tiles of their units. A block's share of
// the units is a whole number, and so is a split's of the tiles.
func (l *Launch) wgmma(p *C.brenier_locate_screen_params, sliced bool) {
	l.Warps = 8
	units := ceil(int((p.row_tiles+1)/2*p.splits), l.Blocks)
	tiles := units * ceil(int(p.tiles), int(p.splits))
	l.Loops = []float64{float64(tiles), float64(units)}
	if sliced { // the first two slices are in the loop over tiles
		l.Loops = append([]float64{float64(tiles * int(p.slices-2))}, l.Loops...)
	}
	tileBytes := float64(p.slices)*C.BRENIER_LOCATE_SLICE_BYTES + 4*C.BRENIER_LOCATE_TILE
	l.Memory = float64(p.tiles) * tileBytes
	l.Cache = float64(l.Blocks*tiles)*tileBytes + float64(p.row_tiles)*float64(p.slices)*C.BRENIER_LOCATE_SLICE_BYTES
}

// few: a warp a tile of cells, 32 strips of 16 cells by 64 dimensions in 8 rounds of 4 for every slice.
func (l *Launch) few(p *C.brenier_locate_few_params, rows string) {
	const rounds = 2 // of 4 strips, for the 8 strips of a tile and each of its slices
	l.Loops = []float64{float64(ceil(int(p.tiles), l.Blocks*l.Warps) * rounds * int(p.slices))}
	bytes := float64(p.tiles) * (float64(p.slices)*C.BRENIER_LOCATE_SLICE_BYTES + 4*C.BRENIER_LOCATE_TILE)
	var count float64
	if _, err := fmt.Sscan(rows, &count); err != nil {
		panic(err)
	}
	l.Chain = 4 * 4 // of the strips of a round, which share the sums' registers
	l.Memory, l.Cache = bytes, bytes+count*float64(p.tiles)*C.BRENIER_LOCATE_GROUPS*4
	l.Trips = 2 // the samples and the map's constants, the second half of a tile
}

// selects: a block a row reads the row's maxima twice, then scores the cells of a group or two.
func (l *Launch) selects(p *C.brenier_locate_decide_params) {
	maxima := float64(p.tiles) * C.BRENIER_LOCATE_GROUPS
	l.Loops = []float64{2 * maxima / float64(8*l.Threads)}
	l.Trips = 5 // margin, maxima, maxima again, the cells' points in two parts
	l.Cache = float64(p.row_count) * (maxima*4 + float64(p.dim)*4*(1+C.BRENIER_LOCATE_GROUP_CELLS))
}

// rescore: a warp a row reads a list or two and scores about one cell.
func (l *Launch) rescore(p *C.brenier_locate_decide_params) {
	l.Loops = []float64{float64(p.dim) / 16, 1, float64(p.splits)}
	l.Trips = 5
	l.Cache = float64(p.row_count) * (float64(p.splits)*12 + 2*float64(p.dim)*4)
}

// selectExtend: the whole block selects, its first warp extends.
func (l *Launch) selectExtend(p *C.brenier_select_extend_params) {
	l.extend(&p.extend)
	extended := *l
	l.selects(&p.decide)
	l.Loops = extended.Loops // these take longer than those over the maxima of a sample
	l.Warps = 1
	l.Trips += 2 // the cells' norms and points, the code's points
	l.Cache += extended.Cache
}

// extend: 16 dimensions of 32 cells at a time.
func (l *Launch) extend(p *C.brenier_extend_params) {
	l.Loops = []float64{float64(ceil(int(p.d), 16))}
	l.Trips = 3 // cells, their norms and points, the code's points
	l.Cache = float64(p.n) * float64(p.d) * 4 * (2*float64(p.k) + 2)
}

// rotated: what makes a group's frame and points, and what finds its draws' cells.
func (l *Launch) rotated(name string, params unsafe.Pointer) {
	switch name {
	case "rotated_reflectors": // eight normals at a time, of the longest
		p := (*C.brenier_rotated_frame_params)(params)
		l.Loops = []float64{float64(ceil(int(p.d), 8))}
		l.Cache = float64(l.frames(p)) * float64(p.d) * float64(p.d) * (4 + 8) / 2
	case "rotated_frame": // a warp: eight coordinates at a time, for every reflector
		p := (*C.brenier_rotated_frame_params)(params)
		l.Warps = 1
		l.Loops = []float64{float64(p.d) * float64(p.d) / 16, float64(p.d)}
		l.Cache = float64(l.Blocks)*float64(p.d)*float64(p.d)*8/2 + float64(l.frames(p))*float64(p.d)*float64(p.d)*4
	case "rotated_points": // 8 dimensions of a tile at a time
		p := (*C.brenier_rotated_points_params)(params)
		tiles := ceil(int(p.d), 8)
		l.Loops = []float64{float64(tiles)}
		l.Trips = tiles
		values := float64(p.N) * float64(p.d)
		l.Memory = (4 + 4 + 2) * values
		l.Cache = 6*values + 4*float64(l.Blocks)*float64(p.d)*(C.BRENIER_ROTATED_POINTS_CELLS+C.BRENIER_ROTATED_POINTS_AXES)
	case "rotated_axes": // a thread a shuffle, four axes at a time
		p := (*C.brenier_rotated_draws_params)(params)
		l.Loops = []float64{float64(p.d / 4)}
		l.Cache = float64(l.Blocks) * float64(p.sets) * C.BRENIER_AXES * 4
	case "rotated_coefficients": // a thread a family, four words of its radius at a time
		p := (*C.brenier_rotated_draws_params)(params)
		l.Loops = []float64{float64(ceil(int(p.d)/2, 4))}
		l.Cache = float64(l.Blocks) * C.BRENIER_ROTATED_COEFFICIENTS_THREADS * C.BRENIER_AXES * 4
	case "rotated_screen": // a block's rounds of sets, some a warp, by the halves of their tile's units
		p := (*C.brenier_rotated_search_params)(params)
		each := ceil(int(p.sets), C.BRENIER_ROTATED_SCREEN_SETS*int(p.round))
		rounds := math.Ceil(float64(p.tiles) * float64(each) / float64(l.Blocks))
		tiles := rounds/float64(each) + 1 // a block begins and ends within tiles
		l.Loops = []float64{2 * rounds * float64(p.units), rounds * float64(p.units), rounds, tiles}
		l.Trips = int(2*tiles + 0.5)
		tile := 2 * C.BRENIER_ROTATED_UNIT * float64(p.units) * float64(p.d)
		l.Memory = float64(p.tiles) * tile
		l.Cache = float64(l.Blocks)*tiles*tile + maxima(p)
	case "rotated_finish": // a lane a draw, then a warp a draw's units
		p := (*C.brenier_rotated_search_params)(params)
		const units = 1.2 // of a draw, that are left
		l.Loops = []float64{2 * units}
		l.Trips = 8 // lengths and maxima, then axes, points and heights of two draws
		l.Cache = maxima(p) + units*float64(p.draws)*C.BRENIER_AXES*4*C.BRENIER_ROTATED_UNIT
	default:
		panic(name + ": no workload is known of it")
	}
}

// frames are the groups that a launch makes the frames of.
func (l *Launch) frames(p *C.brenier_rotated_frame_params) int {
	return l.Blocks / ceil(int(p.d), C.BRENIER_ROTATED_FRAME_COLUMNS)
}

// maxima is the bytes that a screen leaves for finish.
func maxima(p *C.brenier_rotated_search_params) float64 {
	return 4 * C.BRENIER_SET * float64(p.sets) * float64(p.tiles) * float64(p.units)
}

// conv: steps of 32 along k, in chunks of 16 that join; groups of warps along k take the chunks in turn.
func (l *Launch) conv(p *C.brenier_cuda_conv, shape string) {
	wk, shipped := groups[shape]
	if !shipped {
		panic("conv: no tile " + shape)
	}
	var steps, weights, pixels float64 // steps: the mean of the phases, weighed by their pixels
	for _, phase := range p.phases[:p.phase_count] {
		size := float64(phase.rows) * float64(phase.cols)
		steps += size * float64(phase.steps)
		pixels += size
		weights += 2 * float64(phase.steps) * float64(p.groups) * float64(p.packed_rows) * C.BRENIER_CUDA_CONV_STEP
	}
	steps /= pixels
	const chunk = C.BRENIER_CUDA_CONV_CHUNK
	chunks := float64(ceil(int(steps+0.5), chunk))
	rounds := float64(ceil(int(chunks), wk))
	own := min(steps, rounds*chunk) // of a group of warps
	l.Loops = []float64{own, rounds}
	l.Chain = C.BRENIER_CUDA_CONV_STEP / 16
	l.Trips = 2               // pixels, scales; weights come before the wait
	if chunks < float64(wk) { // idle groups
		l.Warps = l.Warps * int(chunks) / wk
	}
	l.convBytes(p, weights, pixels)
}

// convFew: a warp takes up to 4 groups of 8 pixels at a time, 16 columns at a time, 32 channels at a time.
func (l *Launch) convFew(p *C.brenier_cuda_conv) {
	groups := ceil(min(int(p.few.height), int(p.in_height))*min(int(p.few.width), int(p.in_width)), 8)
	l.Warps = min(l.Warps, max(1, groups))
	passes := float64(ceil(groups, 4*l.Warps)) * float64(p.few.column_tiles)
	steps := float64(ceil(int(p.in_octets), 4))
	l.Loops = []float64{passes * steps, passes}
	l.Chain = 2
	l.Trips = int(l.Loops[0]) + 1 // pixels and weights; scales
	pixels := 0.0
	for _, phase := range p.phases[:p.phase_count] {
		pixels += float64(phase.rows) * float64(phase.cols)
	}
	l.convBytes(p, float64(p.groups)*float64(p.few.column_tiles)*steps*1024, pixels)
}

// convBytes: weights, in bytes, and the input once; `pixels` of an image are written.
func (l *Launch) convBytes(p *C.brenier_cuda_conv, weights, pixels float64) {
	n := float64(p.n)
	outputs := n * pixels * float64(p.groups) * float64(p.out_channels)
	l.Cache = weights + 2*n*float64(p.in_image) + outputs*elementBytes(p.out.kind)
	if p.out.kind != C.BRENIER_CUDA_OUT_VALUE {
		l.Memory = outputs * elementBytes(p.out.kind)
	}
}

func ceil(a, b int) int { return (a + b - 1) / b }

// elementBytes is the size of an element of an output.
func elementBytes(kind C.int32_t) float64 {
	switch kind {
	case C.BRENIER_CUDA_OUT_F32:
		return 4
	case C.BRENIER_CUDA_OUT_U8:
		return 1
	}
	return 2
}
