#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""casement.ko and the DAX window, beside the kernel's own driver and beside itself without one.

As bench/driver.py: one guest, one daemon, the three in turns. The window has 128 MiB.
One file of 64 MiB fits it twice; the works that begin with "four" have four files open,
each as large as it. Prints two tables.

Usage: bench/driver_window.py [--rounds N] [--cpus N] [--build BUILD] [-- CASEMENTD-OPTION...]
"""
import os

import driver

CONTESTANTS = ("virtiofs", "casement", "no-window")
MIB = 1 << 20

GUEST = driver.SETUP + r"""
# The third is our driver, too.
on() { if [ $1 = no-window ]; then name=casement option="-o dax=never"; else name=$1 option=; fi; }
cold() { cd /; umount /mnt/t; echo 3 > /proc/sys/vm/drop_caches; mount -t $name $option t /mnt/t; cd /mnt/t; }
four="--filename=f0:f1:f2:f3 --size=512m --file_service_type=random"

for round in $(seq $ROUNDS); do
case $((round % 3)) in
0) order="casement virtiofs no-window" ;; 1) order="virtiofs no-window casement" ;;
2) order="no-window casement virtiofs" ;; esac
for driver in $order; do
    on $driver
    echo $virtio > /sys/bus/virtio/drivers/$name/bind
    mount -t $name $option t /mnt/t; cd /mnt/t
    cold; job first-read 7 --filename=one --rw=read --bs=1m --ioengine=psync --size=64m
    timed="--runtime=3 --time_based --bs=4k"
    job read 8 --filename=one --rw=randread --ioengine=psync --size=64m $timed
    job write 49 --filename=one --rw=randwrite --ioengine=psync --size=64m $timed
    job mmap-read 8 --filename=one --rw=randread --ioengine=mmap --size=64m $timed
    job mmap-write 49 --filename=one --rw=randwrite --ioengine=mmap --size=64m $timed
    cold; job four-stream 7 --filename=f0:f1:f2:f3 --file_service_type=sequential --rw=read --bs=1m \
        --ioengine=psync --size=512m
    cold; job four-read 8 --rw=randread --ioengine=psync $four $timed --runtime=10
    cold; job four-mmap 8 --rw=randread --ioengine=mmap $four $timed --runtime=10
    cd /; umount /mnt/t
    echo $virtio > /sys/bus/virtio/drivers/$name/unbind
done; done
"""


def prepare(share):
    for name, size in (("one", 64), ("f0", 128), ("f1", 128), ("f2", 128), ("f3", 128)):
        with open(share / name, "wb") as file:
            for _ in range(size):
                file.write(os.urandom(MIB))


def main():
    found = driver.run(driver.arguments(__doc__).parse_args(), prepare, GUEST, ["--window", "128M"],
                       CONTESTANTS)
    driver.report(found)
    driver.report(found, "no-window")


if __name__ == "__main__":
    main()
