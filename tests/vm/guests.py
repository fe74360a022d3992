# SPDX-License-Identifier: BSD-3-Clause
"""Real guests for tests: `casement run` with its kernel log read afterwards.

A test fails when its guest's kernel complained, whatever else it saw.
"""
import fcntl
import functools
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import limits
from booted import BOOTED

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
    r"WARNING:|BUG:|UBSAN:|Oops|hung task|blocked for more than|Call Trace|general protection|"
    r"rcu_preempt detected stalls|suspected memory leaks|possible recursive locking|circular locking")

# Both of QEMU's devices: its own for virtio-fs, and the generic one with a window.
DEVICES = {"fs-pci": [], "window": ["--window", "64M"]}

# Lines of the log that are shown from the first complaint on: a call trace and what is held.
CONTEXT = 80


def in_memory(name):
    """A new directory in the host's memory. A process of another run may have left one, and had this one's number."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix=f"casement-{name}-", dir="/dev/shm"))
    directory.chmod(0o755)
    return directory


def unpacked(image):
    """The kernel in a bzImage; the image, if it cannot be unpacked. Where it is, is in Linux's x86 boot protocol."""
    setup = (image[0x1f1] or 4) + 1
    offset, length = struct.unpack_from("<II", image, 0x248)
    # Its last four bytes are the kernel's size.
    packed = image[setup * 512 + offset:][:length - 4]
    if not packed.startswith(b"\x28\xb5\x2f\xfd") or not shutil.which("zstd"):
        return image
    return subprocess.run(["zstd", "-dc"], input=packed, check=True, capture_output=True).stdout


@functools.cache
def packed_kernel():
    """The kernel of the guests' tree, as users boot it."""
    said = subprocess.run([TOP / "scripts/vm-root", "--print", "guest"], check=True, capture_output=True,
                          text=True).stdout
    return pathlib.Path(re.search(r"^KERNEL=(.*)$", said, re.M)[1]).resolve()


@functools.cache
def guests_kernel():
    """The same, not compressed: an emulated machine takes a second to unpack it. tests/cli and test_life.py boot it
    as it is."""
    packed = packed_kernel()
    path = BUILD / f"{packed.parents[2].name}-{packed.name}"
    with open(BUILD / ".kernel.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            draft = path.with_suffix(".draft")
            draft.write_bytes(unpacked(packed.read_bytes()))
            draft.rename(path)
    return path


class Guest:
    """One `casement run`, started; finish() waits for its end."""

    def __init__(self, directory, name, args, command):
        BOOTED["native" if "uml" in args else "QEMU"] += 1
        self.log = directory / f"{name}.log"
        self.errors = directory / f"{name}.err"
        self.panics = False
        if "--kernel" not in args and "uml" not in args:
            args = ("--kernel", KERNEL or guests_kernel(), *args)
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen(
                [CASEMENT, "run", "--no-share", "--log", self.log, *map(str, args), "--", *command],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.output = None

    def finish(self, expect=0, patience=PATIENCE):
        """Wait for its end; its output. Any other exit status than `expect` fails."""
        self.output = self.process.communicate(timeout=max(patience, PATIENCE))[0]
        said = self.errors.read_text()
        assert self.process.returncode == expect, f"{self.output}\n{said}\n{self.kernel_log()}"
        return self.output

    def wait_for(self, path):
        """Until it has made that file. Polled: nothing tells of another machine's files."""
        end = limits.now() + PATIENCE
        while not path.exists():
            assert self.process.poll() is None, self.stderr()
            assert limits.now() < end, f"{path} did not appear"
            time.sleep(0.05)

    def kernel_log(self):
        return self.log.read_text(errors="replace") if self.log.exists() else "no kernel log"

    def stderr(self):
        return self.errors.read_text()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate(timeout=30)
        if not self.panics:
            self.judge()

    def judge(self, first=0):
        """Of its kernel's log, from that line on: no complaint."""
        lines = self.kernel_log().splitlines()[first:]
        first = next((number for number, line in enumerate(lines) if COMPLAINTS.search(line)), None)
        assert first is None, "the guest's kernel complained:\n" + "\n".join(lines[first:first + CONTEXT])


def close_all(guests):
    """Each, also when the one before has something to complain of; then the first complaint."""
    complaints = []
    for guest in guests:
        try:
            guest.close()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            complaints.append(error)
    if complaints:
        raise complaints[0]


def starter(directory, *first):
    """A function that starts a guest running a shell script; all are ended and judged at the end."""
    started = []

    def start(script, *args, name=None):
        guest = Guest(directory, name or f"guest{len(started)}", (*first, *args), ["sh", "-c", script])
        started.append(guest)
        return guest

    yield start
    close_all(started)
