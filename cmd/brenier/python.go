package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

// pythonCommand is a command of brenier's Python package, which this program hands on to it with
// whatever arguments it was given.
type pythonCommand struct{ name, summary string }

var pythonCommands = []pythonCommand{
	{"train", "Make a model of images: train an autoencoder, fit its codes (Python)"},
	{"export", "Make a model of a decoder from ONNX or torch.export (Python)"},
	{"eval", "Measure what a model makes against real images (Python)"},
}

func findPythonCommand(name string) (pythonCommand, bool) {
	for _, c := range pythonCommands {
		if c.name == name {
			return c, true
		}
	}
	return pythonCommand{}, false
}

// run runs the command by the interpreter that BRENIER_PYTHON names, or python3, and returns its exit status.
func (c pythonCommand) run(arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	python := os.Getenv("BRENIER_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := checkPython(python); err != nil {
		fmt.Fprintf(stderr, "brenier: %s needs brenier's Python package: %v\n", c.name, err)
		return exitFailed
	}
	command := exec.Command(python, append([]string{"-m", "brenier", c.name}, arguments...)...)
	command.Env = append(os.Environ(), "BRENIER_HANDED_ON=1") // it hands what it has not to this program
	command.Stdin, command.Stdout, command.Stderr = stdin, stdout, stderr

	// Ctrl-C reaches both processes: this one waits for what the other makes of it.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := command.Start(); err != nil {
		fmt.Fprintf(stderr, "brenier: %s: %v\n", c.name, err)
		return exitFailed
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for {
		select {
		case s := <-signals:
			if s != os.Interrupt {
				_ = command.Process.Signal(s) // it may have ended
			}
		case err := <-ended:
			var exit *exec.ExitError
			switch {
			case err == nil:
				return exitDone
			case errors.As(err, &exit) && exit.Exited():
				return exit.ExitCode()
			}
			fmt.Fprintf(stderr, "brenier: %s: %s: %v\n", c.name, python, err)
			return exitFailed
		}
	}
}

// checkPython says what keeps an interpreter from running the package.
func checkPython(python string) error {
	const remedy = "; install it (pip install '.[train]' in brenier's sources), or name its interpreter in BRENIER_PYTHON"
	command := exec.Command(python, "-c", "import brenier.commands")
	var failure bytes.Buffer
	command.Stderr = &failure
	err := command.Run()
	if err == nil {
		return nil
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("%w%s", err, remedy)
	}
	lines := strings.Split(strings.TrimSpace(failure.String()), "\n")
	return fmt.Errorf("%s: %s%s", python, lines[len(lines)-1], remedy)
}
