/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection to a share; see remote.h. */
#include "cli/remote.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/connect.h"
#include "common/checked.h"
#include "common/log.h"

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
	remote_forgets_free(remote);
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
		err = remote_forgets_new(remote);
	if (!err)
		err = begin(remote, socket);
	if (err)
		remote_close(remote);
	return err;
}

bool remote_ended(const struct remote *remote)
{
	return casement_ended(remote->client);
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

int remote_readlink(struct remote *remote, uint64_t node, char *target, size_t size)
{
	ssize_t n = casement_readlink(remote->queue, node, target, size - 1);

	if (n < 0)
		return (int)n;
	target[n] = '\0';
	return n && strlen(target) == (size_t)n ? 0 : -EPROTO;
}
