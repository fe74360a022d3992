/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file system in the share that does not answer, a file that somebody has a
 * lease on: who asks for these waits, and nobody else does. Not the others of
 * the queue, not its stop, not the next VMM.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/queue.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "hung_server.h"
#include "tests/skip.h"

#define MANY_STUCK 100
#define LATE 10		/* more, one after the other, on a machine whose threads start late */

static bool may_mount;
static struct hung_server server;

/* What a guest knows of the file system that will hang: its root and its file, open both. */
struct scene {
	struct fixture *f;
	uint64_t dir, file, dir_fh, fh;
};

static uint64_t look(struct casement_queue *q, uint64_t parent, const char *name)
{
	struct fuse_entry_out entry;

	ok(casement_lookup(q, parent, name, &entry));
	return entry.nodeid;
}

static struct scene scene_begin(void **state)
{
	struct scene s = { .f = fixture_of(state) };
	struct fuse_open_out open;

	if (!may_mount || access("/dev/fuse", R_OK | W_OK))
		SKIP_BECAUSE("only root may mount, and not in every container");
	assert_int_equal(mkdir(share_path(&s.f->daemon, "hung"), 0777), 0);
	hung_server_start(&server, share_path(&s.f->daemon, "hung"));
	share_fill(&s.f->daemon, "fine", 100, 1);
	s.dir = look(s.f->q, CASEMENT_ROOT, "hung");
	s.file = look(s.f->q, s.dir, "f");
	ok(casement_open(s.f->q, s.file, O_RDWR, &open));
	s.fh = open.fh;
	ok(casement_opendir(s.f->q, s.dir, &open));
	s.dir_fh = open.fh;
	return s;
}

/* The others of the queue: names, attributes, listings, data, and what is made. */
static void check_others(struct fixture *f)
{
	struct fuse_open_out open;
	struct fuse_statfs_out statfs;
	struct fuse_attr_out attr;
	struct fuse_entry_out entry;
	char buf[4096];

	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	ok(casement_statfs(f->q, CASEMENT_ROOT, &statfs));
	ok(casement_opendir(f->q, CASEMENT_ROOT, &open));
	assert_true(ok(casement_readdirplus(f->q, CASEMENT_ROOT, open.fh, 0, buf, sizeof(buf))) > 0);
	ok(casement_releasedir(f->q, CASEMENT_ROOT, open.fh));
	ok(casement_lookup(f->q, CASEMENT_ROOT, "fine", &entry));
	ok(casement_open(f->q, entry.nodeid, O_RDWR, &open));
	assert_int_equal(ok(casement_read(f->q, entry.nodeid, open.fh, 0, buf, 100)), 100);
	assert_int_equal(ok(casement_write(f->q, entry.nodeid, open.fh, 0, buf, 100)), 100);
	ok(casement_fsync(f->q, entry.nodeid, open.fh, false));
	ok(casement_release(f->q, entry.nodeid, open.fh));
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "made", 0755, &entry));
	ok(casement_rmdir(f->q, CASEMENT_ROOT, "made"));
}

/* A request on its way. */
struct sent {
	struct casement_request request;
	struct iovec in[2], out;
	char room[4096 + 256];
};

static void send_request(struct casement_queue *q, struct sent *sent, uint32_t opcode, uint64_t node,
			 const void *args, size_t size, const char *name)
{
	sent->in[0] = (struct iovec){ (void *)(uintptr_t)args, size };
	sent->in[1] = (struct iovec){ (void *)(uintptr_t)name, name ? strlen(name) + 1 : 0 };
	sent->out = (struct iovec){ sent->room, sizeof(sent->room) };
	sent->request = (struct casement_request){
		.opcode = opcode, .nodeid = node, .in = sent->in, .n_in = name ? 2 : 1,
		.out = &sent->out, .n_out = 1,
	};
	assert_int_equal(ok(casement_submit(q, &sent->request, 1)), 1);
}

