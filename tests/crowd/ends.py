# SPDX-License-Identifier: BSD-3-Clause
"""A checker of which one process ends as a word says: to test what is told then.

Each participant has two processes. One does nothing but count; the other counts, too, and in the last
participant it then ends so.
"""
import mmap
import os
import signal
import time

import checker
import watched

COUNTS = 100
PATIENCE = {"hang": 2}	# seconds, where the end is that nothing is done for so long


def wrong():
    raise AssertionError("what it saw")


def bus():
    """A load past the end of a file."""
    fd = os.memfd_create("cut")
    os.truncate(fd, mmap.PAGESIZE)
    with mmap.mmap(fd, mmap.PAGESIZE) as page:
        os.truncate(fd, 0)
        return page[0]


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def memory():
    """More than the machine has."""
    kept = []
    while True:
        kept.append(b"\1" * (1 << 20))


def hang():
    signal.pause()


ENDS = {end.__name__: end for end in (wrong, bus, kill, memory, hang)}


def count(number):
    return number


def count_for_ever():
    number = 0
    while True:
        watched.do(count, number)
        watched.know(b"a counter")
        number += 1
        time.sleep(0.01)


def count_and(end):
    for number in range(COUNTS):
        watched.do(count, number)
        watched.know(f"counted to {number}".encode())
    watched.do(end)


def check(_top, mine, participants, _choice, _seconds, word):
    running = [watched.Watched("counter", count_for_ever)]
    if mine == participants - 1:
        running.append(watched.Watched("part 1", lambda: count_and(ENDS[word])))
    watched.wait(running, running, PATIENCE.get(word, checker.LEAST_PATIENCE))


if __name__ == "__main__":
    checker.main(check)
