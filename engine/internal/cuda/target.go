//go:build cuda

package cuda

import (
	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
)

// target is where decode's last kernel writes images, one after another: memory of the device, or
// memory of the host that the device can address.
type target struct {
	address driver.Address // aligned to the element
	dtype   backend.DType
	layout  backend.Layout
	low     float64 // the output's range, for U8
	high    float64
}