static long await_one(struct casement_queue *q, const struct sent *sent)
{
	struct casement_request *done[1];

	assert_int_equal(ok(casement_complete(q, done, 1, -1)), 1);
	assert_ptr_equal(done[0], &sent->request);
	return sent->request.result;
}

static const struct fuse_setattr_in chmod_in = { .valid = FATTR_MODE, .mode = 0600 };

/* Each kind of request that asks the file system, by the node or by a handle. */
static void send_kind(const struct scene *s, unsigned int kind, struct sent *sent)
{
	static struct fuse_getattr_in getattr;
	static struct fuse_read_in read_in, readdir;
	static struct fuse_open_in open;
	static struct fuse_fsync_in fsync_in;
	static struct fuse_flush_in flush;
	static struct fuse_access_in access_in = { .mask = R_OK };
	static struct fuse_mkdir_in mkdir_in = { .mode = 0755 };
	static struct fuse_create_in create = { .flags = O_RDWR, .mode = 0644 };
	static struct { struct fuse_write_in head; char byte; } write_in;
	struct casement_queue *q = s->f->q;

	read_in = (struct fuse_read_in){ .fh = s->fh, .size = 10 };
	readdir = (struct fuse_read_in){ .fh = s->dir_fh, .size = 4096 };
	fsync_in.fh = flush.fh = write_in.head.fh = s->fh;
	write_in.head.size = 1;
	switch (kind) {
	case 0: send_request(q, sent, FUSE_LOOKUP, s->dir, "", 0, "f"); break;
	case 1: send_request(q, sent, FUSE_GETATTR, s->dir, &getattr, sizeof(getattr), NULL); break;
	case 2: send_request(q, sent, FUSE_GETATTR, s->file, &getattr, sizeof(getattr), NULL); break;
	case 3: send_request(q, sent, FUSE_OPEN, s->file, &open, sizeof(open), NULL); break;
	case 4: send_request(q, sent, FUSE_READ, s->file, &read_in, sizeof(read_in), NULL); break;
	case 5: send_request(q, sent, FUSE_WRITE, s->file, &write_in, sizeof(write_in.head) + 1, NULL); break;
	case 6: send_request(q, sent, FUSE_READDIR, s->dir, &readdir, sizeof(readdir), NULL); break;
	case 7: send_request(q, sent, FUSE_READDIRPLUS, s->dir, &readdir, sizeof(readdir), NULL); break;
	case 8: send_request(q, sent, FUSE_STATFS, s->dir, "", 0, NULL); break;
	case 9: send_request(q, sent, FUSE_SETATTR, s->file, &chmod_in, sizeof(chmod_in), NULL); break;
	case 10: send_request(q, sent, FUSE_FSYNC, s->file, &fsync_in, sizeof(fsync_in), NULL); break;
	case 11: send_request(q, sent, FUSE_FLUSH, s->file, &flush, sizeof(flush), NULL); break;
	case 12: send_request(q, sent, FUSE_ACCESS, s->file, &access_in, sizeof(access_in), NULL); break;
	case 13: send_request(q, sent, FUSE_UNLINK, s->dir, "", 0, "f"); break;
	case 14: send_request(q, sent, FUSE_MKDIR, s->dir, &mkdir_in, sizeof(mkdir_in), "new"); break;
	case 15: send_request(q, sent, FUSE_CREATE, s->dir, &create, sizeof(create), "new"); break;
	case 16: send_request(q, sent, FUSE_OPENDIR, s->dir, &open, sizeof(open), NULL); break;
	case 17: send_request(q, sent, FUSE_LOOKUP, CASEMENT_ROOT, "", 0, "hung"); break;
	}
}
#define KINDS 18

