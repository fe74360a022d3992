/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection to a share and what is in its directories; see remote.h. */
#include "cli/remote.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/connect.h"
#include "common/checked.h"
#include "common/log.h"

#define LIST_BYTES 65536u

static int begin(struct remote *remote, const char *socket)
{
	struct fuse_init_out init;
	int err = casement_init(remote->queue, NULL, &init);

	if (err) {
		log_error("%s: the daemon does not accept a mount: %s", socket, casement_error());
		return err;
	}
	remote->max_write = MIN(MAX(init.max_write, 4096), REMOTE_BLOCK_MAX);
	remote->max_read = init.flags & FUSE_MAX_PAGES ?
			   MIN(init.max_pages * 4096u, REMOTE_BLOCK_MAX) : 32 * 4096u;
	remote->max_read = MAX(remote->max_read, 4096);
	casement_set_caller(remote->queue, geteuid(), getegid(), (uint32_t)getpid());
	return 0;
}

void remote_close(struct remote *remote)
{
	if (remote->client && remote->max_read)
		casement_destroy(remote->queue);
	casement_close(remote->client);
	remote_stream_free(remote);
	*remote = (struct remote){ 0 };
}

int remote_open(const char *socket, struct remote *remote)
{
	struct casement_options options = {
		.flags = CASEMENT_NO_WINDOW, .depth = 16,
		.heap_size = (REMOTE_BLOCKS + 1) * REMOTE_BLOCK_MAX,
	};
	int err;

	*remote = (struct remote){ 0 };
	err = connect_daemon(socket, &options, &remote->client);
	if (err)
		return err;
	remote->queue = casement_request_queue(remote->client, 0);
	remote->hiprio = casement_hiprio_queue(remote->client);
	for (unsigned int i = 0; i < REMOTE_BLOCKS; i++)
		remote->blocks[i] = casement_alloc(remote->client, REMOTE_BLOCK_MAX);
	err = remote_stream_new(remote);
	if (!err)
		err = begin(remote, socket);
	if (err)
		remote_close(remote);
	return err;
}

int remote_lookup(struct remote *remote, uint64_t parent, const char *name,
		  struct remote_node *out)
{
	struct fuse_entry_out entry;
	int err = casement_lookup(remote->queue, parent, name, &entry);

	if (err)
		return err;
	/* A cached "there is none". */
	if (!entry.nodeid)
		return -ENOENT;
	*out = (struct remote_node){ entry.nodeid, entry.attr };
	return 0;
}

void remote_put(struct remote *remote, const struct remote_node *node)
{
	/* It can only fail with the connection, which others notice. */
	if (node->id != CASEMENT_ROOT)
		casement_forget(remote->hiprio, node->id, 1);
}

int remote_readlink(struct remote *remote, uint64_t node, char *target, size_t size)
{
	ssize_t n = casement_readlink(remote->queue, node, target, size - 1);

	if (n < 0)
		return (int)n;
	target[n] = '\0';
	return n && strlen(target) == (size_t)n ? 0 : -EPROTO;
}

/* ---- directories ---- */

static bool is_dots(const char *name, size_t len)
{
	return (len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.');
}

static int add_name(struct remote_names *names, size_t *room, const char *name, size_t len)
{
	if (!len || len > REMOTE_NAME_MAX || memchr(name, '/', len) || memchr(name, '\0', len))
		return -EPROTO;
	if (is_dots(name, len))
		return 0;
	if (names->n == *room) {
		size_t more = *room ? 2 * *room : 64;
		char **grown = realloc(names->names, more * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		names->names = grown;
		*room = more;
	}
	names->names[names->n] = strndup(name, len);
	return names->names[names->n] && ++names->n ? 0 : -ENOMEM;
}

/* One answer's entries; *offset gets the last one's. */
static int add_entries(struct remote_names *names, size_t *room, const char *buf, size_t size,
		       uint64_t *offset)
{
	while (size >= FUSE_NAME_OFFSET) {
		const struct fuse_dirent *entry = (const void *)buf;
		size_t len = entry->namelen, bytes = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + len);
		int err;

		if (len > REMOTE_NAME_MAX || bytes > size)
			return -EPROTO;
		err = add_name(names, room, entry->name, len);
		if (err)
			return err;
		*offset = entry->off;
		buf += bytes;
		size -= bytes;
	}
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void remote_names_free(struct remote_names *names)
{
	while (names->n)
		free(names->names[--names->n]);
	free(names->names);
	names->names = NULL;
}

static int list_open(struct remote *remote, uint64_t node, uint64_t fh, struct remote_names *out)
{
	/* A copy that the daemon does not see. */
	static _Alignas(8) char buf[LIST_BYTES];
	uint64_t offset = 0;
	size_t room = 0;
	ssize_t n;
	int err = 0;

	while (!err && (n = casement_readdir(remote->queue, node, fh, offset, buf, sizeof(buf))))
		err = n < 0 ? (int)n : add_entries(out, &room, buf, (size_t)n, &offset);
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
