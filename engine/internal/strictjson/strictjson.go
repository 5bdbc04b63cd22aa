// Package strictjson decodes JSON from untrusted files into Go values and refuses what
// encoding/json lets pass: duplicate keys, unknown keys, keys in another case, null, invalid
// UTF-8, numbers that do not fit, missing closing data and anything after the value.
//
// A fault is a sentence that starts with the path of the value: nodes[3].attributes.group.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"brenier/engine/internal/fault"
)

// MaxDepth bounds the nesting of arrays and objects.
const MaxDepth = 32

// Raw is a value kept as it is written, to be decoded later by another Unmarshal, which then
// makes the checks on it.
type Raw = json.RawMessage

var (
	rawType = reflect.TypeFor[Raw]()
	anyType = reflect.TypeFor[any]()
)

// Unmarshal decodes data, which must be one JSON value, into what into points at: bools, ints,
// floats, strings, slices, arrays (of exactly that length), maps with string keys, pointers,
// structs with json tags, Raw, and any (bool, string, json.Number, []any, map[string]any).
//
// A struct may have one field tagged `strict:"extra"` of type map[string]Raw, which receives the
// keys that the struct does not know; without it an unknown key is a fault. Keys of a struct may
// be absent: the caller says which ones it needs.
func Unmarshal(data []byte, into any) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("invalid UTF-8 at byte %d", invalidUTF8(data))
	}
	if depth := nesting(data); depth > MaxDepth {
		return fmt.Errorf("arrays and objects nest %d deep; the limit is %d", depth, MaxDepth)
	}
	// The grammar is checked first and in one place, so that the walk below meets sound tokens.
	var whole Raw
	if err := json.Unmarshal(data, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return fmt.Errorf("not valid JSON at byte %d: %v", syntax.Offset, syntax)
		}
		return fmt.Errorf("not valid JSON: %v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	d := decoder{dec}
	return d.value("", reflect.ValueOf(into).Elem())
}

// nesting is the deepest nesting of brackets outside strings, counted before any parser that
// might recurse sees the data.
func nesting(data []byte) int {
	depth, deepest := 0, 0
	inString := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(data)
}

type decoder struct{ *json.Decoder }

func fail(path, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if path == "" {
		return errors.New(text)
	}
	return fmt.Errorf("%s: %s", path, text)
}

// value decodes the next value into v, which is settable.
func (d decoder) value(path string, v reflect.Value) error {
	if v.Type() == rawType {
		var raw Raw
		if err := d.Decode(&raw); err != nil {
			return fail(path, "%v", err)
		}
		v.SetBytes(raw)
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(path, v.Elem())
	}
	token, err := d.Token()
	if err != nil {
		return fail(path, "%v", err)
	}
	if token == nil {
		return fail(path, "want %s, got null", describe(v.Type()))
	}
	if v.Type() == anyType {
		return d.untyped(path, token, v)
	}
	switch v.Kind() {
	case reflect.Struct:
		if token == json.Delim('{') {
			return d.structure(path, v)
		}
	case reflect.Map:
		if token == json.Delim('{') {
			return d.mapping(path, v)
		}
	case reflect.Slice, reflect.Array:
		if token == json.Delim('[') {
			return d.list(path, v)
		}
	case reflect.String:
		if s, ok := token.(string); ok {
			v.SetString(s)
			return nil
		}
	case reflect.Bool:
		if b, ok := token.(bool); ok {
			v.SetBool(b)
			return nil
		}
	case reflect.Int, reflect.Int64:
		if n, ok := token.(json.Number); ok {
			i, err := strconv.ParseInt(string(n), 10, v.Type().Bits())
			if err != nil {
				return fail(path, "want an integer of %d bits, got %s", v.Type().Bits(), fault.Excerpt(string(n)))
			}
			v.SetInt(i)
			return nil
		}
	case reflect.Uint64:
		if n, ok := token.(json.Number); ok {
			u, err := strconv.ParseUint(string(n), 10, 64)
			if err != nil {
				return fail(path, "want an unsigned integer of 64 bits, got %s", fault.Excerpt(string(n)))
			}
			v.SetUint(u)
			return nil
		}
	case reflect.Float64:
		if n, ok := token.(json.Number); ok {
			f, err := strconv.ParseFloat(string(n), 64)
			if err != nil || math.IsInf(f, 0) {
				return fail(path, "want a number that float64 holds, got %s", fault.Excerpt(string(n)))
			}
			v.SetFloat(f)
			return nil
		}
	}
	return fail(path, "want %s, got %s", describe(v.Type()), describeToken(token))
}

