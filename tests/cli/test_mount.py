# SPDX-License-Identifier: BSD-3-Clause
"""casement mount: everyday programs and every request on it, and how it ends."""
import contextlib
import errno
import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

import limits
from daemons import BUILD, CASEMENT, PATIENCE, find_virtiofsd, serving, share, shares  # noqa: F401
from stopped import stop

HERE = pathlib.Path(__file__).resolve().parent
NOBODY = 65534


def can_mount():
    if os.geteuid() != 0:
        return "needs root"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"/dev/fuse: {error.strerror}"
    return None


REASON = can_mount()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


def is_mounted(directory):
    return any(line.split()[4] == str(directory)
               for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines())


def until(condition):
    """Poll for what comes soon but without an event."""
    end = limits.now() + PATIENCE
    while not condition():
        assert limits.now() < end, "it did not happen"
        time.sleep(0.01)


class Mount:
    """`casement mount` in the foreground, on a directory beside the share or on another."""

    def __init__(self, share, *options, prefix=(), directory=None):
        self.dir = directory or share.socket.parent / "mnt"
        self.dir.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [*prefix, CASEMENT, "mount", share.socket, self.dir, *map(str, options)],
            stderr=subprocess.PIPE, text=True)
        until(lambda: is_mounted(self.dir) or self.process.poll() is not None)

    def end(self, number=signal.SIGTERM):
        """Its exit status and what it said."""
        if self.process.poll() is None and number:
            self.process.send_signal(number)
        errors = self.process.communicate(timeout=PATIENCE)[1]
        assert not is_mounted(self.dir)
        return self.process.returncode, errors

    def cleanup(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        if is_mounted(self.dir):
            subprocess.run(["umount", "-l", self.dir], check=True)


@pytest.fixture
def mounts():
    made = []

    def mount(share, *options, **more):
        made.append(Mount(share, *options, **more))
        return made[-1]

    yield mount
    for mount in made:
        mount.cleanup()


def run(*command, **more):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                            timeout=4 * PATIENCE, **more)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout


# ---- what it is for ----

@pytest.mark.parametrize("daemon,mount", [
    ([], []),
    (["--queues", 2, "--cache", "always", "--writeback"], ["--queues", 2]),
    (["--cache", "never", "--allow-mmap"], ["--depth", 2]),
    (["--thread-pool-size", 0, "--poll-max-us", 0], ["--depth", 1]),
], ids=["plain", "two queues, writeback", "no cache, depth 2", "depth 1"])
def test_everyday_programs(shares, mounts, daemon, mount):
    share = shares(*daemon)
    mounted = mounts(share, *mount)
    run("sh", HERE / "everyday.sh", mounted.dir)
    assert mounted.end() == (0, "")
    assert run("sqlite3", share.dir / "wal.db", "pragma integrity_check").strip() == "ok"


def test_the_same_with_virtiofsd(shares, mounts):
    """The library and the mount are not for our daemon alone."""
    peer = find_virtiofsd()
    if not peer:
        pytest.skip("no virtiofsd; scripts/setup vm fetches one where QEMU is older than 11.1")
    share = shares("--sandbox", "none", "--xattr", program=peer)
    mounted = mounts(share)
    run("sh", HERE / "everyday.sh", mounted.dir)
    run(sys.executable, HERE / "requests.py", mounted.dir)
    assert mounted.end() == (0, "")


MADE_UP = [pathlib.Path(name) for name in (
    "/proc/sys/kernel/ostype", "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/kernel/tracing/README", "/sys/fs/cgroup/cgroup.controllers")]


@pytest.mark.parametrize("options", [
    ["--cache", "auto"], ["--cache", "auto", "--writeback"], ["--cache", "always", "--writeback"],
], ids=" ".join)
def test_files_whose_size_says_nothing(shares, mounts, options):
    """What the host reads is read, through one share, and through a share of that mount."""
    for path in MADE_UP:
        if not path.exists():
            continue
        text = path.read_bytes()
        first = mounts(shares(*options, directory=path.parent))
        second = mounts(shares(*options, directory=first.dir))
        for mounted in (first, second):
            for _ in range(2):
                assert (mounted.dir / path.name).read_bytes() == text, (path, mounted.dir)
        assert second.end() == (0, "")
        assert first.end() == (0, "")


