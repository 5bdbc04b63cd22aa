package layers

import (
	"fmt"
	"strconv"
	"strings"

	"brenier/engine/internal/fault"
	"brenier/engine/internal/strictjson"
)

// maxList bounds the text of a layer list, in bytes.
const maxList = 1 << 20

// List reads a list of layers: a JSON list of strings, or text with a layer on each line, as it is
// or as print(sequential) shows it:
//
//	Sequential(
//	  (0): ConvTranspose2d(64, 256, kernel_size=(7, 7), stride=(1, 1))
//	  (1): ReLU()
//	)
//
// Empty lines and lines that start with '#' are left out. Errors are fault.ErrInvalidArgument.
func List(text string) ([]string, error) {
	if len(text) > maxList {
		return nil, fault.Invalid("layer list: %d bytes; the limit is %d", len(text), maxList)
	}
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		var list []string
		if err := strictjson.Unmarshal([]byte(text), &list); err != nil {
			return nil, fault.Invalid("layer list: %w", err)
		}
		return list, nil
	}
	var list []string
	printed := false
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
			continue
		case strings.HasPrefix(line, "Sequential(") && len(list) == 0 && !printed:
			printed = true
			continue
		case line == ")" && printed:
			continue
		}
		layer, err := unnumbered(line, len(list))
		if err != nil {
			return nil, fault.Invalid("layer list, line %d: %w", number+1, err)
		}
		list = append(list, layer)
	}
	return list, nil
}

// unnumbered takes the "(3): " off a printed line, which must be number i.
func unnumbered(line string, i int) (string, error) {
	if line[0] != '(' {
		return line, nil
	}
	label, layer, found := strings.Cut(line[1:], "):")
	if !found {
		return "", fmt.Errorf("want (%d): and a layer, got %q", i, fault.Excerpt(line))
	}
	if label != strconv.Itoa(i) {
		return "", fmt.Errorf("want layer %d, got %q; give one flat Sequential, numbered from 0", i, fault.Excerpt(label))
	}
	layer = strings.TrimSpace(layer)
	if strings.HasSuffix(layer, "(") {
		return "", fmt.Errorf("layer %d, %s...), holds other layers; give one flat Sequential", i, fault.Excerpt(layer))
	}
	return layer, nil
}
