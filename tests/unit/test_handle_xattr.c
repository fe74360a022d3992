/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests about attributes, what makers send beside their names, and translated ids. */
#include "daemon/protocol/handle_xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/checked.h"
#include "common/log.h"
#include "daemon/protocol/id_translate.h"
#include "tests/unit/share.h"

static const struct server_config acl = { .cache = CACHE_AUTO, .xattr = true,
	.posix_acl = DEMAND_AUTO, .security_label = DEMAND_AUTO, .killpriv_v2 = true };
static const struct server_config plain = { .cache = CACHE_AUTO, .xattr = true };

static long set(const void *head, size_t head_size, const char *name, const char *value, size_t size)
{
	exchange_start(&x, FUSE_SETXATTR, 7);
	exchange_add(&x, head, head_size);
	exchange_add_name(&x, name);
	exchange_add(&x, value, size);
	return exchange_run(&x, sq);
}

/* The short form, unless the long one was agreed on. */
static void test_set(void **state)
{
	struct fuse_setxattr_in in = { .size = 5, .flags = 1, .setxattr_flags = FUSE_SETXATTR_ACL_KILL_SGID };

	(void)state;
	assert_int_equal(set(&in, 8, "user.a", "value", 5), 0);
	assert_int_equal(fake.node, 7);
	assert_string_equal(fake.xattr, "user.a");
	assert_memory_equal(fake.data, "value", 5);
	assert_int_equal(fake.size, 5);
	assert_int_equal(fake.flags, 1);
	assert_false(fake.kill);
	share_check_caller();
	share_restart(&acl, 46, SHARE_ALL_FLAGS);
	assert_int_equal(set(&in, 16, "user.a", "value", 5), 0);
	assert_true(fake.kill);
	in.setxattr_flags = 0;
	assert_int_equal(set(&in, 16, "system.posix_acl_access", "value", 5), 0);
	assert_false(fake.kill);
}

static void test_set_sizes(void **state)
{
	struct fuse_setxattr_in in = { .size = 5 };
	unsigned int before = fake.calls;

	(void)state;
	assert_int_equal(set(&in, 8, "user.a", "value", 4), -EINVAL);
	assert_int_equal(set(&in, 8, "user.a", "values", 6), -EINVAL);
	in.size = FS_XATTR_SIZE_MAX + 1;
	assert_int_equal(set(&in, 8, "user.a", "value", 5), -E2BIG);
	in.size = UINT32_MAX;
	assert_int_equal(set(&in, 8, "user.a", "value", 5), -E2BIG);
	assert_int_equal(set(&in, 7, "", "", 0), -EINVAL);
	assert_int_equal(fake.calls, before);
	in.size = 0;
	assert_int_equal(set(&in, 8, "user.a", "", 0), 0);
	assert_int_equal(fake.size, 0);
}

static void test_get(void **state)
{
	struct fuse_getxattr_in in = { .size = 0 };
	struct fuse_getxattr_out out;

	(void)state;
	fake.value = "a value";
	fake.value_len = 7;
	assert_int_equal(ASK_NAMED(FUSE_GETXATTR, 7, in, "user.a", NULL), 0);
	ANSWER(out);
	assert_int_equal(out.size, 7);
	in.size = 7;
	assert_int_equal(ASK_NAMED(FUSE_GETXATTR, 7, in, "user.a", NULL), 0);
	assert_int_equal(x.answer_len, 7);
	assert_memory_equal(x.answer, "a value", 7);
	in.size = 6;
	assert_int_equal(ASK_NAMED(FUSE_GETXATTR, 7, in, "user.a", NULL), -ERANGE);
	in.size = UINT32_MAX;
	assert_int_equal(ASK_NAMED(FUSE_GETXATTR, 7, in, "user.a", NULL), 0);
	assert_int_equal(fake.size, FS_XATTR_SIZE_MAX);
	/* more asked than the guest has room for: what does not fit is refused, not cut */
	exchange_start(&x, FUSE_GETXATTR, 7);
	exchange_add(&x, &in, sizeof(in));
	exchange_add_name(&x, "user.a");
	x.room = 16 + 6;
	assert_int_equal(exchange_run(&x, sq), -ERANGE);
}

