/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a guest's system calls cost on a file system, for bench/native: works in the current directory, prints
 * "NAME VALUE" a line. Names that end with "us" are microseconds an operation, the others are rates a second.
 *
 * Linked statically: it runs in a guest with another C library.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FILE_SIZE (64u << 20)
#define BLOCK 4096u
#define STREAM (1u << 20)
#define DEPTH 16
#define SECONDS 0.3		/* of each work */

static char *memory;		/* DEPTH blocks, or one of a stream; aligned */
static uint32_t state = 1;

static void die(const char *what)
{
	fprintf(stderr, "native: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A system call that must work: its result. */
static long ok(long result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static off_t any_block(unsigned int size)
{
	state = state * 1664525u + 1013904223u;
	return (off_t)(state >> 8) % (FILE_SIZE / size) * size;
}

static void get_attr(int fd)
{
	struct statx attr;

	ok(statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &attr), "statx");
}

static void look_up(int fd)
{
	static unsigned int n;
	char name[32];

	(void)fd;
	snprintf(name, sizeof(name), "none-%u", n++);
	if (access(name, F_OK) == 0 || errno != ENOENT)
		die("access");
}

static void open_close(int fd)
{
	(void)fd;
	close((int)ok(open("small", O_RDONLY), "open"));
}

static void create_unlink(int fd)
{
	(void)fd;
	close((int)ok(open("new", O_WRONLY | O_CREAT | O_EXCL, 0644), "create"));
	ok(unlink("new"), "unlink");
}

static void make_dir(int fd)
{
	(void)fd;
	ok(mkdir("made", 0755), "mkdir");
	ok(rmdir("made"), "rmdir");
}

static void rename_file(int fd)
{
	(void)fd;
	ok(rename("small", "moved"), "rename");
	ok(rename("moved", "small"), "rename");
}

static void read_block(int fd)
{
	ok(pread(fd, memory, BLOCK, any_block(BLOCK)), "pread");
}

static void write_block(int fd)
{
	ok(pwrite(fd, memory, BLOCK, any_block(BLOCK)), "pwrite");
}

static void read_stream(int fd)
{
	ok(pread(fd, memory, STREAM, any_block(STREAM)), "pread");
}

static void write_stream(int fd)
{
	ok(pwrite(fd, memory, STREAM, any_block(STREAM)), "pwrite");
}

static const struct work {
	const char *name;
	void (*once)(int fd);
	int flags;		/* of the file that `once` gets */
	double scale;		/* of what is printed: 1e6 for us an operation; 0: operations a second */
} works[] = {
	{ "getattr-us", get_attr, O_RDONLY, 1e6 },
	{ "lookup-us", look_up, O_RDONLY, 1e6 },
	{ "open-close-us", open_close, O_RDONLY, 1e6 },
	{ "create-unlink-us", create_unlink, O_RDONLY, 1e6 },
	{ "mkdir-rmdir-us", make_dir, O_RDONLY, 1e6 },
	{ "rename-us", rename_file, O_RDONLY, 0.5e6 },
	{ "direct-read-4k-us", read_block, O_RDONLY | O_DIRECT, 1e6 },
	{ "direct-write-4k-us", write_block, O_RDWR | O_DIRECT, 1e6 },
	{ "cached-write-4k-us", write_block, O_RDWR, 1e6 },
	{ "direct-read-1m", read_stream, O_RDONLY | O_DIRECT, 0 },
	{ "direct-write-1m", write_stream, O_RDWR | O_DIRECT, 0 },
};

static void run(const struct work *work)
{
	int fd = (int)ok(open("big", work->flags), "big");
	double start = now(), end = start + SECONDS, at;
	unsigned long n = 0;

	do {
		work->once(fd);
		n++;
		at = now();
	} while (at < end);
	close(fd);
	printf("%s %.2f\n", work->name, work->scale ? work->scale * (at - start) / (double)n : (double)n / (at - start));
	fflush(stdout);
}

/* A request is sent for each that is answered. */
static void run_async(const char *name, uint16_t opcode)
{
	int fd = (int)ok(open("big", O_RDWR | O_DIRECT), "big");
	struct iocb control[DEPTH] = { 0 }, *list[DEPTH];
	struct io_event events[DEPTH];
	aio_context_t context = 0;
	double start, at;
	unsigned long done = 0;
	long n = DEPTH;

	ok(syscall(SYS_io_setup, DEPTH, &context), "io_setup");
	for (unsigned int i = 0; i < DEPTH; i++) {
		control[i].aio_fildes = (uint32_t)fd;
		control[i].aio_lio_opcode = opcode;
		control[i].aio_buf = (uintptr_t)(memory + i * BLOCK);
		control[i].aio_nbytes = BLOCK;
		control[i].aio_offset = any_block(BLOCK);
		list[i] = &control[i];
	}
	start = at = now();
	while (n) {
		ok(syscall(SYS_io_submit, context, n, list), "io_submit");
		n = ok(syscall(SYS_io_getevents, context, 1, DEPTH, events, NULL), "io_getevents");
		at = now();
		for (long i = 0; i < n; i++) {
			list[i] = (struct iocb *)(uintptr_t)events[i].obj;
			if (events[i].res != BLOCK)
				die("asynchronous I/O");
			list[i]->aio_offset = any_block(BLOCK);
		}
		done += (unsigned long)n;
		if (at > start + SECONDS)
			break;
	}
	syscall(SYS_io_destroy, context);
	close(fd);
	printf("%s %.0f\n", name, (double)done / (at - start));
	fflush(stdout);
}

int main(void)
{
	if (posix_memalign((void **)&memory, STREAM, STREAM))
		die("memory");
	memset(memory, 'x', STREAM);
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		run(&works[i]);
	run_async("direct-read-16", IOCB_CMD_PREAD);
	run_async("direct-write-16", IOCB_CMD_PWRITE);
	return 0;
}
