/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest of several queues and a host on one tree of more files than casementd may
 * have open. While files are let go, others are opened, locked, mapped, linked,
 * renamed, listed and forgotten, by ids that are good, old, or made up. Each answer is one
 * that this explains, and when the guest has gone nothing of it is left.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "dax_fixture.h"

#define QUEUES 4
#define NAMES 300
#define KEPT 8		/* files that a thread has open at a time */
#define OLD 64		/* ids that it remembers */

struct open_file {
	uint64_t node, fh;
};

/* One queue's thread. */
struct runner {
	struct casement_queue *q, *hiprio;
	const struct daemon *daemon;
	uint64_t random, dir, last_dir;	/* a directory of all, and one that it made */
	struct open_file kept[KEPT];
	uint64_t old[OLD];
	int wrong;			/* an answer that nothing explains; 0: none */
	const char *wrong_call;
};

/* RACE_ROUNDS: for a longer look. */
static unsigned int rounds(void)
{
	const char *text = getenv("RACE_ROUNDS");

	return text ? (unsigned int)atoi(text) : 300;
}

static unsigned int roll(struct runner *r, unsigned int n)
{
	r->random = r->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(r->random >> 33) % n;
}

static const char *any_name(struct runner *r)
{
	static __thread char names[4][16];
	static __thread unsigned int next;
	char *name = names[next++ % 4];

	snprintf(name, sizeof(names[0]), "%u", roll(r, NAMES));
	return name;
}

static long fair(struct runner *r, long result, const char *call)
{
	static const int explained[] = {
		0, ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, ELOOP, ESTALE, EINVAL, EAGAIN, EBUSY, EBADF, ENFILE,
		ENOLCK, ENXIO, EOPNOTSUPP, EPERM, EFAULT, EMLINK,
	};

	if (result >= 0)
		return result;
	for (unsigned int i = 0; i < ARRAY_SIZE(explained); i++)
		if (result == -explained[i])
			return result;
	if (!r->wrong)
		r->wrong_call = call;
	r->wrong = (int)result;
	return result;
}
#define FAIR(call) fair(r, (call), #call)

static void forget(struct runner *r, uint64_t node, uint64_t n)
{
	FAIR(casement_forget(r->hiprio ? r->hiprio : r->q, node, n));
}

/* The guest's cache: an id is remembered for a while, and forgotten when another takes its place. */
static void remember(struct runner *r, uint64_t node)
{
	uint64_t *place = &r->old[roll(r, OLD)];

	if (*place)
		forget(r, *place, roll(r, 20) ? 1 : 7);
	*place = node;
}

static uint64_t any_node(struct runner *r)
{
	return roll(r, 30) ? r->old[roll(r, OLD)] : (uint64_t)roll(r, 9) << 32 | roll(r, 2000);
}

/* Most are directories. */
static uint64_t any_dir(struct runner *r)
{
	const uint64_t dirs[] = { CASEMENT_ROOT, CASEMENT_ROOT, r->dir, r->dir, r->last_dir, any_node(r) };

	return dirs[roll(r, ARRAY_SIZE(dirs))];
}

static void close_kept(struct runner *r, struct open_file *file)
{
	if (!file->fh)
		return;
	if (roll(r, 2))
		FAIR(casement_flush(r->q, file->node, file->fh));
	FAIR(casement_release(r->q, file->node, file->fh));
	*file = (struct open_file){ 0 };
}

static void keep(struct runner *r, uint64_t node, uint64_t fh)
{
	struct open_file *file = &r->kept[roll(r, KEPT)];

	close_kept(r, file);
	*file = (struct open_file){ .node = node, .fh = fh };
}