static void test_list(void **state)
{
	static const char names[] = "user.a\0system.posix_acl_access\0user.b\0system.posix_acl_default";
	struct fuse_getxattr_in in = { .size = 100 };
	struct fuse_getxattr_out out;

	(void)state;
	fake.value = names;
	fake.value_len = sizeof(names);
	assert_int_equal(ASK(FUSE_LISTXATTR, 7, in), 0);
	assert_int_equal(x.answer_len, 14);
	assert_memory_equal(x.answer, "user.a\0user.b", 14);
	in.size = 0;
	assert_int_equal(ASK(FUSE_LISTXATTR, 7, in), 0);
	ANSWER(out);
	assert_int_equal(out.size, 14);
	in.size = 13;
	assert_int_equal(ASK(FUSE_LISTXATTR, 7, in), -ERANGE);
	share_restart(&acl, 46, SHARE_ALL_FLAGS);
	fake.value = names;
	fake.value_len = sizeof(names);
	in.size = 100;
	assert_int_equal(ASK(FUSE_LISTXATTR, 7, in), 0);
	assert_int_equal(x.answer_len, sizeof(names));
	fake.value_len = 0;
	assert_int_equal(ASK(FUSE_LISTXATTR, 7, in), 0);
	assert_int_equal(x.answer_len, 0);
}

static void ask_list(uint32_t uid, uint32_t size)
{
	struct fuse_getxattr_in in = { .size = size };

	exchange_start(&x, FUSE_LISTXATTR, 7);
	exchange_add(&x, &in, sizeof(in));
	x.head.uid = uid;
	assert_int_equal(exchange_run(&x, sq), 0);
}

/* Names of trusted.* are root's to see, in the length of a list, too. */
static void test_list_trusted(void **state)
{
	static const char names[] = "user.a\0trusted.b\0trustedc.d\0security.e";
	static const char users[] = "user.a\0trustedc.d\0security.e";
	struct fuse_getxattr_out out;

	(void)state;
	fake.value = names;
	fake.value_len = sizeof(names);
	ask_list(0, 0);
	ANSWER(out);
	assert_int_equal(out.size, sizeof(names));
	ask_list(1000, 0);
	ANSWER(out);
	assert_int_equal(out.size, sizeof(users));
	ask_list(1000, 1000);
	assert_int_equal(x.answer_len, sizeof(users));
	assert_memory_equal(x.answer, users, sizeof(users));
}

/* The umask is ours to apply with ACLs, and the guest's own without. */
static void test_umask(void **state)
{
	struct fuse_mkdir_in mkdir_in = { .mode = 0777, .umask = 0xffff0000 | 027 };
	struct fuse_mknod_in mknod_in = { .mode = S_IFIFO | 0666, .umask = 027 };
	struct fuse_create_in create_in = { .mode = S_IFREG | 0666, .umask = 027 };

	(void)state;
	share_restart(&acl, 46, SHARE_ALL_FLAGS);
	assert_int_equal(ASK_NAMED(FUSE_MKDIR, 1, mkdir_in, "a", NULL), 0);
	assert_int_equal(fake.caller.umask, 027);
	assert_int_equal(fake.mode, 0777);
	assert_int_equal(ASK_NAMED(FUSE_MKNOD, 1, mknod_in, "a", NULL), 0);
	assert_int_equal(fake.caller.umask, 027);
	assert_int_equal(ASK_NAMED(FUSE_CREATE, 1, create_in, "a", NULL), 0);
	assert_int_equal(fake.caller.umask, 027);
	assert_int_equal(ASK_NAMED(FUSE_TMPFILE, 1, create_in, "/", NULL), 0);
	assert_int_equal(fake.caller.umask, 027);
	share_restart(&plain, 46, SHARE_ALL_FLAGS);
	assert_int_equal(ASK_NAMED(FUSE_MKDIR, 1, mkdir_in, "a", NULL), 0);
	assert_int_equal(fake.caller.umask, 0);
}

