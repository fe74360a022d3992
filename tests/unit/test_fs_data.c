/* SPDX-License-Identifier: BSD-3-Clause */
/* The file system: reading, writing, holes, copies, and what the window is told. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/fs_fixture.h"
#include "tests/skip.h"

#define MIB (1UL << 20)

static struct fixture *f;
static struct fs *fs;

static int setup(void **state)
{
	const struct fs_config config = { .dax_min_size = 4096, .dax_max_size = 1 << 20 };

	(void)state;
	f = fixture_new(&config);
	fs = f->fs;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

static void reads_to_the_end(void **state)
{
	uint64_t handle;
	char buf[64];

	(void)state;
	must_create(fs, FS_ROOT_NODE, "a", &handle);
	assert_int_equal(read_at(fs, handle, 0, buf, 10), 0);
	assert_int_equal(write_at(fs, handle, 0, "0123456789", 10), 10);
	assert_int_equal(read_at(fs, handle, 0, buf, sizeof(buf)), 10);
	assert_int_equal(read_at(fs, handle, 4, buf, 3), 3);
	assert_memory_equal(buf, "456", 3);
	assert_int_equal(read_at(fs, handle, 10, buf, 3), 0);
	assert_int_equal(read_at(fs, handle, 99, buf, 3), 0);
	assert_int_equal(read_at(fs, handle, 0, buf, 0), 0);
	assert_int_equal(write_at(fs, handle, 0, buf, 0), 0);
	/* -1 is "the descriptor's own position" to the kernel: not for a guest. */
	assert_int_equal(read_at(fs, handle, UINT64_MAX, buf, 1), -EINVAL);
	assert_int_equal(read_at(fs, handle, UINT64_MAX, buf, 0), -EINVAL);
	assert_int_equal(read_at(fs, handle, INT64_MAX, buf, 1), -EINVAL);
	assert_int_equal(write_at(fs, handle, UINT64_MAX, "x", 1), -EINVAL);
}

/* 1 MiB and a bit, in pieces of 700 bytes: more than one call's worth of segments. */
static void scatters_and_gathers(void **state)
{
	enum { PIECE = 700, PIECES = 1500, SIZE = PIECE * PIECES };
	static struct iovec iov[PIECES];
	struct iov_cursor cursor;
	uint64_t handle;
	char *out = malloc(SIZE), *in = calloc(1, SIZE);

	(void)state;
	assert_true(out && in);
	for (int i = 0; i < SIZE; i++)
		out[i] = (char)(i * 31 + i / 257);
	must_create(fs, FS_ROOT_NODE, "a", &handle);
	for (int i = 0; i < PIECES; i++)
		iov[i] = (struct iovec){ out + i * PIECE, PIECE };
	iov_cursor_init(&cursor, iov, PIECES);
	assert_int_equal(fs_write(fs, 0, handle, 5, SIZE, &cursor, &as_opened), SIZE);
	assert_int_equal(cursor.left, 0);
	for (int i = 0; i < PIECES; i++)
		iov[i].iov_base = in + i * PIECE;
	iov_cursor_init(&cursor, iov, PIECES);
	assert_int_equal(fs_read(fs, 0, handle, 5, SIZE, &cursor, 0), SIZE);
	assert_memory_equal(in, out, SIZE);
	iov_cursor_init(&cursor, iov, 2);
	assert_int_equal(fs_read(fs, 0, handle, 5, SIZE, &cursor, 0), 2 * PIECE);
	iov_cursor_init(&cursor, iov, 2);
	assert_int_equal(fs_write(fs, 0, handle, 5, SIZE, &cursor, &as_opened), -EINVAL);
	free(out);
	free(in);
}

