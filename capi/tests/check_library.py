"""What the shared library shows and needs: check_library.py READELF LIBRARY HEADER

It exports the functions that the header declares and nothing else, depends on the C library alone,
and asks of it no version later than that of glibc 2.34 (2021).
"""

import re
import subprocess
import sys

# The parts of the C library, by their names on every Linux.
C_LIBRARY = re.compile(r"(libc|libm|libpthread|libdl|librt)\.so\.\d+|ld-linux.*\.so\.\d+")
NEWEST_GLIBC = (2, 34)


def exported(readelf: str, library: str) -> set[str]:
    names = set()
    for line in run(readelf, "--dyn-syms", "--wide", library).splitlines():
        columns = line.split()
        if len(columns) >= 8 and columns[4] in ("GLOBAL", "WEAK") and columns[6] != "UND":
            names.add(columns[7])
    return names


def declared(header: str) -> set[str]:
    with open(header, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    return set(re.findall(r"\b(brenier_\w+)\(", text))


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env={"LC_ALL": "C"}).stdout


def main(readelf: str, library: str, header: str) -> int:
    faults = []
    names, wanted = exported(readelf, library), declared(header)
    faults += [f"exported, but not declared: {name}" for name in sorted(names - wanted)]
    faults += [f"declared, but not exported: {name}" for name in sorted(wanted - names)]

    dynamic = run(readelf, "--dynamic", "--wide", library)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    faults += [f"needs {name}" for name in needed if not C_LIBRARY.fullmatch(name)]
    soname = re.findall(r"\(SONAME\).*\[(.*)\]", dynamic)
    if not soname or not re.fullmatch(r"libbrenier\.so\.\d+", soname[0]):
        faults.append(f"SONAME: want libbrenier.so.N, got {soname}")

    versions = set(re.findall(r"GLIBC_(\d+(?:\.\d+)+)", run(readelf, "--version-info", "--wide", library)))
    newest = max(tuple(map(int, version.split("."))) for version in versions)
    if newest[:2] > NEWEST_GLIBC:
        faults.append(f"needs glibc {newest}, later than {NEWEST_GLIBC}")

    print(f"exports {len(names)} functions, needs {', '.join(needed)} of glibc {'.'.join(map(str, newest))}")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
