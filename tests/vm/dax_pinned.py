# SPDX-License-Identifier: BSD-3-Clause
"""Runs in a guest, in the share: pages of the window as buffers of other files' direct I/O.

Usage: dax_pinned.py MAPPED OTHER
"""
import mmap
import os
import sys

mapped, other = sys.argv[1:]
with open(mapped, "r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
    direct = os.open(other, os.O_RDWR | os.O_DIRECT)
    view = memoryview(pages)
    assert os.preadv(direct, [view[8192:73728]], 0) == 65536
    with open(other, "rb") as plain:
        assert plain.read(65536) == view[8192:73728]
    assert os.pwritev(direct, [view[:4096]], 4096) == 4096
    view.release()
    os.close(direct)
    with open(other, "rb") as plain:
        plain.seek(4096)
        assert plain.read(4096) == pages[:4096]