static void do_open(struct runner *r)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	char bytes[64];

	if (FAIR(casement_lookup(r->q, any_dir(r), any_name(r), &entry)) || !entry.nodeid)
		return;
	remember(r, entry.nodeid);
	if (!S_ISREG(entry.attr.mode) ||
	    FAIR(casement_open(r->q, entry.nodeid, roll(r, 2) ? O_RDWR : O_RDONLY, &open)))
		return;
	FAIR(casement_read(r->q, entry.nodeid, open.fh, 0, bytes, sizeof(bytes)));
	keep(r, entry.nodeid, open.fh);
}

static void do_create(struct runner *r)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	if (FAIR(casement_create(r->q, any_dir(r), any_name(r), O_RDWR | O_CREAT, S_IFREG | 0644, &entry, &open)))
		return;
	FAIR(casement_write(r->q, entry.nodeid, open.fh, roll(r, 5000), "x", 1));
	remember(r, entry.nodeid);
	keep(r, entry.nodeid, open.fh);
}

/* By ids that may be another's, nobody's, or let go. */
static void do_use_old(struct runner *r)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = roll(r, 9000) };
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	char target[64];

	FAIR(casement_getattr(r->q, any_node(r), CASEMENT_NO_FH, &attr));
	FAIR(casement_setattr(r->q, any_node(r), &in, &attr));
	FAIR(casement_readlink(r->q, any_node(r), target, sizeof(target)));
	if (!FAIR(casement_link(r->q, any_node(r), any_dir(r), any_name(r), &entry)))
		remember(r, entry.nodeid);
}

static void do_move(struct runner *r)
{
	struct fuse_entry_out entry;

	FAIR(casement_rename(r->q, any_dir(r), any_name(r), any_dir(r), any_name(r), 0));
	if (!roll(r, 4))
		FAIR(casement_unlink(r->q, any_dir(r), any_name(r)));
	if (!roll(r, 4))
		FAIR(casement_rmdir(r->q, any_dir(r), any_name(r)));
	if (!roll(r, 2) && !FAIR(casement_mkdir(r->q, any_dir(r), any_name(r), 0755, &entry))) {
		r->last_dir = entry.nodeid;
		remember(r, entry.nodeid);
	}
	if (!roll(r, 4) && !FAIR(casement_symlink(r->q, any_dir(r), any_name(r), "a", &entry)))
		remember(r, entry.nodeid);
}

static void remember_listed(struct runner *r, const char *bytes, ssize_t size)
{
	for (ssize_t at = 0; at < size;) {
		const struct fuse_direntplus *entry = (const void *)(bytes + at);

		if (entry->entry_out.nodeid)
			remember(r, entry->entry_out.nodeid);
		at += (ssize_t)FUSE_DIRENTPLUS_SIZE(entry);
	}
}

static void do_list(struct runner *r)
{
	char bytes[16384] __attribute__((aligned(8)));
	uint64_t dir = any_dir(r);
	struct fuse_open_out open;

	if (FAIR(casement_opendir(r->q, dir, &open)))
		return;
	remember_listed(r, bytes, FAIR(casement_readdirplus(r->q, dir, open.fh, 0, bytes, sizeof(bytes))));
	if (roll(r, 8))
		FAIR(casement_releasedir(r->q, dir, open.fh));
}

static void do_lock(struct runner *r)
{
	static const uint32_t types[] = { F_RDLCK, F_WRLCK, F_UNLCK };
	const struct open_file *file = &r->kept[roll(r, KEPT)];
	struct fuse_lk_in in = {
		.fh = file->fh, .owner = 1 + roll(r, 5), .lk_flags = roll(r, 4) ? 0 : FUSE_LK_FLOCK,
		.lk = { .start = roll(r, 10), .end = 10 + roll(r, 10), .type = types[roll(r, 3)] },
	};

	if (file->fh)
		FAIR(casement_setlk(r->q, file->node, &in, 0));
}

static void do_map(struct runner *r)
{
	const struct open_file *file = &r->kept[roll(r, KEPT)];
	struct fuse_removemapping_one one = { roll(r, 8) * RANGE, RANGE };
	uint64_t node = roll(r, 2) && file->fh ? file->node : any_node(r);

	FAIR(casement_setupmapping(r->q, node, file->fh, 0, RANGE, roll(r, 2) ? READ : WRITE, roll(r, 8) * RANGE));
	if (roll(r, 2))
		FAIR(casement_removemapping(r->q, &one, 1));
}

