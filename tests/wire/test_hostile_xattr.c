/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attributes, labels and groups as no kernel sends them: sizes that lie, names
 * that do not end, extensions of every wrong shape. Each is answered, nothing is
 * made of what was refused, and the daemon serves on.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/checked.h"
#include "proto/fuse_wire.h"

#define EVERYTHING (FUSE_INIT_EXT | FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT | \
	FUSE_SECURITY_CTX | FUSE_CREATE_SUPP_GROUP | FUSE_HANDLE_KILLPRIV_V2)

static const struct fixture_config config = {
	.args = { "--posix-acl=auto", "--security-label=auto", "--killpriv-v2", NULL },
	.no_init = true,
};

static struct fixture *start(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_init_in in = { .major = 7, .minor = 46, .flags = (uint32_t)EVERYTHING,
		.flags2 = EVERYTHING >> 32 };

	ok(casement_init(f->q, &in, &f->init));
	return f;
}

/* One request of `size` bytes of body; the bytes of the answer, or -errno. */
static long send_body(struct fixture *f, uint32_t opcode, const void *body, size_t size)
{
	char answer[4096];
	struct iovec in = { (void *)(uintptr_t)body, size }, out = { answer, sizeof(answer) };
	long n = casement_call(f->q, opcode, CASEMENT_ROOT, &in, 1, &out, 1);

	daemon_check(&f->daemon);
	assert_true(n != -ECONNRESET && n != -ETIMEDOUT && n != -EPROTO);
	return n;
}

static const uint32_t lies[] = { 0, 1, 2, 3, 4, 7, 8, 12, 16, 31, 32, 33, 64, 255, 4096, 65535,
	65536, 65537, 1u << 20, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff };

/* Every size a SETXATTR may claim, with every amount of value behind its name. */
static void test_setxattr_sizes(void **state)
{
	struct fixture *f = start(state);
	struct { struct fuse_setxattr_in in; char rest[80]; } body = { .rest = "user.a" };

	for (unsigned int i = 0; i < ARRAY_SIZE(lies); i++) {
		for (size_t value = 0; value <= 64; value += value < 4 ? 1 : 20) {
			long result;

			body.in.size = lies[i];
			result = send_body(f, FUSE_SETXATTR, &body, sizeof(body.in) + 7 + value);
			if (lies[i] > 65536)
				assert_int_equal(result, -E2BIG);
			else if (lies[i] != value)
				assert_int_equal(result, -EINVAL);
			else
				assert_true(result == 0 || result == -EOPNOTSUPP);
		}
	}
}

/* A request that is cut anywhere, and names of every odd kind. */
static void test_names(void **state)
{
	static const uint32_t opcodes[] = { FUSE_SETXATTR, FUSE_GETXATTR, FUSE_LISTXATTR, FUSE_REMOVEXATTR };
	struct fixture *f = start(state);
	char body[600];

	for (unsigned int o = 0; o < ARRAY_SIZE(opcodes); o++) {
		memset(body, 0, sizeof(body));
		for (size_t size = 0; size < 64; size++)
			send_body(f, opcodes[o], body, size);
		memset(body, 'n', sizeof(body));
		memset(body, 0, 16);
		for (size_t size = 0; size < sizeof(body); size += 37)
			assert_true(send_body(f, opcodes[o], body, size) < 0 || opcodes[o] == FUSE_LISTXATTR);
	}
	assert_true(listxattr(f->daemon.share, body, sizeof(body)) <= 0 ||
		    !memmem(body, sizeof(body), "nnn", 3));
}

/* What makes something, its name, a label and a group; and where the extensions begin. */
struct maker {
	uint32_t opcode;
	size_t fixed;
	const char *names;
	size_t names_size;
};

static const struct maker makers[] = {
	{ FUSE_MKNOD, sizeof(struct fuse_mknod_in), "x", 2 },
	{ FUSE_MKDIR, sizeof(struct fuse_mkdir_in), "x", 2 },
	{ FUSE_SYMLINK, 0, "x\0target", 9 },
	{ FUSE_CREATE, sizeof(struct fuse_create_in), "x", 2 },
	{ FUSE_TMPFILE, sizeof(struct fuse_create_in), "/", 2 },
};

#define EXT_WORDS 14

static size_t build(const struct maker *m, unsigned char *body)
{
	static const struct {
		uint32_t label[4];
		char text[24];
		uint32_t groups[4];
	} ext = {
		{ 40, 1, 5, 0 }, "security.selinux\0label", { 16, FUSE_WIRE_EXT_GROUPS, 1, 4242 },
	};

	_Static_assert(sizeof(ext) == EXT_WORDS * 4, "no padding");
	memset(body, 0, m->fixed);
	memcpy(body + m->fixed, m->names, m->names_size);
	memcpy(body + m->fixed + m->names_size, &ext, sizeof(ext));
	return m->fixed + m->names_size + sizeof(ext);
}

/* What was refused is not there; what was made goes, so that the next can be made. */
static void check_made(struct fixture *f, const struct maker *m, long result)
{
	bool there = !faccessat(AT_FDCWD, share_path(&f->daemon, "x"), F_OK, AT_SYMLINK_NOFOLLOW);

	assert_true(result != -EEXIST);
	assert_int_equal(there, result >= 0 && m->opcode != FUSE_TMPFILE);
	if (there)
		assert_int_equal(remove(share_path(&f->daemon, "x")), 0);
}

static void test_extensions(void **state)
{
	struct fixture *f = start(state);
	unsigned char body[256];

	for (unsigned int i = 0; i < ARRAY_SIZE(makers); i++) {
		size_t size = build(&makers[i], body), ext = size - EXT_WORDS * 4;

		for (size_t len = ext; len <= size; len++)
			check_made(f, &makers[i], send_body(f, makers[i].opcode, body, len));
		for (size_t at = ext; at + 4 <= size; at += 4) {
			for (unsigned int j = 0; j < ARRAY_SIZE(lies); j++) {
				memcpy(body + at, &lies[j], 4);
				check_made(f, &makers[i], send_body(f, makers[i].opcode, body, size));
			}
			build(&makers[i], body);
		}
	}
}

/* As many extensions as a request holds, and as large. */
static void test_large_extensions(void **state)
{
	static unsigned char body[256 << 10];
	struct fixture *f = start(state);
	const struct maker *m = &makers[1];
	size_t begin = m->fixed + m->names_size;

	build(m, body);
	for (size_t at = begin; at + 16 <= sizeof(body); at += 16)
		memcpy(body + at, (uint32_t [4]){ 16, FUSE_WIRE_EXT_GROUPS, 1, 0 }, 16);
	for (size_t n = 1024; n < sizeof(body); n *= 2) {
		long result = send_body(f, m->opcode, body, begin + n);

		assert_int_equal(result, -EINVAL);
		check_made(f, m, result);
	}
	check_made(f, m, send_body(f, m->opcode, body, begin + 16));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_setxattr_sizes, &config),
		FIXTURE_TEST(test_names, &config),
		FIXTURE_TEST(test_extensions, &config),
		FIXTURE_TEST(test_large_extensions, &config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
