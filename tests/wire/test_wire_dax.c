/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DAX window as a guest and a VMM like QEMU 11.1 see it: what is mapped is
 * the file, replaced and removed ranges leave nothing behind, what may not be
 * written is not mapped. Relies on the client's window, which refuses what QEMU
 * refuses.
 */
#include "dax_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"

static struct window_event events[WINDOW_EVENTS];

/* Back-end requests of one kind since the last look. */
static unsigned int count_events(struct fixture *f, uint32_t request)
{
	unsigned int n = raw_window_events(f->client, events, WINDOW_EVENTS), found = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (events[i].request != request)
			continue;
		assert_int_equal(events[i].answer, 0);
		found++;
	}
	return found;
}

static void test_map(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node;
	char back[16];
	cleanup_close int fd = -1;

	share_fill(&f->daemon, "file", 6 * MIB, 5);
	node = lookup_node(f->q, "file");
	fd = open(share_path(&f->daemon, "file"), O_RDWR | O_CLOEXEC);
	for (unsigned int i = 0; i < 3; i++)
		ok(map(f, node, i * RANGE, RANGE, READ, (2 - i) * RANGE));
	for (unsigned int i = 0; i < 3; i++)
		check_pattern(window_at(f, (2 - i) * RANGE), RANGE, 5, i * RANGE);
	ok(map(f, node, RANGE, RANGE, WRITE, 10 * RANGE));
	memcpy(window_at(f, 10 * RANGE + 100), "through the page", 16);
	assert_int_equal(pread(fd, back, 16, RANGE + 100), 16);
	assert_memory_equal(back, "through the page", 16);
	assert_int_equal(pwrite(fd, "and the way back", 16, RANGE + 200), 16);
	assert_memory_equal(window_at(f, 10 * RANGE + 200), "and the way back", 16);
	/* A part of a page at the end of the file. */
	share_fill(&f->daemon, "odd", 3 * MIB + 17, 6);
	ok(map(f, lookup_node(f->q, "odd"), RANGE, RANGE, READ, 12 * RANGE));
	check_pattern(window_at(f, 12 * RANGE), MIB + 17, 6, RANGE);
	ok(unmap(f, 0, RANGE));
	assert_int_equal(live(f), 4);
}

/* The spec lets a new mapping replace old ones; the VMM does not. */
static void test_overlap(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t a, b;

	share_fill(&f->daemon, "a", 8 * MIB, 1);
	share_fill(&f->daemon, "b", 8 * MIB, 2);
	a = lookup_node(f->q, "a");
	b = lookup_node(f->q, "b");
	ok(map(f, a, 0, 2 * RANGE, READ, 0));
	ok(map(f, b, 0, 2 * RANGE, READ, 0));
	check_pattern(window_at(f, 0), 2 * RANGE, 2, 0);
	ok(map(f, a, RANGE, RANGE, WRITE, 0));
	check_pattern(window_at(f, 0), RANGE, 1, RANGE);
	check_pattern(window_at(f, RANGE), RANGE, 2, RANGE);
	/* Into the middle of one, over the end of another, over several. */
	ok(map(f, a, 0, 4 * MIB, READ, 16 * MIB));
	ok(map(f, b, MIB, MIB, READ, 17 * MIB));
	check_pattern(window_at(f, 16 * MIB), MIB, 1, 0);
	check_pattern(window_at(f, 17 * MIB), MIB, 2, MIB);
	check_pattern(window_at(f, 18 * MIB), 2 * MIB, 1, 2 * MIB);
	ok(map(f, b, 0, 8 * MIB, READ, 14 * MIB));
	check_pattern(window_at(f, 14 * MIB), 8 * MIB, 2, 0);
	for (unsigned int i = 0; i < 8; i++)
		ok(map(f, i % 2 ? a : b, i * MIB, MIB, READ, 32 * MIB + i * 4096));
	/* Nothing was ever refused by the window. */
	count_events(f, VHOST_USER_BACKEND_SHMEM_MAP);
}

static void test_remove(void **state)
{
	struct fuse_removemapping_one many[8];
	struct fixture *f = fixture_of(state);
	uint64_t node;

	share_fill(&f->daemon, "file", 16 * MIB, 1);
	node = lookup_node(f->q, "file");
	for (unsigned int i = 0; i < 8; i++) {
		ok(map(f, node, i * RANGE, RANGE, READ, i * RANGE));
		many[i] = (struct fuse_removemapping_one){ i * RANGE, RANGE };
	}
	ok(casement_removemapping(f->q, many, 8));
	assert_int_equal(live(f), 0);
	ok(map(f, node, 0, 2 * RANGE, READ, 0));
	ok(unmap(f, RANGE, RANGE));
	check_pattern(window_at(f, 0), RANGE, 1, 0);
	assert_int_equal(live(f), 1);
	ok(map(f, node, 0, RANGE, READ, RANGE));
	ok(unmap(f, 0, 64 * MIB));
	assert_int_equal(live(f), 0);
	ok(unmap(f, 0, 64 * MIB));
	assert_true(unmap(f, 0, 65 * MIB) < 0);
}

