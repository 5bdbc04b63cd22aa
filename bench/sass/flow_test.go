package main

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// assemble makes code from lines "[@P] OPCODE [operands]"; a line "name:" is a label that operands
// may name.
func assemble(text string) []instruction {
	var code []instruction
	labels := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutSuffix(line, ":"); ok {
			labels[name] = len(code)
			continue
		}
		var i instruction
		if strings.HasPrefix(line, "@") {
			i.Predicate, line, _ = strings.Cut(line, " ")
		}
		i.Opcode, i.Operands, _ = strings.Cut(line, " ")
		code = append(code, i)
	}
	for n := range code {
		if at, ok := labels[code[n].Operands]; ok {
			code[n].Operands = fmt.Sprintf("%#x", 16*at)
		}
	}
	return code
}

// A tile loop with a product loop inside and a seldom way, of which the numbers can be counted by
// hand.
const nested = `
	S2R R0
tile:
	MOV R1
	MOV R2
product:
	LDSM.16.M88.4 R4
	HMMA.16816.F32 R8
	HMMA.16816.F32 R12
	ISETP P0
	@P0 BRA product
	FMNMX R3
	FMNMX R3
	FSETP P1
	@!P1 BRA next
	STG R3
	STG R3
	STG R3
next:
	IADD3 R0
	ISETP P2
	@P2 BRA tile
	EXIT
`

func TestLoops(t *testing.T) {
	f := newFlow(assemble(nested))
	loops := f.loops()
	if len(loops) != 2 {
		t.Fatalf("want 2 loops, got %d", len(loops))
	}
	for i, want := range []string{"0x30", "0x10"} {
		if got := f.address(loops[i].head); got != want {
			t.Errorf("loop %d: want its head at %s, got %s", i, want, got)
		}
	}
}

func TestBudget(t *testing.T) {
	b := budget("sm_80", machines["sm_80"], kernel{Name: "nested", Code: assemble(nested)})
	if len(b.Loops) != 2 {
		t.Fatalf("want the hot loop and the one around it, got %d", len(b.Loops))
	}
	inner, outer := b.Loops[0].Clocks, b.Loops[1].Clocks
	// Two m16n8k16 of 2,048 multiply-adds at 256 a clock; LDSM of four matrices.
	if inner.Issue != 5 || inner.Tensor != 16 || inner.Shared != 4 || inner.ALU != 2 {
		t.Errorf("inner loop: want 5 instructions, 16 tensor clocks, 4 wavefronts, 2 alu clocks; got %+v", inner)
	}
	// The moves, the maxima, the test and its branch, and the end; the stores are left out.
	if outer.Issue != 2+4+3 || outer.Global != 0 || outer.Tensor != 0 {
		t.Errorf("outer loop: want 9 instructions and no store; got %+v", outer)
	}
}

func TestBudget_sees_local_memory(t *testing.T) {
	b := budget("sm_90", machines["sm_90"], kernel{Name: "k", Code: assemble("STL R1\nLDL R2\nEXIT")})
	if b.Local != 2 || len(b.Loops) != 0 {
		t.Errorf("want 2 local accesses and no loop, got %+v", b)
	}
}

func TestCost(t *testing.T) {
	for _, c := range []struct {
		machine, opcode string
		want            clocks
	}{
		{"sm_90", "HGMMA.64x128x16.F32 R24,gdesc[UR12],R24", clocks{Issue: 1, Tensor: 64, Shared: (64 + 128) * 32 / 128 / 4}},
		{"sm_90", "HMMA.16816.F32", clocks{Issue: 1, Held: 6.5, Tensor: 16 * 8 * 16 / 336.}},
		{"sm_89", "HMMA.16816.F32", clocks{Issue: 1, Tensor: 32}},
		{"sm_90", "FMNMX", clocks{Issue: 1, ALU: 2}},
		{"sm_80", "FFMA", clocks{Issue: 1, FMA: 2}},
		{"sm_90", "DFMA", clocks{Issue: 1, Double: 2}},
		{"sm_90", "LDS.128", clocks{Issue: 1, Shared: 4}},
		{"sm_90", "LDGSTS.E.BYPASS.128", clocks{Issue: 1, Shared: 4, Global: 1}},
		{"sm_90", "UIADD3", clocks{Issue: 1}},
		{"sm_90", "HGMMA.64x128x16.F32 R24,R168,gdesc[UR12],R24", clocks{Issue: 1, Tensor: 64, Shared: 128 * 32 / 128 / 4}},
	} {
		if got := machines[c.machine].cost(assemble(c.opcode)[0]); got != c.want {
			t.Errorf("%s on %s: want %+v, got %+v", c.opcode, c.machine, c.want, got)
		}
	}
}

