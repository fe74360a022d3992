/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What several do to one file at once. `data-check WHAT` works in the current directory, and
 * ends with status 0, or 1 after saying what was wrong.
 *
 * A race is made, not waited for: it is in two steps. When the file is prepared `ready` is
 * said, and a line awaited; meanwhile the daemon is stopped. Then one thread begins what waits
 * for the daemon, another stores to a mapping beside it, and when that has ended or waits, too,
 * `stored` is said. With the daemon going on both end, and what is in the file is looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 64
#define MANY 8

static bool failed;

static void __attribute__((format(printf, 2, 3))) expect(bool right, const char *format, ...)
{
	va_list args;

	if (right)
		return;
	failed = true;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void must(bool done, const char *what)
{
	if (done)
		return;
	printf("%s: %s\n", what, strerror(errno));
	exit(2);
}

/* ---- many who ask, one who writes ---- */

static off_t size_of(int fd)
{
	struct stat stat;

	must(!fstat(fd, &stat), "fstat");
	return stat.st_size;
}

/* A file is as long as what was written to it, whoever asks for its size meanwhile. */
static void appends(void)
{
	int fd = open("appends", O_RDWR | O_CREAT, 0644);
	pid_t children[MANY];
	char bytes[1000] = "";
	off_t at;

	must(fd >= 0, "open");
	for (int i = 0; i < MANY; i++) {
		children[i] = fork();
		while (!children[i])
			size_of(fd);
	}
	for (at = 0; at < (off_t)sizeof(bytes) && !failed; at++) {
		char byte = (char)('a' + at % 26);

		must(pwrite(fd, &byte, 1, at) == 1, "pwrite");
		/* Between two writes those who ask go on, and the daemon's replies come. */
		sched_yield();
		if (at % 16)
			continue;
		expect(size_of(fd) == at + 1, "%ld bytes after %ld were written", (long)size_of(fd), (long)at + 1);
	}
	for (int i = 0; i < MANY; i++)
		kill(children[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	must(pread(fd, bytes, sizeof(bytes), 0) >= 0, "pread");
	for (off_t i = 0; i < at && !failed; i++)
		expect(bytes[i] == 'a' + i % 26, "byte %ld is %#x", (long)i, bytes[i]);
}

/* ---- a race that is made ---- */

/* Of the file `race`, PAGES pages of 'x'. */
static struct {
	int fd, source;			/* `source` has pages of 's' */
	char *map;
	off_t store_at;
	int (*act)(void);
	int result;			/* of act(): 0 or an errno */
	bool is_sent;			/* what was stored, at once if it can be */
	bool is_stored;
} race;

/* A thread, and what it does. */
struct actor {
	pthread_t thread;
	pid_t id;
	bool ended;
};

static bool waits(const struct actor *actor)
{
	char path[64], text[256] = "", state = '?';
	int fd;

	if (!__atomic_load_n(&actor->id, __ATOMIC_ACQUIRE))
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", actor->id);
	fd = open(path, O_RDONLY);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		state = strrchr(text, ')')[2];
	close(fd);
	return state == 'D';
}

static void until_it_waits(const struct actor *actor)
{
	while (!__atomic_load_n(&actor->ended, __ATOMIC_ACQUIRE) && !waits(actor))
		sched_yield();
}

static void *act(void *opaque)
{
	struct actor *actor = opaque;

	__atomic_store_n(&actor->id, gettid(), __ATOMIC_RELEASE);
	race.result = race.act() < 0 ? errno : 0;
	__atomic_store_n(&actor->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Stored by the kernel, for which a place that is no more in the file is an error, not the end. */
static void *store(void *opaque)
{
	struct actor *actor = opaque;
	int pipes[2];

	must(!pipe(pipes) && write(pipes[1], "S", 1) == 1, "pipe");
	__atomic_store_n(&actor->id, gettid(), __ATOMIC_RELEASE);
	race.is_stored = read(pipes[0], race.map + race.store_at, 1) == 1;
	if (race.is_sent)
		sync_file_range(race.fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	__atomic_store_n(&actor->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

static void fill(int fd, char byte)
{
	char page[PAGE];

	memset(page, byte, sizeof(page));
	for (int i = 0; i < PAGES; i++)
		must(pwrite(fd, page, PAGE, (off_t)i * PAGE) == PAGE, "pwrite");
	must(!fsync(fd), "fsync");
}

/* The action, and while it waits a store of 'S'. */
static void make_race(int (*action)(void), off_t store_at, bool send)
{
	struct actor actor = {}, storer = {};

	race.fd = open("race", O_RDWR | O_CREAT, 0644);
	race.source = open("source", O_RDWR | O_CREAT, 0644);
	must(race.fd >= 0 && race.source >= 0, "open");
	fill(race.fd, 'x');
	fill(race.source, 's');
	race.map = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, race.fd, 0);
	must(race.map != MAP_FAILED, "mmap");
	/* It is in the page tables, and clean. */
	race.map[store_at] = 'x';
	must(!msync(race.map, (size_t)PAGES * PAGE, MS_SYNC) && !fsync(race.fd), "msync");
	race.act = action;
	race.store_at = store_at;
	race.is_sent = send;
	puts("ready");
	getchar();
	pthread_create(&actor.thread, NULL, act, &actor);
	until_it_waits(&actor);
	pthread_create(&storer.thread, NULL, store, &storer);
	until_it_waits(&storer);
	puts("stored");
	pthread_join(actor.thread, NULL);
	pthread_join(storer.thread, NULL);
	fsync(race.fd);
}

/* Of the file as it is at the daemon, through no cache of ours. */
static void expect_bytes(off_t from, off_t to, char byte)
{
	int fd = open("race", O_RDONLY | O_DIRECT);
	char *page = aligned_alloc(PAGE, PAGE);

	must(fd >= 0 && page, "open");
	for (off_t at = from; at < to && !failed; at++) {
		must((at != from && at % PAGE) || pread(fd, page, PAGE, at & -PAGE) > 0, "pread");
		expect(page[at % PAGE] == byte || (at == race.store_at && page[at % PAGE] == 'S'),
		       "byte %ld is %#x instead of %#x", (long)at, page[at % PAGE], byte);
		expect(race.map[at] == page[at % PAGE], "byte %ld is %#x in the mapping", (long)at, race.map[at]);
	}
	free(page);
	close(fd);
}

static void expect_store(void)
{
	expect(race.is_stored && race.map[race.store_at] == 'S', "the store is lost");
}

static int do_cut(void)
{
	return ftruncate(race.fd, PAGE);
}

/* A file that was cut stays so, whatever is stored behind its new end. */
static void cut(void)
{
	make_race(do_cut, 40 * PAGE, true);
	expect(!race.result && size_of(race.fd) == PAGE, "cut to 4096: %s, %ld bytes", strerror(race.result),
	       (long)size_of(race.fd));
	expect_bytes(0, PAGE, 'x');
}

/* Where the daemon says no, the file is as long as it was, and all is there. */
static void cut_refused(void)
{
	make_race(do_cut, 40 * PAGE, true);
	expect(race.result == EPERM && size_of(race.fd) == PAGES * PAGE, "cut to 4096: %s, %ld bytes",
	       strerror(race.result), (long)size_of(race.fd));
	expect_bytes(0, PAGES * PAGE, 'x');
}

static int do_empty(void)
{
	return open("race", O_RDWR | O_TRUNC);
}

static void empty(void)
{
	make_race(do_empty, 40 * PAGE, true);
	expect(!race.result && !size_of(race.fd), "O_TRUNC: %s, %ld bytes", strerror(race.result),
	       (long)size_of(race.fd));
}

/* The guest believes that there is no such name; the host has made it, of the same file. */
static int do_empty_by_another_name(void)
{
	return open("linked", O_RDWR | O_CREAT | O_TRUNC, 0644);
}

static void empty_linked(void)
{
	must(access("linked", F_OK) < 0, "linked");
	make_race(do_empty_by_another_name, 40 * PAGE, true);
	expect(!race.result && !size_of(race.fd), "O_CREAT and O_TRUNC: %s, %ld bytes", strerror(race.result),
	       (long)size_of(race.fd));
}

static int do_punch(void)
{
	return fallocate(race.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8 * PAGE + 100, 8 * PAGE);
}

/* A store into the hole may be in it afterwards or not, but nothing else that was there. */
static void punch(void)
{
	make_race(do_punch, 10 * PAGE, true);
	expect(!race.result, "fallocate: %s", strerror(race.result));
	expect_bytes(0, 8 * PAGE + 100, 'x');
	expect_bytes(8 * PAGE + 100, 16 * PAGE + 100, 0);
	expect_bytes(16 * PAGE + 100, PAGES * PAGE, 'x');
}

static void punch_beside(void)
{
	make_race(do_punch, 8 * PAGE + 50, false);
	expect_store();
	expect_bytes(0, 8 * PAGE + 100, 'x');
	expect_bytes(8 * PAGE + 100, 16 * PAGE + 100, 0);
}

static int do_copy(void)
{
	off_t from = 0, to = 8 * PAGE + 2048;

	return copy_file_range(race.source, &from, race.fd, &to, 8 * PAGE, 0) == 8 * PAGE ? 0 : -1;
}

static void expect_copy(void)
{
	expect(!race.result, "copy_file_range: %s", strerror(race.result));
	expect_bytes(0, 8 * PAGE + 2048, 'x');
	expect_bytes(8 * PAGE + 2048, 16 * PAGE + 2048, 's');
	expect_bytes(16 * PAGE + 2048, PAGES * PAGE, 'x');
}

static void copy(void)
{
	make_race(do_copy, 12 * PAGE, true);
	expect_copy();
}

static void copy_beside(void)
{
	make_race(do_copy, 8 * PAGE + 100, false);
	expect_store();
	expect_copy();
}

/* ---- table ---- */

static const struct {
	const char *name;
	void (*run)(void);
} checks[] = {
	{ "appends", appends },
	{ "cut", cut },
	{ "cut-refused", cut_refused },
	{ "empty", empty },
	{ "empty-linked", empty_linked },
	{ "punch", punch },
	{ "punch-beside", punch_beside },
	{ "copy", copy },
	{ "copy-beside", copy_beside },
};

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; argc == 2 && i < sizeof(checks) / sizeof(*checks); i++) {
		if (!strcmp(argv[1], checks[i].name)) {
			checks[i].run();
			return failed;
		}
	}
	return 2;
}