/* A guest that mounts again uses the same window offsets, having removed nothing. */
static void test_remount(void **state)
{
	struct fixture *f = fixture_of(state);

	share_fill(&f->daemon, "file", 8 * MIB, 1);
	for (unsigned int round = 0; round < 6; round++) {
		uint64_t node = lookup_node(f->q, "file");

		for (unsigned int i = 0; i < 4; i++)
			ok(map(f, node, (3 - i) * RANGE, RANGE, i % 2 ? WRITE : READ, i * RANGE));
		check_pattern(window_at(f, RANGE), RANGE, 1, 2 * RANGE);
		if (round % 2)
			ok(casement_destroy(f->q));
		else
			ok(raw_restart(f->q));
		ok(casement_init(f->q, NULL, &f->init));
		assert_int_equal(live(f), 0);
	}
	count_events(f, VHOST_USER_BACKEND_SHMEM_MAP);
}

/* RESET_DEVICE, and a window that the guest after it finds empty. */
static void test_device_reset(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node;

	share_fill(&f->daemon, "file", 8 * MIB, 1);
	node = lookup_node(f->q, "file");
	for (unsigned int i = 0; i < 4; i++)
		ok(map(f, node, i * RANGE, RANGE, READ, i * RANGE));
	fixture_reset_device(f);
	ok(casement_init(f->q, NULL, &f->init));
	assert_int_equal(live(f), 0);
	node = lookup_node(f->q, "file");
	ok(map(f, node, 0, 4 * RANGE, READ, 0));
	check_pattern(window_at(f, 0), 4 * RANGE, 1, 0);
}

/* Writable is what everything is already: an upgrade is no change. */
static void test_upgrade(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node;

	share_fill(&f->daemon, "file", 8 * MIB, 1);
	node = lookup_node(f->q, "file");
	ok(map(f, node, 0, RANGE, READ, RANGE));
	raw_window_events(f->client, events, WINDOW_EVENTS);
	ok(map(f, node, 0, RANGE, WRITE, RANGE));
	ok(map(f, node, 0, RANGE, WRITE, RANGE));
	ok(map(f, node, 0, RANGE, READ, RANGE));
	assert_int_equal(raw_window_events(f->client, events, WINDOW_EVENTS), 0);
	memset(window_at(f, RANGE), 'x', RANGE);
}

static uint32_t attr_flags(struct fixture *f, const char *name)
{
	struct fuse_entry_out entry;

	ok(casement_lookup(f->q, CASEMENT_ROOT, name, &entry));
	return entry.attr.flags;
}

