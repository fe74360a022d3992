#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every test that docs/cves.md names exists and runs; every CVE test is in the table.

Usage: check_cves.py SOURCE_ROOT
"""
import pathlib
import re
import sys

LEAST_ROWS = 50


def defined_tests(root):
    """Names of test functions, by where they stand, that something runs."""
    found = {}
    for path in sorted((root / "tests").rglob("test_*.c")):
        text = path.read_text()
        for name in re.findall(r"^static void (\w+)\(void \*\*state\)", text, re.M):
            # Defined once and named once more: in the table of its main().
            if len(re.findall(rf"\b{name}\b", text)) > 1:
                found.setdefault(name, []).append(path)
    for path in sorted((root / "tests").rglob("test_*.py")):
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M):
            found.setdefault(name, []).append(path)
    return found


def main():
    root = pathlib.Path(sys.argv[1])
    table = (root / "docs/cves.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("| ") and "| id |" not in line]
    named = set(re.findall(r"`(\w+)`", "\n".join(rows)))
    tests = defined_tests(root)
    problems = [f"docs/cves.md: no test {name}" for name in sorted(named - tests.keys())]
    for name, paths in sorted(tests.items()):
        if any(path.name.startswith("test_cve_") for path in paths) and name not in named:
            problems.append(f"{paths[0].relative_to(root)}: {name} is not in docs/cves.md")
    if len(rows) < LEAST_ROWS:
        problems.append(f"docs/cves.md: {len(rows)} rows; there were {LEAST_ROWS}")
    for problem in problems:
        print(problem)
    print(f"{len(rows)} rows, {len(named)} tests, {len(problems)} problems")
    return 1 if problems else 0


sys.exit(main())
