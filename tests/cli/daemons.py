# SPDX-License-Identifier: BSD-3-Clause
"""Daemons for tests, each with a scratch share of its own. Tests import the fixtures by name."""
import os
import pathlib
import pty
import re
import signal
import subprocess
import tempfile

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CASEMENT_BUILD", TOP / "build"))
CASEMENTD = BUILD / "casementd"
CASEMENT = BUILD / "casement"
PATIENCE = 60


def serving(daemon):
    """The pid of a daemon's child, which serves: its parent waits outside of the sandbox."""
    children = pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])


class Share:
    """casementd on a directory, mostly of its own; `casement` runs the command on its socket."""

    def __init__(self, scratch, *options, prefix=(), program=CASEMENTD, directory=None):
        self.dir = directory or scratch / "share"
        self.dir.mkdir(exist_ok=True)
        self.socket = scratch / "socket"
        self.ends = (0, -signal.SIGKILL, -signal.SIGTERM)
        if program != CASEMENTD:
            self.ends += (1,)			# virtiofsd's answer to SIGTERM
        self.log = open(scratch / "daemon.log", "w+", encoding="utf-8")
        self.daemon = subprocess.Popen(
            [*prefix, program, "--shared-dir", self.dir, "--socket-path", self.socket,
             *map(str, options)], stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.wait_for("aiting for")		# casementd's word, and virtiofsd's

    def wait_for(self, text):
        """The daemon's log is a file: its end, or the text, comes soon."""
        while text not in pathlib.Path(self.log.name).read_text():
            try:
                self.daemon.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(pathlib.Path(self.log.name).read_text())

    def casement(self, *args, **more):
        return subprocess.run([CASEMENT, *map(str, args)], capture_output=True, text=True,
                              timeout=PATIENCE, stdin=subprocess.DEVNULL, **more)

    def close(self):
        """End the daemon. Its log must not have a sanitizer's report in it."""
        if self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
        try:
            status = self.daemon.wait(timeout=PATIENCE)
        finally:
            self.daemon.kill()
            self.daemon.communicate()
            self.log.close()
        text = pathlib.Path(self.log.name).read_text()
        assert "Sanitizer" not in text and "runtime error" not in text, text
        assert status in self.ends, (status, text)


def on_terminal(*args, until=None, **more):
    """
    What the command writes to a terminal, and its status; with `until`, it is ended when that
    was written.
    """
    master, slave = pty.openpty()
    process = subprocess.Popen([CASEMENT, *args], stdin=slave, stdout=slave, stderr=slave, **more)
    os.close(slave)
    output, found = b"", False
    while not found:
        try:
            piece = os.read(master, 65536)
        except OSError:		# EIO: no process has it open any more
            break
        output += piece
        found = until and re.search(until, output)
    if found:
        process.terminate()
    os.close(master)
    status = process.wait(timeout=PATIENCE)
    assert not until or (found and status == -signal.SIGTERM), output
    return output, status


def find_virtiofsd():
    """The peer: $VIRTIOFSD, or the one that scripts/vm-root fetched beside QEMU; None."""
    if os.environ.get("VIRTIOFSD"):
        return os.environ["VIRTIOFSD"]
    listed = subprocess.run([TOP / "scripts/vm-root", "--print"], capture_output=True, text=True)
    paths = dict(line.split("=", 1) for line in listed.stdout.splitlines() if "=" in line)
    return paths.get("VIRTIOFSD")


@pytest.fixture
def short_path():
    """A folder of this user's: a socket's address has room for one more of such a path, not of tmp_path's."""
    with tempfile.TemporaryDirectory(prefix="cm-", dir="/tmp") as path:
        yield pathlib.Path(path)


@pytest.fixture
def shares(tmp_path):
    """Starts daemons, one after another; ends them."""
    running = []

    def start(*options, **more):
        scratch = tmp_path / f"daemon{len(running)}"
        scratch.mkdir()
        running.append(Share(scratch, *options, **more))
        return running[-1]

    yield start
    for share in running:
        share.close()


@pytest.fixture
def share(shares):
    return shares()
