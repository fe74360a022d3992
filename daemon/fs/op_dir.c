/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories read. One getdents64(2) for many replies (dir_stream.h); with
 * `plus` also one statx(2) for an entry whose inode is known, and two calls
 * for one that is not.
 *
 * Relies on dir_stream for the place. Never fails a walk because one entry
 * vanished or could not be opened: it is given without attributes.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/fs/dir_stream.h"
#include "daemon/fs/fs_kind.h"
#include "daemon/fs/fs_private.h"

/* A descriptor that reads the directory, and its inode, held; or -errno. */
static int open_node(struct fs *fs, uint64_t node, struct inode **inode)
{
	int err = fs_node_get(fs, node, inode);

	if (err)
		return err;
	if (!S_ISDIR((*inode)->type))
		return -ENOTDIR;
	return inode_fd_open(*inode, O_RDONLY | O_DIRECTORY);
}

int fs_opendir(struct fs *fs, uint64_t node, uint64_t *handle)
{
	cleanup_inode struct inode *inode = NULL;
	struct handle_parts parts = { 0 };
	cleanup_close int fd = open_node(fs, node, &inode);
	int err;

	if (fd < 0)
		return fd;
	parts = (struct handle_parts){
		.fd = fd, .inode = inode,
		.dir = dir_stream_new(&fs->listings, inode_fs_kind(inode) & FS_KIND_LISTS_AS_OPENED),
	};
	if (!parts.dir)
		return -ENOMEM;
	err = fs_handle_add(fs, &parts, handle);
	if (err)
		dir_stream_free(parts.dir);
	else
		take_fd(&fd);
	return err;
}

