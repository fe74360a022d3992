#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""casement.ko beside the kernel's own virtio-fs driver, in one guest, on one daemon.

The device goes from one driver to the other, round after round and each first in
turn; both do the same work on a fresh mount, without the window. Prints a line a
kind of work: the medians, the median, least and most of the rounds' ratios, and
what the guest does where no driver is in the way.
Works are rates; of those that end with "requests" it is how few that counts.

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
# The same in the guest's memory: what no driver could be faster than.
BOUND = "tmpfs"

# Each prints "= DRIVER WORK RATE".
SETUP = r"""
set -e
cd /; umount /mnt/t
virtio=$(/mnt/kmod/casement-guest device t)
echo $virtio > /sys/bus/virtio/drivers/virtiofs/unbind
insmod /mnt/kmod/casement.ko
echo $virtio > /sys/bus/virtio/drivers/casement/unbind

# Nothing of the share is known; but the programs are there, which come by another device.
cold() {
    cd /; umount /mnt/t; echo 3 > /proc/sys/vm/drop_caches
    for program in ls find tar; do $program --version; done > /dev/null
    ls -lR /mnt/kmod > /dev/null; find /mnt/kmod > /dev/null; git init -q /tmp/empty; git -C /tmp/empty status > /dev/null
    mount -t $driver t /mnt/t; cd /mnt/t
}
say() { echo "= $driver $1 $2"; }
clock() { cut -d' ' -f1 /proc/uptime; }
# rate WORK COUNT COMMAND...: so many of something a second.
rate() {
    work=$1 count=$2; shift 2
    start=$(clock); "$@" > /dev/null; say $work $(echo "$count $start $(clock)" | awk '{ print $1 / ($3 - $2) }')
}
# How many requests were sent, by the one driver's statistics or the other's tracepoint.
trace=/sys/kernel/tracing
mount -t tracefs tracefs $trace 2>/dev/null || :
echo 1 > $trace/events/fuse/fuse_request_send/enable
sent() {
    if [ $driver = virtiofs ]; then
        cat $trace/per_cpu/cpu*/stats | awk '/^(entries|overrun):/ { n += $2 } END { print n }'
    else
        sed -n 's/^request.* sent=\([0-9]*\) .*/\1/p' /sys/bus/virtio/drivers/casement/$virtio/casement/statistics |
            awk '{ n += $1 } END { print n }'
    fi
}
# requests WORK COMMAND...: and how many it needs.
requests() {
    work=$1; shift
    before=$(sent); "$@" > /dev/null; say $work-requests $(($(sent) - before))
}
# fio's terse columns: 7 and 48 are KiB a second read and written, 8 is reads a second.
job() { work=$1 column=$2; shift 2; say $work $(fio --minimal --name=$work "$@" | cut -d';' -f$column); }
"""

GUEST = SETUP + r"""
# The index learns the files' identities once; it is then the same for all.
driver=virtiofs; echo $virtio > /sys/bus/virtio/drivers/$driver/bind; mount -t $driver t /mnt/t
sleep 1.1; git -C /mnt/t/repository status > /dev/null
# Memory that was never used costs the host a fault for each page of it.
head -c 900M /dev/zero > /tmp/fill; head -c 900M /dev/zero > /dev/shm/fill; rm /tmp/fill /dev/shm/fill
mkdir /tmp/copy; cp -a /mnt/t/big /mnt/t/tree /tmp/copy
umount /mnt/t; echo $virtio > /sys/bus/virtio/drivers/$driver/unbind
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
    cold; requests ls-lR ls -lR tree
    cold; rate find 10000 find tree
    cold; requests find find tree
    rate find-warm 10000 find tree
    rm -rf untarred; mkdir untarred; rate untar 2000 tar xf files.tar -C untarred
    cold; cd repository; requests git-status git status
    # All that is known has expired.
    sleep 1.2; requests git-again git status
    cold; cd repository; rate git-cold 2000 git status
    sleep 1.2; rate git-expired 2000 git status
    cd /; umount /mnt/t
    echo $virtio > /sys/bus/virtio/drivers/$driver/unbind
done
driver=tmpfs; cd /tmp/copy
job read-stream 7 --filename=big --rw=read --bs=1m --ioengine=psync --size=256m
rate ls-lR 10000 ls -lR tree; rate find 10000 find tree; rate find-warm 10000 find tree
done
"""


