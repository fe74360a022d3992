# SPDX-License-Identifier: BSD-3-Clause
"""casement ls, stat, cat and cp: on a share without a mount."""
import filecmp
import os
import re
import signal
import stat
import subprocess

import pytest

from daemons import CASEMENT, PATIENCE, on_terminal, share, shares  # noqa: F401

BLOCK = 1 << 20


@pytest.fixture
def kept(shares):
    """A share whose daemon stays, with a small tree in it."""
    share = shares("--persist")
    make_tree(share.dir)
    return share


def make_tree(root):
    (root / "dir/below").mkdir(parents=True)
    (root / "file").write_text("text\n")
    (root / "dir/data").write_bytes(os.urandom(5 * BLOCK + 123))
    (root / "dir/block").write_bytes(os.urandom(BLOCK))
    (root / "dir/empty").write_bytes(b"")
    (root / "dir/below/script").write_text("#!/bin/sh\n")
    (root / "dir/below/script").chmod(0o750)
    (root / ".hidden").write_text("")
    (root / "link").symlink_to("file")
    (root / "dir/up").symlink_to("../file")
    (root / "dir/top").symlink_to("/dir/below")
    (root / "loop").symlink_to("loop")
    (root / "out").symlink_to("../../../../../../etc/passwd")
    os.utime(root / "file", ns=(10**18 + 5, 10**18 + 7))
    os.utime(root / "dir", ns=(10**18, 10**18 + 9))


def ok(share, *args, **more):
    result = share.casement(*args, **more)
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout


def fails(share, words, *args, status=1, **more):
    """That exit status, and a line that names the thing and the reason."""
    result = share.casement(*args, **more)
    assert result.returncode == status, result
    assert words in result.stderr and result.stderr.startswith(f"casement {args[0]}: error: "), result
    return result


# ---- ls ----

def test_ls(kept):
    assert ok(kept, "ls", kept.socket).split() == ["dir", "file", "link", "loop", "out"]
    assert ".hidden" in ok(kept, "ls", "-a", kept.socket).split()
    assert ok(kept, "ls", kept.socket, "dir/").split() == ["below", "block", "data", "empty", "top", "up"]
    assert ok(kept, "ls", kept.socket, "/dir/top").split() == ["script"]
    assert ok(kept, "ls", kept.socket, "-d", "dir").split() == ["dir"]
    assert ok(kept, "ls", kept.socket, "file").split() == ["file"]


def test_ls_long(kept):
    lines = ok(kept, "ls", "-l", kept.socket).splitlines()
    file = next(line for line in lines if line.endswith(" file")).split()
    assert file[0] == "-rw-r--r--" and file[1] == "1" and file[4] == "5"
    assert file[5] == "2001-09-09"
    assert next(line for line in lines if " link" in line).endswith("link -> file")
    assert next(line for line in lines if line.endswith(" dir")).startswith("d")


def test_ls_recursive(kept):
    lines = ok(kept, "ls", "-R", kept.socket, "dir").splitlines()
    assert lines[0] == "dir:" and "dir/below:" in lines and lines[-1] == "script"


def test_ls_of_many(kept):
    for i in range(3000):
        (kept.dir / f"dir/below/{'n' * (i % 150)}{i}").touch()
    listed = ok(kept, "ls", kept.socket, "dir/below").split()
    assert listed == sorted(os.listdir(kept.dir / "dir/below")) and len(listed) == 3001


@pytest.mark.parametrize("words", ["ls {}", "stat {} file", "stat -f {} file", "cat {} file", "--help", "--version", "cp --help",
                                   "run --help", "bench --list"])
def test_output_that_cannot_be_written(kept, words):
    with open("/dev/full", "w") as full:
        result = subprocess.run([CASEMENT, *words.format(kept.socket).split()], stdout=full, stderr=subprocess.PIPE,
                                text=True, timeout=PATIENCE)
    assert result.returncode == 1 and "error: standard output: No space left on device" in result.stderr, result


# ---- stat ----

def test_stat(kept):
    text = ok(kept, "stat", kept.socket, "file", "/link", "dir")
    assert re.search(r"File: file\n  Size: 5 .*regular file", text)
    assert "Access: (0644/-rw-r--r--)" in text
    assert "File: /link -> file" in text and "symbolic link" in text and "directory" in text
    assert re.search(r"Modify: 2001-09-09 \d\d:46:40.000000007", text)
    assert "regular file" in ok(kept, "stat", "-L", kept.socket, "link")
    assert "Blocks: Total:" in ok(kept, "stat", "-f", kept.socket, "/")


# ---- walking ----

