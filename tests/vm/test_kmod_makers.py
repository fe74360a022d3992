# SPDX-License-Identifier: BSD-3-Clause
"""What our own guest driver says of whoever makes something: the group that matters, and a label."""
import os


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
