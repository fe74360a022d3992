# SPDX-License-Identifier: BSD-3-Clause
"""casement bench and a daemon that lies: it ends when it is told to."""
import json
import signal
import subprocess
import time

import pytest

from daemons import CASEMENT
from lies import QUICK, Bench, Jammed, casement, liars, only_line  # noqa: F401
from lying import FILE, OPENED, dirent, entry


# ---- bench: it ends when it is told to ----

BENCH = ["--runs", 1, "--warm", 5, "--file-size", "1M", "--entries", 50]


def start_bench(liar, work, *options):
    return subprocess.Popen([CASEMENT, "bench", liar.path, "--work", work, *map(str, [*BENCH, *options])],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def stop_bench(process, *signals):
    """Its exit status after these signals, and that it is soon."""
    for number in signals:
        process.send_signal(number)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 128 + signal.SIGINT, said
    return said


@pytest.mark.parametrize("work,name,after,number", [
    ("create", "MKDIR", 1, signal.SIGINT), ("create", "CREATE", 3, signal.SIGTERM), ("create", "UNLINK", 2, signal.SIGHUP),
    ("read", "WRITE", 1, signal.SIGINT), ("read", "READ", 2, signal.SIGINT),
    ("readdirplus", "READDIRPLUS", 1, signal.SIGINT), ("create", "BATCH_FORGET", 1, signal.SIGINT),
])
def test_bench_ends_by_a_signal(liars, work, name, after, number):
    """Whatever the daemon does not answer any more."""
    class Stuck(Bench):
        count = 0

        def answer(self, request):
            self.count += request.name == name
            return super().answer(request) if request.name != name or self.count < after else None

    liar = liars(Stuck())
    process = start_bench(liar, work, "--time", 60000)
    liar.wait_for(name, after)
    stop_bench(process, number)


def test_bench_ends_at_once_by_a_second_signal(liars):
    """Though the daemon answers, and has always more to be removed."""
    class Full(Bench):
        def readdir(self, _request):
            return b"".join(dirent(b"file%d" % i, i + 1) for i in range(100))

    liar = liars(Full())
    process = start_bench(liar, "create", "--time", 60000, "--entries", 1000000)
    liar.wait_for("UNLINK", 10)
    process.send_signal(signal.SIGINT)
    liar.wait_for("READDIR", 3)
    stop_bench(process, signal.SIGINT)


def test_a_time_shorter_than_a_request(liars, tmp_path):
    """As on a busy host: what was done first counts, with the time that it took."""
    class Slow(Bench):
        def getattr(self, request):
            time.sleep(0.02)
            return super().getattr(request)

    out = tmp_path / "out.json"
    result = casement("bench", liars(Slow()).path, "--work", "getattr", *BENCH, "--warm", 0, "--time", 10, "--json", out)
    assert result.returncode == 0, result
    assert 0 < json.loads(out.read_text())["rows"][0]["A"]["ops_per_s"]["median"] <= 50


@pytest.mark.parametrize("work,names", [("create", 1), ("create", 100), ("create", 0), ("git-status", 60)])
def test_bench_ends_where_a_directory_does_not(liars, work, names):
    """Neither what is listed to be removed nor what is measured is taken to be as long as the daemon says."""
    class Full(Bench):
        def readdir(self, _request):
            return b"".join(dirent(b"file%d" % i, i + 1) for i in range(names)) or bytes(30)

        def readdirplus(self, _request):
            return b"".join(entry(self.made, FILE) + dirent(b"file", 1, kind=FILE >> 12) for _ in range(names)) or bytes(30)

    liar = liars(Full())
    result = casement("bench", liar.path, "--work", work, *BENCH, "--time", 50)
    assert ("Protocol error" in result.stderr) == (work == "git-status")


def test_bench_removes_what_it_made_after_a_signal(liars):
    """From a daemon that answers, also where that takes longer than an answer may."""
    liar = liars(Bench())
    process = start_bench(liar, "create", "--time", 60000)
    liar.wait_for("UNLINK", 10)
    assert stop_bench(process, signal.SIGINT) == ""
    assert liar.seen[-2:] == ["RMDIR", "DESTROY"]


# ---- bench: nodes that cannot be given back ----

class Stingy(Bench):
    """Answers UNLINKs by the 128, and nothing that gives a node back."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def create(self, _request):
        # As a count of nodes it would lead far out of their list.
        return entry(0x7f414141, FILE) + OPENED

    def unlink(self, request):
        self.kept.append(request)
        if len(self.kept) == 128:
            request.queue.push_all([(one.head, one.place(0)) for one in self.kept])

    def answer(self, request):
        if request.name == "UNLINK":
            return self.unlink(request)
        return None if request.name == "BATCH_FORGET" else super().answer(request)


def test_bench_keeps_no_more_nodes_than_it_has_room_for(liars):
    """Two batches are full; what is to be given back after that comes in the same moment."""
    liar = liars(Stingy())
    result = casement("bench", liar.path, "--work", "create:128,readdirplus", *BENCH, "--entries", 64, env=QUICK)
    assert result.returncode == 1 and "a node cannot be given back: " in result.stderr, result
    assert liar.seen.count("BATCH_FORGET") == 1


def test_bench_loads_from_a_window_that_is_not_there(liars):
    """The daemon says that a range is mapped, and has mapped nothing."""
    class Hollow(Bench):
        window = 4 << 20

        def setupmapping(self, _request):
            return b""

    liar = liars(Hollow())
    result = casement("bench", liar.path, "--work", "dax-read", *BENCH, "--file-size", "4M", "--time", 50)
    assert result.returncode == 1 and "dax-read: a load from the window failed" in only_line(result), result
    assert liar.seen[-2:] == ["RMDIR", "DESTROY"]


@pytest.mark.parametrize("queues", [1, 2])
def test_bench_ends_with_its_first_error(liars, queues):
    """It does not wait for the time that the run was to take."""
    class Failing(Bench):
        def getattr(self, _request):
            return -5

    result = casement("bench", liars(Failing()).path, "--work", "getattr", *BENCH, "--time", 3600000, "--queues", queues)
    assert result.returncode == 1 and "getattr: request 0 of operations: Input/output error" in result.stderr, result


def test_bench_ends_though_its_thread_cannot(liars):
    """The thread waits in a write to an eventfd that the daemon has filled: no time-out is looked at there."""
    tree = Jammed(Bench(), "BMAP")
    liar = liars(tree)
    process = start_bench(liar, "nothing", "--time", 3600000)
    try:
        assert tree.begun.wait(60)
        stop_bench(process, signal.SIGINT, signal.SIGTERM)
    finally:
        tree.over.set()
