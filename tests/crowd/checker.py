# SPDX-License-Identifier: BSD-3-Clause
"""What checkers have in common: how they begin together.

A checker is a program: `CHECKER DIRECTORY MINE COUNT SEED SECONDS [WORD...]`. There are COUNT of it,
numbered by MINE from 0, which is the host's. All do what `random.Random(SEED)` says for SECONDS,
and end with status 0, or with what they saw. A seed repeats what each of them chooses; who comes
first is chance.
"""
import os
import random
import sys
import time


PATIENCE = 120	# seconds to wait for the others


def join(directory, mine, count, where="start"):
    """Wait until all have come to that point. Nothing tells a guest of another's files."""
    os.close(os.open(f"{directory}/.{where}-{mine}", os.O_CREAT | os.O_WRONLY))
    end = time.monotonic() + PATIENCE
    while missing := [number for number in range(count) if not os.path.exists(f"{directory}/.{where}-{number}")]:
        assert time.monotonic() < end, f"at the {where}: {missing} did not come, or are not seen"
        time.sleep(0.01)


def main(check):
    """The command line, as check(directory, mine, count, random, seconds, words...)."""
    directory, mine, count, seed, seconds, *words = sys.argv[1:]
    join(directory, int(mine), int(count))
    check(directory, int(mine), int(count), random.Random(int(seed)), float(seconds), *words)
