#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""make demo: what Casement does, in two minutes, on this machine.

Two stock guests and the host work in one directory; then one guest measures
it with fio, beside virtio-9p. Nothing is left behind.
"""
import json
import mmap
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("CASEMENT_BUILD", TOP / "build"))
CASEMENT = BUILD / "casement"
SECONDS = os.environ.get("DEMO_SECONDS", "2")
SIZE = os.environ.get("DEMO_SIZE", "64M")
SLOT = 64
GUESTS = []
WORKLOADS = ["read", "randread", "write", "randwrite"]
NAMES = {"read": "seq. read", "randread": "random read",
         "write": "seq. write", "randwrite": "random write"}
ENGINES = ["psync", "mmap"]
CONFIGS = ["9p", "casement", "window"]

# The 2019 announcement's own ratios (4 KiB, one job): virtiofs/9p, DAX/virtiofs.
# None where its virtiofs or 9p did not support the operation.
SEED = {
    ("read", "psync"): (1.30, 7.00), ("read", "mmap"): (None, None),
    ("randread", "psync"): (1.17, 7.53), ("randread", "mmap"): (None, None),
    ("write", "psync"): (1.21, 5.97), ("write", "mmap"): (None, None),
    ("randwrite", "psync"): (1.21, 5.56), ("randwrite", "mmap"): (None, None),
}

# What a guest does in the first part. $1 is its number, $2 its name.
MEET = r"""
set -e
echo "$2: Linux $(uname -r); $(grep ' /mnt/demo ' /proc/mounts)"
echo "$2 reads from-host.txt: $(cat from-host.txt)"
echo "Hello from $2" >"from-$2.txt"
./three shared.bin "$1" "$2"
"""

# What the one guest does in the second part: the same directory three ways.
MEASURE = r"""
set -e
cp bench.sh /tmp/bench.sh
cd /
bench() { /tmp/bench.sh "$1" /mnt/demo/results "$2" "$seconds" "$size" "$3" $4; }
seconds=$1 size=$2 all="read randread write randwrite"
bench /mnt/demo window psync "$all"
bench /mnt/demo window mmap "$all"
umount /mnt/demo
mount -t virtiofs -o dax=never demo /mnt/demo
bench /mnt/demo casement psync "$all"
bench /mnt/demo casement mmap "$all"
bench /mnt/nine 9p psync "$all"
bench /mnt/nine 9p mmap "read randread"
# virtio-9p refuses a shared writable mapping with cache=none.
umount /mnt/nine
mount -t 9p -o trans=virtio,version=9p2000.L,cache=mmap,msize=512000 nine /mnt/nine
bench /mnt/nine 9p-cache-mmap mmap "write randwrite"
"""


def say(text=""):
    print(text, flush=True)


def start(args, command, words):
    """A guest that runs a shell command; its output comes out in whole lines."""
    guest = subprocess.Popen(
        [CASEMENT, "run", *args, "--", "sh", "-c", command, "demo", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    guest.pump = threading.Thread(target=lambda: [say(line.rstrip("\n")) for line in guest.stdout])
    guest.pump.start()
    GUESTS.append(guest)
    return guest


def finish(guest):
    guest.pump.join()
    return guest.wait()


def share_args(directory):
    # The kernel's driver is offered files only where root makes stand-ins for them: docs/window.md.
    driver = [] if os.geteuid() == 0 else ["--driver", "casement"]
    return ["--share", f"{directory}:demo", "--window", "256M", "--cache", "never", "--allow-mmap", *driver]


def guests_go_on(guests):
    """False when one failed, or all have ended: nothing more is to be waited for."""
    ended = [guest.poll() for guest in guests]
    return not any(ended) and None in ended


def host_party(path, own, guests):
    """The host's part of three.c: store, and wait for the others. Polls: a store wakes nobody."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 3 * SLOT) as shared:
        word = b"host"
        shared[own * SLOT + 4:own * SLOT + 4 + len(word)] = word
        shared[own * SLOT:own * SLOT + 4] = struct.pack("i", 1)
        go_on = True
        while any(struct.unpack("i", shared[i * SLOT:i * SLOT + 4])[0] == 0 for i in range(3)):
            if not go_on:
                return None
            go_on = guests_go_on(guests)    # looked at before the last look at the words
            time.sleep(0.05)
        return [shared[i * SLOT + 4:(i + 1) * SLOT].split(b"\0")[0].decode() for i in range(3)]


