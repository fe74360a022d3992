/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * INIT, DESTROY and INTERRUPT. Everything the protocol lets a server accept or
 * refuse stands in one table with its reason. Relies on session.h for the
 * state; never accepts what the guest did not offer.
 */
#include "daemon/protocol/init.h"

#include <errno.h>
#include <string.h>

#include "common/checked.h"
#include "common/log.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/reply.h"
#include "proto/fuse_extension.h"

#define INIT_MAX_WRITE (1u << 20)
/* Half of QEMU's default ring of 128, so that a flood of readahead leaves room for the rest. */
#define INIT_MAX_BACKGROUND 64
#define INIT_MAP_ALIGNMENT 12	/* log2: mmap(2)'s page */

/* The minors whose guests know these FOPEN_* flags. */
#define INIT_MINOR_NOFLUSH 35
#define INIT_MINOR_PARALLEL_WRITES 38

static bool want_always(const struct server *server)
{
	(void)server;
	return true;
}

static bool want_unless_cache_always(const struct server *server)
{
	return server->config.cache != CACHE_ALWAYS;
}

static bool want_unless_cache_never(const struct server *server)
{
	return server->config.cache != CACHE_NEVER;
}

static bool want_if_readdirplus(const struct server *server)
{
	return server->config.readdirplus != READDIRPLUS_NEVER && server->config.cache != CACHE_NEVER;
}

static bool want_if_readdirplus_auto(const struct server *server)
{
	return server->config.readdirplus == READDIRPLUS_AUTO && server->config.cache != CACHE_NEVER;
}

static bool want_if_writeback(const struct server *server)
{
	return server->config.writeback;
}

static bool want_if_posix_lock(const struct server *server)
{
	return server->config.posix_lock;
}

static bool want_if_flock(const struct server *server)
{
	return server->config.flock;
}

static bool want_if_mmap(const struct server *server)
{
	return server->config.allow_mmap;
}

static bool want_if_submounts(const struct server *server)
{
	return server->config.submounts;
}

static bool want_if_window(const struct server *server)
{
	return session_has_window(server);
}

static bool want_if_killpriv(const struct server *server)
{
	return server->config.killpriv_v2;
}

static bool want_if_acl(const struct server *server)
{
	return server->config.posix_acl != DEMAND_NEVER && !fs_umask_ready(server->fs);
}

static bool want_if_label(const struct server *server)
{
	return server->config.security_label != DEMAND_NEVER;
}

/* A bit that <linux/fuse.h> has no usable name for. */
#define BIT_OF(n) (1ULL << (n))