static void *guest_thread(void *arg)
{
	static void (*const deeds[])(struct runner *r) = {
		do_open, do_open, do_open, do_create, do_use_old, do_use_old, do_move, do_list, do_lock, do_lock, do_map,
	};
	struct runner *r = arg;

	for (unsigned int i = 0; i < rounds() && !r->wrong; i++)
		deeds[roll(r, ARRAY_SIZE(deeds))](r);
	return NULL;
}

/* The host's own programs: names come and go, and leases make opens wait. */
static void *host_thread(void *arg)
{
	struct runner *r = arg;

	for (unsigned int i = 0; i < rounds(); i++) {
		const char *path = share_path(r->daemon, any_name(r));
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0)
			continue;
		fcntl(fd, F_SETLEASE, roll(r, 2) ? F_RDLCK : F_WRLCK);
		/* Whether they do anything is all the same. */
		(void)!(roll(r, 3) ? 0 : link(path, share_path(r->daemon, any_name(r))));
		(void)!(roll(r, 3) ? 0 : rename(path, share_path(r->daemon, any_name(r))));
		(void)!(roll(r, 3) ? 0 : unlink(path));
		close(fd);
	}
	return NULL;
}


#define CONFIG(...) { .args = { "--queues", "4", "--posix-lock", "--flock", "--window-size", "16M", __VA_ARGS__ }, \
		      .options = { .request_queues = QUEUES, .queue_size = 64, .depth = 32 } }

static const struct fixture_config few_files = CONFIG("--rlimit-nofile", "200");
static const struct fixture_config very_few_files = CONFIG("--rlimit-nofile", "90");
static const struct fixture_config handles_never =
	CONFIG("--rlimit-nofile", "200", "--inode-file-handles", "never");
static const struct fixture_config handles_preferred =
	CONFIG("--rlimit-nofile", "200", "--inode-file-handles", "prefer");

static unsigned int settle(struct fixture *f)
{
	ok(casement_destroy(f->q));
	ok(casement_init(f->q, NULL, &f->init));
	return daemon_count_fds(&f->daemon);
}

static void test_everything_at_once(void **state)
{
	struct fixture *f = fixture_of(state);
	struct runner runners[QUEUES + 1];
	pthread_t threads[QUEUES + 1];
	unsigned int fds;

	signal(SIGIO, SIG_IGN);
	for (unsigned int i = 0; i < NAMES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		share_fill(&f->daemon, name, i * 20, i);
	}
	assert_int_equal(mkdir(share_path(&f->daemon, "dir"), 0755), 0);
	fds = settle(f);
	for (unsigned int i = 0; i <= QUEUES; i++) {
		runners[i] = (struct runner){ .daemon = &f->daemon, .random = i + 1, .last_dir = CASEMENT_ROOT };
		if (i < QUEUES) {
			runners[i].q = casement_request_queue(f->client, i);
			runners[i].dir = lookup_node(runners[i].q, "dir");
		}
	}
	for (unsigned int i = 0; i <= QUEUES; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i < QUEUES ? guest_thread : host_thread,
						&runners[i]), 0);
	for (unsigned int i = 0; i <= QUEUES; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < QUEUES; i++)
		if (runners[i].wrong)
			fail_msg("thread %u: %s: %s", i, runners[i].wrong_call, strerror(-runners[i].wrong));
	daemon_check(&f->daemon);
	assert_int_equal(settle(f), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_everything_at_once, &few_files),
		FIXTURE_TEST(test_everything_at_once, &very_few_files),
		FIXTURE_TEST(test_everything_at_once, &handles_never),
		FIXTURE_TEST(test_everything_at_once, &handles_preferred),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
