package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// peersScript times the same problems by other programs. It reads a list of cases from its
// argument and prints a list of {peer: seconds}, one for each.
//
//go:embed peers.py
var peersScript string

// peerCase is a problem as peers.py reads it.
type peerCase struct {
	Kind   string `json:"kind"` // "locate" or "decode"
	Points int    `json:"points,omitempty"`
	Dim    int    `json:"dim"`
	Batch  int    `json:"batch"`
	K      int    `json:"k,omitempty"`
	Model  string `json:"model,omitempty"`
}

// timePeers completes rows by the times of other programs on so many threads.
func timePeers(c *console, python string, threads int, rows []benchRow) error {
	cases := make([]peerCase, len(rows))
	for i, r := range rows {
		cases[i] = r.problem
	}
	request, err := json.Marshal(cases)
	if err != nil {
		return err
	}
	c.progress(1, "timing other programs")
	command := exec.Command(python, "-", string(request))
	command.Stdin = strings.NewReader(peersScript)
	for _, name := range []string{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} {
		command.Env = append(command.Env, name+"="+strconv.Itoa(max(1, threads)))
	}
	command.Env = append(os.Environ(), command.Env...)
	var failure bytes.Buffer
	command.Stderr = &failure
	answer, err := command.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(failure.String()), "\n")
		return fmt.Errorf("%s could not time the peers: %w: %s", python, err, lines[len(lines)-1])
	}
	var times []map[string]float64
	if err := json.Unmarshal(answer, &times); err != nil || len(times) != len(rows) {
		return fmt.Errorf("%s gave no times for the peers", python)
	}
	for i, t := range times {
		rows[i].Peers = t
	}
	if note := strings.TrimSpace(failure.String()); note != "" {
		c.notef("%s\n", note)
	}
	return nil
}
