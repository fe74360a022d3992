# SPDX-License-Identifier: BSD-3-Clause
"""Our own guest driver with --writeback: write() fills the page cache, and requests follow."""
import contextlib
import pathlib
import shutil
import subprocess

import pytest

from guests import CASEMENTD
from test_everyday import OPERATIONS, WORKLOADS, on_host, prepare, results, snapshot
from test_kmod import LESS_TO_VERIFY, VERIFY, check_verified

CHECK = pathlib.Path(__file__).parent / "write_back_check.py"


def write_back(cache):
    return "--share-arg", "--writeback", "--cache", cache


@pytest.mark.parametrize("cache", ["auto", "always"])
def test_operations(guest, share, cache, tmp_path):
    guest(f"({OPERATIONS})\n", *write_back(cache)).finish()
    assert snapshot(share) == on_host(OPERATIONS, tmp_path / "host")


def test_workloads(guest, share, tmp_path):
    for directory in (share, tmp_path / "host"):
        prepare(directory)
    subprocess.run(["sh", "-c", WORKLOADS], cwd=tmp_path / "host", check=True)
    guest(f"({WORKLOADS})\n", *write_back("auto")).finish()
    assert (share / "prog.out").read_text() == "42\n"
    assert (share / "sql.out").read_text() == "ok\n80|3240\n"
    assert results(share) == results(tmp_path / "host")


def test_data(plain_guest, share):
    plain_guest(VERIFY, "--queues", 2, *write_back("always")).finish()
    check_verified(share)


def test_data_in_large_folios(processors):
    """By two processors and two queues: a native guest has one, and no large folios."""
    place = processors("back")
    place.run(LESS_TO_VERIFY)
    check_verified(place.directory)


@contextlib.contextmanager
def small_file_system(path):
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("cache", ["auto", "never"])
def test_what_programs_see(guest, share, cache):
    shutil.copy(CHECK, share)
    with small_file_system(share / "small"):
        guest("python3 write_back_check.py\n", *write_back(cache), "--allow-mmap").finish()


# In the guest, with a host whose files end at 4 GiB: what is too long fails at once, and later writes go by the megabyte.
TOO_LONG = r"""
sent() { sed -n 's/^request.* sent=\([0-9]*\) .*/\1/p' $sysfs/statistics; }
python3 -Ic '
import errno, os
fd = os.open("long", os.O_RDWR | os.O_CREAT)
def too_long(size, at):
    try:
        return os.pwrite(fd, b"x" * size, at)
    except OSError as error:
        return error.errno
os.pwrite(fd, b"begin", 0)
assert too_long(100, 5 << 30) == errno.EFBIG and too_long(1, (1 << 63) - 2) == errno.EFBIG
assert os.fstat(fd).st_size == 5
assert too_long(100, 3 << 30) == 100 and os.fstat(fd).st_size == (3 << 30) + 100
os.fsync(fd)
'
before=$(sent)
python3 -Ic '
import os
fd = os.open("long", os.O_RDWR)
for line in range(1000):
    assert os.pwrite(fd, b"l" * 100, (3 << 30) + 100 * (1 + line)) == 100
os.fsync(fd)
'
[ $(($(sent) - before)) -le 40 ]
"""


def test_what_is_too_long_for_the_host(guest, share, tmp_path):
    daemon = tmp_path / "casementd"
    daemon.write_text(f'#!/bin/sh\nexec prlimit --fsize={4 << 30} {CASEMENTD} "$@"\n')
    daemon.chmod(0o755)
    guest(TOO_LONG, "--daemon", daemon, *write_back("auto")).finish()
    with open(share / "long", "rb") as file:
        assert file.read(5) == b"begin"
        file.seek(3 << 30)
        assert file.read() == b"x" * 100 + b"l" * 100000


def test_writes_are_gathered(guest, share):
    """Lines of a log go by the megabyte, and are the host's at close() or fsync(), not before."""
    guest(r"""
sent() { sed -n 's/^request.* sent=\([0-9]*\) .*/\1/p' $sysfs/statistics; }
before=$(sent)
python3 -Ic '
with open("log", "wb", buffering=0) as log:
    for line in range(20000):
        log.write(b"%099d\n" % line)
'
[ $(($(sent) - before)) -le 40 ]
python3 -Ic '
import os
log = open("log", "ab", buffering=0)
log.write(b"synced\n"); os.fsync(log.fileno())
log.write(b"on its way\n"); os._exit(0)
'
""", *write_back("auto")).finish()
    assert (share / "log").read_bytes() == b"".join(b"%099d\n" % line for line in range(20000)) + \
        b"synced\non its way\n"
