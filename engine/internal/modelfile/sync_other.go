//go:build !unix

package modelfile

// syncDirectory does nothing where a directory cannot be flushed.
func syncDirectory(string) error { return nil }
