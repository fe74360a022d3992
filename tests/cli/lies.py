# SPDX-License-Identifier: BSD-3-Clause
"""What the tests with a lying daemon share: starting one, trees that bench and silence need, a mount of one."""
import contextlib
import fcntl
import os
import struct
import subprocess
import threading

import pytest

from daemons import CASEMENT, PATIENCE
from lying import DIR, FILE, OPENED, ROOT, Liar, Tree, dirent, entry
from test_mount import can_mount

MANY = 1000		# where a Bench tree's own nodes begin
KEY = b"a key of the share's\n"
QUICK = {**os.environ, "CASEMENT_TIMEOUT": "0.5"}
SMALL = {ROOT: {"a": 2, "b": 3, "dir": 4}, 2: b"what a has", 3: b"and b", 4: {"c": 3}}
MOUNT_REASON = can_mount()
mounting = pytest.mark.skipif(MOUNT_REASON is not None, reason=str(MOUNT_REASON))


@pytest.fixture
def liars(tmp_path):
    """Starts lying daemons, each with a tree; ends them."""
    running = []

    def start(tree):
        running.append(Liar(tmp_path / f"liar{len(running)}", tree))
        return running[-1]

    start.scratch = tmp_path
    yield start
    for liar in running:
        liar.close()


def casement(*args, timeout=PATIENCE, **more):
    return subprocess.run([CASEMENT, *map(str, args)], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, **more)


def only_line(result):
    assert len(result.stderr.splitlines()) == 1, result
    return result.stderr


class Silent(Tree):
    """Does not answer requests of some kinds for one node (0: any)."""

    def __init__(self, nodes, names, node=0):
        super().__init__(nodes)
        self.names, self.node, self.kept = names.split(), node, []

    def answer(self, request):
        if request.name not in self.names or self.node not in (0, request.node):
            return super().answer(request)
        self.kept.append(request)
        return None


class Jammed(Tree):
    """From the first request of a kind on, the eventfd by which its client tells of more is full, and has no O_NONBLOCK."""

    def __init__(self, tree, name):
        super().__init__(tree.nodes)
        self.tree, self.name = tree, name
        self.begun, self.over = threading.Event(), threading.Event()

    @staticmethod
    def fill(kick):
        with contextlib.suppress(BlockingIOError):
            os.read(kick, 8)	# of a request that was seen before the client told of it
        with contextlib.suppress(BlockingIOError):
            os.write(kick, struct.pack("<Q", (1 << 64) - 2))
        fcntl.fcntl(kick, fcntl.F_SETFL, os.O_RDWR)

    def answer(self, request):
        answer = self.tree.answer(request)
        if request.name == self.name and not self.begun.is_set():
            self.fill(request.queue.kick)
            request.reply(answer)
            self.begun.set()
            self.over.wait(2 * PATIENCE)	# else the queue's thread would read it
            return None
        return answer


class Bench(Tree):
    """What casement bench makes and asks for, without remembering any of it."""

    def __init__(self):
        super().__init__({ROOT: {}})
        self.made = MANY

    def make(self, mode):
        self.made += 1
        return entry(self.made, mode)

    def mkdir(self, _request):
        return self.make(DIR)

    def create(self, _request):
        return self.make(FILE) + OPENED

    def lookup(self, _request):
        return -2

    def getattr(self, request):
        return entry(request.node, FILE)[24:]

    def read(self, request):
        return bytes(request.room)

    def write(self, request):
        return struct.pack("<II", struct.unpack_from("<I", request.body, 16)[0], 0)

    def setattr(self, request):
        return self.getattr(request)

    def readdir(self, _request):
        return b""

    def readdirplus(self, request):
        if struct.unpack_from("<Q", request.body, 8)[0]:
            return b""
        return entry(self.made, FILE) + dirent(b"file", 1, kind=FILE >> 12)


@contextlib.contextmanager
def lying_mount(liar, *options, **more):
    """The process of `casement mount`, and the directory; nothing of either is left."""
    target = liar.path.with_suffix(".mnt")
    target.mkdir()
    process = subprocess.Popen([CASEMENT, "mount", liar.path, target, *map(str, options)],
                               stderr=subprocess.PIPE, text=True, **more)
    try:
        yield process, target
    finally:
        process.kill()
        process.communicate()
        subprocess.run(["umount", "-l", target], stderr=subprocess.DEVNULL)
