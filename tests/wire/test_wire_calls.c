/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many system calls each request costs: an upper bound that holds on every
 * machine. strace(1) watches the daemon; look-ups of names that do not exist
 * mark in its output where an operation begins and ends. Counted is what the
 * request queue's thread does to files and ids. What it does to wait for the
 * ring is not, which depends on the machine's mood, nor what a table does that
 * grows, once in hundreds of requests.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "proto/fuse_wire.h"
#include "tests/skip.h"

#define TIMES 20		/* each operation, so that what a first time costs does not hide */
#define MARK "casement-mark-"

/* How a thread waits and is woken, and memory. */
static const char *const not_counted[] = {
	"ppoll", "poll", "epoll_wait", "epoll_pwait", "restart_syscall", "read", "write", "futex",
	"sched_yield", "clock_gettime", "getrusage", "membarrier",
	"brk", "madvise", "mmap", "mprotect", "munmap",
};

struct tracer {
	pid_t pid;
	char path[96];		/* its output, in the daemon's folder */
	unsigned int marks;
};

/* Has it written this? */
static bool tracer_saw(const struct tracer *tracer, const char *name)
{
	cleanup_fclose FILE *file = fopen(tracer->path, "re");
	char line[1024];

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, name))
			return true;
	return false;
}

/*
 * Watch the daemon; skips the test where that cannot be. A thread that strace
 * has taken runs on unseen until its first stop: what it wrote tells that it sees.
 */
static void tracer_start(struct tracer *tracer, struct fixture *f)
{
	struct fuse_entry_out entry;
	char pid[16];

	*tracer = (struct tracer){ 0 };
	snprintf(tracer->path, sizeof(tracer->path), "%s/calls", f->daemon.dir);
	snprintf(pid, sizeof(pid), "%d", (int)daemon_serving_pid(&f->daemon));
	tracer->pid = fork();
	if (!tracer->pid) {
		execlp("strace", "strace", "-qq", "-f", "-o", tracer->path, "-p", pid, (char *)NULL);
		_exit(127);
	}
	while (!tracer_saw(tracer, "no mark")) {
		if (waitpid(tracer->pid, NULL, WNOHANG) == tracer->pid)
			SKIP_BECAUSE("no strace, or nobody may trace here");
		refused(casement_lookup(f->q, CASEMENT_ROOT, "no mark", &entry), ENOENT);
	}
}

static void tracer_stop(struct tracer *tracer)
{
	assert_int_equal(kill(tracer->pid, SIGTERM), 0);
	assert_int_equal(waitpid(tracer->pid, NULL, 0), tracer->pid);
}

static void mark(struct fixture *f, struct tracer *tracer)
{
	struct fuse_entry_out entry;
	char name[32];

	snprintf(name, sizeof(name), MARK "%u", tracer->marks++);
	refused(casement_lookup(f->q, CASEMENT_ROOT, name, &entry), ENOENT);
}

static bool counts(const char *call)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(not_counted); i++) {
		size_t len = strlen(not_counted[i]);

		if (!strncmp(call, not_counted[i], len) && call[len] == '(')
			return false;
	}
	/* "<... x resumed>" ends what was counted; "+++" and "---" are no calls. */
	return call[0] >= 'a' && call[0] <= 'z';
}

/* Calls between mark `n` and the next, of the thread that met the marks. */
static unsigned int calls_between(const struct tracer *tracer, unsigned int n)
{
	cleanup_fclose FILE *file = fopen(tracer->path, "re");
	char line[1024], from[32], to[32];
	unsigned int calls = 0;
	int thread = 0;

	snprintf(from, sizeof(from), MARK "%u\"", n);
	snprintf(to, sizeof(to), MARK "%u\"", n + 1);
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		char *call = NULL;
		int who = (int)strtol(line, &call, 10);

		call += strspn(call, " ");
		if (thread && strstr(line, to))
			return calls;
		if (strstr(line, from))
			thread = who;
		else if (thread == who && counts(call))
			calls++;
	}
	fail_msg("mark %u is missing in strace's output", n + 1);
	return 0;
}

/* ---- the operations, each TIMES times ---- */