static void appends_but_not_cached_pages(void **state)
{
	char page[2] = { 'X', 'Y' }, buf[16];
	struct iovec iov = { page, sizeof(page) };
	struct iov_cursor from;
	uint64_t node, handle;

	(void)state;
	host_write(f, "a", "0123");
	node = must_lookup(fs, FS_ROOT_NODE, "a");
	handle = must_open(fs, node, O_RDWR | O_APPEND);
	assert_int_equal(write_at(fs, handle, 0, "45", 2), 2);
	/* A page that a mapping made dirty goes to its own place. */
	iov_cursor_init(&from, &iov, 1);
	assert_int_equal(fs_write(fs, node, handle, 1, 2, &from, &at_offset), 2);
	assert_int_equal(read_at(fs, handle, 0, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "0XY345", 6);
	/* And a handle that was opened for writing in place can be told to append. */
	handle = must_open(fs, node, O_RDWR);
	iov_cursor_init(&from, &iov, 1);
	assert_int_equal(fs_write(fs, node, handle, 1, 2, &from, &at_end), 2);
	assert_int_equal(read_at(fs, handle, 0, buf, sizeof(buf)), 8);
	assert_memory_equal(buf, "0XY345XY", 8);
}

static void writeback_opens_for_both(void **state)
{
	const struct fs_config config = { .writeback = true };
	struct fs *wb = fixture_serve(f, &config);
	uint64_t handle;
	char byte;

	(void)state;
	host_write(f, "a", "0123");
	handle = must_open(wb, must_lookup(wb, FS_ROOT_NODE, "a"), O_WRONLY | O_APPEND);
	assert_int_equal(read_at(wb, handle, 2, &byte, 1), 1);
	assert_int_equal(byte, '2');
	assert_int_equal(write_at(wb, handle, 0, "Z", 1), 1);
	assert_int_equal(host_stat(f, "a").st_size, 4);
	fs_free(wb);
}

static void finds_holes_in_big_files(void **state)
{
	const struct fs_setattr grow = { .valid = FS_SET_SIZE, .size = 64ULL << 30 };
	struct fs_attr attr;
	uint64_t node, handle;
	char buf[4] = "";

	(void)state;
	node = must_create(fs, FS_ROOT_NODE, "big", &handle);
	assert_int_equal(fs_setattr(fs, &root_caller, node, handle, &grow, &attr), 0);
	assert_int_equal(attr.stx.stx_size, 64ULL << 30);
	assert_int_equal(write_at(fs, handle, 40ULL << 30, "data", 4), 4);
	assert_int_equal(read_at(fs, handle, 40ULL << 30, buf, 4), 4);
	assert_memory_equal(buf, "data", 4);
	assert_true(fs_lseek(fs, handle, 0, SEEK_DATA) == 40LL << 30);
	assert_int_equal(fs_lseek(fs, handle, 0, SEEK_HOLE), 0);
	assert_int_equal(fs_lseek(fs, handle, 50ULL << 30, SEEK_DATA), -ENXIO);
	assert_int_equal(fs_lseek(fs, handle, UINT64_MAX, SEEK_DATA), -ENXIO);
	assert_int_equal(fs_lseek(fs, handle, 0, SEEK_END), -EINVAL);
	assert_int_equal(fs_lseek(fs, handle, 0, 99), -EINVAL);
}

static void allocates_in_known_ways_only(void **state)
{
	uint64_t node, handle;
	char buf[4096];

	(void)state;
	memset(buf, 'x', sizeof(buf));
	node = must_create(fs, FS_ROOT_NODE, "a", &handle);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, 0, 0, 65536), 0);
	assert_int_equal(host_stat(f, "a").st_size, 65536);
	assert_int_equal(write_at(fs, handle, 4096, buf, 4096), 4096);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle,
				      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096), 0);
	assert_int_equal(read_at(fs, handle, 4096, buf, 1), 1);
	assert_int_equal(buf[0], 0);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, FALLOC_FL_COLLAPSE_RANGE, 0, 4096),
			 -EOPNOTSUPP);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, FALLOC_FL_INSERT_RANGE, 0, 4096),
			 -EOPNOTSUPP);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, UINT32_MAX, 0, 4096), -EOPNOTSUPP);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, 0, UINT64_MAX, 4096), -EINVAL);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, 0, 4096, UINT64_MAX), -EINVAL);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, 0, 0, 0), -EINVAL);
}

static void copies_between_files(void **state)
{
	uint64_t in, out;
	char buf[8];

	(void)state;
	must_create(fs, FS_ROOT_NODE, "in", &in);
	must_create(fs, FS_ROOT_NODE, "out", &out);
	assert_int_equal(write_at(fs, in, 0, "01234567", 8), 8);
	assert_int_equal(fs_copy_file_range(fs, &root_caller, in, 2, 0, out, 1, 4, 0), 4);
	assert_int_equal(read_at(fs, out, 1, buf, 8), 4);
	assert_memory_equal(buf, "2345", 4);
	assert_int_equal(fs_copy_file_range(fs, &root_caller, in, 2, 0, out, 1, 4, 1), -EINVAL);
	assert_int_equal(fs_copy_file_range(fs, &root_caller, in, UINT64_MAX, 0, out, 1, 4, 0), -EINVAL);
	assert_int_equal(fs_copy_file_range(fs, &root_caller, in, 0, 0, out, INT64_MAX, 4, 0), -EINVAL);
	assert_int_equal(fs_copy_file_range(fs, &root_caller, in, 0, 0, 5, 0, 4, 0), -EBADF);
	assert_int_equal(fs_copy_file_range(fs, &root_caller, in, 0, 0, out, 0, UINT64_MAX, 0), 8);
}

