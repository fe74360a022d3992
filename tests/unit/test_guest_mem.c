/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory: what translates, what is refused, and that old tables live as long as their readers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/transport/guest_mem.h"
#include "daemon/transport/sigbus.h"

#define MIB (1ull << 20)

static int memory(uint64_t size)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static struct vhost_user_mem_region region(uint64_t guest, uint64_t size, uint64_t user, uint64_t offset)
{
	return (struct vhost_user_mem_region){ guest, size, user, offset };
}

static void translates_within_regions(void **state)
{
	struct vhost_user_mem_region r[2] = {
		region(4 * MIB, MIB, 0x7f0000000000, MIB), region(0, MIB, 0x7e0000000000, 0),
	};
	int fd = memory(2 * MIB), fds[2] = { fd, fd };
	struct guest_mem mem;
	struct guest_table *t;
	uint64_t run;
	char *low, *high;

	(void)state;
	assert_int_equal(guest_mem_init(&mem), 0);
	assert_int_equal(guest_mem_set(&mem, r, fds, 2), 0);
	t = guest_mem_get(&mem);
	low = guest_table_map(t, 0, 10, &run);
	assert_non_null(low);
	assert_int_equal(run, 10);
	high = guest_table_map(t, 5 * MIB - 4, 10, &run);
	assert_int_equal(run, 4);
	low[MIB - 1] = 'a';
	assert_int_equal(pwrite(fd, "b", 1, 2 * MIB - 4), 1);
	assert_int_equal(*high, 'b');
	assert_null(guest_table_map(t, MIB, 1, &run));
	assert_null(guest_table_map(t, 4 * MIB - 1, 1, &run));
	assert_null(guest_table_map(t, 5 * MIB, 1, &run));
	assert_null(guest_table_map(t, UINT64_MAX, 1, &run));
	assert_ptr_equal(guest_table_map_user(t, 0x7e0000000000 + MIB - 1, 1), low + MIB - 1);
	assert_null(guest_table_map_user(t, 0x7e0000000000 + MIB - 1, 2));
	assert_null(guest_table_map_user(t, 0x7e0000000000, UINT64_MAX));
	assert_null(guest_table_map_user(t, UINT64_MAX, 1));
	guest_table_put(&mem, t);
	guest_mem_destroy(&mem);
	close(fd);
}

static void refuses_nonsense(void **state)
{
	const struct { struct vhost_user_mem_region a, b; } bad[] = {
		{ { 0, 0, 0, 0 }, { MIB, MIB, MIB, 0 } },
		{ { UINT64_MAX - 10, MIB, 0, 0 }, { 0, MIB, 0, 0 } },
		{ { 0, MIB, UINT64_MAX - 10, 0 }, { MIB, MIB, 0, 0 } },
		{ { 0, MIB, 0, UINT64_MAX - 10 }, { MIB, MIB, 0, 0 } },
		{ { 0, MIB, 0, INT64_MAX - 10 }, { MIB, MIB, 0, 0 } },
		{ { 0, MIB, 0, 0 }, { MIB - 1, MIB, 0, 0 } },
		{ { 0, 2 * MIB, 0, 0 }, { 0, MIB, 0, 0 } },
		{ { 0, UINT64_MAX, 0, 0 }, { 0, MIB, 0, 0 } },
	};
	struct vhost_user_mem_region good = region(0, MIB, 0, 0);
	int fd = memory(2 * MIB), fds[2] = { fd, fd };
	struct guest_mem mem;

	(void)state;
	guest_mem_init(&mem);
	assert_int_equal(guest_mem_add(&mem, &good, fd), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vhost_user_mem_region r[2] = { bad[i].a, bad[i].b };

		assert_true(guest_mem_set(&mem, r, fds, 2) < 0);
	}
	assert_int_equal(guest_mem_add(&mem, &good, fd), -EEXIST);
	good.guest_addr = MIB;
	assert_int_equal(guest_mem_add(&mem, &good, -1), -EBADF);
	assert_int_equal(guest_mem_remove(&mem, &good), -ENOENT);
	good.guest_addr = 0;
	assert_int_equal(guest_mem_remove(&mem, &good), 0);
	assert_int_equal(guest_mem_remove(&mem, &good), -ENOENT);
	guest_mem_destroy(&mem);
	close(fd);
}

