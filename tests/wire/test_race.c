/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two queues of two guests on one tree, all at the same names at once. What a
 * request answers depends on who was first; that it is one of the answers that
 * honest order could give, that nothing is left over, and that the daemon's
 * threads never touch one thing at once without saying so (`make check-race`,
 * under TSan), does not.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/raw.h"
#include "common/checked.h"
#include "dax_fixture.h"

#define GUESTS 2
#define QUEUES 2
#define THREADS (GUESTS * QUEUES)
#define ROUNDS 1500
#define NAMES 4

/* Two daemons on the tree of the first. */
struct race {
	struct daemon daemon[GUESTS];
	struct casement *client[GUESTS];
	unsigned int fds[GUESTS];	/* of each daemon, with a session and nothing open */
};

/* One queue's thread. */
struct runner {
	struct race *race;
	struct casement_queue *q;
	uint64_t random;
	unsigned int number;
	int wrong;			/* an answer that no order explains; 0: none */
	const char *wrong_call;
	uint64_t dir;			/* a folder that all use, by this guest's node */
	uint64_t file, fh;		/* a file of all, open */
};

static unsigned int roll(struct runner *r, unsigned int n)
{
	r->random = r->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(r->random >> 33) % n;
}

static const char *any_name(struct runner *r)
{
	static const char *const names[NAMES] = { "a", "b", "c", "d" };

	return names[roll(r, NAMES)];
}

static uint64_t any_dir(struct runner *r)
{
	return roll(r, 2) ? r->dir : CASEMENT_ROOT;
}

/* An answer must be a success or one of what a race explains. */
static long fair(struct runner *r, long result, const char *call)
{
	static const int explained[] = {
		0, ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, ELOOP, ESTALE, EINVAL, EAGAIN, EBUSY, EBADF,
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

static void forget(struct runner *r, uint64_t node)
{
	FAIR(casement_forget(r->q, node, 1));
}

/* ---- what a thread does at random ---- */

static void do_create(struct runner *r)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	char byte = 'x';

	if (FAIR(casement_create(r->q, any_dir(r), any_name(r), O_RDWR | O_CREAT, S_IFREG | 0644,
				 &entry, &open)))
		return;
	FAIR(casement_write(r->q, entry.nodeid, open.fh, roll(r, 5000), &byte, 1));
	FAIR(casement_fsync(r->q, entry.nodeid, open.fh, 0));
	FAIR(casement_release(r->q, entry.nodeid, open.fh));
	forget(r, entry.nodeid);
}

static void do_open(struct runner *r)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	char bytes[64];

	if (FAIR(casement_lookup(r->q, any_dir(r), any_name(r), &entry)) || !entry.nodeid)
		return;
	if (S_ISREG(entry.attr.mode) && !FAIR(casement_open(r->q, entry.nodeid, O_RDONLY, &open))) {
		FAIR(casement_read(r->q, entry.nodeid, open.fh, 0, bytes, sizeof(bytes)));
		FAIR(casement_release(r->q, entry.nodeid, open.fh));
	}
	forget(r, entry.nodeid);
}

static void do_remove(struct runner *r)
{
	if (roll(r, 3))
		FAIR(casement_unlink(r->q, any_dir(r), any_name(r)));
	else
		FAIR(casement_rmdir(r->q, any_dir(r), any_name(r)));
}

static void do_rename(struct runner *r)
{
	static const uint32_t flags[] = { 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
	const char *from = any_name(r);

	FAIR(casement_rename(r->q, any_dir(r), from, any_dir(r), any_name(r), flags[roll(r, 3)]));
}

static void do_make(struct runner *r)
{
	struct fuse_entry_out entry;
	int err = roll(r, 2) ? casement_mkdir(r->q, any_dir(r), any_name(r), 0755, &entry) :
		  casement_symlink(r->q, any_dir(r), any_name(r), "a", &entry);

	if (!FAIR(err))
		forget(r, entry.nodeid);
}

static void do_link(struct runner *r)
{
	struct fuse_entry_out entry, linked;

	if (FAIR(casement_lookup(r->q, any_dir(r), any_name(r), &entry)) || !entry.nodeid)
		return;
	if (!S_ISDIR(entry.attr.mode) &&
	    !FAIR(casement_link(r->q, entry.nodeid, any_dir(r), any_name(r), &linked)))
		forget(r, linked.nodeid);
	forget(r, entry.nodeid);
}

static void do_setattr(struct runner *r)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE | FATTR_SIZE, .mode = 0600, .size = roll(r, 9000) };
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;

	if (FAIR(casement_lookup(r->q, any_dir(r), any_name(r), &entry)) || !entry.nodeid)
		return;
	if (S_ISREG(entry.attr.mode))
		FAIR(casement_setattr(r->q, entry.nodeid, &in, &attr));
	FAIR(casement_getattr(r->q, entry.nodeid, CASEMENT_NO_FH, &attr));
	forget(r, entry.nodeid);
}