/* A full disk is an error to the guest and leaves what was written. */
static void a_full_disk_is_a_clean_error(void **state)
{
	const struct fs_write cached = { .place = FS_PLACE_OFFSET };
	char *buf = calloc(1, MIB);
	uint64_t dir, node, handle;
	struct iov_cursor from;
	struct fs_entry entry;

	(void)state;
	assert_int_equal(mkdir(host_path(f, "mnt"), 0755), 0);
	if (mount("none", host_path(f, "mnt"), "tmpfs", 0, "size=1536k") < 0) {
		free(buf);
		SKIP_BECAUSE("only root may mount, and not in every container");
	}
	dir = must_lookup(fs, FS_ROOT_NODE, "mnt");
	node = must_create(fs, dir, "a", &handle);
	assert_int_equal(write_at(fs, handle, 0, buf, MIB), MIB);
	assert_in_range(write_at(fs, handle, MIB, buf, MIB), 4096, MIB - 1);
	assert_int_equal(write_at(fs, handle, 4 * MIB, buf, MIB), -ENOSPC);
	/* A page cache is told of no part. */
	assert_int_equal(truncate(host_path(f, "mnt/a"), MIB), 0);
	iov_cursor_init(&from, &(struct iovec){ buf, MIB }, 1);
	assert_int_equal(fs_write(fs, node, handle, MIB, MIB, &from, &cached), -ENOSPC);
	assert_in_range(host_stat(f, "mnt/a").st_size, MIB + 4096, 2 * MIB - 1);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, 0, 0, 4 * MIB), -ENOSPC);
	assert_int_equal(fs_rename(fs, &root_caller, dir, "a", FS_ROOT_NODE, "a", 0), -EXDEV);
	assert_int_equal(fs_link(fs, &root_caller, node, FS_ROOT_NODE, "l", &entry), -EXDEV);
	assert_int_equal(fs_unlink(fs, &root_caller, dir, "a"), 0);
	free(buf);
}

/* What the watch was told last. */
static struct {
	unsigned int cuts, sizes, growths;
	uint64_t node, cut, size, growth;
	bool writable;
	int answer, no_room;
	struct fs_file_id mapped;
} told;

static bool same_file(void *ctx, const struct fs_file_id *file)
{
	assert_ptr_equal(ctx, &told);
	return file->ino == told.mapped.ino && file->device == told.mapped.device;
}

static int note_cut(void *ctx, const struct fs_file_id *file, uint64_t size)
{
	assert_true(same_file(ctx, file));
	told.cuts++;
	told.node = file->node;
	told.cut = size;
	return told.answer;
}

static int note_growth(void *ctx, const struct fs_file_id *file, uint64_t size)
{
	assert_true(same_file(ctx, file));
	told.growths++;
	told.growth = size;
	return told.no_room;
}

static int note_size(void *ctx, const struct fs_file_id *file, uint64_t size)
{
	assert_true(same_file(ctx, file));
	told.sizes++;
	told.node = file->node;
	told.size = size;
	return told.answer;
}

static bool note_writable(void *ctx, const struct fs_file_id *file, uint64_t offset, uint64_t len)
{
	assert_true(same_file(ctx, file));
	(void)offset;
	(void)len;
	return told.writable;
}

static const struct fs_watch watch = {
	&told, same_file, note_cut, note_growth, note_size, note_writable
};

/* A file of two pages that has been opened for the window. */
static uint64_t mapped_file(const char *name, uint64_t *handle)
{
	uint64_t node = must_create(fs, FS_ROOT_NODE, name, handle);
	int fd;

	assert_int_equal(fs_fallocate(fs, &root_caller, node, *handle, 0, 0, 8192), 0);
	fd = fs_open_dax(fs, node, &told.mapped);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	fs_close_dax(fs, fd);
	return node;
}

