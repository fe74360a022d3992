# SPDX-License-Identifier: BSD-3-Clause
"""A file that all participants write to at once, each to pages of its own. What others write beside
them changes none of them, whatever a guest sends and reads along with its own."""
import errno
import mmap
import os

import checker
import watched
from part import KEEP_SIZE, LEAST, PAGE, PUNCH_HOLE, fallocate

EACH = 12		# pages of each


class Pages:
    """Every COUNTth page, as it was left, and the ways to it."""

    def __init__(self, path, left, mine, count, choice):
        """In the end they are written to the file `left`."""
        self.path, self.left, self.choice = path, left, choice
        self.numbers = range(mine, EACH * count, count)
        self.known = {number: bytes(PAGE) for number in self.numbers}
        self.length = EACH * count * PAGE
        self.block = mmap.mmap(-1, PAGE)
        self.open()

    def open(self):
        self.fd = os.open(self.path, os.O_RDWR)
        self.direct_fd = os.open(self.path, os.O_RDWR | os.O_DIRECT)
        try:
            self.map = mmap.mmap(self.fd, self.length)
        except OSError as error:
            # Where all goes to the daemon at once.
            assert error.errno == errno.ENODEV, error
            self.map = None

    def close(self):
        self.map = None
        os.close(self.fd)
        os.close(self.direct_fd)

    def page(self):
        return self.choice.choice(self.numbers)

    def piece(self):
        """Of a page of ours: its number, from, to."""
        start = self.choice.randrange(PAGE)
        return self.page(), start, self.choice.choice([PAGE, self.choice.randint(start + 1, PAGE)])

    def put(self, number, start, data):
        page = self.known[number]
        self.known[number] = page[:start] + data + page[start + len(data):]

    def expect(self, found, first, how):
        """What was found from the page `first` on, where it is ours."""
        for number in range(first, first + len(found) // PAGE):
            page = found[(number - first) * PAGE:(number - first + 1) * PAGE]
            known = self.known.get(number, page)
            wrong = next((i for i in range(PAGE) if page[i] != known[i]), None) if page != known else None
            assert wrong is None, f"{how} of page {number}, which is ours: byte {wrong} is " \
                f"{page[wrong:wrong + 8].hex()}, not {known[wrong:wrong + 8].hex()}"

    # ---- operations ----

    def write(self):
        number, start, end = self.piece()
        data = self.choice.randbytes(end - start)
        assert os.pwrite(self.fd, data, number * PAGE + start) == len(data)
        self.put(number, start, data)
        return number, start, end

    def write_directly(self):
        number = self.page()
        self.block[:] = self.choice.randbytes(PAGE)
        assert os.pwritev(self.direct_fd, [self.block], number * PAGE) == PAGE
        self.put(number, 0, self.block[:])
        return number

    def store(self):
        if not self.map:
            return None
        number, start, end = self.piece()
        data = self.choice.randbytes(end - start)
        self.map[number * PAGE + start:number * PAGE + end] = data
        self.put(number, start, data)
        return number, start, end

    def punch(self):
        number = self.page()
        if fallocate(self.fd, PUNCH_HOLE | KEEP_SIZE, number * PAGE, PAGE):
            self.put(number, 0, bytes(PAGE))
        return number

    def span(self):
        """Pages of anybody's: the first, and how many."""
        first = self.choice.randrange(self.length // PAGE)
        return first, self.choice.randint(1, self.length // PAGE - first)

    def read(self):
        first, length = self.span()
        found = os.pread(self.fd, length * PAGE, first * PAGE)
        assert len(found) == length * PAGE
        self.expect(found, first, "pread")

    def load(self):
        first, length = self.span()
        if self.map:
            self.expect(self.map[first * PAGE:(first + length) * PAGE], first, "a load")

    def read_directly(self):
        number = self.page()
        assert os.preadv(self.direct_fd, [self.block], number * PAGE) == PAGE
        self.expect(self.block[:], number, "a direct read")

    def sync(self):
        if self.map:
            self.map.flush()
        self.choice.choice([os.fsync, os.fdatasync])(self.fd)

    def reopen(self):
        self.close()
        self.open()

    WORK = 4 * [write, store, read, load] + 2 * [write_directly, read_directly] + [punch, sync, reopen]

    def work(self):
        watched.do(self.choice.choice(self.WORK), self)
        watched.know(b"".join(self.known.values()))

    def run(self, seconds):
        for _ in checker.operations(seconds, LEAST):
            self.work()
        self.close()
        with open(self.path, "rb") as file:
            self.expect(file.read(), 0, "the last read")
        with open(self.left, "wb") as left:
            left.write(b"".join(self.known.values()))


def make(path, count):
    with open(path, "wb") as file:
        file.truncate(EACH * count * PAGE)


def check_all(path, lefts):
    """After the last write each participant reads in each page what its owner wrote."""
    with open(path, "rb") as file:
        found = file.read()
    for owner, name in enumerate(lefts):
        with open(name, "rb") as left:
            known = left.read()
        for at in range(EACH):
            number = at * len(lefts) + owner
            assert found[number * PAGE:(number + 1) * PAGE] == known[at * PAGE:(at + 1) * PAGE], \
                f"{owner}'s page {number} is not what it left"