/* Give back what one answer of READDIRPLUS counted. */
static void forget_listed(struct runner *r, const char *bytes, ssize_t size)
{
	for (ssize_t at = 0; at < size;) {
		const struct fuse_direntplus *entry = (const void *)(bytes + at);

		if (entry->entry_out.nodeid)
			forget(r, entry->entry_out.nodeid);
		at += (ssize_t)FUSE_DIRENTPLUS_SIZE(entry);
	}
}

static void do_list(struct runner *r)
{
	uint64_t dir = any_dir(r);
	struct fuse_open_out open;
	char bytes[1024] __attribute__((aligned(8)));
	ssize_t n;

	if (FAIR(casement_opendir(r->q, dir, &open)))
		return;
	n = FAIR(casement_readdirplus(r->q, dir, open.fh, 0, bytes, sizeof(bytes)));
	forget_listed(r, bytes, n);
	FAIR(casement_releasedir(r->q, dir, open.fh));
}

/* Run `n` of these at random. */
typedef void (*deed)(struct runner *r);

static void act(struct runner *r, const deed *deeds, unsigned int n)
{
	for (unsigned int i = 0; i < ROUNDS && !r->wrong; i++)
		deeds[roll(r, n)](r);
}

static void *names_thread(void *arg)
{
	static const deed deeds[] = {
		do_create, do_open, do_open, do_remove, do_rename, do_make, do_link, do_setattr, do_list,
	};

	act(arg, deeds, ARRAY_SIZE(deeds));
	return NULL;
}

/* ---- locks against release, by all on one file ---- */

static struct fuse_lk_in any_lock(struct runner *r)
{
	static const uint32_t types[] = { F_RDLCK, F_WRLCK, F_UNLCK };

	return (struct fuse_lk_in){
		.fh = r->fh, .owner = 1 + roll(r, 3), .lk_flags = roll(r, 4) ? 0 : FUSE_LK_FLOCK,
		.lk = { .start = roll(r, 10), .end = 10 + roll(r, 10), .type = types[roll(r, 3)] },
	};
}

static void do_lock(struct runner *r)
{
	struct fuse_lk_in in = any_lock(r);

	FAIR(casement_setlk(r->q, r->file, &in, 0));
}

static void do_ask_lock(struct runner *r)
{
	struct fuse_lk_in in = any_lock(r);
	struct fuse_file_lock lock;

	FAIR(casement_getlk(r->q, r->file, &in, &lock));
}

/* A wait that another's release, or its own close, may end; to be sure it does, we hold nothing. */
static void do_reopen(struct runner *r)
{
	struct fuse_open_out open;

	FAIR(casement_flush(r->q, r->file, r->fh));
	FAIR(casement_release(r->q, r->file, r->fh));
	r->fh = 0;
	if (!FAIR(casement_open(r->q, r->file, O_RDWR, &open)))
		r->fh = open.fh;
}

static void do_wait_lock(struct runner *r)
{
	struct fuse_lk_in in = { .fh = r->fh, .owner = 9, .lk = { .end = 5, .type = F_RDLCK } };
	struct fuse_open_out other;

	/* On a handle of its own, so that nobody waits for this runner's locks. */
	if (FAIR(casement_open(r->q, r->file, O_RDWR, &other)))
		return;
	do_reopen(r);
	in.fh = other.fh;
	FAIR(casement_setlk(r->q, r->file, &in, 0));
	FAIR(casement_release(r->q, r->file, other.fh));
}

static void *locks_thread(void *arg)
{
	static const deed deeds[] = { do_lock, do_lock, do_ask_lock, do_reopen, do_wait_lock };
	struct runner *r = arg;
	struct fuse_open_out open;

	if (!FAIR(casement_open(r->q, r->file, O_RDWR, &open)))
		r->fh = open.fh;
	act(r, deeds, ARRAY_SIZE(deeds));
	FAIR(casement_release(r->q, r->file, r->fh));
	return NULL;
}

