//go:build cuda

package cuda

import (
	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
)

// target is where a network's last kernel writes images, or its first one reads them, one after
// another: memory of the device, or memory of the host that the device can address.
type target struct {
	address driver.Address // aligned to the element
	dtype   backend.DType
	layout  backend.Layout
	low     float64 // the output's range, for U8
	high    float64
}

// targetOf is the caller's description, without the address.
func targetOf(i backend.Image) target {
	return target{dtype: i.DType, layout: i.Layout, low: i.Low, high: i.High}
}

// codesAt are codes in memory of the device: images of one pixel.
func codesAt(z driver.Address) target { return target{address: z} }
