/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host's file system with fs-verity, for where there is none: loaded before libc (LD_PRELOAD)
 * into casementd. The "digest" of the one file that it was enabled for is its salt, filled up
 * with the first bytes of its signature, so that a test sees that both came.
 */
#include <errno.h>
#include <linux/fsverity.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/checked.h"

#define DIGEST_SIZE 32

int ioctl(int fd, unsigned long command, ...);

static unsigned char digest[DIGEST_SIZE];
static int enabled;

static int enable(const struct fsverity_enable_arg *arg)
{
	size_t salt = MIN((size_t)arg->salt_size, sizeof(digest));

	if (arg->version != 1 || arg->hash_algorithm != FS_VERITY_HASH_ALG_SHA256)
		return EINVAL;
	if (enabled)
		return EEXIST;
	memcpy(digest, (const void *)(uintptr_t)arg->salt_ptr, salt);
	memcpy(digest + salt, (const void *)(uintptr_t)arg->sig_ptr,
	       MIN((size_t)arg->sig_size, sizeof(digest) - salt));
	enabled = 1;
	return 0;
}

static int measure(struct fsverity_digest *arg)
{
	if (!enabled)
		return ENODATA;
	if (arg->digest_size < sizeof(digest))
		return EOVERFLOW;
	arg->digest_algorithm = FS_VERITY_HASH_ALG_SHA256;
	arg->digest_size = sizeof(digest);
	memcpy(arg->digest, digest, sizeof(digest));
	return 0;
}

int ioctl(int fd, unsigned long command, ...)
{
	va_list args;
	void *arg;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	if (command != FS_IOC_ENABLE_VERITY && command != FS_IOC_MEASURE_VERITY)
		return (int)syscall(SYS_ioctl, fd, command, arg);
	errno = command == FS_IOC_ENABLE_VERITY ? enable(arg) : measure(arg);
	return errno ? -1 : 0;
}