static const struct init_feature features[] = {
	{ FUSE_ASYNC_READ, "ASYNC_READ", want_always,
	  "reads of one file may run side by side" },
	{ FUSE_POSIX_LOCKS, "POSIX_LOCKS", want_if_posix_lock,
	  "locks are the guest's own unless --posix-lock shares them" },
	{ FUSE_FILE_OPS, "FILE_OPS", NULL,
	  "no kernel ever gave it a meaning" },
	{ FUSE_ATOMIC_O_TRUNC, "ATOMIC_O_TRUNC", want_always,
	  "OPEN cuts the file itself: one request instead of two" },
	{ FUSE_EXPORT_SUPPORT, "EXPORT_SUPPORT", NULL,
	  "LOOKUP of . and .. is refused like every such name" },
	{ FUSE_BIG_WRITES, "BIG_WRITES", want_always,
	  "writes of more than a page" },
	{ FUSE_DONT_MASK, "DONT_MASK", want_if_acl,
	  "a umask does not count where a default ACL does, which only the host sees" },
	{ FUSE_SPLICE_WRITE, "SPLICE_WRITE", NULL, "about /dev/fuse" },
	{ FUSE_SPLICE_MOVE, "SPLICE_MOVE", NULL, "about /dev/fuse" },
	{ FUSE_SPLICE_READ, "SPLICE_READ", NULL, "about /dev/fuse" },
	{ FUSE_FLOCK_LOCKS, "FLOCK_LOCKS", want_if_flock,
	  "as POSIX_LOCKS, by --flock" },
	{ FUSE_HAS_IOCTL_DIR, "HAS_IOCTL_DIR", want_always,
	  "directories have flags, too" },
	{ FUSE_AUTO_INVAL_DATA, "AUTO_INVAL_DATA", want_unless_cache_always,
	  "pages of a file that others changed are dropped; cache=always rules others out" },
	{ FUSE_DO_READDIRPLUS, "DO_READDIRPLUS", want_if_readdirplus,
	  "listing looks up, too; wasted where nothing may be cached" },
	{ FUSE_READDIRPLUS_AUTO, "READDIRPLUS_AUTO", want_if_readdirplus_auto,
	  "only while the guest uses what listing looked up" },
	{ FUSE_ASYNC_DIO, "ASYNC_DIO", want_always,
	  "direct I/O of one file may run side by side" },
	{ FUSE_WRITEBACK_CACHE, "WRITEBACK_CACHE", want_if_writeback,
	  "the guest gathers writes; asked for by --writeback, as others see them late" },
	{ FUSE_NO_OPEN_SUPPORT, "NO_OPEN_SUPPORT", NULL,
	  "OPEN is served: reads and writes need the handle" },
	{ FUSE_PARALLEL_DIROPS, "PARALLEL_DIROPS", want_always,
	  "look-ups in one directory may run side by side" },
	{ FUSE_HANDLE_KILLPRIV, "HANDLE_KILLPRIV", NULL,
	  "the guest's kernel clears set-id bits itself, knowing the caller's capabilities" },
	{ FUSE_POSIX_ACL, "POSIX_ACL", want_if_acl,
	  "ACLs are the host's; asked for by --posix-acl" },
	{ FUSE_ABORT_ERROR, "ABORT_ERROR", NULL, "about /dev/fuse" },
	{ FUSE_MAX_PAGES, "MAX_PAGES", want_always,
	  "requests of up to 1 MiB instead of 128 KiB" },
	{ FUSE_CACHE_SYMLINKS, "CACHE_SYMLINKS", want_unless_cache_never,
	  "a link's target stays as long as the link: another one is another inode" },
	{ FUSE_NO_OPENDIR_SUPPORT, "NO_OPENDIR_SUPPORT", NULL,
	  "OPENDIR is served: listing needs the handle" },
	{ FUSE_EXPLICIT_INVAL_DATA, "EXPLICIT_INVAL_DATA", NULL,
	  "there is no queue to notify the guest by" },
	{ FUSE_MAP_ALIGNMENT, "MAP_ALIGNMENT", want_if_window,
	  "mappings start at pages" },
	{ FUSE_SUBMOUNTS, "SUBMOUNTS", want_if_submounts,
	  "mounts inside the share are mounts in the guest, too, unless --no-announce-submounts" },
	{ FUSE_HANDLE_KILLPRIV_V2, "HANDLE_KILLPRIV_V2", want_if_killpriv,
	  "by --killpriv-v2; else the guest's kernel clears set-id bits itself" },
	{ FUSE_SETXATTR_EXT, "SETXATTR_EXT", want_if_acl,
	  "tells when a new ACL is to clear the set-gid bit" },
	{ FUSE_INIT_EXT, "INIT_EXT", want_always,
	  "the flags from bit 32 on" },
	{ BIT_OF(31), "INIT_RESERVED", NULL,
	  "reserved by the protocol" },
	{ FUSE_SECURITY_CTX, "SECURITY_CTX", want_if_label,
	  "the label of a new file comes with the request; asked for by --security-label" },
	{ FUSE_HAS_INODE_DAX, "HAS_INODE_DAX", want_if_window,
	  "we say of each file whether it may go through the window" },
	{ FUSE_CREATE_SUPP_GROUP, "CREATE_SUPP_GROUP", want_always,
	  "a new file keeps the set-gid bit when its maker is in the group" },
	{ FUSE_HAS_EXPIRE_ONLY, "HAS_EXPIRE_ONLY", NULL,
	  "there is no queue to notify the guest by" },
	{ FUSE_DIRECT_IO_ALLOW_MMAP, "DIRECT_IO_ALLOW_MMAP", want_if_mmap,
	  "shared mappings of uncached files; asked for by --allow-mmap" },
	{ FUSE_PASSTHROUGH, "PASSTHROUGH", NULL, "about /dev/fuse" },
	{ FUSE_NO_EXPORT_SUPPORT, "NO_EXPORT_SUPPORT", NULL,
	  "file handles of inodes the guest still knows do work" },
	{ FUSE_HAS_RESEND, "HAS_RESEND", NULL, "about /dev/fuse" },
	{ FUSE_ALLOW_IDMAP, "ALLOW_IDMAP", NULL,
	  "requests other than creations would come without the caller's ids" },
	{ FUSE_OVER_IO_URING, "OVER_IO_URING", NULL, "about /dev/fuse" },
	{ FUSE_REQUEST_TIMEOUT, "REQUEST_TIMEOUT", NULL,
	  "a host's disk may be slow for longer than anybody guesses" },
	{ BIT_OF(43), "IO_URING_BUFPOOL", NULL, "about /dev/fuse" },
};

