# SPDX-License-Identifier: BSD-3-Clause
"""Handles of our guest driver: what the daemon has open is open in the guest."""
import os
import pathlib

from kmod_guest import LEAVE


def opened(share, *names):
    """How many files whose names begin so the daemon of that share has open for reading or writing."""
    count = 0
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if not words[0].endswith(b"casementd") or str(share).encode() not in words:
                continue
            for fd in (process / "fd").iterdir():
                flags = int((process / "fdinfo" / fd.name).read_text().split()[3], 8)
                count += os.path.basename(os.readlink(fd)).startswith(names) and not flags & os.O_PATH
        except OSError:
            continue
    return count


# A lease on `file`, which is the new name's file, refuses the open; so would a security module or a watcher.
LEASED = r"""
import errno, fcntl, os, signal
signal.signal(signal.SIGIO, signal.SIG_IGN)
held = os.open("file", os.O_RDONLY)
fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_RDLCK)
refused = 0
for number in range(20):
    try:
        os.close(os.open(f"new{number}", os.O_RDWR | os.O_CREAT | os.O_NONBLOCK))
    except BlockingIOError:
        refused += 1
print("refused", refused, flush=True)
input()
"""


def test_what_was_made_but_not_opened_is_closed(agent, share):
    """The name was missing, somebody else made it, and the guest does not let it be opened."""
    (share / "file").write_text("here\n")
    (share / "leased.py").write_text(LEASED)
    agent = agent("--share-arg", "--cache=always")
    names = [f"new{number}" for number in range(20)]
    agent.ask("ls " + " ".join(names))
    for name in names:
        os.link(share / "file", share / name)
    said = agent.ask("rm -f /tmp/go; mkfifo /tmp/go; python3 leased.py < /tmp/go > /tmp/said 2>&1 & pid=$!\n"
                     "exec 9> /tmp/go; until [ -s /tmp/said ]; do :; done; settle; cat /tmp/said")
    assert said == "refused 20\n"
    assert opened(share, "new", "file") == 1
    agent.ask("echo >&9; exec 9>&-; wait $pid; settle")
    assert opened(share, "new", "file") == 0
    # No such handle is another file's: its memory is used again.
    assert agent.ask("echo 3 > /proc/sys/vm/drop_caches; for i in $(seq 50); do echo $i > other$i; done; cat other*"
                     ) == "".join(f"{i}\n" for i in sorted(range(1, 51), key=str))
    assert agent.ask("set -e" + LEAVE + "echo left").endswith("left\n")
    agent.end()


# A watcher that refuses each open of the mount; then 20 files are made.
WATCHED = r"""
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
watcher = libc.fanotify_init(0x4, 0)                            # FAN_CLASS_CONTENT
assert watcher >= 0
# FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN_PERM
assert not libc.fanotify_mark(watcher, 0x11, ctypes.c_uint64(0x10000), -100, b"/mnt/t")
child = os.fork()
if not child:
    while True:
        events = os.read(watcher, 8192)
        while events:
            length, _, _, _, _, fd, _ = struct.unpack("=IBBHQii", events[:24])
            os.write(watcher, struct.pack("=iI", fd, 2))        # FAN_DENY
            os.close(fd)
            events = events[length:]
refused = 0
for number in range(20):
    try:
        os.close(os.open(f"/mnt/t/deny{number}", os.O_RDWR | os.O_CREAT | (os.O_EXCL if number % 2 else 0)))
    except PermissionError:
        refused += 1
os.kill(child, 9)
assert refused == 20, refused
"""


def test_what_a_watcher_refuses_is_closed(qemu_guest, share):
    """Each file is made, and none stays open: the daemon keeps one descriptor for each inode, and no second one."""
    (share / "watched.py").write_text(WATCHED)
    guest = qemu_guest("cp watched.py /tmp; python3 /tmp/watched.py; settle; : > made\n"
                       "until [ -e go ]; do sleep 0.1; done\n", "--share-arg", "--cache=never")
    while not (share / "made").exists():
        assert guest.process.poll() is None, guest.stderr()
        os.sched_yield()
    left = opened(share, "deny")
    (share / "go").touch()
    guest.finish()
    assert left == 0 and len(list(share.glob("deny*"))) == 20
