"""Runs `go test` and adds up what Go itself does not: go_test.py GO PACKAGE...

Prints a line for each package, the output of each test that fails, what was skipped and why, and the
totals.
"""

import collections
import json
import subprocess
import sys


def main(go: str, *packages: str) -> int:
    counts: collections.Counter[str] = collections.Counter()
    output: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    process = subprocess.Popen([go, "test", "-json", *packages], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        try:
            event = json.loads(line)
        except ValueError:
            print(line, end="")  # what did not compile
            continue
        package, test, action = event.get("Package", ""), event.get("Test", ""), event["Action"]
        key = (package, test)
        if action in ("output", "build-output"):
            output[key].append(event["Output"])
        elif action == "build-fail":
            print("".join(output.pop(key, [])), end="")
        elif action in ("pass", "fail", "skip") and test:
            counts[action] += 1
            if action != "pass":
                print("".join(output[key]), end="")
            output.pop(key, None)
        elif action in ("pass", "fail", "skip"):
            counts[f"package {action}"] += 1
            if action == "fail":
                print("".join(output[key]), end="")
            elif action == "pass":
                print(f"ok    {package}  {event.get('Elapsed', 0):.1f} s", flush=True)
    status = process.wait()
    print(
        f"Go: {counts['pass']} tests passed, {counts['fail']} failed, {counts['skip']} skipped"
        f" in {counts['package pass'] + counts['package fail']} packages"
    )
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
