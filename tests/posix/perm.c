/* SPDX-License-Identifier: BSD-3-Clause */
/* Permission bits: which class a user is of, and what its three bits allow. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "tests/posix/check.h"
#include "tests/posix/steps.h"

static const struct person {
	enum who who;
	const char *name;
	unsigned int shift;	/* to the bits of its class, for what belongs to OWNER */
} people[] = {
	{ OWNER, "owner", 6 }, { GROUP, "group", 3 }, { SUPP, "supp", 3 }, { OTHER, "other", 0 },
};

/* 0077 and 0707: the first class that fits decides, also where a later one would allow more. */
static const mode_t modes[] = { 0000, 0400, 0040, 0004, 0200, 0020, 0002, 0111, 0640, 0077, 0707 };

static const struct wish {
	const char *name;
	op_fn *op;
	const char *path;	/* below the directory, or "" */
	long arg;
	mode_t needs;
} file_wishes[] = {
	{ "read", op_open, "", O_RDONLY, 4 },
	{ "write", op_open, "", O_WRONLY, 2 },
	{ "read-write", op_open, "", O_RDWR, 6 },
	{ "access-x", op_access, "", X_OK, 1 },
}, dir_wishes[] = {
	{ "list", op_list, "", 0, 4 },
	{ "enter", op_chdir, "", 0, 1 },
	{ "stat-in", op_exists, "/in", 0, 1 },
	{ "create-in", op_create, "/new", 0644, 3 },
	{ "access-rwx", op_access, "", R_OK | W_OK | X_OK, 7 },
};

static void check_wishes(const char *kind, const char *name, mode_t mode,
			 const struct wish *wishes, size_t count)
{
	for (size_t p = 0; p < ARRAY_SIZE(people); p++) {
		mode_t has = mode >> people[p].shift & 7;

		for (size_t w = 0; w < count; w++) {
			const struct wish *wish = &wishes[w];
			char path[64];

			snprintf(path, sizeof(path), "%s%s", name, wish->path);
			check(do_as(people[p].who, wish->op, path, NULL, wish->arg),
			      (has & wish->needs) == wish->needs ? 0 : -EACCES,
			      "%s-%04o-%s-%s", kind, mode, people[p].name, wish->name);
			if (wish->op == op_create)
				unlink(path);
		}
	}
}

static void check_modes(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		char name[32];

		snprintf(name, sizeof(name), "file-%04o", modes[i]);
		op_create(name, NULL, 0600);
		op_chown(name, NULL, OWNER_UID);
		op_chgrp(name, NULL, OWNER_GID);
		op_chmod(name, NULL, modes[i]);
		check_wishes("file", name, modes[i], file_wishes, ARRAY_SIZE(file_wishes));
	}
}

static void check_dir_modes(void)
{
	static const mode_t dir_modes[] = { 0700, 0050, 0005, 0311, 0075, 0777 };

	for (size_t i = 0; i < ARRAY_SIZE(dir_modes); i++) {
		char name[32], in[40];

		snprintf(name, sizeof(name), "dir-%04o", dir_modes[i]);
		snprintf(in, sizeof(in), "%s/in", name);
		op_mkdir(name, NULL, 0700);
		op_create(in, NULL, 0600);
		op_chown(name, NULL, OWNER_UID);
		op_chgrp(name, NULL, OWNER_GID);
		op_chmod(name, NULL, dir_modes[i]);
		check_wishes("dir", name, dir_modes[i], dir_wishes, ARRAY_SIZE(dir_wishes));
	}
}

