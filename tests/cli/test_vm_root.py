# SPDX-License-Identifier: BSD-3-Clause
"""scripts/vm-root: whom it trusts, and what it leaves where all of a system's users can reach it."""
import fcntl
import os
import pathlib
import stat
import subprocess

import pytest

from daemons import TOP

NOBODY = 65534
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="files of another user are made by root alone")

# In mmdebstrap's place: it notes its words, and makes what a distribution's packages may hold.
UNPACKER = """#!/bin/sh
printf '%s\\n' "$@" >>"$NOTES"
echo "TMPDIR=${TMPDIR:-}" >>"$NOTES"
for word; do case $word in *Valid*) exit 1 ;; */root) tree=$word ;; esac; done
[ -z "${REFUSE:-}" ] || { echo "E: $REFUSE"; exit 1; }
mkdir -p "$tree/usr/lib/modules/1" "$tree/usr/lib64" "$tree/usr/bin" "$tree/etc" "$tree/boot" "$tree/dev" "$tree/tmp"
mkdir -p "$tree/usr/share/doc/g++" "$tree/usr/share/doc/libfoo2.1" "$tree/usr/share/ca-certificates/mozilla"
echo a certificate >"$tree/usr/share/ca-certificates/mozilla/a.crt"
# The loader of the tree is given its Python.
printf '#!/bin/sh\necho "loader $*" >>"$NOTES"\n' >"$tree/usr/lib64/ld-linux-x86-64.so.2"
chmod 755 "$tree/usr/lib64/ld-linux-x86-64.so.2"
touch "$tree/usr/bin/su" "$tree/usr/bin/chage" "$tree/boot/vmlinuz-1"
chmod 4755 "$tree/usr/bin/su"
chmod 2755 "$tree/usr/bin/chage"
chmod 1777 "$tree/tmp"
chmod 2775 "$tree/usr/bin"
[ "$(id -u)" -ne 0 ] || mknod -m 666 "$tree/dev/console" c 5 1
"""


@pytest.fixture
def vm_root(tmp_path):
    """Runs the script with a cache of its own, and with programs that need no network."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in [("mmdebstrap", UNPACKER), ("depmod", "#!/bin/sh\n"), ("ldconfig", "#!/bin/sh\n")]:
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)

    def run(*words, cache=tmp_path / "cache", drop=(), **env):
        whole = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "NOTES": str(tmp_path / "notes"),
                 "CASEMENT_CACHE": str(cache), "CASEMENT_MIRROR": "http://mirror.invalid/debian",
                 "CASEMENT_SECURITY_MIRROR": "http://mirror.invalid/security", **env}
        for name in drop:
            whole.pop(name, None)
        return subprocess.run([TOP / "scripts/vm-root", *words], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60, check=False, env=whole)

    run.notes = lambda: (tmp_path / "notes").read_text() if (tmp_path / "notes").exists() else ""
    return run


def printed_root(result):
    assert result.returncode == 0, result
    return pathlib.Path(result.stdout.split("ROOT=")[1].splitlines()[0])


def walk(root):
    for folder, _, names in os.walk(root):
        for name in ["", *names]:
            path = os.path.join(folder, name)
            yield path, os.lstat(path)


def unsafe(root):
    """What this system's users could use, or change."""
    for path, st in walk(root):
        if stat.S_ISLNK(st.st_mode):
            continue
        if st.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWGRP | stat.S_IWOTH) or \
                not (stat.S_ISREG(st.st_mode) or stat.S_ISDIR(st.st_mode)):
            yield path
        elif "security.capability" in os.listxattr(path, follow_symlinks=False):
            yield path


def test_a_tree_gives_nobody_rights(vm_root):
    root = printed_root(vm_root("--print", "guest"))
    assert (root / "usr/bin/su").exists() and not list(unsafe(root.parent))


def test_the_trees_of_this_system_give_nobody_rights():
    listed = subprocess.run([TOP / "scripts/vm-root", "--print", "guest"], capture_output=True, text=True, check=True)
    root = listed.stdout.split("ROOT=")[1].splitlines()[0]
    assert not list(unsafe(os.path.dirname(root)))


def test_what_is_asked_of_apt(vm_root):
    """Signed, of today, and with security updates."""
    assert vm_root("guest").returncode == 0
    words = vm_root.notes().splitlines()
    assert "deb http://mirror.invalid/debian trixie main" in words
    assert "deb http://mirror.invalid/security trixie-security main" in words
    assert not any("trusted" in word or "nauthenticated" in word or "Insecure" in word for word in words)


