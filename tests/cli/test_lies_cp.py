# SPDX-License-Identifier: BSD-3-Clause
"""casement cp, and ls -R, with a share that leads them astray: what is copied, and where to."""
import contextlib
import errno
import os
import socket
import stat
import struct

import pytest

from daemons import shares  # noqa: F401
from lies import KEY, casement, liars, lying_mount, mounting, only_line  # noqa: F401
from lying import ROOT, Tree, dirent, entry
from test_mount import is_mounted, until


# ---- cp: what a share that changes makes of the target ----

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


def test_what_cannot_be_opened_leaves_its_target(liars, tmp_path):
    class Closed(Tree):
        def open(self, _request):
            return -errno.EACCES

    (tmp_path / "file").write_text("what there was")
    liar = liars(Closed({ROOT: {"file": 2}, 2: b"new"}))
    for target in (tmp_path / "file", tmp_path, tmp_path / "new"):
        result = casement("cp", f"{liar.path}:file", target)
        assert result.returncode == 1 and "Permission denied" in only_line(result)
    assert (tmp_path / "file").read_text() == "what there was"
    assert not (tmp_path / "new").exists()


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
