// Package backend is the small interface between the engine and a device.
//
// A backend prepares a model once ([Backend.Prepare]); a [Workspace] of that prepared model then
// holds one batch of samples on the device while it passes through the stages. Nothing is
// allocated by a stage.
package backend

import (
	"unsafe"

	"brenier/engine/internal/graph"
)

// Source is the distribution of the noise.
type Source int

const (
	Gaussian Source = iota // N(0, I)
	Uniform                // uniform on [-1/2, 1/2]^d
)

// Parts are what a model file holds, in the host's memory; a backend copies what it keeps.
type Parts struct {
	Source    Source
	Dim       int       // d
	Points    []float32 // y [N,d], or nil for a model without a map
	Heights   []float32 // h [N]
	Centroids []float32 // c [N,d], or nil
	Decoder   *graph.Graph
	Tensors   map[string]Tensor // the decoder's weights by name

	Encoder        *graph.Graph // or nil; its images are the decoder's, its codes have Dim values
	EncoderTensors map[string]Tensor
}

// Tensor is a weight of a network, widened to float32.
type Tensor struct {
	Shape []int
	Data  []float32
}

// Info describes a device.
type Info struct {
	Name    string // "cpu", "cuda:0"
	Device  string // the processor's own name
	Path    string // instruction set in use: "avx512", "avx2", "portable", "sm_90a"
	Threads int    // CPU only
	Note    string // what is out of the ordinary, a sentence; "": nothing
}

// Backend runs the stages on one device. Its methods may be called from any goroutine.
type Backend interface {
	Info() Info
	// Batches are the numbers of samples that workspaces are worth making for, ascending.
	Batches() []int
	Prepare(p Parts) (Model, error)
	Close() error
}

// Model is a model prepared on a device: packed points, folded weights. Read-only once made,
// except through SetHeights.
type Model interface {
	// NewWorkspace makes a workspace that holds up to batch samples with up to k cells each.
	// fault.ErrOutOfMemory where the device has no room for it; a smaller batch may fit.
	NewWorkspace(batch, k int) (Workspace, error)
	// SetHeights replaces h [N]. No workspace of the model may be at work meanwhile.
	SetHeights(h []float32) error
	Close() error
}

// Shared is a [Model] whose workspaces share the backend's threads out among those who call.
type Shared interface {
	// Alone is the same model, whose workspaces do their work on the goroutine that calls them and on
	// no other thread. The results are the same bits. It needs no Close of its own.
	Alone() Model
}

// Kernel says which of a device's kernels serves a part of a model.
type Kernel struct {
	Part string // "locate", or a step of a network
	Name string
}

// Describer is a [Model] whose kernels were chosen among several.
type Describer interface {
	Kernels() []Kernel
	Notes() []string // on kernels that failed their self-check and what stands in for them
}

// Mode is how extend combines the points of neighbouring cells.
type Mode int

const (
	Cell    Mode = iota // y_i0 itself
	Simplex             // the admissible cells, weighted by 1/|x - c_j|
	Pair                // y_i0 and the best admissible neighbour, blended
)

// Extension is the extend stage's setting, resolved: the angle as the cosine it is compared by.
type Extension struct {
	Mode      Mode
	K         int     // cells considered, the best one included
	MinCosine float64 // neighbours below it lie across the singular set; -1 keeps all
	Blend     float64 // Pair: z = (1-blend) y_i0 + blend y_ij
}

// DType is an element type of an image.
type DType int

const (
	F32 DType = iota
	F16
	U8 // the output's range scaled to 0..255, rounded to nearest even, clamped
)

// Layout is the order of an image's axes.
type Layout int

const (
	NCHW Layout = iota
	NHWC
)

// Image is where decode writes and encode reads: n images one after another. The memory is the
// caller's, aligned to the element.
type Image struct {
	Data    unsafe.Pointer // on the host; nil: on the device
	Address uint64         // on the device
	DType   DType
	Layout  Layout
	Low     float64 // the output's range, for U8
	High    float64
}

