/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The window against a VMM that behaves as QEMU does: refuses overlaps, wants
 * exact unmaps, answers late. Links daemon/dax with a file system of one file.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/checked.h"
#include "common/log.h"
#include "common/stop_token.h"
#include "daemon/dax/file_proxy.h"
#include "daemon/dax/window.h"
#include "daemon/fs/fs.h"
#include "tests/skip.h"

#define RANGE (2ull << 20)
#define WINDOW (16 * RANGE)
#define NODE 7
#define MAPS 8

static struct vmm {
	struct { uint64_t at, len, offset; bool used; } maps[64];
	unsigned int n_maps, n_unmaps, n_barriers;
	int refuse;		/* the next map fails with this */
	bool interrupt;		/* the next request is given up; settle() tells the end */
	int settled;
} vmm;
static int file = -1;
static int open_error;
static struct window *window;
static struct file_proxy *proxy;	/* or NULL */

/* Nodes of the file, and of another one. */
static const struct fs_file_id id = { NODE, 100, 5 }, alias = { NODE + 1, 100, 5 };
static const struct fs_file_id other = { NODE + 2, 100, 6 }, stranger = { NODE + 3, 200, 5 };

/* The one function of fs.h that the window uses. */
int fs_open_dax(struct fs *fs, uint64_t node, struct fs_file_id *out)
{
	(void)fs;
	*out = node == other.node ? other : id;
	out->node = node;
	return open_error ? open_error : dup(file);
}

void fs_close_dax(struct fs *fs, int fd)
{
	(void)fs;
	close(fd);
}

static bool vmm_ready(void *ctx)
{
	(void)ctx;
	return true;
}

static int vmm_do_map(uint64_t at, uint64_t len, uint64_t offset)
{
	int slot = -1;

	for (int i = 0; i < 64; i++) {
		if (!vmm.maps[i].used)
			slot = i;
		else if (ranges_overlap(at, len, vmm.maps[i].at, vmm.maps[i].len))
			return -EIO;
	}
	assert_true(slot >= 0);
	vmm.maps[slot].at = at;
	vmm.maps[slot].len = len;
	vmm.maps[slot].offset = offset;
	vmm.maps[slot].used = true;
	vmm.n_maps++;
	return 0;
}

static int vmm_do_unmap(uint64_t at, uint64_t len)
{
	for (int i = 0; i < 64; i++) {
		if (vmm.maps[i].used && vmm.maps[i].at == at && vmm.maps[i].len == len) {
			vmm.maps[i].used = false;
			vmm.n_unmaps++;
			return 0;
		}
	}
	return -EIO;
}

static int vmm_finish(int outcome)
{
	if (!vmm.interrupt)
		return outcome;
	vmm.interrupt = false;
	vmm.settled = outcome;
	return -EINTR;
}

static int vmm_map(void *ctx, int fd, uint64_t fd_offset, uint64_t at, uint64_t len, bool writable)
{
	int refuse = vmm.refuse;

	(void)ctx;
	assert_true(fd >= 0 && writable);
	vmm.refuse = 0;
	/* QEMU's own check of the backing store */
	if ((uint64_t)lseek(fd, 0, SEEK_END) < fd_offset + len)
		return -EIO;
	return vmm_finish(refuse ? refuse : vmm_do_map(at, len, fd_offset));
}

static int vmm_unmap(void *ctx, uint64_t at, uint64_t len, bool barrier)
{
	(void)ctx;
	vmm.n_barriers += barrier;
	return vmm_finish(vmm_do_unmap(at, len));
}

static int vmm_settle(void *ctx)
{
	(void)ctx;
	return vmm.settled;
}

static unsigned int live(void)
{
	unsigned int n = 0;

	for (int i = 0; i < 64; i++)
		n += vmm.maps[i].used;
	return n;
}

static bool maps(uint64_t at, uint64_t len, uint64_t offset)
{
	for (int i = 0; i < 64; i++)
		if (vmm.maps[i].used && vmm.maps[i].at == at && vmm.maps[i].len == len &&
		    vmm.maps[i].offset == offset)
			return true;
	return false;
}

