# SPDX-License-Identifier: BSD-3-Clause
"""What a guest does to have its share `t` on our own driver, and to leave it again."""
import os
import pathlib

# Only `t` moves; the guest's root and the folder with the module stay where they are.
TAKE = r"""
set -e
cd /; umount /mnt/t
virtio=$(/mnt/kmod/casement-guest device t)
echo $virtio > /sys/bus/virtio/drivers/virtiofs/unbind
insmod /mnt/kmod/casement.ko
sysfs=/sys/bus/virtio/drivers/casement/$virtio/casement
[ "$(cat $sysfs/tag)" = t ] && [ $(/mnt/kmod/casement-guest device t) = $virtio ]
mount -t casement t /mnt/t
cd /mnt/t
"""

# Every reply was a reply, every request came back, and nothing of the module stays.
LEAVE = r"""
cd /; umount /mnt/t
if grep -v ' bad=0 in_flight=0 pending=0 orphans=0$' $sysfs/statistics; then exit 70; fi
rmmod casement
if mount -t debugfs none /sys/kernel/debug 2>/dev/null && [ -w /sys/kernel/debug/kmemleak ]; then
    echo scan > /sys/kernel/debug/kmemleak; cat /sys/kernel/debug/kmemleak
fi
if grep -q casement /proc/filesystems /proc/modules || [ -e $sysfs ]; then exit 71; fi
echo $virtio > /sys/bus/virtio/drivers/virtiofs/bind
mount -t virtiofs t /mnt/t; umount /mnt/t
"""


def signal_daemon(share, number):
    """To each process of the daemon that serves it."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"casementd") and any(str(share).encode() in word for word in words):
            os.kill(int(process.name), number)
