/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading and writing: any offset, any length, ends, vectors. */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/checked.h"
#include "tests/posix/check.h"
#include "tests/posix/pattern.h"
#include "tests/posix/steps.h"

#define MODEL_SIZE (1 << 18)

/* Pieces around the borders of pages, 2 MiB ranges and requests. */
static const struct piece {
	long offset, size;
} pieces[] = {
	{ 0, 1 }, { 1, 1 }, { 4095, 1 }, { 4095, 2 }, { 4096, 4096 }, { 4097, 4095 }, { 0, 4096 },
	{ 100, 10000 }, { 65535, 65537 }, { 131071, 3 }, { 0, 131072 }, { 200000, 50000 },
	{ 1, 131072 }, { 262143, 1 },
};

/* The file against an array that is written alike. */
static void check_model(void)
{
	char *model = calloc(1, MODEL_SIZE), *got = malloc(MODEL_SIZE);
	int fd = open("model", O_CREAT | O_RDWR, 0600);
	long end = 0;

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		const struct piece *p = &pieces[i];

		pattern_fill(model + p->offset, (size_t)p->size, (unsigned int)i);
		end = MAX(end, p->offset + p->size);
		check(rc(pwrite(fd, model + p->offset, (size_t)p->size, p->offset)), p->size,
		      "write-%ld-at-%ld", p->size, p->offset);
		check(rc(pread(fd, got, MODEL_SIZE, 0)), end, "then-size-%zu", i);
		check(memcmp(got, model, (size_t)end), 0, "then-content-%zu", i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		const struct piece *p = &pieces[i];

		memset(got, 0xee, MODEL_SIZE);
		check(pread(fd, got, (size_t)p->size, p->offset) == p->size &&
		      !memcmp(got, model + p->offset, (size_t)p->size), 1, "read-%ld-at-%ld",
		      p->size, p->offset);
	}
	close(fd);
	free(model);
	free(got);
}

static void check_ends(void)
{
	void *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("ends", O_CREAT | O_RDWR, 0600);
	char buf[16];

	check(rc(read(fd, buf, 16)), 0, "read-of-empty");
	check(rc(write(fd, "0123456789", 10)), 10, "write-10");
	check(rc(read(fd, buf, 16)), 0, "read-at-end");
	check(rc(lseek(fd, -3, SEEK_END)), 7, "seek-from-end");
	check(rc(read(fd, buf, 16)), 3, "read-short");
	check(memcmp(buf, "789", 3), 0, "read-short-content");
	check(rc(pread(fd, buf, 16, 10)), 0, "pread-at-end");
	check(rc(pread(fd, buf, 16, 1000000)), 0, "pread-past-end");
	check(rc(pread(fd, buf, 0, 0)), 0, "pread-nothing");
	check(rc(pread(fd, buf, 1, -1)), -EINVAL, "pread-negative");
	check(rc(pwrite(fd, buf, 1, -1)), -EINVAL, "pwrite-negative");
	check(rc(pwrite(fd, buf, 0, 100)), 0, "pwrite-nothing");
	check(op_size("ends", NULL, 0), 10, "pwrite-nothing-size");
	check(rc(lseek(fd, -1, SEEK_SET)), -EINVAL, "seek-negative");
	check(rc(lseek(fd, 100, SEEK_SET)), 100, "seek-past-end");
	check(op_size("ends", NULL, 0), 10, "seek-changes-nothing");
	check(rc(write(fd, "x", 1)), 1, "write-past-end");
	check(op_size("ends", NULL, 0), 101, "write-past-end-size");
	check(rc(pread(fd, buf, 1, 50)), 1, "gap-reads");
	check(buf[0], 0, "gap-is-zero");
	check(rc(lseek(fd, 0, SEEK_CUR)), 101, "position");
	check(rc(lseek(fd, 0, 99)), -EINVAL, "seek-unknown");
	check(rc(pwrite(fd, "x", 1, LONG_MAX)) < 0, 1, "pwrite-at-the-last-byte");
	check(rc(pread(fd, nowhere, 1, 0)), -EFAULT, "read-to-nowhere");
	check(rc(pwrite(fd, nowhere, 1, 0)), -EFAULT, "write-from-nowhere");
	check(op_size("ends", NULL, 0), 101, "write-from-nowhere-size");
	munmap(nowhere, 4096);
	close(fd);
}

static void check_vectors(void)
{
	char a[3] = { 'a', 'b', 'c' }, c[5] = { 'd', 'e', 'f', 'g', 'h' }, x[4], y[8];
	struct iovec out[3] = { { a, 3 }, { a, 0 }, { c, 5 } };
	struct iovec in[2] = { { x, 4 }, { y, 8 } };
	volatile int too_many = IOV_MAX + 1;
	int fd = open("vectors", O_CREAT | O_RDWR, 0600);

	check(rc(writev(fd, out, 3)), 8, "writev");
	check(op_holds("vectors", "abcdefgh", 0), 1, "writev-content");
	check(rc(preadv(fd, in, 2, 1)), 7, "preadv");
	check(!memcmp(x, "bcde", 4) && !memcmp(y, "fgh", 3), 1, "preadv-content");
	check(rc(pwritev(fd, out, 3, 4)), 8, "pwritev");
	check(op_holds("vectors", "abcdabcdefgh", 0), 1, "pwritev-content");
	check(rc(preadv(fd, in, 0, 0)), 0, "preadv-of-none");
	check(rc(preadv(fd, in, too_many, 0)), -EINVAL, "preadv-of-too-many");
	close(fd);
}

/* Larger than any request. */
static void check_large(void)
{
	const size_t size = (5 << 20) + 123;
	char *out = malloc(size), *in = malloc(size);
	int fd = open("large", O_CREAT | O_RDWR, 0600);

	pattern_fill(out, size, 77);
	check(rc(write(fd, out, size)), (long)size, "large-write");
	check(rc(pread(fd, in, size, 0)), (long)size, "large-read");
	check(memcmp(in, out, size), 0, "large-content");
	close(fd);
	fd = open("large", O_RDONLY);
	check(rc(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)), 0, "large-fadvise");
	check(rc(read(fd, in, size)), (long)size, "large-read-again");
	check(memcmp(in, out, size), 0, "large-content-again");
	check(op_size("large", NULL, 0), (long)size, "large-size");
	check(op_blocks("large", NULL, 0) * 512 >= (long)size, 1, "large-blocks");
	close(fd);
	free(out);
	free(in);
}

/* What one descriptor writes another one reads, at once. */
static void check_coherence(void)
{
	int writer = open("both", O_CREAT | O_WRONLY, 0600), reader = open("both", O_RDONLY);
	long right = 0;
	char byte;

	for (int i = 0; i < 50; i++) {
		char want = (char)('A' + i % 26);

		if (pwrite(writer, &want, 1, i * 517) == 1 && pread(reader, &byte, 1, i * 517) == 1)
			right += byte == want;
	}
	check(right, 50, "writer-and-reader");
	check(rc(fsync(writer)), 0, "fsync");
	check(rc(fdatasync(writer)), 0, "fdatasync");
	check(rc(fsync(reader)), 0, "fsync-of-reader");
	check(rc(syncfs(reader)), 0, "syncfs");
	check(rc(sync_file_range(writer, 0, 0, SYNC_FILE_RANGE_WRITE)), 0, "sync-file-range");
	close(writer);
	close(reader);
}

static void run(void)
{
	check_model();
	check_ends();
	check_vectors();
	check_large();
	check_coherence();
}

const struct subject subject_io = { "io", false, run };