static int setup_with(struct file_proxy *with)
{
	struct window_vmm_ops ops = {
		.ready = vmm_ready, .map = vmm_map, .unmap = vmm_unmap, .settle = vmm_settle,
	};

	memset(&vmm, 0, sizeof(vmm));
	open_error = 0;
	proxy = with;
	file = memfd_create("file", MFD_CLOEXEC);
	log_setup("test", LOG_LEVEL_OFF);
	return file < 0 || ftruncate(file, 8 * RANGE) || window_new(NULL, &ops, proxy, WINDOW, MAPS, &window);
}

static int setup(void **state)
{
	(void)state;
	return setup_with(NULL);
}

static int setup_stand_ins(void **state)
{
	struct file_proxy *made;

	(void)state;
	return setup_with(file_proxy_new(NULL, NULL, &made) ? NULL : made);
}

static int teardown(void **state)
{
	(void)state;
	window_free(window);
	close(file);
	if (proxy)
		file_proxy_free(proxy);
	return 0;
}

#define NEEDS_STAND_INS() do {									\
	if (!proxy)										\
		SKIP_BECAUSE("no FUSE passthrough here: an older kernel, or not root");		\
} while (0)

static int map_range(unsigned int place, unsigned int part, bool writable)
{
	return window_setup(window, NODE, part * RANGE, RANGE, writable, place * RANGE);
}

static void bad_numbers_are_refused(void **state)
{
	(void)state;
	assert_int_equal(window_setup(window, NODE, 0, 0, false, 0), -EINVAL);
	assert_int_equal(window_setup(window, NODE, 0, RANGE, false, WINDOW), -EINVAL);
	assert_int_equal(window_setup(window, NODE, 0, RANGE, false, WINDOW - RANGE + 4096), -EINVAL);
	assert_int_equal(window_setup(window, NODE, 1, RANGE, false, 0), -EINVAL);
	assert_int_equal(window_setup(window, NODE, 0, RANGE, false, 2048), -EINVAL);
	assert_int_equal(window_setup(window, NODE, 0, 4097, false, 0), -EINVAL);
	assert_int_equal(window_setup(window, NODE, UINT64_MAX - 4095, RANGE, false, 0), -EINVAL);
	assert_int_equal(window_setup(window, NODE, INT64_MAX - 4095, RANGE, false, 0), -EINVAL);
	assert_int_equal(window_remove(window, UINT64_MAX - 4095, RANGE), -EINVAL);
	assert_int_equal(window_remove(window, 0, WINDOW + 1), -EINVAL);
	assert_int_equal(live(), 0);
}

static void a_range_maps_once(void **state)
{
	(void)state;
	assert_int_equal(map_range(0, 1, false), 0);
	assert_true(maps(0, RANGE, RANGE));
	assert_int_equal(map_range(0, 1, false), 0);
	assert_int_equal(map_range(0, 1, true), 0);	/* the guest's upgrade */
	assert_int_equal(vmm.n_maps, 1);
	assert_true(window_maps_writable(window, &id, RANGE, 1));
	assert_false(window_maps_writable(window, &id, 0, RANGE));
	assert_false(window_maps_writable(window, &other, RANGE, 1));
	assert_int_equal(window_remove(window, 0, RANGE), 0);
	assert_int_equal(window_remove(window, 0, RANGE), 0);
	assert_int_equal(vmm.n_unmaps, 1);
}

static void a_new_mapping_replaces_what_it_covers(void **state)
{
	(void)state;
	assert_int_equal(map_range(0, 0, false), 0);
	assert_int_equal(map_range(1, 1, false), 0);
	assert_int_equal(map_range(0, 3, false), 0);
	assert_true(maps(0, RANGE, 3 * RANGE));
	/* one that lies over the halves of two others: their other halves stay */
	assert_int_equal(window_setup(window, NODE, 0, RANGE, false, RANGE / 2), 0);
	assert_true(maps(0, RANGE / 2, 3 * RANGE));
	assert_true(maps(RANGE / 2, RANGE, 0));
	assert_true(maps(RANGE + RANGE / 2, RANGE / 2, RANGE + RANGE / 2));
	assert_int_equal(live(), 3);
	/* a hole in the middle */
	assert_int_equal(window_remove(window, RANGE, 4096), 0);
	assert_true(maps(RANGE + 4096, RANGE / 2 - 4096, RANGE / 2 + 4096));
	assert_int_equal(live(), 4);
}