static void test_each_kind(void **state)
{
	struct scene s = scene_begin(state);

	for (unsigned int kind = 0; kind < KINDS; kind++) {
		struct sent sent;

		hung_server_hold(&server, true);
		send_kind(&s, kind, &sent);
		hung_server_await(&server);
		check_others(s.f);
		ok(casement_queue_stop(s.f->q));
		ok(casement_queue_start(s.f->q));
		check_others(s.f);
		hung_server_hold(&server, false);
		await_one(s.f->q, &sent);
	}
	hung_server_stop(&server);
}

/* A close may be what waits; the answer comes when it is done. */
static void test_release(void **state)
{
	struct scene s = scene_begin(state);
	struct fuse_release_in release = { .fh = s.fh };
	struct sent sent;

	hung_server_hold(&server, true);
	send_request(s.f->q, &sent, FUSE_RELEASE, s.file, &release, sizeof(release), NULL);
	hung_server_await(&server);
	check_others(s.f);
	hung_server_hold(&server, false);
	assert_int_equal(await_one(s.f->q, &sent), 0);
	hung_server_stop(&server);
}

/* A name that leads to it is not it: what is done to the name asks the directory alone. */
static void test_names_of_the_mount(void **state)
{
	struct scene s = scene_begin(state);
	struct casement_queue *q = s.f->q;
	struct fuse_entry_out entry;

	hung_server_hold(&server, true);
	for (uint32_t uid = 0; uid <= 1000; uid += 1000) {
		casement_set_caller(q, uid, uid, 1);
		refused(casement_rmdir(q, CASEMENT_ROOT, "hung"), EBUSY);
		refused(casement_unlink(q, CASEMENT_ROOT, "hung"), EISDIR);
		refused(casement_rename(q, CASEMENT_ROOT, "hung", CASEMENT_ROOT, "moved", 0), EBUSY);
		refused(casement_rename(q, CASEMENT_ROOT, "fine", CASEMENT_ROOT, "hung", 0), EISDIR);
		refused(casement_link(q, lookup_node(q, "fine"), CASEMENT_ROOT, "hung", &entry), EEXIST);
	}
	casement_set_caller(q, 0, 0, 1);
	check_others(s.f);
	hung_server_stop(&server);
}

/* A file system of this host, mounted in one that hangs: it is served, and the way out is not asked. */
static void test_a_mount_below(void **state)
{
	struct scene s = scene_begin(state);
	struct fuse_open_out open;
	char buf[4096], path[300];
	uint64_t below;

	snprintf(path, sizeof(path), "%s/d", server.path);
	assert_int_equal(mount("none", path, "tmpfs", 0, "size=1M"), 0);
	below = look(s.f->q, s.dir, "d");
	hung_server_hold(&server, true);
	ok(casement_opendir(s.f->q, below, &open));
	assert_true(ok(casement_readdir(s.f->q, below, open.fh, 0, buf, sizeof(buf))) > 0);
	assert_true(ok(casement_readdirplus(s.f->q, below, open.fh, 0, buf, sizeof(buf))) > 0);
	ok(casement_releasedir(s.f->q, below, open.fh));
	hung_server_hold(&server, false);
	umount2(path, MNT_DETACH);
	hung_server_stop(&server);
}

/*
 * An owner's lock for reading becomes one for writing, which takes what is locked along: that
 * asks the server more than once. Other owners, and the next VMM, wait for none of it.
 */
static void test_lock(void **state)
{
	struct scene s = scene_begin(state);
	struct fuse_lk_in lock = { .fh = s.fh, .owner = 1, .lk = { .end = 9, .type = F_RDLCK } };
	struct fuse_lk_in other = lock;
	struct fuse_init_out init;
	struct sent sent;
	uint64_t node;

	ok(casement_setlk(s.f->q, s.file, &lock, 0));
	hung_server_hold_only(&server, FUSE_SETLK);
	lock.lk.type = F_WRLCK;
	send_request(s.f->q, &sent, FUSE_SETLK, s.file, &lock, sizeof(lock), NULL);
	hung_server_await(&server);
	for (unsigned int i = 0; i < 2; i++) {
		other.fh = open_file(s.f->q, "fine", O_RDWR, &node);
		other.lk.type = F_WRLCK;
		ok(casement_setlk(s.f->q, node, &other, 0));
		other.lk.type = F_UNLCK;
		ok(casement_setlk(s.f->q, node, &other, 0));
		ok(casement_release(s.f->q, node, other.fh));
		check_others(s.f);
		casement_close(s.f->client);
		s.f->client = daemon_connect(&s.f->daemon, NULL);
		s.f->q = casement_request_queue(s.f->client, 0);
		ok(casement_init(s.f->q, NULL, &init));
	}
	hung_server_hold(&server, false);
	hung_server_stop(&server);
}

