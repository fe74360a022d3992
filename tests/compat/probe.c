/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sends each FUSE request once, in a form that makes sense, to whatever
 * vhost-user file-system daemon listens on a socket, and prints what came
 * back: "NAME RESULT", 0 or a negative errno; before that, INIT_FLAGS and what
 * it took of all that can be offered. For docs/compatibility.md; what is right
 * in an answer is the tests' business.
 *
 * usage: compat_probe SOCKET
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "casement/casement.h"
#include "common/checked.h"
#include "proto/fuse_wire.h"

#define PATIENCE_MS 5000

/* What the requests are about: made once, in probe_setup(). */
struct probe {
	struct casement *client;
	struct casement_queue *q, *hiprio;
	uint64_t file, fh, dir, dir_fh;
};

static int probe_setup(struct probe *p)
{
	const struct fuse_init_in everything = {
		.major = CASEMENT_FUSE_MAJOR, .minor = CASEMENT_FUSE_MINOR,
		.flags = UINT32_MAX, .flags2 = UINT32_MAX,
	};
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	struct fuse_init_out init = { .flags = 0 };
	int err = casement_init(p->q, &everything, &init);

	printf("INIT_FLAGS %#llx\n", (unsigned long long)init.flags2 << 32 | init.flags);
	/* A second one, as a guest sends it: what is agreed upon changes what requests look like. */
	if (!err)
		err = casement_init(p->q, NULL, &init);
	if (!err)
		err = casement_create(p->q, CASEMENT_ROOT, "file", O_RDWR, S_IFREG | 0644, &entry, &open);
	p->file = entry.nodeid;
	p->fh = open.fh;
	if (!err)
		err = casement_mkdir(p->q, CASEMENT_ROOT, "dir", 0755, &entry);
	p->dir = entry.nodeid;
	if (!err)
		err = casement_opendir(p->q, p->dir, &open);
	p->dir_fh = open.fh;
	return err;
}

/* A request without a function of its own: `in` as it stands, `out_size` bytes of room. */
static ssize_t call(struct probe *p, uint32_t opcode, uint64_t node, const void *in, size_t size,
		    size_t out_size)
{
	char out[512];
	struct iovec from = { (void *)(uintptr_t)in, size }, to = { out, out_size };

	return casement_call(p->q, opcode, node, &from, size ? 1 : 0, &to, out_size ? 1 : 0);
}

/* What is not answered worked if the daemon still answers afterwards. */
static ssize_t alive(struct probe *p)
{
	struct fuse_attr_out attr;

	return casement_getattr(p->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr);
}

static ssize_t p_init(struct probe *p)
{
	(void)p;
	return 0;	/* probe_setup() would not have come through */
}

static ssize_t p_lookup(struct probe *p)
{
	struct fuse_entry_out entry;

	return casement_lookup(p->q, CASEMENT_ROOT, "file", &entry);
}

static ssize_t p_forget(struct probe *p)
{
	return casement_forget(p->hiprio, p->file, 1) < 0 ? -EIO : alive(p);
}

static ssize_t p_batch_forget(struct probe *p)
{
	struct fuse_entry_out entry;
	struct fuse_forget_one one = { .nlookup = 1 };

	if (casement_lookup(p->q, CASEMENT_ROOT, "dir", &entry) < 0)
		return -EIO;
	one.nodeid = entry.nodeid;
	return casement_batch_forget(p->hiprio, &one, 1) < 0 ? -EIO : alive(p);
}

static ssize_t p_interrupt(struct probe *p)
{
	return casement_interrupt(p->hiprio, 4711) < 0 ? -EIO : alive(p);
}

static ssize_t p_getattr(struct probe *p)
{
	struct fuse_attr_out attr;

	return casement_getattr(p->q, p->file, CASEMENT_NO_FH, &attr);
}

static ssize_t p_setattr(struct probe *p)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = 0600 };
	struct fuse_attr_out attr;

	return casement_setattr(p->q, p->file, &in, &attr);
}

