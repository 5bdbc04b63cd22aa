package engine

import (
	"sync"

	"brenier/engine/internal/backend"
)

// A call takes a workspace that holds a batch of its samples, the smallest that serves. A few
// samples at a time, as a game asks for them, so take little memory; a large batch lets locate read
// the points from memory seldom. A batch is smaller where its noise would be more than maxFloats.
var batches = [...]int{1, 32, 4096}

const maxFloats = 1 << 24

// workspace is the device memory of one call at a time, for up to batch samples at once.
type workspace struct {
	backend.Workspace
	batch int
	class int // its index in batches
}

// workspaces are those of a model that no call uses. The zero value has none.
type workspaces struct {
	mu   sync.Mutex
	idle [len(batches)][]*workspace
}

// classFor returns the class of workspace that serves n samples.
func classFor(n int) int {
	for class, batch := range batches {
		if n <= batch {
			return class
		}
	}
	return len(batches) - 1
}

// take returns an idle workspace of a class, or nil.
func (s *workspaces) take(class int) *workspace {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := s.idle[class]
	if len(idle) == 0 {
		return nil
	}
	w := idle[len(idle)-1]
	s.idle[class] = idle[:len(idle)-1]
	return w
}

func (s *workspaces) give(w *workspace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle[w.class] = append(s.idle[w.class], w)
}

// close frees them all.
func (s *workspaces) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for class, idle := range s.idle {
		for _, w := range idle {
			w.Close()
		}
		s.idle[class] = nil
	}
}
