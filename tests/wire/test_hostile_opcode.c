/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every row of the daemon's opcode table, bent in every way: sizes, lengths,
 * room, names, nodes, handles, each word of the fixed part, the order. The
 * cases are generated from the table, so that a new opcode cannot be missed.
 * After each: the answer is well-formed, the daemon lives, another queue is
 * served, and when the session is over no descriptor is left.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/raw.h"
#include "common/checked.h"
#include "daemon/protocol/opcodes.h"
#include "hostile_cases.h"
#include "proto/fuse_wire.h"
#include "request_shape.h"

#define ROOM 8192
#define BODY_MAX 2048
#define UNIQUE 4711
#define NO_ANSWER (-100000)	/* used length 0 */

/* What one case works on: a session of its own. */
struct bench {
	struct fixture *f;
	struct casement_queue *other;	/* the queue that must always be served */
	unsigned int fds;		/* descriptors of the daemon without a session's own */
	uint64_t file, file_fh;
	uint64_t dir, dir_fh;
	uint64_t stale;			/* a node that was forgotten */
	uint64_t closed_file_fh, closed_dir_fh;
};

/* One request, honest at first. */
struct bent {
	uint32_t opcode;
	const struct opcode *op;
	const struct request_shape *shape;
	struct fuse_in_header head;
	unsigned char body[BODY_MAX];
	size_t size;			/* of the body */
	size_t room;
};

/* ---- the scene ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	if (ftw->level)
		remove(path);
	return 0;
}

static void clean_share(const struct bench *b)
{
	nftw(b->f->daemon.share, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	share_fill(&b->f->daemon, "victim", 100, 1);
	assert_int_equal(mkdir(share_path(&b->f->daemon, "dir"), 0777), 0);
}

static uint64_t open_dir(struct casement_queue *q, uint64_t node)
{
	struct fuse_open_out open;

	ok(casement_opendir(q, node, &open));
	return open.fh;
}

static void session_begin(struct bench *b)
{
	struct casement_queue *q = b->f->q;
	struct fuse_entry_out entry;
	uint64_t node;

	clean_share(b);
	ok(casement_init(q, NULL, &b->f->init));
	ok(casement_mkdir(q, CASEMENT_ROOT, "gone", 0755, &entry));
	b->stale = entry.nodeid;
	ok(casement_rmdir(q, CASEMENT_ROOT, "gone"));
	ok(casement_forget(casement_hiprio_queue(b->f->client), b->stale, 1));
	b->closed_file_fh = open_file(q, "victim", O_RDWR, &node);
	ok(casement_release(q, node, b->closed_file_fh));
	b->file_fh = open_file(q, "victim", O_RDWR, &b->file);
	b->dir = lookup_node(q, "dir");
	b->closed_dir_fh = open_dir(q, b->dir);
	ok(casement_releasedir(q, b->dir, b->closed_dir_fh));
	b->dir_fh = open_dir(q, b->dir);
}

/* The end of a case: the other queue is served, and nothing stays open. */
static void session_end(struct bench *b)
{
	struct fuse_statfs_out statfs;
	unsigned int fds;

	daemon_check(&b->f->daemon);
	/* Whether there is a session is not known; that there is an answer is. */
	casement_statfs(b->other, CASEMENT_ROOT, &statfs);
	ok(casement_init(b->f->q, NULL, &b->f->init));
	ok(casement_getattr(b->other, CASEMENT_ROOT, CASEMENT_NO_FH, &(struct fuse_attr_out){ 0 }));
	ok(casement_destroy(b->f->q));
	fds = daemon_count_fds(&b->f->daemon);
	if (!b->fds)
		b->fds = fds;
	if (fds != b->fds)
		fail_msg("%s: %u descriptors after the session, not %u", hostile_case_name(), fds, b->fds);
}

static void put_u64(struct bent *r, uint16_t at, uint64_t value)
{
	if (at != SHAPE_NONE)
		memcpy(r->body + at, &value, sizeof(value));
}