/* More than there are threads for this server: those who ask another one get their answer. */
static void test_many(void **state)
{
	struct scene s = scene_begin(state);
	static struct sent sent[MANY_STUCK + LATE];
	struct casement_request *done[MANY_STUCK + LATE];
	struct hung_server other;
	uint64_t other_dir, other_file;
	struct fuse_attr_out attr;
	unsigned int n = 0, all = MANY_STUCK;

	assert_int_equal(mkdir(share_path(&s.f->daemon, "other"), 0777), 0);
	hung_server_start(&other, share_path(&s.f->daemon, "other"));
	other_dir = look(s.f->q, CASEMENT_ROOT, "other");
	hung_server_hold(&server, true);
	for (unsigned int i = 0; i < MANY_STUCK; i++)
		send_kind(&s, 2, &sent[i]);
	hung_server_await(&server);
	check_others(s.f);
	other_file = look(s.f->q, other_dir, "f");
	ok(casement_getattr(s.f->q, other_file, CASEMENT_NO_FH, &attr));
	ok(casement_queue_stop(s.f->q));
	ok(casement_queue_start(s.f->q));
	check_others(s.f);
	/* After two seconds it is no busy server: one more says so. */
	do {
		assert_true(all < ARRAY_SIZE(sent));
		assert_int_equal(casement_complete(s.f->q, done, 1, 2100), 0);
		send_kind(&s, 2, &sent[all++]);
		check_others(s.f);
	} while (!daemon_logged(&s.f->daemon, "16 requests wait for a file system"));
	hung_server_hold(&server, false);
	while (n < all)
		n += ok(casement_complete(s.f->q, done, all, -1));
	for (unsigned int i = 0; i < all; i++)
		assert_int_equal(sent[i].request.result, sizeof(attr));
	hung_server_stop(&other);
	hung_server_stop(&server);
}

/* What a guest left behind in the stuck file system is nothing to the next one. */
static void test_next_vmm(void **state)
{
	struct scene s = scene_begin(state);
	static struct sent sent[20];
	struct fuse_init_out init;

	hung_server_hold(&server, true);
	for (unsigned int i = 0; i < ARRAY_SIZE(sent); i++)
		send_kind(&s, 4, &sent[i]);
	hung_server_await(&server);
	casement_close(s.f->client);
	s.f->client = daemon_connect(&s.f->daemon, NULL);
	s.f->q = casement_request_queue(s.f->client, 0);
	ok(casement_init(s.f->q, NULL, &init));
	check_others(s.f);
	hung_server_hold(&server, false);
	assert_int_equal(look(s.f->q, look(s.f->q, CASEMENT_ROOT, "hung"), "f") != 0, 1);
	check_others(s.f);
	hung_server_stop(&server);
}

/* The next VMM, and the descriptors that the daemon has with it. */
static unsigned int next_vmm(struct fixture *f)
{
	struct fuse_init_out init;

	casement_close(f->client);
	f->client = daemon_connect(&f->daemon, NULL);
	f->q = casement_request_queue(f->client, 0);
	ok(casement_init(f->q, NULL, &init));
	check_others(f);
	return daemon_count_fds(&f->daemon);
}

