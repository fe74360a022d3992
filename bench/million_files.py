#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What casementd holds for each file that a guest knows.

Makes a tree of many files, looks each of them up through libcasement, as a
guest would, and says how many descriptors and how much resident memory the
daemon has then, for each --inode-file-handles asked for.

Usage: bench/million_files.py [--files N] [--dir DIR] [--build BUILD] [MODE...]
"""
import argparse
import ctypes
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time

PER_DIR = 1000
GOAL_DESCRIPTORS = 1024
GOAL_BYTES = 250


class Client:
    """As much of libcasement as is needed."""

    def __init__(self, library, path):
        self.lib = ctypes.CDLL(library)
        self.lib.casement_request_queue.restype = ctypes.c_void_p
        self.lib.casement_hiprio_queue.restype = ctypes.c_void_p
        self.lib.casement_error.restype = ctypes.c_char_p
        self.client = ctypes.c_void_p()
        self.check(self.lib.casement_connect(os.fsencode(path), None, ctypes.byref(self.client)))
        self.queue = ctypes.c_void_p(self.lib.casement_request_queue(self.client, 0))
        self.entry = ctypes.create_string_buffer(128)    # struct fuse_entry_out
        self.check(self.lib.casement_init(self.queue, None, ctypes.create_string_buffer(256)))

    def check(self, result):
        if result < 0:
            raise OSError(-result, self.lib.casement_error().decode())

    def lookup(self, parent, name):
        self.check(self.lib.casement_lookup(self.queue, ctypes.c_uint64(parent), name, self.entry))
        return int.from_bytes(self.entry[0:8], "little")

    def close(self):
        self.lib.casement_close(self.client)


def make_tree(top, files):
    for first in range(0, files, PER_DIR):
        folder = top / f"d{first // PER_DIR}"
        folder.mkdir()
        for number in range(first, min(first + PER_DIR, files)):
            os.mknod(folder / f"file-{number}")


def look_up_all(client, files):
    for first in range(0, files, PER_DIR):
        node = client.lookup(1, f"d{first // PER_DIR}".encode())
        for number in range(first, min(first + PER_DIR, files)):
            client.lookup(node, f"file-{number}".encode())


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def measure(args, mode, share, scratch):
    socket = scratch / f"{mode}.sock"
    command = [args.build / "casementd", "--shared-dir", share, "--socket-path", socket,
               "--inode-file-handles", mode, "--log-level", "warn"]
    if "--sandbox" in subprocess.run([command[0], "--help"], capture_output=True, text=True).stdout:
        command += ["--sandbox", "none"]
    with subprocess.Popen(command) as daemon:
        try:
            pidfd = os.pidfd_open(daemon.pid)
            while not socket.exists():
                if select.select([pidfd], [], [], 0.01)[0]:
                    sys.exit("casementd did not start")
            client = Client(str(args.build / "client/libcasement.so"), socket)
            client.lookup(1, b"d0")
            before, start = resident(daemon.pid), time.monotonic()
            look_up_all(client, args.files)
            seconds = time.monotonic() - start
            held, after = descriptors(daemon.pid), resident(daemon.pid)
            client.close()
        finally:
            daemon.terminate()
    each = after / args.files
    print(f"{mode:9}  {args.files:8} files  {held:8} descriptors  {after >> 20:5} MiB resident "
          f"({(after - before) / args.files:.0f} bytes a file more, {each:.0f} in all)  "
          f"{seconds / args.files * 1e6:.1f} us a look-up, the client's own time included")
    return mode == "never" or (held <= GOAL_DESCRIPTORS and each <= GOAL_BYTES)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000000)
    parser.add_argument("--dir", help="where to make the tree (default: a temporary folder)")
    parser.add_argument("--build", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent / "build")
    parser.add_argument("modes", nargs="*", default=["prefer"], metavar="MODE",
                        help="never, prefer or mandatory (default: prefer)")
    args = parser.parse_args()
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="casement-million-", dir=args.dir))
    try:
        share = scratch / "share"
        share.mkdir()
        make_tree(share, args.files)
        met = [measure(args, mode, share, scratch) for mode in args.modes]
    finally:
        shutil.rmtree(scratch)
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
