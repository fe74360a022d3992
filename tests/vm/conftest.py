# SPDX-License-Identifier: BSD-3-Clause
"""Real guests for tests: `casement run` with its kernel log read afterwards.

A test fails when its guest's kernel complained, whatever else it saw.
"""
import os
import pathlib
import re
import signal
import subprocess

import pytest

from kmod_guest import LEAVE, TAKE

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CASEMENT_BUILD", TOP / "build"))
CASEMENT = BUILD / "casement"
CASEMENTD = BUILD / "casementd"
# A kernel of the developer's for all guests, and casement.ko for it: scripts/debug-kernel.
KERNEL = os.environ.get("CASEMENT_TEST_KERNEL")
MODULE = os.environ.get("CASEMENT_TEST_MODULE")
# Seconds for a guest to boot, do its work and end; an emulated one boots in 5, one that checks itself in 25.
PATIENCE = 900 if KERNEL else 150

# What is done again and again is done so many times more often: HACKING.md.
ROUNDS = int(os.environ.get("CASEMENT_TEST_ROUNDS", 1))

COMPLAINTS = re.compile(
    r"WARNING:|BUG:|Oops|hung task|blocked for more than|Call Trace|general protection|"
    r"rcu_preempt detected stalls|suspected memory leaks|possible recursive locking|circular locking")


class Guest:
    """One `casement run`, started; finish() waits for its end."""

    def __init__(self, directory, name, args, command):
        self.log = directory / f"{name}.log"
        self.errors = directory / f"{name}.err"
        self.panics = False
        if KERNEL:
            args = ("--kernel", KERNEL, *args)
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen(
                [CASEMENT, "run", "--log", self.log, *map(str, args), "--", *command],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.output = None

    def finish(self, expect=0, patience=PATIENCE):
        """Wait for its end; its output. Any other exit status than `expect` fails."""
        self.output = self.process.communicate(timeout=max(patience, PATIENCE))[0]
        said = self.errors.read_text()
        assert self.process.returncode == expect, f"{self.output}\n{said}\n{self.kernel_log()}"
        return self.output

    def kernel_log(self):
        return self.log.read_text(errors="replace") if self.log.exists() else "no kernel log"

    def stderr(self):
        return self.errors.read_text()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate(timeout=30)
        if self.panics:
            return
        complaints = [line for line in self.kernel_log().splitlines()
                      if COMPLAINTS.search(line)]
        assert not complaints, "the guest's kernel complained:\n" + "\n".join(complaints)


@pytest.fixture
def machines(tmp_path):
    """A function that starts a guest running a shell script; all are ended and judged at the end."""
    started = []

    def start(script, *args, name=None):
        guest = Guest(tmp_path, name or f"guest{len(started)}", args,
                      ["sh", "-c", script])
        started.append(guest)
        return guest

    yield start
    for guest in started:
        guest.close()


@pytest.fixture
def share(tmp_path):
    """An empty directory in memory, to be shared."""
    directory = pathlib.Path(f"/dev/shm/casement-test-{os.getpid()}")
    directory.mkdir()
    yield directory
    subprocess.run(["rm", "-rf", directory], check=True)


# Both of QEMU's devices: its own for virtio-fs, and the generic one with a window.
DEVICES = {"fs-pci": [], "window": ["--window", "64M"]}


@pytest.fixture(params=DEVICES)
def device(request):
    return DEVICES[request.param]


@pytest.fixture(scope="session")
def module():
    """Our own guest driver, built for the kernel that guests boot."""
    if MODULE:
        return pathlib.Path(MODULE)
    directory = BUILD / "kmod"
    subprocess.run([TOP / "scripts/kmod", TOP / "kmod", directory], check=True)
    return directory / "casement.ko"


@pytest.fixture
def guest(machines, share, module):
    """A function that runs a script in a guest whose share `t` is on our driver."""
    def run(script, *args, leave=LEAVE, options=""):
        take = TAKE.replace("-t casement t", f"-t casement {options} t") if options else TAKE
        return machines(take + script + leave, "--share", f"{share}:t",
                        *args, "--share", f"{module.parent}:kmod:ro")
    return run
