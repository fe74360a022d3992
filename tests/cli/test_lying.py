# SPDX-License-Identifier: BSD-3-Clause
"""The commands against a daemon that lies: what they must withstand, and when they must end."""
import collections
import contextlib
import errno
import os
import re
import resource
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess

import pytest

from daemons import CASEMENT, PATIENCE, shares  # noqa: F401
from lying import DIR, FILE, OPENED, ROOT, Liar, Tree, dirent, entry
from test_mount import can_mount, is_mounted, until

MANY = 1000		# where a Bench tree's own nodes begin


@pytest.fixture
def liars(tmp_path):
    """Starts lying daemons, each with a tree; ends them."""
    running = []

    def start(tree):
        running.append(Liar(tmp_path / f"liar{len(running)}", tree))
        return running[-1]

    start.scratch = tmp_path
    yield start
    for liar in running:
        liar.close()


def casement(*args, timeout=PATIENCE, **more):
    return subprocess.run([CASEMENT, *map(str, args)], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, **more)


class Bench(Tree):
    """What casement bench makes and asks for, without remembering any of it."""

    def __init__(self):
        super().__init__({ROOT: {}})
        self.made = MANY

    def make(self, mode):
        self.made += 1
        return entry(self.made, mode)

    def mkdir(self, _request):
        return self.make(DIR)

    def create(self, _request):
        return self.make(FILE) + OPENED

    def lookup(self, _request):
        return -2

    def getattr(self, request):
        return entry(request.node, FILE)[24:]

    def read(self, request):
        return bytes(request.room)

    def write(self, request):
        return struct.pack("<II", struct.unpack_from("<I", request.body, 16)[0], 0)

    def setattr(self, request):
        return self.getattr(request)

    def readdir(self, _request):
        return b""

    def readdirplus(self, request):
        if struct.unpack_from("<Q", request.body, 8)[0]:
            return b""
        return entry(self.made, FILE) + dirent(b"file", 1, kind=FILE >> 12)


# ---- what a daemon finds in the memory that it is given ----

class Curious(Bench):
    """Looks through all of that memory for addresses in the client, at some requests of each kind."""
    liar = None
    found = frozenset()

    def __init__(self):
        super().__init__()
        self.seen = collections.Counter()

    def answer(self, request):
        self.seen[request.name] += 1
        if self.seen[request.name] in (2, 200):
            self.found |= self.liar.connection.client_addresses()
        return super().answer(request)


WORKS = "create:4,readdirplus:2,read:2,untar:2"


def test_bench_shows_no_address_of_its_own(liars):
    """With one, a daemon could send requests of its own making, and write where it likes."""
    tree = Curious()
    tree.liar = liars(tree)
    result = casement("bench", tree.liar.path, "--work", WORKS, "--time", 200, "--warm", 5, "--runs", 1,
                      "--file-size", "1M", "--entries", 20)
    assert tree.found == frozenset()
    assert {"CREATE", "READDIRPLUS", "READ", "WRITE", "SETATTR"} <= set(tree.liar.seen), result


def test_files_commands_show_no_address_of_their_own(liars, tmp_path):
    class Files(Tree):
        found = frozenset()

        def answer(self, request):
            self.found |= self.liar.connection.client_addresses()
            return super().answer(request)

    tree = Files({ROOT: {"dir": 2, "link": 4}, 2: {"file": 3}, 3: b"text", 4: "dir/file"})
    tree.liar = liars(tree)
    for words in (["ls", "-lR", tree.liar.path], ["cat", tree.liar.path, "link"],
                  ["cp", "-r", f"{tree.liar.path}:", tmp_path / "to"]):
        assert casement(*words).returncode == 0, words
    assert tree.found == frozenset()


# ---- cp: what a share that changes makes of the target ----

KEY = b"a key of the share's\n"


def changed(liars, tmp_path, first, second, *options, target="out/"):
    """Copy twice, the share changing in between: both results."""
    (tmp_path / "home/.ssh").mkdir(parents=True)
    (tmp_path / "home/.profile").write_text("mine")
    (tmp_path / "out").mkdir()
    tree = Tree(first)
    liar = liars(tree)
    results = [casement("cp", *options, f"{liar.path}:backup", f"{tmp_path}/{target}")]
    tree.nodes = second
    results.append(casement("cp", *options, f"{liar.path}:backup", f"{tmp_path}/{target}"))
    return results


