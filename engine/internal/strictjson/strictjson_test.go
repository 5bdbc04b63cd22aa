package strictjson

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

type record struct {
	Name  string           `json:"name"`
	Count int              `json:"count"`
	Big   uint64           `json:"big"`
	Ratio *float64         `json:"ratio,omitempty"`
	Flag  bool             `json:"flag"`
	Pair  [2]int           `json:"pair"`
	List  []string         `json:"list"`
	Table map[string][]int `json:"table"`
	Later Raw              `json:"later"`
	Any   any              `json:"any"`
}

type open struct {
	Name  string         `json:"name"`
	Extra map[string]Raw `json:"-" strict:"extra"`
}

// Where a document is plain, the result is encoding/json's.
func TestUnmarshal_agrees_with_encoding_json(t *testing.T) {
	for _, text := range []string{
		`{}`,
		`{"name":"a\u00e9\n\"","count":-9223372036854775808,"big":18446744073709551615,"ratio":-1.5e-3,"flag":true}`,
		` { "pair" : [ 3 , 4 ] , "list" : [ ] , "table" : { "x" : [1], "" : [] } } `,
		`{"list":["[","}","\\"],"later":{"deep":[1,{"a":null}]}}`,
	} {
		var got, want record
		if err := Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", text, got, want)
		}
	}
}

func TestUnmarshal_keeps_unknown_keys_where_asked(t *testing.T) {
	var got open
	if err := Unmarshal([]byte(`{"a":[1, 2],"name":"n","b":{"c":0.1}}`), &got); err != nil {
		t.Fatal(err)
	}
	want := open{"n", map[string]Raw{"a": Raw(`[1, 2]`), "b": Raw(`{"c":0.1}`)}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %s", got.Extra)
	}
}

func TestUnmarshal_faults(t *testing.T) {
	for text, want := range map[string]string{
		``:                                  `not valid JSON at byte 0: unexpected end of JSON input`,
		`{"name":"a"`:                       `not valid JSON at byte 11: unexpected end of JSON input`,
		`{"name":"a",}`:                     `not valid JSON at byte 13: invalid character '}' looking for beginning of object key string`,
		`{"list":["a" "b"]}`:                `not valid JSON at byte 14: invalid character '"' after array element`,
		`{} 1`:                              `not valid JSON at byte 4: invalid character '1' after top-level value`,
		"{\"name\":\"\x80\"}":               `invalid UTF-8 at byte 9`,
		`null`:                              `want an object, got null`,
		`{"Name":"a"}`:                      `unknown key "Name"`,
		`{"name":"a","name":"a"}`:           `duplicate key "name"`,
		`{"name":"a","n\u0061me":"a"}`:      `duplicate key "name"`,
		`{"table":{"x":[],"x":[]}}`:         `table: duplicate key "x"`,
		`{"any":[{"x":1,"x":1}]}`:           `any[0]: duplicate key "x"`,
		`{"any":[null]}`:                    `any[0]: want a value, got null`,
		`{"name":null}`:                     `name: want a string, got null`,
		`{"name":3}`:                        `name: want a string, got 3`,
		`{"count":1.0}`:                     `count: want an integer of 64 bits, got 1.0`,
		`{"count":9223372036854775808}`:     `count: want an integer of 64 bits, got 9223372036854775808`,
		`{"big":-1}`:                        `big: want an unsigned integer of 64 bits, got -1`,
		`{"ratio":1e309}`:                   `ratio: want a number that float64 holds, got 1e309`,
		`{"ratio":"1"}`:                     `ratio: want a number, got "1"`,
		`{"flag":1}`:                        `flag: want true or false, got 1`,
		`{"pair":[1]}`:                      `pair: want 2 elements, got 1`,
		`{"pair":[1,2,3]}`:                  `pair: want 2 elements, got more`,
		`{"pair":{}}`:                       `pair: want a list, got an object`,
		`{"list":["a",["b"]]}`:              `list[1]: want a string, got a list`,
		`{"table":{"x":[1,"y"]}}`:           `table.x[1]: want an integer, got "y"`,
		strings.Repeat("[", 33):             `arrays and objects nest 33 deep; the limit is 32`,
		`"` + strings.Repeat("é", 90) + `"`: `want an object, got "` + strings.Repeat("é", 40) + `..."`,
	} {
		var r record
		if err := Unmarshal([]byte(text), &r); err == nil || err.Error() != want {
			t.Errorf("%.50s:\n got %v\nwant %s", text, err, want)
		}
	}
	var o open
	if err := Unmarshal([]byte(`{"a":{"x":1,"x":2}}`), &o); err == nil || err.Error() != `a: duplicate key "x"` {
		t.Errorf("got %v", err)
	}
}
