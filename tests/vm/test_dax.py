# SPDX-License-Identifier: BSD-3-Clause
"""The DAX window in a stock guest: any size, any order, and what may not go through it."""
import os
import pathlib
import shutil
import subprocess

import pytest

from guests import PATIENCE
from dax_check_sizes import SIZES, pattern

HERE = pathlib.Path(__file__).resolve().parent


def with_window(share, size="64M", *more):
    return ["--share", f"{share}:t", "--window", size, *more]


def fill(share, sizes=SIZES):
    for size in sizes:
        (share / f"f{size}").write_bytes(pattern(size, 1)[:size])
    for name in ("dax_check.py", "dax_check_sizes.py"):
        shutil.copy(HERE / name, share)


@pytest.mark.parametrize("options", ["", "-o dax=always", "-o dax=never"])
def test_sizes(window, options):
    place = window("64M-never")
    share = place.directory
    fill(share)
    assert place.run_on_the_kernels("python3 dax_check.py " + " ".join(map(str, SIZES)),
                                    options) == f"checked {len(SIZES)}\n"
    for size in SIZES:
        data = (share / f"f{size}").read_bytes()
        assert len(data) == size + 6300 + 3_000_000
        assert data[-1] == 0x77 and data[len(data) // 2] == 0x78


def test_working_set_larger_than_the_window(window):
    """Ranges are taken back by the guest and used for other files; nothing mixes."""
    place = window("16M")
    share = place.directory
    for i in range(12):
        (share / f"f{i}").write_bytes(bytes([i + 1]) * (5 << 20))
    place.run_on_the_kernels("""
set -e
for round in 1 2; do for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
    printf "$(printf '\\\\%03o' $((i+64)))" | dd of=f$i bs=1 seek=$((round*2000000)) conv=notrunc 2>/dev/null
    [ "$(tr -d "$(printf '\\\\%03o' $((i+1)))" < f$i | wc -c)" = $round ]
done; done
""")
    for i in range(12):
        data = (share / f"f{i}").read_bytes()
        assert data.count(bytes([i + 1])) == (5 << 20) - 2
        assert data[2000000] == data[4000000] == i + 64


def test_window_offsets_are_used_again_after_a_remount(window):
    place = window("64M")
    fill(place.directory, [5 << 20, 1 << 20])
    place.run_on_the_kernels("""
set -e
a=$(md5sum < f5242880); b=$(md5sum < f1048576); cd /
for i in 1 2 3; do
    umount /mnt/t; mount -t virtiofs 64M /mnt/t
    [ "$(md5sum < /mnt/t/f1048576)" = "$b" ]; [ "$(md5sum < /mnt/t/f5242880)" = "$a" ]
done
""")


def test_what_may_not_be_mapped_works_without(window):
    """Programs, also running ones, read-only files, small files, special files."""
    place = window("64M")
    share = place.directory
    shutil.copy("/usr/bin/sleep", share / "program")
    (share / "script").write_text("#!/bin/sh\necho ran\n" + "#" * 100000)
    (share / "script").chmod(0o755)
    (share / "small").write_text("tiny\n")
    (share / "readonly").write_bytes(b"r" * 300000)
    (share / "readonly").chmod(0o444)
    os.mkfifo(share / "fifo")
    running = subprocess.Popen([share / "program", str(PATIENCE)])
    try:
        place.run_on_the_kernels("""
set -e
cmp program /usr/bin/sleep || true; wc -c < program >/dev/null
[ "$(./script)" = ran ]; cat small; [ "$(tr -d r < readonly | wc -c)" = 0 ]
[ -p fifo ]; (echo through > fifo &); cat fifo
""")
        assert running.poll() is None
    finally:
        running.kill()
        running.wait()
    subprocess.run([share / "program", "0"], check=True)


def test_forced_dax_on_a_running_program_is_an_error_and_no_more(window):
    place = window("64M")
    share = place.directory
    shutil.copy("/usr/bin/sleep", share / "program")
    running = subprocess.Popen([share / "program", str(PATIENCE)])
    try:
        place.run_on_the_kernels("! cat program > /dev/null; echo fine > other; cat other", "-o dax=always")
    finally:
        running.kill()
        running.wait()
    assert (share / "other").read_text() == "fine\n"


def test_forced_dax_is_for_shares_with_a_window(machines, share, tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "file").write_text("read\n")
    seen = machines(r"grep -c dax=always /proc/mounts; cat /mnt/plain/file", *with_window(share, "64M", "--dax", "always"),
                    "--share", f"{tmp_path}/plain:plain:ro").finish()
    assert seen == "1\nread\n"


def test_full_disk_under_mappings(machines, tmp_path):
    """The guest gets ENOSPC or SIGBUS for its program; the machine lives, and goes on."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12M", "small", small], check=True)
    try:
        machines(r"""
truncate -s 40M sparse
python3 - <<'END'
import mmap, os, sys
def store():
    with open("sparse", "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        for at in range(0, 40 << 20, 4096):
            m[at] = 1
pid = os.fork()
if not pid:
    store()
    os._exit(0)
status = os.waitpid(pid, 0)[1]
assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == 7, status
try:
    with open("sparse", "r+b") as f:
        f.seek(30 << 20)
        f.write(b"x" * (20 << 20))
        f.flush()
    sys.exit("no ENOSPC")
except OSError as e:
    assert e.errno == 28, e
END
[ $? = 0 ] || exit 1
dd if=/dev/zero of=more bs=1M 2>&1 | grep -q 'No space' || exit 2
rm -f sparse more
# The host has the blocks back once the guest has forgotten the files.
n=0; until [ "$(stat -f -c %f .)" -ge 2560 ] || [ $((n += 1)) -gt 2000 ]; do sleep 0.05; done
echo room > again && dd if=/dev/zero of=more bs=1M count=8 2>/dev/null && cat again
""", "--share", f"{small}:t", "--window", "64M").finish()
        assert (small / "again").read_text() == "room\n"
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_a_large_window(machines, share):
    """8 GiB asked for, 1.5 GiB of files read and written, a page of each megabyte: QEMU lives, and says nothing."""
    for i in range(12):
        with open(share / f"f{i}", "wb") as file:
            file.truncate(128 << 20)
    guest = machines("""
set -e
python3 -IS - <<'END'
import os
for i in range(12):
    fd = os.open(f"f{i}", os.O_RDWR)
    for at in range(0, 128 << 20, 1 << 20):
        assert os.pread(fd, 4096, at) == bytes(4096)
    for at in range(0, 128 << 20, 1 << 20):
        os.pwrite(fd, bytes(4096), at)
    os.pwrite(fd, b"%d\\n" % i, 0)
END
dd if=f0 of=/dev/null bs=4M 2>/dev/null
""", *with_window(share, "8G", "--verbose"))
    guest.finish()
    for i in range(12):
        with open(share / f"f{i}", "rb") as file:
            assert file.read(3).strip(b"\0\n") == b"%d" % i
    assert "  | " not in guest.stderr(), guest.stderr()  # what QEMU said