static ssize_t p_statx(struct probe *p)
{
	struct fuse_statx_out out;

	return casement_statx(p->q, p->file, CASEMENT_NO_FH, STATX_BASIC_STATS, &out);
}

static ssize_t p_readlink(struct probe *p)
{
	struct fuse_entry_out entry;
	char target[64];

	if (casement_symlink(p->q, CASEMENT_ROOT, "link", "target", &entry) < 0)
		return -EIO;
	return casement_readlink(p->q, entry.nodeid, target, sizeof(target));
}

static ssize_t p_symlink(struct probe *p)
{
	struct fuse_entry_out entry;

	return casement_symlink(p->q, CASEMENT_ROOT, "symlink", "target", &entry);
}

static ssize_t p_mknod(struct probe *p)
{
	struct fuse_entry_out entry;

	return casement_mknod(p->q, CASEMENT_ROOT, "fifo", S_IFIFO | 0600, 0, &entry);
}

static ssize_t p_mkdir(struct probe *p)
{
	struct fuse_entry_out entry;

	return casement_mkdir(p->q, CASEMENT_ROOT, "dir2", 0755, &entry);
}

static ssize_t p_unlink(struct probe *p)
{
	return casement_unlink(p->q, CASEMENT_ROOT, "symlink");
}

static ssize_t p_rmdir(struct probe *p)
{
	return casement_rmdir(p->q, CASEMENT_ROOT, "dir2");
}

static ssize_t p_link(struct probe *p)
{
	struct fuse_entry_out entry;

	return casement_link(p->q, p->file, CASEMENT_ROOT, "second", &entry);
}

static ssize_t p_rename(struct probe *p)
{
	return casement_rename(p->q, CASEMENT_ROOT, "second", CASEMENT_ROOT, "third", 0);
}

static ssize_t p_rename2(struct probe *p)
{
	return casement_rename(p->q, CASEMENT_ROOT, "third", CASEMENT_ROOT, "fourth", RENAME_NOREPLACE);
}

static ssize_t p_open(struct probe *p)
{
	struct fuse_open_out open;

	return casement_open(p->q, p->file, O_RDONLY, &open);
}

static ssize_t p_create(struct probe *p)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	return casement_create(p->q, CASEMENT_ROOT, "created", O_RDWR, S_IFREG | 0644, &entry, &open);
}

static ssize_t p_tmpfile(struct probe *p)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	return casement_tmpfile(p->q, CASEMENT_ROOT, O_RDWR, S_IFREG | 0600, &entry, &open);
}

static ssize_t p_release(struct probe *p)
{
	struct fuse_open_out open;
	ssize_t rc = casement_open(p->q, p->file, O_RDONLY, &open);

	return rc < 0 ? rc : casement_release(p->q, p->file, open.fh);
}

static ssize_t p_write(struct probe *p)
{
	static const char data[8192];

	return casement_write(p->q, p->file, p->fh, 0, data, sizeof(data));
}

static ssize_t p_read(struct probe *p)
{
	char data[4096];

	return casement_read(p->q, p->file, p->fh, 0, data, sizeof(data));
}

static ssize_t p_statfs(struct probe *p)
{
	struct fuse_statfs_out out;

	return casement_statfs(p->q, CASEMENT_ROOT, &out);
}

static ssize_t p_flush(struct probe *p)
{
	return casement_flush(p->q, p->file, p->fh);
}

static ssize_t p_fsync(struct probe *p)
{
	return casement_fsync(p->q, p->file, p->fh, 0);
}

static ssize_t p_syncfs(struct probe *p)
{
	return casement_syncfs(p->q, CASEMENT_ROOT);
}

static ssize_t p_access(struct probe *p)
{
	return casement_access(p->q, p->file, R_OK);
}

static ssize_t p_setxattr(struct probe *p)
{
	return casement_setxattr(p->q, p->file, "user.probe", "x", 1, 0);
}

static ssize_t p_getxattr(struct probe *p)
{
	char value[16];

	return casement_getxattr(p->q, p->file, "user.probe", value, sizeof(value));
}

