package layers

import (
	"fmt"
	"strconv"
	"strings"

	"brenier/engine/internal/fault"
)

// call is a layer as PyTorch prints it or as Python would construct it: a class and its
// arguments, Conv2d(1, 64, kernel_size=(4, 4), stride=(2, 2), padding=1).
type call struct {
	class      string
	positional []any // int, float64, bool, string, nil, or []any for a tuple or list
	keywords   map[string]any
}

// parseCall reads one layer. A class without parentheses has no arguments.
func parseCall(text string) (*call, error) {
	p := &parser{rest: text}
	c := &call{class: p.word(), keywords: map[string]any{}}
	c.class = c.class[strings.LastIndexByte(c.class, '.')+1:] // nn.ReLU, torch.nn.ReLU
	if c.class == "" {
		return nil, p.unexpected("the name of a layer")
	}
	if p.end() {
		return c, nil
	}
	if !p.take('(') {
		return nil, p.unexpected("'('")
	}
	for !p.take(')') {
		if err := p.argument(c); err != nil {
			return nil, err
		}
		if !p.take(',') && !p.peek(')') {
			return nil, p.unexpected("',' or ')'")
		}
	}
	if !p.end() {
		return nil, p.unexpected("nothing more")
	}
	return c, nil
}

type parser struct{ rest string }

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *parser) end() bool { p.space(); return p.rest == "" }

func (p *parser) peek(c byte) bool { p.space(); return p.rest != "" && p.rest[0] == c }

func (p *parser) take(c byte) bool {
	if !p.peek(c) {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// word takes a dotted name, or a number.
func (p *parser) word() string {
	p.space()
	n := 0
	for n < len(p.rest) {
		c := p.rest[n]
		sign := (c == '-' || c == '+') && (n == 0 || p.rest[n-1] == 'e' || p.rest[n-1] == 'E')
		if !sign && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			break
		}
		n++
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	return word
}

func (p *parser) unexpected(want string) error {
	got := "the end"
	if p.rest != "" {
		got = strconv.Quote(fault.Excerpt(p.rest))
	}
	return fmt.Errorf("want %s, got %s", want, got)
}

// argument reads value or name=value into c.
func (p *parser) argument(c *call) error {
	before := *p
	name := p.word()
	if name == "" || !p.take('=') {
		*p = before
		value, err := p.value(0)
		if err != nil {
			return err
		}
		if len(c.keywords) > 0 {
			return fmt.Errorf("a positional argument %v follows a keyword", value)
		}
		c.positional = append(c.positional, value)
		return nil
	}
	if _, twice := c.keywords[name]; twice {
		return fmt.Errorf("%s is given twice", name)
	}
	value, err := p.value(0)
	if err != nil {
		return err
	}
	c.keywords[name] = value
	return nil
}

func (p *parser) value(depth int) (any, error) {
	if depth > 4 {
		return nil, fmt.Errorf("tuples nest too deep")
	}
	for _, brackets := range []string{"()", "[]"} {
		if !p.take(brackets[0]) {
			continue
		}
		list := []any{}
		for !p.take(brackets[1]) {
			v, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
			if !p.take(',') && !p.peek(brackets[1]) {
				return nil, p.unexpected("',' or '" + brackets[1:] + "'")
			}
		}
		return list, nil
	}
	for _, quote := range []byte{'\'', '"'} {
		if p.take(quote) {
			text, rest, closed := strings.Cut(p.rest, string(quote))
			if !closed {
				return nil, fmt.Errorf("a string is not closed")
			}
			p.rest = rest
			return text, nil
		}
	}
	before := *p
	switch word := p.word(); word {
	case "True":
		return true, nil
	case "False":
		return false, nil
	case "None":
		return nil, nil
	case "torch.Size": // how some versions print the tuple of Unflatten
		if !p.take('(') {
			return nil, p.unexpected("'('")
		}
		list, err := p.value(depth + 1)
		if err == nil && !p.take(')') {
			err = p.unexpected("')'")
		}
		return list, err
	default:
		if n, err := strconv.Atoi(word); err == nil {
			return n, nil
		}
		if f, err := strconv.ParseFloat(word, 64); err == nil {
			return f, nil
		}
		return nil, before.unexpected("a value")
	}
}

// arguments gives the call's arguments by name; names are the positional order of PyTorch's
// constructor.
func (c *call) arguments(names ...string) (*arguments, error) {
	if len(c.positional) > len(names) {
		return nil, fmt.Errorf("want at most %d arguments, got %d", len(names), len(c.positional))
	}
	a := &arguments{values: map[string]any{}}
	for i, v := range c.positional {
		a.values[names[i]] = v
	}
	for name, v := range c.keywords {
		known := false
		for _, n := range names {
			known = known || n == name
		}
		if !known {
			return nil, fmt.Errorf("unknown argument %s", name)
		}
		if _, twice := a.values[name]; twice {
			return nil, fmt.Errorf("%s is given twice", name)
		}
		a.values[name] = v
	}
	return a, nil
}

// arguments are read one by one; the first fault stays in err.
type arguments struct {
	values map[string]any
	err    error
}

func (a *arguments) fail(name, want string) {
	if a.err == nil {
		a.err = fmt.Errorf("%s: want %s, got %v", name, want, a.values[name])
	}
}

// given tells whether the argument is there and not None.
func (a *arguments) given(name string) bool { return a.values[name] != nil }

func (a *arguments) integer(name string, missing int) int {
	if !a.given(name) {
		return missing
	}
	n, ok := a.values[name].(int)
	if !ok {
		a.fail(name, "an integer")
	}
	return n
}

// required is integer without a default; PyTorch has none for sizes.
func (a *arguments) required(name string) int {
	n := a.integer(name, 0)
	if n < 1 {
		a.fail(name, "an integer from 1")
	}
	return n
}

func (a *arguments) number(name string, missing float64) float64 {
	switch v := a.values[name].(type) {
	case nil:
		return missing
	case int:
		return float64(v)
	case float64:
		return v
	}
	a.fail(name, "a number")
	return missing
}

func (a *arguments) boolean(name string, missing bool) bool {
	if !a.given(name) {
		return missing
	}
	b, ok := a.values[name].(bool)
	if !ok {
		a.fail(name, "True or False")
	}
	return b
}

func (a *arguments) text(name, missing string) string {
	if !a.given(name) {
		return missing
	}
	s, ok := a.values[name].(string)
	if !ok {
		a.fail(name, "a string")
	}
	return s
}

// pair is an argument of two spatial axes: one integer for both, or a tuple of two.
func (a *arguments) pair(name string, missing int) [2]int {
	switch v := a.values[name].(type) {
	case nil:
		return [2]int{missing, missing}
	case int:
		return [2]int{v, v}
	case []any:
		if len(v) == 2 {
			first, ok1 := v[0].(int)
			second, ok2 := v[1].(int)
			if ok1 && ok2 {
				return [2]int{first, second}
			}
		}
	}
	a.fail(name, "an integer or two")
	return [2]int{}
}

// numbers is pair for numbers that need not be integers.
func (a *arguments) numbers(name string) []float64 {
	list, ok := a.values[name].([]any)
	if !ok {
		list = []any{a.values[name], a.values[name]}
	}
	var out []float64
	for _, v := range list {
		switch n := v.(type) {
		case int:
			out = append(out, float64(n))
		case float64:
			out = append(out, n)
		}
	}
	if len(out) != 2 {
		a.fail(name, "a number or two")
	}
	return out
}