int fs_releasedir(struct fs *fs, uint64_t handle)
{
	return handle_table_release(&fs->handles, handle, HANDLE_DIR);
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* A host's file system would be broken to give these; a guest's kernel must not see them. */
static bool name_usable(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= 255 && !memchr(name, '/', len);
}

/* Look an entry up. Its inode number tells, mostly, whether it is known: that saves a call. */
static void resolve_entry(struct fs *fs, const struct fs_at *dir, const struct dir_record *record,
			  struct fs_entry *entry)
{
	struct inode_key guess = dir->inode->key;
	enum fs_patience patience;
	enum look look;

	guess.ino = record->ino;
	look = inode_table_knows(&fs->inodes, &guess) ? LOOK_FIRST : LOOK_LATER;
	/* What is mounted here is not asked: who only lists the names waits for no other server. */
	patience = patience_swap(FS_PATIENCE_DISK);
	if (is_dot(record->name) || fs_lookup_child(fs, dir, record->name, look, entry) < 0)
		memset(entry, 0, sizeof(*entry));
	patience_swap(patience);
}

/*
 * The number that is listed. At the root of a mount ".." is the root itself by the
 * host's listing, and a directory of another file system by its path.
 */
static struct fs_number listed_number(struct fs *fs, const struct fs_at *dir,
				      const struct dir_record *record)
{
	struct statx stx;

	if (!strcmp(record->name, "..") && inode_has(dir->inode, INODE_ELSEWHERE) &&
	    !fs_stat_name(dir, "..", STATX_INO, &stx))
		return fs_number_of(fs, inode_device(&stx), stx.stx_ino);
	return fs_number_of(fs, dir->inode->key.device, record->ino);
}

static bool offer(struct fs *fs, const struct fs_at *dir, const struct dir_record *record,
		  bool last, bool plus, fs_emit_fn emit, void *ctx)
{
	struct fs_entry entry;
	struct fs_dirent dirent = {
		.number = listed_number(fs, dir, record),
		.next = (uint64_t)record->next,
		.type = record->type,
		.last = last,
		.name_len = (uint16_t)strlen(record->name),
		.name = record->name,
	};

	if (plus) {
		resolve_entry(fs, dir, record, &entry);
		dirent.entry = &entry;
		if (entry.node)
			dirent.number = entry.attr.number;
	}
	if (emit(ctx, &dirent))
		return true;
	if (plus && entry.node)
		fs_forget(fs, entry.node, 1);
	return false;
}

static int walk(struct fs *fs, const struct handle *open, bool plus, size_t hint,
		fs_emit_fn emit, void *ctx)
{
	struct dir_stream *stream = open->dir;
	const struct fs_at dir = { .inode = open->inode, .fd = open->fd };
	const struct dir_record *record;
	bool given = false, filled = false;
	ssize_t n;

	for (;;) {
		record = dir_stream_peek(stream);
		if (!record) {
			/* A second fill would mostly only learn that this is the end. */
			if (given && filled)
				return 0;
			n = dir_stream_fill(stream, open->fd, hint);
			/* What was given already must arrive; an error will come again. */
			if (n <= 0)
				return given ? 0 : (int)n;
			filled = true;
			continue;
		}
		if (name_usable(record->name)) {
			if (!offer(fs, &dir, record, false, plus, emit, ctx))
				return 0;
			given = true;
		}
		dir_stream_advance(stream);
	}
}

int fs_readdir(struct fs *fs, uint64_t node, uint64_t handle, uint64_t offset, bool plus,
	       size_t hint, fs_emit_fn emit, void *ctx)
{
	cleanup_handle struct handle *open = NULL;
	int err = fs_handle_get(fs, handle, HANDLE_DIR, &open);

	(void)node;
	if (err)
		return err;
	pthread_mutex_lock(&open->dir->lock);
	err = dir_stream_seek(open->dir, open->fd, offset);
	if (!err)
		err = walk(fs, open, plus, hint, emit, ctx);
	dir_stream_rest(open->dir);
	pthread_mutex_unlock(&open->dir->lock);
	return err;
}

/* A record that is passed in its stream before it is given: only what follows tells if it is the last. */
struct held_record {
	char bytes[sizeof(struct dir_record) + NAME_MAX + 1];
};

/* The stream's next usable record, reading on. 1 with it, 0 at the end, -errno. */
static ssize_t hold_next(struct dir_stream *stream, int fd, size_t hint, struct held_record *held)
{
	for (;;) {
		const struct dir_record *record = dir_stream_peek(stream);
		bool usable;

		if (!record) {
			ssize_t n = dir_stream_fill(stream, fd, hint);

			if (n <= 0)
				return n;
			continue;
		}
		usable = name_usable(record->name);
		if (usable)
			memcpy(held, record, sizeof(*record) + strlen(record->name) + 1);
		dir_stream_advance(stream);
		if (usable)
			return 1;
	}
}

/* With one record in hand and the next one looked for. */
static int list(struct fs *fs, const struct fs_at *dir, struct dir_stream *stream, bool plus,
		size_t hint, fs_emit_fn emit, void *ctx)
{
	struct held_record held[2];
	unsigned int n = 0;
	ssize_t more = hold_next(stream, dir->fd, hint, &held[0]);

	if (more <= 0)
		return (int)more;
	for (; more > 0; n++) {
		/* An error will come again to who asks for more; what there is must arrive. */
		more = hold_next(stream, dir->fd, hint, &held[(n + 1) % 2]);
		if (!offer(fs, dir, (const struct dir_record *)held[n % 2].bytes, !more, plus, emit, ctx))
			return 0;
	}
	return 0;
}

int fs_list(struct fs *fs, uint64_t node, bool plus, size_t hint, fs_emit_fn emit, void *ctx)
{
	cleanup_inode struct inode *inode = NULL;
	cleanup_close int fd = open_node(fs, node, &inode);
	struct dir_stream *stream;
	int err;

	if (fd < 0)
		return fd;
	stream = dir_stream_new(&fs->listings, false);
	if (!stream)
		return -ENOMEM;
	err = list(fs, &(struct fs_at){ .inode = inode, .fd = fd }, stream, plus, hint, emit, ctx);
	dir_stream_free(stream);
	return err;
}
