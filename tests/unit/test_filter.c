/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the filter of system calls forbids, each in a child that should not
 * survive it. That it allows enough is what the wire tests show, which run
 * under it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/log.h"
#include "daemon/sandbox/filter.h"
#include "daemon/sandbox/filter_table.h"

#define SURVIVED 42

struct call_row {
	const char *what;
	long number;
	long args[6];
};

/* The first lines are also what AddressSanitizer does, whose builds allow them. */
static const struct call_row forbidden[] = {
#if !defined(__SANITIZE_ADDRESS__)
	{ "memory that runs", SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 } },
	{ "memory made to run", SYS_mprotect, { 0, 4096, PROT_READ | PROT_EXEC } },
	{ "a process", SYS_clone, { SIGCHLD } },
	{ "a user namespace by clone", SYS_clone, { CLONE_VM | CLONE_THREAD | CLONE_NEWUSER } },
	{ "a dump", SYS_prctl, { PR_SET_DUMPABLE, 1 } },
	{ "ptrace", SYS_ptrace, { 0 } },
	{ "another's signal", SYS_tgkill, { 1, 1, 0 } },
	{ "a limit", SYS_prlimit64, { 0, RLIMIT_NOFILE, 1, 0 } },
#endif
	{ "a namespace", SYS_unshare, { CLONE_NEWNS } },
	{ "a namespace beside", SYS_unshare, { CLONE_FS | CLONE_NEWUSER } },
	{ "setns", SYS_setns, { -1, 0 } },
	{ "execve", SYS_execve, { 0 } },
	{ "execveat", SYS_execveat, { -1 } },
	{ "mount", SYS_mount, { 0 } },
	{ "umount", SYS_umount2, { 0 } },
	{ "move_mount", SYS_move_mount, { -1 } },
	{ "open_tree", SYS_open_tree, { -1 } },
	{ "fsopen", SYS_fsopen, { 0 } },
	{ "pivot_root", SYS_pivot_root, { 0 } },
	{ "chroot", SYS_chroot, { 0 } },
	{ "an Internet socket", SYS_socket, { AF_INET, SOCK_STREAM } },
	{ "a netlink socket", SYS_socket, { AF_NETLINK, SOCK_RAW } },
	{ "a packet socket", SYS_socket, { AF_PACKET, SOCK_RAW } },
	{ "a Unix socket", SYS_socket, { AF_UNIX, SOCK_DGRAM } },
	{ "connect", SYS_connect, { -1 } },
	{ "bind", SYS_bind, { -1 } },
	{ "typing on a terminal", SYS_ioctl, { 0, TIOCSTI, 0 } },
	{ "the same with more bits", SYS_ioctl, { 0, (long)(0x100000000L | TIOCSTI), 0 } },
	{ "a descriptor's owner", SYS_fcntl, { 0, F_SETOWN, 1 } },
	{ "io_uring", SYS_io_uring_setup, { 1, 0 } },
	{ "bpf", SYS_bpf, { 0 } },
	{ "userfaultfd", SYS_userfaultfd, { 0 } },
	{ "perf", SYS_perf_event_open, { 0 } },
	{ "keys", SYS_add_key, { 0 } },
	{ "another's memory", SYS_process_vm_readv, { 1 } },
	{ "another's descriptors", SYS_pidfd_getfd, { -1 } },
	{ "a module", SYS_finit_module, { -1 } },
	{ "reboot", SYS_reboot, { 0 } },
	{ "ids of the process", SYS_setuid, { 0 } },
	{ "another personality", SYS_personality, { 0xffffffff } },
	{ "no system call at all", 100000, { 0 } },
};

static const struct call_row allowed[] = {
	{ "getpid", SYS_getpid, { 0 } },
	{ "memory", SYS_mmap, { 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 } },
	{ "a file's flags", SYS_ioctl, { -1, (long)0x80086601, 0 } },
	{ "the same, as an int is passed", SYS_ioctl, { -1, (long)(int)0x80086601, 0 } },
	{ "a lock", SYS_fcntl, { -1, F_OFD_SETLK, 0 } },
	{ "its own umask", SYS_unshare, { CLONE_FS } },
	{ "its own name", SYS_prctl, { PR_SET_NAME, (long)"x" } },
	{ "its own end", SYS_tgkill, { 0, 0, 0 } },	/* pid and thread are filled in */
	{ "clone3, which is not there", SYS_clone3, { 0, 0 } },
};

