/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding the parts; see run_parts.h. */
#include "cli/run_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/child.h"
#include "cli/run_accel.h"
#include "cli/run_dump.h"
#include "cli/run_net.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"

#define SYSTEM_QEMU "qemu-system-x86_64"
#define WINDOW_DEVICE "vhost-user-test-device-pci"
#define WINDOW_QEMU_MAJOR 11
#define WINDOW_QEMU_MINOR 1

/* Where our own files lie, seen from this program: build tree, then installed. */
static const char *const daemon_places[] = { "casementd", "../libexec/casement/casementd", NULL };
static const char *const init_places[] = {
	"guest/casement-init", "../libexec/casement/casement-init", NULL,
};
static const char *const module_places[] = {
	"kmod/casement.ko", "../libexec/casement/casement.ko", NULL,
};
static const char *const uml_module_places[] = {
	"kmod-uml/casement.ko", "../libexec/casement/uml/casement.ko", NULL,
};
static const char *const vm_root_places[] = {
	"../scripts/vm-root", "../libexec/casement/vm-root", NULL,
};

/* What is executable, if `mode` has X_OK. */
static char *find_own(const char *const places[], int mode)
{
	char self[PATH_MAX], *path = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return NULL;
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (; *places; places++) {
		if (asprintf(&path, "%s/%s", self, *places) < 0)
			return NULL;
		if (!access(path, mode))
			return path;
		free(path);
	}
	return NULL;
}

/* The program's path as the shell would find it, or NULL. */
static char *find_in_path(const char *program)
{
	const char *dirs = getenv("PATH");
	char *path;

	if (strchr(program, '/'))
		return access(program, X_OK) ? NULL : strdup(program);
	while (dirs && *dirs) {
		int len = (int)strcspn(dirs, ":");

		if (asprintf(&path, "%.*s/%s", len, dirs, program) < 0)
			return NULL;
		if (!access(path, X_OK))
			return path;
		free(path);
		dirs += len;
		dirs += *dirs == ':';
	}
	return NULL;
}

/* ---- vm-root ---- */

/* The value of KEY in "KEY=VALUE" lines, or NULL. */
static char *line_value(const char *lines, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = lines; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		if (!strncmp(p, key, len) && p[len] == '=' && p[len + 1] != '\n')
			return strndup(p + len + 1, strcspn(p + len + 1, "\n"));
	}
	return NULL;
}

/* Run vm-root for one kind of tree; it says what it makes, and why it cannot. */
static int ask_vm_root(const char *kind, const char *include, char *lines, size_t size)
{
	cleanup_free char *script = find_own(vm_root_places, R_OK | X_OK);
	cleanup_free char *word = strdup(kind);
	char print[] = "--print", option[] = "--include";
	char *plain[] = { script, print, word, NULL };
	char *with[] = { script, print, option, (char *)include, word, NULL };

	if (!script || !word)
		return -ENOENT;
	return child_capture(include ? with : plain, -1, lines, size) ? -EIO : 0;
}

/* The modules of the kernel of a tree that vm-root told of. */
static char *modules_of(const char *lines)
{
	cleanup_free char *root = line_value(lines, "ROOT");
	char *path = NULL;

	return root && asprintf(&path, "%s/usr/lib/modules", root) >= 0 ? path : NULL;
}

static int find_guest(const struct run_config *config, struct run_parts *parts)
{
	char lines[2 * PATH_MAX];

	parts->root = config->root;
	parts->root_mode = config->root_mode;
	/* Above a file that the host replaced, a name of the copy-on-write root would be stale for good. */
	parts->root_cache = config->root_mode == RUN_ROOT_COW ? "always" : "auto";
	/* One without a slash would be looked for in PATH. */
	parts->kernel = config->kernel ? realpath(config->kernel, NULL) : NULL;
	if (parts->root && parts->kernel)
		return 0;
	if (ask_vm_root("guest", config->include, lines, sizeof(lines))) {
		if (config->include)
			log_error("no guest with these packages: --include %s", config->include);
		else
			log_error("no guest to boot: run scripts/setup vm as root, or give --root and --kernel");
		return -ENOENT;
	}
	if (!parts->root) {
		parts->root = line_value(lines, "ROOT");
		parts->root_mode = RUN_ROOT_READONLY;
		/* Nobody changes it, so the guest may keep what it has seen. */
		parts->root_cache = "always";
	}
	if (!parts->kernel && !parts->uml) {
		parts->kernel = line_value(lines, "KERNEL");
		parts->modules = config->root ? modules_of(lines) : NULL;
	}
	if (!parts->kernel && parts->uml && !ask_vm_root("uml", NULL, lines, sizeof(lines)))
		parts->kernel = line_value(lines, "UML");
	if (!parts->root || !parts->kernel) {
		log_error("vm-root names no root or no kernel; remove its cache and try again");
		return -ENOENT;
	}
	return 0;
}

