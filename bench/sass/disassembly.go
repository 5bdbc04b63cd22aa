package main

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// instruction is one machine instruction; each takes 16 bytes.
type instruction struct {
	Predicate string `json:"predicate"` // "@P0", "@!UP1"; "" for always
	Opcode    string `json:"opcode"`    // "HMMA.16816.F32"
	Operands  string `json:"operands"`
}

// kernel is the machine code of one kernel for one architecture, and what it takes of a
// multiprocessor.
type kernel struct {
	Name         string
	Code         []instruction
	Registers    int // a thread
	StaticShared int // bytes a block
}

// disassemble returns the kernels of a cubin file.
func disassemble(nvdisasm, path string) (capability string, kernels []kernel, err error) {
	file, err := elf.Open(path)
	if err != nil {
		return "", nil, fmt.Errorf("%s: not a cubin: %w", path, err)
	}
	defer file.Close()
	var stderr bytes.Buffer
	command := exec.Command(nvdisasm, "--emit-json", path)
	command.Stderr = &stderr
	text, err := command.Output()
	if err != nil {
		return "", nil, fmt.Errorf("%s --emit-json %s: %w: %s", nvdisasm, path, err, strings.TrimSpace(stderr.String()))
	}
	var parts [2]json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return "", nil, fmt.Errorf("%s: output of nvdisasm: %w", path, err)
	}
	var head struct {
		SM struct {
			Version struct{ Major, Minor int }
		}
	}
	var functions []struct {
		Name         string        `json:"function-name"`
		Instructions []instruction `json:"sass-instructions"`
	}
	if err := json.Unmarshal(parts[0], &head); err != nil {
		return "", nil, fmt.Errorf("%s: output of nvdisasm: %w", path, err)
	}
	if err := json.Unmarshal(parts[1], &functions); err != nil {
		return "", nil, fmt.Errorf("%s: output of nvdisasm: %w", path, err)
	}
	registers, err := registerCounts(file)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, f := range functions {
		k := kernel{Name: f.Name, Code: f.Instructions}
		k.Registers = registers[f.Name]
		if section := file.Section(".nv.shared." + f.Name); section != nil {
			k.StaticShared = int(section.Size)
			if head.SM.Version.Major >= 9 {
				k.StaticShared -= systemShared
			}
		}
		kernels = append(kernels, k)
	}
	return fmt.Sprintf("sm_%d%d", head.SM.Version.Major, head.SM.Version.Minor), kernels, nil
}

// systemShared is the bytes of a block's shared memory that the system keeps; from compute capability
// 9.0 on a cubin counts them as the kernel's.
const systemShared = 1 << 10

// registerCounts reads the registers of each kernel from the section .nv.info: entries of a format
// byte, an attribute byte and 16 bits, which for the format 4 are a size, and that many bytes follow.
// Attribute 0x2f holds the index of a symbol and its register count.
func registerCounts(file *elf.File) (map[string]int, error) {
	section := file.Section(".nv.info")
	if section == nil {
		return nil, fmt.Errorf("no section .nv.info")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	symbols, err := file.Symbols()
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for len(info) >= 4 {
		format, attribute := info[0], info[1]
		size := int(file.ByteOrder.Uint16(info[2:]))
		info = info[4:]
		if format != 4 {
			continue
		}
		if size > len(info) {
			return nil, fmt.Errorf("section .nv.info: an entry of %d bytes where %d are left", size, len(info))
		}
		if attribute == 0x2f && size == 8 {
			symbol := int(file.ByteOrder.Uint32(info)) - 1 // Symbols leaves out the first, empty one
			if symbol >= 0 && symbol < len(symbols) {
				counts[symbols[symbol].Name] = int(file.ByteOrder.Uint32(info[4:]))
			}
		}
		info = info[size:]
	}
	return counts, nil
}

// base is the opcode without its modifiers: "HMMA" of "HMMA.16816.F32".
func (i instruction) base() string {
	name, _, _ := strings.Cut(i.Opcode, ".")
	return name
}

// has tells whether the opcode carries a modifier.
func (i instruction) has(modifier string) bool {
	_, rest, _ := strings.Cut(i.Opcode, ".")
	for _, part := range strings.Split(rest, ".") {
		if part == modifier {
			return true
		}
	}
	return false
}

// target is the index of the instruction that a branch leads to, or -1 where it is no direct branch.
func (i instruction) target() int {
	if i.base() != "BRA" {
		return -1
	}
	operands := strings.Split(i.Operands, ",")
	address, err := strconv.ParseInt(strings.TrimPrefix(operands[len(operands)-1], "0x"), 16, 64)
	if err != nil {
		return -1
	}
	return int(address / 16)
}

// conditional tells whether an instruction may do nothing: a predicate, or a branch that asks for a
// predicate or a vote among its operands.
func (i instruction) conditional() bool {
	return i.Predicate != "" && i.Predicate != "@PT" && i.Predicate != "@UPT" || strings.Contains(i.Operands, ",")
}

// local tells whether an instruction reads or writes the thread's local memory: a spilled register,
// or an array that found no place in registers.
func (i instruction) local() bool { return i.base() == "LDL" || i.base() == "STL" }
