# SPDX-License-Identifier: BSD-3-Clause
"""Runs in a guest, in the share: a mapped file is made longer, and stored into all along.

Usage: dax_grow.py FILE SIZE
"""
import mmap
import os
import sys

STEP = 1 << 20

name, size = sys.argv[1], int(sys.argv[2])
with open(name, "r+b") as file:
    os.truncate(name, size)
    with mmap.mmap(file.fileno(), 0) as pages:
        for at in range(0, size, STEP):
            pages[at:at + 8] = at.to_bytes(8, "little")
        for at in range(0, size, STEP):
            assert pages[at:at + 8] == at.to_bytes(8, "little"), at
    file.seek(5 * STEP)
    assert file.read(8) == (5 * STEP).to_bytes(8, "little")