def untouched(tmp_path):
    """Nothing was written outside of the target."""
    assert os.listdir(tmp_path / "home/.ssh") == []
    assert (tmp_path / "home/.profile").read_text() == "mine"
    return True


@pytest.mark.parametrize("options", [["-r"], ["-rp"]])
@pytest.mark.parametrize("leads,then", [
    (".ssh", {"authorized_keys": 3}), (".ssh/authorized_keys", KEY), (".profile", KEY),
], ids=["directory", "new file", "file"])
def test_a_link_of_an_earlier_run_is_not_followed(liars, tmp_path, options, leads, then):
    link = {ROOT: {"backup": 2}, 2: f"{tmp_path}/home/{leads}"}
    first, second = changed(liars, tmp_path, link, {ROOT: {"backup": 2}, 2: then, 3: KEY}, *options)
    assert first.returncode == 0 and (tmp_path / "out/backup").is_symlink()
    assert second.returncode == 1 and "out/backup: " in second.stderr, second
    assert untouched(tmp_path)


@pytest.mark.parametrize("leads,then", [
    (".ssh", {"authorized_keys": 3}), (".ssh/authorized_keys", KEY), (".profile", KEY),
], ids=["directory", "new file", "file"])
def test_the_target_itself_never_becomes_a_link(liars, tmp_path, leads, then):
    """It is followed, being what the user named: so a link in the share is, there, instead."""
    link = {ROOT: {"backup": 2}, 2: f"{tmp_path}/home/{leads}"}
    first, second = changed(liars, tmp_path, link, {ROOT: {"backup": 2}, 2: then, 3: KEY}, "-r",
                            target="out/backup")
    assert first.returncode == 1 and "backup: No such file" in first.stderr, first
    assert second.returncode == 0 and untouched(tmp_path)
    assert not (tmp_path / "out/backup").is_symlink() and (tmp_path / "out/backup").exists()


def test_a_link_below_of_an_earlier_run_is_not_followed(liars, tmp_path):
    """The same two directories down, both as a directory and as a file."""
    link = f"{tmp_path}/home/.ssh"
    first = {ROOT: {"backup": 2}, 2: {"dir": 3}, 3: {"keys": 4, "rc": 5}, 4: link, 5: f"{tmp_path}/home/.profile"}
    second = {ROOT: {"backup": 2}, 2: {"dir": 3}, 3: {"keys": 4, "rc": 6}, 4: {"authorized_keys": 6}, 6: KEY}
    results = changed(liars, tmp_path, first, second, "-r")
    assert [result.returncode for result in results] == [0, 1] and untouched(tmp_path)
    assert "dir/keys: Not a directory" in results[1].stderr and "dir/rc: Too many levels" in results[1].stderr