static ssize_t p_listxattr(struct probe *p)
{
	char names[256];

	return casement_listxattr(p->q, p->file, names, sizeof(names));
}

static ssize_t p_removexattr(struct probe *p)
{
	return casement_removexattr(p->q, p->file, "user.probe");
}

static ssize_t p_opendir(struct probe *p)
{
	struct fuse_open_out open;

	return casement_opendir(p->q, p->dir, &open);
}

static ssize_t p_readdir(struct probe *p)
{
	char entries[4096];

	return casement_readdir(p->q, p->dir, p->dir_fh, 0, entries, sizeof(entries));
}

static ssize_t p_readdirplus(struct probe *p)
{
	char entries[4096];

	return casement_readdirplus(p->q, p->dir, p->dir_fh, 0, entries, sizeof(entries));
}

static ssize_t p_fsyncdir(struct probe *p)
{
	return casement_fsyncdir(p->q, p->dir, p->dir_fh, 0);
}

static ssize_t p_releasedir(struct probe *p)
{
	return casement_releasedir(p->q, p->dir, p->dir_fh);
}

static ssize_t p_fallocate(struct probe *p)
{
	return casement_fallocate(p->q, p->file, p->fh, 0, 0, 16384);
}

static ssize_t p_lseek(struct probe *p)
{
	return casement_lseek(p->q, p->file, p->fh, 0, SEEK_DATA);
}

static struct fuse_copy_file_range_in copy_of(const struct probe *p)
{
	return (struct fuse_copy_file_range_in){
		.fh_in = p->fh, .nodeid_out = p->file, .fh_out = p->fh, .off_out = 8192, .len = 4096,
	};
}

static ssize_t p_copy(struct probe *p)
{
	struct fuse_copy_file_range_in in = copy_of(p);

	return casement_copy_file_range(p->q, &in, p->file);
}

static ssize_t p_copy_64(struct probe *p)
{
	struct fuse_copy_file_range_in in = copy_of(p);

	return call(p, FUSE_COPY_FILE_RANGE_64, p->file, &in, sizeof(in),
		    sizeof(struct fuse_copy_file_range_out));
}

static struct fuse_lk_in lock_of(const struct probe *p)
{
	return (struct fuse_lk_in){ .fh = p->fh, .owner = 1, .lk = { .end = INT64_MAX, .type = F_WRLCK } };
}

static ssize_t p_getlk(struct probe *p)
{
	struct fuse_lk_in in = lock_of(p);

	return call(p, FUSE_GETLK, p->file, &in, sizeof(in), sizeof(struct fuse_lk_out));
}

static ssize_t p_setlk(struct probe *p)
{
	struct fuse_lk_in in = lock_of(p);

	return call(p, FUSE_SETLK, p->file, &in, sizeof(in), 0);
}

static ssize_t p_setlkw(struct probe *p)
{
	struct fuse_lk_in in = lock_of(p);

	return call(p, FUSE_SETLKW, p->file, &in, sizeof(in), 0);
}

static ssize_t p_ioctl(struct probe *p)
{
	int32_t result;
	int flags;
	ssize_t n = casement_ioctl(p->q, p->file, p->fh, FS_IOC_GETFLAGS, 0, NULL, 0, &flags,
				   sizeof(flags), &result);

	return n < 0 ? n : result;
}

static ssize_t p_poll(struct probe *p)
{
	struct fuse_poll_in in = { .fh = p->fh, .events = 1 };

	return call(p, FUSE_POLL, p->file, &in, sizeof(in), sizeof(struct fuse_poll_out));
}

static ssize_t p_bmap(struct probe *p)
{
	struct fuse_bmap_in in = { .blocksize = 4096 };

	return call(p, FUSE_BMAP, p->file, &in, sizeof(in), sizeof(struct fuse_bmap_out));
}

static ssize_t p_notify_reply(struct probe *p)
{
	struct fuse_notify_retrieve_in in = { .size = 0 };

	return call(p, FUSE_NOTIFY_REPLY, p->file, &in, sizeof(in), 0);
}

