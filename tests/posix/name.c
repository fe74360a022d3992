/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of each length and of odd bytes, and long and deep paths. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "tests/posix/check.h"
#include "tests/posix/steps.h"

static long count_entries(const char *path)
{
	DIR *dir = opendir(path);
	long n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* Every length: made, found in a listing with that length, removed. */
static void check_every_length(void)
{
	char path[8 + NAME_MAX + 2];
	bool seen[NAME_MAX + 1] = { false };
	long made = 0, listed = 0, found = 0, removed = 0;
	struct dirent *entry;
	DIR *dir;

	mkdir("lengths", 0755);
	for (int len = 1; len <= NAME_MAX; len++) {
		snprintf(path, sizeof(path), "lengths/%0*d", len, 1);
		made += !op_create(path, NULL, 0600);
	}
	check(made, NAME_MAX, "every-length-made");
	dir = opendir("lengths");
	while (dir && (entry = readdir(dir)))
		seen[strlen(entry->d_name)] |= entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	for (int len = 1; len <= NAME_MAX; len++) {
		snprintf(path, sizeof(path), "lengths/%0*d", len, 1);
		listed += seen[len];
		found += !op_exists(path, NULL, 0);
		removed += !unlink(path);
	}
	check(listed, NAME_MAX, "every-length-listed");
	check(found, NAME_MAX, "every-length-found");
	check(removed, NAME_MAX, "every-length-removed");
	check(count_entries("lengths"), 2, "every-length-gone");
}

static void check_too_long(void)
{
	char longest[NAME_MAX + 1], name[NAME_MAX + 2];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memcpy(longest, name, NAME_MAX);
	longest[NAME_MAX] = '\0';
	check(op_create(name, NULL, 0600), -ENAMETOOLONG, "256-create");
	check(op_exists(name, NULL, 0), -ENAMETOOLONG, "256-stat");
	check(op_mkdir(name, NULL, 0700), -ENAMETOOLONG, "256-mkdir");
	check(op_unlink(name, NULL, 0), -ENAMETOOLONG, "256-unlink");
	check(op_symlink("x", name, 0), -ENAMETOOLONG, "256-symlink");
	check(op_mkdir(longest, NULL, 0700), 0, "255-mkdir");
	check(op_rename(longest, "short", 0), 0, "255-rename-from");
	check(op_rename("short", longest, 0), 0, "255-rename-to");
	check(op_rename(longest, name, 0), -ENAMETOOLONG, "256-rename-to");
	check(op_symlink("x", "link", 0), 0, "255-link-source");
	check(op_rmdir(longest, NULL, 0), 0, "255-rmdir");
}

/* Names that are nothing special to Linux. */
static const struct odd {
	const char *what, *name;
} odds[] = {
	{ "space", " " }, { "newline", "a\nb" }, { "control", "\x01\x1f\x7f" }, { "backslash", "a\\b" },
	{ "utf-8", "gr\xc3\xbcn-\xe4\xb8\x96\xe7\x95\x8c" }, { "not-utf-8", "\xff\xfe\x80" },
	{ "three-dots", "..." }, { "dot-name", ".hidden" }, { "trailing-dot", "end." }, { "dash", "-" },
	{ "star", "*?[]" }, { "colon", "c:" }, { "quote", "'\"`$" }, { "upper", "NAME" },
	{ "lower", "name" }, { "combining", "e\xcc\x81" }, { "composed", "\xc3\xa9" },
	{ "device-name", "CON" }, { "wide-dots", "\xe2\x80\xa5" },
};

static void check_odd_names(void)
{
	long before = count_entries(".");

	for (size_t i = 0; i < ARRAY_SIZE(odds); i++) {
		check(op_fill(odds[i].name, odds[i].what, 0), 0, "%s", odds[i].what);
		check(count_entries("."), before + (long)i + 1, "%s-is-new", odds[i].what);
	}
	for (size_t i = 0; i < ARRAY_SIZE(odds); i++)
		check(op_holds(odds[i].name, odds[i].what, 0), 1, "%s-content", odds[i].what);
	for (size_t i = 0; i < ARRAY_SIZE(odds); i++)
		unlink(odds[i].name);
	check(count_entries("."), before, "odd-names-removed");
}

/* Deeper than a path can say; and paths of just the longest length. */
static void check_depth(void)
{
	static const char part[] = "a-directory-with-a-name-of-fifty-bytes-or-so-in-all";
	char *path = malloc(PATH_MAX + 2);
	int home = open(".", O_RDONLY | O_DIRECTORY);
	long depth = 0, up = 0;

	for (; depth < 100 && !mkdir(part, 0755) && !chdir(part); depth++)
		;
	check(depth, 100, "deep-made");
	check(op_create("file", NULL, 0600), 0, "deep-create");
	check(op_exists("file", NULL, 0), 0, "deep-stat");
	unlink("file");
	for (; up < depth && !chdir("..") && !rmdir(part); up++)
		;
	check(up, depth, "deep-removed");
	check(rc(fchdir(home)), 0, "deep-home");
	close(home);
	memset(path, '/', PATH_MAX + 1);
	memcpy(path, "./", 2);
	path[PATH_MAX - 1] = '\0';
	path[PATH_MAX - 2] = '.';
	check(op_exists(path, NULL, 0), 0, "longest-path");
	path[PATH_MAX - 1] = '.';
	path[PATH_MAX] = '\0';
	check(op_exists(path, NULL, 0), -ENAMETOOLONG, "too-long-path");
	free(path);
}

static void run(void)
{
	check_every_length();
	check_too_long();
	check_odd_names();
	check_depth();
}

const struct subject subject_name = { "name", false, run };
