/* SPDX-License-Identifier: BSD-3-Clause */
/* The two ways to reach a host file; see safe_open.h. */
#include "daemon/fs/safe_open.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"

/* No ".." and no links are expected in one component; should one slip in, it fails here too. */
#define CHILD_RESOLVE (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS)
#define CHILD_FLAGS (O_PATH | O_NOFOLLOW | O_CLOEXEC)

/* A guest is told ENFILE for either limit: EMFILE would blame its own process. */
int safe_open_no_more(void)
{
	log_guest(LOG_LEVEL_WARN, "no more files can be opened: the limit of open files is reached");
	return -ENFILE;
}

static int open_result(int fd)
{
	if (fd >= 0)
		return fd;
	return errno == EMFILE || errno == ENFILE ? safe_open_no_more() : -errno;
}

static int openat2_path(int parent_fd, const char *name)
{
	struct open_how how = { .flags = CHILD_FLAGS, .resolve = CHILD_RESOLVE };

	return (int)syscall(SYS_openat2, parent_fd, name, &how, sizeof(how));
}

int safe_open_child(const struct safe_open *so, int parent_fd, const char *name)
{
	int fd = so->openat2 ? openat2_path(parent_fd, name) : -1;

	/*
	 * EXDEV of one component says only that the thing found was moved to
	 * another directory before RESOLVE_BENEATH looked where it is. It was
	 * ours when it was found: the open that does not look again is as safe.
	 */
	if (!so->openat2 || (fd < 0 && errno == EXDEV))
		fd = openat(parent_fd, name, CHILD_FLAGS);
	return open_result(fd);
}

int safe_open_directory(const struct safe_open *so, int parent_fd, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, .resolve = CHILD_RESOLVE,
	};

	if (so->openat2)
		return open_result((int)syscall(SYS_openat2, parent_fd, name, &how, sizeof(how)));
	return open_result(openat(parent_fd, name, (int)how.flags));
}

int safe_open_new(int parent_fd, const char *name, int flags, mode_t mode)
{
	/* O_EXCL never follows a link, so openat2(2) would add nothing. */
	return open_result(openat(parent_fd, name,
				  flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
}

int safe_open_unnamed(int parent_fd, int flags, mode_t mode)
{
	/* "." is the directory we hold: there is no name to be led away by. */
	return open_result(openat(parent_fd, ".", flags | O_TMPFILE | O_CLOEXEC, mode));
}

struct fd_name safe_open_name(int fd)
{
	struct fd_name name;

	snprintf(name.text, sizeof(name.text), "%d", fd);
	return name;
}

int safe_open_again(const struct safe_open *so, int fd, int flags)
{
	struct fd_name name = safe_open_name(fd);

	return open_result(openat(so->proc_fd, name.text, flags | O_CLOEXEC));
}

int safe_open_init(struct safe_open *so, int proc_fd, int root_fd)
{
	int probe;

	so->proc_fd = proc_fd >= 0 ? proc_fd : open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (so->proc_fd < 0)
		return -errno;
	/* Old kernels say ENOSYS, some containers' filters EPERM: both mean "without". */
	probe = openat2_path(root_fd, ".");
	so->openat2 = probe >= 0;
	if (probe >= 0)
		close(probe);
	return 0;
}

void safe_open_fini(struct safe_open *so)
{
	close(so->proc_fd);
	so->proc_fd = -1;
}
