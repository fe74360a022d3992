# SPDX-License-Identifier: BSD-3-Clause
"""What people do in a directory, done by a guest and compared with the host's own result."""
import hashlib
import itertools
import os
import shutil
import stat
import subprocess

import pytest

from guests import DEVICES, PATIENCE

OPERATIONS = r"""
set -e
umask 022
echo one > file; echo two >> file; cat file > copy
ln file hard; ln -s file soft; ln -s nowhere dangling; readlink dangling > target
mkdir -p dir/sub/deep; echo x > dir/sub/deep/x; mv dir/sub/deep dir/moved; rmdir dir/sub
chmod 640 copy; chmod u+s dir/moved/x; touch -d '2001-02-03 04:05:06' copy
mkfifo fifo; mknod null c 1 3
truncate -s 5M sparse; printf end | dd of=sparse bs=1 seek=3000000 conv=notrunc 2>/dev/null
fallocate -l 300000 room; fallocate -p -o 4096 -l 8192 room
exec 3<>gone; echo kept >&3; rm gone; cat <&3 >&2; exec 3>&-
mkdir many; i=0; while [ $i -lt 1000 ]; do : > many/file-$i; i=$((i+1)); done
ls many | wc -l > count; rm many/file-1*; ls many | wc -l >> count
name=$(printf '%0255d' 7); echo long > "$name"; echo utf > 'grün-世界'
mv -n file copy || true; mv -T copy "renamed copy"; echo new > over; mv over hard
cp -a "renamed copy" preserved; stat -c '%a %s %Y' preserved > stats
if echo fail > dir 2>/dev/null; then exit 9; fi
head -c 3000000 /dev/zero | tr '\0' 'z' > big; dd if=big of=part bs=1000 skip=7 count=100 2>/dev/null
cmp big big
"""


def snapshot(directory):
    """Names, types, modes, sizes and contents of a tree."""
    found = {}
    for base, dirs, files in os.walk(directory):
        for name in dirs + files:
            path = os.path.join(base, name)
            st = os.lstat(path)
            what = [stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid]
            if stat.S_ISLNK(st.st_mode):
                what.append(os.readlink(path))
            elif stat.S_ISREG(st.st_mode):
                with open(path, "rb") as file:
                    what += [st.st_size, st.st_nlink, hashlib.sha256(file.read()).hexdigest()]
            found[os.path.relpath(path, directory)] = what
    return found


def on_host(script, directory):
    directory.mkdir()
    subprocess.run(["sh", "-c", script], cwd=directory, check=True, capture_output=True)
    return snapshot(directory)


CACHES = ["auto", "never", "always"]


@pytest.mark.parametrize("cache", CACHES)
def test_operations(natives, share, cache, tmp_path):
    natives(OPERATIONS, "--share", f"{share}:t", "--cache", cache).finish()
    assert snapshot(share) == on_host(OPERATIONS, tmp_path / "host")


WORKLOADS = r"""
set -e
export HOME=/tmp GIT_CONFIG_NOSYSTEM=1 LC_ALL=C
dd if=seed of=dd.out bs=4k 2>/dev/null
git clone -q --no-hardlinks origin clone; git -C clone fsck --strict 2>/dev/null
git -C clone log --oneline > git.log
rm -rf clone/.git/index clone/.git/logs
make -s -C project >/dev/null; ./project/prog > prog.out
rsync -a --checksum origin/ synced/
tar cf - -C project . | tar xf - -C unpacked
sqlite3 db 'create table t(a integer primary key, b text);'
i=0; while [ $i -lt 40 ]; do echo "insert into t(b) values('row $i');"; i=$((i+1)); done > rows
(echo 'begin;'; cat rows; echo 'commit;') | sqlite3 db
sqlite3 db 'pragma journal_mode=wal;' >/dev/null
sqlite3 db < rows
sqlite3 db 'pragma integrity_check; select count(*), sum(a) from t;' > sql.out
sqlite3 db 'pragma journal_mode=delete;' >/dev/null
rm -f db; find . -name '*.o' -delete
"""


