package engine

import (
	"errors"
	"sync"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
)

// A call takes a workspace that holds a batch of its samples, the smallest that serves, of the
// sizes that the device suggests. A batch is smaller where its noise would be more than maxFloats.
const maxFloats = 1 << 24

// workspace is the device memory of one call at a time, for up to batch samples at once.
type workspace struct {
	backend.Workspace
	batch int
	class int // its index in workspaces.batches
}

// workspaces are those of a model that no call uses.
type workspaces struct {
	batches []int // the sizes, ascending

	mu   sync.Mutex
	idle [][]*workspace // by class
}

func newWorkspaces(batches []int, d int) *workspaces {
	s := &workspaces{batches: make([]int, len(batches)), idle: make([][]*workspace, len(batches))}
	for class, batch := range batches {
		s.batches[class] = max(1, min(batch, maxFloats/max(d, 1)))
	}
	return s
}

// classFor returns the class of workspace that serves n samples.
func (s *workspaces) classFor(n int) int {
	for class, batch := range s.batches {
		if n <= batch {
			return class
		}
	}
	return len(s.batches) - 1
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

// make makes a workspace of a class. Where the device has no room for it the idle ones make room,
// and if that is not enough the batch is smaller; calls pass through it in more batches.
func (s *workspaces) make(class int, on backend.Model, k int) (*workspace, error) {
	batch := s.batches[class]
	made, err := on.NewWorkspace(batch, k)
	if errors.Is(err, fault.ErrOutOfMemory) {
		s.close()
		made, err = on.NewWorkspace(batch, k)
	}
	for errors.Is(err, fault.ErrOutOfMemory) && batch > 1 {
		batch /= 2
		made, err = on.NewWorkspace(batch, k)
	}
	if err != nil {
		return nil, err
	}
	return &workspace{Workspace: made, batch: batch, class: class}, nil
}

func (s *workspaces) give(w *workspace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle[w.class] = append(s.idle[w.class], w)
}

// close frees the idle ones.
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
