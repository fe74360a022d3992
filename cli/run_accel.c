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

#include "common/cleanup.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_LEN 36

static bool read_id(int fd, char id[BOOT_ID_LEN])
{
	return fd >= 0 && read(fd, id, BOOT_ID_LEN) == BOOT_ID_LEN;
}

static bool boot_id(char id[BOOT_ID_LEN])
{
	cleanup_close int fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);

	return read_id(fd, id);
}

/* In the cache, where scripts/vm-root keeps its trees, too. */
static void note_path(char *path, size_t size)
{
	const char *named = getenv("CASEMENT_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");

	if (named && *named)
		snprintf(path, size, "%s/no-kvm", named);
	else if (!geteuid())
		snprintf(path, size, "/var/cache/casement/no-kvm");
	else if (xdg && *xdg)
		snprintf(path, size, "%s/casement/no-kvm", xdg);
	else
		snprintf(path, size, "%s/.cache/casement/no-kvm", home ? home : "");
}

static bool failed_before(void)
{
	char path[PATH_MAX], noted[BOOT_ID_LEN], now[BOOT_ID_LEN];
	cleanup_close int fd = -1;

	note_path(path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return read_id(fd, noted) && boot_id(now) && !memcmp(noted, now, BOOT_ID_LEN);
}

bool accel_kvm_usable(void)
{
	cleanup_close int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	return fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION && !failed_before();
}

void accel_kvm_failed(void)
{
	char path[PATH_MAX], id[BOOT_ID_LEN];
	cleanup_close int fd = -1;

	note_path(path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	/* Without the note the next run finds out again. */
	if (fd < 0 || !boot_id(id) || write(fd, id, BOOT_ID_LEN) != BOOT_ID_LEN)
		unlink(path);
}