/* A request that is answered after its guest has left: its node, handle or lock is given back. */
static void test_what_comes_late(void **state)
{
	static const uint32_t holds[] = { FUSE_OPEN, FUSE_OPENDIR, FUSE_GETATTR, FUSE_OPEN };
	struct scene s = scene_begin(state);
	unsigned int before;

	next_vmm(s.f);
	before = next_vmm(s.f);
	for (unsigned int kind = 0; kind < ARRAY_SIZE(holds); kind++) {
		struct fuse_lk_in lock = { .owner = 1, .lk = { .end = 9, .type = F_WRLCK } };
		struct fuse_open_in plain = { .flags = O_RDONLY };
		struct fuse_open_out open;
		struct sent sent;
		char end[80];

		s.dir = look(s.f->q, CASEMENT_ROOT, "hung");
		s.file = look(s.f->q, s.dir, "f");
		ok(casement_open(s.f->q, s.file, O_RDWR, &open));
		lock.fh = open.fh;
		hung_server_hold_only(&server, holds[kind]);
		switch (kind) {
		case 0: send_request(s.f->q, &sent, FUSE_OPEN, s.file, &plain, sizeof(plain), NULL); break;
		case 1: send_request(s.f->q, &sent, FUSE_OPENDIR, s.dir, &plain, sizeof(plain), NULL); break;
		case 2: send_request(s.f->q, &sent, FUSE_LOOKUP, s.dir, "", 0, "other"); break;
		case 3: send_request(s.f->q, &sent, FUSE_SETLK, s.file, &lock, sizeof(lock), NULL); break;
		}
		hung_server_await(&server);
		/* Node numbers are not used twice. */
		snprintf(end, sizeof(end), "unique %llu node %llu: ", (unsigned long long)s.f->q->unique,
			 (unsigned long long)sent.request.nodeid);
		next_vmm(s.f);
		hung_server_hold(&server, false);
		for (unsigned int i = 0; i < TEST_WAIT_MS && !daemon_logged(&s.f->daemon, end); i++)
			usleep(1000);
		assert_true(daemon_logged(&s.f->daemon, end));
		/* What closes files of the server ends by and by. */
		for (unsigned int i = 0; i < TEST_WAIT_MS && daemon_count_fds(&s.f->daemon) > before; i++)
			usleep(1000);
		assert_true(daemon_count_fds(&s.f->daemon) <= before);
	}
	hung_server_stop(&server);
}

/* A close that never ends does not delay closes on another file system, of this guest or a later one. */
static void test_close(void **state)
{
	struct scene s = scene_begin(state);
	struct hung_server other;
	unsigned int before;
	uint64_t dir;

	assert_int_equal(mkdir(share_path(&s.f->daemon, "other"), 0777), 0);
	hung_server_start(&other, share_path(&s.f->daemon, "other"));
	next_vmm(s.f);
	before = next_vmm(s.f);
	s.file = look(s.f->q, look(s.f->q, CASEMENT_ROOT, "hung"), "f");
	ok(casement_open(s.f->q, s.file, O_RDWR, &(struct fuse_open_out){ 0 }));
	hung_server_hold_only(&server, FUSE_FLUSH);
	next_vmm(s.f);
	hung_server_await(&server);
	dir = look(s.f->q, CASEMENT_ROOT, "other");
	for (unsigned int i = 0; i < 20; i++)
		ok(casement_open(s.f->q, look(s.f->q, dir, "f"), O_RDWR, &(struct fuse_open_out){ 0 }));
	next_vmm(s.f);
	for (unsigned int i = 0; i < TEST_WAIT_MS && daemon_count_fds(&s.f->daemon) > before + 1; i++)
		usleep(1000);
	assert_true(daemon_count_fds(&s.f->daemon) <= before + 1);
	hung_server_stop(&other);
	hung_server_stop(&server);
}