def test_an_old_mirror_is_told_how(vm_root):
    result = vm_root("guest", REFUSE="Release file is expired")
    assert result.returncode == 1 and "check-valid-until=no" in result.stderr, result


def test_renewal(vm_root):
    assert vm_root("guest").returncode == 0
    once = vm_root.notes()
    result = vm_root("guest")
    assert (result.returncode, result.stderr, vm_root.notes()) == (0, "", once)
    tree = printed_root(vm_root("--print", "guest")).parent
    os.utime(tree / "made", (10**9, 10**9))
    result = vm_root("guest")
    assert result.returncode == 0 and "--renew guest" in result.stderr and "2001-09-09" in result.stderr
    assert vm_root("--print", "guest").stderr == ""
    assert vm_root("--renew", "guest").returncode == 0
    assert len(vm_root.notes()) > len(once)
    assert vm_root("guest").stderr == ""


def test_what_set_up_scripts_would_have_done(vm_root):
    """Python's modules are compiled, for where the guest will see them, and certificates are in one file."""
    root = printed_root(vm_root("--print", "guest"))
    assert (root / "etc/ssl/certs/ca-certificates.crt").read_text() == "a certificate\n"
    loader = next(line for line in vm_root.notes().splitlines() if line.startswith("loader "))
    assert "/making." in loader and "/root/usr/bin/python3 -I -m compileall" in loader and " -p / " in loader


def test_the_guests_python_is_compiled():
    """And up to date: what Python would compile at each start."""
    listed = subprocess.run([TOP / "scripts/vm-root", "--print", "guest"], capture_output=True, text=True, check=True)
    sources = list(printed_root(listed).glob("usr/lib/python3.*/[a-z]*.py"))
    assert sources
    for source in sources:
        if source.is_symlink():  # into the tree's /etc
            continue
        compiled = source.parent / "__pycache__" / f"{source.stem}.{source.parent.name.replace('python3.', 'cpython-3')}.pyc"
        assert int.from_bytes(compiled.read_bytes()[8:12], "little") == int(source.stat().st_mtime), compiled


def asked_of(vm_root):
    """The packages of the last tree."""
    word = [line for line in vm_root.notes().splitlines() if line.startswith("--include=")][-1]
    return word.partition("=")[2].split(",")


def test_included_packages(vm_root):
    """They have a tree of their own, and the other guest's kernel. It is made once, whatever the list's order."""
    plain = printed_root(vm_root("--print", "guest"))
    packages = asked_of(vm_root)
    (plain / "boot/vmlinuz-1").write_text("the guest's")
    result = vm_root("--include", "zsh,libfoo2.1", "--print", "guest")
    root = printed_root(result)
    assert "guest with libfoo2.1 zsh" in result.stderr and root != plain
    assert asked_of(vm_root) == [name for name in packages if not name.startswith("linux-image")] + ["libfoo2.1", "zsh"]
    assert f"KERNEL={root}/boot/vmlinuz-1\n" in result.stdout and (root / "boot/vmlinuz-1").read_text() == "the guest's"
    assert not list(unsafe(root.parent))
    notes = vm_root.notes()
    for words in [["--include", "libfoo2.1,zsh,zsh", "guest"], ["--include=zsh", "--include=libfoo2.1", "guest"]]:
        again = vm_root("--print", *words)
        assert (printed_root(again), again.stderr) == (root, "")
    assert vm_root.notes() == notes


def test_lists_do_not_replace_each_other(vm_root):
    trees = [printed_root(vm_root("--print", *words, "guest")) for words in ([], ["--include=zsh"], ["--include=fish"])]
    assert len(set(trees)) == 3 and all((tree.parent / "made").exists() for tree in trees)
    assert vm_root("--renew", "--include=zsh", "guest").returncode == 0
    assert all((tree.parent / "made").exists() for tree in trees)


def test_an_included_tree_that_is_old(vm_root):
    tree = printed_root(vm_root("--print", "--include=zsh", "guest")).parent
    os.utime(tree / "made", (10**9, 10**9))
    assert "vm-root --renew --include zsh guest makes it anew" in vm_root("--include=zsh", "guest").stderr
    assert vm_root("--renew", "--include=zsh", "guest").returncode == 0
    assert vm_root("--include=zsh", "guest").stderr == ""


def test_packages_that_each_guest_has(vm_root):
    """g++ is among them, though its name is an expression."""
    plain = printed_root(vm_root("--print", "guest"))
    assert printed_root(vm_root("--print", "--include", "g++,git", "guest")) == plain


