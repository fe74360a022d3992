/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parent and its child; see process.h. The parent sees nothing of the
 * guest's, and keeps only what it takes to remove a socket from somebody
 * else's directory and to signal a child of other ids.
 */
#include "daemon/sandbox/process.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/sandbox/caps.h"

#define PARENT_CAPS (CAPS_BIT(CAP_KILL) | CAPS_BIT(CAP_DAC_OVERRIDE) | CAPS_BIT(CAP_FOWNER))

/*
 * A child that was told to end does so by itself a little earlier (daemon/ending.h);
 * one that was killed may have a thread in the kernel that only an answer ends.
 */
#define TOLD_MS 1700
#define KILLED_MS 200

static int parent_pidfd = -1;	/* the child's, until process_bind() */

int process_fork(bool pid_ns, pid_t *child)
{
	parent_pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (pid_ns && unshare(CLONE_NEWPID)) {
		int err = -errno;

		log_error("cannot make a pid namespace: %s: this container or user may not; give --sandbox chroot (as root) or --sandbox none",
			  strerror(-err));
		return err;
	}
	*child = fork();
	if (*child < 0) {
		log_error("cannot fork: %m");
		return -EAGAIN;
	}
	if (*child == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	else
		close_fd(&parent_pidfd);
	return 0;
}

void process_bind(void)
{
	struct pollfd parent = { .fd = parent_pidfd, .events = POLLIN };

	/* A change of ids may have undone it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (parent_pidfd >= 0 && poll(&parent, 1, 0) > 0)
		_exit(1);
	close_fd(&parent_pidfd);
}

/* The first signal is passed on; at the second nothing is waited for. True when one came. */
static bool pass_signal(pid_t child, int signal_fd, bool again, bool *killed)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
		return false;
	*killed = again;
	kill(child, again ? SIGKILL : (int)info.ssi_signo);
	return true;
}

/* Wait until it has ended: false when it was told to, and cannot. `killed` if it was told to, and did not. */
static bool wait_for_end(pid_t child, int pidfd, int signal_fd, bool *killed)
{
	struct pollfd fds[2] = {
		{ .fd = pidfd, .events = POLLIN }, { .fd = signal_fd, .events = POLLIN },
	};
	int ms = -1;

	for (;;) {
		int n = poll(fds, 2, ms);

		if (n > 0 && fds[0].revents)
			return true;
		if (n == 0 && ms == KILLED_MS)
			return false;
		if (n == 0) {
			*killed = true;
			kill(child, SIGKILL);
			ms = KILLED_MS;
		} else if (n > 0 && pass_signal(child, signal_fd, ms >= 0, killed)) {
			ms = ms < 0 ? TOLD_MS : KILLED_MS;
		}
	}
}

int process_wait(pid_t child, int signal_fd)
{
	cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	bool killed = false;
	int status = 0;

	if (caps_keep(PARENT_CAPS) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		log_warn("the waiting process keeps its capabilities");
	if (pidfd >= 0 && !wait_for_end(child, pidfd, signal_fd, &killed)) {
		log_warn("the serving process waits in the kernel and cannot end; it does when that answers");
		return 0;
	}
	if (waitpid(child, &status, 0) != child)
		return -errno;
	/* The one that sent the signal wanted the end: nothing failed. */
	if (killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		log_warn("the serving process was told to end, and did not in time: it was killed");
		return 0;
	}
	if (WIFSIGNALED(status))
		log_error("the serving process was ended by signal %d (%s)%s", WTERMSIG(status),
			  strsignal(WTERMSIG(status)), WTERMSIG(status) == SIGSYS ?
			  ": a system call that is not on its list; --seccomp trap names it" : "");
	return status;
}

void process_end_alike(int status)
{
	struct rlimit none = { 0 };
	sigset_t set;
	int number = WTERMSIG(status);

	if (WIFEXITED(status))
		exit(WEXITSTATUS(status));
	/* One core, the child's, is enough. */
	setrlimit(RLIMIT_CORE, &none);
	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(number);
	exit(EXIT_FAILURE);
}
