/* SPDX-License-Identifier: BSD-3-Clause */
/* The root's systemd; see systemd.h. */
#include "guest/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "guest/report.h"

#define OWN "/run/casement"
#define PROGRAM OWN "/init"
#define UNITS "/run/systemd/system"

static int kept = -1;	/* the parameters */

/*
 * Wanted by basic.target, which is a part of each boot, and without the order that follows from that, so that
 * it waits for whichever of these the kernel's command line names.
 */
static const char service[] =
	"[Unit]\n"
	"Description=The command of casement run\n"
	"DefaultDependencies=no\n"
	"After=sysinit.target basic.target multi-user.target graphical.target\n"
	"IgnoreOnIsolate=yes\n"
	"[Service]\n"
	"ExecStart=" PROGRAM " " SYSTEMD_COMMAND "\n"
	"StandardInput=null\n"
	"StandardOutput=null\n"
	"TasksMax=infinity\n";

/* In place of a shell on a console that is not there. */
static const char no_shell[] =
	"[Service]\n"
	"ExecStartPre=\n"
	"ExecStart=\n"
	"ExecStart=" PROGRAM " " SYSTEMD_FAILED "\n"
	"StandardInput=null\n";

static int copy(int from, const char *path, mode_t mode)
{
	cleanup_close int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	off_t offset = 0;
	ssize_t n;

	if (from < 0 || to < 0)
		return -errno;
	while ((n = sendfile(to, from, &offset, 1 << 20)) > 0)
		continue;
	return n ? -errno : 0;
}

void systemd_keep(const char *params)
{
	cleanup_close int from = open(params, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	kept = memfd_create("params", MFD_CLOEXEC);
	if (from < 0 || kept < 0)
		report_failure("the guest cannot keep its parameters: %s", strerror(errno));
	while ((n = sendfile(kept, from, NULL, 1 << 20)) > 0)
		continue;
	if (n)
		report_failure("the guest cannot keep its parameters: %s", strerror(errno));
}

static int write_unit(const char *name, const char *text)
{
	cleanup_fclose FILE *file = NULL;
	char path[128];

	snprintf(path, sizeof(path), UNITS "/%s", name);
	file = fopen(path, "we");
	return !file || fputs(text, file) < 0 || fflush(file) ? -errno : 0;
}

/* Units that are not ours are masked: there is no console to log in on, and the root is mounted as it is to be. */
static int link_units(void)
{
	static const char *const links[][2] = {
		{ "../casement.service", UNITS "/basic.target.wants/casement.service" },
		{ "/dev/null", UNITS "/getty.target" },
		{ "/dev/null", UNITS "/systemd-remount-fs.service" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlink(links[i][0], links[i][1]))
			return -errno;
	return 0;
}

static int write_units(void)
{
	static const char *const dirs[] = {
		"/run/systemd", UNITS, UNITS "/emergency.service.d", UNITS "/rescue.service.d",
		UNITS "/basic.target.wants",
	};
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdir(dirs[i], 0755) && errno != EEXIST)
			return -errno;
	err = link_units();
	if (!err)
		err = write_unit("casement.service", service);
	if (!err)
		err = write_unit("emergency.service.d/casement.conf", no_shell);
	return err ? err : write_unit("rescue.service.d/casement.conf", no_shell);
}

void systemd_become(void)
{
	static const char *const programs[] = { "/usr/lib/systemd/systemd", "/lib/systemd/systemd" };
	cleanup_close int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	sigset_t none;
	int err = mkdir(OWN, 0700) ? -errno : copy(self, PROGRAM, 0700);

	if (!err)
		err = copy(kept, SYSTEMD_PARAMS, 0600);
	if (!err)
		err = write_units();
	if (err)
		report_failure("the guest cannot write systemd's units: %s", strerror(-err));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	clearenv();
	setenv("TERM", "linux", 1);
	/* By files of the root's, as Docker's, it would take this for a container, and not read the kernel's command line. */
	setenv("container", "", 1);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		/* The ports are closed by it, and the service opens them again. */
		execl(programs[i], programs[i], NULL);
	report_failure("the guest's root has no systemd that can be started: %s", strerror(errno));
}