/* What they work on; made before the tracer looks. */
struct work {
	struct fixture *f;
	uint64_t nodes[TIMES], handles[TIMES];
	uint64_t file, open;
	uint64_t fresh;			/* a directory of names not looked up yet */
	uint64_t listing;		/* a directory, open */
	uint64_t listing_fh;
};

static void name_of(char name[32], const char *stem, unsigned int i)
{
	snprintf(name, 32, "%s%u", stem, i);
}

static void do_lookup_known(struct work *w, unsigned int i)
{
	struct fuse_entry_out entry;

	(void)i;
	ok(casement_lookup(w->f->q, CASEMENT_ROOT, "file", &entry));
}

static void do_lookup_new(struct work *w, unsigned int i)
{
	struct fuse_entry_out entry;
	char name[32];

	name_of(name, "f", i);
	ok(casement_lookup(w->f->q, w->fresh, name, &entry));
	w->nodes[i] = entry.nodeid;
}

static void do_lookup_missing(struct work *w, unsigned int i)
{
	struct fuse_entry_out entry;

	(void)i;
	refused(casement_lookup(w->f->q, w->fresh, "missing", &entry), ENOENT);
}

static void do_getattr(struct work *w, unsigned int i)
{
	struct fuse_attr_out attr;

	ok(casement_getattr(w->f->q, w->nodes[i], CASEMENT_NO_FH, &attr));
}

static void do_open(struct work *w, unsigned int i)
{
	struct fuse_open_out open;

	ok(casement_open(w->f->q, w->nodes[i], O_RDWR, &open));
	w->handles[i] = open.fh;
}

static void do_open_read(struct work *w, unsigned int i)
{
	struct fuse_open_out open;

	ok(casement_open(w->f->q, w->nodes[i], O_RDONLY, &open));
	w->handles[i] = open.fh;
}

static void do_release(struct work *w, unsigned int i)
{
	ok(casement_release(w->f->q, w->nodes[i], w->handles[i]));
}

static void do_write(struct work *w, unsigned int i)
{
	static const char data[4096];

	ok(casement_write(w->f->q, w->file, w->open, i * sizeof(data), data, sizeof(data)));
}

static void do_read(struct work *w, unsigned int i)
{
	char data[4096];

	assert_int_equal(ok(casement_read(w->f->q, w->file, w->open, i * sizeof(data), data,
					  sizeof(data))), sizeof(data));
}

static void create_one(struct work *w, const char *stem, unsigned int i)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	char name[32];

	name_of(name, stem, i);
	ok(casement_create(w->f->q, CASEMENT_ROOT, name, O_RDWR, S_IFREG | 0644, &entry, &open));
}

static void do_create(struct work *w, unsigned int i)
{
	create_one(w, "made", i);
}

/* Two callers in turn, neither of them root: the dearest there is. */
static void do_create_in_turn(struct work *w, unsigned int i)
{
	casement_set_caller(w->f->q, 1000 + i % 2, 2000 + i % 2, 1);
	create_one(w, "turn", i);
	casement_set_caller(w->f->q, 0, 0, 1);
}

static void do_unlink(struct work *w, unsigned int i)
{
	char name[32];

	name_of(name, "made", i);
	ok(casement_unlink(w->f->q, CASEMENT_ROOT, name));
}

static void do_mkdir(struct work *w, unsigned int i)
{
	struct fuse_entry_out entry;
	char name[32];

	name_of(name, "dir", i);
	ok(casement_mkdir(w->f->q, CASEMENT_ROOT, name, 0755, &entry));
}

static void do_rename(struct work *w, unsigned int i)
{
	char name[32], to[32];

	name_of(name, "turn", i);
	name_of(to, "moved", i);
	ok(casement_rename(w->f->q, CASEMENT_ROOT, name, CASEMENT_ROOT, to, 0));
}

/* The first round meets TIMES new entries, the others known ones. Each goes from the start. */
static void do_readdirplus(struct work *w, unsigned int i)
{
	char buf[16384];

	(void)i;
	assert_true(ok(casement_readdirplus(w->f->q, w->listing, w->listing_fh, 0, buf,
					    sizeof(buf))) > 0);
}

