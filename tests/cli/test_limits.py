# SPDX-License-Identifier: BSD-3-Clause
"""The clock of the limits of all tests."""
import subprocess

import limits


def test_seconds_of_a_busy_machine_count_less():
    wall, busy = [1000.0], [50.0]
    clock = limits.Clock(lambda: wall[0], lambda: busy[0])
    begun = clock.now()
    for passed, starved, counts in [(6, 0, 6), (6, 2, 4), (6, 6, 1), (600, 599, 100), (0, 0, 0)]:
        wall[0] += passed
        busy[0] += starved
        assert round(clock.now() - begun, 6) == counts
        begun = clock.now()


def test_limits_are_by_it(monkeypatch):
    """A limit of half a second is met by a program of one, since all of it was busy."""
    clock = limits.Clock(busy=limits.time.monotonic)
    monkeypatch.setattr(limits, "now", clock.now)
    assert subprocess.run(["sleep", "1"], timeout=0.5, check=False).returncode == 0
    process = subprocess.Popen(["sh", "-c", "sleep 1; echo out"], stdout=subprocess.PIPE, text=True)
    assert process.communicate(timeout=0.5)[0] == "out\n"
