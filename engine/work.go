package engine

import "brenier/engine/internal/lower"

// MultiplyAdds is the number of multiply-adds that decoding one image needs, for the floor that its
// time is stated against: convolutions in phase form, a nearest upsampling and the convolution
// after it as one. It lowers the graph anew at every call.
func (m *Model) MultiplyAdds() (int64, error) {
	if err := m.gate.enter(); err != nil {
		return 0, err
	}
	defer m.gate.leave()
	if err := m.needDecoder(); err != nil {
		return 0, err
	}
	parts := m.file.Parts()
	program, err := lower.Lower(parts.Decoder, parts.Tensors)
	if err != nil {
		return 0, err
	}
	return program.MACs(), nil
}
