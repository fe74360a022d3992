/* SPDX-License-Identifier: BSD-3-Clause */
/* Listings: whole, from any place, and while the directory changes. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "tests/posix/check.h"
#include "tests/posix/steps.h"

#define ENTRIES 500

/* What one walk saw: how often each of the numbered files, and how many other names. */
struct sight {
	unsigned char seen[2 * ENTRIES];
	int others;
};

static void look(struct sight *sight, const struct dirent *entry)
{
	int number = atoi(entry->d_name + 1);

	if (entry->d_name[0] == 'f' && number < 2 * ENTRIES)
		sight->seen[number]++;
	else
		sight->others++;
}

/* How many of [from, to) were seen `times` times. */
static long count(const struct sight *sight, int from, int to, int times)
{
	long n = 0;

	for (int i = from; i < to; i++)
		n += sight->seen[i] == times;
	return n;
}

static void make_range(int from, int to)
{
	char name[16];

	for (int i = from; i < to; i++) {
		snprintf(name, sizeof(name), "many/f%d", i);
		op_create(name, NULL, 0600);
	}
}

static void remove_range(int from, int to, int step)
{
	char name[16];

	for (int i = from; i < to; i += step) {
		snprintf(name, sizeof(name), "many/f%d", i);
		unlink(name);
	}
}

static void look_at_rest(struct sight *sight, DIR *dir)
{
	struct dirent *entry;

	while ((entry = readdir(dir)))
		look(sight, entry);
}

static void check_whole(DIR *dir)
{
	struct sight sight = { .others = 0 };

	look_at_rest(&sight, dir);
	check(count(&sight, 0, ENTRIES, 1), ENTRIES, "each-entry-once");
	check(sight.others, 2, "dot-and-dot-dot");
	errno = 0;
	check(readdir(dir) == NULL && errno == 0, 1, "end-stays-the-end");
	memset(&sight, 0, sizeof(sight));
	rewinddir(dir);
	look_at_rest(&sight, dir);
	check(count(&sight, 0, ENTRIES, 1), ENTRIES, "rewind-each-entry-once");
}

/* Each place that telldir(3) tells leads to the entry that followed it. */
static void check_seek(DIR *dir)
{
	static long places[ENTRIES + 2];
	static char names[ENTRIES + 2][sizeof(((struct dirent *)0)->d_name)];
	struct sight sight = { .others = 0 };
	struct dirent *entry;
	long right = 0;
	int n = 0;

	rewinddir(dir);
	for (; n < ENTRIES + 2; n++) {
		places[n] = telldir(dir);
		entry = readdir(dir);
		if (!entry)
			break;
		memcpy(names[n], entry->d_name, sizeof(names[n]));
	}
	check(n, ENTRIES + 2, "telldir-places");
	for (int i = n - 1; i >= 0; i -= 7) {
		seekdir(dir, places[i]);
		entry = readdir(dir);
		right += entry && !strcmp(entry->d_name, names[i]);
	}
	check(right, (n + 6) / 7, "seekdir-backwards");
	seekdir(dir, places[n / 2]);
	look_at_rest(&sight, dir);
	check(count(&sight, 0, ENTRIES, 1) + sight.others, n - n / 2, "seekdir-to-the-middle");
	remove_range(0, ENTRIES, 2);
	memset(&sight, 0, sizeof(sight));
	seekdir(dir, places[0]);
	look_at_rest(&sight, dir);
	check(count(&sight, 0, ENTRIES, 1), ENTRIES / 2, "seekdir-after-removal");
	check(sight.others, 2, "seekdir-after-removal-dots");
	make_range(0, ENTRIES);
}

/* What neither comes nor goes is seen exactly once; what comes and goes, at most once. */
static void check_change(DIR *dir)
{
	struct sight sight = { .others = 0 };
	struct dirent *entry;
	long twice = 0;

	rewinddir(dir);
	for (int i = 0; i < 50 && (entry = readdir(dir)); i++)
		look(&sight, entry);
	remove_range(1, ENTRIES, 2);
	make_range(ENTRIES, 2 * ENTRIES);
	look_at_rest(&sight, dir);
	for (int i = 0; i < ENTRIES; i += 2)
		twice += sight.seen[i] != 1;
	check(twice, 0, "under-change-those-that-stay-once");
	twice = 0;
	for (int i = 0; i < 2 * ENTRIES; i++)
		twice += sight.seen[i] > 1;
	check(twice, 0, "under-change-none-twice");
	memset(&sight, 0, sizeof(sight));
	rewinddir(dir);
	look_at_rest(&sight, dir);
	check(count(&sight, ENTRIES, 2 * ENTRIES, 1), ENTRIES, "rewind-sees-new-ones");
	check(count(&sight, 0, ENTRIES, 1), ENTRIES / 2, "rewind-sees-no-removed-ones");
}