static void clear_leaves_nothing(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(map_range(i, i, false), 0);
	assert_int_equal(window_clear(window), 0);
	assert_int_equal(live(), 0);
	assert_int_equal(vmm.n_barriers, 1);
	assert_int_equal(map_range(0, 0, false), 0);
}

static void live_mappings_have_a_limit(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < MAPS; i++)
		assert_int_equal(map_range(i, i, false), 0);
	assert_int_equal(map_range(MAPS, 0, false), -ENFILE);
	assert_int_equal(window_remove(window, 0, RANGE), 0);
	assert_int_equal(map_range(MAPS, 0, false), 0);
}

/* At the limit a mapping cannot become two; it stays whole, and so does its file. */
static void no_hole_at_the_limit(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < MAPS; i++)
		assert_int_equal(map_range(i, i, false), 0);
	assert_int_equal(window_remove(window, RANGE + 4096, 4096), -ENFILE);
	assert_int_equal(window_setup(window, NODE, 0, 4096, false, RANGE + 4096), -ENFILE);
	assert_true(maps(RANGE, RANGE, RANGE));
	assert_int_equal(window_size_seen(window, &id, 8 * RANGE), 0);
	assert_int_equal(window_remove(window, 2 * RANGE, RANGE), 0);
	assert_int_equal(window_remove(window, RANGE + 4096, 4096), 0);
	assert_true(maps(RANGE, 4096, RANGE));
	assert_int_equal(live(), MAPS);
}

static void refusals_reach_the_guest(void **state)
{
	(void)state;
	open_error = -ETXTBSY;
	assert_int_equal(map_range(0, 0, false), -ETXTBSY);
	open_error = 0;
	vmm.refuse = -EIO;
	assert_int_equal(map_range(0, 0, false), -EIO);
	assert_int_equal(map_range(0, 0, false), 0);
}

static void a_cut_tail_goes_and_comes_back(void **state)
{
	(void)state;
	NEEDS_STAND_INS();
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(map_range(i, i, true), 0);
	assert_int_equal(window_before_cut(window, &other, 0), 0);
	assert_int_equal(live(), 4);
	assert_int_equal(window_before_cut(window, &id, RANGE + 5), 0);
	assert_int_equal(live(), 2);
	assert_int_equal(vmm.n_barriers, 2);
	assert_int_equal(ftruncate(file, RANGE + 5), 0);
	assert_int_equal(window_size_seen(window, &id, RANGE + 5), 0);
	assert_int_equal(live(), 2);
	assert_int_equal(ftruncate(file, 3 * RANGE), 0);
	assert_int_equal(window_size_seen(window, &id, 3 * RANGE), 0);
	assert_true(maps(2 * RANGE, RANGE, 2 * RANGE));
	assert_int_equal(live(), 3);
	/* a range wholly behind the end is taken, but not shown */
	assert_int_equal(map_range(7, 5, false), 0);
	assert_int_equal(live(), 3);
	assert_int_equal(ftruncate(file, 8 * RANGE), 0);
	assert_int_equal(window_size_seen(window, &id, 8 * RANGE), 0);
	assert_true(maps(7 * RANGE, RANGE, 5 * RANGE));
	assert_int_equal(live(), 5);
}

