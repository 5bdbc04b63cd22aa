//go:build brenier_check

package engine

import "brenier/engine/internal/cpu"

type panicTask struct{ text string }

func (t panicTask) Do(part int) {
	if part > 0 {
		panic(t.text)
	}
}

// PanicInWorker panics in the parts of a thread pool's task. Only a build for tests has it.
func PanicInWorker(text string) {
	pool := cpu.NewPool(4)
	defer pool.Close()
	pool.Run(64, panicTask{text})
}
