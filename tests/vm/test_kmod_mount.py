# SPDX-License-Identifier: BSD-3-Clause
"""What mount(8) can tell casement.ko, what it says when that cannot be, and what comes of it."""
import os
import signal
import subprocess

import pytest

from kmod_guest import LEAVE, signal_daemon

WRONG = [
    ("dax=yes", "Bad value for 'dax'"),
    ("cache=auto,dax=always", 'dax=always: device "t" has no window'),
    ("cache=loose", "Bad value for 'cache'"),
    ("timeout=x", "Bad value for 'timeout'"),
    ("timeout=86401", "timeout=86401: at most 86400 seconds"),
    ("colour=red", "Unknown parameter 'colour'"),
]


def test_wrong_options(guest):
    """Each is refused, and the kernel says which one and why."""
    tries = "".join(f"if mount -t casement -o {options} t /mnt/t 2>>said; then exit 72; fi; echo >> said\n"
                    for options, _ in WRONG)
    said = guest("cd /tmp; umount /mnt/t\n" + tries + "dmesg >> said; cat said; mount -t casement t /mnt/t\n").finish()
    for _, message in WRONG:
        assert message in said


def test_remount_and_second_mounts(guest, share):
    """Read-only and back; no other option is taken to change what is mounted, or silently left out."""
    said = guest(r"""
umount_all() { umount /mnt/t; }
options() { awk '$2 == "'$1'" { print $4 }' /proc/mounts; }
cd /; mkdir /tmp/second
options /mnt/t
mount -o remount,ro /mnt/t; options /mnt/t
if touch /mnt/t/no 2>/dev/null; then exit 73; fi
mount -o remount,rw,cache=never,timeout=30 /mnt/t; options /mnt/t; touch /mnt/t/yes
for wrong in cache=always timeout=31 dax=never; do
    if mount -o remount,$wrong /mnt/t 2>/dev/null; then exit 74; fi
    if mount -t casement -o $wrong t /tmp/second 2>/dev/null; then exit 75; fi
done
mount -t casement t /tmp/second; options /tmp/second; umount /tmp/second
mount -t casement -o timeout=30,ro t /tmp/second; options /tmp/second
if touch /tmp/second/no 2>/dev/null; then exit 76; fi
touch /mnt/t/both; umount /tmp/second
# Whoever comes while the first mount is under way gets the same one.
for i in $(seq 10); do
    umount /mnt/t
    mount -t casement t /tmp/second & mount -t casement t /mnt/t; wait $!
    umount /tmp/second
done
""", options="-o cache=never,timeout=30").finish()
    mine = "relatime,cache=never,timeout=30"
    assert said.splitlines() == [f"rw,{mine}", f"ro,{mine}", f"rw,{mine}", f"rw,{mine}", f"ro,{mine}"]
    assert sorted(path.name for path in share.iterdir()) == ["both", "yes"]


@pytest.mark.parametrize("cache", ["never", "always"])
def test_cache(agent, share, cache):
    """What the host changes is there at once, or not until the next mount; whatever the daemon says."""
    (share / "file").write_text("old\n")
    said_by_daemon = {"never": "always", "always": "auto"}[cache]
    agent = agent("--cache", said_by_daemon, options=f"-o cache={cache}")
    look = "cat file; stat -c %s file; ls\n"
    assert agent.ask(look) == "old\n4\nfile\n"
    # Past the time that the daemon gives.
    (share / "file").write_text("longer\n")
    (share / "new").touch()
    new = "longer\n7\nfile\nnew\n"
    seen = agent.ask("sleep 1.2; " + look)
    assert seen == (new if cache == "never" else "old\n4\nfile\nnew\n")
    agent.ask("cd /; umount /mnt/t; mount -t casement t /mnt/t; cd /mnt/t")
    assert agent.ask(look) == new
    agent.ask("set -e" + LEAVE)
    agent.end()


def test_timeout(agent, share):
    """A daemon that is silent for so long has its device aborted; waiting for a lock is no silence."""
    (share / "file").write_text("here\n")
    agent = agent("--share-arg", "--flock", options="-o timeout=5")
    assert agent.ask("flock file sleep 8 & while flock -n file true; do :; done; flock file echo mine; wait") == "mine\n"
    signal_daemon(share, signal.SIGSTOP)
    try:
        assert agent.ask("cat file 2>&1; mkdir new 2>&1; cd /; umount /mnt/t; echo $?").splitlines() == [
            "cat: file: Software caused connection abort",
            "mkdir: cannot create directory ‘new’: Transport endpoint is not connected", "0"]
    finally:
        signal_daemon(share, signal.SIGCONT)
    assert "t: no reply to opcode" in agent.ask("dmesg | grep 'casement: t:'")
    # Bound again it is as good as new.
    again = "casement-guest unbind t; /mnt/kmod/casement-guest bind t; mount -t casement t /mnt/t"
    assert agent.ask(f"/mnt/kmod/{again}; cat /mnt/t/file") == "here\n"
    assert agent.ask("umount /mnt/t; rmmod casement; echo $?") == "0\n"
    agent.end()


@pytest.fixture
def inner(share):
    """A mount within the share, and one within that."""
    if os.geteuid():
        pytest.skip("mounting takes root")
    for name in ("inner", "inner/most"):
        (share / name).mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", share / name], check=True)
        (share / name / "file").write_text(name + "\n")
    yield share / "inner"
    subprocess.run(["umount", share / "inner/most", share / "inner"], check=True)


@pytest.mark.parametrize("cache", ["auto", "never"])
def test_mounts_below(guest, inner, cache):
    """Mounts of the host are mounts here, with numbers of their own, and go with the one they are below."""
    said = guest(r"""
mounts() { awk '$1 == "t" { print $2, $3, substr($4, 1, 2) }' /proc/mounts; }
cat inner/file inner/most/file; mounts
for place in . inner/. inner/most/.; do stat -c %d $place; done | sort -u | wc -l
echo new > inner/most/new; mkdir inner/made; mv inner/file inner/made; ln inner/made/file inner/most/link 2>/dev/null || echo no link
find . -xdev | wc -l; df inner/most | grep -c /mnt/t/inner/most
exec 3< inner/most/file
umount inner/most 2>/dev/null || echo busy
umount /mnt/t 2>/dev/null || echo busy
exec 3<&-
cd /; umount /mnt/t; mounts
mount -t casement -o ro t /mnt/t
if touch /mnt/t/inner/no 2>/dev/null; then exit 77; fi
mounts
# Left by its mount, it goes on by itself; till then there is no other.
exec 3< /mnt/t/inner/most/file
umount -l /mnt/t; mount -t casement t /mnt/t 2>/dev/null || echo there still
cat <&3; exec 3<&-
until mount -t casement t /mnt/t 2>/dev/null; do :; done
""", "--cache", cache).finish()
    below = ["t /mnt/t casement", "t /mnt/t/inner casement", "t /mnt/t/inner/most casement"]
    below = [line[2:] for line in below]
    assert said.splitlines() == ["inner", "inner/most", *(f"{line} rw" for line in below), "3", "no link", "2", "1",
                                 "busy", "busy", *(f"{line} ro" for line in below[:2]), "there still", "inner/most"]
    assert (inner / "most/new").read_text() == "new\n" and (inner / "made/file").exists()