static void the_window_hears_of_cuts(void **state)
{
	struct fs_setattr set = { .valid = FS_SET_SIZE, .size = 4096 };
	uint64_t node, handle, other;
	struct fs_attr attr;

	(void)state;
	memset(&told, 0, sizeof(told));
	fs_set_watch(fs, &watch);
	node = must_create(fs, FS_ROOT_NODE, "unmapped", &other);
	assert_int_equal(fs_setattr(fs, &root_caller, node, FS_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(told.cuts + told.sizes, 0);

	node = mapped_file("a", &handle);
	assert_int_equal(fs_setattr(fs, &root_caller, node, FS_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(told.cuts, 1);
	assert_int_equal(told.node, node);
	assert_int_equal(told.cut, 4096);
	assert_int_equal(told.size, 4096);
	set.size = 9000;
	assert_int_equal(fs_setattr(fs, &root_caller, node, handle, &set, &attr), 0);
	assert_int_equal(told.cuts, 1);
	assert_int_equal(told.size, 9000);
	assert_int_equal(fs_open(fs, &root_caller, node, O_RDWR | O_TRUNC, &other), 0);
	assert_int_equal(told.cuts, 2);
	assert_int_equal(told.cut, 0);
	/* A cut that the window refuses is not made. */
	assert_int_equal(write_at(fs, handle, 0, "abc", 3), 3);
	assert_int_equal(told.size, 3);
	told.answer = -EIO;
	set.size = 1;
	assert_int_equal(fs_setattr(fs, &root_caller, node, FS_NO_HANDLE, &set, &attr), -EIO);
	assert_int_equal(fs_open(fs, &root_caller, node, O_RDWR | O_TRUNC, &other), -EIO);
	assert_int_equal(host_stat(f, "a").st_size, 3);
}

static void the_window_hears_of_growth(void **state)
{
	uint64_t node, handle, append;
	struct fs_attr attr;
	uint64_t source;

	(void)state;
	memset(&told, 0, sizeof(told));
	fs_set_watch(fs, &watch);
	node = mapped_file("a", &handle);
	append = must_open(fs, node, O_WRONLY | O_APPEND);
	assert_int_equal(write_at(fs, handle, 8192, "abcd", 4), 4);
	assert_int_equal(told.size, 8196);
	assert_int_equal(write_at(fs, append, 0, "ef", 2), 2);
	assert_int_equal(told.size, 8198);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, 0, 0, 10000), 0);
	assert_int_equal(told.size, 10000);
	must_create(fs, FS_ROOT_NODE, "b", &source);
	assert_int_equal(write_at(fs, source, 0, "1234", 4), 4);
	assert_int_equal(fs_copy_file_range(fs, &root_caller, source, 0, node, handle, 11000, 4, 0), 4);
	assert_int_equal(told.size, 11004);
	assert_int_equal(truncate(host_path(f, "a"), 20000), 0);
	assert_int_equal(fs_getattr(fs, node, FS_NO_HANDLE, &attr), 0);
	assert_int_equal(told.size, 20000);
	assert_int_equal(truncate(host_path(f, "a"), 30000), 0);
	must_lookup(fs, FS_ROOT_NODE, "a");
	assert_int_equal(told.size, 30000);
	assert_int_equal(told.node, node);
}

/* A change that leaves a hole has room for it first, or is not made; what is appended leaves none. */
static void a_hole_below_a_mapping_has_room_first(void **state)
{
	struct fs_setattr set = { .valid = FS_SET_SIZE, .size = 1 << 20 };
	uint64_t node, handle, append, source;
	struct fs_attr attr;

	(void)state;
	memset(&told, 0, sizeof(told));
	fs_set_watch(fs, &watch);
	node = mapped_file("a", &handle);
	append = must_open(fs, node, O_WRONLY | O_APPEND);
	must_create(fs, FS_ROOT_NODE, "b", &source);
	assert_int_equal(write_at(fs, source, 0, "1234", 4), 4);
	told.no_room = -ENOSPC;
	assert_int_equal(fs_setattr(fs, &root_caller, node, FS_NO_HANDLE, &set, &attr), -ENOSPC);
	assert_int_equal(told.growth, 1 << 20);
	assert_int_equal(write_at(fs, handle, 100000, "x", 1), -ENOSPC);
	assert_int_equal(told.growth, 100000);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, 0, 200000, 10), -ENOSPC);
	assert_int_equal(told.growth, 200000);
	assert_int_equal(fs_copy_file_range(fs, &root_caller, source, 0, node, handle, 300000, 4, 0), -ENOSPC);
	assert_int_equal(told.growth, 300000);
	assert_int_equal(host_stat(f, "a").st_size, 8192);
	assert_int_equal(told.growths, 4);
	assert_int_equal(write_at(fs, append, 0, "ef", 2), 2);
	/* What was appended is in the file, whatever became of the window meanwhile. */
	told.answer = -EINTR;
	assert_int_equal(write_at(fs, append, 0, "gh", 2), 2);
	assert_int_equal(told.growths, 4);
	assert_int_equal(host_stat(f, "a").st_size, 8196);
}