/* An honest request of this opcode, with these names. */
static void make(const struct bench *b, struct bent *r, uint32_t opcode, const char *first,
		 const char *second)
{
	*r = (struct bent){
		.opcode = opcode, .op = opcode_find(opcode), .shape = request_shape(opcode), .room = ROOM,
		.head = { .opcode = opcode, .unique = UNIQUE, .nodeid = CASEMENT_ROOT },
	};
	r->size = request_body(opcode, r->body, first, second);
	if (r->shape->kind == SHAPE_FILE)
		r->head.nodeid = b->file;
	else if (r->shape->fh_at != SHAPE_NONE || opcode == FUSE_OPENDIR)
		r->head.nodeid = b->dir;
	put_u64(r, r->shape->fh_at, r->shape->kind == SHAPE_DIR ? b->dir_fh : b->file_fh);
	put_u64(r, r->shape->fh2_at, b->file_fh);
	put_u64(r, r->shape->node_at, r->shape->kind == SHAPE_FILE || opcode == FUSE_LINK ?
		b->file : CASEMENT_ROOT);
	r->head.len = (uint32_t)(sizeof(r->head) + r->size);
}

/* Send it: 0, the error, or NO_ANSWER; fails when the answer is not well-formed, or does not come. */
static int send_bent(const struct bench *b, const struct bent *r)
{
	static char bytes[sizeof(struct fuse_in_header) + BODY_MAX], reply[ROOM];
	struct fuse_out_header out;
	ssize_t n;

	memcpy(bytes, &r->head, sizeof(r->head));
	memcpy(bytes + sizeof(r->head), r->body, r->size);
	n = raw_fuse(b->f->q, bytes, sizeof(r->head) + r->size, reply, r->room, TEST_WAIT_MS);
	if (n < 0) {
		daemon_check(&b->f->daemon);
		fail_msg("%s: no answer (%s)", hostile_case_name(), casement_error());
	}
	if (n == 0) {
		if (r->room >= sizeof(out) && !(r->op->flags & OP_NO_REPLY))
			fail_msg("%s: an empty answer", hostile_case_name());
		return NO_ANSWER;
	}
	memcpy(&out, reply, sizeof(out));
	if ((size_t)n < sizeof(out) || out.len != (uint32_t)n || out.unique != UNIQUE || out.error > 0 ||
	    out.error <= -512 || (out.error && n != sizeof(out)))
		fail_msg("%s: used %zd, length %u, unique %llu, error %d", hostile_case_name(), n, out.len,
			 (unsigned long long)out.unique, out.error);
	return out.error;
}

/* What a case expects. */
enum outcome {
	ANSWERED,	/* whatever the answer is */
	REFUSED,	/* an error, or nothing where nothing fits or is due */
};

/* The request as it stands is a case of its own. */
static void run(struct bench *b, const struct bent *r, enum outcome outcome)
{
	int result = send_bent(b, r);

	if (outcome == REFUSED && result == 0)
		fail_msg("%s: was done", hostile_case_name());
	session_end(b);
}

#define BEGIN(b, r, number, ...) \
	do { \
		hostile_case(__VA_ARGS__); \
		session_begin(b); \
		make(b, r, number, "victim", "other"); \
	} while (0)

#define FOR_EACH_ROW(number, op) \
	for (uint32_t number = 0; number < FUSE_OPCODE_LIMIT; number++) \
		for (const struct opcode *op = opcode_find(number); op; op = NULL)

static struct bench bench_of(void **state)
{
	/* A file of 4 GiB that the case did not mean must not fill the disk. */
	static const struct rlimit limit = { 64u << 20, 64u << 20 };
	struct fixture *f = fixture_of(state);

	assert_int_equal(prlimit(f->daemon.pid, RLIMIT_FSIZE, &limit, NULL), 0);
	return (struct bench){ .f = f, .other = casement_request_queue(f->client, 1) };
}

/* ---- the bends ---- */

static void test_honest(void **state)
{
	struct bench b = bench_of(state);
	struct bent r;

	FOR_EACH_ROW(number, op) {
		/* What is served is proved elsewhere; here: that the bench itself is right. */
		BEGIN(&b, &r, number, "%s, honest", op->name);
		run(&b, &r, ANSWERED);
	}
}

