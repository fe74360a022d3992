/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The names in a share's directory; see remote.h. What the daemon answers is
 * copied before it is read, and a listing has an end, whatever it answers.
 */
#include "cli/remote.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/checked.h"

#define LIST_BYTES 65536u
#define LIST_MOST (512u << 20)	/* bytes of names kept at a time: some ten million files */
#define NAME_COST 32u		/* bytes a name takes beside its letters: a pointer, and malloc(3)'s own */

struct listing {
	struct remote *remote;
	struct remote_names *names;
	size_t room;		/* of names->names */
	uint64_t offset;	/* where the next answer begins */
	uint64_t before;	/* one of the offsets that were */
	uint64_t answers;	/* so far */
};

static bool is_dots(const char *name, size_t len)
{
	return (len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.');
}

static int add_name(struct listing *list, const char *name, size_t len)
{
	struct remote_names *names = list->names;

	if (!len || len > REMOTE_NAME_MAX || memchr(name, '/', len) || memchr(name, '\0', len))
		return -EPROTO;
	if (is_dots(name, len))
		return 0;
	names->bytes += NAME_COST + len;
	list->remote->listed += NAME_COST + len;
	if (list->remote->listed > LIST_MOST)
		return -EFBIG;
	if (names->n == list->room) {
		size_t more = list->room ? 2 * list->room : 64;
		char **grown = realloc(names->names, more * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		names->names = grown;
		list->room = more;
	}
	names->names[names->n] = strndup(name, len);
	return names->names[names->n] && ++names->n ? 0 : -ENOMEM;
}

/* One answer's entries, all of them whole. */
static int add_entries(struct listing *list, const char *buf, size_t size)
{
	while (size) {
		const struct fuse_dirent *entry = (const void *)buf;
		size_t bytes;
		int err;

		if (size < FUSE_NAME_OFFSET || entry->namelen > REMOTE_NAME_MAX)
			return -EPROTO;
		bytes = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry->namelen);
		if (bytes > size)
			return -EPROTO;
		err = add_name(list, entry->name, entry->namelen);
		if (err)
			return err;
		list->offset = entry->off;
		buf += bytes;
		size -= bytes;
	}
	return 0;
}

/*
 * Offsets are the daemon's own, in any order, so a circle is one that was there before: the one
 * remembered is moved on at each power of two, and a circle of any length comes by it (Brent).
 */
static bool goes_round(struct listing *list)
{
	if (list->answers++ && list->offset == list->before)
		return true;
	if (is_power_of_two(list->answers))
		list->before = list->offset;
	return false;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void remote_names_free(struct remote *remote, struct remote_names *names)
{
	while (names->n)
		free(names->names[--names->n]);
	free(names->names);
	names->names = NULL;
	remote->listed -= names->bytes;
	names->bytes = 0;
}

static int list_open(struct remote *remote, uint64_t node, uint64_t fh, struct remote_names *out)
{
	/* A copy that the daemon does not see. */
	static _Alignas(8) char buf[LIST_BYTES];
	struct listing list = { .remote = remote, .names = out };
	ssize_t n;
	int err = 0;

	while (!err && (n = casement_readdir(remote->queue, node, fh, list.offset, buf, sizeof(buf)))) {
		err = n < 0 ? (int)n : add_entries(&list, buf, (size_t)n);
		if (!err && goes_round(&list))
			err = -EPROTO;
	}
	return err;
}

int remote_list(struct remote *remote, uint64_t node, struct remote_names *out)
{
	struct fuse_open_out open;
	int err;

	*out = (struct remote_names){ 0 };
	err = casement_opendir(remote->queue, node, &open);
	if (err)
		return err;
	err = list_open(remote, node, open.fh, out);
	casement_releasedir(remote->queue, node, open.fh);
	if (out->n)
		qsort(out->names, out->n, sizeof(out->names[0]), compare_names);
	return err;
}

bool remote_is_above(const struct remote_above *above, uint64_t node)
{
	while (above && above->node != node)
		above = above->above;
	return above;
}