static const struct step steps[] = {
	/* root */
	{ NULL, ME, op_create, "mine", NULL, 0000, 0 },
	{ "root-reads-0000", ME, op_open, "mine", NULL, O_RDONLY, 0 },
	{ "root-writes-0000", ME, op_open, "mine", NULL, O_WRONLY, 0 },
	{ "root-executes-0000", ME, op_access, "mine", NULL, X_OK, -EACCES },
	{ NULL, ME, op_chmod, "mine", NULL, 0001, 0 },
	{ "root-executes-0001", ME, op_access, "mine", NULL, X_OK, 0 },
	{ NULL, ME, op_mkdir, "shut", NULL, 0000, 0 },
	{ "root-enters-0000", ME, op_chdir, "shut", NULL, 0, 0 },
	{ "root-creates-in-0000", ME, op_create, "shut/file", NULL, 0600, 0 },
	/* a path has to be passable to its end */
	{ NULL, ME, op_mkdir, "a", NULL, 0755, 0 },
	{ NULL, ME, op_mkdir, "a/b", NULL, 0700, 0 },
	{ NULL, ME, op_mkdir, "a/b/c", NULL, 0777, 0 },
	{ NULL, ME, op_create, "a/b/c/file", NULL, 0666, 0 },
	{ "path-blocked-open", OTHER, op_open, "a/b/c/file", NULL, O_RDONLY, -EACCES },
	{ "path-blocked-stat", OTHER, op_exists, "a/b/c/file", NULL, 0, -EACCES },
	{ "path-blocked-create", OTHER, op_create, "a/b/c/new", NULL, 0600, -EACCES },
	{ "path-blocked-missing", OTHER, op_exists, "a/b/none", NULL, 0, -EACCES },
	{ NULL, ME, op_chmod, "a/b", NULL, 0711, 0 },
	{ "path-opened-open", OTHER, op_open, "a/b/c/file", NULL, O_RDONLY, 0 },
	{ "path-opened-list", OTHER, op_list, "a/b", NULL, 0, -EACCES },
	{ "path-opened-missing", OTHER, op_exists, "a/b/none", NULL, 0, -ENOENT },
	{ NULL, ME, op_chmod, "a/b", NULL, 0700, 0 },
	{ "path-shut-again", OTHER, op_exists, "a/b/c/file", NULL, 0, -EACCES },
	/* names are the directory's */
	{ NULL, ME, op_mkdir, "plain", NULL, 0755, 0 },
	{ NULL, ME, op_create, "plain/open", NULL, 0666, 0 },
	{ NULL, ME, op_chmod, "plain/open", NULL, 0666, 0 },
	{ "unlink-needs-the-dir", OTHER, op_unlink, "plain/open", NULL, 0, -EACCES },
	{ "rename-needs-the-dir", OTHER, op_rename, "plain/open", "plain/x", 0, -EACCES },
	{ "link-needs-the-dir", OTHER, op_link, "plain/open", "plain/x", 0, -EACCES },
	{ "symlink-needs-the-dir", OTHER, op_symlink, "open", "plain/x", 0, -EACCES },
	{ "mkdir-needs-the-dir", OTHER, op_mkdir, "plain/x", NULL, 0755, -EACCES },
	{ "mknod-needs-the-dir", OTHER, op_mknod, "plain/x", NULL, S_IFIFO | 0644, -EACCES },
	{ "create-needs-the-dir", OTHER, op_create, "plain/x", NULL, 0644, -EACCES },
	{ "create-existing-needs-none", OTHER, op_open, "plain/open", NULL, O_CREAT | O_RDWR, 0 },
	{ "excl-existing-says-so", OTHER, op_create, "plain/open", NULL, 0644, -EEXIST },
	{ NULL, ME, op_chmod, "plain", NULL, 0777, 0 },
	{ NULL, ME, op_create, "plain/closed", NULL, 0000, 0 },
	{ "unlink-needs-not-the-file", OTHER, op_unlink, "plain/closed", NULL, 0, 0 },
	/* truncation is writing */
	{ NULL, ME, op_fill, "text", "0123456789", 0, 0 },
	{ NULL, ME, op_chmod, "text", NULL, 0444, 0 },
	{ "truncate-needs-write", OTHER, op_truncate, "text", NULL, 3, -EACCES },
	{ "o-trunc-needs-write", OTHER, op_open, "text", NULL, O_RDONLY | O_TRUNC, -EACCES },
	{ "text-is-whole", OTHER, op_size, "text", NULL, 0, 10 },
	/* umask and owners of new files */
	{ NULL, ME, op_umask, NULL, NULL, 027, 0 },
	{ NULL, OWNER, op_create, "masked", NULL, 0777, 0 },
	{ "umask-file", ME, op_mode, "masked", NULL, 0, 0750 },
	{ "new-file-uid", ME, op_uid, "masked", NULL, 0, OWNER_UID },
	{ "new-file-gid", ME, op_gid, "masked", NULL, 0, OWNER_GID },
	{ NULL, SUPP, op_mkdir, "masked-dir", NULL, 0777, 0 },
	{ "umask-dir", ME, op_mode, "masked-dir", NULL, 0, 0750 },
	{ "new-dir-uid", ME, op_uid, "masked-dir", NULL, 0, SUPP_UID },
	{ "new-dir-gid", ME, op_gid, "masked-dir", NULL, 0, SUPP_GID },
	{ NULL, OTHER, op_symlink, "masked", "soft", 0, 0 },
	{ "new-symlink-uid", ME, op_uid, "soft", NULL, 0, OTHER_UID },
	{ NULL, OTHER, op_mknod, "pipe", NULL, S_IFIFO | 0666, 0 },
	{ "new-fifo-uid", ME, op_uid, "pipe", NULL, 0, OTHER_UID },
	{ "new-fifo-umask", ME, op_mode, "pipe", NULL, 0, 0640 },
	{ NULL, ME, op_umask, NULL, NULL, 0, 0 },
	{ NULL, OWNER, op_create, "bare", NULL, 0666, 0 },
	{ "umask-none", ME, op_mode, "bare", NULL, 0, 0666 },
};

/* A descriptor keeps what it was opened with. */
static void check_descriptors(void)
{
	char byte = 'x';
	int fd = open("kept", O_CREAT | O_RDWR, 0666);

	fchmod(fd, 0000);
	check(rc(pwrite(fd, &byte, 1, 0)), 1, "descriptor-writes-after-chmod");
	check(rc(pread(fd, &byte, 1, 0)), 1, "descriptor-reads-after-chmod");
	who_become(OTHER);
	check(rc(pread(fd, &byte, 1, 0)), 1, "descriptor-serves-another-user");
	check(rc(fchmod(fd, 0666)), -EPERM, "fchmod-by-another-user");
	check(rc(ftruncate(fd, 0)), 0, "descriptor-truncates-for-another-user");
	who_return();
	close(fd);
	fd = open("kept", O_RDONLY);
	check(rc(pwrite(fd, &byte, 1, 0)), -EBADF, "read-only-descriptor-writes");
	check(rc(ftruncate(fd, 0)), -EINVAL, "read-only-descriptor-truncates");
	close(fd);
	fd = open("kept", O_WRONLY);
	check(rc(pread(fd, &byte, 1, 0)), -EBADF, "write-only-descriptor-reads");
	close(fd);
	who_become(OWNER);
	fd = open("made-0444", O_CREAT | O_EXCL | O_RDWR, 0444);
	check(rc(pwrite(fd, &byte, 1, 0)), 1, "new-0444-can-be-written-once");
	close(fd);
	check(op_open("made-0444", NULL, O_RDWR), -EACCES, "new-0444-not-twice");
	who_return();
}

static void run(void)
{
	check_modes();
	check_dir_modes();
	RUN_STEPS(steps);
	check_descriptors();
}

const struct subject subject_perm = { "perm", true, run };