@pytest.mark.parametrize("said", ["Unable to locate package nosuch", "Package 'nosuch' has no installation candidate"])
def test_a_package_that_is_not_there(vm_root, said):
    assert vm_root("guest").returncode == 0
    result = vm_root("--include", "zsh,nosuch", "guest", REFUSE=said)
    assert result.returncode == 1 and "Debian trixie has no package nosuch\n" in result.stderr, result


@pytest.mark.parametrize("name", ["libfoo.1", "zsh+"])
def test_a_name_that_apt_takes_for_more(vm_root, name, tmp_path):
    """An expression, or the word to install zsh: apt finds something, but no package has that name."""
    result = vm_root("--include", name, "guest")
    assert result.returncode == 1 and f"has no package {name}\n" in result.stderr, result
    assert not list((tmp_path / "cache").glob("with.*"))


@pytest.mark.parametrize("words", [
    ["--include"], ["--include", ""], ["--include=a1,,b1"], ["--include", "-y"], ["--include", "zsh-"], ["--include", "zsh=1"],
    ["--include", "zsh/sid"], ["--include", "?installed"], ["--include", "Zsh"], ["--include", "zsh fish"], ["--include", "../etc"],
    ["--include", "zsh", "uml"],
])
def test_what_is_no_list_of_packages(vm_root, words):
    result = vm_root(*words)
    assert result.returncode == 2 and "--include" in result.stderr and not vm_root.notes(), result


def as_nobody():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


@ROOT_ONLY
def test_nobody_else_holds_the_lock(vm_root, tmp_path):
    """Neither ours, nor one that an older vm-root left for all to read."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "lock").touch(0o644)
    with open(cache / "lock", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert vm_root("guest").returncode == 0
    assert stat.S_IMODE((cache / "lock").stat().st_mode) == 0o600


def others(tmp_path, kind):
    """A folder that another user could change, in one way."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    if kind == "below theirs":
        (theirs / "cache").mkdir(mode=0o755)
        os.chown(theirs, NOBODY, NOBODY)
        return theirs / "cache"
    if kind == "their link":
        (theirs / "cache").symlink_to(tmp_path / "ours", target_is_directory=True)
        os.chown(theirs, NOBODY, NOBODY)
        return theirs / "cache" / "below"
    if kind == "theirs":
        os.chown(theirs, NOBODY, NOBODY)
    theirs.chmod({"all may write": 0o777, "all may write, sticky": 0o1777}.get(kind, 0o755))
    if kind == "a group may write":
        os.chown(theirs, 0, 12)
        theirs.chmod(0o775)
    return theirs


@ROOT_ONLY
@pytest.mark.parametrize("kind", ["theirs", "below theirs", "all may write", "all may write, sticky", "a group may write"])
def test_a_cache_that_others_can_change(vm_root, tmp_path, kind):
    result = vm_root("--print", "guest", cache=others(tmp_path, kind))
    assert result.returncode == 1 and "CASEMENT_CACHE" in result.stderr and not vm_root.notes(), result


@ROOT_ONLY
def test_a_link_of_others_is_followed_once(vm_root, tmp_path):
    """Where it leads is ours; what is printed does not go through it."""
    (tmp_path / "ours").mkdir()
    result = vm_root("--print", "guest", cache=others(tmp_path, "their link"))
    assert result.returncode == 0 and f"ROOT={tmp_path}/ours/below/guest-" in result.stdout, result


@ROOT_ONLY
def test_a_temporary_folder_of_others(vm_root, tmp_path):
    assert vm_root("guest", TMPDIR=str(others(tmp_path, "theirs"))).returncode == 0
    assert "TMPDIR=\n" in vm_root.notes()


def test_a_temporary_folder_that_is_not_there(vm_root, tmp_path):
    """It is of no use, and that is nothing to complain of."""
    (tmp_path / "file").touch()
    for no_folder in (tmp_path / "gone", tmp_path / "file"):
        assert printed_root(vm_root("--print", "guest", TMPDIR=str(no_folder)))
        result = vm_root("--print", "guest", TMPDIR=str(no_folder))
        assert (result.returncode, result.stderr) == (0, ""), result
    assert "TMPDIR=\n" in vm_root.notes()


@ROOT_ONLY
def test_a_user_without_a_home(tmp_path):
    """The password file says where it is; where it says nothing, so does vm-root."""
    result = subprocess.run([TOP / "scripts/vm-root", "--print", "guest"], capture_output=True, text=True,
                            preexec_fn=as_nobody, env={"PATH": os.environ["PATH"]}, check=False)
    assert "unbound" not in result.stderr, result
