// Command brenier makes images from noise by optimal transport, and the model files that it takes.
//
// Exit status: 0 done, 1 failed, 2 wrongly called. Results go to standard output or to the file
// that --out names; progress and errors, one sentence each, go to standard error.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// The exit status.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// command is one of brenier's commands. run gets the arguments that are not flags.
type command struct {
	name     string
	argument string // how the usage line shows the arguments that are not flags
	least    int    // number of them
	most     int
	summary  string
	examples []string
	setup    func(flags *flag.FlagSet) func(c *console, arguments []string) error
}

var commands = []command{infoCommand, sampleCommand, fieldCommand, locateCommand, decodeCommand, encodeCommand, fitCommand, importCommand, benchCommand}

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// usageError is a wrong call, as against a failure.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// run is the program: it returns its exit status.
func run(arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(arguments) == 0 {
		writeHelp(stderr)
		return exitUsage
	}
	name, rest := arguments[0], arguments[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		return runHelp(rest, stdin, stdout, stderr)
	}
	for _, c := range commands {
		if c.name == name {
			return c.run(rest, stdin, stdout, stderr)
		}
	}
	if c, found := findPythonCommand(name); found {
		return c.run(rest, stdin, stdout, stderr)
	}
	fmt.Fprintf(stderr, "brenier: no command %q; brenier help lists them\n", name)
	return exitUsage
}

func (c command) run(arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	console := newConsole(flags, stdin, stdout, stderr)
	do := c.setup(flags)
	positional, err := parse(flags, arguments)
	if errors.Is(err, flag.ErrHelp) {
		c.writeHelp(stdout)
		return exitDone
	}
	if err == nil && (len(positional) < c.least || len(positional) > c.most) {
		err = usagef("want %s, got %d arguments", c.argument, len(positional))
	}
	if err == nil {
		err = do(console, positional)
	}
	console.finish()
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "brenier: %s: %v; brenier help %s shows how\n", c.name, err, c.name)
		return exitUsage
	}
	fmt.Fprintf(stderr, "brenier: %v\n", err)
	return exitFailed
}

// parse is flags.Parse for flags that may stand before and after the other arguments; what follows
// "--" is no flag.
func parse(flags *flag.FlagSet, arguments []string) (positional []string, err error) {
	var after []string
	for i, a := range arguments {
		if a == "--" {
			arguments, after = arguments[:i], arguments[i+1:]
			break
		}
	}
	for len(arguments) > 0 {
		if err := flags.Parse(arguments); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, usageError{err.Error()}
		}
		if flags.NArg() == 0 {
			break
		}
		positional = append(positional, flags.Arg(0))
		arguments = flags.Args()[1:]
	}
	return append(positional, after...), nil
}

func runHelp(arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(arguments) == 0 {
		writeHelp(stdout)
		return exitDone
	}
	for _, c := range commands {
		if c.name == arguments[0] {
			c.writeHelp(stdout)
			return exitDone
		}
	}
	if c, found := findPythonCommand(arguments[0]); found {
		return c.run([]string{"--help"}, stdin, stdout, stderr)
	}
	fmt.Fprintf(stderr, "brenier: no command %q; brenier help lists them\n", arguments[0])
	return exitUsage
}

func writeHelp(w io.Writer) {
	fmt.Fprint(w, "brenier makes images from noise by optimal transport.\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-8s %s\n", c.name, c.summary)
	}
	for _, c := range pythonCommands {
		fmt.Fprintf(w, "  %-8s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, `
brenier help COMMAND shows a command's flags and examples.

Environment:
  BRENIER_DEVICE       cpu, cuda, cuda:1 (flag --device)
  BRENIER_THREADS      CPU threads (flag --threads)
  BRENIER_CPU          portable, avx2, avx512: the instruction set (flag --cpu)
  BRENIER_CUDA_DRIVER  another file in place of libcuda.so.1
  BRENIER_PYTHON       the Python interpreter of train and eval; else python3
  BRENIER_SELF_CHECK   0: believe a GPU without asking its kernels known questions

Exit status: 0 done, 1 failed, 2 wrongly called.
`)
}

func (c command) writeHelp(w io.Writer) {
	fmt.Fprintf(w, "brenier %s %s [flags]\n\n%s.\n\nFlags:\n", c.name, c.argument, c.summary)
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	newConsole(flags, nil, nil, nil)
	c.setup(flags)
	flags.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		dashes := "--"
		if len(f.Name) == 1 {
			dashes = "-"
		}
		label := strings.TrimSpace(dashes + f.Name + " " + value)
		fmt.Fprintf(w, "  %-22s %s%s\n", label, usage, defaultNote(f))
	})
	fmt.Fprint(w, "\nExamples:\n")
	for _, example := range c.examples {
		fmt.Fprintf(w, "  brenier %s\n", example)
	}
}

// defaultNote says a flag's default where it is not a plain absence.
func defaultNote(f *flag.Flag) string {
	switch f.DefValue {
	case "", "0", "false":
		return ""
	}
	return fmt.Sprintf(" (default %s)", f.DefValue)
}
