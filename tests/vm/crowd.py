# SPDX-License-Identifier: BSD-3-Clause
"""A checker of tests/crowd, run in several native guests and on the host at once, in one directory.

The test fails when one of them sees something wrong, when one does not end, or when a guest's
kernel complains. The seed is in the message; CASEMENT_TEST_SEED repeats it.
"""
import os
import pathlib
import random
import subprocess

from guests import PATIENCE, ROUNDS

CHECKERS = pathlib.Path(__file__).resolve().parents[1] / "crowd"
SECONDS = 3 * ROUNDS


def run(start, share, checker, guests, *args):
    """`start` starts a guest; `args` are the share's. The checker is a file in CHECKERS."""
    seed = int(os.environ.get("CASEMENT_TEST_SEED", 0)) or random.randrange(1, 1 << 31)
    count = guests + 1

    def words(directory, mine):
        return ["python3", "-B", f"{{}}/{checker}", directory, str(mine), str(count), str(seed + mine), str(SECONDS)]

    started = [start(" ".join(words("/mnt/t", mine)).format("/mnt/tools") + " 2>&1",
                     "--share", f"{share}:t", *args, "--share", f"{CHECKERS}:tools:ro", name=f"guest{mine}")
               for mine in range(1, count)]
    host = subprocess.run([word.format(CHECKERS) for word in words(str(share), 0)], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    said = [(host.returncode, host.stdout + host.stderr)]
    for guest in started:
        output = guest.process.communicate(timeout=PATIENCE)[0]
        said.append((guest.process.returncode, output + guest.stderr()))
    wrong = "".join(f"\n{'guest ' + str(mine) if mine else 'the host'}: status {status}\n{text}"
                    for mine, (status, text) in enumerate(said) if status)
    assert not wrong, f"CASEMENT_TEST_SEED={seed} repeats it: {checker}{wrong}"

