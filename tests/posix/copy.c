/* SPDX-License-Identifier: BSD-3-Clause */
/* copy_file_range(2), sendfile(2) and splice(2). */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "tests/posix/check.h"
#include "tests/posix/pattern.h"
#include "tests/posix/steps.h"

#define SIZE 100000

static const struct copy {
	const char *name;
	long from, to, len;
	long result, size;	/* of the target, which has 5000 bytes */
} copies[] = {
	{ "whole", 0, 0, SIZE, SIZE, SIZE },
	{ "page", 4096, 4096, 4096, 4096, 8192 },
	{ "odd", 1, 3, 12345, 12345, 12348 },
	{ "over-the-end", SIZE - 10, 0, 100, 10, 5000 },
	{ "at-the-end", SIZE, 0, 100, 0, 5000 },
	{ "past-the-end", 2 * SIZE, 0, 100, 0, 5000 },
	{ "nothing", 0, 0, 0, 0, 5000 },
	{ "into-the-middle", 0, 1000, 100, 100, 5000 },
	{ "far-away", 0, SIZE, 100, 100, SIZE + 100 },
};

static void check_copies(const char *data)
{
	static char got[2 * SIZE];
	int in = open("source", O_RDONLY);

	for (size_t i = 0; i < ARRAY_SIZE(copies); i++) {
		const struct copy *copy = &copies[i];
		off_t from = copy->from, to = copy->to;
		int out = open("target", O_CREAT | O_TRUNC | O_RDWR, 0600);
		size_t n = (size_t)MAX(copy->result, 0);

		memset(got, 0, sizeof(got));
		pwrite(out, got, 5000, 0);
		check(rc(copy_file_range(in, &from, out, &to, (size_t)copy->len, 0)), copy->result,
		      "%s", copy->name);
		check(from == copy->from + (long)n && to == copy->to + (long)n, 1, "%s-offsets",
		      copy->name);
		check(op_size("target", NULL, 0), copy->size, "%s-size", copy->name);
		pread(out, got, sizeof(got), 0);
		check(memcmp(got + copy->to, data + MIN(copy->from, SIZE), n), 0, "%s-content",
		      copy->name);
		close(out);
	}
	close(in);
}

static void check_positions(void)
{
	int in = open("source", O_RDONLY), out = open("moved", O_CREAT | O_RDWR, 0600);

	lseek(in, 10, SEEK_SET);
	lseek(out, 20, SEEK_SET);
	check(rc(copy_file_range(in, NULL, out, NULL, 30, 0)), 30, "by-position");
	check(rc(lseek(in, 0, SEEK_CUR)), 40, "by-position-source");
	check(rc(lseek(out, 0, SEEK_CUR)), 50, "by-position-target");
	check(op_size("moved", NULL, 0), 50, "by-position-size");
	close(in);
	close(out);
}

static void check_one_file(void)
{
	int fd = open("one", O_CREAT | O_RDWR, 0600);
	off_t from = 0, to = 20;

	pwrite(fd, "0123456789", 10, 0);
	check(rc(copy_file_range(fd, &from, fd, &to, 10, 0)), 10, "within-one-file");
	check(op_size("one", NULL, 0), 30, "within-one-file-size");
	from = 0;
	to = 5;
	check(rc(copy_file_range(fd, &from, fd, &to, 10, 0)), -EINVAL, "overlapping");
	close(fd);
}

static void check_errors(void)
{
	int in = open("source", O_RDONLY), out = open("target", O_RDWR), dir = open(".", O_RDONLY);
	int append = open("target", O_WRONLY | O_APPEND);
	off_t at = 0;

	check(rc(copy_file_range(in, NULL, in, NULL, 1, 0)), -EBADF, "to-read-only");
	check(rc(copy_file_range(in, NULL, append, NULL, 1, 0)), -EBADF, "to-append");
	check(rc(copy_file_range(in, NULL, out, NULL, 1, 1 << 4)), -EINVAL, "unknown-flag");
	check(rc(copy_file_range(dir, NULL, out, NULL, 1, 0)), -EISDIR, "from-dir");
	at = -1;
	check(rc(copy_file_range(in, &at, out, NULL, 1, 0)) < 0, 1, "negative-offset");
	close(in);
	close(out);
	close(dir);
	close(append);
}

static void check_pipes(const char *data)
{
	int in = open("source", O_RDONLY), out = open("sent", O_CREAT | O_RDWR, 0600), pipes[2];
	static char got[SIZE];
	long sent = 0, n;

	while ((n = sendfile(out, in, NULL, SIZE)) > 0)
		sent += n;
	check(sent, SIZE, "sendfile");
	check(rc(pread(out, got, SIZE, 0)), SIZE, "sendfile-size");
	check(memcmp(got, data, SIZE), 0, "sendfile-content");
	if (!pipe(pipes)) {
		off_t from = 100, to = 0;

		check(rc(splice(in, &from, pipes[1], NULL, 4000, 0)), 4000, "splice-from");
		check(rc(splice(pipes[0], NULL, out, &to, 4000, 0)), 4000, "splice-to");
		pread(out, got, 4000, 0);
		check(memcmp(got, data + 100, 4000), 0, "splice-content");
		close(pipes[0]);
		close(pipes[1]);
	}
	close(in);
	close(out);
}

static void run(void)
{
	static char data[SIZE];
	int fd = open("source", O_CREAT | O_WRONLY, 0600);

	pattern_fill(data, SIZE, 1);
	check(rc(write(fd, data, SIZE)), SIZE, "source");
	close(fd);
	check_copies(data);
	check_positions();
	check_one_file();
	check_errors();
	check_pipes(data);
}

const struct subject subject_copy = { "copy", false, run };
