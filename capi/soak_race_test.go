//go:build race

package main

import "testing"

func TestSoak(t *testing.T) {
	if soak() != 0 {
		t.Error("checks failed: see above")
	}
}
