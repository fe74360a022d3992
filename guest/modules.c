/* SPDX-License-Identifier: BSD-3-Clause */
/* Modules of the guest's kernel; see modules.h. depmod(8) wrote which needs which into modules.dep. */
#include "guest/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/cleanup.h"

/* Links lead to where they do once `root` is the root. */
static int open_below(int root, const char *path, int flags)
{
	struct open_how how = { .flags = (unsigned int)flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int open_modules(const char *root)
{
	cleanup_close int top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char path[sizeof("lib/modules/") + sizeof(((struct utsname *)0)->release)];
	struct utsname kernel;
	int fd;

	if (top < 0 || uname(&kernel))
		return -errno;
	snprintf(path, sizeof(path), "lib/modules/%s", kernel.release);
	fd = open_below(top, path, O_RDONLY | O_DIRECTORY);
	return fd == -ENOENT ? open_below(top, kernel.release, O_RDONLY | O_DIRECTORY) : fd;
}

/* True when the file of `path` holds the module `name`, where - and _ are one. */
static bool is_named(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/'), *p = slash ? slash + 1 : path;

	for (; *name; p++, name++)
		if (*p != *name && !(strchr("-_", *p) && strchr("-_", *name)))
			return false;
	return !strncmp(p, ".ko", 3);
}

/* One file; the kernel unpacks it where it has to. */
static int load_file(int modules, const char *path)
{
	size_t len = strlen(path);
	bool plain = len > 3 && !strcmp(path + len - 3, ".ko");
	cleanup_close int fd = open_below(modules, path, O_RDONLY);

	if (fd < 0)
		return fd;
	if (!syscall(SYS_finit_module, fd, "", plain ? 0 : MODULE_INIT_COMPRESSED_FILE) || errno == EEXIST)
		return 0;
	return -errno;
}

/* "FILE: NEEDS NEEDS...": what is needed by others of the line comes behind them. */
static int load_line(int modules, char *line)
{
	char *colon = strchr(line, ':'), *blank;
	int err = 0;

	*colon = '\0';
	for (char *rest = colon + 1; !err && (blank = strrchr(rest, ' ')); *blank = '\0')
		if (blank[1])
			err = load_file(modules, blank + 1);
	return err ? err : load_file(modules, line);
}

int modules_load(const char *root, const char *name)
{
	cleanup_close int modules = open_modules(root);
	int fd = modules < 0 ? modules : open_below(modules, "modules.dep", O_RDONLY);
	cleanup_fclose FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	cleanup_free char *line = NULL;
	size_t size = 0;
	ssize_t len;

	if (!file)
		return fd < 0 ? fd : -errno;
	while ((len = getline(&line, &size, file)) > 0) {
		char *colon = strchr(line, ':');

		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (!colon)
			continue;
		*colon = '\0';
		if (!is_named(line, name))
			continue;
		*colon = ':';
		return load_line(modules, line);
	}
	return -ENOENT;
}