/* Less body than is due. */
static void test_short_bodies(void **state)
{
	struct bench b = bench_of(state);
	struct bent r;

	FOR_EACH_ROW(number, op) {
		size_t least = (op->arg_min ? op->arg_min : op->arg_size) + (op->names ? 1 : 0);
		size_t sizes[] = { 0, 1, least / 2, least - 1 };

		for (unsigned int i = 0; i < ARRAY_SIZE(sizes) && least; i++) {
			if (i && sizes[i] <= sizes[i - 1])
				continue;
			BEGIN(&b, &r, number, "%s, body of %zu bytes", op->name, sizes[i]);
			r.size = sizes[i];
			r.head.len = (uint32_t)(sizeof(r.head) + r.size);
			run(&b, &r, REFUSED);
		}
	}
}

/* A header that says another length. */
static void test_lengths(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 39, 1u << 20, INT32_MAX, UINT32_MAX - 39, UINT32_MAX };
	struct bench b = bench_of(state);
	struct bent r;

	FOR_EACH_ROW(number, op) {
		for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
			BEGIN(&b, &r, number, "%s, header length %u", op->name, lengths[i]);
			r.head.len = lengths[i];
			run(&b, &r, REFUSED);
		}
		BEGIN(&b, &r, number, "%s, header length one too long", op->name);
		r.head.len++;
		run(&b, &r, REFUSED);
	}
}

/* Room that an answer does not fit. */
static void test_rooms(void **state)
{
	static const size_t rooms[] = { 0, 1, 15 };
	struct bench b = bench_of(state);
	struct bent r;

	FOR_EACH_ROW(number, op) {
		for (unsigned int i = 0; i < ARRAY_SIZE(rooms); i++) {
			BEGIN(&b, &r, number, "%s, room for %zu bytes", op->name, rooms[i]);
			r.room = rooms[i];
			run(&b, &r, REFUSED);
		}
		if (!op->reply_min)
			continue;
		BEGIN(&b, &r, number, "%s, room of one byte less than is due", op->name);
		r.room = sizeof(struct fuse_out_header) + op->reply_min - 1u;
		run(&b, &r, REFUSED);
	}
}

struct bad_name {
	const char *what, *bytes;
	size_t size;
	bool good;	/* odd, but a name */
};

static char name_255[256], name_256[257], name_4096[4097];

static const struct bad_name bad_names[] = {
	{ "an empty name", "", 1, false }, { "no name", "", 0, false }, { "\".\"", ".", 2, false },
	{ "\"..\"", "..", 3, false }, { "\"/\"", "/", 2, false }, { "\"a/b\"", "a/b", 4, false },
	{ "\"/abs\"", "/abs", 5, false }, { "\"../victim\"", "../victim", 10, false },
	{ "\"victim/\"", "victim/", 8, false }, { "a NUL inside", "vic\0tim", 8, false },
	{ "no NUL", "victim", 6, false }, { "256 bytes", name_256, 257, false },
	{ "4096 bytes", name_4096, 4097, false }, { "255 bytes", name_255, 256, true },
	{ "\"...\"", "...", 4, true }, { "bytes that are no UTF-8", "\xff\xfe\x80", 4, true },
};

/* The n-th name is a bad one. */
static void bend_name(struct bent *r, unsigned int which, const struct bad_name *bad)
{
	r->size = r->op->arg_size;
	for (unsigned int i = 0; i < r->op->names; i++) {
		const char *bytes = i == which ? bad->bytes : "victim";
		size_t size = MIN(i == which ? bad->size : 7, BODY_MAX - r->size);

		memcpy(r->body + r->size, bytes, size);
		r->size += size;
	}
	r->head.len = (uint32_t)(sizeof(r->head) + r->size);
}

/*
 * Two names: a NUL inside the first, or its absence, only moves where the second
 * begins, and what is then wrong depends on the other name.
 */
static bool name_applies(const struct opcode *op, unsigned int which, const struct bad_name *bad)
{
	bool shifts = memchr(bad->bytes, 0, bad->size) != bad->bytes + bad->size - 1;

	if (which == 1 && op->flags & OP_TARGET)	/* not a name */
		return false;
	if (op->flags & (OP_XATTR | OP_UNNAMED))	/* no file's: test_hostile_xattr.c */
		return false;
	return which + 1u == op->names || !shifts || !bad->size;
}

