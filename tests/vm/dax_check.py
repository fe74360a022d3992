# SPDX-License-Identifier: BSD-3-Clause
"""Runs in a guest, in the share: files of odd sizes through the window.

Usage: dax_check.py SIZE... For each: reads file SIZE by read and by mmap, stores
into it, appends, cuts and grows it, and checks what it sees at each step.
"""
import mmap
import os
import sys

from dax_check_sizes import pattern


def check(size):
    name = f"f{size}"
    want = bytearray(pattern(size, 1)[:size])
    with open(name, "r+b") as file:
        assert file.read() == want, "read"
        if size:
            with mmap.mmap(file.fileno(), 0) as shared:
                assert shared[:] == bytes(want), "mmap"
                for at in {0, size // 2, size - 1}:
                    shared[at] = want[at] = 0xa5
                shared.flush()
    with open(name, "ab") as file:
        tail = b"appended " * 700
        file.write(tail)
    want += tail
    with open(name, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as shared:
        assert shared[:] == bytes(want), "after append"
    keep = len(want) // 3
    with open(name, "r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
        shared[0] = want[0] = 0x5a
        os.truncate(name, keep)
        assert shared[:keep] == bytes(want[:keep]), "after cut"
        grown = len(want) + 3_000_000
        os.truncate(name, grown)
        want = want[:keep] + bytes(grown - keep)
        file.seek(0)
        assert file.read() == want, "after growth"
    with open(name, "r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
        shared[grown - 1] = want[grown - 1] = 0x77
        shared[grown // 2] = want[grown // 2] = 0x78
    with open(name, "rb") as file:
        assert file.read() == want, "after stores into the grown part"


for argument in sys.argv[1:]:
    check(int(argument))
print("checked", len(sys.argv) - 1)