/* A program in the share that runs until its input ends. */
static pid_t run_copy(struct fixture *f, const char *name, int *input)
{
	char command[256], byte;
	int in[2], started[2];
	pid_t pid;

	snprintf(command, sizeof(command), "cp /bin/cat %s", share_path(&f->daemon, name));
	assert_int_equal(system(command), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(started, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		dup2(in[0], 0);
		execl(share_path(&f->daemon, name), "cat", NULL);
		_exit(127);
	}
	close(in[0]);
	*input = in[1];
	/* Closed without a word: it was executed, or is dead. */
	close(started[1]);
	assert_int_equal(read(started[0], &byte, 1), 0);
	close(started[0]);
	return pid;
}

/* What may not be opened for writing is not mapped, and the guest is told so beforehand. */
static void test_refused(void **state)
{
	struct fixture *f = fixture_of(state);
	cleanup_close int input = -1;
	pid_t pid;

	assert_true(f->init.flags & FUSE_MAP_ALIGNMENT);
	assert_true((uint64_t)f->init.flags2 << 32 & FUSE_HAS_INODE_DAX);
	share_fill(&f->daemon, "large", 4 * MIB, 1);
	share_fill(&f->daemon, "small", 10, 1);
	assert_true(attr_flags(f, "large") & FUSE_ATTR_DAX);
	assert_false(attr_flags(f, "small") & FUSE_ATTR_DAX);
	assert_int_equal(mkfifo(share_path(&f->daemon, "fifo"), 0600), 0);
	assert_int_equal(symlink("large", share_path(&f->daemon, "link")), 0);
	assert_false(attr_flags(f, "fifo") & FUSE_ATTR_DAX);
	assert_true(map(f, lookup_node(f->q, "fifo"), 0, RANGE, READ, 0) < 0);
	assert_true(map(f, lookup_node(f->q, "link"), 0, RANGE, READ, 0) < 0);
	assert_true(map(f, CASEMENT_ROOT, 0, RANGE, READ, 0) < 0);
	pid = run_copy(f, "program", &input);
	assert_int_equal(open(share_path(&f->daemon, "program"), O_WRONLY), -1);
	assert_int_equal(errno, ETXTBSY);
	assert_true(map(f, lookup_node(f->q, "program"), 0, RANGE, READ, 0) < 0);
	close_fd(&input);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(live(f), 0);
	assert_true(map(f, lookup_node(f->q, "large"), 0, RANGE, READ, 1) < 0);
	assert_true(map(f, lookup_node(f->q, "large"), 1, RANGE, READ, 0) < 0);
	assert_true(map(f, lookup_node(f->q, "large"), 0, RANGE, READ, 63 * MIB) < 0);
	ok(map(f, lookup_node(f->q, "large"), 0, RANGE, READ, 0));
}

static const struct fixture_config readonly_window = {
	.args = { "--window-size", "64M", "--readonly", NULL },
	.options = { .flags = CASEMENT_MAP_ALL_WRITABLE },
	.needs = "window-size",
};

static void test_readonly_share(void **state)
{
	struct fixture *f = fixture_of(state);

	share_fill(&f->daemon, "file", 4 * MIB, 1);
	assert_false(attr_flags(f, "file") & FUSE_ATTR_DAX);
	assert_true(map(f, lookup_node(f->q, "file"), 0, RANGE, READ, 0) < 0);
	assert_true(map(f, lookup_node(f->q, "file"), 0, RANGE, WRITE, 0) < 0);
	assert_int_equal(live(f), 0);
}

/* What is mapped stays so without a handle, a name or a lookup. */
static void test_mapping_outlives(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node;

	share_fill(&f->daemon, "file", 4 * MIB, 1);
	node = lookup_node(f->q, "file");
	ok(map(f, node, 0, RANGE, WRITE, 0));
	ok(casement_unlink(f->q, CASEMENT_ROOT, "file"));
	ok(casement_forget(casement_hiprio_queue(f->client), node, 1));
	check_pattern(window_at(f, 0), RANGE, 1, 0);
	ok(unmap(f, 0, RANGE));
	assert_int_equal(live(f), 0);
}

static const struct fixture_config four_mappings = {
	.args = { "--window-size", "64M", "--window-mappings", "4", NULL },
	.options = { .flags = CASEMENT_MAP_ALL_WRITABLE },
	.needs = "window-mappings",
};

/* QEMU ends the machine past 512 regions: the limit holds whatever the guest maps. */
static void test_limit(void **state)
{
	struct fixture *f = fixture_of(state);
	unsigned int peak, made = 0;
	uint64_t node;

	share_fill(&f->daemon, "file", 4 * MIB, 1);
	node = lookup_node(f->q, "file");
	for (unsigned int i = 0; i < 64; i++)
		made += !map(f, node, i * 4096, 4096, READ, i * 8192);
	assert_true(made >= 4);
	raw_window_mappings(f->client, NULL, 0, &peak);
	assert_true(peak <= 4);
	assert_true(f->client->max_slots >= 4 + 1);
	ok(unmap(f, 0, 8 * MIB));
	/* One large mapping with holes punched: the pieces count too. */
	ok(map(f, node, 0, 4 * MIB, READ, 0));
	for (unsigned int i = 0; i < 64; i++)
		(void)unmap(f, i * 8192, 4096);
	raw_window_mappings(f->client, NULL, 0, &peak);
	assert_true(peak <= 4);
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &(struct fuse_attr_out){ 0 }));
	ok(casement_init(f->q, NULL, &f->init));
	assert_int_equal(live(f), 0);
	ok(map(f, lookup_node(f->q, "file"), 0, RANGE, READ, 0));
}

