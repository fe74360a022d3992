/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread's own umask; see thread_fs.h. */
#include "daemon/fs/thread_fs.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "common/log.h"

static __thread struct {
	bool tried;
	int result;	/* of the one try */
	mode_t mask;	/* what umask(2) was last told here; the process serves with 0 */
} thread_fs;

int thread_fs_enter(void)
{
	if (thread_fs.tried)
		return thread_fs.result;
	thread_fs.tried = true;
	if (unshare(CLONE_FS) < 0) {
		thread_fs.result = -errno;
		log_guest(LOG_LEVEL_WARN, "a thread cannot have a umask of its own: %m");
	}
	return thread_fs.result;
}

void thread_fs_umask(mode_t mask)
{
	if (thread_fs.mask == mask)
		return;
	umask(mask);
	thread_fs.mask = mask;
}