/* Who cuts by another node of the file does not know what the first has mapped. */
static void a_cut_by_another_node_leaves_nothing_past_it(void **state)
{
	struct fs_file_id again = { NODE + 9, id.ino, id.device };

	(void)state;
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(map_range(i, i, true), 0);
	assert_true(window_maps(window, &id) && window_maps(window, &alias) && window_maps(window, &again));
	assert_false(window_maps(window, &stranger));
	assert_true(window_maps_writable(window, &alias, RANGE, 1));
	assert_int_equal(window_before_cut(window, &other, 0), 0);
	assert_int_equal(live(), 3);
	assert_int_equal(window_before_cut(window, &alias, RANGE + 5000), 0);
	assert_true(maps(0, RANGE, 0));
	assert_true(maps(RANGE, 8192, RANGE));
	assert_int_equal(live(), 2);
	assert_int_equal(ftruncate(file, RANGE + 5000), 0);
	/* All of it is there again when the file is as long as it was. */
	assert_int_equal(ftruncate(file, 8 * RANGE), 0);
	assert_int_equal(window_size_seen(window, &alias, 8 * RANGE), 0);
	assert_true(maps(RANGE + 8192, RANGE - 8192, RANGE + 8192));
	assert_true(maps(2 * RANGE, RANGE, 2 * RANGE));
	assert_int_equal(live(), 4);
	assert_int_equal(window_before_cut(window, &again, 0), 0);
	assert_int_equal(live(), 0);
	/* Both nodes map one file; each takes care of its own. */
	assert_int_equal(window_clear(window), 0);
	assert_false(window_maps(window, &id));
	assert_int_equal(map_range(0, 0, true), 0);
	assert_int_equal(window_setup(window, alias.node, RANGE, RANGE, false, RANGE), 0);
	assert_int_equal(window_before_cut(window, &alias, 4096), 0);
	assert_true(maps(0, 4096, 0));
	assert_int_equal(window_remove(window, 0, WINDOW), 0);
	assert_int_equal(live(), 0);
	assert_false(window_maps(window, &id) || window_maps(window, &alias));
}

/* Each request can be cut short by the queue's stop; the guest's retry then finds it done, or does it. */
static void interrupted_requests_are_settled(void **state)
{
	(void)state;
	NEEDS_STAND_INS();
	vmm.interrupt = true;
	assert_int_equal(map_range(0, 0, false), -EINTR);
	assert_int_equal(map_range(0, 0, false), 0);
	assert_int_equal(vmm.n_maps, 1);
	vmm.interrupt = true;
	vmm.refuse = -EIO;
	assert_int_equal(map_range(1, 1, false), -EINTR);
	assert_int_equal(map_range(1, 1, false), 0);
	assert_true(maps(RANGE, RANGE, RANGE));
	vmm.interrupt = true;
	assert_int_equal(window_remove(window, 0, RANGE), -EINTR);
	assert_int_equal(window_remove(window, 0, RANGE), 0);
	assert_int_equal(live(), 1);
	vmm.interrupt = true;
	assert_int_equal(window_before_cut(window, &id, 0), -EINTR);
	assert_int_equal(window_before_cut(window, &id, 0), 0);
	assert_int_equal(live(), 0);
	assert_int_equal(window_size_seen(window, &id, 8 * RANGE), 0);
	assert_int_equal(live(), 1);
	vmm.interrupt = true;
	assert_int_equal(window_clear(window), -EINTR);
	assert_int_equal(window_clear(window), 0);
	assert_int_equal(live(), 0);
}

