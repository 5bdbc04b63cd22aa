package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// interpreter makes a shell script stand in for Python.
func interpreter(t *testing.T, script string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BRENIER_PYTHON", path)
}

func TestPythonCommands(t *testing.T) {
	t.Run("arguments, streams and status are handed on", func(t *testing.T) {
		interpreter(t, `[ "$1" = -c ] && exit 0; echo "$@"; cat; echo no >&2; exit 2`)
		stdout, stderr := cliStdin(t, exitUsage, []byte("noise"), "train", "a folder", "--out", "m", "--help")
		if want := "-m brenier train a folder --out m --help\nnoise"; stdout != want || stderr != "no\n" {
			t.Errorf("got %q and %q, want %q", stdout, stderr, want)
		}
		if stdout, _ = cliStdin(t, exitUsage, nil, "export", "d.onnx"); stdout != "-m brenier export d.onnx\n" {
			t.Errorf("got %q", stdout)
		}
		stdout, _ = cli(t, exitUsage, "help", "eval")
		if want := "-m brenier eval --help\n"; stdout != want {
			t.Errorf("help: got %q, want %q", stdout, want)
		}
	})
	t.Run("neither hands back what it was handed", func(t *testing.T) {
		interpreter(t, `[ "$1" = -c ] || echo "$BRENIER_HANDED_ON"`)
		if stdout, _ := cli(t, exitDone, "train"); stdout != "1\n" {
			t.Errorf("BRENIER_HANDED_ON is %q", stdout)
		}
	})
	for _, c := range []struct{ name, script, want string }{
		{"the package is missing", `echo Traceback >&2; echo "ModuleNotFoundError: No module named 'brenier'" >&2; exit 1`, "No module named 'brenier'; install it"},
		{"it was killed", `[ "$1" = -c ] || kill -9 $$`, "signal: killed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			interpreter(t, c.script)
			_, stderr := cli(t, exitFailed, "train", "x")
			if !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("got %q, want one line with %q", stderr, c.want)
			}
		})
	}
	t.Run("there is no Python", func(t *testing.T) {
		t.Setenv("BRENIER_PYTHON", filepath.Join(t.TempDir(), "python"))
		if _, stderr := cli(t, exitFailed, "eval"); !strings.Contains(stderr, "eval needs brenier's Python package") {
			t.Errorf("got %q", stderr)
		}
	})
}