const struct init_feature *init_features(size_t *count)
{
	*count = ARRAY_SIZE(features);
	return features;
}

/* 0 when we can talk, 1 when the guest must come down to our major, or -EPROTO. */
static int init_compare_version(const struct fuse_init_in *in)
{
	if (in->major > CASEMENT_FUSE_MAJOR)
		return 1;
	if (in->major == CASEMENT_FUSE_MAJOR && in->minor >= CASEMENT_FUSE_MIN_MINOR)
		return 0;
	log_guest(LOG_LEVEL_WARN,
		  "guest speaks FUSE %u.%u; the least we serve is %d.%d (Linux 5.4)",
		  in->major, in->minor, CASEMENT_FUSE_MAJOR, CASEMENT_FUSE_MIN_MINOR);
	return -EPROTO;
}

static uint64_t init_offered(const struct fuse_init_in *in)
{
	uint64_t flags = in->flags;

	if (flags & FUSE_INIT_EXT)
		flags |= (uint64_t)in->flags2 << 32;
	return flags;
}

/* Those of the offered flags that we want. */
static uint64_t init_choose(const struct server *server, uint64_t offered)
{
	uint64_t chosen = 0;

	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		const struct init_feature *feature = &features[i];
		bool wanted;

		if (!(offered & feature->flag))
			continue;
		wanted = feature->want && feature->want(server);
		if (wanted)
			chosen |= feature->flag;
		log_trace("INIT: %s %s: %s", feature->name, wanted ? "taken" : "not taken",
			  feature->why);
	}
	return chosen;
}

#define INIT_ACL_FLAGS (FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT)

/*
 * ACLs go with all that they need, or not at all; and what the command line
 * demands must be there. 0, or -EPROTO.
 */
static int init_check_demands(const struct server *server, uint64_t *chosen)
{
	const struct server_config *config = &server->config;
	const char *missing = NULL;

	if ((*chosen & INIT_ACL_FLAGS) != INIT_ACL_FLAGS)
		*chosen &= ~(uint64_t)INIT_ACL_FLAGS;
	if (config->posix_acl == DEMAND_ALWAYS && !(*chosen & FUSE_POSIX_ACL))
		missing = "--posix-acl=always: POSIX_ACL, DONT_MASK and SETXATTR_EXT";
	if (config->security_label == DEMAND_ALWAYS && !(*chosen & FUSE_SECURITY_CTX))
		missing = "--security-label=always: SECURITY_CTX";
	if (!missing)
		return 0;
	log_guest(LOG_LEVEL_ERROR, "this guest, or this host, has not what is needed for %s", missing);
	return -EPROTO;
}

static const struct {
	uint64_t flag;
	uint32_t session;
} session_bits[] = {
	{ FUSE_HAS_INODE_DAX, SESSION_INODE_DAX },
	{ FUSE_POSIX_ACL, SESSION_POSIX_ACL },
	{ FUSE_SETXATTR_EXT, SESSION_SETXATTR_EXT },
	{ FUSE_SECURITY_CTX, SESSION_SECURITY_CTX },
	{ FUSE_CREATE_SUPP_GROUP, SESSION_SUPP_GROUP },
	{ FUSE_HANDLE_KILLPRIV_V2, SESSION_KILLPRIV },
};

/* What later requests need to know of the agreement. */
static uint32_t init_session_bits(uint64_t chosen, uint32_t minor)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(session_bits); i++)
		if (chosen & session_bits[i].flag)
			bits |= session_bits[i].session;
	/* A close gives POSIX locks back, and only FLUSH tells of it. */
	if (minor >= INIT_MINOR_NOFLUSH && !(chosen & (FUSE_WRITEBACK_CACHE | FUSE_POSIX_LOCKS)))
		bits |= SESSION_NOFLUSH;
	if (chosen & FUSE_SUBMOUNTS)
		bits |= SESSION_SUBMOUNTS;
	if (minor >= INIT_MINOR_PARALLEL_WRITES)
		bits |= SESSION_PARALLEL_WRITES;
	return bits;
}

