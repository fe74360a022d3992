# SPDX-License-Identifier: BSD-3-Clause
"""Runs in a guest, in a share of a daemon with --writeback: what programs see of their own writes."""
import errno
import mmap
import os
import time

DAY = 86400 * 10**9


def times_stay():
    """Times that were seen, or set, do not move when pages are sent later."""
    with open("times", "wb", buffering=0) as file:
        file.write(b"a" * 5000)
        seen = os.fstat(file.fileno()).st_mtime_ns
        time.sleep(0.05)   # a clock that stands still would hide it
    assert os.stat("times").st_mtime_ns == seen
    with open("times", "r+b", buffering=0) as file:
        file.write(b"b")
        os.utime(file.fileno(), ns=(DAY, 2 * DAY))
    assert os.stat("times").st_mtime_ns == 2 * DAY
    with open("times", "r+b", buffering=0) as file:
        file.write(b"c")
    assert os.stat("times").st_mtime_ns > 2 * DAY


def sizes_and_holes():
    """The end is where the guest says, before and after it is sent."""
    fd = os.open("sizes", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x" * 100)
    os.pwrite(fd, b"y", 1 << 20)
    assert os.lseek(fd, 0, os.SEEK_END) == (1 << 20) + 1
    assert os.pread(fd, 200, 0) == b"x" * 100 + b"\0" * 100
    assert os.pread(fd, 10, 1 << 20) == b"y"
    os.ftruncate(fd, 50)
    os.ftruncate(fd, 200)
    assert os.pread(fd, 300, 0) == b"x" * 50 + b"\0" * 150
    os.pwrite(fd, b"z", 8192)
    assert os.lseek(fd, 4096, os.SEEK_DATA) == 8192
    assert os.fstat(fd).st_size == 8193
    os.close(fd)


def parts_of_pages():
    """Bytes within a page that is not here, by a descriptor that may not read."""
    with open("parts", "wb") as file:
        file.write(b"0123456789" * 1000)
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as drop:
        drop.write("3")
    fd = os.open("parts", os.O_WRONLY)
    os.pwrite(fd, b"abc", 5000)
    os.pwrite(fd, b"def", 9999)
    os.close(fd)
    with open("parts", "rb") as file:
        data = file.read()
    assert len(data) == 10002 and data[4998:5005] == b"89abc34" and data[9997:] == b"78def"


def appends():
    """Two descriptors append in turns, one of them directly; a copy has what was not sent."""
    one = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    two = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_DIRECT)
    block = mmap.mmap(-1, 4096)
    block[:] = b"d" * 4096
    for _ in range(10):
        os.write(one, b"buffered" * 512)
        os.write(two, block)
    copy = os.open("copy", os.O_WRONLY | os.O_CREAT)
    source = os.open("log", os.O_RDONLY)
    os.write(one, b"last")
    assert os.copy_file_range(source, copy, 1 << 20) == 81924
    with open("copy", "rb") as file:
        assert file.read() == (b"buffered" * 512 + b"d" * 4096) * 10 + b"last"
    # What a mapping stores and what write() leaves are the same pages.
    with open("copy", "r+b", buffering=0) as file, mmap.mmap(file.fileno(), 81924) as shared:
        shared[4090:4100] = b"m" * 10
        file.seek(4095)
        file.write(b"w")
        assert shared[4090:4100] == b"mmmmmwmmmm"
        assert os.pread(source, 4, 81920) == b"last"
    for fd in (one, two, copy, source):
        os.close(fd)


def holes():
    """What lies before something that was not sent is zeros, not the end: for direct reads, and for a copy."""
    fd, other = (os.open(name, os.O_RDWR | os.O_CREAT) for name in ("holes", "copied"))
    direct = os.open("holes", os.O_RDONLY | os.O_DIRECT)
    block = mmap.mmap(-1, 4096)
    for round in range(4):
        os.pwrite(fd, b"far", (round + 1) << 20)
        block[:] = b"x" * 4096
        at = (round << 20) + 8192
        if round % 2:
            assert os.copy_file_range(fd, other, 4096, at, 0) == 4096
        assert os.preadv(direct, [block], at) == 4096 and block[:] == bytes(4096)
    assert os.fstat(fd).st_size == (4 << 20) + 3
    for each in (fd, other, direct):
        os.close(each)


def gone():
    """A file without a name is written to its end."""
    fd = os.open("gone", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"g" * 100000)
    os.unlink("gone")
    os.write(fd, b"h" * 100000)
    os.fsync(fd)
    assert os.pread(fd, 2, 99999) == b"gh" and os.fstat(fd).st_size == 200000
    os.close(fd)


def error_of(call, *args):
    """What it fails by, or 0."""
    try:
        call(*args)
        return 0
    except OSError as error:
        return error.errno


def full(directory):
    """No room: told at fsync(), or at once if nothing is cached; and once. The file stays usable."""
    fd = os.open(f"{directory}/full", os.O_RDWR | os.O_CREAT)
    try:
        for _ in range(64):
            os.write(fd, b"f" * 65536)
        os.fsync(fd)
        assert False, "there was room"
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    os.fsync(fd)
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"fits", 0)
    os.close(fd)
    with open(f"{directory}/full", "rb") as file:
        assert file.read() == b"fits"


def full_and_shared(directory):
    """Who closes a file, or just ends, takes nobody's error away: each open file's fsync() tells what was not kept."""
    fd, other = (os.open(f"{directory}/full", os.O_RDWR | os.O_CREAT) for _ in range(2))
    os.ftruncate(fd, 4 << 20)
    with mmap.mmap(fd, 4 << 20) as pages:
        for at in range(0, 4 << 20, 4096):
            pages[at] = 1
    if not os.fork():
        os._exit(0)
    os.wait()
    said = [error_of(os.close, os.dup(fd)), *(error_of(os.fsync, file) for file in (fd, fd, other, other))]
    assert said == [errno.ENOSPC, errno.ENOSPC, 0, errno.ENOSPC, 0], said
    os.close(fd)
    os.close(other)


for check in (times_stay, sizes_and_holes, parts_of_pages, appends, holes, gone):
    check()
if os.path.isdir("small"):
    full("small")
    full_and_shared("small")
