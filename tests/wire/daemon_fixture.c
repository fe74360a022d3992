/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon under test; see daemon_fixture.h. Relies on pidfds, so that no
 * wait is a sleep and no signal meets a stranger; never leaves a process: the
 * daemon dies with the test.
 */
#include "daemon_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/raw.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "tests/skip.h"

#define ARGS_MAX 32
#define DAEMONS_MAX 64		/* that one test program may leave: more than it has tests */

/*
 * At its end AddressSanitizer looks for leaks, by /proc and by ptrace(2) of a
 * process that it clones. That cannot be in a sandbox with the share as its
 * root; nor can ThreadSanitizer find the names for a report there.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static bool as_shipped;

void daemons_are_as_shipped(void)
{
	as_shipped = true;
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
}

/* Daemons whose test has not stopped them: a failed assertion leaves their owner's frame. */
static struct { pid_t pid; char dir[64]; } strays[DAEMONS_MAX];

static const char *daemon_program(void)
{
	const char *program = getenv("CASEMENTD");

	return program ? program : "build/casementd";
}

/* Everything a descriptor holds, as a string; the caller frees. */
static char *read_text(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1);
	ssize_t n = text ? pread(fd, text, (size_t)size, 0) : -1;

	if (n < 0)
		abort();
	text[n] = '\0';
	return text;
}

/* Start a program with its output in `out` and `listener` as descriptor 3. */
static pid_t spawn(char *const argv[], int out, int listener)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	if (listener >= 0 && dup2(listener, 3) == 3)
		fcntl(3, F_SETFD, 0);
	execv(argv[0], argv);
	fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

bool daemon_has_option(const char *name)
{
	static char *help;
	char option[64];

	if (!help) {
		char *argv[] = { (char *)(uintptr_t)daemon_program(), (char *)(uintptr_t)"--help",
				 NULL };
		cleanup_close int out = memfd_create("help", MFD_CLOEXEC);
		pid_t pid = spawn(argv, out, -1);

		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			abort();
		help = read_text(out);
	}
	snprintf(option, sizeof(option), "--%s", name);
	return strstr(help, option);
}

