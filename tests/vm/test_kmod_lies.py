# SPDX-License-Identifier: BSD-3-Clause
"""Our own guest driver and a daemon that does not tell the truth (tests/liar): nothing of it harms the guest."""
import pathlib
import re
import shutil

import pytest

from agent import Agent
from guests import BUILD, ROUNDS, TOP
from kmod_guest import TAKE

# As LEAVE of kmod_guest.py, but for the count of wrong replies.
LEAVE = r"""
cd /; umount /mnt/t
[ -s $sysfs/statistics ] || exit 70
settle
if grep -v ' in_flight=0 pending=0 orphans=0$' $sysfs/statistics; then exit 70; fi
rmmod casement && echo left
"""


def lies():
    """Their names, in the liar's own table."""
    table = re.search(r"lies\[\] = \{(.*?)\n\};", (TOP / "tests/liar/liar.c").read_text(), re.DOTALL)
    return re.findall(r'\{ "(\w+)",', table[1])


def tell(share, lie):
    """From now on; every third reply, so that there is something to be misled about."""
    (share / ".draft").write_text(f"{lie} 3\n")
    (share / ".draft").rename(share / ".lies")


LIAR = ["--daemon", BUILD / "tests/liar/casementd-liar"]


def start(start_guest, share, module, control, *args):
    control.mkdir()
    shutil.copy(pathlib.Path(__file__).parent / "lied_to.py", control)
    agent = Agent(start_guest, "a", control, "--share", f"{share}:t", *args, *LIAR,
                  "--share", f"{module.parent}:kmod:ro")
    agent.ask(TAKE + "set +e")
    return agent


# lied_to.py's words: an emulated guest takes long for what is no endless directory.
ALL_WORK = "60 1"
WINDOW_WORK = "30 2 window"


def survive(start_guest, share, module, control, cache, words, *args):
    """All lies, in a guest that does all that programs do meanwhile."""
    (share / "dir").mkdir()
    for name in ("a", "b", "dir/a", "big"):
        (share / name).write_bytes(b"text" * (1 << 18 if name == "big" else 1000))
    agent = start(start_guest, share, module, control, "--share-arg", f"--cache={cache}",
                  "--share-arg", "--xattr", "--share-arg", "--posix-acl", "--share-arg", "--posix-lock",
                  "--share-arg", "--flock", *args)
    agent.ask("mkfifo /tmp/seeds /tmp/answers\n"
              f"python3 /mnt/control/lied_to.py {words} < /tmp/seeds > /tmp/answers 2>&1 & worker=$!\n"
              "exec 8> /tmp/seeds 9< /tmp/answers")
    for seed, lie in enumerate([*lies(), "any"] * ROUNDS):
        tell(share, lie)
        assert agent.ask(f"echo {seed} >&8; read -r said <&9; echo \"$said\"") == "survived\n", lie
    agent.ask("exec 8>&- 9<&-; wait $worker")
    # Not even of what it can do does it tell the truth.
    for _ in lies():
        tell(share, "any")
        agent.ask("{ cd /; umount /mnt/t; mount -t casement t /mnt/t; ls -l /mnt/t; } > /tmp/said 2>&1")
        (share / ".lies").unlink()
        agent.ask("mountpoint -q /mnt/t || mount -t casement t /mnt/t; cd /mnt/t")
    assert int(agent.ask(r"sed -n 's/.* bad=\([0-9]*\) .*/\1/p' $sysfs/statistics | sort -n | tail -n 1")) > 0
    # With the truth, all is as it was.
    assert agent.ask("echo truth > true; cat true; rm true") == "truth\n"
    assert agent.ask(LEAVE).endswith("left\n")
    agent.end()


@pytest.mark.parametrize("cache", ["auto", "never"])
def test_lies(checked, share, checked_module, tmp_path, cache):
    survive(checked, share, checked_module, tmp_path / "control", cache, ALL_WORK)


def test_lies_about_a_window(machines, share, module, tmp_path):
    survive(machines, share, module, tmp_path / "control", "auto", WINDOW_WORK, "--window", "64M")


def test_a_broken_ring(checked, share, checked_module, tmp_path):
    """The device returns what it was never given: it is aborted, and serves again when it was bound again."""
    (share / "file").write_text("text")
    agent = start(checked, share, checked_module, tmp_path / "control")
    tell(share, "head")
    said = agent.ask("for i in 1 2 3 4 5 6 7 8; do cat file 2>&1 > /dev/null; echo 3 > /proc/sys/vm/drop_caches; done")
    assert said.endswith("cat: file: Transport endpoint is not connected\n")
    (share / ".lies").unlink()
    assert agent.ask(r"""
cd /; umount /mnt/t
echo $virtio > /sys/bus/virtio/drivers/casement/unbind; echo $virtio > /sys/bus/virtio/drivers/casement/bind
mount -t casement t /mnt/t; cat /mnt/t/file; cd /mnt/t""" + LEAVE).endswith("left\n")
    agent.end()
    assert "casement: t: its ring is broken: aborted" in agent.guest.kernel_log()
