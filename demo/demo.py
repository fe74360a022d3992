#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""make demo: what Casement does, in two minutes, on this machine.

Two stock guests and the host work in one directory; then one guest measures
it with fio, beside virtio-9p. Nothing is left behind.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("CASEMENT_BUILD", TOP / "build"))
CASEMENT = BUILD / "casement"
ROUNDS = int(os.environ.get("DEMO_ROUNDS", "3"))
TIME = os.environ.get("DEMO_TIME", "700ms")     # of one fio job, in fio's units
SIZE = int(os.environ.get("DEMO_SIZE", "64"))   # of fio's file, MiB
BALL_SECONDS = 2
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

MEETING = """\
1. Two virtual machines boot. They have no disk: their root file system is a
   directory of this host, over virtio-fs. Both mount a second one, read what the
   host wrote there, and answer.
2. All three map one file of it and store their names there. Each finds the
   others': no file is written, no request is sent, it is the same memory.
3. They play ball in that memory: each in turn adds one to a number. An answer
   from the host would be an interrupt; they count those.
"""

MEASURING = """
4. One of them measures, with fio: 4 KiB at a time in a file of {size} MiB that the
   host holds in memory, no cache in the guest (cache=never), MiB/s. Three ways to it:
     9p         virtio-9p, which QEMU has had since 2010
     casement   virtio-fs by casementd: one request for each read or write
     window     the DAX window: the guest maps the host's page cache, no request
   psync reads and writes by system calls, mmap through a mapping of the file.
"""

# What a guest does in the first part. $1 is its number, $2 its name.
MEET = r"""
set -e
echo "$2: Linux $(uname -r); $(grep ' /mnt/demo ' /proc/mounts)"
echo "$2 reads from-host.txt: $(cat from-host.txt)"
echo "Hello from $2" >"from-$2.txt"
./three shared.bin "$1" "$2" "$3"
"""

# What the one guest does in the second part: one directory, three ways, in turns.
# virtio-9p refuses a shared writable mapping with cache=none: those go to a mount of their own.
MEASURE = r"""
set -e
rounds=$1 time=$2 size=$3
cp bench.sh /tmp/bench.sh
cd /
type=$(awk '$2 == "/mnt/plain" { print $3 }' /proc/mounts)
umount /mnt/plain /mnt/mapped
mount -t "$type" -o dax=never plain /mnt/plain
mount -t 9p -o trans=virtio,version=9p2000.L,cache=mmap,msize=512000 mapped /mnt/mapped
bench() { /tmp/bench.sh "/mnt/$1" "/mnt/demo/results/$round" "$2" "$time" "$size" "$3" $4; }
for round in $(seq "$rounds"); do
	echo "   round $round of $rounds"
	bench nine 9p psync "read randread write randwrite"
	bench nine 9p mmap "read randread"
	bench mapped 9p-cache-mmap mmap "write randwrite"
	for engine in psync mmap; do
		bench plain casement $engine "read randread write randwrite"
		bench demo window $engine "read randread write randwrite"
	done
done
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


def share_args(directory, *tags):
    # The kernel's driver is offered files only where root makes stand-ins for them: docs/window.md.
    driver = [] if os.geteuid() == 0 else ["--driver", "casement"]
    shares = [word for tag in tags for word in ("--share", f"{directory}:{tag}")]
    return [*shares, "--window", "128M", "--cache", "never", "--allow-mmap", *driver]


def wait_for_host(host, guests):
    """The host's part of three.c has no event when a guest ends early: it is ended, too."""
    while host.poll() is None:
        if any(guest.poll() for guest in guests):
            host.terminate()
        time.sleep(0.05)
    return host.wait()


def meet(directory):
    say(MEETING)
    (directory / "from-host.txt").write_text("Hello from the host\n")
    shutil.copy(BUILD / "demo" / "three", directory / "three")
    with open(directory / "shared.bin", "wb") as file:
        file.truncate(1 << 20)
    guests = [start([*share_args(directory, "demo"), "--memory", "1G", "--cpus", "1"], MEET,
                    [str(i), name, str(BALL_SECONDS)]) for i, name in [(1, "guest-A"), (2, "guest-B")]]
    host = subprocess.Popen([directory / "three", directory / "shared.bin", "0", "host", str(BALL_SECONDS)])
    status = [wait_for_host(host, guests)]
    if status[0]:
        for guest in guests:
            guest.terminate()
    status += [finish(guest) for guest in guests]
    if any(status):
        sys.exit(f"demo: the host and the guests ended with {status}; see above")
    for name in ("guest-A", "guest-B"):
        say(f"host reads from-{name}.txt: {(directory / f'from-{name}.txt').read_text().strip()}")


def bandwidths(results, config, engine, workload):
    """MiB/s in each round; None where fio failed."""
    for number in range(1, ROUNDS + 1):
        try:
            text = (results / str(number) / f"{config}-{engine}.json").read_text()
            jobs = json.loads(text[text.index("{"):])["jobs"]
            job = next(job for job in jobs if job["jobname"] == workload)
            yield job["write" if "write" in workload else "read"]["bw_bytes"] / (1 << 20) or None
        except (OSError, ValueError, KeyError, StopIteration):
            yield None


def spread(values):
    """Half of what lies between the least and the most, in percent of the median."""
    return 50 * (max(values) - min(values)) / statistics.median(values)


def cell(values, note=""):
    if None in values:
        return "-"
    return f"{statistics.median(values):.4g}{note} ±{spread(values):.0f}%"


def ratio(these, those, seed):
    """Of each round; the median of them, and the seed's in ()."""
    seed = f" ({seed:.1f})" if seed else " (-)"
    if None in these + those:
        return "-" + seed
    return f"{statistics.median(a / b for a, b in zip(these, those)):.1f}" + seed


def rows_of(results):
    for engine in ENGINES:
        for workload in WORKLOADS:
            note = "*" if engine == "mmap" and "write" in workload else ""
            nine, plain, window = (list(bandwidths(results, config, engine, workload)) for config in
                                   ("9p-cache-mmap" if note else "9p", "casement", "window"))
            seed = SEED[workload, engine]
            yield [NAMES[workload], engine, cell(nine, note), cell(plain), cell(window),
                   ratio(plain, nine, seed[0]), ratio(window, plain, seed[1])]


def print_table(results):
    rows = [["", "", *CONFIGS, "casement/9p", "window/casement"], *rows_of(results)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    say()
    for row in rows:
        say("  ".join(text.ljust(width) if i < 2 else text.rjust(width)
                      for i, (text, width) in enumerate(zip(row, widths))))
    say(f"""
The median of {ROUNDS} rounds, and how far they lie apart (half of the range). In (): the ratio
that the 2019 announcement of virtio-fs measured. * virtio-9p cannot map a file shared and
writable with cache=none; this is its cache=mmap, which writes from the guest's own memory.""")
    return all("-" not in row[2:5] for row in rows)


def measure(directory):
    say(MEASURING.format(size=SIZE))
    results = directory / "results"
    for number in range(1, ROUNDS + 1):
        (results / str(number)).mkdir(parents=True)
    shutil.copy(TOP / "demo" / "bench.sh", directory / "bench.sh")
    (directory / "fio.data").write_bytes(bytes(SIZE << 20))
    guest = start([*share_args(directory, "demo", "plain"), "--9p", f"{directory}:nine", "--9p", f"{directory}:mapped"],
                  MEASURE, [str(ROUNDS), TIME, f"{SIZE}M"])
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
