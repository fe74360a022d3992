# SPDX-License-Identifier: BSD-3-Clause
"""In a guest, in a directory whose daemon does not tell the truth: do all that programs do, whatever comes of it.

usage: lied_to.py ROUNDS SECONDS [window]. For each seed, a line of its input, it works for so many
rounds and prints "survived". Errors are expected; not to come back is not. SECONDS are what a
directory without an end is read for; with `window` only that is done which goes through a window.
"""
import contextlib
import ctypes
import fcntl
import mmap
import os
import random
import signal
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
NAMES = ["a", "b", "dir/a", "dir/b", "dir", "link", "big", "new", "dir/new"]
GETFLAGS = 0x80086601


class Impossible(BaseException):
    """What no system call may answer, whatever the daemon says."""


def moved(count, asked):
    """Of a call that moves bytes."""
    if not 0 <= count <= asked:
        raise Impossible(f"{count} bytes of {asked}")


def walk(path):
    with os.scandir(path) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)


def read(path, flags=0):
    fd = os.open(path, os.O_RDONLY | flags)
    with contextlib.closing(os.fdopen(fd, "rb", buffering=0)) as file:
        buffer = mmap.mmap(-1, 1 << 16)
        for offset in (0, 1 << 20):
            moved(os.preadv(file.fileno(), [buffer], offset), len(buffer))


def write(path, flags=0):
    fd = os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o644)
    with contextlib.closing(os.fdopen(fd, "r+b", buffering=0)) as file:
        buffer = mmap.mmap(-1, 1 << 14)
        for offset in (0, 1 << 16, 3 << 20):
            moved(os.pwritev(file.fileno(), [buffer], offset), len(buffer))
        os.fsync(file.fileno())
        os.lseek(file.fileno(), 0, os.SEEK_DATA)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
        fcntl.ioctl(file, GETFLAGS, b"\0" * 8)


def copy(path):
    source, target = os.open(path, os.O_RDONLY), os.open("copy", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        moved(os.copy_file_range(source, target, 1 << 20), 1 << 20)
    finally:
        os.close(source)
        os.close(target)


def mapped(path):
    """By a process of its own: a page that cannot be read kills it."""
    pid = os.fork()
    if pid == 0:
        try:
            fd = os.open(path, os.O_RDWR)
            memory = mmap.mmap(fd, 1 << 16)
            memory[0] = memory[40000]
            memory.flush()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def attributes(path):
    os.setxattr(path, "user.x", b"1" * 50)
    os.getxattr(path, "user.x")
    os.listxattr(path)
    os.getxattr(path, "system.posix_acl_access")


def take_away(path):
    if os.path.isdir(path):
        os.rmdir(path)
    else:
        os.unlink(path)


def drop(_path):
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3\n")


WORK = [
    os.lstat, os.stat, walk, os.listdir, read, write, copy, mapped, attributes, take_away, drop, os.statvfs,
    os.readlink, lambda path: read(path, os.O_DIRECT), lambda path: write(path, os.O_DIRECT),
    lambda path: os.mkdir(path), lambda path: os.symlink("a", path), lambda path: os.link("a", path),
    lambda path: os.mkfifo(path), lambda path: os.rename(path, "new"), lambda path: os.rename("new", path),
    lambda path: os.chmod(path, 0o700), lambda path: os.utime(path, (1, 1)), lambda path: os.truncate(path, 5000),
    lambda path: os.close(os.open(path, os.O_RDWR | os.O_TMPFILE, 0o600)), lambda path: LIBC.renameat2(
        -100, path.encode(), -100, b"a", 2),
]


# Of these, what goes through the window, or takes ranges away from it.
WINDOW_WORK = [os.stat, read, write, copy, mapped, take_away, drop, lambda path: os.truncate(path, 5000),
               lambda path: os.truncate(path, 1 << 20), lambda path: os.rename(path, "new")]


def too_long(_signal, _frame):
    raise TimeoutError


def survive(rounds, seed, seconds, work):
    choice = random.Random(seed)
    for _ in range(rounds):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        # Python itself may find that there is no such thing, or not notice the alarm in time.
        with contextlib.suppress(Exception):
            choice.choice(work)(choice.choice(NAMES))
        signal.setitimer(signal.ITIMER_REAL, 0)
    print("survived", flush=True)


# A directory that lies may have no end.
signal.signal(signal.SIGALRM, too_long)
for line in sys.stdin:
    survive(int(sys.argv[1]), int(line), float(sys.argv[2]), WINDOW_WORK if sys.argv[3:] == ["window"] else WORK)