static int make_listener(struct daemon *daemon)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, daemon->socket);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void make_tree(struct daemon *daemon)
{
	const char *tmp = getenv("TMPDIR");

	if (!tmp || strlen(tmp) > 30)
		tmp = "/tmp";
	snprintf(daemon->dir, sizeof(daemon->dir), "%s/casement-wire-XXXXXX", tmp);
	assert_non_null(mkdtemp(daemon->dir));
	assert_int_equal(chmod(daemon->dir, 0755), 0);
	snprintf(daemon->share, sizeof(daemon->share), "%s/share", daemon->dir);
	snprintf(daemon->socket, sizeof(daemon->socket), "%s/sock", daemon->dir);
	assert_int_equal(mkdir(daemon->share, 0755), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* At exit. A stray's number is still its own: nobody else waits for our children. */
static void end_strays(void)
{
	for (unsigned int i = 0; i < DAEMONS_MAX; i++) {
		if (!strays[i].dir[0])
			continue;
		if (strays[i].pid > 0 && waitpid(strays[i].pid, NULL, WNOHANG) == 0) {
			kill(strays[i].pid, SIGKILL);
			waitpid(strays[i].pid, NULL, 0);
		}
		remove_tree(strays[i].dir);
	}
}

/* Remember a daemon until `forget_stray` of its directory. */
static void note_stray(const struct daemon *daemon)
{
	static bool registered;

	if (!registered)
		atexit(end_strays);
	registered = true;
	for (unsigned int i = 0; i < DAEMONS_MAX; i++) {
		if (strays[i].dir[0])
			continue;
		strcpy(strays[i].dir, daemon->dir);
		strays[i].pid = daemon->pid;
		return;
	}
}

static void forget_stray(const struct daemon *daemon)
{
	for (unsigned int i = 0; i < DAEMONS_MAX; i++)
		if (!strcmp(strays[i].dir, daemon->dir))
			strays[i].dir[0] = '\0';
}

/* What CASEMENTD_ARGS adds to each daemon's words, as in "--seccomp trap". */
static unsigned int add_words(const char **argv, unsigned int n)
{
	static char words[256];
	const char *more = getenv("CASEMENTD_ARGS");
	char *rest = words;

	snprintf(words, sizeof(words), "%s", more ? more : "");
	for (char *word; (word = strsep(&rest, " ")) && n < ARGS_MAX - 1;)
		if (*word)
			argv[n++] = word;
	return n;
}

/* Is it a parent whose only child serves? The last --sandbox is the one that counts. */
static bool confines(const char **argv, unsigned int n)
{
	bool confined = daemon_has_option("sandbox");

	for (unsigned int i = 0; i + 1 < n; i++)
		if (!strcmp(argv[i], "--sandbox"))
			confined = strcmp(argv[i + 1], "none");
	return confined;
}

static void start(struct daemon *daemon, const struct daemon *beside, const char *const *args)
{
	const char *argv[ARGS_MAX] = { daemon_program(), "--shared-dir", daemon->share,
				       "--fd", "3", "--tag", "wire" };
	unsigned int n = 7;
	int listener;

	*daemon = (struct daemon){ .pidfd = -1 };
	make_tree(daemon);
	if (beside)
		strcpy(daemon->share, beside->share);
	if (SANITIZED && !as_shipped && daemon_has_option("sandbox")) {
		argv[n++] = "--sandbox";
		argv[n++] = "none";
		argv[n++] = "--seccomp";
		argv[n++] = "none";
	}
	for (; args && *args && n < ARGS_MAX - 1; args++)
		argv[n++] = *args;
	n = add_words(argv, n);
	daemon->confined = confines(argv, n);
	daemon->log = memfd_create("daemon-log", MFD_CLOEXEC);
	assert_int_equal(fcntl(daemon->log, F_SETFL, O_APPEND), 0);
	listener = make_listener(daemon);
	daemon->pid = spawn((char *const *)(uintptr_t)argv, daemon->log, listener);
	close(listener);
	note_stray(daemon);
	assert_true(daemon->pid > 0);
	daemon->pidfd = (int)syscall(SYS_pidfd_open, daemon->pid, 0);
	assert_true(daemon->pidfd >= 0);
}

void daemon_start(struct daemon *daemon, const char *const *args)
{
	start(daemon, NULL, args);
}

void daemon_start_beside(struct daemon *daemon, const struct daemon *first, const char *const *args)
{
	start(daemon, first, args);
}

int daemon_socket(struct daemon *daemon)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, daemon->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void show_log(const struct daemon *daemon)
{
	cleanup_free char *log = read_text(daemon->log);

	/* print_error() would cut it short. */
	fprintf(stderr, "--- the daemon's log:\n%s---\n", log);
}

struct casement *daemon_connect(struct daemon *daemon, const struct casement_options *options)
{
	struct casement_options o = options ? *options : (struct casement_options){ 0 };
	const char *how = getenv("CASEMENT_TEST_CLIENT");
	struct casement *client = NULL;
	int err;

	if (how && !strcmp(how, "poll"))
		o.flags |= CASEMENT_POLL;
	o.timeout_ms = o.timeout_ms ? o.timeout_ms : TEST_WAIT_MS;
	err = casement_connect_fd(daemon_socket(daemon), &o, &client);
	if (err) {
		show_log(daemon);
		fail_msg("connect: %s (%d)", casement_error(), err);
	}
	return client;
}

/* Wait up to `timeout_ms` for the end; true when it has come. */
static bool reap(struct daemon *daemon, int timeout_ms)
{
	struct pollfd pfd = { .fd = daemon->pidfd, .events = POLLIN };

	if (daemon->pidfd < 0)
		return true;
	if (poll(&pfd, 1, timeout_ms) <= 0)
		return false;
	if (waitpid(daemon->pid, &daemon->status, 0) != daemon->pid)
		abort();
	close_fd(&daemon->pidfd);
	return true;
}

void daemon_check(struct daemon *daemon)
{
	if (reap(daemon, 0)) {
		show_log(daemon);
		fail_msg("the daemon ended: wait status %#x", (unsigned int)daemon->status);
	}
}

/* What must never be in a log or an exit status; returns -1 having said so. */
static int judge(const struct daemon *daemon)
{
	static const char *const reports[] = {
		"ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
		"WARNING: ThreadSanitizer", "Assertion",
	};
	cleanup_free char *log = read_text(daemon->log);
	int bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(reports); i++)
		if (strstr(log, reports[i]))
			bad = -1;
	if (WIFSIGNALED(daemon->status)) {
		print_error("the daemon was ended by signal %d\n", WTERMSIG(daemon->status));
		bad = -1;
	}
	if (bad)
		show_log(daemon);
	return bad;
}

int daemon_wait(struct daemon *daemon)
{
	if (!reap(daemon, TEST_WAIT_MS)) {
		show_log(daemon);
		fail_msg("the daemon still runs after %d ms", TEST_WAIT_MS);
	}
	if (judge(daemon))
		fail_msg("the daemon failed");
	return WEXITSTATUS(daemon->status);
}

bool daemon_ended_by(struct daemon *daemon, int number)
{
	bool so = reap(daemon, TEST_WAIT_MS) && WIFSIGNALED(daemon->status) &&
		  WTERMSIG(daemon->status) == number;

	if (so)
		daemon->status = 0;
	return so;
}

int daemon_stop(struct daemon *daemon)
{
	int bad;

	if (daemon->pid > 0 && !reap(daemon, 0)) {
		kill(daemon->pid, SIGTERM);
		if (!reap(daemon, TEST_WAIT_MS)) {
			print_error("the daemon did not end at SIGTERM\n");
			kill(daemon->pid, SIGKILL);
			reap(daemon, -1);
		} else if (WIFSIGNALED(daemon->status) && WTERMSIG(daemon->status) == SIGTERM) {
			daemon->status = 0;	/* a daemon without a handler of its own */
		}
	}
	bad = judge(daemon);
	close_fd(&daemon->log);
	remove_tree(daemon->dir);
	forget_stray(daemon);
	return bad;
}

bool daemon_logged(struct daemon *daemon, const char *text)
{
	cleanup_free char *log = read_text(daemon->log);

	return strstr(log, text);
}

pid_t daemon_serving_pid(const struct daemon *daemon)
{
	cleanup_fclose FILE *children = NULL;
	char path[64];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)daemon->pid, (int)daemon->pid);
	children = fopen(path, "re");
	if (daemon->confined && children && fscanf(children, "%d", &pid) == 1)
		return pid;
	return daemon->pid;
}

