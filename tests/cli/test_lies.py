# SPDX-License-Identifier: BSD-3-Clause
"""The commands against a daemon that lies: what they show it, and when they end."""
import collections
import os
import re
import resource
import select
import shutil
import struct
import subprocess

import pytest

from daemons import CASEMENT, PATIENCE
from lies import KEY, QUICK, SMALL, Bench, Silent, casement, liars, only_line  # noqa: F401
from lying import DIR, FILE, OPENED, ROOT, Liar, Tree, dirent, entry, ring_index


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


@pytest.mark.parametrize("work,asked", [
    ("create:4", "UNLINK"), ("readdirplus:2", "READDIRPLUS"), ("read:2", "READ"), ("untar:2", "SETATTR"),
])
def test_bench_shows_no_address_of_its_own(liars, work, asked):
    """With one, a daemon could send requests of its own making, and write where it likes."""
    tree = Curious()
    tree.liar = liars(tree)
    result = casement("bench", tree.liar.path, "--work", work, "--time", 100, "--warm", 5, "--runs", 1,
                      "--file-size", "1M", "--entries", 20)
    assert tree.found == frozenset()
    assert asked in tree.liar.seen, result


@pytest.mark.parametrize("change", [-4096, 4096])
def test_daemon_cannot_change_the_size_of_the_memory(liars, change):
    """A client that touches what was cut off would end by SIGBUS."""
    class Resizing(Tree):
        refused = 0

        def answer(self, request):
            for *_, fd in request.queue.connection.regions:
                with pytest.raises(PermissionError):
                    os.ftruncate(fd, os.fstat(fd).st_size + change)
                self.refused += 1
            return super().answer(request)

    tree = Resizing(SMALL)
    result = casement("cat", liars(tree).path, "a")
    assert (result.returncode, result.stdout) == (0, "what a has") and tree.refused, result


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


# ---- answers that come late, or never, or without an end ----

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


@pytest.mark.parametrize("head,jump", [(4000, 1), (0, 5000), (1, 1)], ids=["no such chain", "a jump", "not in flight"])
def test_a_used_ring_that_makes_no_sense(liars, tmp_path, head, jump):
    """It is told once; nothing more is asked over it."""
    class Broken(Tree):
        def answer(self, request):
            if request.name != "READ":
                return super().answer(request)
            memory, at = request.queue.used
            index = ring_index(memory, at)
            struct.pack_into("<II", memory, at + 4 + 8 * (index[0] % request.queue.size),
                             head if head != 1 else (request.head + 7) % request.queue.size, 16)
            index[0] = (index[0] + jump) & 0xffff
            request.queue.notify()
            return None

    liar = liars(Broken(SMALL))
    for words in (["cp", "-r", f"{liar.path}:", tmp_path / "out"], ["cat", liar.path, "a", "b"]):
        assert "a: Protocol error" in only_line(casement(*words, timeout=20))
    liar.wait_for("READ", 2)
    assert liar.seen.count("READ") == 2


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
