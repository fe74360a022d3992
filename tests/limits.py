# SPDX-License-Identifier: BSD-3-Clause
"""How long a test waits for what may never come: seconds in which the machine had a processor for all.

A busy machine makes each program slow, and a limit in plain seconds then ends programs that hang in nothing.
So a second in which some process was ready to run and had no processor (by the pressure stall information of
Linux) counts as a sixth of one. All limits of subprocess are by this clock: tests/conftest.py.
"""
import threading
import time

BUSY_COUNTS = 1 / 6


def pressure():
    """Such seconds, since the machine started; 0 where the kernel does not say."""
    try:
        with open("/proc/pressure/cpu", encoding="ascii") as file:
            return int(file.readline().rpartition("total=")[2]) / 1e6
    except (OSError, ValueError):
        return 0


class Clock:
    def __init__(self, wall=time.monotonic, busy=pressure):
        self.wall, self.busy, self.lock = wall, busy, threading.Lock()
        self.seen = wall(), busy()
        self.time = self.seen[0]

    def now(self):
        """Seconds, as time.monotonic()."""
        with self.lock:
            seen = self.wall(), self.busy()
            passed, busy = seen[0] - self.seen[0], seen[1] - self.seen[1]
            self.seen = seen
            self.time += max(passed - busy, passed * BUSY_COUNTS)
            return self.time


now = Clock().now
