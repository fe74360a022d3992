# SPDX-License-Identifier: BSD-3-Clause
"""casement mount and a daemon that lies: it ends when it is told to, and serves what it can."""
import contextlib
import os
import select
import signal
import socket
import subprocess
import threading

import pytest

from daemons import PATIENCE, shares  # noqa: F401
from lies import MANY, SMALL, Jammed, Silent, casement, liars, lying_mount, mounting  # noqa: F401
from lying import FILE, ROOT, Tree, entry
from test_mount import is_mounted, until


# ---- mount: it ends when it is told to, and serves what it can ----

class Fresh(Silent):
    """Each look-up finds another file, so that there is always something to forget."""
    made = MANY

    def lookup(self, _request):
        self.made += 1
        return entry(self.made, FILE)

    def getattr(self, request):
        return super().getattr(request) if request.node == ROOT else entry(request.node, FILE)[24:]


def kill_groups(programs):
    for program in programs:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)


STATS = "for i in $(seq 500); do stat -c . $0/f; done >/dev/null 2>&1"


@mounting
@pytest.mark.parametrize("queues", [1, 2])
@pytest.mark.parametrize("signals", [1, 2])
def test_mount_ends_though_forgets_do_not_come_back(liars, queues, signals):
    """All slots are lent to the high-priority queue then: nothing is carried, but signals count."""
    tree = Fresh({ROOT: {}}, "FORGET BATCH_FORGET")
    liar = liars(tree)
    with lying_mount(liar, "--depth", 4, "--queues", queues) as (process, target):
        liar.wait_for("INIT")
        until(lambda: is_mounted(target))
        programs = [subprocess.Popen(["sh", "-c", STATS, target], start_new_session=True) for _ in range(4)]
        liar.wait_for("FORGET BATCH_FORGET", 4)
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            until(lambda: not is_mounted(target))
        if signals == 1:
            kill_groups(programs)	# nothing uses it any more
        process.communicate(timeout=20)
        kill_groups(programs)
        for program in programs:
            program.wait(timeout=20)


@mounting
@pytest.mark.parametrize("queues", [1, 2])
def test_mount_goes_on_when_forgets_come_back(liars, queues):
    """Late, and in the reverse order, but each: everything is carried then."""
    class Late(Fresh):
        taking = threading.Lock()	# each queue has a thread

        def answer(self, request):
            answer = super().answer(request)
            with self.taking:
                late = [self.kept.pop() for _ in range(len(self.kept))] if len(self.kept) >= 3 else []
            for one in late:
                one.reply(b"")
            return answer

    liar = liars(Late({ROOT: {}}, "FORGET BATCH_FORGET"))
    with lying_mount(liar, "--depth", 4, "--queues", queues) as (process, target):
        until(lambda: is_mounted(target))
        programs = [subprocess.Popen(["sh", "-c", STATS, target]) for _ in range(4)]
        for program in programs:
            assert program.wait(timeout=PATIENCE) == 0
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0


@mounting
@pytest.mark.parametrize("name,node", [("INIT", 0), ("DESTROY", 0), ("LOOKUP", 0), ("READDIR", 0)])
def test_mount_ends_by_two_signals(liars, name, node):
    """Whatever is not answered: before it is mounted, while it is used, and after."""
    tree = Silent(SMALL, name, node)
    liar = liars(tree)
    with lying_mount(liar) as (process, target):
        program = None
        if name == "INIT":
            liar.wait_for("INIT")
        else:
            until(lambda: is_mounted(target))
            program = subprocess.Popen(["ls", target / "a"] if name == "LOOKUP" else ["ls", target],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if name != "DESTROY":
                liar.wait_for(name)
            else:
                assert program.wait(timeout=20) == 0
        process.send_signal(signal.SIGINT)
        if name != "INIT":
            until(lambda: not is_mounted(target))
            if name == "DESTROY":
                liar.wait_for(name)
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert not is_mounted(target)
        assert process.returncode == (1 if name == "INIT" else 0)
        if program:
            program.wait(timeout=20)


@mounting
def test_mount_ends_though_its_thread_cannot(liars):
    """The thread waits in a write to an eventfd that the daemon has filled: no time-out is looked at there."""
    tree = Jammed(Tree(SMALL), "LOOKUP")
    with lying_mount(liars(tree)) as (process, target):
        until(lambda: is_mounted(target))
        program = subprocess.Popen(["cat", target / "a"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert tree.begun.wait(60)
            for _ in range(2):
                process.send_signal(signal.SIGTERM)
                until(lambda: not is_mounted(target))
            process.communicate(timeout=20)
        finally:
            tree.over.set()
        assert process.returncode == 1 and program.wait(timeout=20) == 1


@mounting
def test_mount_in_the_background_keeps_nothing_open(shares):
    """What its caller had open is its caller's: a pipe that is read to its end, a file that is deleted."""
    share = shares()
    target = share.socket.parent / "mnt"
    target.mkdir()
    reader, writer = os.pipe()
    high = os.dup2(writer, 200)
    result = share.casement("mount", "--background", share.socket, target, pass_fds=(writer, high))
    os.close(writer)
    os.close(high)
    try:
        assert result.returncode == 0 and is_mounted(target), result
        assert select.select([reader], [], [], 20)[0] and os.read(reader, 1) == b""
    finally:
        subprocess.run(["umount", target], check=True)
        os.close(reader)
