/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FUSE requests that no kernel sends: bad names, lengths, nodes, handles, sizes
 * and orders, generated for every opcode so that a new one cannot be missed.
 * Each gets an answer in bounded time, well-formed, and nothing on the host
 * changes that may not. Relies on the raw side of the client.
 */
#include "daemon_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/raw.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "proto/fuse_wire.h"

#define ROOM 8192
#define BODY_MAX 8192
#define NOTHING 0xffffffffu

static bool wants_no_reply(uint32_t opcode)
{
	return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT;
}

/* A request to be sent as it is. */
struct raw_request {
	struct fuse_in_header header;
	char body[BODY_MAX];
	size_t body_size;
};

/*
 * Send; the answer must come, be 16 bytes and an error or whole and right, or
 * nothing where nothing fits or is due. Returns the error, the bytes of body, or
 * -ENODATA when there was no answer.
 */
static int send_request(struct fixture *f, struct raw_request *request, size_t room)
{
	static char bytes[sizeof(struct fuse_in_header) + BODY_MAX], reply[ROOM];
	size_t size = sizeof(request->header) + request->body_size;
	struct fuse_out_header out;
	ssize_t n;

	if (request->header.len == NOTHING)
		request->header.len = (uint32_t)size;
	request->header.unique = 77;
	memcpy(bytes, &request->header, sizeof(request->header));
	memcpy(bytes + sizeof(request->header), request->body, request->body_size);
	n = raw_fuse(f->q, bytes, size, reply, room, TEST_WAIT_MS);
	daemon_check(&f->daemon);
	if (n < 0)
		fail_msg("opcode %u, %zu bytes: no answer (%s)", request->header.opcode, size,
			 casement_error());
	if (n == 0) {
		if (room >= sizeof(out) && !wants_no_reply(request->header.opcode))
			fail_msg("opcode %u: an empty answer", request->header.opcode);
		return -ENODATA;
	}
	memcpy(&out, reply, sizeof(out));
	if ((size_t)n < sizeof(out) || out.len != (uint32_t)n || out.unique != 77 ||
	    out.error > 0 || out.error < -4095 || (out.error && n != sizeof(out)))
		fail_msg("opcode %u: used %zd, header length %u, unique %llu, error %d",
			 request->header.opcode, n, out.len, (unsigned long long)out.unique, out.error);
	return out.error ? out.error : (int)(n - (ssize_t)sizeof(out));
}

static struct raw_request *make(struct raw_request *request, uint32_t opcode, uint64_t node)
{
	memset(&request->header, 0, sizeof(request->header));
	request->header.len = NOTHING;
	request->header.opcode = opcode;
	request->header.nodeid = node;
	request->body_size = 0;
	return request;
}

static void add(struct raw_request *request, const void *bytes, size_t size)
{
	memcpy(request->body + request->body_size, bytes, size);
	request->body_size += size;
}

/* Requests that carry names: what stands before the name, and how many names. */
struct name_op {
	uint32_t opcode;
	size_t fixed;
	unsigned int names;
};

static const struct name_op name_ops[] = {
	{ FUSE_LOOKUP, 0, 1 },
	{ FUSE_MKNOD, sizeof(struct fuse_mknod_in), 1 },
	{ FUSE_MKDIR, sizeof(struct fuse_mkdir_in), 1 },
	{ FUSE_UNLINK, 0, 1 },
	{ FUSE_RMDIR, 0, 1 },
	{ FUSE_SYMLINK, 0, 2 },
	{ FUSE_RENAME, sizeof(struct fuse_rename_in), 2 },
	{ FUSE_RENAME2, sizeof(struct fuse_rename2_in), 2 },
	{ FUSE_LINK, sizeof(struct fuse_link_in), 1 },
	{ FUSE_CREATE, sizeof(struct fuse_create_in), 1 },
};