def prepare(directory):
    (directory / "project").mkdir(parents=True)
    (directory / "unpacked").mkdir()
    (directory / "seed").write_bytes(bytes(range(256)) * 5000 + b"tail")
    (directory / "project/a.c").write_text('int a(void) { return 41; }\n')
    (directory / "project/prog.c").write_text(
        '#include <stdio.h>\nint a(void);\nint main(void) { printf("%d\\n", a() + 1); return 0; }\n')
    (directory / "project/Makefile").write_text(
        "prog: prog.o a.o\n\t$(CC) -o $@ $^\n\t@rm -f prog.o a.o\n")
    subprocess.run(
        "git init -q origin && cd origin && git config user.email t@localhost && git config user.name t"
        " && for i in 1 2 3 4 5; do mkdir -p d$i; head -c 90000 /dev/zero | tr '\\0' $i > d$i/f$i;"
        " git add . && GIT_AUTHOR_DATE='100000000'$i' +0000' GIT_COMMITTER_DATE='100000000'$i' +0000' git commit -qm c$i; done",
        shell=True, cwd=directory, check=True)


def results(directory):
    """All that does not depend on the compiler, which is the guest's in one case."""
    return {name: what for name, what in snapshot(directory).items()
            if not name.endswith("/prog") and "/.git" not in name}


def check_workloads(share, host):
    """What WORKLOADS left in the share is what it left on the host."""
    assert (share / "prog.out").read_text() == "42\n"
    assert (share / "sql.out").read_text() == "ok\n80|3240\n"
    assert results(share) == results(host)
    subprocess.run(["git", "-c", f"safe.directory={share}/clone", "fsck"], cwd=share / "clone",
                   check=True, capture_output=True)


@pytest.mark.parametrize("cache", ["auto", "never"])
def test_workloads(natives, share, cache, tmp_path):
    for directory in (share, tmp_path / "host"):
        prepare(directory)
    subprocess.run(["sh", "-c", WORKLOADS], cwd=tmp_path / "host", check=True)
    natives(WORKLOADS, "--share", f"{share}:t", "--cache", cache, "--allow-mmap").finish()
    check_workloads(share, tmp_path / "host")


# Shares of a machine of each device, by mode. What only a guest's driver and the daemon know of is test_operations'
# and test_workloads': names in each mode, and without a window data.
IN_QEMU = {"fs-pci": ["auto", "auto-work"], "window": ["auto", "auto-work", "never-work"]}


@pytest.mark.parametrize("kind", IN_QEMU)
def test_everyday_in_qemu(machines, share, kind, tmp_path):
    words, script = [*DEVICES[kind]], "set -e\n"
    host = on_host(OPERATIONS, tmp_path / "host")
    prepare(tmp_path / "work")
    subprocess.run(["sh", "-c", WORKLOADS], cwd=tmp_path / "work", check=True)
    for name in IN_QEMU[kind]:
        (share / name).mkdir()
        work = name.endswith("-work")
        if work:
            prepare(share / name)
        words += ["--share", f"{share / name}:{name}", "--share-arg", f"--cache={name.split('-')[0]}",
                  *(["--share-arg", "--allow-mmap"] if work else [])]
        script += f"(cd /mnt/{name}\n{WORKLOADS if work else OPERATIONS})\n"
    machines(script, *words).finish(patience=2 * PATIENCE)
    for name in IN_QEMU[kind]:
        if name.endswith("-work"):
            check_workloads(share / name, tmp_path / "work")
        else:
            assert snapshot(share / name) == host, name


