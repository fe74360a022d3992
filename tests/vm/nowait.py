# SPDX-License-Identifier: BSD-3-Clause
"""In a guest, in a directory with the file `file` of 4 MiB: reads by those who may not wait."""
import os
import subprocess
import sys

SIZE = 4 << 20


def read(fd, flags):
    buffer = bytearray(SIZE)
    try:
        done = os.preadv(fd, [buffer], 0, flags)
    except BlockingIOError:
        return None
    return bytes(buffer[:done])


def workers():
    """Threads that io_uring made as something had to wait."""
    return subprocess.run("cat /proc/[0-9]*/task/*/comm 2>/dev/null", shell=True, check=False, capture_output=True,
                          text=True).stdout.count("iou-wrk")


def drop():
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("1\n")


fd = os.open("file", os.O_RDWR)
if "window" not in sys.argv:
    drop()
# It has what is here already, which may be nothing, and nothing else.
early = read(fd, os.RWF_NOWAIT)
whole = read(fd, 0)
assert len(whole) == SIZE and whole.startswith(early or b"")
assert read(fd, os.RWF_NOWAIT) == whole
try:
    os.pwritev(fd, [b"never"], 0, os.RWF_NOWAIT)
    sys.exit(9)
except BlockingIOError:
    pass
assert read(fd, 0) == whole
if "window" not in sys.argv:
    os.close(fd)
    drop()
    # All reads are under way together, and nobody waits for any of them.
    fio = subprocess.Popen(["fio", "--name=uring", "--filename=file", "--ioengine=io_uring", "--direct=1", "--rw=randread",
                            "--bs=4k", "--iodepth=16", "--size=4m", "--loops=8", "--output=/dev/null"])
    while fio.poll() is None:
        assert workers() == 0
    assert fio.returncode == 0
