/* SPDX-License-Identifier: BSD-3-Clause */
/* O_APPEND: each write at the end as it is then, also of several processes. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/posix/check.h"
#include "tests/posix/steps.h"

#define WRITERS 4
#define LINES 50
#define LINE_SIZE 32

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

static void run(void)
{
	struct iovec parts[2] = { { (char[]){ 'a', 'b' }, 2 }, { (char[]){ 'c' }, 1 } };
	int fd;

	check_place();
	check_processes();
	fd = open("vector", O_CREAT | O_WRONLY | O_APPEND, 0600);
	check(rc(writev(fd, parts, 2)), 3, "writev");
	check(rc(writev(fd, parts, 2)), 3, "writev-again");
	check(op_holds("vector", "abcabc", 0), 1, "writev-content");
	close(fd);
}

const struct subject subject_append = { "append", false, run };