def test_two_guests_and_the_host(natives, share):
    (share / "host").write_text("from the host\n")
    script = r"""
set -e
cat host; echo "from $0" > mine-$0
while [ ! -s mine-a ] || [ ! -s mine-b ]; do :; done
cat mine-a mine-b
"""
    guests = [natives(f"set -- x; exec sh -c '{script}' {name}", "--share", f"{share}:t",
                      "--cache", "never", name=name) for name in ("a", "b")]
    for guest in guests:
        assert guest.finish() == "from the host\nfrom a\nfrom b\n"
    assert (share / "mine-b").read_text() == "from b\n"


READ_ONLY = """
set -e
cat file
for change in 'echo no > file' 'touch new' 'rm file' 'mkdir d' 'chmod 600 file'; do
    if sh -c "$change"; then exit 9; fi
done
"""


def check_read_only(start, share, *args):
    (share / "file").write_text("kept\n")
    start(READ_ONLY, "--share", f"{share}:t:ro", *args).finish()
    assert snapshot(share).keys() == {"file"}
    assert (share / "file").read_text() == "kept\n"


def test_read_only_share(natives, share):
    check_read_only(natives, share)


def test_read_only_share_beside_a_window(machines, share):
    check_read_only(machines, share, "--window", "64M")


QUEUES = 4


def test_several_queues(machines, share, device):
    """Four. Two, with two processors, has the machine of the fixture `processors`."""
    script = """
set -e
ls /sys/fs/virtiofs/*/mqs | grep -c '^[0-9]' >&2 || true
for i in 1 2 3 4; do (dd if=/dev/zero bs=64k count=40 2>/dev/null | tr '\\0' $i > f$i; sync f$i) & done
wait
for i in 1 2 3 4; do [ $(tr -d $i < f$i | wc -c) = 0 ]; done
cat /sys/fs/virtiofs/*/tag | sort
"""
    machines(script, "--share", f"{share}:t", *device, "--queues", QUEUES, "--cpus", QUEUES).finish()
    assert all((share / f"f{i}").stat().st_size == 64 * 1024 * 40 for i in range(1, 5))


# A process is in one directory and has a file and a socket of it open, while it meets more files than the
# daemon may have open.
MANY = r"""
set -e
export LC_ALL=C
cd d7
exec 3<f3
mkfifo ../listens
python3 -c 'import socket
listener = socket.socket(socket.AF_UNIX); listener.bind("socket"); listener.listen(9)
open("../listens", "w").close()
for round in range(3): listener.accept()[0].sendall(b"hello\n")' &
: <../listens
for round in 1 2 3; do
    find .. -type f | wc -l
    find .. -type f -print0 | sort -z | xargs -0 cat | sha256sum
    ls -lR .. | wc -l
    chmod -R u+x ..
    ./program
    mv f$round moved$round; ln moved$round linked$round; ln -s linked$round soft$round; cat soft$round
    python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect("socket"); print(s.recv(9))'
done
cat <&3
ls | wc -l
exec 3<&-
wait
cd /
"""


@pytest.mark.parametrize("start", ["natives", "plain_guest"])
def test_more_files_than_may_be_open(request, share, start, tmp_path):
    """All is as if there were no such limit. Of a directory and what is in use nothing is let go."""
    host = tmp_path / "host"
    for i, j in itertools.product(range(20), range(20)):
        (host / f"d{i}").mkdir(parents=True, exist_ok=True)
        (host / f"d{i}/f{j}").write_text(f"{i} {j}\n")
    (host / "d7/program").write_text("#!/bin/sh\necho ran\n")
    shutil.copytree(host, share, dirs_exist_ok=True)
    args = [f"--share-arg={word}" for word in ("--rlimit-nofile=200", "--log-level=info")]
    if start == "natives":
        args = ["--share", f"{share}:t", *args]
    guest = request.getfixturevalue(start)(MANY, *args)
    seen = guest.finish()
    assert seen == subprocess.run(["sh", "-c", MANY], cwd=host, check=True, capture_output=True, text=True).stdout
    assert "does not use are let go" in guest.stderr()