/* What rm -r does: remove each as it is listed. */
static void check_removal_by_walk(DIR *dir)
{
	struct sight sight = { .others = 0 };
	struct dirent *entry;
	long removed = 0;

	rewinddir(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] == 'f')
			removed += !unlinkat(dirfd(dir), entry->d_name, 0);
	check(removed, ENTRIES + ENTRIES / 2, "removed-in-one-walk");
	rewinddir(dir);
	look_at_rest(&sight, dir);
	check(count(&sight, 0, 2 * ENTRIES, 0), 2 * ENTRIES, "removed-all");
	check(op_rmdir("many", NULL, 0), 0, "removed-dir");
}

static const struct kind {
	const char *name;
	unsigned char type;
} kinds[] = {
	{ "a-file", DT_REG }, { "a-dir", DT_DIR }, { "a-link", DT_LNK }, { "a-fifo", DT_FIFO },
	{ ".", DT_DIR }, { "..", DT_DIR },
};

static void check_types(void)
{
	unsigned char got[ARRAY_SIZE(kinds)] = { 0 };
	struct dirent *entry;
	DIR *dir;

	mkdir("kinds", 0755);
	op_create("kinds/a-file", NULL, 0600);
	op_mkdir("kinds/a-dir", NULL, 0700);
	op_symlink("a-dir", "kinds/a-link", 0);
	op_mknod("kinds/a-fifo", NULL, S_IFIFO | 0600);
	dir = opendir("kinds");
	while (dir && (entry = readdir(dir)))
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
			if (!strcmp(entry->d_name, kinds[i].name))
				got[i] = entry->d_type;
	if (dir)
		closedir(dir);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		check(got[i], kinds[i].type, "type-of-%s", kinds[i].name);
}

/* A change is in the next listing, at once. */
static const struct step steps[] = {
	{ "opendir-of-file", ME, op_list, "kinds/a-file", NULL, 0, -ENOTDIR },
	{ "opendir-of-missing", ME, op_list, "none", NULL, 0, -ENOENT },
	{ "open-dir-for-writing", ME, op_open, "kinds", NULL, O_WRONLY, -EISDIR },
	{ "open-dir-read-write", ME, op_open, "kinds", NULL, O_RDWR, -EISDIR },
	{ "open-dir-creat", ME, op_open, "kinds", NULL, O_RDONLY | O_CREAT, -EISDIR },
	{ "open-dir-reading", ME, op_open, "kinds", NULL, O_RDONLY, 0 },
	{ "open-file-as-dir", ME, op_open, "kinds/a-file", NULL, O_DIRECTORY, -ENOTDIR },
	{ "mkdir-existing", ME, op_mkdir, "kinds", NULL, 0755, -EEXIST },
	{ "mkdir-existing-file", ME, op_mkdir, "kinds/a-file", NULL, 0755, -EEXIST },
	{ "mkdir-slash", ME, op_mkdir, "slash/", NULL, 0755, 0 },
	{ "mkdir-below-missing", ME, op_mkdir, "none/x", NULL, 0755, -ENOENT },
	{ "mkdir-below-file", ME, op_mkdir, "kinds/a-file/x", NULL, 0755, -ENOTDIR },
	{ "mkdir-mode", ME, op_mode, "slash", NULL, 0, 0755 },
	{ "chdir-to-file", ME, op_chdir, "kinds/a-file", NULL, 0, -ENOTDIR },
};

static long listed(const char *path)
{
	DIR *dir = opendir(path);
	long n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static void check_fresh(void)
{
	mkdir("fresh", 0755);
	check(listed("fresh"), 2, "fresh-empty");
	op_create("fresh/a", NULL, 0600);
	check(listed("fresh"), 3, "fresh-created");
	op_rename("fresh/a", "fresh/b", 0);
	check(listed("fresh"), 3, "fresh-renamed");
	op_mkdir("fresh/c", NULL, 0700);
	check(listed("fresh"), 4, "fresh-mkdir");
	op_link("fresh/b", "fresh/d", 0);
	check(listed("fresh"), 5, "fresh-linked");
	op_unlink("fresh/b", NULL, 0);
	op_rmdir("fresh/c", NULL, 0);
	check(listed("fresh"), 3, "fresh-removed");
}

static void check_descriptor(void)
{
	int fd = open("fresh", O_RDONLY | O_DIRECTORY);
	char byte;

	check(rc(read(fd, &byte, 1)), -EISDIR, "read-of-dir");
	check(rc(write(fd, &byte, 1)), -EBADF, "write-of-dir");
	check(rc(ftruncate(fd, 0)), -EINVAL, "truncate-of-dir");
	check(rc(truncate("fresh", 0)), -EISDIR, "truncate-of-dir-by-name");
	check(rc(fsync(fd)), 0, "fsync-of-dir");
	check(rc(lseek(fd, 0, SEEK_SET)), 0, "lseek-of-dir");
	close(fd);
}

static void run(void)
{
	DIR *dir;

	mkdir("many", 0755);
	make_range(0, ENTRIES);
	dir = opendir("many");
	check(dir != NULL, 1, "opendir");
	check_whole(dir);
	check_seek(dir);
	check_change(dir);
	check_removal_by_walk(dir);
	closedir(dir);
	check_types();
	RUN_STEPS(steps);
	check_fresh();
	check_descriptor();
}

const struct subject subject_dir = { "dir", false, run };