static void no_holes_below_a_writable_mapping(void **state)
{
	const uint32_t punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	uint64_t node, handle, other;

	(void)state;
	memset(&told, 0, sizeof(told));
	fs_set_watch(fs, &watch);
	node = mapped_file("a", &handle);
	must_create(fs, FS_ROOT_NODE, "b", &other);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, punch, 0, 4096), 0);
	told.writable = true;
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, punch, 0, 4096), -EOPNOTSUPP);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, FALLOC_FL_ZERO_RANGE, 0, 4096),
			 -EOPNOTSUPP);
	assert_int_equal(fs_fallocate(fs, &root_caller, node, handle, 0, 0, 4096), 0);
	assert_int_equal(fs_copy_file_range(fs, &root_caller, handle, 0, 0, other, 0, 4096, 0), -EOPNOTSUPP);
	assert_int_equal(fs_copy_file_range(fs, &root_caller, other, 0, 0, handle, 0, 4096, 0), -EOPNOTSUPP);
}

static bool dax_of(struct fs *of, const char *name)
{
	struct fs_entry entry;

	assert_int_equal(fs_lookup(of, FS_ROOT_NODE, name, &entry), 0);
	return entry.attr.dax;
}

static void only_some_files_may_be_mapped(void **state)
{
	struct fs *none = fixture_serve(f, NULL);

	(void)state;
	host_write(f, "small", "x");
	host_write(f, "large", "x");
	host_write(f, "program", "x");
	assert_int_equal(truncate(host_path(f, "large"), 4096), 0);
	assert_int_equal(truncate(host_path(f, "program"), 4096), 0);
	assert_int_equal(chmod(host_path(f, "program"), 0701), 0);
	assert_int_equal(mkdir(host_path(f, "dir"), 0755), 0);
	assert_int_equal(symlink("large", host_path(f, "link")), 0);
	assert_true(dax_of(fs, "large"));
	assert_false(dax_of(fs, "small"));
	assert_false(dax_of(fs, "program"));
	assert_false(dax_of(fs, "dir"));
	assert_false(dax_of(fs, "link"));
	assert_false(dax_of(none, "large"));
	assert_int_equal(fs_open_dax(none, must_lookup(none, FS_ROOT_NODE, "large"), &told.mapped), -EOPNOTSUPP);
	assert_int_equal(fs_open_dax(fs, must_lookup(fs, FS_ROOT_NODE, "link"), &told.mapped), -ELOOP);
	assert_int_equal(fs_open_dax(fs, must_lookup(fs, FS_ROOT_NODE, "dir"), &told.mapped), -EISDIR);
	assert_int_equal(fs_open_dax(fs, 4711, &told.mapped), -ESTALE);
	/* What the file grows into is seen when it is asked for. */
	assert_int_equal(truncate(host_path(f, "small"), 4096), 0);
	assert_true(dax_of(fs, "small"));
	fs_free(none);
}

/* Files that no descriptor can write to or not anywhere, chattr(1)'s +a and +i. */
static void what_cannot_be_opened_for_writing_is_not_offered(void **state)
{
	static const int flags[] = { FS_APPEND_FL, FS_IMMUTABLE_FL };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		const char *name = i ? "immutable" : "append";
		int fd, own, both;

		host_write(f, name, "x");
		assert_int_equal(truncate(host_path(f, name), 8192), 0);
		assert_true(dax_of(fs, name));
		fd = open(host_path(f, name), O_RDONLY | O_CLOEXEC);
		/* Its other flags stay: without that of extents ext4 would have to move its blocks, and cannot always. */
		if (ioctl(fd, FS_IOC_GETFLAGS, &own) < 0 ||
		    (both = own | flags[i], ioctl(fd, FS_IOC_SETFLAGS, &both) < 0)) {
			close(fd);
			SKIP_BECAUSE("only root may set file flags, and not on every file system");
		}
		assert_false(dax_of(fs, name));
		assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &own), 0);
		assert_true(dax_of(fs, name));
		close(fd);
	}
}

