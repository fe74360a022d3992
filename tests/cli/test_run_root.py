# SPDX-License-Identifier: BSD-3-Clause
"""casement run --root: read-only unless it is asked for more, and copy-on-write for one's own system."""
import os
import shutil
import subprocess

import pytest

from booted import BOOTED
from daemons import BUILD, CASEMENT, PATIENCE, TOP, short_path  # noqa: F401

NOBODY = 65534
USER = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def run(root, script, *options, before=(), accel="uml"):
    BOOTED["native" if accel == "uml" else "QEMU"] += 1
    return subprocess.run([*before, CASEMENT, "run", "--accel", accel, "--root", str(root), *map(str, options), "--", "/bin/sh",
                           "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.fixture
def temporary(short_path, monkeypatch):
    """Where casement run keeps its things. What it leaves there is seen at the end."""
    (short_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path / "run"))
    yield short_path
    assert not list((short_path / "run").iterdir())


@pytest.fixture
def root(temporary):
    """One of a single program, with a file to change."""
    top = temporary / "tree"
    for name in ("bin", "proc", "sys", "dev", "tmp", "run", "mnt", "root", "etc"):
        (top / name).mkdir(parents=True)
    busybox = subprocess.run(["sh", "-c", "command -v busybox"], capture_output=True, text=True, check=False)
    assert busybox.returncode == 0, "busybox is missing: run scripts/setup test"
    subprocess.run(["cp", "-L", busybox.stdout.strip(), top / "bin/busybox"], check=True)
    for name in ("sh", "cat", "touch", "grep", "stat", "ls", "mv", "rm", "df", "mkdir"):
        (top / "bin" / name).symlink_to("busybox")
    (top / "etc/file").write_text("the host's\n")
    (top / "etc/deep/er").mkdir(parents=True)
    top.chmod(0o711)
    return top


CHANGE = "echo changed > /etc/file; cat /etc/file; touch /new; ls -d /new; "


def contents(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.mark.parametrize("mode", ["", ":ro"])
def test_a_root_is_readonly(root, mode):
    before = contents(root)
    result = run(f"{root}{mode}", CHANGE + "touch /tmp/x /root/x && echo own")
    assert result.stdout == "the host's\nown\n" and "Read-only file system" in result.stderr, result
    assert contents(root) == before


def test_a_root_is_written_when_asked(root):
    result = run(f"{root}:rw", CHANGE)
    assert result.stdout == "changed\n/new\n", result
    assert (root / "etc/file").read_text() == "changed\n" and (root / "new").exists()


def test_what_a_root_is_changed_to_is_thrown_away(root):
    before = contents(root)
    result = run(f"{root}:cow", CHANGE + """set -e
        rm /bin/df; mv /etc/deep /etc/moved; ls -d /etc/moved/er
        stat -c %a / /tmp; grep -c '^overlay / overlay rw' /proc/mounts""")
    assert result.stdout == "changed\n/new\n/etc/moved/er\n711\n1777\n1\n", result
    assert contents(root) == before and (root / "etc/file").read_text() == "the host's\n"


def test_a_file_that_the_host_replaces(root):
    """The guest goes on with what it has, and no name of it turns stale."""
    (root / "etc/next").write_text("new\n")
    (root / "share").mkdir()
    result = run(f"{root}:cow", "cat /etc/file; cd /mnt/s; mv next file; cat /etc/file; cat /etc/other",
                 "--share", f"{root}/etc:s")
    assert result.stdout.splitlines()[0] == "the host's"
    assert result.stdout.splitlines()[1] in ("the host's", "new") and "tale" not in result.stderr, result


@pytest.mark.parametrize("end", ["rw", "ro", "cow"])
def test_a_name_that_ends_like_a_mode(root, end):
    odd = root.with_name(f"odd:{end}")
    root.rename(odd)
    result = run(f"{odd}/", "touch /new")
    assert result.returncode and "Read-only" in result.stderr, result
    result = run(f"{odd}:rw", "touch /new")
    assert result.returncode == 0 and (odd / "new").exists(), result


def test_more_files_than_may_be_open(root):
    """What was read before they were spent is there afterwards: an overlayfs does not mend a name that turned stale."""
    (root / "many").mkdir()
    for i in range(500):
        (root / f"many/{i}").write_text("x\n")
    script = "cat /etc/file; for i in 1 2 3; do cat /many/* >/dev/null 2>>/tmp/said; done; cat /etc/file; grep -c tale /tmp/said"
    result = run(f"{root}:cow", script, before=["prlimit", "--nofile=300"])
    assert result.stdout == "the host's\nthe host's\n0\n", result


OWN_SYSTEM = """set -e
test "$(id -u)" = 0
echo harmless > /etc/casement-was-here; cat /etc/casement-was-here
echo tmp: $(ls -A /tmp) run: $(ls -A /run) mnt: $(ls -A /mnt)
test -d /sys/kernel; test -c /dev/null; touch $HOME/here
cat /proc/1/comm
"""


@pytest.mark.parametrize("before", [[], USER], ids=["root", "user"])
def test_ones_own_system(temporary, before):
    """A machine of what this host is made of. Nothing that is done in it is done to the host."""
    if os.geteuid() == 0 and before:
        os.chown(temporary / "run", NOBODY, NOBODY)
    result = run("/:cow", OWN_SYSTEM, before=before)
    assert result.returncode == 0, result
    assert result.stdout == "harmless\ntmp: run: mnt:\nmemfd:init\n", result
    assert not os.path.exists("/etc/casement-was-here")


def test_ones_own_system_in_qemu(temporary):
    """Its kernel is another than the host's, and has what is a module of it."""
    result = run("/:cow", 'echo x > /etc/casement-was-here && test -e "/lib/modules/$(uname -r)/modules.dep" && echo fine', accel="auto")
    assert (result.returncode, result.stdout) == (0, "fine\n"), result
    assert not os.path.exists("/etc/casement-was-here")


def test_a_kernel_that_has_no_overlay(root):
    """Debian's own, without its modules: what is missing is named."""
    said = subprocess.run([TOP / "scripts/vm-root", "--print", "guest"], check=True, capture_output=True, text=True).stdout
    kernel = dict(line.split("=", 1) for line in said.splitlines())["KERNEL"]
    result = run(f"{root}:cow", "true", "--kernel", kernel, accel="auto")
    assert result.returncode == 125 and len(result.stderr.splitlines()) == 1, result
    assert "has no overlay file system" in result.stderr and "lib/modules" in result.stderr


# Beside a copy of the programs: it makes nothing, and says what it was asked for.
VM_ROOT = """#!/bin/sh
echo "$*" >> "$0.asked"
case "$*" in *bad*) echo "vm-root: Debian has no package bad" >&2; exit 1;; esac
exec REAL --print guest uml
"""


def test_packages_for_the_small_debian(temporary):
    """vm-root is asked for them all at once; when it cannot, it says why."""
    for name in ("casement", "casementd", "guest/casement-init"):
        (temporary / "build" / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(BUILD / name, temporary / "build" / name)
    (temporary / "scripts").mkdir()
    script = temporary / "scripts/vm-root"
    script.write_text(VM_ROOT.replace("REAL", str(TOP / "scripts/vm-root")))
    script.chmod(0o755)
    words = [temporary / "build/casement", "run", "--accel", "uml", "--no-share", "--include", "curl,file"]
    BOOTED["native"] += 1
    for more, status, said in [(["--include", "jq"], 0, ""), (["--include", "bad"], 1, "no package bad")]:
        result = subprocess.run([*words, *more, "--", "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=PATIENCE, check=False)
        assert result.returncode == status and said in result.stderr, result
        assert result.stderr == "" or result.stderr.endswith("no guest with these packages: --include curl,file,bad\n")
    asked = (temporary / "scripts/vm-root.asked").read_text().splitlines()
    assert asked == ["--print --include curl,file,jq guest", "--print uml", "--print --include curl,file,bad guest"]
    result = subprocess.run([*words, "--root", "/", "--", "true"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 2 and "--include is about the small Debian" in result.stderr, result