/* ---- lookups against forgets of the same node ---- */

static void *forget_thread(void *arg)
{
	struct runner *r = arg;

	for (unsigned int i = 0; i < 2 * ROUNDS && !r->wrong; i++) {
		struct fuse_entry_out entry;
		struct fuse_attr_out attr;

		/* We hold a lookup until we give it back: the node must be good that long. */
		r->wrong = casement_lookup(r->q, CASEMENT_ROOT, i % 2 ? "one" : "two", &entry);
		if (!r->wrong)
			r->wrong = casement_getattr(r->q, entry.nodeid, CASEMENT_NO_FH, &attr);
		if (!r->wrong && attr.attr.size != (i % 2 ? 1 : 2))
			r->wrong = -EUCLEAN;
		forget(r, entry.nodeid);
		r->wrong_call = "lookup and getattr";
	}
	return NULL;
}

/* ---- cutting a file against mapping it ---- */

static void do_map(struct runner *r)
{
	uint64_t at = roll(r, 8) * RANGE;
	uint64_t flags = roll(r, 2) ? READ : WRITE;
	long err = casement_setupmapping(r->q, r->file, r->fh, roll(r, 2) * RANGE, RANGE, flags, at);

	/* What lies behind the end of the file cannot be mapped; the file may just be short. */
	if (err != -ENXIO && err != -EOPNOTSUPP && err != -EPERM && err != -EFAULT)
		FAIR(err);
}

static void do_unmap(struct runner *r)
{
	struct fuse_removemapping_one one = { roll(r, 8) * RANGE, RANGE };

	FAIR(casement_removemapping(r->q, &one, 1));
}

static void do_cut(struct runner *r)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = roll(r, 3) * RANGE };
	struct fuse_attr_out attr;

	FAIR(casement_setattr(r->q, r->file, &in, &attr));
}

static void do_write(struct runner *r)
{
	char bytes[4096] = "w";

	FAIR(casement_write(r->q, r->file, r->fh, roll(r, 2 * RANGE), bytes, sizeof(bytes)));
	FAIR(casement_read(r->q, r->file, r->fh, roll(r, 2 * RANGE), bytes, sizeof(bytes)));
}

static void *window_thread(void *arg)
{
	static const deed deeds[] = { do_map, do_map, do_unmap, do_cut, do_write };
	struct runner *r = arg;
	struct fuse_open_out open;

	if (!FAIR(casement_open(r->q, r->file, O_RDWR, &open)))
		r->fh = open.fh;
	act(r, deeds, ARRAY_SIZE(deeds));
	FAIR(casement_release(r->q, r->file, r->fh));
	return NULL;
}

/* ---- the scene ---- */

static const char *const race_args[] = {
	"--queues", "2", "--posix-lock", "--flock", "--window-size", "16M", NULL,
};

static int race_setup(void **state)
{
	static const struct casement_options options = { .request_queues = QUEUES, .queue_size = 64, .depth = 32 };
	struct race *race = calloc(1, sizeof(*race));
	struct fuse_init_out init;

	daemon_start(&race->daemon[0], race_args);
	daemon_start_beside(&race->daemon[1], &race->daemon[0], race_args);
	for (unsigned int g = 0; g < GUESTS; g++) {
		race->client[g] = daemon_connect(&race->daemon[g], &options);
		ok(casement_init(casement_request_queue(race->client[g], 0), NULL, &init));
	}
	share_fill(&race->daemon[0], "one", 1, 1);
	share_fill(&race->daemon[0], "two", 2, 1);
	share_fill(&race->daemon[0], "file", 2 * RANGE, 1);
	assert_int_equal(mkdir(share_path(&race->daemon[0], "dir"), 0755), 0);
	*state = race;
	return 0;
}

static int race_teardown(void **state)
{
	struct race *race = *state;
	int bad = 0;

	for (unsigned int g = 0; g < GUESTS; g++)
		casement_close(race->client[g]);
	for (unsigned int g = GUESTS; g-- > 0;)
		bad |= daemon_stop(&race->daemon[g]);
	free(race);
	return bad;
}

/* End the session and begin anew; the daemon's descriptors then, which a session must not add to. */
static unsigned int settle(struct race *race, unsigned int guest)
{
	struct casement_queue *q = casement_request_queue(race->client[guest], 0);
	struct fuse_init_out init;

	ok(casement_destroy(q));
	ok(casement_init(q, NULL, &init));
	return daemon_count_fds(&race->daemon[guest]);
}