/* Beyond the protocol, for a guest that says it knows of it. */
#define INIT_EXTENSIONS \
	(FUSE_EXTENSION_WHOLE_DIR | FUSE_EXTENSION_SUSPEND | FUSE_EXTENSION_SOME_RANGES | \
	 FUSE_EXTENSION_ON_HOST)

static uint32_t init_extensions(const struct fuse_init_in *in)
{
	struct fuse_extension said;

	memcpy(&said, (const char *)(in + 1) - sizeof(said), sizeof(said));
	return said.magic == FUSE_EXTENSION_MAGIC ? said.flags & INIT_EXTENSIONS : 0;
}

static uint32_t init_extension_bits(uint32_t extensions)
{
	return (extensions & FUSE_EXTENSION_WHOLE_DIR ? SESSION_WHOLE_DIR : 0) |
	       (extensions & FUSE_EXTENSION_SUSPEND ? SESSION_MAY_SUSPEND : 0) |
	       (extensions & FUSE_EXTENSION_SOME_RANGES ? SESSION_SOME_RANGES : 0);
}

/* With a wrong number the guest loses files of its own share only, until its session ends. */
static void init_client_device(const struct server *server, const struct fuse_init_in *in,
			       uint32_t extensions)
{
	uint32_t device;

	if (!(extensions & FUSE_EXTENSION_ON_HOST))
		return;
	memcpy(&device, (const char *)in + FUSE_EXTENSION_DEVICE_AT, sizeof(device));
	fs_set_client_device(server->fs, device);
}

static int init_reply(struct request *req, uint32_t minor, uint64_t chosen, uint32_t extensions)
{
	const struct fuse_extension said = { FUSE_EXTENSION_MAGIC, extensions };
	struct fuse_init_out out = {
		.major = CASEMENT_FUSE_MAJOR,
		.minor = minor,
		.max_readahead = req->args.init.max_readahead,
		.flags = (uint32_t)chosen,
		.max_background = INIT_MAX_BACKGROUND,
		.congestion_threshold = INIT_MAX_BACKGROUND * 3 / 4,
		.max_write = INIT_MAX_WRITE,
		.time_gran = 1,
		.max_pages = chosen & FUSE_MAX_PAGES ? FUSE_MAX_MAX_PAGES_OFFERED : 0,
		.map_alignment = chosen & FUSE_MAP_ALIGNMENT ? INIT_MAP_ALIGNMENT : 0,
		.flags2 = (uint32_t)(chosen >> 32),
	};

	if (extensions)
		memcpy((char *)(&out + 1) - sizeof(said), &said, sizeof(said));
	return reply_put(req, &out, sizeof(out));
}

int handle_init(struct request *req)
{
	const struct fuse_init_in *in = &req->args.init;
	struct fuse_init_out ours = { .major = CASEMENT_FUSE_MAJOR, .minor = CASEMENT_FUSE_MINOR };
	uint32_t minor = MIN(in->minor, (uint32_t)CASEMENT_FUSE_MINOR);
	uint32_t extensions = init_extensions(in);
	uint64_t chosen;
	int rc = init_compare_version(in);

	if (rc < 0)
		return rc;
	if (rc > 0)	/* it will ask again, with our major */
		return reply_put(req, &ours, sizeof(ours));
	/* A guest that was killed sends no DESTROY: its successor must not meet its state. */
	rc = session_end(req->server);
	if (rc)
		return rc;
	chosen = init_choose(req->server, init_offered(in));
	rc = init_check_demands(req->server, &chosen);
	if (rc)
		return rc;
	log_guest(LOG_LEVEL_INFO,
		  "guest mounts the share: FUSE %u.%u, flags 0x%llx of 0x%llx offered",
		  CASEMENT_FUSE_MAJOR, minor, (unsigned long long)chosen,
		  (unsigned long long)init_offered(in));
	rc = init_reply(req, minor, chosen, extensions);
	if (rc)
		return rc;
	init_client_device(req->server, in, extensions);
	session_begin(req->server, init_session_bits(chosen, minor) | init_extension_bits(extensions));
	return 0;
}

int handle_destroy(struct request *req)
{
	return session_end(req->server);
}

int handle_suspend(struct request *req)
{
	if (!(req->session & SESSION_MAY_SUSPEND))
		return -ENOSYS;
	session_suspend(req->server);
	return 0;
}

/* Waits for locks can be given up. What else is long cannot be cut off half-way: the guest waits it out. */
int handle_interrupt(struct request *req)
{
	fs_lock_interrupt(req->server->fs, req->args.interrupt.unique);
	return 0;
}