/* An extension of one group and one of a label, behind the names of everything that makes. */
static void test_extensions(void **state)
{
	static const uint32_t groups[4] = { 16, FUSE_WIRE_EXT_GROUPS, 1, 4242 };
	static const struct {
		uint32_t whole, count, size, padding;
		char text[16];
	} label = { 32, 1, 5, 0, "security.x\0label" };
	static const struct { uint32_t opcode; size_t fixed; const char *first, *second; } makers[] = {
		{ FUSE_MKNOD, sizeof(struct fuse_mknod_in), "a", NULL },
		{ FUSE_MKDIR, sizeof(struct fuse_mkdir_in), "a", NULL },
		{ FUSE_SYMLINK, 0, "a", "target" },
		{ FUSE_CREATE, sizeof(struct fuse_create_in), "a", NULL },
		{ FUSE_TMPFILE, sizeof(struct fuse_create_in), "/", NULL },
	};
	static const char zeros[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
		for (int agreed = 0; agreed < 2; agreed++) {
			share_restart(agreed ? &acl : &plain, 46, SHARE_ALL_FLAGS);
			exchange_start(&x, makers[i].opcode, 1);
			exchange_add(&x, zeros, makers[i].fixed);
			exchange_add_name(&x, makers[i].first);
			if (makers[i].second)
				exchange_add_name(&x, makers[i].second);
			exchange_add(&x, &label, sizeof(label));
			exchange_add(&x, groups, sizeof(groups));
			x.head.total_extlen = 6;
			assert_int_equal(exchange_run(&x, sq), agreed ? 0 : -EINVAL);
		}
		assert_int_equal(fake.caller.n_groups, 1);
		assert_int_equal(fake.groups[0], 4242);
		assert_string_equal(fake.label_name, "security.x");
		assert_memory_equal(fake.label, "label", 5);
	}
}

/* Set-id bits: who FALLOCATE and COPY come from. */
static void test_killpriv(void **state)
{
	struct fuse_fallocate_in fallocate = { .length = 1 };
	struct fuse_copy_file_range_in copy = { .len = 1 };

	(void)state;
	share_restart(&acl, 46, SHARE_ALL_FLAGS);
	assert_int_equal(ASK(FUSE_FALLOCATE, 7, fallocate), 0);
	assert_int_equal(fake.mode, FS_FALLOCATE_KILL_SUIDGID);
	assert_int_equal(ASK(FUSE_COPY_FILE_RANGE, 7, copy), 0);
	fallocate.mode = FS_FALLOCATE_KILL_SUIDGID;
	assert_int_equal(ASK(FUSE_FALLOCATE, 7, fallocate), -EOPNOTSUPP);
	copy.flags = FS_COPY_KILL_SUIDGID;
	assert_int_equal(ASK(FUSE_COPY_FILE_RANGE, 7, copy), -EINVAL);
	fallocate.mode = 0;
	exchange_start(&x, FUSE_FALLOCATE, 7);
	exchange_add(&x, &fallocate, sizeof(fallocate));
	x.head.uid = 0;
	assert_int_equal(exchange_run(&x, sq), 0);
	assert_int_equal(fake.mode, 0);
	share_restart(&plain, 46, SHARE_ALL_FLAGS);
	assert_int_equal(ASK(FUSE_FALLOCATE, 7, fallocate), 0);
	assert_int_equal(fake.mode, 0);
}

static void add_rule(struct id_translation *map, const char *rule)
{
	const char *why;

	assert_int_equal(id_translation_add(map, rule, &why), 0);
}

/*
 * What changes something is its caller's, too, by the host's ids. Who may not use his
 * own makes nothing, and changes things as nobody in particular.
 */
