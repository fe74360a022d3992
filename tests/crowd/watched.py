# SPDX-License-Identifier: BSD-3-Clause
"""A process that another watches: however it ends, what it did last and what it knows is told.

The process writes both to memory that it shares with the one that started it, so a process that a signal
ended, the kernel killed for want of memory, or that never comes back from a call is told of as well. All
goes to standard output: text, and for each process that was at work a line `state NAME DATA` with what it
knew, compressed, in base64. The share under test has no part in it.
"""
import base64
import collections
import ctypes
import faulthandler
import mmap
import os
import signal
import struct
import sys
import time
import traceback
import zlib

LAST = 20		# operations that are told
MOST_TEXT = 1 << 14	# bytes
MOST_STATE = 1 << 20
PR_SET_PDEATHSIG = 1
LOOKS = 0.1		# seconds between two looks at the processes
DUMPS = 1		# seconds to write a stack
libc = ctypes.CDLL(None, use_errno=True)


class Journal:
    """What a process did, its state, and how often it wrote here. A process that is killed while it writes
    leaves a part of each."""

    HEAD = struct.Struct("QII")

    def __init__(self):
        self.memory = mmap.mmap(-1, self.HEAD.size + MOST_TEXT + MOST_STATE)
        self.last = collections.deque(maxlen=LAST)
        self.count, self.state_length = 0, 0

    def put(self, text, state=None):
        """With no state the one before stays."""
        text = text.encode(errors="backslashreplace")[-MOST_TEXT:]
        start = self.HEAD.size
        self.memory[start:start + len(text)] = text
        if state is not None:
            self.state_length = min(len(state), MOST_STATE)
            self.memory[start + MOST_TEXT:start + MOST_TEXT + self.state_length] = \
                state if len(state) <= MOST_STATE else state[:MOST_STATE]
        self.count += 1
        self.memory[:start] = self.HEAD.pack(self.count, len(text), self.state_length)

    def get(self):
        count, text, state = self.HEAD.unpack(self.memory[:self.HEAD.size])
        start = self.HEAD.size
        return count, self.memory[start:start + text].decode(errors="replace"), \
            self.memory[start + MOST_TEXT:start + MOST_TEXT + state]


journal = Journal()	# of this process


def begin(name):
    """An operation, which may never end."""
    journal.put("; ".join([*journal.last, f"now {name}"]))


def do(work, *args):
    """An operation. What it returns is told with its name."""
    begin(work.__name__)
    journal.last.append(f"{work.__name__} {work(*args)}")


def know(state):
    """What the process knows now, after what it did."""
    journal.put("; ".join(journal.last), state)


def say(text):
    """Past all buffers: processes of one checker have one output."""
    data = (text + "\n").encode(errors="backslashreplace")
    while data:
        data = data[os.write(1, data):]


def read_or_not(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError as error:
        return str(error)


def write_or_not(path, text):
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        say(f"{path}: {error}")


class Watched:
    """A child process at work."""

    def __init__(self, name, work):
        self.name, self.journal = name, Journal()
        self.seen, self.looks = 0, 0
        self.process = os.fork()
        if not self.process:
            self.be(work)

    def be(self, work):
        global journal
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        journal = self.journal
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # The kernel is to kill this one, not the one that tells of it.
        write_or_not("/proc/self/oom_score_adj", "500")
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR1)
        try:
            work()
        except BaseException:
            journal.put("; ".join(journal.last) + "\n" + traceback.format_exc())
            os._exit(1)
        os._exit(0)

    def stands_still(self, patience):
        """True when it wrote nothing at `patience` looks, one a second; a look does not count while the machine itself stands."""
        count = self.journal.get()[0]
        self.looks = self.looks + 1 if count == self.seen else 0
        self.seen = count
        return self.looks > patience / LOOKS

    def tell(self, how):
        _, text, state = self.journal.get()
        say(f"{self.name} {how}, after: {text}")
        if state:
            say(f"state {self.name.replace(' ', '-')} {base64.b64encode(zlib.compress(state)).decode()}")

    def tell_where(self):
        """Where it is, in the kernel and in its program."""
        for name in ("wchan", "syscall", "stack"):
            say(f"{self.name} {name}: {read_or_not(f'/proc/{self.process}/{name}')}")
        os.kill(self.process, signal.SIGUSR1)
        time.sleep(DUMPS)


def how_it_ended(status):
    if os.WIFSIGNALED(status):
        return f"was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with status {os.WEXITSTATUS(status)}"


def look(running, patience):
    """At each once: those that have ended well are taken from `running`. True if another failed, which was told."""
    failed = False
    for one in list(running):
        ended, status = os.waitpid(one.process, os.WNOHANG)
        if not ended and one.stands_still(patience):
            one.tell(f"did nothing for {patience:.0f} s")
            one.tell_where()
            failed = True
        if ended:
            running.remove(one)
        if ended and status:
            one.tell(how_it_ended(status))
            failed = True
    return failed


def wait(running, wanted, patience):
    """Until those that are `wanted` have ended well. A failure of any that runs is told, and ends this program;
    one that does nothing for `patience` seconds has failed. What the others did is told, too."""
    try:
        while any(one in running for one in wanted):
            begin(f"to wait for {', '.join(one.name for one in running)}")
            if look(running, patience):
                sys.exit("a process failed")
            time.sleep(LOOKS)
    except BaseException:
        for one in running:
            one.tell("was at work")
        raise
