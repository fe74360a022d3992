# SPDX-License-Identifier: BSD-3-Clause
"""casement-guest on folders that look like a guest's sysfs: tags of all kinds, and types that both drivers serve."""
import os
import pathlib
import subprocess

import pytest

GUEST = pathlib.Path(__file__).resolve().parents[2] / "kmod/guest/casement-guest"

# Device, tag, driver; and what of it is mounted: as /proc/self/mounts says it.
DEVICES = [
    ("virtio0", "plain", "virtiofs"), ("virtio1", "with blank", "virtiofs"), ("virtio2", "ours", "casement"),
    ("virtio3", "our blank", "casement"), ("virtio4", "by theirs", "casement"), ("virtio5", "back\\slash", "casement"),
    ("virtio6", " #odd\t", "virtiofs"), ("virtio7", "free", "casement"),
]
MOUNTS = r"""root / ext4 rw 0 0
plain /mnt/plain virtiofs rw 0 0
with\040blank /mnt/with\040blank virtiofs rw 0 0
ours /mnt/ours casement rw 0 0
our\040blank /mnt/b casement rw 0 0
by\040theirs /mnt/t virtiofs rw 0 0
back\134slash /mnt/s casement rw 0 0
free /mnt/other ext4 rw 0 0
"""


@pytest.fixture
def run(tmp_path):
    bus = tmp_path / "bus/virtio/drivers"
    for device, tag, driver in DEVICES:
        (bus / driver / device / "casement").mkdir(parents=True)
        if driver == "casement":
            (bus / driver / device / "casement/tag").write_text(tag + "\n")
            continue
        entry = tmp_path / "fs/virtiofs" / device
        entry.mkdir(parents=True)
        (entry / "tag").write_text(tag + "\n")
        (entry / "device").symlink_to(bus / driver / device)
    (tmp_path / "mounts").write_text(MOUNTS)
    environment = {**os.environ, "CASEMENT_SYSFS": str(tmp_path), "CASEMENT_MOUNTS": str(tmp_path / "mounts")}

    def start(*words):
        return subprocess.run(["sh", GUEST, *words], env=environment, capture_output=True, text=True, check=False)
    return start


def test_status(run):
    assert sorted(run("status").stdout.splitlines()) == sorted([
        r"\040\043odd\011 virtio6 virtiofs -", r"plain virtio0 virtiofs /mnt/plain",
        r"with\040blank virtio1 virtiofs /mnt/with\040blank", r"back\134slash virtio5 casement /mnt/s",
        r"by\040theirs virtio4 casement /mnt/t", r"free virtio7 casement -", r"our\040blank virtio3 casement /mnt/b",
        r"ours virtio2 casement /mnt/ours"])


@pytest.mark.parametrize("device, tag, driver", DEVICES)
def test_each_tag_is_found(run, device, tag, driver):
    assert run("device", tag).stdout == f"{device}\n"


@pytest.mark.parametrize("command, tag", [
    ("bind", "plain"), ("bind", "with blank"), ("unbind", "ours"), ("unbind", "our blank"), ("unbind", "by theirs"),
    ("unbind", "back\\slash")])
def test_what_is_mounted_stays(run, command, tag):
    said = run(command, tag)
    assert said.returncode == 1 and f"'{tag}' is mounted on " in said.stderr


def test_what_is_not_mounted_goes(run, tmp_path):
    assert run("bind", " #odd\t").returncode == 0
    assert (tmp_path / "bus/virtio/drivers/virtiofs/unbind").read_text() == "virtio6\n"
    assert (tmp_path / "bus/virtio/drivers/casement/bind").read_text() == "virtio6\n"
    assert run("device", "nosuch").returncode == 1
