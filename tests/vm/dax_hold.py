# SPDX-License-Identifier: BSD-3-Clause
"""Runs in a guest: maps a file, says a byte of it, and once told so reads it again both ways.

Usage: dax_hold.py FILE
"""
import mmap
import sys

with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
    print(pages[5], flush=True)
    sys.stdin.readline()
    try:
        file.read(5)
        print("read", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
    print(pages[5], flush=True)
