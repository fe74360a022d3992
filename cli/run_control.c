/* SPDX-License-Identifier: BSD-3-Clause */
/* The control directory; see run_control.h. */
#include "cli/run_control.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/run_find.h"
#include "cli/run_leftover.h"
#include "cli/run_qemu.h"
#include "cli/run_user.h"
#include "cli/trust.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "guest/params.h"

static void restore_umask(mode_t *mask)
{
	umask(*mask);
}

/* Until the block's end, what is made is ours, and usable by us, whatever the caller's umask is. */
#define private_umask mode_t private_umask_ __attribute__((cleanup(restore_umask), unused)) = umask(077)

void control_path(const struct run_control *control, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", control->dir, name);
}

/* ---- making and removing ---- */

static int copy_file(const char *from, const char *to)
{
	/* The file may have been replaced by a pipe without a writer. */
	cleanup_close int in = open(from, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	cleanup_close int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	struct stat st;
	off_t left;

	if (in < 0 || out < 0 || fstat(in, &st))
		return -errno;
	for (left = st.st_size; left > 0;) {
		ssize_t n = sendfile(out, in, NULL, (size_t)left);

		if (n <= 0)
			return n ? -errno : -EIO;
		left -= n;
	}
	return 0;
}

/* The kernel and init look for these before any other file system is there. */
static int make_boot(const struct run_parts *parts, const struct run_control *control)
{
	static const char *const dirs[] = {
		"boot", "boot/dev", "boot/proc", "boot/sys", ("boot/" GUEST_ROOT_MOUNT), ("boot/" GUEST_COW_MOUNT),
		("boot/" GUEST_MODULES_MOUNT),
	};
	char path[PATH_MAX];
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		control_path(control, dirs[i], path, sizeof(path));
		if (mkdir(path, 0700))
			return -errno;
	}
	control_path(control, "boot/init", path, sizeof(path));
	err = copy_file(parts->init, path);
	if (err || !parts->module)
		return err;
	control_path(control, "boot/" GUEST_MODULE_FILE, path, sizeof(path));
	return copy_file(parts->module, path);
}

/* Where the directory is made: this user's own place for what runs, else /tmp. */
static int find_base(char base[PATH_MAX])
{
	if (trust_dir(getenv("XDG_RUNTIME_DIR"), false, base) && !access(base, W_OK) &&
	    strlen(base) <= CONTROL_PATH_MAX / 2 && !strpbrk(base, " \t\n:\"\\"))
		return 0;
	if (trust_dir("/tmp", true, base))
		return 0;
	log_error("/tmp: others can change what is in it; name a directory of your own in $XDG_RUNTIME_DIR");
	return -EPERM;
}

/* One that another run swept before it was held is made anew. */
static int make_held(const char *base, struct run_control *control)
{
	size_t size = sizeof(control->dir);
	int err;

	do {
		if ((size_t)snprintf(control->dir, size, "%s/" LEFTOVER_NAME "XXXXXX", base) >= size)
			return -ENAMETOOLONG;
		if (!mkdtemp(control->dir))
			return -errno;
		err = leftover_hold(control->dir);
	} while (err == -ESTALE);
	if (err)
		leftover_remove(AT_FDCWD, control->dir);
	return err;
}

int control_open(const struct run_parts *parts, struct run_control *control)
{
	private_umask;
	char base[PATH_MAX];
	int err = find_base(base);

	if (err)
		return err;
	err = make_held(base, control);
	if (err) {
		log_error("%s: cannot make a directory for the machine: %s", base, strerror(-err));
		control->dir[0] = '\0';
		return err;
	}
	leftover_sweep(base);
	err = make_boot(parts, control);
	if (err) {
		log_error("%s: cannot make the machine's folder: %s", control->dir, strerror(-err));
		control_close(control);
	}
	return err;
}

void control_close(struct run_control *control)
{
	int err = control->dir[0] ? leftover_remove(AT_FDCWD, control->dir) : 0;

	if (err)
		log_warn("%s: cannot be removed: %s", control->dir, strerror(-err));
	control->dir[0] = '\0';
}

