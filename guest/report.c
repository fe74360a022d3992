/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's end, told to the host; see report.h. */
#include "guest/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>

#include "common/cleanup.h"
#include "guest/params.h"

static int boot_dir = -1;	/* [I] the boot share */

void report_setup(void)
{
	boot_dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void report_leave(void)
{
	close(boot_dir);
	boot_dir = -1;
}

void report_return(const char *fs)
{
	cleanup_close int context = fsopen(fs, FSOPEN_CLOEXEC);

	if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "source", GUEST_BOOT_TAG, 0) ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		report_failure("the guest cannot mount its boot share again: %s", strerror(errno));
	boot_dir = fsmount(context, FSMOUNT_CLOEXEC, 0);
}

void report_note(const char *format, ...)
{
	cleanup_close int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	char line[512];
	va_list args;
	int n;

	n = snprintf(line, sizeof(line), "casement-init: ");
	va_start(args, format);
	vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
	va_end(args);
	if (fd < 0 || write(fd, line, strlen(line)) < 0) {
		/* No other place to say it; the host shows the log's end anyway. */
	}
}

/* The rename makes it whole or absent, whenever the machine dies. */
static int write_status(const char *line)
{
	cleanup_close int fd = openat(boot_dir, GUEST_STATUS_TEMP,
				      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, line, strlen(line)) < 0 || fsync(fd))
		return -errno;
	if (renameat(boot_dir, GUEST_STATUS_TEMP, boot_dir, GUEST_STATUS_FILE))
		return -errno;
	return 0;
}

static void __attribute__((noreturn)) finish(const char *line)
{
	int err;

	err = write_status(line);
	if (err)
		report_note("cannot write the status: %s", strerror(-err));
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

void report_exit(int status)
{
	char line[32];

	snprintf(line, sizeof(line), GUEST_STATUS_EXIT "%d\n", status);
	finish(line);
}

void report_failure(const char *format, ...)
{
	char line[512] = GUEST_STATUS_FAILED;
	size_t start = strlen(line);
	va_list args;

	va_start(args, format);
	vsnprintf(line + start, sizeof(line) - start - 1, format, args);
	va_end(args);
	report_note("%s", line);
	strcat(line, "\n");
	finish(line);
}