def test_links_stay_in_the_share(kept):
    fails(kept, "out: No such file", "cat", kept.socket, "out")
    (kept.dir / "etc").mkdir()
    (kept.dir / "etc/passwd").write_text("the share's own")
    assert ok(kept, "cat", kept.socket, "out") == "the share's own"
    assert ok(kept, "cat", kept.socket, "dir/../../../file") == "text\n"
    assert ok(kept, "cat", kept.socket, "dir/top/../up") == "text\n"
    fails(kept, "loop: Too many levels", "cat", kept.socket, "loop")
    fails(kept, "file/: Not a directory", "cat", kept.socket, "file/")
    fails(kept, "file/x: Not a directory", "cat", kept.socket, "file/x")
    fails(kept, "name too long", "stat", kept.socket, "n" * 300)


# ---- cat ----

def test_cat(kept):
    result = subprocess.run([CASEMENT, "cat", kept.socket, "dir/data", "dir/empty", "dir/block", "link"],
                            capture_output=True, timeout=PATIENCE)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == b"".join((kept.dir / name).read_bytes()
                                     for name in ("dir/data", "dir/empty", "dir/block", "file"))
    fails(kept, "dir: Is a directory", "cat", kept.socket, "dir")
    result = fails(kept, "nothing: No such file", "cat", kept.socket, "nothing", "file")
    assert result.stdout == "text\n"