int control_listen_at(const char *path)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	private_umask;

	if ((size_t)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path) >= sizeof(addr.sun_path)) {
		log_error("%s: longer than a socket's name may be", path);
		return -ENAMETOOLONG;
	}
	/* Of the machine's last boot. */
	unlink(addr.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1)) {
		int err = -errno;

		log_error("%s: cannot listen: %s", addr.sun_path, strerror(-err));
		return err;
	}
	return take_fd(&fd);
}

int control_listen(const struct run_control *control, const char *name)
{
	char path[PATH_MAX];

	control_path(control, name, path, sizeof(path));
	return control_listen_at(path);
}

/* ---- what the guest is told ---- */

static void put_record(FILE *file, const char *key, const char *value)
{
	fprintf(file, "%s=%s%c", key, value, '\0');
}

static void put_share(FILE *file, const struct run_config *config, const struct run_parts *parts,
		      const struct run_share *share)
{
	const char *type = share->is_9p ? "9p" : parts->module ? "casement" : "virtiofs";
	char options[64] = "";

	if (share->is_9p)
		snprintf(options, sizeof(options), "trans=virtio,version=9p2000.L,msize=512000,cache=none");
	else if (config->dax && run_share_has_window(parts, share))
		snprintf(options, sizeof(options), "dax=%s", run_dax_names[config->dax]);
	fprintf(file, "mount=%s,%s,%s,%s/%s%c", type, share->tag,
		share->readonly ? "ro" : "rw", options, share->name, '\0');
}

/* For programs of the host that look for it. */
static int write_name(const struct run_control *control, const char *name)
{
	cleanup_close int fd = -1;
	char path[PATH_MAX];

	control_path(control, RUN_NAME_FILE, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return fd < 0 || write(fd, name, strlen(name)) < 0 ? -errno : 0;
}

/* A shell where nothing else was asked for. */
static void put_command(FILE *file, const struct run_config *config, const struct run_parts *parts)
{
	char bash[PATH_MAX];

	for (char **word = config->command; *word; word++)
		put_record(file, "arg", *word);
	if (config->command[0])
		return;
	snprintf(bash, sizeof(bash), "%s/bin/bash", parts->root);
	put_record(file, "arg", access(bash, X_OK) ? "/bin/sh" : "/bin/bash");
	put_record(file, "arg", "-l");
}

int control_write_params(const struct run_control *control, const struct run_config *config,
			 const struct run_parts *parts, struct run_terminal_size size)
{
	const char *term = getenv("TERM");
	private_umask;
	char path[PATH_MAX];
	FILE *file;
	bool failed;

	if (config->name && write_name(control, config->name))
		log_warn("--name %s: cannot be noted: %s", config->name, strerror(errno));
	control_path(control, "boot/" GUEST_PARAMS_FILE, path, sizeof(path));
	file = fopen(path, "we");
	if (!file) {
		int err = -errno;

		log_error("%s: cannot be written: %s", path, strerror(-err));
		return err;
	}
	put_record(file, "root", run_root_names[parts->root_mode]);
	if (parts->modules)
		put_record(file, "modules", "");
	if (parts->module)
		put_record(file, "fs", "casement");
	if (parts->uml)
		put_record(file, "ports", "serial");
	put_record(file, "hostname", config->name ? config->name : "guest");
	if (size.rows)
		fprintf(file, "terminal=%hux%hu%c", size.rows, size.columns, '\0');
	if (size.rows && term)
		fprintf(file, "env=TERM=%s%c", term, '\0');
	if (config->reboot && !run_reboots_anew(config, parts))
		put_record(file, "reboot", "");
	if (config->systemd)
		put_record(file, "systemd", "");
	/* By it the kernel tells QEMU what a core of it shall say of it (VMCOREINFO). */
	if (config->dump)
		put_record(file, "load", "qemu_fw_cfg");
	if (config->net)
		put_record(file, "net", "");
	run_user_put(file, config);
	for (unsigned int i = 0; i < config->n_env; i++)
		put_record(file, "env", config->env[i]);
	if (config->cwd)
		put_record(file, "cwd", config->cwd);
	for (unsigned int i = 0; i < config->n_shares; i++)
		put_share(file, config, parts, &config->shares[i]);
	put_command(file, config, parts);
	failed = ferror(file);
	if (fclose(file) || failed) {
		log_error("%s: cannot be written: %s", path, strerror(errno));
		return -EIO;
	}
	return 0;
}