def test_file_systems_below_are_not_mixed_up(shares, mounts, tmp_path):
    """Files of one number on two file systems, each with two links: a copy of all has the content of each."""
    source = tmp_path / "source"
    names = ["a", "b", "bound"]
    for name in names:
        (source / name).mkdir(parents=True)
    mounted = []
    try:
        for name in names[:2]:
            run("mount", "-t", "tmpfs", "-o", "size=1M", "none", source / name)
            mounted.append(source / name)
            (source / name / "file").write_text(f"content of {name}")
            os.link(source / name / "file", source / name / "link")
        run("mount", "--bind", source / "a", source / "bound")
        mounted.append(source / "bound")
        seen = mounts(shares(directory=source))
        run("cp", "-a", seen.dir, tmp_path / "copy")
        for name in names[:2]:
            assert (tmp_path / "copy" / name / "file").read_text() == f"content of {name}"
        assert not os.path.samefile(seen.dir / "a/file", seen.dir / "b/file")
        # What the host's kernel takes for one file is one.
        assert os.path.samefile(source / "a/file", source / "bound/link")
        assert os.path.samefile(seen.dir / "a/file", seen.dir / "bound/link")
        assert seen.end() == (0, "")
    finally:
        for directory in reversed(mounted):
            run("umount", "-l", directory)


def test_a_mount_inside_its_own_share(shares, mounts, tmp_path):
    """find(1) ends, and no request waits for itself: below the mount its own directory is ELOOP."""
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "file").write_text("content")
    run("mount", "--bind", source, source)
    try:
        # What is mounted later reaches the daemon's own namespace.
        run("mount", "--make-shared", source)
        seen = mounts(shares(directory=source), directory=source / "inner")
        found = subprocess.run(["find", source], capture_output=True, text=True, timeout=PATIENCE)
        assert sorted(found.stdout.split()) == [
            str(source), f"{source}/file", f"{source}/inner", f"{source}/inner/file"]
        assert f"{source}/inner/inner" in found.stderr and os.strerror(errno.ELOOP) in found.stderr
        assert (seen.dir / "file").read_text() == "content"
        with pytest.raises(OSError) as loop:
            os.stat(seen.dir / "inner")
        assert loop.value.errno == errno.ELOOP
        assert sorted(os.listdir(seen.dir)) == ["file", "inner"]
        assert seen.end() == (0, "")
    finally:
        run("umount", "-l", source)


@pytest.mark.parametrize("queues", [1, 2])
def test_every_request(shares, mounts, queues):
    share = shares("--posix-lock", "--flock", "--queues", queues)
    mounted = mounts(share, "--queues", queues)
    run(sys.executable, HERE / "requests.py", mounted.dir)
    assert mounted.end() == (0, "")


def test_every_request_on_one_processor(shares, mounts):
    """Daemon, client and the programs all wait for the same one."""
    one = ["taskset", "-c", "0"]
    share = shares("--posix-lock", "--flock", prefix=one)
    mounted = mounts(share, prefix=one)
    run(*one, sys.executable, HERE / "requests.py", mounted.dir)
    assert mounted.end() == (0, "")


def test_many_processes_at_once(shares, mounts):
    """More requests than there are slots, from more processes than there are queues."""
    share = shares("--queues", 2)
    mounted = mounts(share, "--queues", 2, "--depth", 4)
    script = ('for i in $(seq 40); do echo $i >$0.$i; cat $0.$i >/dev/null; mv $0.$i $0.m$i; done; '
              'rm $0.m*')
    running = [subprocess.Popen(["sh", "-c", script, mounted.dir / f"p{i}"]) for i in range(24)]
    assert [process.wait(timeout=PATIENCE) for process in running] == [0] * 24
    assert os.listdir(mounted.dir) == []
    assert mounted.end() == (0, "")


def test_one_client_after_the_other(shares):
    """Each gets a share as if it were the first; nothing is left of those before."""
    share = shares("--persist")
    (share.dir / "file").write_text("kept")
    target = share.socket.parent / "mnt"
    target.mkdir()
    for i in range(64):
        result = share.casement("mount", "--background", share.socket, target)
        assert result.returncode == 0, (i, result.stderr)
        assert (target / "file").read_text() == "kept"
        run("umount", target)
        until(lambda: not list_mounts(share.socket))


