# SPDX-License-Identifier: BSD-3-Clause
"""Many who look for the same names at once: name_race.py DIRECTORY SECONDS, in a guest.

Each of eight processes looks names up that are known, forgotten, or expired, or lists, or
moves one away and back, for so long, and at least once each. Prints how they ended.
"""
import os
import random
import sys
import time

WORKERS = 8


def work(path, number, end):
    names = [os.path.join(directory, name) for directory, _, files in os.walk(path) for name in sorted(files)
             if not name.startswith("moved-")]
    chance = random.Random(number)
    mine = os.path.join(path, f"moved-{number}")
    looked = listed = moved = 0
    while time.monotonic() < end or not (looked and listed and moved):
        what = chance.random()
        if what < 0.02:
            listed += len(os.listdir(os.path.dirname(chance.choice(names))))
        elif what < 0.04:
            moving = chance.choice(names)
            try:
                os.rename(moving, mine)
                os.rename(mine, moving)
                moved += 1
            except FileNotFoundError:
                pass	# another has it
        elif what < 0.06 and number == 0:
            with open("/proc/sys/vm/drop_caches", "w") as caches:
                caches.write("2")
        else:
            start = chance.randrange(len(names))
            for name in names[start:start + 20]:
                try:
                    looked += os.lstat(name).st_size == 0
                except FileNotFoundError:
                    pass	# moved away for now


def main(path, seconds):
    end = time.monotonic() + seconds
    workers = []
    for number in range(WORKERS):
        pid = os.fork()
        if not pid:
            work(path, number, end)
            os._exit(0)
        workers.append(pid)
    print([os.waitpid(pid, 0)[1] for pid in workers])


main(sys.argv[1], float(sys.argv[2]))