// Workspace holds one batch of samples on the device, from noise to image and back to the code. A
// stage reads what the stage before it left, or what a Put brought. n is at most the batch the
// workspace was made for. One goroutine at a time.
type Workspace interface {
	Noise(n int, seed, first uint64) error // (seed, first..first+n-1) -> x
	PutNoise(x []float32) error            // x [n,d], finite
	GetNoise(x []float32) error

	Locate(n, k int) error // x -> cells, scores [n,k]
	// Draw is Noise and Locate, and GetNoise unless x is nil; a backend may do all in one pass, in x
	// instead of its own memory, so that no other stage may read these samples then.
	Draw(n, k int, seed, first uint64, x []float32) error
	// PutCells takes the first `use` cells of each of n rows of k, all in range.
	PutCells(n, k, use int, cells []int64) error
	GetCells(n, k int, cells []int64, scores []float64) error // either may be nil

	// Count makes draws as Draw does, or where rotated is true as [RotatedDrawer] does, and counts them
	// by their best cells, until TakeCounts writes the counts [N] and begins anew. A workspace that is an
	// internal/sgd.Descender too takes the steps that they are for, and moves the model's heights.
	Count(n int, seed, first uint64, rotated bool) error
	TakeCounts(counts []int32) error

	Extend(n int, e Extension) error // x, cells [n,e.K] -> z
	PutCodes(z []float32) error      // z [n,d], finite
	GetCodes(z []float32) error

	Decode(n int, out Image) error // z -> images
	Encode(n int, in Image) error  // images, finite where on the host -> z

	// Generate is Noise, Locate with e.K cells, Extend and Decode, all in one.
	Generate(n int, seed, first uint64, e Extension, out Image) error

	Close() error
}

// Summer is a [Workspace] that can leave draws where it makes them, and add them up there.
type Summer interface {
	// NewSums begins sums of none, by cells, in units of 2^-exponent, of draws below 2^31 units, at most
	// `most` at once. m [d] is what they are multiplied with; nil: the draws are told, and nothing is added
	// up. fault.ErrOutOfMemory where there is no room, which costs the workspace nothing else.
	NewSums(m []float64, exponent, most int) (Sums, error)
}

// Sums are of draws by their best cells. Their workspace does nothing else while one is on its way, and is
// closed after them.
type Sums interface {
	// Ahead is how many calls of Draw may come before the first Take.
	Ahead() int
	// Draw makes draws as [Workspace] does, or where rotated is true as [RotatedDrawer] does, and adds each
	// of them, rounded to whole units, halves to the even one, to its cell's sums. It returns as soon as the
	// device has its work.
	Draw(n int, seed, first uint64, rotated bool) error
	// Take waits for the n draws of the first Draw that were not taken: the cells, scores, <x, m> and |x|^2
	// of each [n], the last two by the sums of kernels/cpu/rows.h, and nil where nothing is added up.
	Take(cells []int64, scores, along, squares []float64) error
	// Total writes the sums [N,d] of all draws so far.
	Total(sums []int64) error
	// Close waits for what is still at work.
	Close() error
}

// RotatedDrawer is a [Workspace] that can draw samples of a gaussian source which share a random
// frame: each is exactly N(0,I), they depend on one another within a group, groups are independent,
// and a draw costs a small part of the products that Noise and Locate take. For fit alone; noise
// that a user asks for is independent. It uses none of the workspace's samples.
type RotatedDrawer interface {
	// Group is the number of draws that share a frame: draw i of a seed is in group i/Group. It
	// depends on N, d and the source alone. 0: dense draws cost less, or there are none of this kind.
	Group() int
	// DrawRotated makes draws first..first+n-1 of seed, all of one group, and finds the k best cells
	// of each, best first, k <= 8: cells [n,k] and, unless nil, scores [n,k] and the draws x [n,d].
	// Same seed, same draws for any n and device. Cells are those of float32 scores, which differ
	// from Locate's only where the two best scores are within their rounding. A group is cheap after
	// its first call, until a call for another one.
	DrawRotated(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error
}
