# SPDX-License-Identifier: BSD-3-Clause
"""casementd in virtiofsd's place: what other programs ask of it, and how they start it."""
import json
import os
import pathlib
import signal
import socket
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CASEMENT_BUILD", TOP / "build"))
CASEMENTD = BUILD / "casementd"
PATIENCE = 30


def run(*args, **more):
    return subprocess.run([CASEMENTD, *map(str, args)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE, **more)


class Started:
    """A daemon on a listening socket of ours, with the words of somebody else's command line."""

    def __init__(self, folder, args, **more):
        self.path = folder / "vmm.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.path))
            listener.listen(4)
            number = listener.fileno()
            words = [str(word).replace("@FD@", str(number)) for word in args]
            self.process = subprocess.Popen([CASEMENTD, *words], stderr=subprocess.PIPE, text=True,
                                            pass_fds=[number], stdin=subprocess.DEVNULL, **more)

    def said(self, word):
        """Read lines until one has the word: those lines."""
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if word in line:
                return lines
        raise AssertionError((word, lines, self.process.wait(timeout=PATIENCE)))

    def leave(self):
        """Connect, leave, and what the daemon then ends with."""
        with socket.socket(socket.AF_UNIX) as vmm:
            vmm.connect(str(self.path))
        return self.process.wait(timeout=PATIENCE)


@pytest.fixture
def start(tmp_path):
    running = []

    def start_one(*args, **more):
        running.append(Started(tmp_path, args, **more))
        return running[-1]

    yield start_one
    for daemon in running:
        daemon.process.kill()
        daemon.process.communicate()


@pytest.fixture
def shared(tmp_path):
    (tmp_path / "dir").mkdir()
    return tmp_path / "dir"


def test_capabilities():
    result = run("--print-capabilities")
    assert result.returncode == 0 and not result.stderr
    told = json.loads(result.stdout)
    assert told["type"] == "fs" and "separate-options" in told["features"]
    # Named features are promises: a VMM would try to migrate.
    assert "migrate-precopy" not in told["features"]


def test_capabilities_need_no_other_option():
    assert run("--print-capabilities", "--nonsense").returncode == 0


def test_syslog(shared, tmp_path):
    """In a mount name space of its own, where /dev/log is ours."""
    (tmp_path / "dev").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "dev/log"))
        log.settimeout(PATIENCE)
        script = 'mount --bind "$1" /dev && shift && exec "$@"'
        with subprocess.Popen(["unshare", "-m", "sh", "-c", script, "sh", tmp_path / "dev", CASEMENTD,
                               "--syslog", "--shared-dir", shared, "--socket-path", tmp_path / "s"],
                              stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL) as daemon:
            line = log.recv(4096).decode()
            while "waiting for the VMM" not in line:
                line = log.recv(4096).decode()
            assert f"casementd[{daemon.pid}]" in line and line.startswith("<14>")
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(timeout=PATIENCE) == 0
            assert daemon.stderr.read() == ""


def test_syslog_that_is_not_there(start, shared):
    if os.path.exists("/dev/log"):
        pytest.skip("somebody listens at /dev/log here")
    daemon = start("--syslog", "--shared-dir", shared, "--fd", "@FD@")
    assert "nobody listens at /dev/log" in "".join(daemon.said("waiting for the VMM"))
    assert daemon.leave() == 0


DEPRECATED = [
    (["-o", "source=@DIR@"], "write --shared-dir DIR instead"),
    (["--shared-dir", "@DIR@", "-d"], "write --log-level debug"),
    (["--shared-dir", "@DIR@", "-f"], "leave it out"),
]


@pytest.mark.parametrize("args,word", DEPRECATED, ids=[a[-2] + a[-1] for a, _ in DEPRECATED])
def test_deprecated_forms_are_said_to_be(start, shared, args, word):
    daemon = start("--fd=@FD@", *[a.replace("@DIR@", str(shared)) for a in args])
    assert word in "".join(daemon.said("waiting for the VMM"))
    assert daemon.leave() == 0


def test_persist_serves_the_next(start, shared):
    daemon = start("--fd=@FD@", "--shared-dir", shared, "--persist")
    for _ in range(3):
        daemon.said("waiting for the VMM")
        with socket.socket(socket.AF_UNIX) as vmm:
            vmm.connect(str(daemon.path))
    daemon.said("waiting for the VMM")
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.process.wait(timeout=PATIENCE) == 0