def list_mounts(socket):
    """Processes of `casement mount` on this socket."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            if words[1:2] == [b"mount"] and str(socket).encode() in words:
                found.append(int(entry.name))
    return found


def test_what_it_says_of_itself(share, mounts):
    mounted = mounts(share, "-o", "noatime", "-o", "fsname=myname")
    line = next(line for line in pathlib.Path("/proc/mounts").read_text().splitlines()
                if str(mounted.dir) in line).split()
    assert (line[0], line[2]) == ("myname", "fuse.casement")
    assert {"default_permissions", "noatime", "nosuid", "nodev"} <= set(line[3].split(","))


def test_read_only(share, mounts):
    (share.dir / "file").write_text("text")
    mounted = mounts(share, "-o", "ro")
    assert (mounted.dir / "file").read_text() == "text"
    with pytest.raises(OSError, match="Read-only"):
        (mounted.dir / "file").write_text("more")


@pytest.mark.parametrize("let_in", [False, True])
def test_other_users(share, mounts, let_in):
    """They come in with allow_other only, and then to what its owner lets them."""
    os.chmod(share.dir, 0o755)
    for directory in mounted_parents(share.socket.parent):
        os.chmod(directory, 0o711)
    (share.dir / "private").write_text("secret")
    os.chmod(share.dir / "private", 0o600)
    (share.dir / "public").write_text("text")
    mounted = mounts(share, *(["-o", "allow_other"] if let_in else []))

    def cat(name):
        return subprocess.run(
            ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "cat",
             mounted.dir / name], capture_output=True, text=True, timeout=PATIENCE)

    assert cat("public").stdout == ("text" if let_in else "")
    assert cat("private").returncode == 1 and "Permission denied" in cat("private").stderr


def mounted_parents(path):
    """The directories of pytest's own above a path."""
    return [p for p in [path, *path.parents] if "pytest-" in str(p)]


# ---- how it ends ----

@pytest.mark.parametrize("by_link", [False, True])
def test_a_signal_unmounts_what_has_a_relative_path(share, by_link):
    """In the background the process is in another directory."""
    scratch = share.socket.parent
    target = scratch / "mnt"
    target.mkdir()
    (scratch / "link").symlink_to("mnt")
    mounted = share.casement("mount", "--background", share.socket, "link" if by_link else "mnt", cwd=scratch)
    try:
        assert mounted.returncode == 0 and is_mounted(target), mounted
        [process] = list_mounts(share.socket)
        os.kill(process, signal.SIGTERM)
        until(lambda: not is_mounted(target))
        share.daemon.wait(timeout=PATIENCE)
    finally:
        subprocess.run(["umount", "-l", target], stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_unmounts(share, mounts, number):
    mounted = mounts(share)
    (mounted.dir / "file").write_text("text")
    assert mounted.end(number) == (0, "")
    assert (share.dir / "file").read_text() == "text"


def test_umount_ends_it(share, mounts):
    mounted = mounts(share)
    run("umount", mounted.dir)
    assert mounted.end(None) == (0, "")


def test_what_is_open_is_finished_first(share, mounts):
    mounted = mounts(share)
    with open(mounted.dir / "file", "w", encoding="utf-8") as file:
        mounted.process.send_signal(signal.SIGTERM)
        until(lambda: not is_mounted(mounted.dir))
        file.write("after the signal")
        file.flush()
        os.fsync(file.fileno())
        assert mounted.process.stderr.readline().endswith("cuts it off\n")
    assert mounted.end(None) == (0, "")
    assert (share.dir / "file").read_text() == "after the signal"


def test_a_second_signal_cuts_off(share, mounts):
    mounted = mounts(share)
    with open(mounted.dir / "file", "wb", buffering=0) as file:
        mounted.process.send_signal(signal.SIGTERM)
        assert mounted.process.stderr.readline()
        mounted.process.send_signal(signal.SIGINT)
        assert mounted.process.wait(timeout=PATIENCE) == 0
        with pytest.raises(OSError):
            file.write(b"too late")
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):
            file.close()


def test_the_daemons_death_is_an_error_not_a_wait(share, mounts):
    """Those who wait are told, those who come later are, and the mount is gone."""
    mounted = mounts(share)
    (mounted.dir / "file").write_text("text")
    errors = []

    def busy():
        try:
            while True:
                os.stat(mounted.dir / "nothing") if errors else os.listdir(mounted.dir)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    share.daemon.kill()
    status, said = mounted.end(None)
    for thread in threads:
        thread.join(timeout=PATIENCE)
        assert not thread.is_alive()
    assert status == 1 and "the daemon has gone" in said
    assert len(errors) == 4


