package main

import (
	"regexp"
	"strconv"
	"strings"
)

// machine is what a multiprocessor of an architecture can do, by NVIDIA's published rates ("CUDA C++
// Programming Guide", table of arithmetic throughput) and data sheets. A sub-core is a quarter of a
// multiprocessor and issues one instruction of one warp a clock.
type machine struct {
	macs   float64 // float16 multiply-adds with float32 sums, a clock and sub-core, by mma.sync
	held   float64 // clocks besides its own in which an mma.sync lets its sub-core issue nothing else
	wgmma  float64 // the same by wgmma; 0 without it
	fma    float64 // clocks of a float32 instruction of a warp
	alu    float64 // of an integer, comparing or selecting one
	double float64 // of a float64 one

	registers, shared, warps, blocks int // of a multiprocessor; shared in bytes
}

var machines = map[string]machine{
	"sm_75": {macs: 256, fma: 2, alu: 2, double: 64, registers: 65536, shared: 64 << 10, warps: 32, blocks: 16},
	"sm_80": {macs: 256, fma: 2, alu: 2, double: 4, registers: 65536, shared: 164 << 10, warps: 64, blocks: 32},
	"sm_86": {macs: 64, fma: 1, alu: 2, double: 64, registers: 65536, shared: 100 << 10, warps: 48, blocks: 16},
	"sm_89": {macs: 64, fma: 1, alu: 2, double: 64, registers: 65536, shared: 100 << 10, warps: 48, blocks: 24},
	// mma.sync reaches about 62 % of what wgmma does (Luo et al., "Benchmarking and Dissecting the Nvidia
	// Hopper GPU Architecture via Microbenchmarking", 2024). Measured on an H200, with four warps a sub-core:
	// one of 16x8x16 every 6.1 clocks, but with one, two or three maxima of three each 8.5, 9.4 and 10.3,
	// with two products of float32 besides 12.6, 7.5 and one for each other instruction. It reads ten
	// registers a lane, which must be why.
	"sm_90":  {macs: 336, held: 6.5, wgmma: 512, fma: 1, alu: 2, double: 2, registers: 65536, shared: 228 << 10, warps: 64, blocks: 32},
	"sm_120": {macs: 64, fma: 1, alu: 1, double: 64, registers: 65536, shared: 100 << 10, warps: 48, blocks: 24},
}

// clocks is what a run of instructions of one warp takes of each part of its sub-core. A part works
// beside the others: the largest is the least that the run can take.
type clocks struct {
	Issue  int     // instructions
	Held   float64 // clocks in which none is issued besides, for what mma.sync reads
	Tensor float64 // of the tensor core
	FMA    float64
	ALU    float64
	Double float64
	Shared float64 // wavefronts of 128 bytes, of which a multiprocessor serves one a clock
	Global int     // instructions that read or write global memory
}

func (c *clocks) add(o clocks) {
	c.Issue += o.Issue
	c.Held += o.Held
	c.Tensor += o.Tensor
	c.FMA += o.FMA
	c.ALU += o.ALU
	c.Double += o.Double
	c.Shared += o.Shared
	c.Global += o.Global
}

// addScaled adds o `times` times, rounded to whole instructions.
func (c *clocks) addScaled(o clocks, times float64) {
	c.add(clocks{
		Issue: int(float64(o.Issue)*times + 0.5), Held: o.Held * times, Tensor: o.Tensor * times, FMA: o.FMA * times, ALU: o.ALU * times,
		Double: o.Double * times, Shared: o.Shared * times, Global: int(float64(o.Global)*times + 0.5),
	})
}

// bound is the part that takes the most of a sub-core when `warps` warps share it, and its clocks.
// Shared memory serves all four sub-cores.
func (c clocks) bound(warps float64) (part string, most float64) {
	for _, p := range []struct {
		name string
		took float64
	}{
		{"tensor", c.Tensor}, {"issue", float64(c.Issue) + c.Held}, {"alu", c.ALU}, {"fma", c.FMA},
		{"float64", c.Double}, {"shared", 4 * c.Shared},
	} {
		if p.took*warps > most {
			part, most = p.name, p.took*warps
		}
	}
	return part, most
}

