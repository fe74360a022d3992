# SPDX-License-Identifier: BSD-3-Clause
"""What a guest does to have its share `t` on our own driver, and to leave it again."""
import os
import pathlib
import signal

from stopped import stop

# Only `t` (or what $tag says) moves; the guest's root and the folder with the module stay where they are. Before
# requests under way are counted, `settle` waits for those of what was done before: nobody waits
# for a RELEASE.
TAKE = r"""
set -e
: ${tag=t}
cd /; umount /mnt/t
virtio=$(/mnt/kmod/casement-guest device $tag)
echo $virtio > /sys/bus/virtio/drivers/virtiofs/unbind
insmod /mnt/kmod/casement.ko
sysfs=/sys/bus/virtio/drivers/casement/$virtio/casement
[ "$(cat $sysfs/tag)" = $tag ]; [ $(/mnt/kmod/casement-guest device $tag) = $virtio ]
mount -t casement $tag /mnt/t
cd /mnt/t
settle() { while grep -q 'in_flight=[1-9]\|pending=[1-9]' $sysfs/statistics; do :; done; }
"""

# Every reply was a reply, every request came back, and nothing of the module stays. A mount does not
# wait for the FORGETs of its end.
LEAVE = r"""
cd /; umount /mnt/t
[ -s $sysfs/statistics ]; settle
if grep -v ' bad=0 in_flight=0 pending=0 orphans=0$' $sysfs/statistics; then exit 70; fi
rmmod casement
if grep -q casement /proc/filesystems /proc/modules || [ -e $sysfs ]; then exit 71; fi
echo $virtio > /sys/bus/virtio/drivers/virtiofs/bind
mount -t virtiofs $tag /mnt/t; umount /mnt/t
"""


def take(options=""):
    """With words for mount(8)."""
    return TAKE.replace("-t casement $tag", f"-t casement {options} $tag")


# After LEAVE: no memory of it is left, either. kmemleak tells of nothing that is younger than five
# seconds. It is on where the guest has LEAKS as a word.
LEAKS = "--append=kmemleak=on"
LOOK_FOR_LEAKS = r"""
mount -t debugfs none /sys/kernel/debug; cd /sys/kernel/debug
if [ ! -e kmemleak ]; then exit 0; fi
sleep 6
for scan in 1 2; do echo scan > kmemleak; done
cat kmemleak
"""

# As LEAVE, where the root is on it, too, and stays there.
CLEAN = r"""
cat /sys/bus/virtio/drivers/casement/virtio*/casement/statistics > /tmp/statistics; [ -s /tmp/statistics ]
# This one's own requests may be under way; nobody has waited for those of what was done before.
while cat /sys/bus/virtio/drivers/casement/virtio*/casement/statistics > /tmp/statistics
    grep -q 'in_flight=\([2-9]\|[0-9][0-9]\)\|pending=[1-9]' /tmp/statistics
do :; done
if grep -v ' bad=0 in_flight=[01] pending=0 orphans=0$' /tmp/statistics; then exit 70; fi
"""


def signal_daemon(share, number):
    """To each process of the daemon that serves it. After SIGSTOP all of them have stopped."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if not words[0].endswith(b"casementd") or str(share).encode() not in words:
            continue
        if number == signal.SIGSTOP:
            stop(int(process.name))
        else:
            os.kill(int(process.name), number)
