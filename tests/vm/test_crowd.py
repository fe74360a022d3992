# SPDX-License-Identifier: BSD-3-Clause
"""Several native guests and the host at work in one directory, checked by what each of them knows."""
import re

import pytest

import crowd

GUESTS = 3
CHECKERS = pytest.mark.parametrize("checker", ["versions.py", "names.py"])
# For longer than the checker runs: nobody's own names may depend on a time that is over.
CACHED = ["--share-arg", "--timeout=600"]


def ours(module):
    return ["--driver", "casement", "--module", module]


@CHECKERS
def test_the_kernels_driver(natives, share, checker):
    crowd.run(natives, share, checker, GUESTS, "--cache", "never")


@CHECKERS
def test_our_driver(checked, share, checked_module, checker):
    crowd.run(checked, share, checker, GUESTS, "--cache", "never", *ours(checked_module))


def test_own_names_where_names_are_believed(checked, share, checked_module):
    """Two guests and the host, each sure of its own names alone, by our driver."""
    (share / ".cached").touch()
    crowd.run(checked, share, "names.py", 2, "--cache", "auto", *CACHED, *ours(checked_module))


# Files in each way that a guest may keep them. Where others may write to the same file, by two guests.
FILES = pytest.mark.parametrize("mode, guests", [("auto", 2), ("always", 1), ("never", 2), ("metadata", 1), ("back", 1)])


@FILES
def test_a_file_on_the_kernels_driver(natives, share, mode, guests):
    crowd.run(natives, share, f"file.py {mode} mainline", guests, *crowd.MODES[mode])


@FILES
def test_a_file_on_our_driver(checked, share, checked_module, mode, guests):
    crowd.run(checked, share, f"file.py {mode} casement", guests, *crowd.MODES[mode], *ours(checked_module))


# How a checker's process ends, and what is told of it.
ENDS = pytest.mark.parametrize("end, told", [
    ("wrong", "ended with status 1, after: .*AssertionError: what it saw"),
    ("bus", "was ended by SIGBUS, after: .*now bus"),
    ("kill", "was ended by SIGKILL, after: .*now kill"),
    ("memory", "was ended by SIGKILL, after: .*now memory"),
    ("hang", "did nothing for 2 s, after: .*now hang.*in hang"),
], ids=["wrong", "bus", "kill", "memory", "hang"])


@ENDS
def test_an_end_is_told(natives, share, tmp_path, end, told):
    """However a process in a guest ends: the message and files have what it did and knew, and the guest's logs."""
    def start(*args, name):
        guest = natives(*args, name=name)
        # Its kernel tells with a trace of what has no memory.
        guest.panics = end == "memory"
        return guest

    wrong = crowd.Crowd(start, share, f"ends.py {end}", 1, ["--memory", "256M"], 1, 1).end()
    assert re.search(f"guest1: status 1\n.*part 1 {told}", wrong, re.S), wrong
    assert "count 98; count 99" in wrong and f"logs: {tmp_path}" in wrong
    assert (tmp_path / "guest1-part-1.state").read_text() == "counted to 99"
    assert (tmp_path / "guest1-counter.state").read_text() == "a counter"
    assert "part 1" in (tmp_path / "guest1.out").read_text() and "status 143" in (tmp_path / "host.out").read_text()
    assert "Linux version" in (tmp_path / "guest1.log").read_text() and (tmp_path / "guest1.err").exists()
    if end == "memory":
        assert "Out of memory: Killed process" in (tmp_path / "guest1.log").read_text()
