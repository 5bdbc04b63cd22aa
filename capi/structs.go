package main

import "unsafe"

// The sizes of the public structs as version 0.1 first had them. A program built with that header
// passes these for ever, whatever members have been added since; so they never change.
const (
	bufferFirst           = 40
	engineOptionsFirst    = 24
	enginePropertiesFirst = 40
	modelPropertiesFirst  = 72
	extensionFirst        = 40
	octaveFirst           = 32
	fieldOptionsFirst     = 64
	fitOptionsFirst       = 64
)

// maxStructSize bounds what a struct_size may claim, so that memory never set is not believed.
const maxStructSize = 1024

// adopt copies a caller's struct, whose first member is its size, to one of this version, as
// Linux's copy_struct_from_user does: members that an older caller does not have are zero, and those
// that only a newer caller has must be zero, for zero means the default. first is the struct's size
// in the first version that had it.
func adopt[T any](name string, from *T, first uintptr) (to T, err error) {
	if from == nil {
		return to, invalid("%s: want a struct, got NULL", name)
	}
	size := *(*uintptr)(unsafe.Pointer(from))
	if size < first || size > maxStructSize {
		return to, invalid("%s: struct_size: want %d, got %d; set it to sizeof the struct", name, unsafe.Sizeof(to), size)
	}
	theirs := unsafe.Slice((*byte)(unsafe.Pointer(from)), size)
	n := copy(unsafe.Slice((*byte)(unsafe.Pointer(&to)), unsafe.Sizeof(to)), theirs)
	for _, b := range theirs[n:] {
		if b != 0 {
			return to, invalid("%s: a member is set that this version of the library does not know; load one as new as the header", name)
		}
	}
	return to, nil
}

// emit copies a struct of this version to the caller's, as long as that is: an older caller does
// not get the members that it does not have, and a newer one gets zero in those only it has. The
// caller's struct_size stays.
func emit[T any](name string, to *T, from *T, first uintptr) error {
	if to == nil {
		return invalid("%s: want a struct, got NULL", name)
	}
	size := *(*uintptr)(unsafe.Pointer(to))
	if size < first || size > maxStructSize {
		return invalid("%s: struct_size: want %d, got %d; set it to sizeof the struct", name, unsafe.Sizeof(*to), size)
	}
	theirs := unsafe.Slice((*byte)(unsafe.Pointer(to)), size)
	n := copy(theirs, unsafe.Slice((*byte)(unsafe.Pointer(from)), unsafe.Sizeof(*from)))
	clear(theirs[n:])
	*(*uintptr)(unsafe.Pointer(to)) = size
	return nil
}