func (d decoder) structure(path string, v reflect.Value) error {
	fields := make(map[string]reflect.Value, v.NumField())
	var extra reflect.Value
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Tag.Get("strict") == "extra" {
			extra = v.Field(i)
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		fields[name] = v.Field(i)
	}
	return d.members(path, func(key, at string) error {
		if field, known := fields[key]; known {
			return d.value(at, field)
		}
		if !extra.IsValid() {
			return fail(path, "unknown key %q", fault.Excerpt(key))
		}
		// Decoded once for its checks, then kept as written.
		var raw Raw
		if err := d.Decode(&raw); err != nil {
			return fail(at, "%v", err)
		}
		var checked any
		if err := Unmarshal(raw, &checked); err != nil {
			return fail(at, "%v", err)
		}
		if extra.IsNil() {
			extra.Set(reflect.MakeMap(extra.Type()))
		}
		extra.SetMapIndex(reflect.ValueOf(key), reflect.ValueOf(raw))
		return nil
	})
}

func (d decoder) mapping(path string, v reflect.Value) error {
	v.Set(reflect.MakeMap(v.Type()))
	return d.members(path, func(key, at string) error {
		element := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(at, element); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key), element)
		return nil
	})
}

// members calls visit for every key of an object whose brace has been read, and refuses a key
// that comes twice.
func (d decoder) members(path string, visit func(key, at string) error) error {
	seen := make(map[string]bool)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return fail(path, "%v", err)
		}
		key := token.(string)
		if seen[key] {
			return fail(path, "duplicate key %q", fault.Excerpt(key))
		}
		seen[key] = true
		at := fault.Excerpt(key)
		if path != "" {
			at = path + "." + at
		}
		if err := visit(key, at); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func (d decoder) list(path string, v reflect.Value) error {
	n := 0
	for ; d.More(); n++ {
		at := fmt.Sprintf("%s[%d]", path, n)
		if v.Kind() == reflect.Array {
			if n >= v.Len() {
				return fail(path, "want %d elements, got more", v.Len())
			}
			if err := d.value(at, v.Index(n)); err != nil {
				return err
			}
			continue
		}
		element := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(at, element); err != nil {
			return err
		}
		v.Set(reflect.Append(v, element))
	}
	if v.Kind() == reflect.Array && n < v.Len() {
		return fail(path, "want %d elements, got %d", v.Len(), n)
	}
	if v.Kind() == reflect.Slice && n == 0 {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
	_, err := d.Token()
	return err
}

// untyped decodes the value that starts with token into v of type any.
func (d decoder) untyped(path string, token json.Token, v reflect.Value) error {
	switch token {
	case json.Delim('{'):
		object := reflect.New(reflect.TypeFor[map[string]any]()).Elem()
		if err := d.mapping(path, object); err != nil {
			return err
		}
		v.Set(object)
	case json.Delim('['):
		list := reflect.New(reflect.TypeFor[[]any]()).Elem()
		if err := d.list(path, list); err != nil {
			return err
		}
		v.Set(list)
	default:
		v.Set(reflect.ValueOf(token))
	}
	return nil
}

func describe(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "an integer"
	case reflect.Float64:
		return "a number"
	}
	return "a value"
}

func describeToken(token json.Token) string {
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return "an object"
		}
		return "a list"
	case string:
		return strconv.Quote(fault.Excerpt(t))
	}
	return fault.Excerpt(fmt.Sprint(token))
}
