/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processor time and system calls of another process; see bench_count.h.
 * Relies on perf_event_open(2). The number of the tracepoint is read through a
 * mount of tracefs that only we see, so that nothing need be mounted.
 */
#include "cli/bench_count.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"

#define SYS_ENTER_ID "events/raw_syscalls/sys_enter/id"

uint64_t count_cpu_ns(pid_t pid)
{
	struct timespec used;
	clockid_t clock;

	if (pid <= 0 || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &used))
		return 0;
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* tracefs, mounted nowhere. */
static int open_tracefs(void)
{
	cleanup_close int fs = fsopen("tracefs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	return fsmount(fs, FSMOUNT_CLOEXEC, 0);
}

static int sys_enter_id(uint64_t *id)
{
	cleanup_close int dir = open_tracefs(), fd = -1;
	char text[32];
	ssize_t n;

	if (dir < 0)
		return -EACCES;
	fd = openat(dir, SYS_ENTER_ID, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -EIO;
	text[n] = '\0';
	*id = strtoull(text, NULL, 10);
	return 0;
}

static int count_thread(struct bench_counter *counter, uint64_t id, pid_t tid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr), .config = id, .inherit = 1,
	};
	long fd;

	if (counter->n == COUNT_THREADS_MAX)
		return -E2BIG;
	fd = syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return errno == ESRCH ? 0 : -errno;	/* a thread that has just ended */
	counter->fds[counter->n++] = (int)fd;
	return 0;
}

int count_open(struct bench_counter *counter, pid_t pid)
{
	char path[64];
	struct dirent *entry;
	uint64_t id = 0;
	DIR *tasks;
	int err = sys_enter_id(&id);

	counter->n = 0;
	if (err)
		return err;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	if (!tasks)
		return -errno;
	while (!err && (entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			err = count_thread(counter, id, (pid_t)atoi(entry->d_name));
	closedir(tasks);
	if (!err && !counter->n)
		err = -ESRCH;
	if (err)
		count_close(counter);
	return err;
}

uint64_t count_read(const struct bench_counter *counter)
{
	uint64_t sum = 0, value;

	for (unsigned int i = 0; i < counter->n; i++)
		if (read(counter->fds[i], &value, sizeof(value)) == sizeof(value))
			sum += value;
	return sum;
}

void count_close(struct bench_counter *counter)
{
	for (unsigned int i = 0; i < counter->n; i++)
		close_fd(&counter->fds[i]);
	counter->n = 0;
}
