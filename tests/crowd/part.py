# SPDX-License-Identifier: BSD-3-Clause
"""A part of a file, which one process changes in every way there is. It knows each byte of it.

The parts meet within pages, and the last one's owner moves the end of the file. A part that is
`synced` sends what was stored before holes are looked for: the kernel's own driver asks the daemon
for them without that.
"""
import ctypes
import errno
import mmap
import os

import checker
import watched
from watched import libc

PARTS = 3
PART = 70001		# bytes; the parts' ends are in pages of two owners
LONGEST = 300000	# bytes of the last part
MOST = 20000		# bytes of one operation
LEAST = 40		# operations of each process, however slow it is
PAGE = 4096

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16


def fallocate(fd, mode, offset, length):
    """Not what posix_fallocate(3) does. False where the file system cannot."""
    if not libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)):
        return True
    number = ctypes.get_errno()
    if number == errno.EOPNOTSUPP:
        return False
    raise OSError(number, "fallocate")


def page_up(at):
    return (at + PAGE - 1) // PAGE * PAGE


class Part:
    """Its bytes as they must be, and the descriptors and the mapping that it is changed through."""

    def __init__(self, path, number, choice, data, synced=False, grows=True):
        """The file has this data there now. The last part changes its length only if it `grows`."""
        self.path, self.number, self.choice, self.synced = path, number, choice, synced
        self.start = number * PART
        self.is_last = grows and number == PARTS - 1
        self.data = bytearray(data)
        self.map = None
        self.maps = True
        self.block = mmap.mmap(-1, page_up(MOST) + PAGE)
        self.open()

    def open(self):
        self.fd = os.open(self.path, os.O_RDWR)
        self.append_fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        self.direct_fd = os.open(self.path, os.O_RDWR | os.O_DIRECT)

    def close_files(self):
        for fd in (self.fd, self.append_fd, self.direct_fd):
            os.close(fd)

    # ---- choices ----

    def place(self, beyond=0):
        """A piece of the part as (from, to), counted from its start; may reach so far beyond its end."""
        end = len(self.data) + (min(beyond, LONGEST - len(self.data)) if self.is_last else 0)
        at = self.choice.randrange(end) if end else 0
        if self.choice.random() < 0.3:
            at = (self.start + at) // PAGE * PAGE - self.start
            at = max(at, 0)
        return at, min(end, at + self.choice.choice([1, 10, 512, PAGE, self.choice.randint(1, MOST)]))

    def pages(self, place):
        """The same, of whole pages that no other participant writes."""
        at, to = (page_up(self.start + x) - self.start for x in place)
        end = self.start + len(self.data)
        if not self.is_last:
            to = min(to, end // PAGE * PAGE - self.start)
        return at, max(at, to)

    def new(self, length):
        return bytes([self.choice.randrange(1, 256)]) * (length // 2) + self.choice.randbytes(length - length // 2)

    def put(self, at, data):
        """The model of a write."""
        if at + len(data) > len(self.data):
            self.data.extend(bytes(at + len(data) - len(self.data)))
        self.data[at:at + len(data)] = data

    def expect(self, found, at, to, how):
        wanted = bytes(self.data[at:to])
        if found == wanted:
            return
        wrong = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b), min(len(found), len(wanted)))
        raise AssertionError(f"{how} of {self.start + at} to {self.start + to}: byte {self.start + at + wrong} is "
                             f"{found[wrong:wrong + 8].hex()}, not {wanted[wrong:wrong + 8].hex()}; "
                             f"{len(found)} bytes of {len(wanted)}, of a part of {len(self.data)}")

    # ---- operations ----

    def write(self):
        at, to = self.place(MOST)
        data = self.new(to - at)
        done = os.pwrite(self.fd, data, self.start + at)
        assert done == len(data)
        self.put(at, data)
        return at, to

    def append(self):
        if not self.is_last or len(self.data) > LONGEST - MOST:
            return None
        data = self.new(self.choice.randint(1, MOST))
        assert os.write(self.append_fd, data) == len(data)
        self.put(len(self.data), data)
        return len(data)

    def read(self):
        at, to = self.place()
        self.expect(os.pread(self.fd, to - at, self.start + at), at, to, "pread")
        return at, to

    def mapping(self):
        """A mapping of all of the part, and how far into it that begins; or None."""
        first = self.start // PAGE * PAGE
        length = self.start + len(self.data) - first
        if self.maps and length and (not self.map or len(self.map) < length):
            try:
                self.map = mmap.mmap(self.fd, length, offset=first)
            except OSError as error:
                # Where all goes to the daemon at once.
                assert error.errno == errno.ENODEV, error
                self.maps = False
        return (self.map, self.start - first) if self.maps and length else None

    def store(self):
        at, to = self.place()
        mapping = self.mapping()
        if not mapping:
            return None
        self.put(at, self.new(to - at))
        mapping[0][mapping[1] + at:mapping[1] + to] = bytes(self.data[at:to])
        return at, to

    def load(self):
        at, to = self.place()
        mapping = self.mapping()
        if mapping:
            self.expect(mapping[0][mapping[1] + at:mapping[1] + to], at, to, "a load")
        return at, to

    def sync_stores(self):
        if self.map:
            self.map.flush()

    def write_directly(self):
        at, to = self.pages(self.place(MOST))
        to = min(to, LONGEST // PAGE * PAGE)
        if to <= at:
            return None
        data = self.new(to - at)
        self.block[:len(data)] = data
        assert os.pwritev(self.direct_fd, [memoryview(self.block)[:len(data)]], self.start + at) == len(data)
        self.put(at, data)
        return at, to

    def read_directly(self):
        at, to = self.place()
        first, last = (self.start + at) // PAGE * PAGE, page_up(self.start + to)
        got = os.preadv(self.direct_fd, [memoryview(self.block)[:last - first]], first)
        lead = self.start + at - first
        self.expect(self.block[lead:min(got, lead + to - at)], at, to, "a direct read")
        return at, to

    def punch(self):
        at, to = self.place()
        if to > at and fallocate(self.fd, PUNCH_HOLE | KEEP_SIZE, self.start + at, to - at):
            self.put(at, bytes(to - at))
        return at, to

    def zero(self):
        at, to = self.place()
        if to > at and fallocate(self.fd, ZERO_RANGE | KEEP_SIZE, self.start + at, to - at):
            self.put(at, bytes(to - at))
        return at, to

    def allocate(self):
        at, to = self.place(MOST)
        if to > at and fallocate(self.fd, 0, self.start + at, to - at) and to > len(self.data):
            self.put(to - 1, b"\0")
        return at, to

    def truncate(self):
        if not self.is_last:
            return None
        size = self.choice.choice([self.choice.randrange(LONGEST), max(0, len(self.data) - self.choice.randint(1, 5000))])
        if self.choice.random() < 0.1:
            os.truncate(self.path, self.start + size)
        else:
            os.ftruncate(self.fd, self.start + size)
        del self.data[size:]
        self.data.extend(bytes(size - len(self.data)))
        return size

    def copy(self):
        """From anywhere in the part to pages of it."""
        at, to = self.pages(self.place())
        length = min(to, len(self.data)) - at - self.choice.choice([0, 0, 1])
        if length <= 0 or len(self.data) <= length:
            return None
        source = self.choice.randrange(len(self.data) - length)
        if source < at + length and at < source + length:
            return None
        done = 0
        while done < length:
            part = os.copy_file_range(self.fd, self.fd, length - done, self.start + source + done, self.start + at + done)
            assert part > 0, f"{done} of {length} bytes copied"
            done += part
        self.put(at, bytes(self.data[source:source + length]))
        return source, at, length

    def ask_size(self):
        size = os.fstat(self.fd).st_size if self.choice.random() < 0.5 else os.stat(self.path).st_size
        end = self.start + len(self.data)
        assert size == end if self.is_last else size >= end, f"{size} bytes instead of {end}"
        if self.is_last:
            assert os.lseek(self.fd, 0, os.SEEK_END) == end

    def seek(self):
        """What is no hole may be zeros, but what is a hole is."""
        at, _ = self.place()
        if at >= len(self.data):
            return
        if self.synced:
            os.fsync(self.fd)
        hole = os.lseek(self.fd, self.start + at, os.SEEK_HOLE) - self.start
        if 0 <= hole < len(self.data):
            try:
                end = os.lseek(self.fd, self.start + hole, os.SEEK_DATA) - self.start
            except OSError as error:
                assert error.errno == errno.ENXIO
                end = len(self.data)
            assert not any(self.data[hole:end]), f"a hole from {self.start + hole} to {self.start + end}"

    def sync(self):
        self.choice.choice([os.fsync, os.fdatasync])(self.fd)

    def forget(self):
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def reopen(self):
        self.close_files()
        self.open()

    def unmap(self):
        self.map = None

    WORK = 4 * [write, read, store, load] + 2 * [write_directly, read_directly, punch, truncate, copy] + \
        [append, sync_stores, zero, allocate, ask_size, seek, sync, forget, reopen, unmap]

    def work(self):
        watched.do(self.choice.choice(self.WORK), self)
        watched.know(self.data)

    def close(self):
        self.map = None
        self.close_files()

    def run(self, seconds):
        self.expect(os.pread(self.fd, LONGEST, self.start)[:len(self.data)], 0, len(self.data), "the first pread")
        for _ in checker.operations(seconds, LEAST):
            self.work()
        self.expect(os.pread(self.fd, LONGEST, self.start)[:len(self.data)], 0, len(self.data), "the last pread")
        with open(f"{self.path}.{self.number}", "wb") as left:
            left.write(self.data)
        self.close()


def split(content):
    """The parts of a file's content."""
    return [content[number * PART:(number + 1) * PART if number < PARTS - 1 else None] for number in range(PARTS)]
