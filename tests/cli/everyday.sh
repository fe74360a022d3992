#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Everyday programs in the directory $1: what they leave must be right. Prints nothing when all is well.
set -eu
cd "$1"
GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM

# A tree, copied with all it has, packed, unpacked and synchronised.
mkdir tree
for i in $(seq 1 60); do
	mkdir -p "tree/d$((i % 7))/e$((i % 3))"
	head -c $((i * 1571)) /dev/urandom >"tree/d$((i % 7))/e$((i % 3))/f$i"
	chmod $((i % 2 ? 640 : 755)) "tree/d$((i % 7))/e$((i % 3))/f$i"
done
ln -s d1/e1 tree/link
ln tree/d1/e1/f1 tree/hard
cp -a tree copy
diff -r tree copy
tar -cf tree.tar tree
mkdir unpacked
tar -C unpacked -xf tree.tar
diff -r tree unpacked/tree
rsync -aH tree/ synced/
rm tree/d2/e2/f2
rsync -aH --delete tree/ synced/
diff -r tree synced

# A repository.
git -c init.defaultBranch=main init -q repo
cp -a tree repo/
git -C repo add -A
git -C repo -c user.name=a -c user.email=a@b commit -qm first
git clone -q --no-hardlinks repo clone
git -C clone fsck --strict --no-progress
test -z "$(git -C clone status --porcelain)"

# A small project.
mkdir project
cat >project/Makefile <<'END'
objects = $(patsubst %,part%.o,1 2 3 4 5 6 7 8)
program: main.o $(objects)
	$(CC) -o $@ $^
END
for i in 1 2 3 4 5 6 7 8; do
	echo "int part$i(void); int part$i(void) { return $i; }" >"project/part$i.c"
	echo "int part$i(void);"
done >project/parts.h
{
	echo '#include "parts.h"'
	echo 'int main(void) { return part1() + part2() + part3() + part4() + part5() + part6() + part7() + part8() - 36; }'
} >project/main.c
make -s -j2 -C project CC=gcc
project/program

# A data base, twice, by a journal and by a log.
for mode in delete wal; do
	sqlite3 "$mode.db" "pragma journal_mode=$mode; create table t (a integer primary key, b text);
		with recursive n(i) as (select 1 union all select i + 1 from n where i < 500)
		insert into t select i, hex(randomblob(100)) from n;
		update t set b = 'x' where a % 3 = 0; delete from t where a % 5 = 0;" >/dev/null
	test "$(sqlite3 "$mode.db" 'pragma integrity_check; select count(*) from t')" = "ok
400"
done

# A file mapped and shared.
python3 - <<'END'
import mmap, os
with open("mapped", "w+b") as f:
    f.truncate(1 << 20)
    with mmap.mmap(f.fileno(), 1 << 20) as m:
        for i in range(0, 1 << 20, 4096):
            m[i:i + 8] = i.to_bytes(8, "little")
        m.flush()
    data = open("mapped", "rb").read()
    assert all(int.from_bytes(data[i:i + 8], "little") == i for i in range(0, 1 << 20, 4096))
END
rm -rf copy unpacked synced clone repo project
test "$(find . -mindepth 1 -maxdepth 1 | wc -l)" -eq 5