/* ---- QEMU ---- */

/* What it says to --version. One that was built without its sandbox refuses the option. */
static bool ask_version(struct run_parts *parts, char *text, size_t size)
{
	char word[] = "--version", option[] = "-sandbox", what[] = RUN_QEMU_SANDBOX;
	char *shut_in[] = { (char *)parts->qemu, option, what, word, NULL };
	char *plain[] = { (char *)parts->qemu, word, NULL };

	parts->sandbox = !child_capture(shut_in, CHILD_NULL, text, size);
	return parts->sandbox || !child_capture(plain, -1, text, size);
}

/* Major and minor version; false if it does not say. */
static bool qemu_version(struct run_parts *parts, unsigned int *major, unsigned int *minor)
{
	const char *number;
	char text[256];

	if (!ask_version(parts, text, sizeof(text)))
		return false;
	number = strstr(text, "version ");
	if (!number || sscanf(number, "version %u.%u", major, minor) != 2)
		return false;
	snprintf(parts->vmm, sizeof(parts->vmm), "QEMU %.*s", (int)strcspn(number + 8, " \n"), number + 8);
	return true;
}

static bool has_window_device(const struct run_parts *parts)
{
	char option[] = "-device", what[] = WINDOW_DEVICE ",help", text[64];
	char *argv[] = { (char *)parts->qemu, option, what, NULL };

	return child_capture(argv, -1, text, sizeof(text)) == 0;
}

/* Which QEMU: the named one; the system's; vm-root's where a window needs it or there is none. */
static const char *choose_qemu(const struct run_config *config)
{
	char *installed = find_in_path(SYSTEM_QEMU);
	char lines[2 * PATH_MAX];
	char *made;

	if (config->qemu)
		return find_in_path(config->qemu);
	if (installed && !config->window)
		return installed;
	if (ask_vm_root("qemu", NULL, lines, sizeof(lines)))
		return installed;
	made = line_value(lines, "QEMU");
	return made ? made : installed;
}

static int find_qemu(const struct run_config *config, struct run_parts *parts)
{
	unsigned int major = 0, minor = 0;

	parts->qemu = choose_qemu(config);
	if (!parts->qemu) {
		log_error("%s: not found: %s", config->qemu ? config->qemu : SYSTEM_QEMU,
			  config->qemu ? "--qemu names no program"
				       : "run scripts/setup vm as root, or give --qemu");
		return -ENOENT;
	}
	if (!qemu_version(parts, &major, &minor)) {
		log_error("%s: does not tell its version as QEMU does", parts->qemu);
		return -EINVAL;
	}
	if (!config->window)
		return 0;
	parts->window = (major > WINDOW_QEMU_MAJOR ||
			 (major == WINDOW_QEMU_MAJOR && minor >= WINDOW_QEMU_MINOR)) &&
			has_window_device(parts);
	if (!parts->window)
		log_warn("no window: %s cannot give one; install QEMU %d.%d or newer, or run scripts/setup vm as root",
			 parts->vmm, WINDOW_QEMU_MAJOR, WINDOW_QEMU_MINOR);
	return 0;
}

/* Whether the guest is to run on KVM. 0, or -ENODEV after a line. */
static int choose_accel(const struct run_config *config, struct run_parts *parts)
{
	parts->uml = config->accel == RUN_ACCEL_UML;
	snprintf(parts->vmm, sizeof(parts->vmm), "User-mode Linux");
	parts->kvm = config->accel == RUN_ACCEL_KVM ||
		     (config->accel == RUN_ACCEL_AUTO && accel_kvm_usable());
	if (!parts->kvm || !access("/dev/kvm", R_OK | W_OK))
		return 0;
	log_error("--accel kvm: /dev/kvm: %s; give --accel tcg for an emulated guest", strerror(errno));
	return -ENODEV;
}

/* ---- folders and files that were named ---- */