/* The fixed part of such a request as an honest guest would have it. */
static void add_fixed(struct raw_request *request, const struct name_op *op, uint64_t node)
{
	struct fuse_mknod_in mknod = { .mode = S_IFREG | 0644 };
	struct fuse_mkdir_in mkdir = { .mode = 0755 };
	struct fuse_rename_in rename = { .newdir = CASEMENT_ROOT };
	struct fuse_rename2_in rename2 = { .newdir = CASEMENT_ROOT };
	struct fuse_link_in link = { .oldnodeid = node };
	struct fuse_create_in create = { .flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0644 };
	const void *fixed = NULL;

	switch (op->opcode) {
	case FUSE_MKNOD: fixed = &mknod; break;
	case FUSE_MKDIR: fixed = &mkdir; break;
	case FUSE_RENAME: fixed = &rename; break;
	case FUSE_RENAME2: fixed = &rename2; break;
	case FUSE_LINK: fixed = &link; break;
	case FUSE_CREATE: fixed = &create; break;
	}
	if (fixed)
		add(request, fixed, op->fixed);
}

static unsigned int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static char name_256[257], name_4000[4001];

/* A name and its bytes, the NUL with them where there is one. */
struct bad_name {
	const char *bytes;
	size_t size;
};

static const struct bad_name bad_names[] = {
	{ "", 1 }, { "", 0 }, { ".", 2 }, { "..", 3 }, { "/", 2 }, { "a/b", 4 }, { "/abs", 5 },
	{ "sub/../../x", 12 }, { "../outside", 11 }, { "a/", 3 }, { "no-nul", 6 }, { "..", 2 },
	{ name_256, sizeof(name_256) }, { name_4000, sizeof(name_4000) },
	{ "nul\0inside", 11 }, { "two\0", 5 },
};

/* The last two are two strings: for requests with one name, trailing bytes. */
#define FIRST_TRAILING (ARRAY_SIZE(bad_names) - 2)

static void try_name(struct fixture *f, const struct name_op *op, const struct bad_name *bad,
		     unsigned int where, uint64_t node)
{
	struct raw_request request;
	int result;

	make(&request, op->opcode, CASEMENT_ROOT);
	add_fixed(&request, op, node);
	for (unsigned int i = 0; i < op->names; i++) {
		if (i == where)
			add(&request, bad->bytes, bad->size);
		else
			add(&request, "victim", 7);
	}
	result = send_request(f, &request, ROOM);
	/* Refused as a name, before the host's own rules are asked. */
	if (result != -EINVAL && result != -ENAMETOOLONG)
		fail_msg("opcode %u: the name \"%s\" (%zu bytes) as name %u gave %d", op->opcode,
			 bad->bytes, bad->size, where, result);
}

/* Every request with a name x every bad name: refused, and nothing happens on the host. */
static void test_names(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node;

	memset(name_256, 'x', 256);
	memset(name_4000, 'y', 4000);
	share_fill(&f->daemon, "victim", 10, 1);
	node = lookup_node(f->q, "victim");
	assert_int_equal(mkdir(share_path(&f->daemon, "sub"), 0755), 0);
	assert_int_equal(close(open(share_path(&f->daemon, "../outside"), O_CREAT | O_WRONLY, 0644)), 0);
	for (unsigned int o = 0; o < ARRAY_SIZE(name_ops); o++) {
		for (unsigned int b = 0; b < ARRAY_SIZE(bad_names); b++) {
			const struct name_op *op = &name_ops[o];

			/* A symlink's target may be anything that is a string. */
			if (op->opcode != FUSE_SYMLINK && !(op->names == 2 && b >= FIRST_TRAILING))
				try_name(f, op, &bad_names[b], op->names - 1, node);
			if (op->names == 2 && b < FIRST_TRAILING)
				try_name(f, op, &bad_names[b], 0, node);
		}
	}
	assert_int_equal(count_entries(f->daemon.share), 4);
	assert_int_equal(count_entries(f->daemon.dir), 5);	/* share, sock, outside */
	assert_int_equal(access(share_path(&f->daemon, "../outside"), F_OK), 0);
}

