# SPDX-License-Identifier: BSD-3-Clause
"""casementd's sandbox as root and as an ordinary user: who gets which, and what it says when it cannot.

What the serving process can still reach is looked at in tests/wire/test_wire_sandbox.c.
"""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

import pytest

import limits
from daemons import BUILD, serving

PATIENCE = 30
NOBODY = pwd.getpwnam("nobody")
SUBORDINATE = 300000

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")


class Place:
    """A directory that an ordinary user reaches, with the programs, a share and room for a socket."""

    def __init__(self, top):
        self.top = top
        self.socket = top / "run/s"
        self.socket.parent.mkdir()
        # In memory, where making files takes no time that a busy disk could stretch.
        self.share = pathlib.Path(tempfile.mkdtemp(prefix="casement-sandbox-", dir="/dev/shm"))
        for directory in [self.share, self.socket.parent]:
            os.chown(directory, NOBODY.pw_uid, NOBODY.pw_gid)
        for name in ["casementd", "casement"]:
            shutil.copy(BUILD / name, top / name)
        self.started = []

    def command(self, *args):
        return [str(self.top / "casementd"), "--shared-dir", str(self.share),
                "--socket-path", str(self.socket), *args]

    def start(self, before, *args):
        """A daemon that waits for its VMM. `before` are the words that make it somebody's."""
        daemon = subprocess.Popen([*before, *self.command(*args)], stderr=subprocess.PIPE, text=True,
                                  cwd="/")
        self.started.append(daemon)
        line = daemon.stderr.readline()
        assert "waiting for the VMM" in line, line + daemon.stderr.readline()
        return daemon

    def refused(self, before, word, *args):
        result = subprocess.run([*before, *self.command(*args)], capture_output=True, text=True,
                                cwd="/", timeout=PATIENCE, stdin=subprocess.DEVNULL)
        lines = [line for line in result.stderr.splitlines() if line.startswith("casementd: error")]
        assert (result.returncode, len(lines)) == (1, 1), result
        assert word in lines[0]
        assert not self.socket.exists()
        return lines[0]

    def work(self, *args):
        """Files are made, read and written through the daemon."""
        subprocess.run([self.top / "casement", "bench", self.socket, "--time", "100", "--warm", "0",
                        "--file-size", "1M", "--entries", "10", "--work", "create,read,write,lookup",
                        *args], check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)


@pytest.fixture
def place():
    top = pathlib.Path(tempfile.mkdtemp(prefix="casement-sandbox-"))
    top.chmod(0o755)
    it = Place(top)
    yield it
    for daemon in it.started:
        if daemon.poll() is None:
            daemon.kill()
        daemon.communicate()
    shutil.rmtree(top)
    shutil.rmtree(it.share)


ROOT = []
USER = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"]


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.split() for key, value in (line.split(":", 1) for line in lines)}


@pytest.mark.parametrize("mode", ["namespace", "chroot", "none"])
@pytest.mark.parametrize("who", ["root", "user"])
def test_each_mode_serves_and_leaves_nothing(place, who, mode):
    before = ROOT if who == "root" else USER
    if (who, mode) == ("user", "chroot"):
        place.refused(before, "needs root", "--sandbox", mode)
        return
    daemon = place.start(before, "--sandbox", mode)
    assert place.socket.with_name("s.pid").read_text() == f"{daemon.pid}\n"
    place.work()
    assert daemon.wait(timeout=PATIENCE) == 0
    assert not list(place.socket.parent.iterdir())
    assert not list(place.share.iterdir())


@pytest.mark.parametrize("mode", ["namespace", "chroot", "none"])
@pytest.mark.parametrize("link", ["link", "link/", "dir/../link"])
def test_a_shared_directory_may_be_a_link(place, mode, link):
    (place.top / "link").symlink_to(place.share)
    (place.top / "dir").mkdir()
    place.start(ROOT, "--sandbox", mode, "--shared-dir", f"{place.top}/{link}")
    place.work()
    assert not list(place.share.iterdir())


@pytest.mark.parametrize("mode, rights", [("namespace", 0o700), ("namespace", 0o744), ("none", 0o700)])
def test_a_directory_that_the_user_may_not_enter(place, mode, rights):
    """Neither is told that another sandbox would help."""
    os.chown(place.share, 0, 0)
    place.share.chmod(rights)
    line = place.refused(USER, f"{place.share}: cannot be shared: Permission denied", "--sandbox", mode)
    assert "--sandbox" not in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("who", ["root", "user"])
