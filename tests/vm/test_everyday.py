# SPDX-License-Identifier: BSD-3-Clause
"""What people do in a directory, done by a guest and compared with the host's own result."""
import hashlib
import os
import stat
import subprocess

import pytest

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


@pytest.mark.parametrize("cache", ["auto", "never", "always"])
def test_operations(machines, share, device, cache, tmp_path):
    args = ["--share", f"{share}:t", *device, "--cache", cache]
    machines(OPERATIONS, *args).finish()
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


@pytest.mark.parametrize("cache", ["auto", "never"])
def test_workloads(machines, share, device, cache, tmp_path):
    for directory in (share, tmp_path / "host"):
        prepare(directory)
    subprocess.run(["sh", "-c", WORKLOADS], cwd=tmp_path / "host", check=True)
    machines(WORKLOADS, "--share", f"{share}:t", *device, "--cache", cache, "--allow-mmap").finish()
    assert (share / "prog.out").read_text() == "42\n"
    assert (share / "sql.out").read_text() == "ok\n80|3240\n"
    assert results(share) == results(tmp_path / "host")
    subprocess.run(["git", "-c", f"safe.directory={share}/clone", "fsck"], cwd=share / "clone",
                   check=True, capture_output=True)


def test_two_guests_and_the_host(machines, share):
    (share / "host").write_text("from the host\n")
    script = r"""
set -e
cat host; echo "from $0" > mine-$0
while [ ! -s mine-a ] || [ ! -s mine-b ]; do :; done
cat mine-a mine-b
"""
    guests = [machines(f"set -- x; exec sh -c '{script}' {name}", "--share", f"{share}:t",
                       "--cache", "never", name=name) for name in ("a", "b")]
    for guest in guests:
        assert guest.finish() == "from the host\nfrom a\nfrom b\n"
    assert (share / "mine-b").read_text() == "from b\n"


def test_read_only_share(machines, share):
    (share / "file").write_text("kept\n")
    machines("cat file; ! echo no > file; ! touch new; ! rm file; ! mkdir d; ! chmod 600 file",
             "--share", f"{share}:t:ro", "--window", "64M").finish()
    assert snapshot(share).keys() == {"file"}
    assert (share / "file").read_text() == "kept\n"


@pytest.mark.parametrize("queues", [2, 4])
def test_several_queues(machines, share, device, queues):
    script = f"""
set -e
ls /sys/fs/virtiofs/*/mqs | grep -c '^[0-9]' >&2 || true
for i in 1 2 3 4; do (dd if=/dev/zero bs=64k count=40 2>/dev/null | tr '\\0' $i > f$i; sync f$i) & done
wait
for i in 1 2 3 4; do [ $(tr -d $i < f$i | wc -c) = 0 ]; done
cat /sys/fs/virtiofs/*/tag | sort
"""
    machines(script, "--share", f"{share}:t", *device, "--queues", queues, "--cpus", queues).finish()
    assert all((share / f"f{i}").stat().st_size == 64 * 1024 * 40 for i in range(1, 5))
