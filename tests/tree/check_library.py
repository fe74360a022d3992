#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""libcasement's contract: each function of its header is exported, by a version, and in a manual.

Usage: check_library.py SOURCE_ROOT LIBRARY
"""
import pathlib
import re
import subprocess
import sys

NAME = r"\b(casement_[a-z0-9_]+)"


def header_functions(root):
    text = (root / "client/include/casement/casement.h").read_text()
    return set(re.findall(NAME + r"\(", re.sub(r"/\*.*?\*/", "", text, flags=re.S)))


def map_functions(root):
    return set(re.findall(r"^\t" + NAME + ";", (root / "client/libcasement.map").read_text(), re.M))


def exported(library):
    """Names with their version, as the dynamic linker sees them."""
    shown = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True,
                           check=True).stdout
    return {(name, version) for name, version in re.findall(r" T ([\w.]+)@@?([\w.]+)$", shown, re.M)}


def documented(root):
    text = "".join(p.read_text() for p in (root / "docs/man").glob("*.3"))
    return set(re.findall(NAME + r" ?\(", text))


def main():
    root, library = pathlib.Path(sys.argv[1]), sys.argv[2]
    functions = header_functions(root)
    symbols = exported(library)
    problems = [f"{name}: in {here}, not in {there}"
                for here, there, left, right in [
                    ("the header", "libcasement.map", functions, map_functions(root)),
                    ("libcasement.map", "the header", map_functions(root), functions),
                    ("the header", "the library's symbols", functions, {n for n, _ in symbols}),
                    ("the library's symbols", "the header", {n for n, _ in symbols}, functions),
                    ("the header", "a manual", functions, documented(root)),
                    ("a manual", "the header", documented(root), functions)]
                for name in sorted(left - right)]
    problems += [f"{name}: version {version}" for name, version in sorted(symbols)
                 if not version.startswith("CASEMENT_")]
    for problem in problems:
        print(problem)
    print(f"{len(functions)} functions looked at, {len(problems)} problems")
    return 1 if problems or len(functions) < 50 else 0


sys.exit(main())