// cost of one instruction of one warp.
func (m machine) cost(i instruction) clocks {
	c := clocks{Issue: 1}
	switch base := i.base(); {
	case base == "HMMA":
		c.Tensor, c.Held = macs(i.Opcode)/m.macs, m.held
	case base == "HGMMA":
		rows, cells, depth := gmmaShape(i.Opcode)
		c.Tensor = rows * cells * depth / 4 / m.wgmma // a warp's quarter, on its own sub-core
		if first, _, _ := strings.Cut(i.Operands, "gdesc"); strings.Count(first, ",") > 1 {
			rows = 0 // they are in registers
		}
		c.Shared = (rows + cells) * depth * 2 / 128 / 4
	case strings.HasPrefix(base, "U") && base != "UBLKCP": // the uniform datapath
	case base == "FFMA", base == "FADD", base == "FMUL", base == "HFMA2", base == "HADD2", base == "HMUL2":
		c.FMA = m.fma
	case base == "IMAD":
		c.FMA = 2 // on half of the lanes
	case base == "DFMA", base == "DADD", base == "DMUL", base == "DSETP", base == "DMNMX":
		c.Double = m.double
	case base == "LDS", base == "STS", base == "ATOMS":
		c.Shared = words(i)
	case base == "LDSM", base == "STSM":
		c.Shared = matrices(i)
	case base == "LDGSTS":
		c.Shared, c.Global = words(i), 1
	case base == "SHFL":
		c.Shared = 1
	case base == "LDG", base == "STG", base == "ATOMG", base == "ATOM", base == "RED", base == "UBLKCP", base == "LD", base == "ST":
		c.Global = 1
	case base == "LDL", base == "STL", base == "LDC", base == "BRA", base == "NOP", base == "BAR", base == "BSSY", base == "BSYNC",
		base == "WARPSYNC", base == "DEPBAR", base == "EXIT", base == "S2R", base == "CS2R", base == "SYNCS", base == "WARPGROUP",
		base == "VOTE", base == "MEMBAR", base == "ERRBAR", base == "CCTL", base == "LDGDEPBAR", base == "ELECT", base == "FENCE":
	case base == "MUFU", base == "F2F", base == "F2I", base == "I2F", base == "POPC", base == "FLO":
		c.ALU = 8 // a quarter of the rate, on a unit of its own
	default:
		c.ALU = m.alu
	}
	return c
}

var number = regexp.MustCompile(`\d+`)

// macs of HMMA.16816.F32 are 16*8*16.
func macs(opcode string) float64 {
	switch number.FindString(opcode) {
	case "16816":
		return 16 * 8 * 16
	case "1688":
		return 16 * 8 * 8
	}
	return 0
}

// gmmaShape is [64, N, 16] of HGMMA.64xNx16.F32.
func gmmaShape(opcode string) (rows, cells, depth float64) {
	for _, part := range strings.Split(opcode, ".") {
		if n := strings.Split(part, "x"); len(n) == 3 {
			var v [3]float64
			for i := range n {
				v[i], _ = strconv.ParseFloat(n[i], 64)
			}
			return v[0], v[1], v[2]
		}
	}
	return 0, 0, 0
}

// words is the wavefronts of an access to shared memory without bank conflicts: one for every 4
// bytes of a lane.
func words(i instruction) float64 {
	switch {
	case i.has("128"):
		return 4
	case i.has("64"):
		return 2
	}
	return 1
}

// matrices of an LDSM: one wavefront each.
func matrices(i instruction) float64 {
	switch {
	case i.has("4"):
		return 4
	case i.has("2"):
		return 2
	}
	return 1
}

// resident is how many blocks of a kernel fit a multiprocessor.
func (m machine) resident(registers, shared, threads int) int {
	warps := (threads + 31) / 32
	perWarp := (registers*32 + 255) / 256 * 256 // registers are handed out in 256s
	blocks := min(m.blocks, m.warps/max(1, warps))
	if perWarp > 0 {
		blocks = min(blocks, m.registers/(perWarp*warps))
	}
	return min(blocks, m.shared/(shared+systemShared))
}
