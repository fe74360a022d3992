# SPDX-License-Identifier: BSD-3-Clause
"""A checker of tests/crowd, run in several guests and on the host at once, in one directory.

The test fails when one of them sees something wrong, when one does not end, or when a guest's
kernel complains. The seed is in the message; with CASEMENT_TEST_SEED they choose the same again.
Beside the guests' logs is then what each said (NAME.out), and what each process knew (NAME-PROCESS.state).
"""
import base64
import contextlib
import os
import queue
import random
import re
import subprocess
import sys
import threading
import zlib

import limits
from guests import PATIENCE, ROUNDS, TOP

CHECKERS = TOP / "tests/crowd"
SECONDS = 2 * ROUNDS
MOST_ERRORS = 10000	# characters
sys.path.append(str(CHECKERS))
import checker as common  # noqa: E402  pylint: disable=wrong-import-position

# What `casement run` is told for each way that guests may keep a file.
MODES = {"auto": [], "always": ["--cache", "always"], "never": ["--cache", "never"],
         "metadata": ["--cache", "metadata"], "back": ["--share-arg", "--writeback"]}


class Member:
    """A process on the host or in a guest: its output, and the number of operations that it has reported."""

    def __init__(self, path, process, ended):
        """It is put into the queue `ended` when it has ended. Files of it are named as the path."""
        self.path, self.name, self.process, self.ended = path, path.name, process, ended
        self.text, self.operations = "", 0
        threading.Thread(target=self.read, daemon=True).start()

    def errors(self):
        """What its machine and the daemons said."""
        path = self.path.with_name(f"{self.name}.err")
        return path.read_text(errors="replace")[-MOST_ERRORS:] if path.exists() else ""

    def keep(self, name, data):
        """A state. One of a machine that was ended meanwhile is not whole."""
        try:
            state = zlib.decompress(base64.b64decode(data))
        except (ValueError, zlib.error):
            state = data.encode()
        self.path.with_name(f"{self.name}-{name}.state").write_bytes(state)

    def read(self):
        for line in self.process.stdout:
            told = re.fullmatch(r"operations (\d+)\n|state (\S+) (.*)\n?", line)
            if told and told[1]:
                self.operations += int(told[1])
            elif told:
                self.keep(told[2], told[3])
            else:
                self.text += line
        self.process.wait()
        self.path.with_name(f"{self.name}.out").write_text(f"{self.text}status {self.process.returncode}\n")
        self.ended.put(self)


class Crowd:
    """All of them, begun."""

    def __init__(self, start, share, checker, guests, args, seconds, seed):
        """`start` starts a guest; `args` are the share's. The checker is a file in CHECKERS, with words of its own."""
        name, *more = checker.split()
        count = guests + 1
        common.prepare(share, count)

        def words(tools, directory, mine):
            return ["python3", "-B", f"{tools}/{name}", directory, str(mine), str(count), str(seed + mine), str(seconds),
                    *more]

        begun = [start(" ".join(words("/mnt/tools", "/mnt/t", mine)) + " 2>&1",
                       "--share", f"{share}:t", *args, "--share", f"{CHECKERS}:tools:ro", name=f"guest{mine}")
                 for mine in range(1, count)]
        # It is much faster than guests are: they are to have the time.
        host = subprocess.Popen(["nice", "-n", "9", *words(CHECKERS, str(share), 0)], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)
        self.ended = queue.Queue()
        self.logs = begun[0].log.parent
        self.members = [Member(self.logs / "host", host, self.ended),
                        *(Member(guest.log.with_suffix(""), guest.process, self.ended) for guest in begun)]
        # Long enough for each to do some work on a slow host.
        self.patience = limits.now() + PATIENCE + 1.5 * seconds

    def operations(self):
        """Of each: the host's first."""
        return [member.operations for member in self.members]

    def terminate(self):
        for member in self.members:
            if member.process.poll() is None:
                member.process.terminate()

    def next_end(self):
        """The next member that has ended; None after too long."""
        while limits.now() < self.patience:
            with contextlib.suppress(queue.Empty):
                return self.ended.get(timeout=1)
        return None

    def end(self):
        """When all have ended: the complaints, and where the logs are; or "". After a complaint the others need not be
        waited for."""
        wrong = ""
        for _ in self.members:
            member = self.next_end()
            if not member:
                wrong = wrong or "\nnot all have ended"
                self.terminate()
                member = self.ended.get()
            if member.process.returncode:
                wrong += f"\n{member.name}: status {member.process.returncode}\n{member.text}{member.errors()}"
                self.terminate()
        return wrong and f"{wrong}\nlogs: {self.logs}"


def run(start, share, checker, guests, *args):
    seed = int(os.environ.get("CASEMENT_TEST_SEED", 0)) or random.randrange(1, 1 << 31)
    wrong = Crowd(start, share, checker, guests, args, SECONDS, seed).end()
    assert not wrong, f"CASEMENT_TEST_SEED={seed} {checker}{wrong}"
