# SPDX-License-Identifier: BSD-3-Clause
"""A log whose reader has stopped: the daemon goes on serving, and ends when it is told to."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("CASEMENT_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
CASEMENT, CASEMENTD = BUILD / "casement", BUILD / "casementd"
PATIENCE = 30

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a /dev/log of its own")


def fill(fd):
    """Fill the pipe: nothing is read from it until the test ends."""
    os.set_blocking(fd, False)
    for size in (512, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(fd, b"x" * size)
    os.set_blocking(fd, True)


@contextlib.contextmanager
def serving(argv, said, **more):
    """A daemon for one VMM after the other, once `said` returns."""
    daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **more)
    try:
        said()
        yield daemon
    finally:
        daemon.kill()
        daemon.wait()


def check_served(daemon, folder):
    """A client comes and leaves, of both of which a line is said; then the daemon is to end."""
    stat = subprocess.run([CASEMENT, "stat", folder / "s", "/"], stdout=subprocess.DEVNULL, timeout=PATIENCE)
    assert stat.returncode == 0
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=PATIENCE) == 0


def words(folder, sandbox):
    (folder / "dir").mkdir()
    return [CASEMENTD, "--sandbox", sandbox, "--persist", "--shared-dir", folder / "dir", "--socket-path", folder / "s"]


@pytest.mark.parametrize("sandbox", ["namespace", "none"])
def test_standard_error_is_not_read(tmp_path, sandbox):
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "wb") as writer:
        with serving(words(tmp_path, sandbox), reader.readline, stderr=writer) as daemon:
            fill(writer.fileno())
            check_served(daemon, tmp_path)


@needs_root
@pytest.mark.parametrize("sandbox", ["namespace", "none"])
def test_syslog_does_not_read(tmp_path, sandbox):
    (tmp_path / "dev").mkdir()
    script = 'mount --bind "$1" /dev && shift && exec "$@"'
    argv = ["unshare", "-m", "sh", "-c", script, "sh", tmp_path / "dev", *words(tmp_path, sandbox), "--syslog"]
    log, filler = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    with log, filler:
        log.bind(str(tmp_path / "dev/log"))
        log.settimeout(PATIENCE)

        def said():
            while b"waiting for the VMM" not in log.recv(4096):
                pass

        with serving(argv, said, stderr=subprocess.PIPE, text=True) as daemon:
            filler.connect(str(tmp_path / "dev/log"))
            fill(filler.fileno())
            check_served(daemon, tmp_path)
            # What syslog did not take is said all the same.
            assert "the VMM connected" in daemon.stderr.read()


def test_what_was_lost_is_counted(tmp_path):
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as reader, open(writing, "wb") as writer:
        with serving(words(tmp_path, "none"), lambda: reader.read(4096), stderr=writer) as daemon:
            fill(writer.fileno())
            with socket.socket(socket.AF_UNIX) as vmm:
                vmm.connect(str(tmp_path / "s"))
            # Of the second nothing is answered before the first's end was said.
            with socket.socket(socket.AF_UNIX) as vmm:
                vmm.settimeout(PATIENCE)
                vmm.connect(str(tmp_path / "s"))
                vmm.sendall(bytes([1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]))	# GET_FEATURES
                assert vmm.recv(64)
                os.set_blocking(reader.fileno(), False)
                while reader.read(4096):
                    pass
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(timeout=PATIENCE) == 0
            text = reader.read(65536).decode()
    assert "casementd: (4 lines before this one were lost) the VMM left\n" in text, text
