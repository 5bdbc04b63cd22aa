package cpu

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// The portable path as an Arm program: the frozen vectors, and the oracles on small cases, under
// an emulator. It runs where a cross compiler and qemu's user mode are installed.
func TestAarch64_same_bits(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		t.Skip("this is an Arm processor; every other test here already says it")
	}
	if testing.Short() {
		t.Skip("builds for another processor and emulates it; not in short mode")
	}
	const compiler, emulator = "aarch64-linux-gnu-gcc", "qemu-aarch64"
	for _, tool := range []string{"go", compiler, emulator} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the Arm build is not tested: %v", err)
		}
	}
	test := exec.Command("go", "test", "-v", "-count=1", "-exec", emulator, "-ldflags", "-extldflags=-static",
		"-run", "TestVectors|TestRow|TestNoise_philox|TestNoise_same_bits|TestExtend_same_bits|"+
			"TestLocate_equals_brute_force/(near_ties|denormal|beyond|duplicates)",
		"brenier/kernels/cpu", "brenier/engine/internal/cpu")
	test.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=1", "CC="+compiler)
	output, err := test.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, ran := range []string{"--- PASS: TestVectors/portable", "--- PASS: TestLocate_equals_brute_force",
		"--- PASS: TestNoise_philox_known_answers"} {
		if !strings.Contains(string(output), ran) {
			t.Errorf("the emulated tests have no %q:\n%s", ran, output)
		}
	}
}