/* Run `body` on every queue of every guest at once. */
static void run(struct race *race, void *(*body)(void *))
{
	struct runner runners[THREADS];
	pthread_t threads[THREADS];

	for (unsigned int g = 0; g < GUESTS; g++)
		race->fds[g] = settle(race, g);
	for (unsigned int i = 0; i < THREADS; i++) {
		struct casement_queue *q = casement_request_queue(race->client[i / QUEUES], i % QUEUES);

		runners[i] = (struct runner){ .race = race, .q = q, .number = i, .random = i + 1,
			.dir = lookup_node(q, "dir"), .file = lookup_node(q, "file") };
	}
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, body, &runners[i]), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < THREADS; i++)
		if (runners[i].wrong)
			fail_msg("thread %u: %s: %s", i, runners[i].wrong_call, strerror(-runners[i].wrong));
	for (unsigned int g = 0; g < GUESTS; g++) {
		daemon_check(&race->daemon[g]);
		assert_int_equal(settle(race, g), race->fds[g]);
	}
}

static void test_names(void **state)
{
	run(*state, names_thread);
}

static void test_locks(void **state)
{
	run(*state, locks_thread);
}

static void test_forgets(void **state)
{
	run(*state, forget_thread);
}

static void test_window(void **state)
{
	run(*state, window_thread);
}

/* A queue is taken away with requests on it, also such as wait for the disk, while another works. */
static void test_reset_under_way(void **state)
{
	struct race *race = *state;
	struct casement_queue *q = casement_request_queue(race->client[0], 0);
	struct casement_queue *other = casement_request_queue(race->client[0], 1);
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	uint64_t node = lookup_node(q, "file");

	ok(casement_open(q, node, O_RDWR, &open));
	for (unsigned int i = 0; i < 200; i++) {
		struct fuse_fsync_in fsync_in = { .fh = open.fh };
		struct iovec iov = { &fsync_in, sizeof(fsync_in) };
		struct casement_request requests[8];

		for (unsigned int n = 0; n < ARRAY_SIZE(requests); n++)
			requests[n] = (struct casement_request){
				.opcode = n % 2 ? FUSE_FSYNC : FUSE_FLUSH, .nodeid = node, .in = &iov, .n_in = 1 };
		ok(casement_write(other, node, open.fh, i * 512, "under way", 9));
		assert_true(ok(casement_submit(q, requests, ARRAY_SIZE(requests))) > 0);
		if (i % 2) {
			struct fuse_entry_out entry;

			ok(casement_lookup(other, CASEMENT_ROOT, "file", &entry));
		}
		ok(raw_restart(q));
		ok(casement_getattr(other, node, open.fh, &attr));
	}
	ok(casement_getattr(q, node, open.fh, &attr));
	daemon_check(&race->daemon[0]);
}

/* INIT, DESTROY and a device reset while others are in the middle of something. */
static void *init_thread(void *arg)
{
	struct runner *r = arg;
	struct fuse_init_out init;

	if (r->number % QUEUES) {
		for (unsigned int i = 0; i < ROUNDS; i++) {
			static const deed deeds[] = { do_create, do_open, do_rename, do_link, do_list, do_setattr };
			struct runner mine = { .race = r->race, .q = r->q, .random = r->random + i,
				.dir = CASEMENT_ROOT };

			/* Between two sessions everything is EIO; that is an answer too. */
			deeds[roll(&mine, ARRAY_SIZE(deeds))](&mine);
			if (mine.wrong && mine.wrong != -EIO)
				r->wrong = mine.wrong, r->wrong_call = mine.wrong_call;
		}
		return NULL;
	}
	for (unsigned int i = 0; i < ROUNDS / 5 && !r->wrong; i++) {
		r->wrong = casement_init(r->q, NULL, &init);
		if (!r->wrong && i % 2)
			r->wrong = casement_destroy(r->q);
		r->wrong_call = "init and destroy";
	}
	r->wrong = r->wrong ? r->wrong : casement_init(r->q, NULL, &init);
	return NULL;
}

static void test_sessions(void **state)
{
	run(*state, init_thread);
}

#define RACE_TEST(test) cmocka_unit_test_setup_teardown(test, race_setup, race_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RACE_TEST(test_names),
		RACE_TEST(test_locks),
		RACE_TEST(test_forgets),
		RACE_TEST(test_window),
		RACE_TEST(test_reset_under_way),
		RACE_TEST(test_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