static const struct operation {
	const char *name;
	void (*run)(struct work *w, unsigned int i);
	unsigned int times;
	unsigned int most;	/* calls of all times together */
} operations[] = {
	{ "LOOKUP missing", do_lookup_missing, TIMES, TIMES },
	{ "LOOKUP new", do_lookup_new, TIMES, 2 * TIMES },
	/* Two more for the first, which was not expected to be known. */
	{ "LOOKUP known", do_lookup_known, TIMES, TIMES + 2 },
	{ "GETATTR", do_getattr, TIMES, TIMES },
	{ "OPEN", do_open, TIMES, TIMES },
	{ "RELEASE", do_release, TIMES, TIMES },
	/* Whether it was changed, too; and, of a file that nobody changed lately, a sample: 3. */
	{ "OPEN to read", do_open_read, TIMES, 5 * TIMES },
	{ "RELEASE of a reader", do_release, TIMES, TIMES },
	/* A thread learns once what it may: capget. */
	{ "WRITE", do_write, TIMES, TIMES + 1 },
	/* One more where the file system does not know RWF_NOWAIT. */
	{ "READ", do_read, TIMES, TIMES + 1 },
	{ "CREATE", do_create, TIMES, 3 * TIMES },
	/* Each of four ids is asked about once; so are root's by what comes next. */
	{ "CREATE as users in turn", do_create_in_turn, TIMES, 5 * TIMES + 4 },
	/* The first is another caller's than the last to make something: two ids, each asked for once. */
	{ "UNLINK", do_unlink, TIMES, TIMES + 4 },
	{ "MKDIR", do_mkdir, TIMES, 3 * TIMES + 4 },
	{ "RENAME", do_rename, TIMES, TIMES },
	/* getdents64, and two an entry; "." and ".." cost nothing. */
	{ "READDIRPLUS new", do_readdirplus, 1, 1 + 2 * TIMES },
	/* From the start again: lseek, getdents64, and one an entry. */
	{ "READDIRPLUS known", do_readdirplus, 1, 2 + TIMES },
};

static void make_files(struct fixture *f, const char *dir)
{
	char path[64], name[32];

	assert_int_equal(mkdir(share_path(&f->daemon, dir), 0755), 0);
	for (unsigned int i = 0; i < TIMES; i++) {
		name_of(name, "f", i);
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		share_fill(&f->daemon, path, 1, i);
	}
}

static void prepare(struct work *w, struct fixture *f)
{
	struct fuse_open_out open;

	*w = (struct work){ .f = f };
	make_files(f, "fresh");
	make_files(f, "listing");
	w->fresh = lookup_node(f->q, "fresh");
	w->open = create_file(f->q, "file", &w->file);
	w->listing = lookup_node(f->q, "listing");
	ok(casement_opendir(f->q, w->listing, &open));
	w->listing_fh = open.fh;
}

static void check_all(struct fixture *f)
{
	struct tracer tracer;
	struct work w;
	int bad = 0;

	if (geteuid())
		SKIP_BECAUSE("an ordinary user's daemon cannot make files for others");
	prepare(&w, f);
	tracer_start(&tracer, f);
	for (unsigned int i = 0; i < ARRAY_SIZE(operations); i++) {
		mark(f, &tracer);
		for (unsigned int n = 0; n < operations[i].times; n++)
			operations[i].run(&w, n);
	}
	mark(f, &tracer);
	tracer_stop(&tracer);
	for (unsigned int i = 0; i < ARRAY_SIZE(operations); i++) {
		unsigned int calls = calls_between(&tracer, i);

		print_message("%-24s %4u calls for %2u, at most %u\n", operations[i].name, calls,
			      operations[i].times, operations[i].most);
		/* An operation that cost nothing was not seen: strace and we disagree. */
		bad += calls > operations[i].most || calls < operations[i].times;
	}
	assert_int_equal(bad, 0);
}

static void test_calls(void **state)
{
	check_all(fixture_of(state));
}

static void test_calls_by_handle(void **state)
{
	check_all(fixture_of(state));
}

int main(void)
{
	static const struct fixture_config plain;
	static const struct fixture_config handles = { .args = { "--inode-file-handles=prefer" } };
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_calls, &plain),
		FIXTURE_TEST(test_calls_by_handle, &handles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
