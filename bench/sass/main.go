// Command sass counts what the kernels' machine code takes: for the hot loop of every kernel on
// every architecture the clocks of the tensor core, of the other units and of shared memory, and
// with registers and occupancy the limit that binds. From that it predicts the time of known shapes,
// and compares with the table in docs/, so that a kernel that grew is seen without a card.
//
//	go run ./bench/sass --nvdisasm PATH [--table docs/sass.json] [--update] [FOLDER]
//
// FOLDER holds cubins, as build/cuda/cubin does. Without one the table stands for them: only times are
// predicted.
//
// Counts are along the shortest way through an iteration: what a loop does seldom, and may skip, is
// left out. No memory latency, no bank conflict, no cache is modelled: a prediction is a lower bound.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

func main() {
	nvdisasm := flag.String("nvdisasm", "nvdisasm", "the disassembler, 13.2 or newer")
	launches := flag.String("launches", "bench/sass/launches.json", "what the benchmarks launch")
	table := flag.String("table", "docs/sass.json", "the table to compare with; beside it, .md is the same to read")
	update := flag.Bool("update", false, "write the table instead")
	flag.Parse()
	if flag.NArg() > 1 {
		fmt.Fprintln(os.Stderr, "want one folder of cubins, or none")
		os.Exit(2)
	}
	if err := run(*nvdisasm, *launches, *table, *update, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(nvdisasm, launches, table string, update bool, folder string) error {
	var budgets []Budget
	var err error
	if folder == "" {
		budgets, err = readTable(table)
	} else {
		budgets, err = budgetsOf(nvdisasm, folder)
	}
	if err != nil {
		return err
	}
	asked, err := readLaunches(launches)
	if err != nil {
		return err
	}
	list, err := forecasts(asked, budgets)
	if err != nil {
		return err
	}
	if update {
		return writeTable(table, budgets, list)
	}
	known, err := readTable(table)
	if err != nil {
		return err
	}
	faults := append(compare(known, budgets), exceeding(list)...)
	times := predictedBeside(table)
	if text, err := os.ReadFile(times); err != nil {
		return err
	} else if !bytes.Equal(text, predicted(list)) {
		faults = append(faults, times+": other times are predicted now; write them with --update")
	}
	// The page is that of the table, which may be up to `growth` behind the code.
	if then, err := forecasts(asked, known); err != nil {
		return err
	} else if text, err := os.ReadFile(pageBeside(table)); err != nil {
		return err
	} else if !bytes.Equal(text, page(known, then)) {
		faults = append(faults, pageBeside(table)+": is not the page of the table; write it with --update")
	}
	for _, fault := range faults {
		fmt.Println(fault)
	}
	fmt.Printf("%d passed, %d failed\n", len(budgets)-min(len(budgets), len(faults)), len(faults))
	if len(faults) > 0 {
		return fmt.Errorf("the machine code is not that of %s", table)
	}
	return nil
}

// budgetsOf counts what the kernels of a folder of cubins take, in the order of their names.
func budgetsOf(nvdisasm, folder string) (budgets []Budget, err error) {
	var cubins []string
	err = filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		if filepath.Ext(path) == ".cubin" {
			cubins = append(cubins, path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(cubins) == 0 {
		return nil, fmt.Errorf("%s: no cubin in it", folder)
	}
	for _, path := range cubins {
		name, kernels, err := disassemble(nvdisasm, path)
		if err != nil {
			return nil, err
		}
		m, known := machines[name]
		if !known {
			return nil, fmt.Errorf("%s: no rates are known of %s", filepath.Base(path), name)
		}
		for _, k := range kernels {
			budgets = append(budgets, budget(name, m, k))
		}
	}
	sort.Slice(budgets, func(i, j int) bool {
		a, b := budgets[i], budgets[j]
		return a.Kernel < b.Kernel || a.Kernel == b.Kernel && a.Machine < b.Machine
	})
	return budgets, nil
}
