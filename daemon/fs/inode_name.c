/* SPDX-License-Identifier: BSD-3-Clause */
/* Directories found again by their names; see inode_name.h. */
#include "daemon/fs/inode_name.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "daemon/fs/safe_open.h"

/* Of directories that rest, one in the other. Which lie deeper do not rest. */
#define DEPTH_MAX 512u
/* Births are as exact as the kernel's tick, 10 ms at most: a directory that is made later has another. */
#define TICKS_NS 20000000ULL
#define WANTED (STATX_TYPE | STATX_INO | STATX_BTIME | STATX_MNT_ID)

/* The parent's id and the name without its NUL, as they are packed. */
struct place {
	uint64_t parent;
	char name[UINT8_MAX - sizeof(uint64_t) + 1];
};

static struct inode_fds *fds_of(const struct inode *inode)
{
	return &inode_owner(inode)->fds;
}

/* ---- kept with the inode ---- */

static void *bytes_of(const struct packed_handle *handle)
{
	void *heap;

	if (handle->len <= HANDLE_INLINE)
		return (void *)(uintptr_t)handle->bytes;
	memcpy(&heap, handle->bytes, sizeof(heap));
	return heap;
}

static void unpack_locked(const struct inode *dir, struct place *place)
{
	const char *bytes = bytes_of(&dir->handle);
	size_t len = dir->handle.len - sizeof(place->parent);

	memcpy(&place->parent, bytes, sizeof(place->parent));
	memcpy(place->name, bytes + sizeof(place->parent), len);
	place->name[len] = '\0';
}

/* False without memory: then nothing has changed. */
static bool pack_locked(struct inode *dir, const struct place *place)
{
	size_t len = strlen(place->name);
	struct packed_handle packed = { .len = (uint8_t)(sizeof(place->parent) + len) };
	char *bytes = packed.len > HANDLE_INLINE ? malloc(packed.len) : (char *)packed.bytes;

	if (!bytes)
		return false;
	memcpy(bytes, &place->parent, sizeof(place->parent));
	memcpy(bytes + sizeof(place->parent), place->name, len);
	if (packed.len > HANDLE_INLINE)
		memcpy(packed.bytes, &bytes, sizeof(bytes));
	if (inode_has(dir, INODE_NAMED) && dir->handle.len > HANDLE_INLINE)
		free(bytes_of(&dir->handle));
	dir->handle = packed;
	inode_set(dir, INODE_NAMED);
	return true;
}

static bool set_place(struct inode *dir, uint64_t parent, const char *name)
{
	struct inode_fds *fds = fds_of(dir);
	struct place place = { .parent = parent };
	bool set;

	if (strlen(name) >= sizeof(place.name))
		return false;
	strcpy(place.name, name);
	pthread_mutex_lock(&fds->name_lock);
	set = pack_locked(dir, &place);
	pthread_mutex_unlock(&fds->name_lock);
	return set;
}

static void get_place(const struct inode *dir, struct place *place)
{
	struct inode_fds *fds = fds_of(dir);

	pthread_mutex_lock(&fds->name_lock);
	unpack_locked(dir, place);
	pthread_mutex_unlock(&fds->name_lock);
}

static bool rests(const struct inode *dir)
{
	return inode_has(dir, INODE_NAMED) && !inode_fd_held(dir);
}

void inode_name_note(struct inode *dir, const struct inode *parent, const char *name)
{
	struct place now;

	if (!rests(dir))
		return;
	get_place(dir, &now);
	if (now.parent != inode_id(parent) || strcmp(now.name, name))
		set_place(dir, inode_id(parent), name);
}

/* ---- laid to rest ---- */