/* A target is not a name: any string up to PATH_MAX, never followed by us. */
static void test_targets(void **state)
{
	static const char *const targets[] = { "/", "..", "../../etc", "/etc/passwd", "a/b" };
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry, below;
	struct fuse_open_out open;
	char back[64], name[16];

	for (unsigned int i = 0; i < ARRAY_SIZE(targets); i++) {
		snprintf(name, sizeof(name), "link%u", i);
		ok(casement_symlink(f->q, CASEMENT_ROOT, name, targets[i], &entry));
		assert_int_equal(ok(casement_readlink(f->q, entry.nodeid, back, sizeof(back))),
				 strlen(targets[i]));
		assert_true(casement_lookup(f->q, entry.nodeid, "passwd", &below) < 0);
		assert_true(casement_open(f->q, entry.nodeid, O_RDONLY, &open) < 0);
		assert_true(casement_opendir(f->q, entry.nodeid, &open) < 0);
		assert_true(casement_create(f->q, CASEMENT_ROOT, name, O_RDWR | O_CREAT, S_IFREG | 0644,
					    &below, &open) < 0);
	}
}

static const struct fixture_config no_init = { .no_init = true };
static const struct fixture_config with_window = {
	.args = { "--window-size", "16M", "--xattr", NULL },
	.needs = "window-size",
};

/* Opcode numbers worth trying. */
static uint32_t opcode_at(unsigned int i)
{
	static const uint32_t high[] = { 4096, 65535, 1u << 20, 0x7fffffff, 0xffffffff };

	return i <= FUSE_OPCODE_LIMIT ? i : high[i - FUSE_OPCODE_LIMIT - 1];
}
#define OPCODES (FUSE_OPCODE_LIMIT + 6)

/* Bodies of every size, of zeros and of ones, in rooms of every size. */
static void sweep_bodies(struct fixture *f, uint64_t node)
{
	static const size_t sizes[] = { 0, 1, 7, 8, 15, 16, 24, 32, 40, 56, 64, 88, 104, 200, 4096 };
	static const size_t rooms[] = { 0, 8, 16, 17, 136, ROOM };
	static struct raw_request request;

	for (unsigned int o = 0; o < OPCODES; o++) {
		for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
			for (unsigned int fill = 0; fill < 2; fill++) {
				make(&request, opcode_at(o), node);
				memset(request.body, fill ? 0xff : 0, sizes[s]);
				request.body_size = sizes[s];
				send_request(f, &request, rooms[(o + s + fill) % ARRAY_SIZE(rooms)]);
				send_request(f, &request, ROOM);
			}
		}
	}
}

static void test_bodies(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node;

	share_fill(&f->daemon, "file", 10, 1);
	sweep_bodies(f, CASEMENT_ROOT);
	ok(casement_init(f->q, NULL, &f->init));
	node = lookup_node(f->q, "file");
	sweep_bodies(f, node);
	sweep_bodies(f, 0);
	sweep_bodies(f, UINT64_MAX);
	ok(casement_init(f->q, NULL, &f->init));
	lookup_node(f->q, "file");
	assert_int_equal(count_entries(f->daemon.dir), 4);
}

/* Before INIT and after DESTROY nothing but INIT is served. */
static void check_dead(struct fixture *f)
{
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	struct fuse_open_out open;

	assert_true(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr) < 0);
	assert_true(casement_lookup(f->q, CASEMENT_ROOT, "file", &entry) < 0);
	assert_true(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0755, &entry) < 0);
	assert_true(casement_opendir(f->q, CASEMENT_ROOT, &open) < 0);
	assert_int_equal(access(share_path(&f->daemon, "dir"), F_OK), -1);
}

static void test_orders(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out attr;
	uint64_t node, fh;

	share_fill(&f->daemon, "file", 10, 1);
	check_dead(f);
	sweep_bodies(f, CASEMENT_ROOT);
	for (unsigned int round = 0; round < 5; round++) {
		ok(casement_init(f->q, NULL, &f->init));
		fh = open_file(f->q, "file", O_RDWR, &node);
		/* Twice, as after a guest's hard reset. */
		ok(casement_init(f->q, NULL, &f->init));
		assert_true(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr) < 0);
		assert_true(casement_getattr(f->q, node, fh, &attr) < 0);
		assert_true(casement_read(f->q, node, fh, 0, &attr, 8) < 0);
		ok(casement_destroy(f->q));
		check_dead(f);
	}
	ok(casement_destroy(f->q));
}