def test_two_sources_of_one_name(liars, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.profile").write_text("mine")
    (tmp_path / "out").mkdir()
    liar = liars(Tree({ROOT: {"a": 2, "b": 3}, 2: {"rc": 4}, 3: {"rc": 5}, 4: f"{tmp_path}/home/.profile", 5: KEY}))
    result = casement("cp", "-r", f"{liar.path}:a/rc", f"{liar.path}:b/rc", tmp_path / "out")
    assert result.returncode == 1 and "b/rc: another source has this name" in result.stderr
    assert (tmp_path / "home/.profile").read_text() == "mine"


def test_a_name_that_is_listed_twice(liars, tmp_path):
    """First as a link, then as what it is to lead astray."""
    class Twice(Tree):
        turn = 0

        def readdir(self, request):
            offset = struct.unpack_from("<Q", request.body, 8)[0]
            return b"" if offset else dirent(b"x", 1) + dirent(b"x", 2)

        def lookup(self, request):
            self.turn += 1
            return entry(2, self.mode(2)) if self.turn == 1 else entry(3, self.mode(3), size=len(KEY))

    (tmp_path / "precious").write_text("mine")
    liar = liars(Twice({ROOT: {}, 2: f"{tmp_path}/precious", 3: KEY}))
    assert casement("cp", "-r", f"{liar.path}:", tmp_path / "out").returncode == 1
    assert (tmp_path / "precious").read_text() == "mine"


def make_existing(kind, path, tmp_path):
    """Something under a name that is to be written."""
    (tmp_path / "precious").write_text("mine")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.bind(str(path))
    elif kind == "device":
        os.mknod(path, 0o020666, os.makedev(1, 3))
    elif kind == "link":
        path.symlink_to(tmp_path / "precious")
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "directory":
        path.mkdir()
    elif kind == "hard link":
        os.link(tmp_path / "precious", path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("kind,words", [
    ("fifo", "File exists"), ("socket", "File exists"), ("device", "File exists"), ("link", "Too many levels"),
    ("dangling", "Too many levels"), ("directory", "Is a directory"), ("hard link", ""),
])
@pytest.mark.parametrize("depth", [0, 1])
def test_what_is_there_already(liars, tmp_path, depth, kind, words):
    """Only a file is written over, in TARGET and below; nothing is waited for."""
    below = tmp_path / ("out/dir" if depth else "out")
    below.mkdir(parents=True)
    make_existing(kind, below / "name", tmp_path)
    before = os.lstat(below / "name")
    liar = liars(Tree({ROOT: {"dir": 2, "name": 3}, 2: {"name": 3}, 3: KEY}))
    source = [f"{liar.path}:dir"] if depth else [f"{liar.path}:name"]
    result = casement("cp", *(["-r"] if depth else []), *source, tmp_path / "out", timeout=20)
    assert result.returncode == (1 if words else 0) and words in result.stderr, result
    assert os.path.samestat(before, os.lstat(below / "name"))
    assert (tmp_path / "precious").read_bytes() == (b"mine" if words else KEY)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("source,kind", [("dir", "fifo"), ("dir", "link"), ("dir", "file")])
def test_no_directory_over_what_is_none(liars, tmp_path, source, kind):
    (tmp_path / "out").mkdir()
    make_existing(kind, tmp_path / "out/dir", tmp_path)
    if kind == "file":
        (tmp_path / "out/dir").write_text("mine")
    liar = liars(Tree({ROOT: {"dir": 2}, 2: {"name": 3}, 3: KEY}))
    result = casement("cp", "-r", f"{liar.path}:{source}", tmp_path / "out", timeout=20)
    assert result.returncode == 1 and "out/dir: Not a directory" in result.stderr, result
    assert (tmp_path / "precious").read_text() == "mine"


def test_links_are_copied_again(liars, tmp_path):
    """A copy that is repeated ends well; a link that has changed is changed, a file becomes one, a directory not."""
    (tmp_path / "out/one").mkdir(parents=True)
    tree = Tree({ROOT: {"one": 2}, 2: {"l": 3, "f": 4, "d": 5}, 3: "first", 4: KEY, 5: "first"})
    liar = liars(tree)
    copy = ["cp", "-rp", f"{liar.path}:one", tmp_path / "out"]
    assert casement(*copy).returncode == 0 and casement(*copy).returncode == 0
    (tmp_path / "out/one/d").unlink()
    (tmp_path / "out/one/d").mkdir()
    tree.nodes = {**tree.nodes, 3: "second", 4: "link"}
    result = casement(*copy)
    assert result.returncode == 1 and "one/d: Is a directory" in result.stderr
    assert [os.readlink(tmp_path / "out/one" / name) for name in "lf"] == ["second", "link"]


def test_a_named_target_may_be_a_device_or_a_pipe(liars, tmp_path):
    """It is the user's own word: written to, but no mode is taken over, and no reader is waited for."""
    liar = liars(Tree({ROOT: {"name": 3}, 3: KEY}))
    before = os.stat("/dev/null")
    assert casement("cp", "-p", f"{liar.path}:name", "/dev/null").returncode == 0
    assert os.stat("/dev/null").st_mode == before.st_mode
    os.mkfifo(tmp_path / "fifo")
    result = casement("cp", f"{liar.path}:name", tmp_path / "fifo", timeout=20)
    assert result.returncode == 1 and "fifo: No such device" in result.stderr
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    assert casement("cp", f"{liar.path}:name", tmp_path / "fifo").returncode == 0
    assert os.read(reader, 100) == KEY
    os.close(reader)


# ---- answers that come late, or never, or without an end ----

QUICK = {**os.environ, "CASEMENT_TIMEOUT": "0.5"}


class Silent(Tree):
    """Does not answer requests of some kinds for one node (0: any)."""

    def __init__(self, nodes, names, node=0):
        super().__init__(nodes)
        self.names, self.node, self.kept = names.split(), node, []

    def answer(self, request):
        if request.name not in self.names or self.node not in (0, request.node):
            return super().answer(request)
        self.kept.append(request)
        return None


SMALL = {ROOT: {"a": 2, "b": 3, "dir": 4}, 2: b"what a has", 3: b"and b", 4: {"c": 3}}


def only_line(result):
    assert len(result.stderr.splitlines()) == 1, result
    return result.stderr


def test_a_late_answer_is_nobody_elses(liars, tmp_path):
    """The first file's data came as the second's: here it comes as soon as that is asked for."""
    class Late(Silent):
        def answer(self, request):
            if request.name == "READ" and request.node == 3:
                self.kept.pop().reply(b"what a has")
            return super().answer(request)

    liar = liars(Late(SMALL, "READ", 2))
    result = casement("cp", "-r", f"{liar.path}:", tmp_path / "out", env=QUICK)
    assert result.returncode == 1 and "out/a: Connection timed out" in only_line(result)
    assert liar.seen.count("READ") == 1 and not (tmp_path / "out/b").exists()


@pytest.mark.parametrize("words", [
    ["ls", "-lR"], ["stat", "a", "b"], ["cat", "a", "b"], ["cp", "-rp"], ["cp", "-r", "in"],
], ids=" ".join)
@pytest.mark.parametrize("name", ["INIT", "GETATTR", "LOOKUP", "OPENDIR", "READDIR", "OPEN", "READ", "MKDIR",
                                  "CREATE", "WRITE", "RELEASE", "RELEASEDIR", "DESTROY", "FORGET"])
def test_an_answer_that_never_comes(liars, tmp_path, words, name):
    """One wait, one line, status 1; what was to be done after the answer is not tried."""
    class Taking(Silent):
        def mkdir(self, _request):
            return entry(9, DIR)

        def create(self, _request):
            return entry(9, FILE) + OPENED

        def write(self, request):
            return struct.pack("<II", struct.unpack_from("<I", request.body, 16)[0], 0)

    tree = Taking({**SMALL, 9: {}}, name)
    liar = liars(tree)
    command, *rest = words
    if rest[-1] == "in":
        (tmp_path / "in").mkdir()
        for file in "abc":
            (tmp_path / "in" / file).write_text("text")
        rest[-1:] = [tmp_path / "in", f"{liar.path}:"]
    elif command == "cp":
        rest += [f"{liar.path}:", tmp_path / "out"]
    else:
        rest.insert(1 if command == "ls" else 0, liar.path)
    result = casement(command, *rest, env={**QUICK, "CASEMENT_TIMEOUT": "0.2"}, timeout=20)
    if not tree.kept or name in ("RELEASE", "RELEASEDIR", "DESTROY", "FORGET"):
        assert result.returncode in (0, 1)		# what was asked for is done
        return
    assert result.returncode == 1 and re.search("timed out|no answer in", only_line(result)), result
    assert len(tree.kept) <= 4, "asked again"


def test_forgets_that_never_come_back(liars, tmp_path):
    """They are not waited for one by one, but only so many are on their way."""
    tree = Silent({ROOT: {f"f{i}": 2 + i for i in range(100)}, **{2 + i: b"" for i in range(100)}}, "FORGET")
    liar = liars(tree)
    result = casement("ls", "-l", liar.path, env=QUICK, timeout=20)
    assert result.returncode == 1 and "Connection timed out" in only_line(result)
    assert 8 <= len(tree.kept) <= 64
    few = Silent(SMALL, "FORGET")
    result = casement("ls", "-lR", liars(few).path, env=QUICK, timeout=20)
    assert result.returncode == 0 and len(few.kept) >= 4


def test_news_without_end_is_no_answer(liars):
    """A daemon that calls all the time does not keep the client from looking at its clock."""
    class Calling(Silent):
        def answer(self, request):
            answer = super().answer(request)
            while answer is None and not select.select([request.queue.connection.ending], [], [], 0)[0]:
                request.queue.notify()
            return answer

    liar = liars(Calling(SMALL, "OPENDIR"))
    result = casement("ls", liar.path, env=QUICK, timeout=20)
    assert result.returncode == 1 and "timed out" in only_line(result)


def test_a_message_byte_by_byte(liars):
    """The time is that of a whole message; as the client has gone, the daemon's send fails."""
    class Dribbling(Liar):
        def send(self, sock, text):
            for i in range(len(text)):
                sock.sendall(text[i:i + 1])
                select.select([sock], [], [], 0.2)

    liar = Dribbling(liars.scratch / "dribbling", Tree(SMALL))
    result = casement("ls", liar.path, env=QUICK, timeout=20)
    assert result.returncode == 1 and "did not answer in time" in only_line(result), result
    liar.close()


class Listing(Tree):
    """A directory whose every answer is what `entries` says, given where it begins."""

    def __init__(self, entries):
        super().__init__({ROOT: {}})
        self.entries = entries

    def readdir(self, request):
        return self.entries(struct.unpack_from("<Q", request.body, 8)[0])


@pytest.mark.parametrize("entries", [
    lambda offset: dirent(b"name%d" % offset, 1),
    lambda offset: dirent(b"name%d" % offset, 1 + offset % 7),
    lambda offset: dirent(b"name%d" % offset, 1 << 63 | (offset * 5 + 3) & 127),
    lambda offset: bytes(8), lambda offset: bytes(23), lambda offset: bytes(24),
    lambda offset: dirent(b"whole", 1) + bytes(8),
    lambda offset: dirent(b"whole", 1) + dirent(b"half of it", 2)[:-4],
    lambda offset: dirent(b"x", 1, length=0xffffffff), lambda offset: dirent(b"x" * 256, 1),
    lambda offset: dirent(b"", 1), lambda offset: dirent(b"a/b", 1), lambda offset: dirent(b"a\0b", 1),
], ids=["one offset", "seven offsets", "128 offsets", "8 zeros", "23 zeros", "24 zeros", "a rest", "half an entry",
        "endless name", "long name", "empty name", "a slash", "a NUL"])
@pytest.mark.parametrize("command", ["ls", "cp"])
def test_listings_that_make_no_sense(liars, tmp_path, entries, command):
    liar = liars(Listing(entries))
    words = ["ls", liar.path] if command == "ls" else ["cp", "-r", f"{liar.path}:", tmp_path / "out"]
    result = casement(*words, timeout=30)
    assert result.returncode == 1 and "Protocol error" in only_line(result) and result.stdout == ""
    assert liar.seen.count("READDIR") < 600


def test_a_listing_without_end(liars):
    """New names for ever, each answer full: there is a limit to what is kept."""
    full = b"".join(dirent(b"%03d" % i + b"x" * 240, 1) for i in range(240))

    def entries(offset):
        return full[:-len(full) // 240] + dirent(b"y" * 243, offset + 1)

    liar = liars(Listing(entries))
    result = casement("ls", liar.path, timeout=PATIENCE,
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)))
    assert result.returncode == 1 and "File too large" in only_line(result) and result.stdout == ""


# ---- bench: it ends when it is told to ----

BENCH = ["--runs", 1, "--warm", 5, "--file-size", "1M", "--entries", 50]


def start_bench(liar, work, *options):
    return subprocess.Popen([CASEMENT, "bench", liar.path, "--work", work, *map(str, [*BENCH, *options])],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def stop_bench(process, *signals):
    """Its exit status after these signals, and that it is soon."""
    for number in signals:
        process.send_signal(number)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 128 + signal.SIGINT, said
    return said


@pytest.mark.parametrize("work,name,after,number", [
    ("create", "MKDIR", 1, signal.SIGINT), ("create", "CREATE", 3, signal.SIGTERM), ("create", "UNLINK", 2, signal.SIGHUP),
    ("read", "WRITE", 1, signal.SIGINT), ("read", "READ", 2, signal.SIGINT),
    ("readdirplus", "READDIRPLUS", 1, signal.SIGINT), ("create", "BATCH_FORGET", 1, signal.SIGINT),
])
def test_bench_ends_by_a_signal(liars, work, name, after, number):
    """Whatever the daemon does not answer any more."""
    class Stuck(Bench):
        count = 0

        def answer(self, request):
            self.count += request.name == name
            return super().answer(request) if request.name != name or self.count < after else None

    liar = liars(Stuck())
    process = start_bench(liar, work, "--time", 60000)
    liar.wait_for(name, after)
    stop_bench(process, number)


def test_bench_ends_at_once_by_a_second_signal(liars):
    """Though the daemon answers, and has always more to be removed."""
    class Full(Bench):
        def readdir(self, _request):
            return b"".join(dirent(b"file%d" % i, i + 1) for i in range(100))

    liar = liars(Full())
    process = start_bench(liar, "create", "--time", 60000, "--entries", 1000000)
    liar.wait_for("UNLINK", 10)
    process.send_signal(signal.SIGINT)
    liar.wait_for("READDIR", 3)
    stop_bench(process, signal.SIGINT)


@pytest.mark.parametrize("work,names", [("create", 1), ("create", 100), ("create", 0), ("git-status", 60)])
def test_bench_ends_where_a_directory_does_not(liars, work, names):
    """Neither what is listed to be removed nor what is measured is taken to be as long as the daemon says."""
    class Full(Bench):
        def readdir(self, _request):
            return b"".join(dirent(b"file%d" % i, i + 1) for i in range(names)) or bytes(30)

        def readdirplus(self, _request):
            return b"".join(entry(self.made, FILE) + dirent(b"file", 1, kind=FILE >> 12) for _ in range(names)) or bytes(30)

    liar = liars(Full())
    result = casement("bench", liar.path, "--work", work, *BENCH, "--time", 50)
    assert ("Protocol error" in result.stderr) == (work == "git-status")


def test_bench_removes_what_it_made_after_a_signal(liars):
    """From a daemon that answers, also where that takes longer than an answer may."""
    liar = liars(Bench())
    process = start_bench(liar, "create", "--time", 60000)
    liar.wait_for("UNLINK", 10)
    assert stop_bench(process, signal.SIGINT) == ""
    assert liar.seen[-2:] == ["RMDIR", "DESTROY"]


# ---- mount: it ends when it is told to, and serves what it can ----

MOUNT_REASON = can_mount()
mounting = pytest.mark.skipif(MOUNT_REASON is not None, reason=str(MOUNT_REASON))


@contextlib.contextmanager
def lying_mount(liar, *options, **more):
    """The process of `casement mount`, and the directory; nothing of either is left."""
    target = liar.path.with_suffix(".mnt")
    target.mkdir()
    process = subprocess.Popen([CASEMENT, "mount", liar.path, target, *map(str, options)],
                               stderr=subprocess.PIPE, text=True, **more)
    try:
        yield process, target
    finally:
        process.kill()
        process.communicate()
        subprocess.run(["umount", "-l", target], stderr=subprocess.DEVNULL)


class Fresh(Silent):
    """Each look-up finds another file, so that there is always something to forget."""
    made = MANY

    def lookup(self, _request):
        self.made += 1
        return entry(self.made, FILE)

    def getattr(self, request):
        return super().getattr(request) if request.node == ROOT else entry(request.node, FILE)[24:]


def kill_groups(programs):
    for program in programs:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)


STATS = "for i in $(seq 500); do stat -c . $0/f; done >/dev/null 2>&1"


@mounting
@pytest.mark.parametrize("queues", [1, 2])
@pytest.mark.parametrize("signals", [1, 2])
def test_mount_ends_though_forgets_do_not_come_back(liars, queues, signals):
    """All slots are lent to the high-priority queue then: nothing is carried, but signals count."""
    tree = Fresh({ROOT: {}}, "FORGET BATCH_FORGET")
    liar = liars(tree)
    with lying_mount(liar, "--depth", 4, "--queues", queues) as (process, target):
        liar.wait_for("INIT")
        until(lambda: is_mounted(target))
        programs = [subprocess.Popen(["sh", "-c", STATS, target], start_new_session=True) for _ in range(4)]
        liar.wait_for("FORGET BATCH_FORGET", 4)
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            until(lambda: not is_mounted(target))
        if signals == 1:
            kill_groups(programs)	# nothing uses it any more
        process.communicate(timeout=20)
        kill_groups(programs)
        for program in programs:
            program.wait(timeout=20)


@mounting
@pytest.mark.parametrize("queues", [1, 2])
def test_mount_goes_on_when_forgets_come_back(liars, queues):
    """Late, and in the reverse order, but each: everything is carried then."""
    class Late(Fresh):
        def answer(self, request):
            answer = super().answer(request)
            if len(self.kept) >= 3:
                for one in [self.kept.pop() for _ in range(len(self.kept))]:
                    one.reply(b"")
            return answer

    liar = liars(Late({ROOT: {}}, "FORGET BATCH_FORGET"))
    with lying_mount(liar, "--depth", 4, "--queues", queues) as (process, target):
        until(lambda: is_mounted(target))
        programs = [subprocess.Popen(["sh", "-c", STATS, target]) for _ in range(4)]
        for program in programs:
            assert program.wait(timeout=PATIENCE) == 0
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20)[1] == "" and process.returncode == 0


