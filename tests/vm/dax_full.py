# SPDX-License-Identifier: BSD-3-Clause
"""Runs in a guest, in the share: files grow, and are each other's buffers, in a window that others fill.

Usage: dax_full.py OTHERS. So many files are open and mapped all along (other-0 ...). What is done to
`grown`, `sparse` and `copied` must be as without a window; their contents are left for the host to see.
"""
import mmap
import os
import sys

MIB = 1 << 20
PAGE = 4096


def map_all(fd, flags=mmap.MAP_SHARED):
    return mmap.mmap(fd, 0, flags, mmap.PROT_READ | mmap.PROT_WRITE)


def load(pages, step=PAGE):
    return {pages[at] for at in range(0, len(pages), step)}


def grow_by_writes(fd):
    """Each byte of it can be loaded at once by old mappings and new ones, and private pages stay."""
    kept = map_all(fd)
    private = map_all(fd, mmap.MAP_PRIVATE)
    private[5] = 0x77
    for step in range(24):
        data = b"\7" * (MIB + (step % 3) * 1001)
        assert os.write(fd, data) == len(data)
        with map_all(fd) as pages:
            assert len(pages) == os.fstat(fd).st_size
            assert load(pages) == {7} and pages[len(pages) - 1] == 7
            pages[len(pages) - 1] = 8
            assert os.pread(fd, 1, len(pages) - 1) == b"\10"
            os.pwrite(fd, b"\7", len(pages) - 1)
            assert pages[len(pages) - 1] == 7
        assert load(kept) == {7}
        assert private[5] == 0x77
    kept[4] = 7
    kept.flush()
    os.fsync(fd)


def grow_by_holes(fd):
    """Faults far from what was there, of all sizes: loads, stores, and both next to each other."""
    for size in (3 * MIB, 20 * MIB + 5):
        os.truncate(fd, size)
        with map_all(fd) as pages:
            for at in range(size - PAGE, 0, -(size // 50)):
                assert pages[at] in (0, 9)
                pages[at] = 9
                assert os.pread(fd, 1, at) == b"\t"
            assert pages[size - 1] in (0, 9)


def copy_within(fd, pages, to):
    """read(2) and write(2) whose buffers are the file's own pages, of another part of it."""
    view = memoryview(pages)
    size = len(pages)
    for count in (10, PAGE, 100_000, size // 3):
        for at in (0, size // 3 + 7, size - count):
            assert os.preadv(fd, [view[to:to + count]], at) == count
            assert os.pwrite(fd, view[to:to + count], at) == count
    direct = os.open("copied", os.O_RDWR | os.O_DIRECT)
    assert os.preadv(direct, [view[:65536]], 0) == 65536
    assert os.pwrite(direct, view[65536:65536 + 8 * PAGE], 0) == 8 * PAGE
    os.close(direct)
    view.release()


others = []
for number in range(int(sys.argv[1])):
    others.append(map_all(os.open(f"other-{number}", os.O_RDWR)))
    assert load(others[-1]) == {number}
copied = os.open("copied", os.O_RDWR)
assert os.read(copied, MIB) == b"c" * MIB
os.write(copied, b"c" * 900_001)
with map_all(copied) as mapping:
    copy_within(copied, mapping, 1_200_001)
    assert load(mapping) == {ord("c")}
grown = os.open("grown", os.O_RDWR)
assert os.read(grown, 65536) == b"\7" * 65536
grow_by_writes(grown)
sparse = os.open("sparse", os.O_RDWR)
assert os.read(sparse, 10) == b"\t" * 10
grow_by_holes(sparse)
for number, pages in enumerate(others):
    assert load(pages) == {number}
print("right")
