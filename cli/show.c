/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How files are shown to people; see show.h. Names come from the daemon: a
 * terminal must not obey them.
 */
#include "cli/show.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/plain.h"

static const struct {
	uint32_t type;
	char letter;
	const char *name;
} kinds[] = {
	{ S_IFREG, '-', "regular file" }, { S_IFDIR, 'd', "directory" },
	{ S_IFLNK, 'l', "symbolic link" }, { S_IFIFO, 'p', "fifo" },
	{ S_IFSOCK, 's', "socket" }, { S_IFCHR, 'c', "character special file" },
	{ S_IFBLK, 'b', "block special file" },
};

static const char *const bits[] = { "---", "--x", "-w-", "-wx", "r--", "r-x", "rw-", "rwx" };

const char *show_kind(uint32_t mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].type == (mode & S_IFMT))
			return kinds[i].name;
	return "unknown";
}

void show_mode(uint32_t mode, char text[11])
{
	char letter = '?';

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].type == (mode & S_IFMT))
			letter = kinds[i].letter;
	snprintf(text, 11, "%c%s%s%s", letter, bits[mode >> 6 & 7], bits[mode >> 3 & 7],
		 bits[mode & 7]);
	if (mode & S_ISUID)
		text[3] = mode & S_IXUSR ? 's' : 'S';
	if (mode & S_ISGID)
		text[6] = mode & S_IXGRP ? 's' : 'S';
	if (mode & S_ISVTX)
		text[9] = mode & S_IXOTH ? 't' : 'T';
}

const char *show_user(uint32_t uid)
{
	static char number[16];
	const struct passwd *user = getpwuid(uid);

	snprintf(number, sizeof(number), "%u", uid);
	return user ? user->pw_name : number;
}

const char *show_group(uint32_t gid)
{
	static char number[16];
	const struct group *group = getgrgid(gid);

	snprintf(number, sizeof(number), "%u", gid);
	return group ? group->gr_name : number;
}

void show_time(uint64_t seconds, uint32_t nanoseconds, char text[64])
{
	time_t when = (time_t)seconds;
	char date[32] = "?", zone[8] = "";
	struct tm tm;

	if (localtime_r(&when, &tm)) {
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
		strftime(zone, sizeof(zone), "%z", &tm);
	}
	snprintf(text, 64, "%s.%09u %s", date, nanoseconds % 1000000000u, zone);
}

void show_name(const char *name)
{
	static int terminal = -1;

	if (terminal < 0)
		terminal = isatty(STDOUT_FILENO);
	if (terminal)
		plain_put(name, stdout);
	else
		fputs(name, stdout);
}