@mounting
@pytest.mark.parametrize("name,node", [("INIT", 0), ("DESTROY", 0), ("LOOKUP", 0), ("READDIR", 0)])
def test_mount_ends_by_two_signals(liars, name, node):
    """Whatever is not answered: before it is mounted, while it is used, and after."""
    tree = Silent(SMALL, name, node)
    liar = liars(tree)
    with lying_mount(liar) as (process, target):
        program = None
        if name == "INIT":
            liar.wait_for("INIT")
        else:
            until(lambda: is_mounted(target))
            program = subprocess.Popen(["ls", target / "a"] if name == "LOOKUP" else ["ls", target],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if name != "DESTROY":
                liar.wait_for(name)
            else:
                assert program.wait(timeout=20) == 0
        process.send_signal(signal.SIGINT)
        if name != "INIT":
            until(lambda: not is_mounted(target))
            if name == "DESTROY":
                liar.wait_for(name)
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert not is_mounted(target)
        assert process.returncode == (1 if name == "INIT" else 0)
        if program:
            program.wait(timeout=20)


@mounting
def test_mount_in_the_background_keeps_nothing_open(shares):
    """What its caller had open is its caller's: a pipe that is read to its end, a file that is deleted."""
    share = shares()
    target = share.socket.parent / "mnt"
    target.mkdir()
    reader, writer = os.pipe()
    high = os.dup2(writer, 200)
    result = share.casement("mount", "--background", share.socket, target, pass_fds=(writer, high))
    os.close(writer)
    os.close(high)
    try:
        assert result.returncode == 0 and is_mounted(target), result
        assert select.select([reader], [], [], 20)[0] and os.read(reader, 1) == b""
    finally:
        subprocess.run(["umount", target], check=True)
        os.close(reader)


# ---- a limit of file sizes ----

def visible_casement(tmp_path):
    """A copy that everybody may run."""
    copy = tmp_path / "casement"
    shutil.copy(CASEMENT, copy)
    copy.chmod(0o755)
    return copy


@pytest.mark.parametrize("soft,hard", [(100 << 10, -1), (100 << 10, 1 << 30), (0, -1)])
def test_a_limit_of_file_sizes_is_not_one_of_memory(liars, soft, hard):
    liar = liars(Tree(SMALL))
    result = casement("cat", liar.path, "a",
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)))
    assert (result.returncode, result.stdout) == (0, "what a has"), result