static ssize_t p_cuse_init(struct probe *p)
{
	struct cuse_init_in in = { .major = 7, .minor = 38 };

	return call(p, CUSE_INIT, 0, &in, sizeof(in), sizeof(struct cuse_init_out));
}

/* 2 MiB of the file, as a mainline guest maps it. */
static ssize_t p_setupmapping(struct probe *p)
{
	return casement_setupmapping(p->q, p->file, p->fh, 0, 2u << 20, FUSE_SETUPMAPPING_FLAG_READ, 0);
}

static ssize_t p_removemapping(struct probe *p)
{
	const struct fuse_removemapping_one one = { .len = 2u << 20 };

	return casement_removemapping(p->q, &one, 1);
}

static ssize_t p_destroy(struct probe *p)
{
	return casement_destroy(p->q);
}

/* In an order in which each finds what it needs. */
static const struct { const char *name; ssize_t (*send)(struct probe *p); } requests[] = {
	{ "INIT", p_init }, { "LOOKUP", p_lookup }, { "FORGET", p_forget },
	{ "BATCH_FORGET", p_batch_forget }, { "INTERRUPT", p_interrupt },
	{ "GETATTR", p_getattr }, { "SETATTR", p_setattr }, { "STATX", p_statx },
	{ "STATFS", p_statfs }, { "ACCESS", p_access }, { "MKNOD", p_mknod },
	{ "MKDIR", p_mkdir }, { "SYMLINK", p_symlink }, { "READLINK", p_readlink },
	{ "LINK", p_link }, { "RENAME", p_rename }, { "RENAME2", p_rename2 },
	{ "UNLINK", p_unlink }, { "RMDIR", p_rmdir }, { "OPEN", p_open }, { "CREATE", p_create },
	{ "TMPFILE", p_tmpfile }, { "WRITE", p_write }, { "READ", p_read }, { "LSEEK", p_lseek },
	{ "FALLOCATE", p_fallocate }, { "COPY_FILE_RANGE", p_copy },
	{ "COPY_FILE_RANGE_64", p_copy_64 }, { "FLUSH", p_flush }, { "FSYNC", p_fsync },
	{ "SYNCFS", p_syncfs }, { "IOCTL", p_ioctl }, { "RELEASE", p_release },
	{ "GETLK", p_getlk }, { "SETLK", p_setlk }, { "SETLKW", p_setlkw },
	{ "SETXATTR", p_setxattr }, { "GETXATTR", p_getxattr }, { "LISTXATTR", p_listxattr },
	{ "REMOVEXATTR", p_removexattr }, { "OPENDIR", p_opendir }, { "READDIR", p_readdir },
	{ "READDIRPLUS", p_readdirplus }, { "FSYNCDIR", p_fsyncdir },
	{ "RELEASEDIR", p_releasedir }, { "SETUPMAPPING", p_setupmapping },
	{ "REMOVEMAPPING", p_removemapping }, { "POLL", p_poll }, { "BMAP", p_bmap },
	{ "NOTIFY_REPLY", p_notify_reply }, { "CUSE_INIT", p_cuse_init }, { "DESTROY", p_destroy },
};

int main(int argc, char **argv)
{
	struct casement_options options = { .timeout_ms = PATIENCE_MS };
	struct probe p = { .client = NULL };
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: compat_probe SOCKET\n");
		return 2;
	}
	err = casement_connect(argv[1], &options, &p.client);
	if (!err) {
		p.q = casement_request_queue(p.client, 0);
		p.hiprio = casement_hiprio_queue(p.client);
		err = probe_setup(&p);
	}
	if (err) {
		fprintf(stderr, "compat_probe: %s: %s\n", argv[1], casement_error());
		casement_close(p.client);
		return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		ssize_t rc = requests[i].send(&p);

		printf("%s %s\n", requests[i].name, rc < 0 ? strerrorname_np((int)-rc) : "0");
	}
	casement_close(p.client);
	return 0;
}