static void test_names(void **state)
{
	struct bench b = bench_of(state);
	struct bent r;

	memset(name_255, 'n', 255);
	memset(name_256, 'n', 256);
	memset(name_4096, 'n', 4096);
	FOR_EACH_ROW(number, op) {
		for (unsigned int n = 0; n < op->names * ARRAY_SIZE(bad_names); n++) {
			const struct bad_name *bad = &bad_names[n / op->names];
			unsigned int which = n % op->names;
			int result;

			if (!name_applies(op, which, bad))
				continue;
			BEGIN(&b, &r, number, "%s, name %u is %s", op->name, which, bad->what);
			bend_name(&r, which, bad);
			result = send_bent(&b, &r);
			if (bad->good == (result == -EINVAL || result == -ENAMETOOLONG))
				fail_msg("%s: %d", hostile_case_name(), result);
			session_end(&b);
		}
	}
}

/* Nodes that are none, in the header and in the body. */
static void test_nodes(void **state)
{
	struct bench b = bench_of(state);
	struct bent r;

	FOR_EACH_ROW(number, op) {
		const struct request_shape *shape = request_shape(number);
		/* A handle says which file it is; what has a handle may ignore the node. */
		enum outcome outcome = shape->kind != SHAPE_ANY && shape->fh_at == SHAPE_NONE &&
				       number != FUSE_REMOVEMAPPING ? REFUSED : ANSWERED;

		for (unsigned int i = 0; i < 5; i++) {
			static const char *const what[] = { "0", "unknown", "stale", "the greatest", "negative" };
			uint64_t nodes[] = { 0, 1u << 30, 0, UINT64_MAX, 1ull << 63 };

			BEGIN(&b, &r, number, "%s, node %s", op->name, what[i]);
			nodes[2] = b.stale;
			r.head.nodeid = nodes[i];
			run(&b, &r, outcome);
			if (shape->node_at == SHAPE_NONE)
				continue;
			BEGIN(&b, &r, number, "%s, second node %s", op->name, what[i]);
			nodes[2] = b.stale;
			put_u64(&r, shape->node_at, nodes[i]);
			run(&b, &r, shape->fh_at == SHAPE_NONE ? REFUSED : ANSWERED);
		}
		BEGIN(&b, &r, number, "%s, of the other kind of node", op->name);
		r.head.nodeid = shape->kind == SHAPE_DIR ? b.file : b.dir;
		run(&b, &r, ANSWERED);
		BEGIN(&b, &r, number, "%s, of the root", op->name);
		r.head.nodeid = CASEMENT_ROOT;
		run(&b, &r, ANSWERED);
	}
}

/* These look at their handle only when a flag says so, or have no use for one. */
static bool handle_is_optional(uint32_t opcode)
{
	return opcode == FUSE_GETATTR || opcode == FUSE_SETATTR || opcode == FUSE_STATX;
}

static void test_handles(void **state)
{
	static const char *const what[] = {
		"0", "unknown", "closed", "of the other kind", "closed, of the other kind", "the greatest",
		"a node's number",
	};
	struct bench b = bench_of(state);
	struct bent r;

	FOR_EACH_ROW(number, op) {
		const struct request_shape *shape = request_shape(number);
		bool dir = shape->kind == SHAPE_DIR;

		for (unsigned int i = 0; i < 2 * ARRAY_SIZE(what) && shape->fh_at != SHAPE_NONE; i++) {
			bool second = i >= ARRAY_SIZE(what);
			uint64_t handles[ARRAY_SIZE(what)] = { 0, 1ull << 40 | 17 };

			if (second && shape->fh2_at == SHAPE_NONE)
				break;
			BEGIN(&b, &r, number, "%s, %s handle %s", op->name, second ? "second" : "the",
			      what[i % ARRAY_SIZE(what)]);
			handles[2] = dir ? b.closed_dir_fh : b.closed_file_fh;
			handles[3] = dir ? b.file_fh : b.dir_fh;
			handles[4] = dir ? b.closed_file_fh : b.closed_dir_fh;
			handles[5] = UINT64_MAX;
			handles[6] = b.file;
			put_u64(&r, second ? shape->fh2_at : shape->fh_at, handles[i % ARRAY_SIZE(what)]);
			run(&b, &r, handle_is_optional(number) ? ANSWERED : REFUSED);
		}
	}
}