unsigned int daemon_count_fds(const struct daemon *daemon)
{
	unsigned int n = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)daemon_serving_pid(daemon));
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

int fixture_setup(void **state)
{
	static const struct fixture_config none;
	const struct fixture_config *config = *state ? *state : &none;
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	if (config->needs && !daemon_has_option(config->needs))
		return 0;	/* fixture_of() will skip the test */
	daemon_start(&f->daemon, config->args);
	if (config->no_client)
		return 0;
	f->client = daemon_connect(&f->daemon, &config->options);
	f->q = casement_request_queue(f->client, 0);
	if (!config->no_init)
		ok(casement_init(f->q, NULL, &f->init));
	return 0;
}

struct fixture *fixture_of(void **state)
{
	struct fixture *f = *state;

	if (!f->daemon.pid)
		SKIP_BECAUSE("this daemon does not have an option of the test's");
	return f;
}

void fixture_reset_device(struct fixture *f)
{
	ok(channel_set(&f->client->channel, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0));
	ok(channel_set(&f->client->channel, VHOST_USER_SET_FEATURES, &f->client->features,
		       sizeof(f->client->features), NULL, 0));
	for (unsigned int i = 0; i < f->client->n_queues; i++) {
		casement_queue_reset(&f->client->queues[i]);
		ok(casement_queue_start(&f->client->queues[i]));
	}
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	int bad = 0;

	casement_close(f->client);
	if (f->daemon.pid > 0)
		bad = daemon_stop(&f->daemon);
	free(f);
	return bad;
}

const char *share_path(const struct daemon *daemon, const char *name)
{
	static __thread char paths[4][512];
	static __thread unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", daemon->share, name);
	return path;
}

unsigned char pattern(unsigned int seed, size_t i)
{
	uint64_t x = (i / 8 + 1) * 0x9e3779b97f4a7c15ull + seed;

	return (unsigned char)(x >> (8 * (i % 8)) ^ x >> 29);
}

void check_pattern(const void *p, size_t size, unsigned int seed, size_t offset)
{
	const unsigned char *bytes = p;

	for (size_t i = 0; i < size; i++)
		if (bytes[i] != pattern(seed, offset + i))
			fail_msg("byte %zu of %zu is %#x, not %#x", i, size, bytes[i],
				 pattern(seed, offset + i));
}

void share_fill(const struct daemon *daemon, const char *name, size_t size, unsigned int seed)
{
	cleanup_free unsigned char *bytes = malloc(size + 1);
	cleanup_close int fd = open(share_path(daemon, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
				    0644);

	assert_true(fd >= 0);
	for (size_t i = 0; i < size; i++)
		bytes[i] = pattern(seed, i);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
}

long expect_ok(long result, const char *what, const char *file, int line)
{
	if (result < 0) {
		print_error("%s: %ld, %s\n", what, result, casement_error());
		_fail(file, line);
	}
	return result;
}

void expect_error(long result, long error, const char *what, const char *file, int line)
{
	if (result != error) {
		print_error("%s: %ld, not %ld (%s); %s\n", what, result, error,
			    strerror((int)-error), casement_error());
		_fail(file, line);
	}
}

uint64_t lookup_node(struct casement_queue *q, const char *name)
{
	struct fuse_entry_out entry;

	ok(casement_lookup(q, CASEMENT_ROOT, name, &entry));
	return entry.nodeid;
}

uint64_t open_file(struct casement_queue *q, const char *name, uint32_t flags, uint64_t *node)
{
	struct fuse_open_out open;

	*node = lookup_node(q, name);
	ok(casement_open(q, *node, flags, &open));
	return open.fh;
}

uint64_t create_file(struct casement_queue *q, const char *name, uint64_t *node)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	ok(casement_create(q, CASEMENT_ROOT, name, O_RDWR | O_CREAT | O_EXCL, S_IFREG | 0644, &entry,
			   &open));
	*node = entry.nodeid;
	return open.fh;
}