def meet(directory):
    say("== Two guests and this host in one directory")
    (directory / "from-host.txt").write_text("Hello from the host\n")
    shutil.copy(BUILD / "demo" / "three", directory / "three")
    with open(directory / "shared.bin", "wb") as file:
        file.truncate(1 << 20)
    guests = [start([*share_args(directory), "--memory", "1G", "--cpus", "1"], MEET,
                    [str(i), name]) for i, name in [(1, "guest-A"), (2, "guest-B")]]
    words = host_party(directory / "shared.bin", 0, guests)
    if words is None:
        for guest in guests:
            guest.terminate()
    status = [finish(guest) for guest in guests]
    if words is None or any(status):
        sys.exit(f"demo: the guests ended with {status}; see above")
    say(f"host sees: {', '.join(words)}")
    say("   (stores into one mmap(MAP_SHARED) file, seen by all three: the same memory)")
    for name in ("guest-A", "guest-B"):
        say(f"host reads from-{name}.txt: {(directory / f'from-{name}.txt').read_text().strip()}")


def bandwidth(results, config, workload, engine):
    """MiB/s of one fio job, or None where it failed."""
    path = results / f"{config}-{workload}-{engine}.json"
    try:
        text = path.read_text()
        job = json.loads(text[text.index("{"):])["jobs"][0]
        value = job["write" if "write" in workload else "read"]["bw_bytes"] / (1 << 20)
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return value or None


def cell(value, note=""):
    return "-" if value is None else f"{value:.4g}{note}"


def ratio(a, b):
    return f"{a / b:.1f}" if a and b else "-"


def print_table(results):
    say()
    say(f"4 KiB blocks, {SIZE} file on the host's memory, cache=never, MiB/s; the seed's ratios in ()")
    head = ["workload", "engine", "9p", "casement", "+window", "casement/9p", "window/casement"]
    rows = [head]
    complete = True
    for engine in ENGINES:
        for workload in WORKLOADS:
            nine, plain, window = (bandwidth(results, c, workload, engine) for c in CONFIGS)
            note = ""
            if nine is None:
                nine, note = bandwidth(results, "9p-cache-mmap", workload, engine), "*"
            complete = complete and all((nine, plain, window))
            seed = [f" ({s:.1f})" if s else " (-)" for s in SEED[workload, engine]]
            rows.append([NAMES[workload], engine, cell(nine, note), cell(plain), cell(window),
                         ratio(plain, nine) + seed[0], ratio(window, plain) + seed[1]])
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        say("  ".join(text.ljust(width) if i < 2 else text.rjust(width)
                      for i, (text, width) in enumerate(zip(row, widths))))
    say("* virtio-9p cannot map a file shared and writable with cache=none; this is its cache=mmap,")
    say("  which writes back from the guest's own page cache.")
    return complete


def measure(directory):
    say()
    say("== One guest measures it (a few minutes)")
    results = directory / "results"
    results.mkdir()
    shutil.copy(TOP / "demo" / "bench.sh", directory / "bench.sh")
    guest = start([*share_args(directory), "--9p", f"{directory}:nine"], MEASURE,
                  [SECONDS, SIZE])
    if finish(guest):
        sys.exit(f"demo: the measuring guest ended with {guest.returncode}; see above")
    return print_table(results)


def main():
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    directory = pathlib.Path(tempfile.mkdtemp(prefix="casement-demo-", dir=base))
    began = time.monotonic()
    try:
        meet(directory)
        complete = measure(directory)
    finally:
        for guest in GUESTS:
            if guest.poll() is None:
                guest.terminate()
                guest.wait()
        shutil.rmtree(directory, ignore_errors=True)
    say(f"\nDone in {time.monotonic() - began:.0f} s. Your turn: build/casement run --share . --window 256M")
    return 0 if complete else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