static void __attribute__((noreturn))
child_main(const struct call_row *row, int action, int log)
{
	struct rlimit none = { 0 };
	long args[6];

	memcpy(args, row->args, sizeof(args));
	if (row->number == SYS_tgkill && !args[0]) {
		args[0] = getpid();
		args[1] = gettid();
	}
	setrlimit(RLIMIT_CORE, &none);
	dup2(log, STDERR_FILENO);
	signal(SIGSYS, SIG_DFL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || filter_install(&filter_serving, action))
		_exit(1);
	syscall(row->number, args[0], args[1], args[2], args[3], args[4], args[5]);
	_exit(SURVIVED);
}

/* The wait status of a child that made this call; what it said is in text[size]. */
static int run(const struct call_row *row, int action, char *text, size_t size)
{
	int log = memfd_create("log", MFD_CLOEXEC), status = -1;
	ssize_t n;
	pid_t pid = fork();

	if (pid == 0)
		child_main(row, action, log);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	n = pread(log, text, size - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	close(log);
	return status;
}

static void what_is_forbidden_kills(void **state)
{
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
		int status = run(&forbidden[i], FILTER_KILL, text, sizeof(text));

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: wait status %#x %s", forbidden[i].what, (unsigned int)status, text);
	}
}

static void what_is_allowed_lives(void **state)
{
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		int status = run(&allowed[i], FILTER_KILL, text, sizeof(text));

		if (!WIFEXITED(status) || WEXITSTATUS(status) != SURVIVED)
			fail_msg("%s: wait status %#x %s", allowed[i].what, (unsigned int)status, text);
	}
}

static void trap_names_the_call(void **state)
{
	static const struct call_row mount = { "mount", SYS_mount, { 0 } };
	char text[256];
	int status = run(&mount, FILTER_TRAP, text, sizeof(text));

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	assert_non_null(strstr(text, "(mount) is not on the list of the serving process"));
}

static void log_and_none_let_it_be(void **state)
{
	static const struct call_row mount = { "mount", SYS_mount, { 0 } };
	char text[256];

	(void)state;
	assert_int_equal(WEXITSTATUS(run(&mount, FILTER_LOG, text, sizeof(text))), SURVIVED);
	assert_int_equal(WEXITSTATUS(run(&mount, FILTER_NONE, text, sizeof(text))), SURVIVED);
}

static void *thread_main(void *arg)
{
	return arg;
}

/* Threads start under the filter, and are under it. */
static void threads_are_under_it(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		pthread_t thread;

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || filter_install(&filter_serving, FILTER_KILL) ||
		    pthread_create(&thread, NULL, thread_main, NULL) || pthread_join(thread, NULL))
			_exit(1);
		_exit(prctl(PR_SET_NAME, "x") ? 1 : SURVIVED);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), SURVIVED);
}

/* A name that nobody knows allows nothing: each is libseccomp's, or has its number here. */
static void names_are_known(void **state)
{
	const struct filter_list *lists[] = { &filter_serving, &filter_stand_ins };

	(void)state;
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		for (unsigned int g = 0; g < lists[l]->n_groups; g++)
			for (unsigned int i = 0; lists[l]->groups[g].calls[i]; i++)
				if (!filter_knows(lists[l]->groups[g].calls[i]))
					fail_msg("%s", lists[l]->groups[g].calls[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_forbidden_kills), cmocka_unit_test(what_is_allowed_lives),
		cmocka_unit_test(trap_names_the_call), cmocka_unit_test(log_and_none_let_it_be),
		cmocka_unit_test(threads_are_under_it), cmocka_unit_test(names_are_known),
	};

	log_setup("test", LOG_LEVEL_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