/* A guest maps all that it is offered: files that are offered at one time fit into the window together. */
static void test_offers_fit_together(void **state)
{
	struct fuse_setattr_in set = { .valid = FATTR_SIZE, .size = 32 * MIB };
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out attr;
	uint64_t nodes[8];
	char name[8];

	for (unsigned int i = 0; i < 8; i++) {
		cleanup_close int fd = -1;

		snprintf(name, sizeof(name), "file-%u", i);
		fd = open(share_path(&f->daemon, name), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
		assert_int_equal(ftruncate(fd, 32 * MIB), 0);
		nodes[i] = lookup_node(f->q, name);
	}
	for (unsigned int i = 0; i < 8; i++) {
		ok(casement_getattr(f->q, nodes[i], CASEMENT_NO_FH, &attr));
		assert_int_equal(attr.attr.flags & FUSE_ATTR_DAX, i < 2 ? FUSE_ATTR_DAX : 0);
	}
	assert_false(attr_flags(f, "file-2") & FUSE_ATTR_DAX);
	/* Whose names the guest forgets make room. */
	ok(casement_forget(casement_hiprio_queue(f->client), nodes[0], 1));
	assert_true(attr_flags(f, "file-7") & FUSE_ATTR_DAX);
	assert_false(attr_flags(f, "file-2") & FUSE_ATTR_DAX);
	ok(casement_init(f->q, NULL, &f->init));
	assert_true(attr_flags(f, "file-2") & FUSE_ATTR_DAX);
	/* One that was made here is offered when it has its size. */
	create_file(f->q, "made", &nodes[0]);
	ok(casement_setattr(f->q, nodes[0], &set, &attr));
	assert_true(attr.attr.flags & FUSE_ATTR_DAX);
	assert_false(attr_flags(f, "file-3") & FUSE_ATTR_DAX);
}

/* Another process loads a byte of the window, and what it meets is not a page past the end of a file. */
static bool can_load(const volatile char *at)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		/* Not as a test that failed. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		_exit(*at & 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return !WIFSIGNALED(status) || WTERMSIG(status) != SIGBUS;
}

/* `other` names the file of `node`, whose first two ranges are mapped: what it does, the window hears of. */
static void check_same_file(struct fixture *f, uint64_t node, uint64_t other)
{
	struct fuse_setattr_in set = { .valid = FATTR_SIZE, .size = RANGE + 5000 };
	struct fuse_attr_out attr;
	struct fuse_open_out open;

	assert_true(other != node);
	ok(map(f, node, 0, RANGE, WRITE, 0));
	ok(map(f, node, RANGE, RANGE, WRITE, RANGE));
	ok(casement_open(f->q, other, O_RDWR, &open));
	refused(casement_fallocate(f->q, other, open.fh, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MIB),
		EOPNOTSUPP);
	refused(casement_fallocate(f->q, other, open.fh, FALLOC_FL_ZERO_RANGE, 0, MIB), EOPNOTSUPP);
	ok(casement_setattr(f->q, other, &set, &attr));
	assert_true(can_load(window_at(f, RANGE)) && can_load(window_at(f, RANGE + MIB)));
	check_pattern(window_at(f, 0), RANGE + 5000, 1, 0);
	set.size = 4 * MIB;
	ok(casement_setattr(f->q, other, &set, &attr));
	ok(casement_write(f->q, other, open.fh, 2 * RANGE - 4, "back", 4));
	assert_memory_equal(window_at(f, 2 * RANGE - 4), "back", 4);
	set.size = 0;
	ok(casement_setattr(f->q, other, &set, &attr));
	assert_int_equal(live(f), 0);
	assert_true(can_load(window_at(f, 0)));
	ok(casement_write(f->q, other, open.fh, 0, "again", 5));
	assert_memory_equal(window_at(f, 0), "again", 5);
	ok(casement_open(f->q, other, O_RDWR | O_TRUNC, &open));
	assert_int_equal(live(f), 0);
}

/* A file that was forgotten while it is mapped, and found again. */
static void test_found_again(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node;

	share_fill(&f->daemon, "file", 4 * MIB, 1);
	node = lookup_node(f->q, "file");
	ok(map(f, node, 8 * MIB, RANGE, READ, 32 * MIB));
	ok(casement_forget(casement_hiprio_queue(f->client), node, 1));
	ok(unmap(f, 0, 64 * MIB));
	node = lookup_node(f->q, "file");
	ok(map(f, node, 0, RANGE, WRITE, 0));
	ok(map(f, node, RANGE, RANGE, WRITE, RANGE));
	ok(casement_forget(casement_hiprio_queue(f->client), node, 1));
	check_same_file(f, node, lookup_node(f->q, "file"));
}

/* Mounts that nobody else sees, but the daemon. */
static bool may_mount(void)
{
	return !geteuid() && !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL);
}

static int mounts_setup(void **state)
{
	if (may_mount())
		return fixture_setup(state);
	*state = calloc(1, sizeof(struct fixture));
	return 0;	/* fixture_of() will skip the test */
}

