/* SPDX-License-Identifier: BSD-3-Clause */
/* Running machines; see run_find.h. Each is a control directory that a process holds. */
#include "cli/run_find.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/run_leftover.h"
#include "cli/trust.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"

struct found {
	char dir[PATH_MAX];		/* the last one's */
	unsigned int n;
	char names[256];		/* of all, as far as there is room */
};

bool run_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-')
			return false;
	return len && len <= RUN_NAME_MAX && *name != '-';
}

/* That which it was given, else what tells its directory from others. */
static void read_name(const char *dir, char name[RUN_NAME_MAX + 1])
{
	cleanup_close int fd = -1;
	char path[PATH_MAX + sizeof(RUN_NAME_FILE)];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/" RUN_NAME_FILE, dir);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, name, RUN_NAME_MAX);
	name[MAX(n, 0)] = '\0';
	if (!run_name_is_valid(name))
		snprintf(name, RUN_NAME_MAX + 1, "%s", strrchr(dir, '-') + 1);
}

static void take(struct found *found, const char *dir, const char *wanted)
{
	char name[RUN_NAME_MAX + 1];
	size_t len = strlen(found->names);

	read_name(dir, name);
	if (wanted && strcmp(name, wanted))
		return;
	found->n++;
	snprintf(found->dir, sizeof(found->dir), "%s", dir);
	snprintf(found->names + len, sizeof(found->names) - len, "%s%s", len ? ", " : "", name);
}

static void look_in(struct found *found, const char *base, const char *wanted)
{
	DIR *dir = opendir(base);
	struct dirent *entry;
	char path[PATH_MAX];

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (leftover_is_held(dirfd(dir), entry->d_name) &&
		    (size_t)snprintf(path, sizeof(path), "%s/%s", base, entry->d_name) < sizeof(path))
			take(found, path, wanted);
	closedir(dir);
}

/* Where control_open() may have made them. */
static void look(struct found *found, const char *wanted)
{
	char base[PATH_MAX], tmp[PATH_MAX];
	bool own = trust_dir(getenv("XDG_RUNTIME_DIR"), false, base);

	*found = (struct found){ .n = 0 };
	if (own)
		look_in(found, base, wanted);
	if (trust_dir("/tmp", true, tmp) && (!own || strcmp(base, tmp)))
		look_in(found, tmp, wanted);
}

bool run_name_is_taken(const char *name)
{
	struct found found;

	look(&found, name);
	return found.n;
}

static int connect_to(const struct found *found, const char *name)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if ((size_t)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", found->dir, name) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	return take_fd(&fd);
}

int run_find_connect(const char *name, const char *socket)
{
	struct found found;
	int fd;

	look(&found, name);
	if (!found.n) {
		log_error("%s%sno machine of `casement run` of this user runs", name ? name : "", name ? ": " : "");
		return -ENOENT;
	}
	if (found.n > 1) {
		log_error("several machines run: %s; name one", found.names);
		return -ENOTUNIQ;
	}
	fd = connect_to(&found, socket);
	if (fd == -ENOENT)
		log_error("%s: this machine has no %s: native guests (--accel uml) have none", found.names, socket);
	else if (fd < 0)
		log_error("%s/%s: %s", found.dir, socket, strerror(-fd));
	return fd;
}
