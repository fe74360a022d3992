# SPDX-License-Identifier: BSD-3-Clause
"""A daemon with a scratch share, and a mount of it without a machine."""
import os
import pathlib
import signal
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CASEMENT_BUILD", TOP / "build"))
CASEMENTD = BUILD / "casementd"
CASEMENT = BUILD / "casement"
PATIENCE = 60


class Share:
    """casementd on a directory of its own; `casement` runs the command on its socket."""

    def __init__(self, scratch, *options, prefix=()):
        self.dir = scratch / "share"
        self.dir.mkdir(exist_ok=True)
        self.socket = scratch / "socket"
        self.log = open(scratch / "daemon.log", "w+", encoding="utf-8")
        self.daemon = subprocess.Popen(
            [*prefix, CASEMENTD, "--shared-dir", self.dir, "--socket-path", self.socket,
             *map(str, options)], stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.wait_for("waiting for the VMM")

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
        assert status in (0, -signal.SIGKILL, -signal.SIGTERM), text


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
