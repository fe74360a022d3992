/* SPDX-License-Identifier: BSD-3-Clause */
/* What casement mount lets pass at INIT, and the room it gives to answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/mount_message.h"
#include "common/checked.h"
#include "proto/fuse_extension.h"

static void test_room_is_what_was_named(void **state)
{
	struct fuse_read_in read = { .size = 5000 };
	struct fuse_getxattr_in xattr = { .size = 300 }, length = { .size = 0 };
	struct fuse_ioctl_in ioctl = { .in_size = 7, .out_size = 64 };

	(void)state;
	assert_int_equal(message_reply_room(FUSE_READ, &read, sizeof(read)), 5000);
	assert_int_equal(message_reply_room(FUSE_READDIR, &read, sizeof(read)), 5000);
	assert_int_equal(message_reply_room(FUSE_READDIRPLUS, &read, sizeof(read)), 5000);
	assert_int_equal(message_reply_room(FUSE_GETXATTR, &xattr, sizeof(xattr)), 300);
	assert_int_equal(message_reply_room(FUSE_LISTXATTR, &length, sizeof(length)),
			 sizeof(struct fuse_getxattr_out));
	assert_int_equal(message_reply_room(FUSE_IOCTL, &ioctl, sizeof(ioctl)),
			 sizeof(struct fuse_ioctl_out) + 64);
	assert_int_equal(message_reply_room(FUSE_READLINK, NULL, 0), 4095);
}

static void test_room_for_everything_else(void **state)
{
	(void)state;
	for (uint32_t opcode = 1; opcode < FUSE_OPCODE_LIMIT; opcode++) {
		uint64_t room = message_reply_room(opcode, "", 0);

		assert_true(room == 0 ? message_is_urgent(opcode) || opcode == FUSE_READ ||
			    opcode == FUSE_READDIR || opcode == FUSE_READDIRPLUS : room <= 4095);
	}
	assert_int_equal(message_reply_room(FUSE_FORGET, NULL, 0), 0);
	assert_int_equal(message_reply_room(FUSE_BATCH_FORGET, NULL, 0), 0);
	assert_int_equal(message_reply_room(FUSE_INTERRUPT, NULL, 0), 0);
	assert_true(message_reply_room(FUSE_STATX, NULL, 0) >= sizeof(struct fuse_statx_out));
	assert_true(message_reply_room(4096, NULL, 0) > 0);
	/* The largest number a request can name does not wrap. */
	assert_true(message_reply_room(FUSE_IOCTL, (struct fuse_ioctl_in[]){ { .out_size = UINT32_MAX } },
				       sizeof(struct fuse_ioctl_in)) > UINT32_MAX);
}

/* INIT tells the daemon the mount's device number; the daemon's answer to that does not reach the kernel. */
static void test_the_device_is_the_daemons_alone(void **state)
{
	const struct fuse_extension both = { FUSE_EXTENSION_MAGIC, FUSE_EXTENSION_ON_HOST };
	struct fuse_init_in in = { .flags = FUSE_INIT_EXT };
	struct fuse_init_out out = { .max_pages = 1 };

	(void)state;
	message_offer_device(&in, 0x12345);
	assert_int_equal(in.unused[8], 0x12345);
	assert_memory_equal(&in.unused[9], &both, sizeof(both));
	memcpy((char *)(&out + 1) - sizeof(both), &both, sizeof(both));
	message_limit_init_reply(&in, 1, &out);
	for (size_t i = 0; i < ARRAY_SIZE(out.unused); i++)
		assert_int_equal(out.unused[i], 0);
}

static void test_what_cannot_pass_is_not_offered(void **state)
{
	struct fuse_init_in in = { .flags = UINT32_MAX, .flags2 = UINT32_MAX };

	(void)state;
	message_limit_init(&in);
	assert_false(in.flags & (FUSE_MAP_ALIGNMENT | FUSE_SPLICE_READ));
	assert_false((uint64_t)in.flags2 << 32 &
		     (FUSE_HAS_INODE_DAX | FUSE_PASSTHROUGH | FUSE_OVER_IO_URING));
	assert_true(in.flags & FUSE_DO_READDIRPLUS);
	assert_true((uint64_t)in.flags2 << 32 & FUSE_SECURITY_CTX);

	/* Without INIT_EXT the second word is none. */
	in = (struct fuse_init_in){ .flags = FUSE_ASYNC_READ, .flags2 = UINT32_MAX };
	message_limit_init(&in);
	assert_int_equal(in.flags2, 0);
}

static void test_an_answer_is_held_to_the_offer(void **state)
{
	struct fuse_init_in in = { .flags = FUSE_ASYNC_READ | FUSE_INIT_EXT,
				   .flags2 = FUSE_SECURITY_CTX >> 32 };
	struct fuse_init_out out = {
		.flags = UINT32_MAX, .flags2 = UINT32_MAX, .max_write = 64u << 20,
		.max_pages = 4096, .max_background = UINT16_MAX,
		.congestion_threshold = UINT16_MAX, .map_alignment = 12,
	};

	(void)state;
	message_limit_init_reply(&in, 64, &out);
	assert_int_equal(out.flags, in.flags);
	assert_int_equal(out.flags2, in.flags2);
	assert_int_equal(out.max_write, MESSAGE_MAX_DATA);
	assert_int_equal(out.max_pages, MESSAGE_MAX_DATA / 4096);
	assert_int_equal(out.max_background, 64);
	assert_int_equal(out.congestion_threshold, 48);
	assert_int_equal(out.map_alignment, 0);
	out.flags = FUSE_ASYNC_READ;
	out.flags2 = UINT32_MAX;
	message_limit_init_reply(&in, 64, &out);
	assert_int_equal(out.flags2, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_is_what_was_named),
		cmocka_unit_test(test_room_for_everything_else),
		cmocka_unit_test(test_the_device_is_the_daemons_alone),
		cmocka_unit_test(test_what_cannot_pass_is_not_offered),
		cmocka_unit_test(test_an_answer_is_held_to_the_offer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
