/* SPDX-License-Identifier: BSD-3-Clause */
/* casement.ko in a guest whose kernel has virtio-fs built in; see driver.h. */
#include "guest/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "guest/params.h"
#include "guest/report.h"

#define TAGS "/sys/fs/virtiofs/*/tag"
#define UNBIND "/sys/bus/virtio/drivers/virtiofs/unbind"
#define BIND "/sys/bus/virtio/drivers/casement/bind"

/* The file's first line; empty when there is none. */
static void read_line(const char *path, char *line, size_t size)
{
	cleanup_fclose FILE *file = fopen(path, "re");

	if (!file || !fgets(line, (int)size, file))
		*line = '\0';
	line[strcspn(line, "\n")] = '\0';
}

static bool write_name(const char *path, const char *name)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, name, strlen(name)) >= 0;
}

/*
 * `path` is .../NUMBER/tag, and .../NUMBER/device leads to .../virtioN. Our driver, once it is
 * loaded, takes what is free then; later it has to be told.
 */
static void hand_over(const char *path, bool loaded)
{
	char link[PATH_MAX], device[PATH_MAX];
	const char *name;

	snprintf(link, sizeof(link), "%.*sdevice", (int)(strrchr(path, '/') + 1 - path), path);
	if (!realpath(link, device))
		report_failure("the guest cannot find the device of %s: %s", path, strerror(errno));
	name = basename(device);
	if (!write_name(UNBIND, name) || (loaded && !write_name(BIND, name)))
		report_failure("the guest cannot take %s from the kernel's driver: %s", name,
			       strerror(errno));
}

/* All but the boot share's; or that one, when the driver is loaded. */
static void hand_over_all(bool boot)
{
	glob_t tags;

	if (glob(TAGS, 0, NULL, &tags))
		return;
	for (size_t i = 0; i < tags.gl_pathc; i++) {
		char tag[64];

		read_line(tags.gl_pathv[i], tag, sizeof(tag));
		if (boot == !strcmp(tag, GUEST_BOOT_TAG))
			hand_over(tags.gl_pathv[i], boot);
	}
	globfree(&tags);
}

void driver_take(void)
{
	cleanup_close int fd = open("/" GUEST_MODULE_FILE, O_RDONLY | O_CLOEXEC);

	hand_over_all(false);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		report_failure("the guest cannot load casement.ko: %s; is it built for this kernel?",
			       strerror(errno));
}

void driver_take_boot(void)
{
	hand_over_all(true);
}