static void check_changers(void)
{
	static const uint32_t uids[][2] = { { 1000, 5000 }, { 0, FS_NO_ID } };
	struct fuse_open_in open = { .flags = O_RDWR | O_TRUNC };
	struct fuse_write_in write = { .fh = 5, .flags = O_RDWR };
	struct fuse_setattr_in times = { .valid = FATTR_MTIME_NOW };

	for (size_t i = 0; i < ARRAY_SIZE(uids); i++) {
		exchange_start(&x, FUSE_UNLINK, 1);
		exchange_add_name(&x, "a");
		x.head.uid = uids[i][0];
		assert_int_equal(exchange_run(&x, sq), 0);
		assert_int_equal(fake.caller.uid, uids[i][1]);
		exchange_start(&x, FUSE_OPEN, 7);
		exchange_add(&x, &open, sizeof(open));
		x.head.uid = uids[i][0];
		assert_int_equal(exchange_run(&x, sq), 0);
		assert_int_equal(fake.caller.uid, uids[i][1]);
		exchange_start(&x, FUSE_WRITE, 7);
		exchange_add(&x, &write, sizeof(write));
		x.head.uid = uids[i][0];
		assert_int_equal(exchange_run(&x, sq), 0);
		assert_int_equal(fake.caller.uid, uids[i][1]);
		assert_non_null(fake.write.caller);
		exchange_start(&x, FUSE_SETATTR, 7);
		exchange_add(&x, &times, sizeof(times));
		x.head.uid = uids[i][0];
		assert_int_equal(exchange_run(&x, sq), 0);
		assert_int_equal(fake.caller.uid, uids[i][1]);
	}
	/* The ids of what a page cache writes back are nobody's. */
	write.write_flags = FUSE_WRITE_CACHE;
	assert_int_equal(ASK(FUSE_WRITE, 7, write), 0);
	assert_null(fake.write.caller);
}

/* Ids are the host's on the way down, the guest's on the way up; x comes from 1000:100. */
static void test_translated(void **state)
{
	static struct id_translation users, groups;
	struct server_config config = { .cache = CACHE_AUTO, .uid_map = &users, .gid_map = &groups };
	struct fuse_mkdir_in in = { .mode = 0755 };
	struct fuse_setattr_in change = { .valid = FATTR_UID | FATTR_GID, .uid = 1001, .gid = 101 };
	struct fuse_statx_in statx_in = { .getattr_flags = 0 };
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	struct fuse_statx_out stx;

	(void)state;
	add_rule(&users, "map:1000:5000:10");
	add_rule(&users, "forbid-guest:0:1");
	add_rule(&users, "squash-guest:2000:6000:10");
	add_rule(&groups, "squash-guest:0:77:1000");
	add_rule(&groups, "host:77:100:1");
	share_restart(&config, 46, SHARE_ALL_FLAGS);
	fake.entry.attr.stx.stx_uid = 5003;
	fake.entry.attr.stx.stx_gid = 77;
	assert_int_equal(ASK_NAMED(FUSE_MKDIR, 1, in, "a", NULL), 0);
	assert_int_equal(fake.caller.uid, 5000);
	assert_int_equal(fake.caller.gid, 77);
	assert_false(fake.caller.shares_uid);
	ANSWER(entry);
	assert_int_equal(entry.attr.uid, 1003);
	assert_int_equal(entry.attr.gid, 100);
	assert_int_equal(ASK(FUSE_SETATTR, 7, change), 0);
	assert_int_equal(fake.set.uid, 5001);
	assert_int_equal(fake.set.gid, 77);
	ANSWER(attr);
	assert_int_equal(attr.attr.uid, 1003);
	assert_int_equal(ASK(FUSE_STATX, 7, statx_in), 0);
	ANSWER(stx);
	assert_int_equal(stx.stat.uid, 1003);
	assert_int_equal(stx.stat.gid, 100);
	change.uid = 0;
	assert_int_equal(ASK(FUSE_SETATTR, 7, change), -EPERM);
	check_changers();
	/* one host's id of several users is nobody's own */
	exchange_start(&x, FUSE_MKDIR, 1);
	exchange_add(&x, &in, sizeof(in));
	exchange_add_name(&x, "a");
	x.head.uid = 2001;
	assert_int_equal(exchange_run(&x, sq), 0);
	assert_int_equal(fake.caller.uid, 6000);
	assert_true(fake.caller.shares_uid);
	/* forbidden ids make nothing, and still look */
	exchange_start(&x, FUSE_MKDIR, 1);
	exchange_add(&x, &in, sizeof(in));
	exchange_add_name(&x, "a");
	x.head.uid = 0;
	assert_int_equal(exchange_run(&x, sq), -EPERM);
	exchange_start(&x, FUSE_LOOKUP, 1);
	exchange_add_name(&x, "a");
	x.head.uid = 0;
	assert_int_equal(exchange_run(&x, sq), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_set, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_set_sizes, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_get, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_list, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_list_trusted, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_umask, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_extensions, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_killpriv, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_translated, share_setup, share_teardown),
	};

	log_setup("test_handle_xattr", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("handle_xattr", tests, NULL, NULL);
}