/* Each word of the fixed part at the ends of its number line, then all of them. */
static void test_words(void **state)
{
	static const uint64_t ends[] = { UINT32_MAX, INT32_MAX };
	static const uint64_t wide[] = { INT64_MAX, UINT64_MAX, 1ull << 63 };
	struct bench b = bench_of(state);
	struct bent r;

	FOR_EACH_ROW(number, op) {
		for (size_t at = 0; at + 4 <= op->arg_size; at += 4) {
			for (unsigned int i = 0; i < ARRAY_SIZE(ends); i++) {
				BEGIN(&b, &r, number, "%s, %#llx at %zu", op->name, (unsigned long long)ends[i], at);
				memcpy(r.body + at, &ends[i], 4);
				run(&b, &r, ANSWERED);
			}
			for (unsigned int i = 0; i < ARRAY_SIZE(wide) && at % 8 == 0 && at + 8 <= op->arg_size; i++) {
				BEGIN(&b, &r, number, "%s, %#llx, 8 bytes, at %zu", op->name,
				      (unsigned long long)wide[i], at);
				memcpy(r.body + at, &wide[i], 8);
				run(&b, &r, ANSWERED);
			}
		}
		if (!op->arg_size)
			continue;
		BEGIN(&b, &r, number, "%s, all ones", op->name);
		memset(r.body, 0xff, op->arg_size);
		run(&b, &r, ANSWERED);
		BEGIN(&b, &r, number, "%s, all zeros", op->name);
		memset(r.body, 0, op->arg_size);
		run(&b, &r, ANSWERED);
	}
}

/* Out of turn: before INIT and after DESTROY. INIT and what has no answer may come at any time. */
static void test_orders(void **state)
{
	struct bench b = bench_of(state);
	struct bent r;

	FOR_EACH_ROW(number, op) {
		bool anytime = op->flags & OP_ANYTIME;
		int result;

		BEGIN(&b, &r, number, "%s, after DESTROY", op->name);
		ok(casement_destroy(b.f->q));
		result = send_bent(&b, &r);
		if (!anytime && result != -EIO)
			fail_msg("%s: %d", hostile_case_name(), result);
		session_end(&b);
		BEGIN(&b, &r, number, "%s, with numbers of the session before", op->name);
		ok(casement_destroy(b.f->q));
		ok(casement_init(b.f->q, NULL, &b.f->init));
		run(&b, &r, request_shape(number)->fh_at != SHAPE_NONE && !handle_is_optional(number) ?
		    REFUSED : ANSWERED);
		BEGIN(&b, &r, number, "%s, on the high-priority queue", op->name);
		b.f->q = casement_hiprio_queue(b.f->client);
		send_bent(&b, &r);
		b.f->q = casement_request_queue(b.f->client, 0);
		session_end(&b);
	}
}

static const struct fixture_config bench_config = {
	.args = { "--window-size", "16M", "--queues", "2", "--posix-lock", "--flock",
		  "--posix-acl=auto", "--killpriv-v2", NULL },
	.options = { .request_queues = 2, .queue_size = 64, .depth = 8 },
	.needs = "posix-lock",
};

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_honest, &bench_config),
		FIXTURE_TEST(test_short_bodies, &bench_config),
		FIXTURE_TEST(test_lengths, &bench_config),
		FIXTURE_TEST(test_rooms, &bench_config),
		FIXTURE_TEST(test_names, &bench_config),
		FIXTURE_TEST(test_nodes, &bench_config),
		FIXTURE_TEST(test_handles, &bench_config),
		FIXTURE_TEST(test_words, &bench_config),
		FIXTURE_TEST(test_orders, &bench_config),
		cmocka_unit_test(test_cases_counted),
	};

	hostile_cases_least = 300;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