/* Its last name, by its descriptor: the kernel knows the path. NULL: it has none, or lies too deep. */
static const char *read_name(const struct inode_fds *fds, int fd, char path[PATH_MAX])
{
	struct fd_name number = safe_open_name(fd);
	ssize_t len = readlinkat(fds->open->proc_fd, number.text, path, PATH_MAX - 1);
	const char *name = NULL;
	unsigned int depth = 0;

	if (len <= 0 || path[0] != '/')
		return NULL;
	path[len] = '\0';
	for (const char *slash = path; slash; slash = strchr(slash + 1, '/'), depth++)
		name = slash + 1;
	return *name && depth < DEPTH_MAX ? name : NULL;
}

/* The same name in its parent, whose id is known: that is where it is. */
static bool learn(struct inode_table *table, struct inode *dir, int fd)
{
	cleanup_inode struct inode *parent = NULL;
	char path[PATH_MAX], again[NAME_MAX + sizeof("../")];
	const char *name = read_name(&table->fds, fd, path);
	struct statx stx;

	if (!name || statx(fd, "..", 0, WANTED, &stx))
		return false;
	parent = inode_table_peek(table, &stx);
	if (!parent || (size_t)snprintf(again, sizeof(again), "../%s", name) >= sizeof(again))
		return false;
	if (statx(fd, again, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, WANTED, &stx) || !inode_table_is(dir, &stx))
		return false;
	return set_place(dir, inode_id(parent), name);
}

/* Can no directory that is made from now on have its number and its birth? */
static bool is_settled(const struct inode *dir)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return dir->born && (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec > dir->born + TICKS_NS;
}

bool inode_name_rest(struct inode_table *table, struct inode *dir)
{
	struct inode_fd at;
	int fd = -1;

	if (!inode_fd_is_own(dir) || !is_settled(dir) || inode_fd_get(dir, &at))
		return false;
	if (learn(table, dir, at.fd))
		fd = inode_table_rest(table, dir);
	if (fd < 0)
		return false;
	close(fd);
	fd_budget_give(table->fds.budget);
	return true;
}

/* ---- opened again ---- */

static int open_child(const struct inode_fds *fds, int parent_fd, const struct inode *dir)
{
	cleanup_close int fd = -1;
	struct place place;
	struct statx stx;

	get_place(dir, &place);
	fd = safe_open_child(fds->open, parent_fd, place.name);
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? -ESTALE : fd;
	if (statx(fd, "", AT_EMPTY_PATH, WANTED, &stx))
		return -errno;
	return inode_table_is(dir, &stx) ? take_fd(&fd) : -ESTALE;
}

/* From a directory to the first above it that has a descriptor, all counted but the first. */
struct chain {
	struct inode *dirs[DEPTH_MAX];
	unsigned int n;
	struct inode *top;
};

static int climb(struct inode_table *table, struct chain *chain, struct inode_fd *at)
{
	struct place place;

	for (;;) {
		get_place(chain->dirs[chain->n - 1], &place);
		chain->top = inode_table_get(table, place.parent);
		if (!chain->top)
			return -ESTALE;
		if (inode_fd_at_hand(chain->top, at))
			return 0;
		/* The host may have moved directories so that what is known of them goes round in a circle. */
		if (chain->n == DEPTH_MAX || !inode_has(chain->top, INODE_NAMED))
			return -ESTALE;
		chain->dirs[chain->n++] = chain->top;
		chain->top = NULL;
	}
}

int inode_name_open(struct inode *dir)
{
	struct inode_table *table = inode_owner(dir);
	struct inode_fd at = INODE_FD_NONE;
	struct chain chain = { .n = 1 };
	int next, fd = -1, err;

	chain.dirs[0] = dir;
	err = climb(table, &chain, &at);
	for (unsigned int i = chain.n; i-- > 0 && !err;) {
		next = open_child(&table->fds, fd < 0 ? at.fd : fd, chain.dirs[i]);
		close_fd(&fd);
		fd = next;
		err = MIN(next, 0);
	}
	inode_fd_put(&at);
	inode_put(chain.top);
	while (--chain.n)
		inode_put(chain.dirs[chain.n]);
	return err ? err : fd;
}