def prepare_repository(path):
    """2,000 files in 100 directories, committed, which git takes from its index alone when nothing was touched."""
    for number in range(100):
        directory = path / f"part{number // 10}" / f"module{number}"
        directory.mkdir(parents=True)
        for name in range(20):
            (directory / f"file{name}.c").write_text(f"int x{number}_{name};\n")
    git = ["git", "-C", path, "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "files"]):
        subprocess.run([*git, *words], check=True)


def prepare(share):
    with open(share / "big", "wb") as big:
        for _ in range(256):
            big.write(os.urandom(1 << 20))
    for number in range(100):
        directory = share / "tree" / str(number)
        directory.mkdir(parents=True)
        for name in range(100):
            (directory / str(name)).write_bytes(b"x" * 100)
    prepare_repository(share / "repository")
    names = [f"tree/{number}" for number in range(20)]
    subprocess.run(["tar", "cf", share / "files.tar", "-C", share, *names], check=True)


def parse(line, found, contestants=DRIVERS):
    if line.startswith("= "):
        driver, work, rate = line.split()[1:]
        found.setdefault(work, {name: [] for name in (*contestants, BOUND)})[driver].append(float(rate))
        print(line.rstrip(), file=sys.stderr)


def report(found, baseline="virtiofs"):
    title = BOUND if any(rates[BOUND] for rates in found.values()) else ""
    print(f"{'work':20} {baseline:>12} {'casement':>12}   {'ratio':22} {title:>12}".rstrip())
    for work, rates in found.items():
        pair = (rates[baseline], rates["casement"])
        less = work.endswith("requests")
        ratios = [theirs / ours if less else ours / theirs for theirs, ours in zip(*pair)]
        medians = [statistics.median(one) for one in pair]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        bound = f"{statistics.median(rates[BOUND]):12,.0f}" if rates[BOUND] else ""
        print(f"{work:20} {medians[0]:12,.0f} {medians[1]:12,.0f}   {spread:22} {bound}".rstrip())


def run(args, prepare_share, script, run_options, contestants=DRIVERS):
    """The script in a guest; the rates it prints, by work and contestant."""
    kmod = args.build / "kmod"
    subprocess.run([TOP / "scripts/kmod", TOP / "kmod", kmod], check=True)
    share = pathlib.Path(tempfile.mkdtemp(prefix="casement-driver-", dir="/dev/shm"))
    found = {}
    try:
        prepare_share(share)
        words = [word for option in args.option for word in ("--share-arg", option)]
        with subprocess.Popen([args.build / "casement", "run", "--memory", "2G", "--cpus", str(args.cpus),
                               *run_options, "--share", f"{share}:t", *words, "--share", f"{kmod}:kmod:ro",
                               "--", "sh", "-c", f"ROUNDS={args.rounds}\n{script}"],
                              stdout=subprocess.PIPE, text=True) as guest:
            for line in guest.stdout:
                parse(line, found, contestants)
        if guest.returncode:
            sys.exit(f"the guest ended with status {guest.returncode}")
        return found
    finally:
        shutil.rmtree(share)


def arguments(description):
    parser = argparse.ArgumentParser(description=description.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--build", type=pathlib.Path, default=TOP / "build")
    parser.add_argument("option", nargs="*", help="of the share's casementd")
    return parser


def main():
    report(run(arguments(__doc__).parse_args(), prepare, GUEST, []))


if __name__ == "__main__":
    main()
