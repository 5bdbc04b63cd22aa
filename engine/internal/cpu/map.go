package cpu

import (
	"math"
	"unsafe"

	"brenier/engine/internal/fault"
	kernels "brenier/kernels/cpu"
)

// maxGroups bounds the group maxima of a sample: enough groups that one holds few cells of 60,000
// (8), few enough that choosing among them costs little beside the scores.
const maxGroups = 8192

// Map is the transport map on the processor: points, heights and centroids as the kernels read
// them. Read-only once made, except through SetHeights; any number of goroutines may use it, each
// with its own scratch.
type Map struct {
	pool *Pool
	path kernels.Path
	n, d int // N, d

	points    []float32 // [N,d]
	heights   []float32 // [N]
	centroids []float32 // [N,d], or nil
	norms     []float64 // [N], length of the plane's normal (y_i,-1)

	// The packed map, as kernels/cpu/locate.h describes it.
	panels     []float32 // [P][d][W]
	levels     []float32 // [P][W]
	panelCount int       // P
	group      int       // T, panels of a group
	groups     int       // G

	tree *tree // finds cells without a look at all of them; nil: it would not pay

	norm    float64 // at least the largest |y_i|
	reach   float64 // at least the largest |h_i|
	highest float64 // the largest h_i

	extends chan *extendTask // free ones
}

// NewMap packs points [n,d] and heights [n] for a path; centroids [n,d] may be nil. It keeps
// copies.
func NewMap(pool *Pool, path kernels.Path, points, heights, centroids []float32, n, d int) (*Map, error) {
	switch {
	case n < 1 || d < 1 || n > math.MaxInt32 || len(points) != n*d:
		return nil, fault.Invalid("points: want [%d,%d] with 1 to 2^31-1 rows of dimension 1 or more, got %d values", n, d, len(points))
	case len(heights) != n:
		return nil, fault.Invalid("heights: want one for each of the %d points, got %d", n, len(heights))
	case centroids != nil && len(centroids) != n*d:
		return nil, fault.Invalid("centroids: want [%d,%d] like the points, got %d values", n, d, len(centroids))
	}
	width := 2 * path.Lanes()
	m := &Map{
		pool: pool, path: path, n: n, d: d,
		points:     append([]float32(nil), points...),
		heights:    make([]float32, n),
		panelCount: (n + width - 1) / width,
		norms:      make([]float64, n),
		extends:    make(chan *extendTask, 64),
	}
	if centroids != nil {
		m.centroids = append([]float32(nil), centroids...)
	}
	m.group = (m.panelCount*path.Lanes() + maxGroups - 1) / maxGroups
	m.panelCount = (m.panelCount + m.group - 1) / m.group * m.group
	m.groups = m.panelCount / m.group * path.Lanes()
	m.panels = alignedFloats(m.panelCount * d * width)
	m.levels = alignedFloats(m.panelCount * width)
	pool.Run(packingParts(m), packing{m})
	longest := 0.0
	for _, norm := range m.norms {
		longest = max(longest, norm) // |(y,-1)| > |y|
	}
	m.norm = longest * (1 + 0x1p-20) // above the rounding of its sum
	if treeFits(n, d) {
		m.tree = newTree(pool, m.points, n, d)
	}
	m.SetHeights(heights)
	return m, nil
}

// on returns the same map with its work on another pool. The two share all that is packed, so
// SetHeights is for neither from then on.
func (m *Map) on(pool *Pool) *Map {
	other := *m
	other.pool, other.extends = pool, make(chan *extendTask, cap(m.extends))
	return &other
}

// packing is the Task that writes a map's panels and norms, of part of the cells.
type packing struct{ m *Map }

func (t packing) Do(part int) {
	m := t.m
	parts := packingParts(m)
	first, stop := part*m.n/parts, (part+1)*m.n/parts
	kernels.LocatePack(m.path, m.points, first, stop, m.d, m.group, m.panels)
	kernels.PlaneNorms(m.path, m.points[first*m.d:stop*m.d], m.d, m.norms[first:stop])
}

func packingParts(m *Map) int { return min(m.n, 4*m.pool.Threads()) }

// SetHeights replaces the heights [N]. No Locate may be at work meanwhile.
func (m *Map) SetHeights(h []float32) {
	copy(m.heights, h)
	lowest := 0.0
	m.highest, lowest = kernels.LocateLevels(m.path, m.heights, m.group, m.levels)
	m.reach = max(math.Abs(m.highest), math.Abs(lowest))
	if m.tree != nil {
		m.tree.setHeights(m.pool, m.heights, m.path, m.highest)
	}
}

// Cells returns N.
func (m *Map) Cells() int { return m.n }

// alignedFloats makes a slice of zeros that starts at a multiple of 64 bytes.
func alignedFloats(n int) []float32 {
	s := make([]float32, n+15)
	skip := int(-uintptr(unsafe.Pointer(&s[0])) % 64 / 4)
	return s[skip : skip+n : skip+n]
}
