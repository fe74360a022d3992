/* SPDX-License-Identifier: BSD-3-Clause */
/* Sparse files: SEEK_HOLE, SEEK_DATA and the modes of fallocate(2). */
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "tests/posix/check.h"
#include "tests/posix/pattern.h"
#include "tests/posix/steps.h"

#define PAGE 65536L	/* larger than any file system's block here */

/* Data in [1, 2) and [4, 5) pages, a file of 8. */
static void make_sparse(int fd)
{
	static char data[PAGE];

	pattern_fill(data, PAGE, 9);
	ftruncate(fd, 0);
	ftruncate(fd, 8 * PAGE);
	pwrite(fd, data, PAGE, PAGE);
	pwrite(fd, data, PAGE, 4 * PAGE);
}

static const struct seek {
	const char *name;
	long at;
	int whence;
	long want;
} seeks[] = {
	{ "data-from-0", 0, SEEK_DATA, PAGE },
	{ "data-from-data", PAGE + 5, SEEK_DATA, PAGE + 5 },
	{ "data-from-hole", 2 * PAGE, SEEK_DATA, 4 * PAGE },
	{ "data-from-last-hole", 6 * PAGE, SEEK_DATA, -ENXIO },
	{ "hole-from-0", 0, SEEK_HOLE, 0 },
	{ "hole-from-data", PAGE, SEEK_HOLE, 2 * PAGE },
	{ "hole-from-hole", 2 * PAGE + 9, SEEK_HOLE, 2 * PAGE + 9 },
	{ "hole-from-second-data", 4 * PAGE + 1, SEEK_HOLE, 5 * PAGE },
	{ "data-at-end", 8 * PAGE, SEEK_DATA, -ENXIO },
	{ "hole-at-end", 8 * PAGE, SEEK_HOLE, -ENXIO },
	{ "data-past-end", 9 * PAGE, SEEK_DATA, -ENXIO },
	{ "data-negative", -1, SEEK_DATA, -ENXIO },
};

static void check_seeks(int fd)
{
	make_sparse(fd);
	check(rc(lseek(fd, 2 * PAGE, SEEK_DATA)), 4 * PAGE, "data-just-written");
	fsync(fd);
	for (size_t i = 0; i < ARRAY_SIZE(seeks); i++)
		check(rc(lseek(fd, seeks[i].at, seeks[i].whence)), seeks[i].want, "%s", seeks[i].name);
	check(op_blocks("sparse", NULL, 0) * 512 < 8 * PAGE, 1, "sparse-blocks");
	ftruncate(fd, 0);
	check(rc(lseek(fd, 0, SEEK_DATA)), -ENXIO, "data-of-empty");
	check(rc(lseek(fd, 0, SEEK_HOLE)), -ENXIO, "hole-of-empty");
	pwrite(fd, "x", 1, 0);
	fsync(fd);
	check(rc(lseek(fd, 0, SEEK_DATA)), 0, "data-of-one-byte");
	check(rc(lseek(fd, 0, SEEK_HOLE)), 1, "hole-of-one-byte");
}

#define KEEP FALLOC_FL_KEEP_SIZE
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO FALLOC_FL_ZERO_RANGE

/* One call on the sparse file: its result, the size, and the first byte of page 1 after it. */
static const struct room {
	const char *name;
	int mode;
	long offset, len;
	long result, size;
	bool kept;	/* the data of page 1 */
} rooms[] = {
	{ "allocate", 0, 0, 3 * PAGE, 0, 8 * PAGE, true },
	{ "allocate-past-end", 0, 7 * PAGE, 3 * PAGE, 0, 10 * PAGE, true },
	{ "allocate-keep", KEEP, 7 * PAGE, 3 * PAGE, 0, 8 * PAGE, true },
	{ "punch", PUNCH, PAGE, PAGE, 0, 8 * PAGE, false },
	{ "punch-hole", PUNCH, 2 * PAGE, PAGE, 0, 8 * PAGE, true },
	{ "punch-part", PUNCH, PAGE, 100, 0, 8 * PAGE, false },
	{ "punch-past-end", PUNCH, 9 * PAGE, PAGE, 0, 8 * PAGE, true },
	{ "punch-without-keep", FALLOC_FL_PUNCH_HOLE, PAGE, PAGE, -EOPNOTSUPP, 8 * PAGE, true },
	{ "zero", ZERO, PAGE, PAGE, 0, 8 * PAGE, false },
	{ "zero-past-end", ZERO, 7 * PAGE, 2 * PAGE, 0, 9 * PAGE, true },
	{ "zero-keep-past-end", ZERO | KEEP, 7 * PAGE, 2 * PAGE, 0, 8 * PAGE, true },
	{ "collapse", FALLOC_FL_COLLAPSE_RANGE, 0, PAGE, 0, 7 * PAGE, false },
	{ "insert", FALLOC_FL_INSERT_RANGE, 0, PAGE, 0, 9 * PAGE, false },
	{ "length-0", 0, 0, 0, -EINVAL, 8 * PAGE, true },
	{ "negative-length", 0, 0, -1, -EINVAL, 8 * PAGE, true },
	{ "negative-offset", 0, -1, 1, -EINVAL, 8 * PAGE, true },
	{ "unknown-mode", 1 << 20, 0, PAGE, -EOPNOTSUPP, 8 * PAGE, true },
};

static void check_rooms(int fd)
{
	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		const struct room *room = &rooms[i];
		char byte = 1;

		make_sparse(fd);
		check(rc(fallocate(fd, room->mode, room->offset, room->len)), room->result, "%s",
		      room->name);
		check(op_size("sparse", NULL, 0), room->size, "%s-size", room->name);
		pread(fd, &byte, 1, PAGE);
		check(byte == pattern_at(0, 9), room->kept, "%s-data", room->name);
	}
}

static void check_blocks(int fd)
{
	char byte = 1;
	long before;

	ftruncate(fd, 0);
	check(rc(fallocate(fd, 0, 0, 4 * PAGE)), 0, "reserve");
	check(op_blocks("sparse", NULL, 0) * 512 >= 4 * PAGE, 1, "reserve-blocks");
	check(rc(pread(fd, &byte, 1, PAGE)), 1, "reserve-reads");
	check(byte, 0, "reserve-is-zero");
	before = op_blocks("sparse", NULL, 0);
	check(rc(fallocate(fd, PUNCH, 0, 2 * PAGE)), 0, "give-back");
	check(op_blocks("sparse", NULL, 0) < before, 1, "give-back-blocks");
	check(rc(posix_fallocate(fd, 0, 6 * PAGE)), 0, "posix-fallocate");
	check(op_size("sparse", NULL, 0), 6 * PAGE, "posix-fallocate-size");
	close(fd);
	fd = open("sparse", O_RDONLY);
	check(rc(fallocate(fd, 0, 0, PAGE)), -EBADF, "read-only");
	close(fd);
	mkdir("dir", 0755);
	fd = open("dir", O_RDONLY);
	check(rc(fallocate(fd, 0, 0, PAGE)), -EBADF, "dir");
	close(fd);
}

static void run(void)
{
	int fd = open("sparse", O_CREAT | O_RDWR, 0600);

	check_seeks(fd);
	check_rooms(fd);
	check_blocks(fd);
}

const struct subject subject_hole = { "hole", false, run };