static void a_read_only_mount_is_never_mapped(void **state)
{
	struct fs_entry entry;
	uint64_t dir;

	(void)state;
	assert_int_equal(mkdir(host_path(f, "mnt"), 0755), 0);
	if (mount("none", host_path(f, "mnt"), "tmpfs", 0, "size=1M") < 0)
		SKIP_BECAUSE("only root may mount, and not in every container");
	host_write(f, "mnt/large", "x");
	assert_int_equal(truncate(host_path(f, "mnt/large"), 8192), 0);
	assert_int_equal(mount("none", host_path(f, "mnt"), "tmpfs", MS_REMOUNT | MS_RDONLY, ""), 0);
	dir = must_lookup(fs, FS_ROOT_NODE, "mnt");
	assert_int_equal(fs_lookup(fs, dir, "large", &entry), 0);
	assert_false(entry.attr.dax);
	assert_int_equal(fs_open_dax(fs, entry.node, &told.mapped), -EROFS);
}

/* Whether a file's modification time was moved: by truncate(2) of the host, or through us. */
static bool moves_mtime(const char *name, uint64_t size, bool ours, bool by_handle)
{
	const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 2 } };
	struct fs_setattr set = { .valid = FS_SET_SIZE, .size = size };
	uint64_t dir = must_lookup(fs, 1, "mnt"), node = must_lookup(fs, dir, name), handle;
	int fd = open(host_path(f, "mnt/a"), O_RDWR | O_CLOEXEC);
	struct fs_attr attr;

	assert_int_equal(futimens(fd, old), 0);
	handle = by_handle ? must_open(fs, node, O_RDWR) : FS_NO_HANDLE;
	if (ours)
		assert_int_equal(fs_setattr(fs, &root_caller, node, handle, &set, &attr), 0);
	else
		assert_int_equal(by_handle ? ftruncate(fd, (off_t)size) :
				 truncate(host_path(f, "mnt/a"), (off_t)size), 0);
	if (by_handle)
		assert_int_equal(fs_release(fs, handle), 0);
	close(fd);
	return host_stat(f, "mnt/a").st_mtime != 2;
}

/* tmpfs leaves the times of a file alone that truncate(2) does not change, and ftruncate(2) moves them. */
static void a_size_that_stays(void **state)
{
	(void)state;
	assert_int_equal(mkdir(host_path(f, "mnt"), 0755), 0);
	if (mount("none", host_path(f, "mnt"), "tmpfs", 0, NULL))
		SKIP_BECAUSE("no tmpfs can be mounted");
	host_write(f, "mnt/a", "text");
	for (size_t i = 0; i < 4; i++) {
		uint64_t size = i / 2 * 4;
		bool by_handle = i % 2;

		assert_int_equal(truncate(host_path(f, "mnt/a"), (off_t)size), 0);
		if (moves_mtime("a", size, true, by_handle) != moves_mtime("a", size, false, by_handle))
			fail_msg("size %u, %s", (unsigned int)size, by_handle ? "ftruncate" : "truncate");
	}
}

#define FS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(reads_to_the_end),
		FS_TEST(scatters_and_gathers),
		FS_TEST(appends_but_not_cached_pages),
		FS_TEST(writeback_opens_for_both),
		FS_TEST(finds_holes_in_big_files),
		FS_TEST(allocates_in_known_ways_only),
		FS_TEST(copies_between_files),
		FS_TEST(a_full_disk_is_a_clean_error),
		FS_TEST(the_window_hears_of_cuts),
		FS_TEST(the_window_hears_of_growth),
		FS_TEST(a_hole_below_a_mapping_has_room_first),
		FS_TEST(no_holes_below_a_writable_mapping),
		FS_TEST(only_some_files_may_be_mapped),
		FS_TEST(what_cannot_be_opened_for_writing_is_not_offered),
		FS_TEST(a_read_only_mount_is_never_mapped),
		FS_TEST(a_size_that_stays),
	};

	fixture_private_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