static void readers_keep_their_table(void **state)
{
	struct vhost_user_mem_region r = region(0, MIB, 0, 0);
	int fd = memory(MIB);
	struct guest_mem mem;
	struct guest_table *old;
	uint64_t run;
	unsigned int generation;
	char *at;

	(void)state;
	guest_mem_init(&mem);
	assert_int_equal(guest_mem_add(&mem, &r, fd), 0);
	old = guest_mem_get(&mem);
	generation = guest_mem_generation(&mem);
	at = guest_table_map(old, 0, MIB, &run);
	assert_int_equal(guest_mem_remove(&mem, &r), 0);
	assert_int_not_equal(guest_mem_generation(&mem), generation);
	memset(at, 1, MIB);	/* still mapped */
	guest_table_put(&mem, old);
	guest_mem_destroy(&mem);
	close(fd);
}

static void slots_have_a_limit(void **state)
{
	int fd = memory(MIB);
	struct guest_mem mem;

	(void)state;
	guest_mem_init(&mem);
	for (unsigned int i = 0; i < GUEST_MEM_SLOTS; i++) {
		struct vhost_user_mem_region r = region(i * MIB, MIB, i * MIB, 0);

		assert_int_equal(guest_mem_add(&mem, &r, fd), 0);
	}
	for (unsigned int i = 0; i < GUEST_MEM_SLOTS; i++) {
		struct vhost_user_mem_region r = region(i * MIB, MIB, i * MIB, 0), more = r;

		more.guest_addr += GUEST_MEM_SLOTS * MIB;
		if (!i)
			assert_int_equal(guest_mem_add(&mem, &more, fd), -ENOSPC);
		assert_int_equal(guest_mem_remove(&mem, &r), 0);
	}
	guest_mem_destroy(&mem);
	close(fd);
}

static void a_file_that_shrinks_is_survived(void **state)
{
	struct vhost_user_mem_region r = region(0, MIB, 0, 0);
	int fd = memory(MIB);
	struct guest_mem mem;
	struct guest_table *t;
	volatile char *at;
	uint64_t run;

	(void)state;
	assert_int_equal(sigbus_setup(), 0);
	guest_mem_init(&mem);
	assert_int_equal(guest_mem_add(&mem, &r, fd), 0);
	t = guest_mem_get(&mem);
	at = guest_table_map(t, 0, MIB, &run);
	at[8192] = 1;
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(at[8192], 0);
	at[8192] = 2;
	guest_table_put(&mem, t);
	guest_mem_destroy(&mem);
	close(fd);
}

/* A VMM that changes all memory while requests hold the old one, again and again: refused, not unguarded. */
static void no_region_goes_unguarded(void **state)
{
	struct guest_table *held[200];
	unsigned int n = 0, most = 0;
	struct guest_mem mem;
	int fd = memory(MIB), err = 0;

	(void)state;
	assert_int_equal(guest_mem_init(&mem), 0);
	for (unsigned int i = 0; i < 200 && !err; i++) {
		struct vhost_user_mem_region r[8];
		int fds[8];

		for (unsigned int k = 0; k < 8; k++) {
			r[k] = region(k * MIB, 4096, 0x7f0000000000 + k * MIB, k * 4096);
			fds[k] = fd;
		}
		err = guest_mem_set(&mem, r, fds, 8);
		if (!err)
			held[n++] = guest_mem_get(&mem);
		most = n;
	}
	assert_int_equal(err, -ENOSPC);
	assert_true(most * 8 >= 2 * GUEST_MEM_SLOTS);
	while (n)
		guest_table_put(&mem, held[--n]);
	/* What was given back can be had again. */
	assert_int_equal(guest_mem_set(&mem, &(struct vhost_user_mem_region){ 0, 4096, 0x7f0000000000, 0 }, &fd,
				       1), 0);
	guest_mem_destroy(&mem);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(translates_within_regions),
		cmocka_unit_test(refuses_nonsense),
		cmocka_unit_test(readers_keep_their_table),
		cmocka_unit_test(slots_have_a_limit),
		cmocka_unit_test(a_file_that_shrinks_is_survived),
		cmocka_unit_test(no_region_goes_unguarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
