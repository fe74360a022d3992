# SPDX-License-Identifier: BSD-3-Clause
"""Installed programs have the hardening that distributions build with.

usage: check_hardening.py PROGRAM...
"""
import re
import subprocess
import sys

# What each is called, and what readelf or objdump says where it is there.
PROPERTIES = {
    "position independent": (["readelf", "--file-header"], r"Type: +DYN"),
    "relocations read-only": (["readelf", "--program-headers"], r"GNU_RELRO"),
    "bound at start": (["readelf", "--dynamic"], r"\bNOW\b"),
    "stack protected": (["readelf", "--syms"], r"\b__stack_chk_fail"),
    "buffers checked (_FORTIFY_SOURCE)": (["readelf", "--syms"], r"\b__\w+_chk\b"),
    # Whether the file is marked as such as a whole, its C library's start-up code decides.
    "indirect branches land where they may": (["objdump", "--disassemble", "--no-show-raw-insn"], r"\bendbr64\b"),
}


def lacking(program):
    for name, (command, expected) in PROPERTIES.items():
        said = subprocess.run([*command, program], capture_output=True, text=True, check=True).stdout
        if "endbr64" in expected and "x86-64" not in said:
            continue
        if not re.search(expected, said):
            yield name


def main():
    found = [f"{program}: not {name}" for program in sys.argv[1:] for name in lacking(program)]
    print("\n".join(found))
    return 1 if found else 0


sys.exit(main())
