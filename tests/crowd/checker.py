# SPDX-License-Identifier: BSD-3-Clause
"""What checkers have in common: how they begin together, and how long they go on.

A checker is a program: `CHECKER DIRECTORY MINE COUNT SEED SECONDS [WORD...]`. There are COUNT of it,
numbered by MINE from 0, which is the host's. All do what `random.Random(SEED)` says for SECONDS,
and end with status 0, or with what they saw. A seed repeats what each of them chooses; who comes
first is chance.

The file ".places" in the directory has a page for each of them, of zeros before the first begins.
"""
import mmap
import os
import random
import signal
import sys
import time

import watched

LEAST_PATIENCE = 120	# seconds to wait for the others, at least
LONGEST_OPERATION = 600	# seconds
TELL_EVERY = 10		# seconds
PLACES = ".places"
patience = LEAST_PATIENCE


def prepare(directory, count):
    """Before the first of `count` participants begins."""
    with open(f"{directory}/{PLACES}", "wb") as places:
        places.truncate(count * mmap.PAGESIZE)


def join(directory, mine, count, where="start", over=False):
    """Wait until all have come to their next point, `where`: the first, the second... Whether the host has said `over`.

    Nothing tells a guest of another's files, and it may believe for a day that there is none. So
    each writes to its page how often it has joined, past all caches, and reads the others'.
    """
    size = mmap.PAGESIZE
    fd = os.open(f"{directory}/{PLACES}", os.O_RDWR | os.O_DIRECT)
    end = time.monotonic() + patience
    with mmap.mmap(-1, count * size) as pages, memoryview(pages).cast("Q") as numbers, \
            memoryview(pages)[mine * size:(mine + 1) * size] as page:
        os.preadv(fd, [pages], 0)
        numbers[mine * size // 8] += 1
        # The host repeats its last word: a process that comes late to this point may read the page of the next point.
        numbers[mine * size // 8 + 1] |= over
        os.pwritev(fd, [page], mine * size)
        while missing := [other for other in range(count) if numbers[other * size // 8] < numbers[mine * size // 8]]:
            assert time.monotonic() < end, f"at the {where}: {missing} did not come, or are not seen"
            watched.begin(f"to wait for {missing} at the {where}")
            time.sleep(0.01)
            os.preadv(fd, [pages], 0)
        over = bool(numbers[1])
    os.close(fd)
    return over


def tell(operations):
    watched.say(f"operations {operations}")


def operations(seconds, least):
    """To iterate over: once for each operation, for so long. Tells now and then how many more there were."""
    end, told, done, new = time.monotonic() + seconds, time.monotonic(), 0, 0
    while time.monotonic() < end or done < least:
        yield
        done, new = done + 1, new + 1
        if time.monotonic() > told + TELL_EVERY:
            tell(new)
            told, new = time.monotonic(), 0
    tell(new)


def end_of_patience():
    """Seconds within which each operation ends. Processes that wait for it give up later."""
    return min(patience, LONGEST_OPERATION) * 0.8


def main(check):
    """The command line, as check(directory, mine, count, random, seconds, words...)."""
    global patience
    directory, mine, count, seed, seconds, *words = sys.argv[1:]
    patience = max(LEAST_PATIENCE, float(seconds))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    join(directory, int(mine), int(count))
    one = watched.Watched("participant", lambda: check(directory, int(mine), int(count), random.Random(int(seed)),
                                                       float(seconds), *words))
    watched.wait([one], [one], end_of_patience())
