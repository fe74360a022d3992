# SPDX-License-Identifier: BSD-3-Clause
"""casementd in virtiofsd's place: what other programs ask of it, and how they start it."""
import grp
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/compat"))
from command_lines import COMMAND_LINES, LEGACY, OPTIONS, complete  # noqa: E402 (found by the line above)

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
            if any("@FD@" in str(word) for word in args):
                listener.bind(str(self.path))
                listener.listen(4)
            number = listener.fileno()
            values = {"@FD@": number, "@DIR@": folder / "dir", "@SOCK@": self.path,
                      "@GROUP@": grp.getgrgid(os.getgid()).gr_name}
            words = [str(word) for word in args]
            for mark, value in values.items():
                words = [word.replace(mark, str(value)) for word in words]
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


@pytest.mark.parametrize("sandbox", ["namespace", "chroot"])
def test_syslog_that_ends(shared, tmp_path, sandbox):
    """What the share has at dev/log is its own: nothing is said there, but to standard error from then on."""
    (tmp_path / "dev").mkdir()
    (shared / "dev").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as theirs, socket.socket(socket.AF_UNIX) as vmm:
        theirs.bind(str(shared / "dev/log"))
        (shared / "dev/log").chmod(0o777)
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        log.bind(str(tmp_path / "dev/log"))
        log.settimeout(PATIENCE)
        script = 'mount --bind "$1" /dev && shift && exec "$@"'
        with subprocess.Popen(["unshare", "-m", "sh", "-c", script, "sh", tmp_path / "dev", CASEMENTD, "--syslog",
                               "--sandbox", sandbox, "--shared-dir", shared, "--socket-path", tmp_path / "s"],
                              stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL) as daemon:
            while b"waiting for the VMM" not in log.recv(4096):
                pass
            log.close()
            vmm.connect(str(tmp_path / "s"))
            vmm.close()
            assert daemon.wait(timeout=PATIENCE) == 0
            said = daemon.stderr.read()
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(4096)
    assert "the VMM connected" in said and "the VMM left" in said


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


def lacks(words):
    """An option behind these words that casementd does not have (yet), or None."""
    known = set(re.findall(r"^ {2,6}(?:-\w, )?--([a-z0-9-]+)", run("--help").stdout, re.M))
    legacy = [word.split("=")[0] for i, line in enumerate(words) if i and words[i - 1] == "-o"
              for word in line.split(",")]
    needed = [word.split("=")[0][2:] for word in words if word.startswith("--")]
    needed += [name for name in (word.replace("_", "-") for word in legacy)
               if name in ("xattr", "xattrmap", "sandbox", "modcaps", "posix-acl", "security-label",
                           "killpriv-v2", "announce-submounts")]
    return next((name for name in needed if name not in known), None)


def check(start, words):
    """It serves whoever comes; or, without that option, says so by name."""
    daemon = start(*words)
    missing = lacks(words)
    if os.geteuid() == 0 and {"--uid-map", "--gid-map"} & set(words):
        # As virtiofsd; an ordinary user's maps are in test_sandbox.py.
        assert "for ordinary users" in daemon.process.stderr.read()
        assert daemon.process.wait(timeout=PATIENCE) == 1
        return
    if missing:
        said = daemon.process.stderr.read()
        assert daemon.process.wait(timeout=PATIENCE) == 2
        assert "not supported: " in said and missing in said.replace("_", "-"), said
    else:
        daemon.said("waiting for the VMM")
        assert daemon.leave() == 0


def prints_and_ends(words):
    return set(words) & {"--print-capabilities", "--help", "--version"}


@pytest.mark.parametrize("who", COMMAND_LINES)
def test_command_lines_of_others(start, shared, who):
    words = COMMAND_LINES[who]
    if "error" in words:
        # Says nothing at this level: the socket is there when it listens.
        words = ["info" if word == "error" else word for word in words]
    check(start, words)


@pytest.mark.parametrize("label,words", [*OPTIONS, *[("-o " + label, words) for label, words in LEGACY]],
                         ids=[label for label, _ in OPTIONS] + ["-o " + label for label, _ in LEGACY])
def test_every_option(start, shared, label, words):
    line = complete(label, words)
    if prints_and_ends(line):
        line = [word for word in line if "@" not in word and word != "--shared-dir"]
        assert run(*line).returncode == 0
    else:
        check(start, [word.replace("log_level=warn", "log_level=info").replace("loglevel=warn", "loglevel=info")
                      for word in line])


def test_a_directory_with_a_comma(start, tmp_path):
    """libvirt writes the comma twice."""
    (tmp_path / "a,b").mkdir()
    daemon = start("--fd=@FD@", "-o", f"source={tmp_path}/a,,b,cache=always")
    assert f"sharing {tmp_path}/a,b;" in daemon.said("waiting for the VMM")[-1]
    assert daemon.leave() == 0


def test_the_description_for_libvirt():
    told = json.loads((BUILD / "packaging/50-casementd.json").read_text())
    assert told["type"] == "fs" and told["binary"].endswith("/casement/casementd")
    assert told["features"] == json.loads(run("--print-capabilities").stdout)["features"]


def test_socket_activation(shared, tmp_path):
    """As the units do it: systemd's socket is descriptor 3."""
    if not shutil.which("systemd-socket-activate"):
        pytest.skip("no systemd-socket-activate")
    path = tmp_path / "s"
    with subprocess.Popen(["systemd-socket-activate", "-l", path, CASEMENTD, "--fd", "3",
                           "--shared-dir", shared], stderr=subprocess.PIPE, text=True) as daemon:
        for line in daemon.stderr:
            if "Listening on" in line:
                break
        with socket.socket(socket.AF_UNIX) as vmm:
            vmm.connect(str(path))
            for line in daemon.stderr:
                if "the VMM connected" in line:
                    break
        assert daemon.wait(timeout=PATIENCE) == 0


def test_the_units(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    unit = (BUILD / "packaging/casementd@.service").read_text()
    assert "@CASEMENTD@" not in unit
    unit = re.sub(r"^ExecStart=\S+", f"ExecStart={CASEMENTD}", unit, flags=re.M)
    (tmp_path / "casementd@data.service").write_text(unit)
    shutil.copy(TOP / "packaging/casementd@.socket", tmp_path / "casementd@data.socket")
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", "casementd@data.service",
                             "casementd@data.socket"], cwd=tmp_path, capture_output=True, text=True)
    assert "casementd@" not in result.stderr, result.stderr


def test_the_document_is_of_these_sources():
    """docs/compatibility.md; make compat makes it anew."""
    result = subprocess.run([sys.executable, TOP / "tests/compat/compat.py", "--check"],
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
