#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""casement.ko beside the kernel's own virtio-fs driver, in one guest, on one daemon.

The device goes from one driver to the other, round after round and each first in
turn; both do the same work on a fresh mount, without the window. Prints a line a
kind of work: the medians, and the median, least and most of the rounds' ratios.

Usage: bench/driver.py [--rounds N] [--cpus N] [--build BUILD] [-- CASEMENTD-OPTION...]
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
DRIVERS = ("virtiofs", "casement")

# Each prints "= DRIVER WORK RATE"; rates, so more is better.
GUEST = r"""
set -e
cd /; umount /mnt/t
virtio=$(/mnt/kmod/casement-guest device t)
echo $virtio > /sys/bus/virtio/drivers/virtiofs/unbind
insmod /mnt/kmod/casement.ko
echo $virtio > /sys/bus/virtio/drivers/casement/unbind

cold() { cd /; umount /mnt/t; echo 3 > /proc/sys/vm/drop_caches; mount -t $driver t /mnt/t; cd /mnt/t; }
say() { echo "= $driver $1 $2"; }
clock() { cut -d' ' -f1 /proc/uptime; }
# rate WORK COUNT COMMAND...: so many of something a second.
rate() {
    work=$1 count=$2; shift 2
    start=$(clock); "$@" > /dev/null; say $work $(echo "$count $start $(clock)" | awk '{ print $1 / ($3 - $2) }')
}
# fio's terse columns: 7 and 48 are KiB a second read and written, 8 is reads a second.
job() { work=$1 column=$2; shift 2; say $work $(fio --minimal --name=$work "$@" | cut -d';' -f$column); }

for round in $(seq $ROUNDS); do
if [ $((round % 2)) = 0 ]; then order="casement virtiofs"; else order="virtiofs casement"; fi
for driver in $order; do
    echo $virtio > /sys/bus/virtio/drivers/$driver/bind
    mount -t $driver t /mnt/t; cd /mnt/t
    job direct-read-1 8 --filename=big --direct=1 --rw=randread --bs=4k --ioengine=psync --size=64m \
        --runtime=3 --time_based
    job direct-read-16 8 --filename=big --direct=1 --rw=randread --bs=4k --ioengine=libaio --iodepth=16 \
        --size=64m --runtime=3 --time_based
    cold; job read-stream 7 --filename=big --rw=read --bs=1m --ioengine=psync --size=256m
    rm -f out; job write-stream 48 --filename=out --rw=write --bs=64k --ioengine=psync --size=128m --end_fsync=1
    cold; rate ls-lR 10000 ls -lR tree
    cold; rate find 10000 find tree
    rate find-warm 10000 find tree
    rm -rf untarred; mkdir untarred; rate untar 2000 tar xf files.tar -C untarred
    cd /; umount /mnt/t
    echo $virtio > /sys/bus/virtio/drivers/$driver/unbind
done; done
"""


def prepare(share):
    with open(share / "big", "wb") as big:
        for _ in range(256):
            big.write(os.urandom(1 << 20))
    for number in range(100):
        directory = share / "tree" / str(number)
        directory.mkdir(parents=True)
        for name in range(100):
            (directory / str(name)).write_bytes(b"x" * 100)
    names = [f"tree/{number}" for number in range(20)]
    subprocess.run(["tar", "cf", share / "files.tar", "-C", share, *names], check=True)


def parse(line, found):
    if line.startswith("= "):
        driver, work, rate = line.split()[1:]
        found.setdefault(work, {name: [] for name in DRIVERS})[driver].append(float(rate))
        print(line.rstrip(), file=sys.stderr)


def report(found):
    print(f"{'work':16} {'virtiofs':>12} {'casement':>12}   ratio")
    for work, rates in found.items():
        ratios = [ours / theirs for theirs, ours in zip(*(rates[name] for name in DRIVERS))]
        medians = [statistics.median(rates[name]) for name in DRIVERS]
        print(f"{work:16} {medians[0]:12,.0f} {medians[1]:12,.0f}   {statistics.median(ratios):.2f}"
              f" ({min(ratios):.2f} to {max(ratios):.2f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--build", type=pathlib.Path, default=TOP / "build")
    parser.add_argument("option", nargs="*", help="of the share's casementd")
    args = parser.parse_args()
    kmod = args.build / "kmod"
    subprocess.run([TOP / "scripts/kmod", TOP / "kmod", kmod], check=True)
    share = pathlib.Path(tempfile.mkdtemp(prefix="casement-driver-", dir="/dev/shm"))
    found = {}
    try:
        prepare(share)
        words = [word for option in args.option for word in ("--share-arg", option)]
        with subprocess.Popen([args.build / "casement", "run", "--memory", "2G", "--cpus", str(args.cpus),
                               "--share", f"{share}:t", *words, "--share", f"{kmod}:kmod:ro", "--",
                               "sh", "-c", f"ROUNDS={args.rounds}\n{GUEST}"],
                              stdout=subprocess.PIPE, text=True) as guest:
            for line in guest.stdout:
                parse(line, found)
        if guest.returncode:
            sys.exit(f"driver: the guest ended with status {guest.returncode}")
        report(found)
    finally:
        shutil.rmtree(share)


if __name__ == "__main__":
    main()