static int check_dir(const char *option, const char *dir)
{
	struct stat st;

	if (stat(dir, &st)) {
		log_error("--%s %s: %s; name an existing directory", option, dir, strerror(errno));
		return -errno;
	}
	if (!S_ISDIR(st.st_mode)) {
		log_error("--%s %s: not a directory; name the directory that holds it", option, dir);
		return -ENOTDIR;
	}
	return 0;
}

static int check_kernel(const struct run_config *config)
{
	bool uml = config->accel == RUN_ACCEL_UML;
	struct stat st;
	int err = 0;

	if (stat(config->kernel, &st) || access(config->kernel, R_OK))
		err = -errno;
	else if (!S_ISREG(st.st_mode) || (uml && access(config->kernel, X_OK)))
		err = -ENOEXEC;
	if (err == -ENOEXEC)
		log_error("--kernel %s: not a %s", config->kernel,
			  uml ? "program; --accel uml needs a User-mode Linux" : "file; name a kernel image");
	else if (err)
		log_error("--kernel %s: %s; name a kernel image", config->kernel, strerror(-err));
	return err;
}

/* QEMU would remove what is there, and we at the end. */
static int check_socket(const char *option, const char *path)
{
	struct stat st;

	if (!path || !*path || lstat(path, &st) || S_ISSOCK(st.st_mode))
		return 0;
	log_error("--%s %s: there is such a file, and it is no socket; name another", option, path);
	return -EEXIST;
}

static int check_named(const struct run_config *config)
{
	int err = 0;

	for (unsigned int i = 0; i < config->n_shares && !err; i++)
		err = check_dir(config->shares[i].is_9p ? "9p" : "share", config->shares[i].dir);
	if (!err && config->root)
		err = check_dir("root", config->root);
	if (!err)
		err = run_net_check(config);
	if (!err)
		err = check_socket("monitor", config->monitor);
	if (!err)
		err = check_socket("gdb", config->gdb);
	if (!err)
		err = run_dump_check(config);
	return err || !config->kernel ? err : check_kernel(config);
}

/* As guest/systemd.c looks for it. */
static int check_systemd(const struct run_config *config, const struct run_parts *parts)
{
	static const char *const places[] = { "usr/lib/systemd/systemd", "lib/systemd/systemd" };
	char path[PATH_MAX];

	for (size_t i = 0; config->systemd && i < ARRAY_SIZE(places); i++)
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", parts->root, places[i]) < sizeof(path) && !access(path, F_OK))
			return 0;
	if (!config->systemd)
		return 0;
	log_error("--systemd: %s has no systemd; %s", config->root ? config->root : "the small Debian",
		  config->root ? "name a root that has" : "give --include systemd, or --root /:cow for this system's");
	return -ENOENT;
}

static int find_module(const struct run_config *config, struct run_parts *parts)
{
	struct stat st;
	int err = 0;

	if (config->driver != RUN_DRIVER_CASEMENT)
		return 0;
	parts->module = config->module ? config->module :
			find_own(parts->uml ? uml_module_places : module_places, R_OK);
	if (!parts->module) {
		log_error("casement.ko: not found beside this program; run `make %s`, or give --module",
			  parts->uml ? "kmod-uml" : "kmod");
		return -ENOENT;
	}
	/* It is copied, by a read that no signal ends: not from a pipe. */
	if (stat(parts->module, &st) || access(parts->module, R_OK))
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = -ENOEXEC;
	if (err)
		log_error("--module %s: %s; name a casement.ko for the guest's kernel", parts->module,
			  err == -ENOEXEC ? "not a file" : strerror(-err));
	return err;
}

int run_parts_find(const struct run_config *config, struct run_parts *parts)
{
	int err;

	*parts = (struct run_parts){ .kvm = false };
	err = check_named(config);
	if (!err)
		err = choose_accel(config, parts);
	if (err)
		return err;
	parts->daemon = config->daemon ? find_in_path(config->daemon) : find_own(daemon_places, R_OK | X_OK);
	if (!parts->daemon && !config->daemon)
		parts->daemon = find_in_path("casementd");
	if (!parts->daemon) {
		log_error("%s: not found; build or install Casement, or give --daemon",
			  config->daemon ? config->daemon : "casementd");
		return -ENOENT;
	}
	parts->init = find_own(init_places, R_OK | X_OK);
	if (!parts->init) {
		log_error("casement-init: not found beside this program; build or install Casement as a whole");
		return -ENOENT;
	}
	err = find_module(config, parts);
	if (!err)
		err = find_guest(config, parts);
	if (!err)
		err = check_systemd(config, parts);
	return err || parts->uml ? err : find_qemu(config, parts);
}