@pytest.mark.parametrize("words", [["ls"], ["stat", "a"], ["cat", "a"], ["cp", "-r"], ["bench"], ["mount"], ["mount", "-b"]],
                         ids=" ".join)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_a_small_limit_of_file_sizes_is_told(liars, tmp_path, words):
    """Where it cannot be raised: SIGXFSZ would end the command without a word."""
    liar = liars(Tree(SMALL))
    os.chmod(liar.path, 0o777)
    for directory in [tmp_path, *tmp_path.parents]:
        if "pytest-" in str(directory):
            os.chmod(directory, 0o711)
    command, *rest = words
    words = [command, f"{liar.path}:" if command == "cp" else liar.path, *rest]
    words += [tmp_path] if command in ("cp", "mount") else []
    prefix = ["prlimit", "--fsize=102400", "setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all"]
    result = subprocess.run([*prefix, visible_casement(tmp_path), *map(str, words)], capture_output=True, text=True,
                            timeout=PATIENCE)
    assert result.returncode == 1 and "ulimit -f" in only_line(result), result


def test_a_file_beyond_the_limit_is_an_error(tmp_path, liars):
    """The rest is copied."""
    limit = 64 << 20

    class Huge(Tree):
        def attributes(self, node):
            return {"mode": self.mode(node), "size": 1 << 40 if node == 2 else 0}

        def read(self, request):
            return bytes(request.room) if request.node == 2 else KEY if not struct.unpack_from("<Q", request.body, 8)[0] else b""

    liar = liars(Huge({ROOT: {"large": 2, "small": 3}, 2: b"", 3: KEY}))
    result = casement("cp", "-r", f"{liar.path}:", tmp_path / "out",
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert result.returncode == 1 and "out/large: File too large" in only_line(result)
    assert (tmp_path / "out/small").read_bytes() == KEY


# ---- what is copied, and what is not ----

@pytest.mark.parametrize("command", ["ls", "cp"])
@pytest.mark.parametrize("nodes", [
    {ROOT: {"a": ROOT, "b": ROOT, "f": 9}}, {ROOT: {"a": 2, "f": 9}, 2: {"b": 3}, 3: {"c": 2, "d": ROOT}},
], ids=["itself", "further up"])
def test_directories_in_themselves(liars, tmp_path, command, nodes):
    """Each is told, once, and all else is done."""
    liar = liars(Tree({**nodes, 9: KEY}))
    words = ["ls", "-R", liar.path] if command == "ls" else ["cp", "-r", f"{liar.path}:", tmp_path / "out"]
    result = casement(*words)
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 2, result
    assert ("levels" if command == "ls" else "the same directory as one that it is in") in result.stderr
    if command == "cp":
        assert (tmp_path / "out/f").read_bytes() == KEY
        assert sum(len(directories) for _, directories, _ in os.walk(tmp_path / "out")) == len(nodes) - 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("options,kept", [(["-rp"], False), (["-rp", "--set-id"], True), (["-r", "--set-id"], False)])
def test_set_id_programs_are_asked_for(liars, tmp_path, options, kept):
    modes = {2: stat.S_IFREG | 0o6755, 3: stat.S_IFDIR | 0o2755, 4: stat.S_IFREG | 0o1644}
    liar = liars(Tree({ROOT: {"tool": 2, "dir": 3, "sticky": 4}, 2: KEY, 3: {}, 4: KEY}, modes))
    assert casement("cp", *options, f"{liar.path}:", tmp_path / "out").returncode == 0
    got = {name: stat.S_IMODE(os.stat(tmp_path / "out" / name).st_mode) for name in ("tool", "dir", "sticky")}
    assert got == {"tool": 0o6755 if kept else 0o755, "dir": 0o2755 if kept else 0o755,
                   "sticky": 0o1644 if "-rp" in options else 0o644}


@mounting
def test_a_directory_that_cannot_be_read_to_its_end(liars, shares, tmp_path):
    """Half a copy is a failure, into a share as out of one: what was read is there, and the reason is told."""
    class Broken(Tree):
        def readdir(self, request):
            return -errno.EIO if struct.unpack_from("<Q", request.body, 8)[0] else dirent(b"one", 1, 2)

    liar = liars(Broken({ROOT: {"one": 2, "two": 2}, 2: KEY}))
    share = shares()
    with lying_mount(liar) as (_, target):
        until(lambda: is_mounted(target))
        result = share.casement("cp", "-r", target, f"{share.socket}:copy")
        assert result.returncode == 1 and "Input/output error" in only_line(result), result
        assert os.listdir(share.dir / "copy") == ["one"]
    result = casement("cp", "-r", f"{liars(Broken({ROOT: {}})).path}:", tmp_path / "out")
    assert result.returncode == 1 and "Input/output error" in only_line(result)


def test_links_are_copied_in_again(shares, tmp_path):
    share = shares("--persist")
    (tmp_path / "tree").mkdir()
    for name, target in (("same", "a"), ("changed", "b"), ("file", "c"), ("dir", "d")):
        (tmp_path / "tree" / name).symlink_to(target)
    (share.dir / "tree/dir").mkdir(parents=True)
    (share.dir / "tree/same").symlink_to("a")
    (share.dir / "tree/changed").symlink_to("old")
    (share.dir / "tree/file").write_text("old")
    result = share.casement("cp", "-r", tmp_path / "tree", f"{share.socket}:")
    assert result.returncode == 1 and "tree/dir: File exists" in only_line(result)
    assert [os.readlink(share.dir / "tree" / name) for name in ("same", "changed", "file")] == ["a", "b", "c"]
    assert (share.dir / "tree/dir").is_dir()


def test_a_copy_of_what_holds_it(shares, tmp_path):
    """The shared directory into itself, both ways: listed before, so copied once."""
    share = shares("--persist")
    (share.dir / "file").write_text("text")
    assert share.casement("cp", "-r", f"{share.dir}/.", f"{share.socket}:in").returncode == 0
    assert share.casement("cp", "-r", f"{share.socket}:", share.dir / "out").returncode == 0
    assert sorted(os.listdir(share.dir)) == ["file", "in", "out"]
    assert os.listdir(share.dir / "in") == ["file"] and sorted(os.listdir(share.dir / "out")) == ["file", "in"]