/* A header whose length is not that of the request. */
static void test_lengths(void **state)
{
	struct fixture *f = fixture_of(state);
	static const int64_t lies[] = { 0, 1, 39, 40, 55, 57, 4096, 0x7fffffff, 0xfffffffe, 1 << 20 };
	static struct raw_request request;
	char reply[256];

	for (unsigned int i = 0; i < ARRAY_SIZE(lies); i++) {
		make(&request, FUSE_GETATTR, CASEMENT_ROOT);
		memset(request.body, 0, 16);
		request.body_size = 16;
		request.header.len = (uint32_t)lies[i];
		if (send_request(f, &request, ROOM) >= 0)
			fail_msg("a length of %lld was taken", (long long)lies[i]);
	}
	/* Less than a header. */
	for (size_t size = 1; size < 40; size++) {
		ssize_t n = raw_fuse(f->q, &request.header, size, reply, 256, TEST_QUIET_MS);

		daemon_check(&f->daemon);
		if (n < 0)
			ok(raw_restart(f->q));
	}
	ok(casement_init(f->q, NULL, &f->init));
}

/* READ and WRITE whose size is not that of the buffers. */
static void test_data_sizes(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 4095, 4096, 4097, 1u << 20, (1u << 20) + 1, 0x7fffffff,
					  0xffffffff };
	struct fixture *f = fixture_of(state);
	static struct raw_request request;
	uint64_t node, fh;
	struct stat st;

	share_fill(&f->daemon, "file", 100000, 1);
	fh = open_file(f->q, "file", O_RDWR, &node);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct fuse_read_in read = { .fh = fh, .size = sizes[i] };
		struct fuse_write_in write = { .fh = fh, .size = sizes[i], .offset = 200000 };
		int n;

		make(&request, FUSE_READ, node);
		add(&request, &read, sizeof(read));
		n = send_request(f, &request, 16 + 4096);
		assert_true(n <= (int)MIN(sizes[i], 4096u));
		make(&request, FUSE_WRITE, node);
		add(&request, &write, sizeof(write));
		memset(request.body + request.body_size, 1, 4096);
		request.body_size += 4096;
		n = send_request(f, &request, ROOM);
		/* Never more than was sent. */
		assert_int_equal(stat(share_path(&f->daemon, "file"), &st), 0);
		assert_true(st.st_size <= 200000 + 4096);
		if (sizes[i] > 4096)
			assert_true(n < 0);
	}
}

/* Offsets and lengths at the ends of the number line. */
static void test_offsets(void **state)
{
	static const uint64_t ends[] = { INT64_MAX, INT64_MAX - 1, 1ull << 63, UINT64_MAX,
					 UINT64_MAX - 4095 };
	struct fixture *f = fixture_of(state);
	struct fuse_setattr_in set = { .valid = FATTR_SIZE };
	struct fuse_attr_out attr;
	uint64_t node, fh;
	char buf[4096] = "";

	fh = create_file(f->q, "file", &node);
	for (unsigned int i = 0; i < ARRAY_SIZE(ends); i++) {
		struct fuse_copy_file_range_in copy = { fh, ends[i], node, fh, ends[i], 4096, 0 };

		assert_true(casement_read(f->q, node, fh, ends[i], buf, 4096) <= 0);
		assert_true(casement_write(f->q, node, fh, ends[i], buf, 4096) <= 1);
		assert_true(casement_fallocate(f->q, node, fh, 0, ends[i], 4096) < 0);
		assert_true(casement_fallocate(f->q, node, fh, 0, 4096, ends[i]) < 0);
		assert_true(casement_lseek(f->q, node, fh, ends[i], SEEK_DATA) < 0);
		(void)casement_copy_file_range(f->q, &copy, node);
		copy = (struct fuse_copy_file_range_in){ fh, 0, node, fh, 8192, ends[i], 0 };
		(void)casement_copy_file_range(f->q, &copy, node);
		if (ends[i] > INT64_MAX) {
			set.size = ends[i];
			assert_true(casement_setattr(f->q, node, &set, &attr) < 0);
		}
	}
	daemon_check(&f->daemon);
}