func TestCompare(t *testing.T) {
	entry := func(name string, local, issue int, tensor float64) Budget {
		return Budget{Kernel: name, Machine: "sm_90", Local: local, Loops: []Loop{{"0x0", clocks{Issue: issue, Tensor: tensor}}}}
	}
	table := []Budget{entry("a", 0, 100, 64)}
	for _, c := range []struct {
		name string
		now  []Budget
		want string // in the one fault, or none
	}{
		{"the same", []Budget{entry("a", 0, 100, 64)}, ""},
		{"smaller", []Budget{entry("a", 0, 80, 64)}, ""},
		{"within 5 %", []Budget{entry("a", 0, 105, 64)}, ""},
		{"grown", []Budget{entry("a", 0, 107, 64)}, "107 instructions where the table has 100"},
		{"more tensor work", []Budget{entry("a", 0, 100, 128)}, "128 tensor clocks where the table has 64"},
		{"spilled", []Budget{entry("a", 3, 100, 64)}, "3 instructions touch local memory"},
		{"new", []Budget{entry("a", 0, 100, 64), entry("b", 0, 1, 1)}, "b on sm_90: not in the table"},
		{"gone", nil, "a on sm_90: in the table, but not among the cubins"},
	} {
		faults := compare(table, c.now)
		if c.want == "" && len(faults) > 0 || c.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], c.want)) {
			t.Errorf("%s: want %q, got %q", c.name, c.want, faults)
		}
	}
}

func TestResident(t *testing.T) {
	// 168 registers are 5,376 a warp: 12 warps of 65,536. 384 threads: one block. 100 KB: two.
	for _, c := range []struct{ registers, shared, threads, want int }{
		{168, 100 << 10, 384, 1}, {128, 100 << 10, 256, 2}, {32, 0, 1024, 2}, {32, 0, 32, 32}, {255, 200 << 10, 256, 1},
	} {
		if got := machines["sm_90"].resident(c.registers, c.shared, c.threads); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}

// What is outside of loops: the shorter of two ways round, the way where there is also none, and not the
// way out.
func TestStraight(t *testing.T) {
	for _, c := range []struct {
		name, code      string
		straight, early int
	}{
		{"without branches", "MOV\nACQBULK\nMOV\nEXIT", 4, 1},
		{"a way and none", "ISETP\n@P0 BRA over\nMOV\nMOV\nover:\nEXIT", 5, 0},
		{"two ways round", "@P0 BRA right\nMOV\nMOV\nMOV\nBRA end\nright:\nMOV\nend:\nEXIT", 3, 0},
		{"a way out", "@P0 BRA on\nACQBULK\nEXIT\non:\nMOV\nMOV\nACQBULK\nMOV\nEXIT", 6, 3},
		{"a loop", nested, 2, 0},
	} {
		b := budget("sm_90", machines["sm_90"], kernel{Name: "k", Code: assemble(c.code)})
		if b.Straight != c.straight || b.Early != c.early {
			t.Errorf("%s: want %d instructions, %d before the wait; got %d, %d", c.name, c.straight, c.early, b.Straight, b.Early)
		}
	}
}

// A launch takes what its slowest part does, beside a node of a graph.
func TestPredict(t *testing.T) {
	const us = 1e-6
	node := h100.node
	budget := Budget{Registers: 32, Straight: 100, Early: 40, Loops: []Loop{{"0x0", clocks{Issue: 100, Tensor: 512}}}}
	for _, c := range []struct {
		name   string
		launch Launch
		want   float64
		binds  string
	}{
		// 132 blocks, one a multiprocessor, of 4 warps: a warp a sub-core. 1,000 times 512 clocks.
		{"tensor", Launch{Kernel: "k", Blocks: 132, Threads: 128, Warps: 4, Loops: []float64{1000}}, 512000 / h100.clock, "tensor"},
		// The clock of the measured rate: 132 multiprocessors of 4 x 512 products.
		{"wgmma", Launch{Kernel: "wgmma", Blocks: 132, Threads: 128, Warps: 4, Loops: []float64{1000}},
			512000 * 132 * 4 * 512 * 2 / 735e12, "tensor"},
		// Two trips and 60 instructions, the first 40 having run before.
		{"latency", Launch{Kernel: "k", Blocks: 1, Threads: 128, Warps: 4, Trips: 2}, (2*600 + 60*2) / h100.clock, "latency"},
		// 133 blocks of 200 KB: two rounds, and nothing runs before.
		{"two rounds", Launch{Kernel: "k", Blocks: 133, Threads: 128, Warps: 4, Trips: 2, Shared: 200 << 10},
			2 * (2*600 + 100*2) / h100.clock, "latency"},
		{"memory", Launch{Kernel: "k", Blocks: 132, Threads: 128, Warps: 4, Memory: 3e9}, 1000 * us, "memory"},
		{"held in the cache", Launch{Kernel: "k", Blocks: 132, Threads: 128, Warps: 4, Memory: 29e6, Cache: 55e6}, 10 * us, "cache"},
	} {
		p := h100.predict(c.launch, budget)
		if math.Abs(p.Seconds-node-c.want) > 1e-3*c.want || p.Binds != c.binds {
			t.Errorf("%s: want %.3f us, bound by %s; got %.3f, by %s", c.name, c.want/us, c.binds, (p.Seconds-node)/us, p.Binds)
		}
	}
}

func TestExceeding(t *testing.T) {
	var list []forecast
	for name, us := range limits {
		list = append(list, forecast{name: name, seconds: 0.99e-6 * us})
	}
	if faults := exceeding(list); len(faults) != 0 {
		t.Errorf("within all limits: got %q", faults)
	}
	list[0].seconds *= 1.1
	if faults := exceeding(list); len(faults) != 1 || !strings.Contains(faults[0], list[0].name) {
		t.Errorf("beyond one limit: got %q", faults)
	}
	if faults := exceeding(list[1:]); len(faults) != 1 || !strings.Contains(faults[0], "no such benchmark") {
		t.Errorf("one is missing: got %q", faults)
	}
}
