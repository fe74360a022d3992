# SPDX-License-Identifier: BSD-3-Clause
"""Before the first test, find out whether this host's KVM can run a guest; after the last, write what was run.

A KVM that cannot is noticed by the first `casement run`, which says so and
remembers it. That must not be in the middle of a test.

Workers (pytest-xdist) hand the machines that they booted, and the processor time of each test, to the process
that started them. It writes the results to the file that CASEMENT_RESULTS names, for tests/check.
"""
import collections
import json
import os
import pathlib
import signal
import subprocess

import pytest

import limits
from booted import BOOTED

TOP = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("CASEMENT_BUILD", TOP / "build"))

SECONDS = collections.Counter()	# of each test, with its fixtures
PROCESSOR = collections.Counter()	# seconds that this process and the children it has waited for used in it


# A program keeps to what its starter ignores; what tests start is to end by signals, under nohup and in the background, too.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

# What Popen.wait(), communicate() and run() count their timeouts by; it is time.monotonic().
assert callable(subprocess._time)
subprocess._time = lambda: limits.now()


def is_worker(config):
    return hasattr(config, "workerinput")


def pytest_sessionstart(session):
    if os.path.exists("/dev/kvm") and not is_worker(session.config):
        BOOTED["QEMU"] += 1
        subprocess.run([BUILD / "casement", "run", "--", "true"], stdin=subprocess.DEVNULL,
                       check=True, timeout=120)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    before = sum(os.times()[:4])
    yield
    PROCESSOR[item.nodeid] += sum(os.times()[:4]) - before


def pytest_runtest_logreport(report):
    SECONDS[report.nodeid] += report.duration


def pytest_testnodedown(node, error):
    output = getattr(node, "workeroutput", {})
    BOOTED.update(output.get("booted", {}))
    PROCESSOR.update(output.get("processor", {}))


def reason(report):
    """Of a skipped test."""
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


def pytest_sessionfinish(session):
    if is_worker(session.config):
        session.config.workeroutput.update(booted=dict(BOOTED), processor=dict(PROCESSOR))
        return
    path = os.environ.get("CASEMENT_RESULTS")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not path or not reporter:
        return
    stats = reporter.stats
    pathlib.Path(path).write_text(json.dumps({
        "passed": [report.nodeid for report in stats.get("passed", [])],
        "failed": [report.nodeid for kind in ("failed", "error") for report in stats.get(kind, [])],
        "skipped": [[report.nodeid, reason(report)] for report in stats.get("skipped", [])],
        "seconds": dict(SECONDS), "processor": dict(PROCESSOR), "booted": dict(BOOTED)}))