def test_a_signal_reaches_the_child(place, who, number):
    daemon = place.start(ROOT if who == "root" else USER)
    child = serving(daemon)
    daemon.send_signal(number)
    assert daemon.wait(timeout=PATIENCE) == 0
    assert not os.path.exists(f"/proc/{child}")
    assert not list(place.socket.parent.iterdir())


def test_an_ordinary_user_gets_namespaces(place):
    daemon = place.start(USER)
    child = serving(daemon)
    for name in ["user", "mnt", "pid", "net", "ipc", "uts"]:
        assert os.readlink(f"/proc/{child}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")
    assert status(child)["NSpid"][-1] == "1"
    assert status(child)["Uid"] == [str(NOBODY.pw_uid)] * 4
    assert int(status(child)["CapBnd"][0], 16) == 0
    assert status(child)["NoNewPrivs"] == ["1"]
    assert os.stat(f"/proc/{child}/root").st_ino == place.share.stat().st_ino


def test_the_users_own_id_as_root(place):
    daemon = place.start(USER, "--uid-map", f":0:{NOBODY.pw_uid}:1:",
                         "--gid-map", f":0:{NOBODY.pw_gid}:1:")
    child = serving(daemon)
    assert pathlib.Path(f"/proc/{child}/uid_map").read_text().split() == ["0", str(NOBODY.pw_uid), "1"]
    place.work()
    assert daemon.wait(timeout=PATIENCE) == 0


def test_many_ids_by_newuidmap(place):
    if not shutil.which("newuidmap"):
        pytest.skip("no newuidmap: scripts/setup test installs it")
    (place.top / "subid").write_text(f"nobody:{SUBORDINATE}:1000\n")
    os.chown(place.share, SUBORDINATE, SUBORDINATE)
    script = 'mount --bind "$1" /etc/subuid && mount --bind "$1" /etc/subgid && shift && exec "$@"'
    before = ["unshare", "-m", "sh", "-c", script, "sh", str(place.top / "subid"), *USER]
    for name in ["/etc/subuid", "/etc/subgid"]:
        assert os.path.exists(name)
    daemon = place.start(before, "--uid-map", f":0:{SUBORDINATE}:1000:",
                         "--gid-map", f":0:{SUBORDINATE}:1000:")
    child = serving(daemon)
    assert status(child)["Uid"] == [str(SUBORDINATE)] * 4
    place.work()
    assert daemon.wait(timeout=PATIENCE) == 0
    place.refused(before, "newuidmap refused", "--uid-map", f":0:{SUBORDINATE}:1001:")


def test_where_user_namespaces_are_off(place):
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    before = [*USER, "unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", script, "sh"]
    line = place.refused(before, "user namespace")
    assert "--sandbox none" in line
    daemon = place.start(before, "--sandbox", "none")
    place.work()
    assert daemon.wait(timeout=PATIENCE) == 0


def test_root_without_the_right_to_namespaces(place):
    """As in a container: one line, and chroot instead."""
    before = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    line = place.refused(before, "namespace")
    assert "--sandbox chroot" in line and "--sandbox none" in line
    daemon = place.start(before, "--sandbox", "chroot")
    place.work()
    assert daemon.wait(timeout=PATIENCE) == 0


def test_maps_are_an_ordinary_users(place):
    place.refused(ROOT, "ordinary users", "--uid-map", ":0:100000:65536:")


def test_what_the_starter_left_open_is_closed(place):
    with open("/etc/passwd", "rb") as stranger:
        daemon = subprocess.Popen(place.command(), stderr=subprocess.PIPE, text=True,
                                  pass_fds=[stranger.fileno()])
        place.started.append(daemon)
        assert "waiting" in daemon.stderr.readline()
        child = serving(daemon)
        held = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{child}/fd")]
        assert "/etc/passwd" not in held


def test_a_mount_made_later_is_seen(place):
    """What is mounted below the share on the host reaches the guest, as with virtiofsd."""
    script = 'mount --bind "$1" "$1" && mount --make-shared "$1" && shift && exec "$@"'
    before = ["unshare", "-m", "sh", "-c", script, "sh", str(place.share)]
    (place.share / "later").mkdir()
    daemon = place.start(before)
    subprocess.run(["nsenter", "-t", str(daemon.pid), "-m", "mount", "-t", "tmpfs", "none",
                    place.share / "later"], check=True)
    child = serving(daemon)
    deadline = limits.now() + PATIENCE
    while not os.path.ismount(f"/proc/{child}/root/later"):
        assert limits.now() < deadline
    daemon.terminate()
    assert daemon.wait(timeout=PATIENCE) == 0
