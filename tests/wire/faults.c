/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bad disk, for a daemon under test: loaded before libc (LD_PRELOAD), it makes
 * the calls that move file data fail, or do less than asked, as CASEMENT_FAULT
 * says: "short", "again" (every other call is interrupted), or an errno's name.
 * Descriptors that are no regular files are left alone. With "clock" it is the
 * time of day that is bad: it jumps by years whenever it is asked for. With
 * "verity" fs-verity is enabled for a file when that is no longer empty.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/fsverity.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define JUMP (10L * 365 * 24 * 3600)	/* seconds */

typedef ssize_t (*vector_fn)(int fd, const struct iovec *iov, int n, off_t offset, int flags);

/* Exported, so that they come before libc's; the names without 64 are those of other ABIs. */
ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off_t offset, int flags);
ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off_t offset, int flags);
int fsync(int fd);
int fdatasync(int fd);
int clock_gettime(clockid_t clock, struct timespec *ts);
int ioctl(int fd, unsigned long command, ...);

static const struct {
	const char *name;
	int error;
} errors[] = { { "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT }, { "EFBIG", EFBIG } };

static atomic_uint calls;

static const char *fault(void)
{
	const char *name = getenv("CASEMENT_FAULT");

	return name ? name : "";
}

static bool is_file(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode);
}

/* The error that this call is to fail with; 0: none. */
static int error_of(int fd)
{
	const char *name = fault();

	if (!is_file(fd))
		return 0;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (!strcmp(name, errors[i].name))
			return errors[i].error;
	return !strcmp(name, "again") && atomic_fetch_add(&calls, 1) % 2 ? EINTR : 0;
}

/* How much of a "short" call is done: up to the next page for reads, an odd number for writes. */
static size_t shortened(int fd, off_t offset, size_t odd)
{
	if (strcmp(fault(), "short") || !is_file(fd))
		return 0;
	return odd ? odd : PAGE - (size_t)offset % PAGE;
}

static ssize_t move(const char *symbol, int fd, const struct iovec *iov, int n, off_t offset, int flags,
		    size_t odd)
{
	vector_fn real = (vector_fn)dlsym(RTLD_NEXT, symbol);
	size_t most = shortened(fd, offset, odd);
	struct iovec first;

	errno = error_of(fd);
	if (errno)
		return -1;
	if (!most || n < 1)
		return real(fd, iov, n, offset, flags);
	first = iov[0];
	if (first.iov_len > most)
		first.iov_len = most;
	return real(fd, &first, 1, offset, flags);
}

ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return move("preadv64v2", fd, iov, n, offset, flags, 0);
}

ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return move("pwritev64v2", fd, iov, n, offset, flags, 77);
}

static int sync_with(const char *symbol, int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, symbol);

	errno = error_of(fd);
	return errno ? -1 : real(fd);
}

int fsync(int fd)
{
	return sync_with("fsync", fd);
}

int fdatasync(int fd)
{
	return sync_with("fdatasync", fd);
}

/* Ten years ahead, ten years back: what waits by this clock waits for that long, or not at all. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, ts);

	if (!rc && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && !strcmp(fault(), "clock"))
		ts->tv_sec += atomic_fetch_add(&calls, 1) % 2 ? -JUMP : JUMP;
	return rc;
}

/* As of a file that takes long to read. */
static int enable_verity(int fd)
{
	const struct timespec a_while = { .tv_nsec = 1000000 };
	struct stat st;

	while (!fstat(fd, &st) && !st.st_size)
		nanosleep(&a_while, NULL);
	return 0;
}

int ioctl(int fd, unsigned long command, ...)
{
	va_list args;
	void *arg;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	if (command == FS_IOC_ENABLE_VERITY && !strcmp(fault(), "verity"))
		return enable_verity(fd);
	return (int)syscall(SYS_ioctl, fd, command, arg);
}
