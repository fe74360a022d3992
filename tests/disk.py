# SPDX-License-Identifier: BSD-3-Clause
"""A file system of the tests' own, for as long as they run: ext4 with a journal, in memory.

The one below /tmp may be slow at what tests do most, to make files where many were removed just now:
ext4 without a journal then reads each inode that it has free, and that was half of the time of many
tests. It may also be any file system; this one can do what the tests are about. Where it cannot be had
(no root, no loop device, little memory) tests have their directories below /tmp.
"""
import contextlib
import os
import pathlib
import subprocess
import tempfile

MEMORY = pathlib.Path("/dev/shm")
BYTES = 4 << 30


def has_room():
    """For all of it, if it were full: it takes what is in it."""
    if not os.access(MEMORY, os.W_OK):
        return False
    stat = os.statvfs(MEMORY)
    return stat.f_bavail * stat.f_frsize >= 2 * BYTES


def mount(directory):
    """True when it is there. Its file has no name any more, so that it goes with the mount."""
    with tempfile.NamedTemporaryFile(dir=MEMORY, prefix="casement-disk-") as image:
        image.truncate(BYTES)
        words = [["mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,nodiscard", image.name],
                 ["mount", "-o", "loop,discard", image.name, directory]]
        try:
            return all(subprocess.run(word, capture_output=True, check=False).returncode == 0 for word in words)
        except FileNotFoundError:
            return False


@contextlib.contextmanager
def disk():
    """Its directory; None where there is none."""
    if os.geteuid() != 0 or not has_room():
        yield None
        return
    # A short name: sockets are in it.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="cm-", dir="/tmp"))
    mounted = mount(directory)
    if mounted:
        directory.chmod(0o1777)
    try:
        yield directory if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", directory], check=True)
        directory.rmdir()