/* One file by two mounts, the guest's own way to two nodes of it. */
static void test_two_mounts(void **state)
{
	struct fixture *f = fixture_of(state);

	share_fill(&f->daemon, "file", 4 * MIB, 1);
	share_fill(&f->daemon, "bound", 1, 1);
	assert_int_equal(mount(share_path(&f->daemon, "file"), share_path(&f->daemon, "bound"), NULL, MS_BIND,
			       NULL), 0);
	check_same_file(f, lookup_node(f->q, "file"), lookup_node(f->q, "bound"));
	umount2(share_path(&f->daemon, "bound"), MNT_DETACH);
}

/* A private tmpfs of 1 MiB for the scratch tree, seen by nobody else. */
static int small_disk_setup(void **state)
{
	static char dir[] = "/tmp/casement-disk-XXXXXX";

	bool made = may_mount() && mkdtemp(dir);

	if (!made || mount("disk", dir, "tmpfs", 0, "size=1M")) {
		if (made)
			rmdir(dir);
		*state = calloc(1, sizeof(struct fixture));
		return 0;	/* fixture_of() will skip the test */
	}
	setenv("TMPDIR", dir, 1);
	return fixture_setup(state);
}

static int small_disk_teardown(void **state)
{
	const char *dir = getenv("TMPDIR");
	int bad = fixture_teardown(state);

	if (dir && strstr(dir, "casement-disk")) {
		umount2(dir, MNT_DETACH);
		rmdir(dir);
		unsetenv("TMPDIR");
	}
	return bad;
}

/* A store must not be the first to learn that the disk is full: that would be SIGBUS. */
static void test_full_disk(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_setattr_in set = { .valid = FATTR_SIZE, .size = 4 * MIB };
	uint64_t node, other, other_fh, at = 0;
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	char page[4096] = "";
	ssize_t n;

	create_file(f->q, "file", &node);
	ok(casement_setattr(f->q, node, &set, &attr));
	refused(map(f, node, 0, RANGE, WRITE, 0), ENOSPC);
	ok(map(f, node, 0, 256 * 1024, WRITE, 0));
	/* The rest of the disk goes to somebody else; what was mapped has its blocks. */
	other_fh = create_file(f->q, "other", &other);
	while ((n = casement_write(f->q, other, other_fh, at, page, sizeof(page))) > 0)
		at += (uint64_t)n;
	assert_int_equal(n, -ENOSPC);
	memset(window_at(f, 0), 'x', 256 * 1024);
	/* Below a mapping that is written to there is no hole that has no room; nothing was changed then. */
	set.size = 100000;
	ok(casement_setattr(f->q, node, &set, &attr));
	while ((n = casement_write(f->q, other, other_fh, at, page, sizeof(page))) > 0)
		at += (uint64_t)n;
	set.size = 200000;
	refused(casement_setattr(f->q, node, &set, &attr), ENOSPC);
	ok(casement_open(f->q, node, O_RDWR, &open));
	assert_int_equal(casement_write(f->q, node, open.fh, 200000, page, 1), -ENOSPC);
	ok(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr));
	assert_int_equal(attr.attr.size, 100000);
	ok(unmap(f, 0, 64 * MIB));
	set.size = 4 * MIB;
	ok(casement_setattr(f->q, node, &set, &attr));
	/* An upgrade of a range of holes on a full disk. */
	ok(map(f, node, RANGE, RANGE, READ, RANGE));
	refused(map(f, node, RANGE, RANGE, WRITE, RANGE), ENOSPC);
	daemon_check(&f->daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_map, &window_64),
		FIXTURE_TEST(test_overlap, &window_64),
		FIXTURE_TEST(test_remove, &window_64),
		FIXTURE_TEST(test_remount, &window_64),
		FIXTURE_TEST(test_device_reset, &window_64),
		FIXTURE_TEST(test_upgrade, &window_64),
		FIXTURE_TEST(test_refused, &window_64),
		FIXTURE_TEST(test_readonly_share, &readonly_window),
		FIXTURE_TEST(test_mapping_outlives, &window_64),
		FIXTURE_TEST(test_limit, &four_mappings),
		FIXTURE_TEST(test_offers_fit_together, &window_64),
		FIXTURE_TEST(test_found_again, &window_64),
		/* The last: they move this process into a mount namespace of its own. */
		cmocka_unit_test_prestate_setup_teardown(test_two_mounts, mounts_setup,
			fixture_teardown, (void *)(uintptr_t)&window_64),
		cmocka_unit_test_prestate_setup_teardown(test_full_disk, small_disk_setup,
			small_disk_teardown, (void *)(uintptr_t)&window_64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
