# SPDX-License-Identifier: BSD-3-Clause
"""The commands against a daemon that lies: what they must withstand, and when they must end."""
import collections
import contextlib
import os
import signal
import struct
import subprocess

import pytest

from daemons import CASEMENT, PATIENCE
from lying import DIR, FILE, OPENED, ROOT, Liar, Tree, dirent, entry

MANY = 1000		# where a Bench tree's own nodes begin


@pytest.fixture
def liars(tmp_path):
    """Starts lying daemons, each with a tree; ends them."""
    running = []

    def start(tree):
        running.append(Liar(tmp_path / f"liar{len(running)}", tree))
        return running[-1]

    yield start
    for liar in running:
        liar.close()


def casement(*args, timeout=PATIENCE, **more):
    return subprocess.run([CASEMENT, *map(str, args)], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, **more)


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


# ---- what a daemon finds in the memory that it is given ----

class Curious(Bench):
    """Looks through all of that memory for addresses in the client, at some requests of each kind."""
    liar = None
    found = frozenset()

    def __init__(self):
        super().__init__()
        self.seen = collections.Counter()

    def answer(self, request):
        self.seen[request.name] += 1
        if self.seen[request.name] in (2, 200):
            self.found |= self.liar.connection.client_addresses()
        return super().answer(request)


WORKS = "create:4,readdirplus:2,read:2,untar:2"


def test_bench_shows_no_address_of_its_own(liars):
    """With one, a daemon could send requests of its own making, and write where it likes."""
    tree = Curious()
    tree.liar = liars(tree)
    result = casement("bench", tree.liar.path, "--work", WORKS, "--time", 200, "--warm", 5, "--runs", 1,
                      "--file-size", "1M", "--entries", 20)
    assert tree.found == frozenset()
    assert {"CREATE", "READDIRPLUS", "READ", "WRITE", "SETATTR"} <= set(tree.liar.seen), result


def test_files_commands_show_no_address_of_their_own(liars, tmp_path):
    class Files(Tree):
        found = frozenset()

        def answer(self, request):
            self.found |= self.liar.connection.client_addresses()
            return super().answer(request)

    tree = Files({ROOT: {"dir": 2, "link": 4}, 2: {"file": 3}, 3: b"text", 4: "dir/file"})
    tree.liar = liars(tree)
    for words in (["ls", "-lR", tree.liar.path], ["cat", tree.liar.path, "link"],
                  ["cp", "-r", f"{tree.liar.path}:", tmp_path / "to"]):
        assert casement(*words).returncode == 0, words
    assert tree.found == frozenset()
