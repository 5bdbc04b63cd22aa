package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"brenier/engine"
)

// console is what every command has: its streams, and the flags for the device and for JSON.
type console struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	config         engine.Config
	json           bool

	terminal bool // stderr is one
	bar      bool // a progress bar is on its line
	told     time.Time
}

func newConsole(flags *flag.FlagSet, stdin io.Reader, stdout, stderr io.Writer) *console {
	c := &console{stdin: stdin, stdout: stdout, stderr: stderr, terminal: isTerminal(stderr), told: time.Now()}
	flags.StringVar(&c.config.Device, "device", "", "run on `device`: cpu, cuda, cuda:1")
	flags.IntVar(&c.config.Threads, "threads", 0, "use `n` CPU threads; 0: all processors")
	flags.StringVar(&c.config.Path, "cpu", "", "use the instruction `set` portable, avx2 or avx512; else the best")
	flags.StringVar(&c.config.CUDA.Precision, "precision", "", "decode and encode on a GPU in `type` f16, bf16 or f32; else f16")
	flags.BoolVar(&c.json, "json", false, "print the result as JSON")
	return c
}

// open makes an engine and opens a model on it; whoever closes the engine closes both.
func (c *console) open(path string) (*engine.Engine, *engine.Model, error) {
	e, err := engine.New(c.config)
	if err != nil {
		return nil, nil, err
	}
	model, err := e.Open(path)
	if err != nil {
		e.Close()
		return nil, nil, err
	}
	return e, model, nil
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// printf writes a line of the result for people; with --json it is silent.
func (c *console) printf(format string, args ...any) {
	if !c.json {
		fmt.Fprintf(c.stdout, format, args...)
	}
}

// notef writes a line beside the result, to standard error.
func (c *console) notef(format string, args ...any) {
	c.finish()
	fmt.Fprintf(c.stderr, format, args...)
}

// writeJSON writes the result for programs.
func (c *console) writeJSON(value any) error {
	encoder := json.NewEncoder(c.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

const barWidth = 30

// progress shows how far work has come: a bar on a terminal, elsewhere a line every ten seconds.
func (c *console) progress(share float64, text string) {
	now := time.Now()
	if !c.terminal {
		if now.Sub(c.told) >= 10*time.Second {
			c.told = now
			fmt.Fprintf(c.stderr, "%3.0f %%  %s\n", 100*share, text)
		}
		return
	}
	done := max(0, min(barWidth, int(share*barWidth)))
	fmt.Fprintf(c.stderr, "\r\x1b[K[%s%s] %3.0f %%  %s", strings.Repeat("#", done), strings.Repeat(".", barWidth-done), 100*share, text)
	c.bar = true
}

// finish takes the progress bar away.
func (c *console) finish() {
	if c.bar {
		fmt.Fprint(c.stderr, "\r\x1b[K")
		c.bar = false
	}
}

// device describes an engine's device for people.
func device(info engine.Info) string {
	if info.Threads == 0 {
		return fmt.Sprintf("%s, %s, %s", info.Name, info.Device, info.Path)
	}
	return fmt.Sprintf("%s, %s, %s, %s", info.Name, info.Device, info.Path, count(info.Threads, "thread"))
}

// count is a number with its noun: 1 thread, 10,000 points.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return thousands(uint64(n)) + " " + noun
}

// thousands groups a number's digits: 60,000.
func thousands(n uint64) string {
	digits := fmt.Sprint(n)
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return strings.Join(append([]string{digits}, groups...), ",")
}

// seconds is a duration as people read it.
func seconds(s float64) string {
	switch {
	case s < 1e-3:
		return fmt.Sprintf("%.0f us", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.1f ms", s*1e3)
	}
	return fmt.Sprintf("%.1f s", s)
}

// trim is a number to three digits.
func trim(v float64) string { return fmt.Sprintf("%.3g", v) }