def test_cat_into_nothing(kept):
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([CASEMENT, "cat", kept.socket, "file"], stdout=full,
                                stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert result.returncode == 1 and "standard output: No space" in result.stderr


# ---- cp ----

def test_cp_out(kept, tmp_path):
    to = tmp_path / "to"
    ok(kept, "cp", f"{kept.socket}:dir/data", to)
    assert filecmp.cmp(to, kept.dir / "dir/data", shallow=False)
    ok(kept, "cp", f"{kept.socket}:/link", to)		# written over, and cut short
    assert to.read_text() == "text\n"
    (tmp_path / "into").mkdir()
    ok(kept, "cp", f"{kept.socket}:file", f"{kept.socket}:dir/block", tmp_path / "into")
    assert sorted(os.listdir(tmp_path / "into")) == ["block", "file"]
    fails(kept, "give --recursive", "cp", f"{kept.socket}:dir", tmp_path / "into")
    fails(kept, "more than one source", "cp", f"{kept.socket}:file", f"{kept.socket}:link", to)


def test_cp_in(kept, tmp_path):
    (tmp_path / "data").write_bytes(os.urandom(3 * BLOCK + 1))
    (tmp_path / "small").write_text("small")
    ok(kept, "cp", tmp_path / "data", f"{kept.socket}:/new")
    assert filecmp.cmp(tmp_path / "data", kept.dir / "new", shallow=False)
    ok(kept, "cp", tmp_path / "small", f"{kept.socket}:new")
    assert (kept.dir / "new").read_text() == "small"
    ok(kept, "cp", tmp_path / "data", tmp_path / "small", f"{kept.socket}:dir/top")
    assert sorted(os.listdir(kept.dir / "dir/below")) == ["data", "script", "small"]
    ok(kept, "cp", tmp_path / "small", f"{kept.socket}:")
    assert (kept.dir / "small").read_text() == "small"
    fails(kept, "No such file", "cp", tmp_path / "small", f"{kept.socket}:nowhere/new")
    fails(kept, "missing: No such file", "cp", tmp_path / "missing", f"{kept.socket}:x")


@pytest.mark.parametrize("preserve", [False, True])
def test_cp_a_tree_and_back(kept, tmp_path, preserve):
    option = "-rp" if preserve else "-r"
    os.mkfifo(kept.dir / "dir/fifo")
    fails(kept, "dir/fifo: neither", "cp", option, f"{kept.socket}:dir", tmp_path / "copy")
    os.unlink(kept.dir / "dir/fifo")
    os.utime(kept.dir / "dir", ns=(10**18, 10**18 + 9))
    ok(kept, "cp", option, f"{kept.socket}:dir", tmp_path / "again")
    ok(kept, "cp", option, tmp_path / "again", f"{kept.socket}:back")
    for copy in (tmp_path / "copy", tmp_path / "again", kept.dir / "back"):
        compare_trees(kept.dir / "dir", copy, preserve)
    # Into a tree that is there: the same again, beneath.
    ok(kept, "cp", option, f"{kept.socket}:dir/below", tmp_path / "again")
    assert os.listdir(tmp_path / "again/below") == ["script"]


def compare_trees(one, two, preserve):
    for mine in sorted(p.relative_to(one) for p in one.rglob("*")):
        a, b = os.lstat(one / mine), os.lstat(two / mine)
        assert stat.S_IFMT(a.st_mode) == stat.S_IFMT(b.st_mode), mine
        if stat.S_ISLNK(a.st_mode):
            assert os.readlink(one / mine) == os.readlink(two / mine)
            continue
        if stat.S_ISREG(a.st_mode):
            assert filecmp.cmp(one / mine, two / mine, shallow=False)
        assert a.st_mode & 0o700 == b.st_mode & 0o700
        if preserve:
            assert (a.st_mode, a.st_uid, a.st_gid, a.st_mtime_ns) == \
                   (b.st_mode, b.st_uid, b.st_gid, b.st_mtime_ns), mine
    assert len(list(one.rglob("*"))) == len(list(two.rglob("*")))


def test_cp_follows_no_local_link_below_its_target(kept, tmp_path):
    """A share that names what is a link here cannot write to where it leads."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/data").symlink_to(tmp_path / "precious")
    result = share_cp(kept, tmp_path / "copy")
    assert result.returncode == 1 and "data: Too many levels" in result.stderr
    assert (tmp_path / "precious").read_text() == "precious"
    assert filecmp.cmp(kept.dir / "dir/block", tmp_path / "copy/block", shallow=False)


def share_cp(share, target):
    return share.casement("cp", "-r", f"{share.socket}:dir/.", target)


@pytest.mark.parametrize("words", [
    ("{socket}:file", "{dir}"), ("{socket}:file", "{dir}/file"), ("-rp", "{socket}:", "{dir}"),
    ("{socket}:file", "{dir}/link"), ("{dir}/file", "{socket}:"),
    ("-rp", "{dir}/dir", "{socket}:"), ("{dir}/link", "{socket}:file"),
], ids=" ".join)
def test_cp_onto_itself(kept, words):
    """In the shared directory itself: nothing is written over before it was read."""
    before = {path: path.read_bytes() for path in kept.dir.rglob("*") if path.is_file()}
    fails(kept, "the same file", "cp", *[word.format(socket=kept.socket, dir=kept.dir) for word in words])
    assert {path: path.read_bytes() for path in kept.dir.rglob("*") if path.is_file()} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("words", [("{socket}:below/file", "{dir}/below/file"), ("{dir}/below/file", "{socket}:below/file"),
                                   ("-rp", "{socket}:below", "{dir}"), ("-rp", "{dir}/below", "{socket}:")], ids=" ".join)
def test_cp_onto_itself_by_another_number(shares, tmp_path, words):
    """A daemon that announces no mounts makes the numbers of what is below one: the file keeps what it has."""
    below = tmp_path / "dir/below"
    below.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", below], check=True)
    try:
        data = os.urandom(5 * BLOCK + 123)
        (below / "file").write_bytes(data)
        share = shares("--no-announce-submounts", directory=tmp_path / "dir")
        ok(share, "cp", *[word.format(socket=share.socket, dir=share.dir) for word in words])
        assert (below / "file").read_bytes() == data
    finally:
        subprocess.run(["umount", "-l", below], check=True)


def test_cp_shows_its_progress_on_a_terminal_only(kept):
    with open(kept.dir / "huge", "wb") as huge:
        huge.truncate(64 << 30)
    with open(kept.dir / "large", "wb") as large:
        large.truncate(1 << 30)
    on_terminal("cp", f"{kept.socket}:huge", "/dev/null", until=rb"\d+%  \d+ of 65536 MiB .*/dev/null")
    assert on_terminal("cp", "-q", f"{kept.socket}:large", "/dev/null") == (b"", 0)
    assert ok(kept, "cp", f"{kept.socket}:large", "/dev/null") == ""


# ---- what goes wrong ----

@pytest.mark.parametrize("args,words", [
    (["ls"], "socket is missing"), (["stat"], "socket is missing"), (["cat"], "socket is missing"),
    (["stat", "s"], "path is missing"), (["cat", "s"], "path is missing"),
    (["cp"], "source is missing"), (["cp", "a"], "target is missing"),
    (["cp", "a", "b"], "neither source nor target"), (["ls", "--nonsense"], "--nonsense"),
])
def test_wrong_command_lines(args, words, tmp_path):
    result = subprocess.run([CASEMENT, *args], capture_output=True, text=True, timeout=PATIENCE,
                            cwd=tmp_path)
    assert result.returncode == 2 and words in result.stderr, result
    assert len(result.stderr.splitlines()) == 1


def test_both_in_a_share(share, tmp_path):
    fails(share, "both in a share", "cp", f"{share.socket}:a", f"{share.socket}:b", status=2)


@pytest.mark.parametrize("command", ["ls", "stat", "cat"])
def test_no_daemon(share, command, tmp_path):
    fails(share, "start a daemon there", command, tmp_path / "nowhere", "x")
    fails(share, f"{tmp_path}: not a socket; name the one", command, tmp_path, "x")


def test_a_read_only_share(shares, tmp_path):
    share = shares("--readonly", "--persist")
    (tmp_path / "file").write_text("")
    fails(share, "new: Read-only", "cp", tmp_path / "file", f"{share.socket}:new")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_full_share(shares, tmp_path):
    script = 'mount -t tmpfs -o size=2m none "$3" && exec "$@"'
    share = shares("--persist", prefix=["unshare", "-m", "sh", "-c", script, "sh"])
    (tmp_path / "file").write_bytes(bytes(4 * BLOCK))
    fails(share, "new: No space", "cp", tmp_path / "file", f"{share.socket}:new")
    assert ok(share, "ls", share.socket).split() == ["new"]