def wait_for_request(process):
    """Until it waits for the reply to a FUSE request, where the kernel says so."""
    end = limits.now() + PATIENCE
    while "request" not in pathlib.Path(f"/proc/{process.pid}/wchan").read_text(encoding="ascii"):
        assert process.poll() is None and limits.now() < end
        os.sched_yield()


def test_a_stopped_daemon_is_waited_for_until_it_dies(share, mounts):
    """A request in flight at the daemon's death gets an error."""
    mounted = mounts(share)
    stop(serving(share.daemon))
    reader = subprocess.Popen(["ls", mounted.dir / "name"], stderr=subprocess.PIPE, text=True)
    wait_for_request(reader)
    share.daemon.kill()
    assert reader.wait(timeout=PATIENCE) != 0
    assert "not connected" in reader.communicate()[1]
    assert mounted.end(None)[0] == 1


def test_a_wait_for_a_lock_can_be_interrupted(shares, mounts):
    share = shares("--posix-lock", "--flock")
    mounted = mounts(share)
    with open(mounted.dir / "lock", "w", encoding="utf-8") as held:
        subprocess.run(["flock", "-n", mounted.dir / "lock", "true"], check=True)
        fcntl.flock(held, fcntl.LOCK_EX)
        waiter = subprocess.Popen(["flock", mounted.dir / "lock", "true"])
        wait_for_request(waiter)
        waiter.send_signal(signal.SIGTERM)
        assert waiter.wait(timeout=PATIENCE) == -signal.SIGTERM
    assert mounted.end() == (0, "")


def test_a_user_mounts_by_fusermount(share, tmp_path):
    """Without root's mount(2): in a name space where /dev/fuse is everybody's, as on most systems."""
    os.chmod(share.dir, 0o777)
    os.chmod(share.socket, 0o777)
    (share.dir / "file").write_text("text")
    for directory in mounted_parents(tmp_path):
        os.chmod(directory, 0o711)
    target = tmp_path / "mine"
    target.mkdir()
    os.chown(target, NOBODY, NOBODY)
    os.chmod(BUILD, os.stat(BUILD).st_mode | 0o111)
    device = tmp_path / "fuse"
    os.mknod(device, 0o020666, os.makedev(10, 229))
    os.chmod(device, 0o666)
    script = f"""mount --bind {device} /dev/fuse
        exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups sh -euc '
            "$0" mount --background {share.socket} {target}
            test "$(cat {target}/file)" = text
            fusermount3 -u {target}' $CASEMENT"""
    casement = tmp_path / "casement"
    casement.write_bytes(CASEMENT.read_bytes())
    casement.chmod(0o755)
    run("unshare", "-m", "sh", "-euc", script, env={**os.environ, "CASEMENT": str(casement)})
    assert share.daemon.wait(timeout=PATIENCE) == 0


# ---- what it refuses ----

@pytest.mark.parametrize("args,status,words", [
    (["mount"], 2, "socket is missing"),
    (["mount", "a"], 2, "directory to mount on is missing"),
    (["mount", "a", "b", "c"], 2, "c: one word too many"),
    (["mount", "a", "b", "--queues", "0"], 2, "1 to 64"),
    (["mount", "a", "b", "-f", "-b"], 2, "exclude each other"),
    (["mount", "nowhere", "."], 1, "start a daemon there"),
    (["mount", "/dev/null", "."], 1, "/dev/null"),
])
def test_wrong_command_lines(args, status, words, tmp_path):
    result = subprocess.run([CASEMENT, *args], capture_output=True, text=True, timeout=PATIENCE,
                            cwd=tmp_path)
    assert result.returncode == status and words in result.stderr, result
    assert len(result.stderr.splitlines()) == 1


def test_a_directory_that_is_none(share, tmp_path):
    result = share.casement("mount", share.socket, tmp_path / "nowhere")
    assert result.returncode == 1 and "nowhere" in result.stderr


def test_an_option_that_is_none(share, tmp_path):
    result = share.casement("mount", share.socket, tmp_path, "-o", "nonsense")
    assert result.returncode == 1 and "nonsense" in result.stderr


def test_a_daemon_that_is_taken(share, mounts, tmp_path):
    mounts(share)
    result = share.casement("mount", share.socket, tmp_path)
    assert result.returncode == 1 and "another client" in result.stderr
