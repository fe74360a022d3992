/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first process of a guest of `casement run`. The kernel starts it from
 * the boot share; it makes the root share the root file system, mounts the
 * shares, runs one command, tells the host how it ended and powers off.
 *
 * It is linked statically and relies on nothing in the root share.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "guest/command.h"
#include "guest/driver.h"
#include "guest/mounts.h"
#include "guest/net.h"
#include "guest/params.h"
#include "guest/report.h"
#include "guest/user.h"

/* The kernel opened its log port for us; output there would mix with the log. */
static void leave_console(void)
{
	int null = open("/dev/null", O_RDWR);

	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

/*
 * The output ports are opened before any device changes its driver, and stay open. User-mode Linux
 * takes an interrupt for free that a device's driver has let go of, although the device keeps it,
 * and would give it to a port that is opened then, which fails.
 */
static void hold_ports(void)
{
	static const char *const ports[] = { GUEST_TTY_OUT, GUEST_TTY_ERR };

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		if (open(ports[i], O_WRONLY | O_NOCTTY | O_CLOEXEC) < 0)
			report_note("%s: %s", ports[i], strerror(errno));
}

static void set_environment(void)
{
	/* The kernel hands its own unknown arguments down as variables. */
	clearenv();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("USER", "root", 1);
	setenv("LANG", "C.UTF-8", 1);
}

#define IN_MEMORY "init"

/*
 * Run from a copy of this program in memory, if it is not that already: the boot share can be
 * unmounted then. Where there is no memory for it, it stays, and so does this program.
 */
static void move_to_memory(const char *path)
{
	char *argv[] = { (char *)IN_MEMORY, NULL };
	cleanup_close int from = open(path, O_RDONLY | O_CLOEXEC);
	cleanup_close int to = memfd_create(IN_MEMORY, MFD_CLOEXEC);
	ssize_t n;

	if (!strcmp(path, IN_MEMORY) || from < 0 || to < 0)
		return;
	while ((n = sendfile(to, from, NULL, 1 << 20)) > 0)
		continue;
	if (!n)
		fexecve(to, argv, environ);
}

int main(int argc, char **argv)
{
	struct guest_params params;
	int err, status;

	(void)argc;
	move_to_memory(argv[0]);
	mounts_early();
	report_setup();
	err = guest_params_read("/" GUEST_PARAMS_FILE, &params);
	if (err)
		report_failure("the guest cannot read its parameters: %s", strerror(-err));
	leave_console();
	hold_ports();
	if (strcmp(params.fs, "virtiofs"))
		driver_take();
	mounts_switch_root(&params);
	if (strcmp(params.fs, "virtiofs"))
		driver_take_boot();
	set_environment();
	if (params.hostname && sethostname(params.hostname, strlen(params.hostname)))
		report_note("cannot be called %s: %s", params.hostname, strerror(errno));
	if (chdir(getenv("HOME")))
		report_note("no %s: %s", getenv("HOME"), strerror(errno));
	mounts_shares(&params);
	net_up(&params);
	user_prepare(&params);
	status = command_run(&params);
	mounts_release(&params);
	report_exit(status);
}
