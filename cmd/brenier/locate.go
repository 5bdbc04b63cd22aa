package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"

	"brenier/engine"
)

var locateCommand = command{
	name: "locate", argument: "MODEL X", least: 2, most: 2,
	summary: "Find the cells of noise: X is [n,d], an .npy file, a safetensors tensor or -",
	examples: []string{
		"locate digits.safetensors x.npy -k 8",
		"locate digits.safetensors x.npy --out cells.npy --scores scores.npy",
		"locate digits.safetensors noise.safetensors:x --json",
	},
	setup: setupLocate,
}

func setupLocate(flags *flag.FlagSet) func(*console, []string) error {
	k := flags.Int("k", 1, "find the `k` best cells of each row")
	out := flags.String("out", "", "write the cells, int64 [n,k], to this .npy `file`")
	scoresOut := flags.String("scores", "", "write the scores, float64 [n,k], to this .npy `file`")
	return func(c *console, arguments []string) error {
		e, model, err := c.open(arguments[0])
		if err != nil {
			return err
		}
		defer e.Close()
		x, n, d, err := readMatrix(c, arguments[1])
		if err != nil {
			return err
		}
		info := model.Info()
		if d != info.Dimension {
			return fmt.Errorf("%s: rows of %d, the model's noise has %d", arguments[1], d, info.Dimension)
		}
		if *k < 1 || *k > engine.MaxK {
			return usagef("-k: want 1 .. %d, got %d", engine.MaxK, *k)
		}
		cells, scores := make([]int64, n**k), make([]float64, n**k)
		if err := model.Locate(x, *k, cells, scores); err != nil {
			return err
		}
		for _, file := range []struct {
			path, descr string
			values      any
		}{{*out, "<i8", cells}, {*scoresOut, "<f8", scores}} {
			if file.path == "" {
				continue
			}
			err := writeFile(c, file.path, func(w io.Writer) error {
				if err := writeNpyHeader(w, file.descr, []int{n, *k}); err != nil {
					return err
				}
				return binary.Write(w, binary.LittleEndian, file.values)
			})
			if err != nil {
				return err
			}
		}
		if c.json {
			return c.writeJSON(map[string]any{"cells": rowsOf(cells, *k), "scores": rowsOf(scores, *k)})
		}
		if *out != "" || *scoresOut != "" {
			return nil
		}
		for i := range n {
			c.printf("%d", i)
			for j := i * *k; j < (i+1)**k; j++ {
				c.printf("\t%d %.9g", cells[j], scores[j])
			}
			c.printf("\n")
		}
		return nil
	}
}

// rowsOf cuts an array into its rows of k.
func rowsOf[T any](values []T, k int) [][]T {
	rows := make([][]T, 0, len(values)/k)
	for at := 0; at < len(values); at += k {
		rows = append(rows, values[at:at+k])
	}
	return rows
}
