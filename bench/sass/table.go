package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// growth is how much more a hot loop may take than the table says.
const growth = 0.05

// inLocal names the kernels that may use local memory: plain ones that no speed depends on.
var inLocal = map[string]bool{}

// compare says, a sentence each, where kernels take more than the table has.
func compare(table, now []Budget) (faults []string) {
	type key struct{ kernel, machine string }
	known := map[key]Budget{}
	for _, b := range table {
		known[key{b.Kernel, b.Machine}] = b
	}
	for _, b := range now {
		name := key{b.Kernel, b.Machine}
		if b.Local > 0 && !inLocal[b.Kernel] {
			faults = append(faults, fmt.Sprintf("%s on %s: %d instructions touch local memory; want 0", b.Kernel, b.Machine, b.Local))
		}
		old, ok := known[name]
		delete(known, name)
		if !ok {
			faults = append(faults, fmt.Sprintf("%s on %s: not in the table; add it with --update", b.Kernel, b.Machine))
			continue
		}
		if len(b.Loops) != len(old.Loops) {
			faults = append(faults, fmt.Sprintf("%s on %s: %d nested loops where the table has %d", b.Kernel, b.Machine, len(b.Loops), len(old.Loops)))
			continue
		}
		for i := range b.Loops {
			for _, part := range []struct {
				name     string
				old, now float64
			}{
				{"instructions", float64(old.Loops[i].Clocks.Issue), float64(b.Loops[i].Clocks.Issue)},
				{"tensor clocks", old.Loops[i].Clocks.Tensor, b.Loops[i].Clocks.Tensor},
				{"shared-memory wavefronts", old.Loops[i].Clocks.Shared, b.Loops[i].Clocks.Shared},
			} {
				if part.now > part.old*(1+growth)+1 {
					faults = append(faults, fmt.Sprintf("%s on %s, loop %d: %g %s where the table has %g",
						b.Kernel, b.Machine, i, part.now, part.name, part.old))
				}
			}
		}
	}
	for name := range known {
		faults = append(faults, fmt.Sprintf("%s on %s: in the table, but not among the cubins", name.kernel, name.machine))
	}
	return faults
}

func readTable(path string) ([]Budget, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var budgets []Budget
	if err := json.Unmarshal(text, &budgets); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return budgets, nil
}

// writeTable writes the table to path, to read beside it with the ending .md, and the predicted times
// to predicted.json in the same folder.
func writeTable(path string, budgets []Budget, list []forecast) error {
	var text bytes.Buffer
	text.WriteString("[\n")
	for i, b := range budgets { // a line for each kernel, so that a change shows as one
		line, err := json.Marshal(b)
		if err != nil {
			return err
		}
		text.Write(line)
		if i < len(budgets)-1 {
			text.WriteString(",")
		}
		text.WriteString("\n")
	}
	text.WriteString("]\n")
	if err := replace(path, text.Bytes()); err != nil {
		return err
	}
	if err := replace(pageBeside(path), page(budgets, list)); err != nil {
		return err
	}
	return replace(predictedBeside(path), predicted(list))
}

// replace writes a file by way of a temporary one.
func replace(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o666); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// predictedBeside is the file of predicted times that goes with a table.
func predictedBeside(table string) string {
	return filepath.Join(filepath.Dir(table), "predicted.json")
}

// pageBeside is the table to read that goes with a table.
func pageBeside(table string) string { return strings.TrimSuffix(table, ".json") + ".md" }

// page is the table to read.
func page(budgets []Budget, list []forecast) []byte {
	var text bytes.Buffer
	text.WriteString(pageHead)
	writePredictions(&text, list)
	text.WriteString(pageTable)
	for _, b := range budgets {
		for i, l := range b.Loops {
			c := l.Clocks
			part, most := c.bound(1)
			name := b.Kernel
			if i > 0 {
				name = "... around it"
			}
			fmt.Fprintf(&text, "| %s | %s | %d | %d | %d | %d | %.0f | %.0f | %.0f | %.0f | %.0f | %d | %s %.0f |\n", name, b.Machine,
				b.Registers, b.Local, b.StaticShared, c.Issue, c.Tensor, c.FMA, c.ALU, c.Double, c.Shared, c.Global, part, most)
		}
		if len(b.Loops) == 0 {
			fmt.Fprintf(&text, "| %s | %s | %d | %d | %d | - | | | | | | | no loop |\n", b.Kernel, b.Machine, b.Registers, b.Local, b.StaticShared)
		}
	}
	return text.Bytes()
}

const pageHead = `# What the kernels take, counted from their machine code

Made by ` + "`go run ./bench/sass --update`" + ` from the compiled kernels; no card was used. Counts are along the
shortest way through one iteration of a warp: what a loop does seldom is left out. Neither latency nor bank
conflicts nor the caches' hits are modelled but where a prediction says so: it is nearer to a lower bound than
to the middle.

`

const pageTable = `
## Hot loops

For one warp and one iteration: registers a thread, instructions of the kernel that touch local memory
(spills), bytes of static shared memory of a block; instructions issued, clocks of the tensor core and of the
float32, integer and float64 units of a sub-core, wavefronts of shared memory (of a multiprocessor), accesses to
global memory, and the part that binds if all warps did only this.

| kernel | architecture | registers | local | static shared | issue | tensor | fma | alu | float64 | shared | global | binds |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
`
