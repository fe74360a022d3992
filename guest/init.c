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

#include "common/cleanup.h"
#include "guest/clock.h"
#include "guest/command.h"
#include "guest/driver.h"
#include "guest/modules.h"
#include "guest/mounts.h"
#include "guest/net.h"
#include "guest/params.h"
#include "guest/port.h"
#include "guest/report.h"
#include "guest/systemd.h"
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

static void read_params(const char *path, struct guest_params *params)
{
	int err = guest_params_read(path, params);

	if (err)
		report_failure("the guest cannot read its parameters: %s", strerror(-err));
}

static void open_ports(bool serial)
{
	int err = ports_open(serial);

	if (err)
		report_failure("the guest has no ports to the host: %s",
			       err == -ENODEV ? "its kernel does not have virtio-console built in (CONFIG_VIRTIO_CONSOLE=y)" :
			       strerror(-err));
}

static void __attribute__((noreturn)) run_command(const struct guest_params *params)
{
	struct command_end end = command_run(params);

	mounts_release(params);
	report_exit(end.status, end.out, end.err);
}

/* As a service of systemd's. */
static void __attribute__((noreturn)) serve_systemd(const char *word)
{
	struct guest_params params;

	read_params(SYSTEMD_PARAMS, &params);
	open_ports(params.serial);
	if (strcmp(word, SYSTEMD_COMMAND))
		report_failure("the guest's systemd did not boot: it is in its emergency or rescue mode; --log FILE has what it said");
	set_environment();
	if (chdir(getenv("HOME")))
		report_note("no %s: %s", getenv("HOME"), strerror(errno));
	run_command(&params);
}

int main(int argc, char **argv)
{
	struct guest_params params;

	if (argc > 1 && getpid() != 1)
		serve_systemd(argv[1]);
	move_to_memory(argv[0]);
	mounts_early();
	read_params("/" GUEST_PARAMS_FILE, &params);
	if (params.systemd)
		systemd_keep("/" GUEST_PARAMS_FILE);
	/*
	 * Before any device changes its driver: User-mode Linux takes an interrupt for free that a device's driver
	 * has let go of, although the device keeps it, and would give it to a line that is opened then, which fails.
	 */
	open_ports(params.serial);
	leave_console();
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
	if (params.load)
		modules_load("/", params.load);
	user_prepare(&params);
	clock_take();
	if (params.systemd)
		systemd_become();
	run_command(&params);
}
