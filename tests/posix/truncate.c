/* SPDX-License-Identifier: BSD-3-Clause */
/* Cutting and growing: sizes, what is lost, and that what comes back is zero. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "common/checked.h"
#include "tests/posix/check.h"
#include "tests/posix/pattern.h"
#include "tests/posix/steps.h"

#define BUF 16384

static const struct step steps[] = {
	{ NULL, ME, op_fill, "file", "0123456789", 0, 0 },
	{ "shrink", ME, op_truncate, "file", NULL, 4, 0 },
	{ "shrink-content", ME, op_holds, "file", "0123", 0, 1 },
	{ "same", ME, op_truncate, "file", NULL, 4, 0 },
	{ "same-content", ME, op_holds, "file", "0123", 0, 1 },
	{ "to-nothing", ME, op_truncate, "file", NULL, 0, 0 },
	{ "to-nothing-size", ME, op_size, "file", NULL, 0, 0 },
	{ "to-nothing-blocks", ME, op_blocks, "file", NULL, 0, 0 },
	{ "grow-empty", ME, op_truncate, "file", NULL, 100000, 0 },
	{ "grow-empty-size", ME, op_size, "file", NULL, 0, 100000 },
	{ "grow-large", ME, op_truncate, "file", NULL, 1L << 40, 0 },
	{ "grow-large-size", ME, op_size, "file", NULL, 0, 1L << 40 },
	{ "negative", ME, op_truncate, "file", NULL, -1, -EINVAL },
	{ "missing", ME, op_truncate, "none", NULL, 0, -ENOENT },
	{ NULL, ME, op_mkdir, "dir", NULL, 0755, 0 },
	{ "dir", ME, op_truncate, "dir", NULL, 0, -EISDIR },
	{ NULL, ME, op_mknod, "fifo", NULL, S_IFIFO | 0600, 0 },
	{ "fifo", ME, op_truncate, "fifo", NULL, 0, -EINVAL },
	{ NULL, ME, op_symlink, "file", "soft", 0, 0 },
	{ "through-link", ME, op_truncate, "soft", NULL, 3, 0 },
	{ "through-link-size", ME, op_size, "file", NULL, 0, 3 },
};

/* Cut to `cut`, grow again: what was cut off is zero. */
static const long cuts[] = { 0, 1, 4095, 4096, 4097, 8191, 10000 };

static void check_zeros(void)
{
	static char out[BUF], in[BUF];
	int fd = open("zeros", O_CREAT | O_RDWR, 0600);

	pattern_fill(out, BUF, 3);
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		long cut = cuts[i];

		pwrite(fd, out, BUF, 0);
		check(rc(ftruncate(fd, cut)), 0, "cut-to-%ld", cut);
		check(rc(pread(fd, in, BUF, 0)), cut, "cut-to-%ld-reads", cut);
		check(rc(ftruncate(fd, BUF)), 0, "grown-from-%ld", cut);
		check(rc(pread(fd, in, BUF, 0)), BUF, "grown-from-%ld-reads", cut);
		check(memcmp(in, out, (size_t)cut), 0, "grown-from-%ld-keeps", cut);
		check(pattern_is_zero(in + cut, (size_t)(BUF - cut)), 1, "grown-from-%ld-zeros", cut);
	}
	close(fd);
}

/* The same, seen by a mapping that is there all the time. */
static void check_mapped(void)
{
	static char out[BUF];
	int fd = open("mapped", O_CREAT | O_RDWR, 0600);
	char *map, byte;

	pattern_fill(out, BUF, 5);
	pwrite(fd, out, BUF, 0);
	map = mmap(NULL, BUF, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		check(rc(-1), 0, "mapped");
		close(fd);
		return;
	}
	check(memcmp(map, out, BUF), 0, "mapped-before");
	ftruncate(fd, 5000);
	check(memcmp(map, out, 5000), 0, "mapped-cut-keeps");
	check(pattern_is_zero(map + 5000, 8192 - 5000), 1, "mapped-cut-zeros-its-page");
	ftruncate(fd, BUF);
	check(pattern_is_zero(map + 5000, BUF - 5000), 1, "mapped-grown-zeros");
	pwrite(fd, "Z", 1, 12000);
	check(map[12000], 'Z', "mapped-grown-sees-writes");
	check(rc(pread(fd, &byte, 1, 6000)), 1, "mapped-grown-reads");
	check(byte, 0, "mapped-grown-read-is-zero");
	munmap(map, BUF);
	close(fd);
}

static void check_limits(void)
{
	struct rlimit old, limit;
	int fd = open("limited", O_CREAT | O_RDWR, 0600);
	char buf[4096] = "";

	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = 10000;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	check(rc(ftruncate(fd, 10001)), -EFBIG, "limit-truncate");
	check(rc(ftruncate(fd, 10000)), 0, "limit-truncate-just");
	check(rc(pwrite(fd, buf, 4096, 8000)), 2000, "limit-write-short");
	check(rc(pwrite(fd, buf, 4096, 10000)), -EFBIG, "limit-write-past");
	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_DFL);
	close(fd);
	fd = open("limited", O_RDWR);
	check(rc(ftruncate(fd, -1)), -EINVAL, "fd-negative");
	close(fd);
}

static void run(void)
{
	RUN_STEPS(steps);
	check_zeros();
	check_mapped();
	check_limits();
}

const struct subject subject_truncate = { "truncate", false, run };
