/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The other half of a bad disk (faults.c): before the daemon under test begins,
 * every system call that makes, moves, lists or resizes something is made to
 * fail with the errno that CASEMENT_FAULT_CALLS names. A filter of the kernel's
 * does it, so that none is missed, however it is called.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	const char *name;
	unsigned int error;
} errors[] = { { "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT } };

static const unsigned int refused[] = {
	SYS_mkdirat, SYS_mknodat, SYS_symlinkat, SYS_linkat, SYS_renameat, SYS_renameat2,
	SYS_getdents64, SYS_truncate, SYS_ftruncate, SYS_fallocate, SYS_copy_file_range,
	SYS_setxattr, SYS_fsetxattr,
};

static void install(unsigned int error)
{
	const struct sock_filter fail = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
	struct sock_filter code[2 * COUNT(refused) + 6] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	struct sock_fprog program = { .filter = code };
	unsigned short n = 1;

	for (size_t i = 0; i < COUNT(refused); i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused[i], 0, 1);
		code[n++] = fail;
	}
	/* Of openat(2) only what makes a file; O_EXCL is in the lower half of the word on any machine we test. */
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2]));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_EXCL, 0, 1);
	code[n++] = fail;
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("faults: seccomp");
		_Exit(126);
	}
}

static void __attribute__((constructor)) begin(void)
{
	const char *name = getenv("CASEMENT_FAULT_CALLS");

	for (size_t i = 0; name && i < COUNT(errors); i++)
		if (!strcmp(name, errors[i].name))
			install(errors[i].error);
}