/* Each way to open a file that a host's program has a lease on, and gives back when it likes. */
static void test_lease(void **state)
{
	struct fixture *f = fixture_of(state);
	const struct fuse_open_in plain = { .flags = O_RDONLY }, cut = { .flags = O_RDWR | O_TRUNC };
	const struct fuse_setattr_in shrink = { .valid = FATTR_SIZE, .size = 50 };
	const struct fuse_create_in create = { .flags = O_RDWR, .mode = 0644 };
	uint64_t node;

	share_fill(&f->daemon, "fine", 100, 1);
	share_fill(&f->daemon, "leased", 100, 1);
	node = lookup_node(f->q, "leased");
	for (unsigned int kind = 0; kind < 4; kind++) {
		cleanup_close int host = open(share_path(&f->daemon, "leased"), O_RDWR | O_CLOEXEC);
		struct casement_request *done[1];
		struct fuse_open_out open_out;
		struct sent sent;

		if (fcntl(host, F_SETLEASE, F_WRLCK))
			SKIP_BECAUSE("no leases here");
		switch (kind) {
		case 0: send_request(f->q, &sent, FUSE_OPEN, node, &plain, sizeof(plain), NULL); break;
		case 1: send_request(f->q, &sent, FUSE_OPEN, node, &cut, sizeof(cut), NULL); break;
		case 2: send_request(f->q, &sent, FUSE_SETATTR, node, &shrink, sizeof(shrink), NULL); break;
		case 3: send_request(f->q, &sent, FUSE_CREATE, CASEMENT_ROOT, &create, sizeof(create), "leased"); break;
		}
		check_others(f);
		assert_int_equal(casement_complete(f->q, done, 1, kind ? 1 : TEST_QUIET_MS), 0);
		ok(casement_queue_stop(f->q));
		ok(casement_queue_start(f->q));
		assert_int_equal(fcntl(host, F_SETLEASE, F_UNLCK), 0);
		assert_true(await_one(f->q, &sent) > 0);
		/* Nobody gets a lease on a file that is open. */
		memcpy(&open_out, sent.room + (kind == 3 ? sizeof(struct fuse_entry_out) : 0), sizeof(open_out));
		if (kind != 2)
			ok(casement_release(f->q, node, open_out.fh));
	}
}

int main(void)
{
	static const struct fixture_config plain = { .options = { .depth = 128 } };
	static const struct fixture_config no_pool = {
		.args = { "--thread-pool-size", "0" }, .options = { .depth = 128 },
	};
	static const struct fixture_config handles = {
		.args = { "--inode-file-handles=prefer" }, .options = { .depth = 128 },
	};
	static const struct fixture_config locks = { .args = { "--persist", "--posix-lock" } };
	static const struct fixture_config traced = {
		.args = { "--persist", "--posix-lock", "--log-level", "trace" },
	};
	static const struct fixture_config persist = { .args = { "--persist" }, .options = { .depth = 128 } };
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_each_kind, &plain),
		FIXTURE_TEST(test_each_kind, &no_pool),
		FIXTURE_TEST(test_each_kind, &handles),
		FIXTURE_TEST(test_release, &plain),
		FIXTURE_TEST(test_names_of_the_mount, &plain),
		FIXTURE_TEST(test_a_mount_below, &plain),
		FIXTURE_TEST(test_lock, &locks),
		FIXTURE_TEST(test_many, &plain),
		FIXTURE_TEST(test_next_vmm, &persist),
		FIXTURE_TEST(test_what_comes_late, &traced),
		FIXTURE_TEST(test_close, &persist),
		FIXTURE_TEST(test_lease, &plain),
		FIXTURE_TEST(test_lease, &no_pool),
	};

	/* A lease that is asked back says so by a signal. */
	signal(SIGIO, SIG_IGN);
	may_mount = unshare(CLONE_NEWNS) == 0 &&
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		    /* What is mounted later reaches the daemon's own namespace, too. */
		    mount("none", "/", NULL, MS_REC | MS_SHARED, NULL) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
