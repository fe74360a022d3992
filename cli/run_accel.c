/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * KVM, looked at and remembered; see run_accel.h. A KVM that answers may still
 * be unable to run a kernel (some nested ones lack instructions), and it takes
 * a boot to find that out. What was found is kept in this user's cache, with the
 * id of the host's boot.
 */
#include "cli/run_accel.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/trust.h"
#include "common/cleanup.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_LEN 36
#define NOTE "no-kvm"

static bool read_id(int fd, char id[BOOT_ID_LEN])
{
	return fd >= 0 && read(fd, id, BOOT_ID_LEN) == BOOT_ID_LEN;
}

static bool boot_id(char id[BOOT_ID_LEN])
{
	cleanup_close int fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);

	return read_id(fd, id);
}

/* The cache, where scripts/vm-root keeps its trees, too; -1 when there is none of ours. */
static int open_cache(void)
{
	const char *named = getenv("CASEMENT_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	char dir[PATH_MAX], path[PATH_MAX];

	if (named && *named)
		snprintf(dir, sizeof(dir), "%s", named);
	else if (!geteuid())
		snprintf(dir, sizeof(dir), "/var/cache/casement");
	else if (xdg && *xdg)
		snprintf(dir, sizeof(dir), "%s/casement", xdg);
	else
		snprintf(dir, sizeof(dir), "%s/.cache/casement", home ? home : "");
	return trust_dir(dir, false, path) ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
}

static bool failed_before(void)
{
	char noted[BOOT_ID_LEN], now[BOOT_ID_LEN];
	cleanup_close int cache = open_cache();
	cleanup_close int fd = cache < 0 ? -1 : openat(cache, NOTE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return read_id(fd, noted) && boot_id(now) && !memcmp(noted, now, BOOT_ID_LEN);
}

bool accel_kvm_usable(void)
{
	cleanup_close int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	return fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION && !failed_before();
}

void accel_kvm_failed(void)
{
	char id[BOOT_ID_LEN];
	cleanup_close int cache = open_cache(), fd = -1;

	/* Without the note the next run finds out again. */
	if (cache < 0)
		return;
	fd = openat(cache, NOTE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || !boot_id(id) || write(fd, id, BOOT_ID_LEN) != BOOT_ID_LEN)
		unlinkat(cache, NOTE, 0);
}
