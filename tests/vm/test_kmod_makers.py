# SPDX-License-Identifier: BSD-3-Clause
"""What our own guest driver says of whoever makes something: the group that matters, and a label."""
import os

import pytest

# Of several groups the daemon is told one; the directory's is another of the caller's.
MEMBER = r"""
chgrp 2000 .; chmod 2775 .
setpriv --reuid 1000 --regid 1000 --groups 2000 sh -ec '
touch file; mkdir dir; ln -s file link; mkfifo fifo; ln file other
mv file moved; mv moved file
: > set; chmod 2750 set; mkdir down; touch down/made
mv dir down; rmdir down/dir; rm link fifo other'
"""


def test_a_member_of_the_group(guest, share):
    """Makes, renames and removes in a directory of it, and what is made has the group."""
    guest(MEMBER).finish()
    assert sorted(os.listdir(share)) == ["down", "file", "set"]
    for name in ("down", "file", "set", "down/made"):
        assert (share / name).stat().st_gid == 2000
    assert (share / "set").stat().st_mode & 0o7777 == 0o2750
    assert (share / "down").stat().st_mode & 0o2000


def test_a_new_files_label(guest, share):
    """The security module's, given by the daemon as the file is made: there is no time without it."""
    guest(MEMBER + "touch new; mkdir dir; ln -s file link; mkfifo fifo; (umask 077; : > made)\n",
          "--append", "lsm=selinux", "--share-arg", "--security-label").finish()
    for name in ("dir", "new", "link", "fifo", "made", "set", "down", "down/made"):
        label = os.getxattr(share / name, "security.selinux", follow_symlinks=False)
        assert label.rstrip(b"\0").decode().isprintable() and label, name


def test_no_security_module(guest, share):
    """Nothing has a label then, and everything is made all the same."""
    guest(MEMBER, "--append", "lsm=", "--share-arg", "--security-label").finish()
    assert os.listxattr(share / "file") == []


# The host's 1000 and 2000 are 5000 and 6000 there, and only those.
OTHER_IDS = r"""
mkdir /tmp/other; chown 1000:2000 .; chmod 2770 .; touch old; chown 1000:2000 old
mount --bind -o X-mount.idmap='u:1000:5000:1 g:2000:6000:1' /mnt/t /tmp/other; cd /tmp/other
stat -c '%u:%g' . old
setpriv --reuid 5000 --regid 6000 --clear-groups sh -ec '
echo text > file; mkdir dir; ln -s file link; mkfifo fifo; : > dir/made; chmod 600 old; setfacl -m u:5000:r file
mv file dir; rm fifo; stat -c "%n %u:%g" dir/*'
for id in 1000 7000; do
    setpriv --reuid $id --regid $id --clear-groups sh -c ': > no' 2>/dev/null && exit 80
    setpriv --reuid $id --regid $id --clear-groups cat old 2>/dev/null && exit 81
done
# Root is nobody there, so nothing can be his.
if touch roots 2>/dev/null; then exit 82; fi
if chown 7000 old 2>/dev/null; then exit 83; fi
setpriv --reuid 5000 --regid 100 --groups 6000 sh -c ': > no' 2>/dev/null && exit 84
chown 5000:6000 old; stat -c '%u:%g' old
cd /; umount /tmp/other
"""


def test_a_mount_with_other_ids(guest, share):
    """An idmapped mount: who does something there is on the host who it says."""
    assert guest(OTHER_IDS, "--share-arg", "--posix-acl").finish().splitlines() == [
        "5000:6000", "5000:6000", "dir/file 5000:6000", "dir/made 5000:6000", "5000:6000"]
    for name in ("dir", "dir/file", "dir/made", "link", "old"):
        assert ((share / name).lstat().st_uid, (share / name).lstat().st_gid) == (1000, 2000), name


# As uid 1000, who owns the directory on the host, and is another there.
ONLY_TO_SEE = r"""
ids='u:1000:5000:1 u:1001:1000:1 g:1000:5000:1 g:1001:1000:1'
mkdir /tmp/other; mount --bind -o X-mount.idmap="$ids" /mnt/t /tmp/other; cd /tmp/other
for make in mkdir mkfifo 'ln -sT x'; do setpriv --reuid 1000 --regid 1000 --clear-groups $make $made 2>&1 || :; done
cd /; umount /tmp/other
"""


@pytest.mark.parametrize("made, error", [("there", "File exists"), ("missing", "Permission denied")])
def test_which_error_on_a_mount_with_other_ids(guest, share, made, error):
    """Who may make nothing there still hears that a name is taken."""
    (share / "there").mkdir()
    for path in (share, share / "there"):
        path.chmod(0o755)
        os.chown(path, 1000, 1000)
    said = guest(f"made={made}\n{ONLY_TO_SEE}").finish().splitlines()
    assert len(said) == 3 and all(line.endswith(error) for line in said), said
