/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that the host has to read from its disk; see bench_cold.h. */
#include "cli/bench_cold.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

#define DROP_CACHES "/proc/sys/vm/drop_caches"	/* of Documentation/admin-guide/sysctl/vm.rst */
#define PAGE_CACHE "1"

static int refused(int err)
{
	log_error("--cold: %s: %s; only root may empty the page cache", DROP_CACHES, strerror(-err));
	return err;
}

int cold_check(void)
{
	return access(DROP_CACHES, W_OK) ? refused(-errno) : 0;
}

int cold_make(void)
{
	cleanup_close int fd = open(DROP_CACHES, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return refused(-errno);
	/* Dirty pages stay. */
	sync();
	return write(fd, PAGE_CACHE, strlen(PAGE_CACHE)) < 0 ? refused(-errno) : 0;
}
