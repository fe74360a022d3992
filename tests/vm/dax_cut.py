# SPDX-License-Identifier: BSD-3-Clause
"""Runs in a guest, in the share: a file is cut and grown while others use it, each in another way.

Usage: dax_cut.py FILE CUTS. Who meets the cut hears of it (EFAULT, SIGBUS, fewer bytes); the
machine lives. Pages are touched by system calls, which say EFAULT where a load would end Python.
"""
import mmap
import os
import random
import sys
import traceback

SIZE = 16 << 20
PAGE = 4096


def touch(pages, sink, rounds=300):
    """Load from pages here and there, as copies into a file in memory."""
    view = memoryview(pages)
    for _ in range(rounds):
        at = random.randrange(SIZE // PAGE) * PAGE
        try:
            os.pwrite(sink, view[at:at + 8], 0)
        except OSError as error:
            assert error.errno == 14, error


def store(pages, source, rounds=300):
    view = memoryview(pages)
    for _ in range(rounds):
        at = random.randrange(SIZE // PAGE) * PAGE
        try:
            os.preadv(source, [view[at:at + 8]], 0)
        except OSError as error:
            assert error.errno == 14, error


def mapped(prot, flags, use, populate=False):
    """A user of a mapping, whose private pages go again and again."""
    def run(fd, ready):
        memory = os.memfd_create("memory")
        os.pwrite(memory, bytes(PAGE), 0)
        with mmap.mmap(fd, SIZE, flags, prot) as pages:
            os.write(ready, b".")
            while True:
                pages.madvise(mmap.MADV_DONTNEED)
                if populate:
                    try:
                        pages.madvise(22)   # MADV_POPULATE_READ
                    except OSError:
                        pass
                use(pages, memory)
    return run


def called(fd, ready):
    """read(2) and write(2)."""
    os.write(ready, b".")
    while True:
        at = random.randrange(SIZE)
        os.pread(fd, 100000, at)
        # Not behind its end: that would make it longer.
        os.pwrite(fd, b"w", 0)


READ, WRITE, EXEC = mmap.PROT_READ, mmap.PROT_WRITE, mmap.PROT_EXEC
USERS = [
    mapped(READ | EXEC, mmap.MAP_PRIVATE, touch),
    mapped(READ | EXEC, mmap.MAP_PRIVATE, touch, populate=True),
    mapped(READ | WRITE | EXEC, mmap.MAP_PRIVATE, store),
    mapped(READ | WRITE, mmap.MAP_SHARED, store),
    mapped(READ | WRITE, mmap.MAP_PRIVATE, store),
    mapped(READ, mmap.MAP_PRIVATE, touch),
    mapped(READ | EXEC, mmap.MAP_SHARED, touch),
    called,
]

name, cuts = sys.argv[1], int(sys.argv[2])
file = os.open(name, os.O_RDWR)
children = []
begun, ready = os.pipe()
for user in USERS:
    child = os.fork()
    if not child:
        try:
            user(file, ready)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    children.append(child)
os.close(ready)
# Python maps no more than the file has: all map it before it is cut.
for user in USERS:
    assert os.read(begun, 1) == b".", "a user of the file did not begin"
for _ in range(cuts):
    os.truncate(name, random.choice([0, 65536, random.randrange(SIZE)]))
    os.truncate(name, SIZE)
    os.sched_yield()
for number, child in enumerate(children):
    assert os.waitpid(child, os.WNOHANG) == (0, 0), f"user {number} of the file ended"
    os.kill(child, 9)
    os.waitpid(child, 0)
print("lives")
