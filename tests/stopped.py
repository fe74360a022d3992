# SPDX-License-Identifier: BSD-3-Clause
"""SIGSTOP to a process with several threads: it takes effect later, in one after the other."""
import os
import pathlib
import signal


def state(task):
    """Of a thread: `X` when it has ended meanwhile."""
    try:
        return task.read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def stop(pid):
    """Send it, and return when no thread of the process runs any more. Polled: only a parent is told of it."""
    os.kill(pid, signal.SIGSTOP)
    while any(state(task) not in "TZX" for task in pathlib.Path(f"/proc/{pid}").glob("task/*/stat")):
        os.sched_yield()