static uint64_t allocated(void)
{
	struct stat st;

	assert_int_equal(fstat(file, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void writable_ranges_get_their_blocks(void **state)
{
	char path[] = "/dev/shm/casement-window-XXXXXX";

	(void)state;
	NEEDS_STAND_INS();
	close(file);
	file = mkstemp(path);
	assert_true(file >= 0);
	unlink(path);
	assert_int_equal(ftruncate(file, RANGE + 4096), 0);
	assert_int_equal(map_range(0, 0, false), 0);
	assert_int_equal(allocated(), 0);
	assert_int_equal(map_range(0, 0, true), 0);
	assert_int_equal(allocated(), RANGE);
	assert_int_equal(lseek(file, 0, SEEK_END), RANGE + 4096);
	/* the part that a growing file adds to a mapped range is given too */
	assert_int_equal(map_range(1, 1, true), 0);
	assert_int_equal(allocated(), RANGE + 4096);
	assert_int_equal(ftruncate(file, RANGE + RANGE / 2), 0);
	assert_int_equal(window_size_seen(window, &id, RANGE + RANGE / 2), 0);
	assert_int_equal(allocated(), RANGE + RANGE / 2);
}

/* Without stand-ins a range is in its file or is not mapped; what is mapped stays, whatever the file does. */
static void whole_ranges_without_stand_ins(void **state)
{
	(void)state;
	assert_int_equal(ftruncate(file, RANGE + 4096), 0);
	assert_int_equal(map_range(0, 0, true), 0);
	assert_int_equal(map_range(1, 1, true), -EIO);
	assert_int_equal(map_range(2, 2, false), -EIO);
	assert_int_equal(window_setup(window, NODE, RANGE, 4096, true, RANGE), 0);
	assert_int_equal(live(), 2);
	for (uint64_t size = 1; size < 3 * RANGE; size += RANGE + 77) {
		assert_int_equal(window_before_cut(window, &id, size), 0);
		assert_int_equal(ftruncate(file, (off_t)size), 0);
		assert_int_equal(window_size_seen(window, &id, size), 0);
		assert_true(maps(0, RANGE, 0) && maps(RANGE, 4096, RANGE));
	}
	assert_int_equal(window_remove(window, RANGE, RANGE), 0);
	assert_int_equal(live(), 1);
}

/* Growth succeeds, although the VMM refuses what comes back by it. */
static void growth_is_not_to_blame(void **state)
{
	(void)state;
	NEEDS_STAND_INS();
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(map_range(i, i, true), 0);
	assert_int_equal(window_before_cut(window, &id, RANGE), 0);
	assert_int_equal(ftruncate(file, RANGE), 0);
	assert_int_equal(ftruncate(file, 2 * RANGE), 0);
	vmm.refuse = -EIO;
	assert_int_equal(window_size_seen(window, &id, 2 * RANGE), 0);
	assert_int_equal(live(), 1);
	assert_int_equal(window_size_seen(window, &id, 2 * RANGE), 0);
	assert_int_equal(live(), 2);
}

/* With stand-ins any file is mapped whole, and it is the file's own memory. */
static void stand_ins_map_any_size(void **state)
{
	char *shared, byte;
	int fd;

	(void)state;
	NEEDS_STAND_INS();
	assert_int_equal(ftruncate(file, RANGE + 100), 0);
	assert_int_equal(map_range(1, 1, true), 0);
	assert_true(maps(RANGE, RANGE, RANGE));
	fd = file_proxy_open(proxy, file);
	assert_true(fd >= 0);
	shared = mmap(NULL, 2 * RANGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	close(fd);
	shared[RANGE + 7] = 'x';
	assert_int_equal(pread(file, &byte, 1, RANGE + 7), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(pwrite(file, "y", 1, 5), 1);
	assert_int_equal(shared[5], 'y');
	munmap(shared, 2 * RANGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_STAND_INS(name) cmocka_unit_test_setup_teardown(name, setup_stand_ins, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bad_numbers_are_refused), TEST(a_range_maps_once),
		TEST(a_new_mapping_replaces_what_it_covers), TEST(clear_leaves_nothing),
		TEST(live_mappings_have_a_limit), TEST(no_hole_at_the_limit),
		TEST(refusals_reach_the_guest),
		TEST_STAND_INS(a_cut_tail_goes_and_comes_back),
		TEST(a_cut_by_another_node_leaves_nothing_past_it),
		TEST_STAND_INS(a_cut_by_another_node_leaves_nothing_past_it),
		TEST_STAND_INS(interrupted_requests_are_settled),
		TEST_STAND_INS(writable_ranges_get_their_blocks),
		TEST(whole_ranges_without_stand_ins), TEST_STAND_INS(growth_is_not_to_blame),
		TEST_STAND_INS(stand_ins_map_any_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
