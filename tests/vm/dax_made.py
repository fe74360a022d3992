# SPDX-License-Identifier: BSD-3-Clause
"""Runs in a guest, in the share: files that were made here and are opened again while they are mapped.

Usage: dax_made.py. Each file is made and mapped in one of several ways, at a size that goes
through the window; then others open and close it, and all of them see the same bytes.
"""
import mmap
import os

SIZE = 4 << 20
PAGE = 4096


def made(name, flags=os.O_CREAT):
    """Its descriptor; of that size."""
    fd = os.open(name, os.O_RDWR | flags, 0o644)
    os.pwrite(fd, b"a" * SIZE, 0)
    os.fstat(fd)
    return fd


def opened_meanwhile(again, fd, stay):
    """Others open the file, `again`, and some of them `stay`; what is stored is seen by all."""
    with mmap.mmap(fd, SIZE) as pages:
        pages[0] = 1
        others = []
        for number in range(1, 5):
            other = again()
            os.fstat(other)
            # Pages that were there, and pages that come now.
            for at in (0, number * 100 * PAGE, SIZE - number * PAGE):
                pages[at] = number
                assert os.pread(other, 1, at) == bytes([number])
                os.pwrite(other, bytes([number + 100]), at + 1)
                assert pages[at + 1] == number + 100
            assert pages[number * 50 * PAGE] == (ord("a") if number % 2 else number // 2)
            if stay:
                others.append(other)
            else:
                os.close(other)
        for other in others:
            os.close(other)
        assert pages[0] == 4 and pages[1] == 104
    os.close(fd)


def by_name(name):
    return lambda: os.open(name, os.O_RDWR)


for stay in (False, True):
    # The maker has it mapped.
    opened_meanwhile(by_name("kept"), made("kept"), stay)
    # The maker is gone, and the next.
    for closed in range(1, 4):
        name = f"closed-{closed}-{stay}"
        os.close(made(name, os.O_CREAT | os.O_EXCL))
        for _ in range(1, closed):
            os.close(os.open(name, os.O_RDONLY))
        opened_meanwhile(by_name(name), os.open(name, os.O_RDWR), stay)
    # Without a name, until it gets one.
    nameless = made(".", os.O_TMPFILE)
    opened_meanwhile(lambda fd=nameless: os.open(f"/proc/self/fd/{fd}", os.O_RDWR), nameless, stay)
    # Made by several at once: one of them makes it, and the others open what is there.
    makers = [made("shared") for _ in range(3)]
    opened_meanwhile(by_name("shared"), makers.pop(), stay)
    for fd in makers:
        os.close(fd)
# What was made here is closed like any other: its places go to whom needs them.
for number in range(8):
    name = f"full-{number}"
    os.close(made(name))
    fd = os.open(name, os.O_RDWR)
    assert os.pread(fd, SIZE, 0) == b"a" * SIZE
    os.close(fd)
print("right")
