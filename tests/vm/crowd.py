# SPDX-License-Identifier: BSD-3-Clause
"""A checker of tests/crowd, run in several native guests and on the host at once, in one directory.

The test fails when one of them sees something wrong, when one does not end, or when a guest's
kernel complains. The seed is in the message; with CASEMENT_TEST_SEED they choose the same again.
"""
import os
import pathlib
import random
import subprocess

from guests import PATIENCE, ROUNDS

CHECKERS = pathlib.Path(__file__).resolve().parents[1] / "crowd"
SECONDS = 3 * ROUNDS


def end(process):
    """Its status and what it said; one that does not end is ended."""
    try:
        return process.communicate(timeout=PATIENCE + SECONDS)[0], process.returncode
    except subprocess.TimeoutExpired:
        process.terminate()
        return process.communicate()[0], "none: it did not end"


def run(start, share, checker, guests, *args):
    """`start` starts a guest; `args` are the share's. The checker is a file in CHECKERS, with words of its own."""
    name, *more = checker.split()
    seed = int(os.environ.get("CASEMENT_TEST_SEED", 0)) or random.randrange(1, 1 << 31)
    count = guests + 1

    def words(directory, mine):
        return ["python3", "-B", f"{{}}/{name}", directory, str(mine), str(count), str(seed + mine), str(SECONDS),
                *more]

    started = [start(" ".join(words("/mnt/t", mine)).format("/mnt/tools") + " 2>&1",
                     "--share", f"{share}:t", *args, "--share", f"{CHECKERS}:tools:ro", name=f"guest{mine}")
               for mine in range(1, count)]
    host = subprocess.Popen([word.format(CHECKERS) for word in words(str(share), 0)], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)
    said = [end(process) for process in [host, *(guest.process for guest in started)]]
    wrong = "".join(f"\n{'guest ' + str(mine) if mine else 'the host'}: status {status}\n{text}"
                    for mine, (text, status) in enumerate(said) if status)
    assert not wrong, f"CASEMENT_TEST_SEED={seed} {checker}{wrong}"