/* Numbers for nodes and handles that were never given, or belong to something else. */
static void test_numbers(void **state)
{
	static const uint64_t numbers[] = { 0, 2, 3, 1000, 1ull << 31, 1ull << 32, 1ull << 63,
					    0x8000000000000001, UINT64_MAX - 1, UINT64_MAX };
	struct fixture *f = fixture_of(state);
	uint64_t node, fh;
	char buf[512];

	fh = create_file(f->q, "file", &node);
	for (unsigned int i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct fuse_entry_out entry;
		struct fuse_attr_out attr;
		struct fuse_open_out open;
		uint64_t n = numbers[i];

		if (n != node) {
			assert_true(casement_getattr(f->q, n, CASEMENT_NO_FH, &attr) < 0);
			assert_true(casement_lookup(f->q, n, "file", &entry) < 0);
			assert_true(casement_open(f->q, n, O_RDONLY, &open) < 0);
			assert_true(casement_link(f->q, n, CASEMENT_ROOT, "new", &entry) < 0);
			assert_true(casement_rename(f->q, CASEMENT_ROOT, "file", n, "file", 0) < 0);
		}
		if (n != fh) {
			assert_true(casement_read(f->q, node, n, 0, buf, 10) < 0);
			assert_true(casement_write(f->q, node, n, 0, buf, 10) < 0);
			assert_true(casement_release(f->q, node, n) < 0);
			assert_true(casement_fsync(f->q, node, n, 0) < 0);
			assert_true(casement_readdir(f->q, CASEMENT_ROOT, n, 0, buf, 512) < 0);
			assert_true(casement_lseek(f->q, node, n, 0, SEEK_END) < 0);
		}
	}
	assert_int_equal(ok(casement_write(f->q, node, fh, 0, "x", 1)), 1);
}

/* BATCH_FORGET and REMOVEMAPPING say how many follow. */
static void test_counts(void **state)
{
	static const uint32_t counts[] = { 0, 1, 2, 3, 4096, 0x10000000, 0x7fffffff, 0xffffffff };
	static const uint32_t opcodes[] = { FUSE_BATCH_FORGET, FUSE_REMOVEMAPPING };
	struct fixture *f = fixture_of(state);
	static struct raw_request request;

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(counts); i++) {
		make(&request, opcodes[i % 2], CASEMENT_ROOT);
		memset(request.body, 0, 64);
		memcpy(request.body, &counts[i / 2], sizeof(counts[0]));
		for (request.body_size = 4; request.body_size <= 40; request.body_size += 4) {
			request.header.len = NOTHING;
			send_request(f, &request, ROOM);
		}
	}
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &(struct fuse_attr_out){ 0 }));
}

/* Window requests before there is a file, beyond the window, crosswise. */
static void test_mappings(void **state)
{
	static const uint64_t odd[] = { 0, 1, 4095, 4096, 2u << 20, 16u << 20, (16u << 20) + 1, 1ull << 40,
					INT64_MAX, UINT64_MAX - 4095, UINT64_MAX };
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out attr;
	uint64_t node, fh;

	share_fill(&f->daemon, "file", 4 << 20, 1);
	fh = open_file(f->q, "file", O_RDWR, &node);
	for (unsigned int i = 0; i < ARRAY_SIZE(odd) * ARRAY_SIZE(odd) * ARRAY_SIZE(odd); i++) {
		uint64_t offset = odd[i % ARRAY_SIZE(odd)], len = odd[i / 11 % ARRAY_SIZE(odd)];
		uint64_t at = odd[i / 121 % ARRAY_SIZE(odd)];
		struct fuse_removemapping_one one = { at, len };
		long result = casement_setupmapping(f->q, node, fh, offset, len, i % 8, at);

		if (!result && (!len || len > 16u << 20 || at > (16u << 20) - len))
			fail_msg("mapped %#llx+%#llx at %#llx", (unsigned long long)offset,
				 (unsigned long long)len, (unsigned long long)at);
		(void)casement_removemapping(f->q, &one, 1);
		daemon_check(&f->daemon);
	}
	ok(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_names, NULL),
		FIXTURE_TEST(test_targets, NULL),
		FIXTURE_TEST(test_bodies, &with_window),
		FIXTURE_TEST(test_orders, &no_init),
		FIXTURE_TEST(test_lengths, NULL),
		FIXTURE_TEST(test_data_sizes, NULL),
		FIXTURE_TEST(test_offsets, NULL),
		FIXTURE_TEST(test_numbers, NULL),
		FIXTURE_TEST(test_counts, &with_window),
		FIXTURE_TEST(test_mappings, &with_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
