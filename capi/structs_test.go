package main

import (
	"strings"
	"testing"
	"unsafe"
)

// Three versions of a struct as callers' headers have had it.
type (
	firstVersion struct {
		size uintptr
		a    int64
	}
	thisVersion struct {
		size uintptr
		a, b int64
	}
	nextVersion struct {
		size    uintptr
		a, b, c int64
	}
)

const first = unsafe.Sizeof(firstVersion{})

func TestAdopt(t *testing.T) {
	older := firstVersion{size: first, a: 1}
	got, err := adopt("options", (*thisVersion)(unsafe.Pointer(&older)), first)
	if err != nil || got.a != 1 || got.b != 0 {
		t.Errorf("an older struct: got %+v, %v", got, err)
	}

	same := thisVersion{size: unsafe.Sizeof(thisVersion{}), a: 1, b: 2}
	if got, err = adopt("options", &same, first); err != nil || got != same {
		t.Errorf("a struct of this version: got %+v, %v", got, err)
	}

	newer := nextVersion{size: unsafe.Sizeof(nextVersion{}), a: 1, b: 2}
	if got, err = adopt("options", (*thisVersion)(unsafe.Pointer(&newer)), first); err != nil || got.a != 1 || got.b != 2 {
		t.Errorf("a newer struct without the new member: got %+v, %v", got, err)
	}
	newer.c = 1 << 56
	_, err = adopt("options", (*thisVersion)(unsafe.Pointer(&newer)), first)
	if err == nil || !strings.Contains(err.Error(), "options: a member is set that this version of the library does not know") {
		t.Errorf("a newer struct with the new member: got %v", err)
	}

	for _, size := range []uintptr{0, first - 1, maxStructSize + 1, ^uintptr(0)} {
		same.size = size
		if _, err = adopt("options", &same, first); err == nil || !strings.Contains(err.Error(), "struct_size: want 24") {
			t.Errorf("struct_size %d: got %v", size, err)
		}
	}
	if _, err = adopt[thisVersion]("options", nil, first); err == nil {
		t.Error("NULL was taken for a struct")
	}
}

func TestEmit(t *testing.T) {
	from := thisVersion{size: 99, a: 1, b: 2}

	older := struct {
		firstVersion
		beyond int64
	}{firstVersion{size: first}, 7}
	if err := emit("properties", (*thisVersion)(unsafe.Pointer(&older)), &from, first); err != nil || older.a != 1 || older.size != first {
		t.Errorf("an older struct: got %+v, %v", older, err)
	}
	if older.beyond != 7 {
		t.Error("wrote beyond an older struct")
	}

	newer := nextVersion{size: unsafe.Sizeof(nextVersion{}), c: 7}
	want := nextVersion{size: unsafe.Sizeof(nextVersion{}), a: 1, b: 2}
	if err := emit("properties", (*thisVersion)(unsafe.Pointer(&newer)), &from, first); err != nil || newer != want {
		t.Errorf("a newer struct: got %+v, %v", newer, err)
	}

	for _, size := range []uintptr{0, first - 1, maxStructSize + 1} {
		same := thisVersion{size: size, a: 5}
		if err := emit("properties", &same, &from, first); err == nil || same.a != 5 {
			t.Errorf("struct_size %d: got %+v, %v", size, same, err)
		}
	}
}
