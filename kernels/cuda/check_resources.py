"""What ptxas says of the kernels: check_resources.py FOLDER STEM... [--may-use-local-memory KERNEL...]

Prints registers and static shared memory of every kernel for every card. Fails where a kernel spills
registers or keeps anything in local memory, unless it is named, and where a named one no longer does.
"""

import argparse
import pathlib
import re
import sys

ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
PROPERTIES = re.compile(r"Function properties for (\w+)")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("stems", nargs="+")
    parser.add_argument("--may-use-local-memory", nargs="*", default=[], metavar="KERNEL")
    options = parser.parse_args()

    faults: list[str] = []
    local: set[str] = set()
    kernels: set[str] = set()
    for stem in options.stems:
        kernel = target = function = ""
        entries = 0
        for line in (options.folder / f"{stem}.txt").read_text().splitlines():
            if match := ENTRY.search(line):
                kernel, target = match.groups()
                kernels.add(kernel)
                entries += 1
            elif match := PROPERTIES.search(line):
                function = match[1]
            elif match := FRAME.search(line):
                frame, stores, loads = map(int, match.groups())
                if not frame and not stores and not loads:
                    continue
                local.add(kernel)
                if kernel not in options.may_use_local_memory:
                    where = f"{stem}.cu: {kernel} for {target}"
                    if function != kernel:
                        where += f", in {function}"
                    faults.append(
                        f"{where}: want no local memory,"
                        f" got {frame} bytes of stack, {stores} of spill stores, {loads} of spill loads"
                    )
            elif match := USED.search(line):
                shared = SHARED.search(line)
                size = shared[1] if shared else 0
                print(f"{stem:16} {kernel:40} {target:8} {match[1]:>3} registers {size:>6} bytes shared")
        if not entries:
            faults.append(f"{stem}.cu: ptxas reports no kernel")
    for kernel in sorted(set(options.may_use_local_memory) - kernels):
        faults.append(f"{kernel} is excepted, but there is no such kernel")
    for kernel in sorted((set(options.may_use_local_memory) & kernels) - local):
        faults.append(f"{kernel} is excepted, but uses no local memory: take it from the list")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
