/* SPDX-License-Identifier: BSD-3-Clause */
/* O_APPEND: each write at the end as it is then, also of several processes. */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/posix/check.h"
#include "tests/posix/steps.h"

#define WRITERS 4
#define LINES 50
#define LINE_SIZE 32

/* Of linux/fs.h, since Linux 6.9: in place, although the file is open with O_APPEND. */
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

static void check_place(void)
{
	int first = open("file", O_CREAT | O_RDWR | O_APPEND, 0600);
	int second = open("file", O_RDWR | O_APPEND);
	int plain = open("file", O_RDWR);

	check(rc(write(first, "one", 3)), 3, "first");
	check(rc(write(second, "two", 3)), 3, "second");
	check(rc(write(first, "three", 5)), 5, "third");
	check(op_holds("file", "onetwothree", 0), 1, "in-order");
	check(rc(lseek(first, 0, SEEK_CUR)), 11, "position-follows");
	check(rc(lseek(first, 0, SEEK_SET)), 0, "seek");
	check(rc(write(first, "four", 4)), 4, "after-seek");
	check(op_holds("file", "onetwothreefour", 0), 1, "after-seek-at-end");
	check(rc(pwrite(plain, "ONE", 3, 0)), 3, "plain-write");
	check(op_holds("file", "ONEtwothreefour", 0), 1, "plain-write-in-place");
	check(rc(pwrite(first, "!", 1, 0)), 1, "pwrite");
	check(op_holds("file", "ONEtwothreefour!", 0), 1, "pwrite-at-end");
	check(rc(ftruncate(first, 3)), 0, "truncate");
	check(rc(write(second, "x", 1)), 1, "after-truncate");
	check(op_holds("file", "ONEx", 0), 1, "after-truncate-at-end");
	check(rc(ftruncate(first, 0)), 0, "truncate-to-nothing");
	check(rc(write(first, "begin", 5)), 5, "from-nothing");
	check(op_holds("file", "begin", 0), 1, "from-nothing-content");
	fcntl(plain, F_SETFL, O_APPEND);
	check(rc(pwrite(plain, "+", 1, 0)), 1, "set-by-fcntl");
	check(op_holds("file", "begin+", 0), 1, "set-by-fcntl-at-end");
	fcntl(first, F_SETFL, 0);
	check(rc(pwrite(first, "B", 1, 0)), 1, "unset-by-fcntl");
	check(op_holds("file", "Begin+", 0), 1, "unset-by-fcntl-in-place");
	close(first);
	close(second);
	close(plain);
}

static void write_lines(int writer)
{
	int fd = open("lines", O_WRONLY | O_APPEND);
	char line[LINE_SIZE + 1];

	for (int i = 0; i < LINES; i++) {
		snprintf(line, sizeof(line), "writer %d line %-*d\n", writer, LINE_SIZE - 15, i);
		if (write(fd, line, LINE_SIZE) != LINE_SIZE)
			_exit(1);
	}
	_exit(0);
}

/* Lines of several processes: none lost, none mixed, each writer's in order. */
static void check_processes(void)
{
	int next[WRITERS] = { 0 }, writer, number, status;
	long whole = 0, ended = 0;
	char line[LINE_SIZE + 2];
	FILE *file;

	op_create("lines", NULL, 0600);
	fflush(stdout);
	for (int i = 0; i < WRITERS; i++)
		if (fork() == 0)
			write_lines(i);
	while (wait(&status) > 0)
		ended += status == 0;
	check(ended, WRITERS, "processes-ended-well");
	check(op_size("lines", NULL, 0), WRITERS * LINES * LINE_SIZE, "processes-size");
	file = fopen("lines", "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "writer %d line %d", &writer, &number) != 2 || writer >= WRITERS)
			continue;
		if (strlen(line) == LINE_SIZE && number == next[writer]) {
			next[writer]++;
			whole++;
		}
	}
	if (file)
		fclose(file);
	check(whole, WRITERS * LINES, "processes-lines-whole-and-in-order");
}

/* One byte at place 1, by a call that has a word of its own for that. */
static long by_pwritev2(int fd, char *byte, int flags)
{
	struct iovec part = { byte, 1 };

	return rc(pwritev2(fd, &part, 1, 1, flags));
}

static long by_io_submit(int fd, char *byte, int flags)
{
	struct iocb iocb = { .aio_fildes = (uint32_t)fd, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_offset = 1,
			     .aio_buf = (uintptr_t)byte, .aio_nbytes = 1, .aio_rw_flags = flags };
	struct iocb *one = &iocb;
	aio_context_t context = 0;
	struct io_event event;
	long result;

	if (syscall(SYS_io_setup, 1, &context))
		return -errno;
	result = rc(syscall(SYS_io_submit, context, 1, &one));
	if (result == 1)
		result = syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1 ? event.res : -errno;
	syscall(SYS_io_destroy, context);
	return result;
}

/* A call says where its bytes go, whatever the file was opened for. */
static void check_calls(void)
{
	static const struct {
		const char *name, *how, *holds;
		int open, flags;
		long (*write)(int fd, char *byte, int flags);
	} rows[] = {
		{ "append-word", "pwritev2", "old+", 0, RWF_APPEND, by_pwritev2 },
		{ "append-word", "io_submit", "old+", 0, RWF_APPEND, by_io_submit },
		{ "no-append-word", "pwritev2", "o+d", O_APPEND, RWF_NOAPPEND, by_pwritev2 },
		{ "no-append-word", "io_submit", "o+d", O_APPEND, RWF_NOAPPEND, by_io_submit },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = open("call", O_CREAT | O_TRUNC | O_RDWR | rows[i].open, 0600);
		long done;

		write(fd, "old", 3);
		done = rows[i].write(fd, (char[]){ '+' }, rows[i].flags);
		if (done == -EOPNOTSUPP) {
			check_skip("this kernel has no such flag", "%s-%s", rows[i].name, rows[i].how);
		} else {
			check(done, 1, "%s-%s", rows[i].name, rows[i].how);
			check(op_holds("call", rows[i].holds, 0), 1, "%s-%s-place", rows[i].name, rows[i].how);
		}
		close(fd);
	}
}

static void run(void)
{
	struct iovec parts[2] = { { (char[]){ 'a', 'b' }, 2 }, { (char[]){ 'c' }, 1 } };
	int fd;

	check_place();
	check_calls();
	check_processes();
	fd = open("vector", O_CREAT | O_WRONLY | O_APPEND, 0600);
	check(rc(writev(fd, parts, 2)), 3, "writev");
	check(rc(writev(fd, parts, 2)), 3, "writev-again");
	check(op_holds("vector", "abcabc", 0), 1, "writev-content");
	close(fd);
}

const struct subject subject_append = { "append", false, run };
