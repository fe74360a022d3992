/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lists. Each group says what part of the daemon it is for; the wire tests
 * run under it with "kill", so a call that is missing ends a test. Not here, on
 * purpose: execve, fork, ptrace, mount and its kin, setns, io_uring, bpf,
 * perf, keys, modules, sockets but Unix ones, memory that can be executed.
 */
#include "daemon/sandbox/filter_table.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "common/checked.h"

#define VALUES(array) array, ARRAY_SIZE(array)
#define INT_MASK 0xffffffffULL	/* the kernel looks at the lower half */
#define ALL_BITS UINT64_MAX
#define NAMESPACE_FLAGS (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
			 CLONE_NEWNET | CLONE_NEWCGROUP)

/* Files by numbers of their requests; some headers are older than their kernels. */
#ifndef FUSE_DEV_IOC_BACKING_OPEN
struct filter_backing_map { int32_t fd; uint32_t flags; uint64_t padding; };
#define FUSE_DEV_IOC_BACKING_OPEN _IOW(229, 1, struct filter_backing_map)
#define FUSE_DEV_IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)
#endif

/*
 * A test build: the sanitizers' own. It looks for no leaks under a filter: the process that
 * does so would be one that is cloned, and traces this one.
 */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZER_GROUP \
	{ "AddressSanitizer", { \
		"readlink", "getdents64", "lseek", "prlimit64", } },
#else
#define SANITIZER_GROUP
#endif

/* Locks, the lease that tells of writers (fs/op_keep.c), and what is about descriptors. */
static const uint64_t fcntl_commands[] = {
	F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW,
	F_GETLK, F_SETLK, F_SETLKW, F_ADD_SEALS, F_GET_SEALS,
	F_SETLEASE, F_GETLEASE,
};

/* What a guest may ask of its files (fs/op_ioctl.c checks it again). Never a device's. */
static const uint64_t ioctl_requests[] = {
	FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR,
	FS_IOC_ENABLE_VERITY, FS_IOC_MEASURE_VERITY, FS_IOC_GETVERSION,
};

/* A thread has these flags, and no namespace's. */
static const uint64_t thread_flags[] = { CLONE_VM | CLONE_THREAD };
static const uint64_t no_execution[] = { 0 };
static const uint64_t no_pointer[] = { 0 };
static const uint64_t fs_only[] = { CLONE_FS };
/* PR_SET_VMA: glibc names its memory where it is told to. */
static const uint64_t prctl_options[] = {
	PR_SET_NAME, PR_GET_NAME, PR_SET_PDEATHSIG, PR_GET_SECUREBITS, PR_CAPBSET_READ, PR_SET_VMA,
};
static const uint64_t backing_requests[] = { FUSE_DEV_IOC_BACKING_OPEN, FUSE_DEV_IOC_BACKING_CLOSE };

static const struct filter_group serving_groups[] = {
	{ "each thread: memory, locks, time, its end", {
		"brk", "munmap", "mremap", "madvise", "futex", "set_robust_list", "rseq",
		"sched_yield", "sched_getaffinity", "getcpu", "membarrier",
		"clock_gettime", "clock_nanosleep", "clock_getres", "gettimeofday", "time", "nanosleep",
		"getrandom", "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "sysinfo",
		"restart_syscall", "exit", "exit_group", "set_tid_address", } },
	{ "signals: SIGBUS in guest memory, SIGTERM by signalfd, abort(3)", {
		"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", } },
	{ "waiting: kicks, stop tokens, the VMM, a lock that somebody holds (fs/lock_wait.c)", {
		"poll", "ppoll", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
		"eventfd2", "timer_create", "timer_settime", "timer_delete", } },
	{ "the VMM's socket and messages; syslog", {
		"accept4", "recvmsg", "recvfrom", "sendmsg", } },
	{ "descriptors", {
		"close", "dup", } },
	{ "the guest's data", {
		"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev",
		"preadv2", "pwritev2", "lseek", "copy_file_range", "fallocate", "truncate", "ftruncate",
		"fsync", "fdatasync", "syncfs", "flock", } },
	{ "names and attributes: from a directory that we hold, or by /proc/self/fd", {
		"open", "openat", "openat2", "stat", "lstat", "fstat", "newfstatat", "statx", "fstatfs",
		"statfs", "access", "faccessat", "faccessat2", "readlinkat", "getdents64", "mkdirat",
		"mknodat", "symlinkat", "linkat", "unlinkat", "renameat", "renameat2", "fchmod",
		"fchmodat", "fchmodat2", "fchown", "fchownat", "utimensat", "umask", "chdir", } },
	{ "extended attributes, by descriptor or by /proc/self/fd", {
		"fgetxattr", "fsetxattr", "flistxattr", "fremovexattr", "getxattr", "setxattr",
		"listxattr", "removexattr", } },
	{ "file handles, which also take CAP_DAC_READ_SEARCH", {
		"name_to_handle_at", "open_by_handle_at", } },
	{ "whose files are made, on one thread (fs/creds.c)", {
		"setfsuid", "setfsgid", "setgroups", "getgroups", "capget", "capset", } },
	{ "the process that makes stand-ins is waited for at the end", {
		"wait4", } },
	SANITIZER_GROUP
};

static const struct filter_limit serving_limits[] = {
	{ "mmap", 2, PROT_EXEC, VALUES(no_execution), "no new code" },
	{ "mprotect", 2, PROT_EXEC, VALUES(no_execution), "no new code" },
	{ "clone", 0, CLONE_VM | CLONE_THREAD | NAMESPACE_FLAGS, VALUES(thread_flags), "threads only" },
	{ "fcntl", 1, INT_MASK, VALUES(fcntl_commands), "descriptors and locks" },
	{ "ioctl", 1, INT_MASK, VALUES(ioctl_requests), "flags and fs-verity of files" },
	{ "prctl", 0, INT_MASK, VALUES(prctl_options), "names of threads; what creds.c asks" },
	{ "unshare", 0, ALL_BITS, VALUES(fs_only), "a thread's own umask" },
	{ "prlimit64", 2, ALL_BITS, VALUES(no_pointer), "read, not set" },
};

/* A thread that answers the kernel, and one that makes stand-ins when asked. */
static const struct filter_group stand_in_groups[] = {
	{ "each thread", {
		"brk", "munmap", "mremap", "madvise", "futex", "set_robust_list", "rseq", "sched_yield",
		"getrandom", "getpid", "gettid", "geteuid", "getegid", "restart_syscall", "exit",
		"exit_group", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "poll",
		"ppoll", "close", } },
	{ "the kernel's questions, the serving process' wishes", {
		"read", "write", "writev", "recvmsg", "sendmsg", } },
	{ "its root, which is the FUSE mount, and the stand-ins in it", {
		"fchdir", "chroot", "openat", "newfstatat", "fstat", } },
	SANITIZER_GROUP
};

static const struct filter_limit stand_in_limits[] = {
	{ "mmap", 2, PROT_EXEC, VALUES(no_execution), "no new code" },
	{ "mprotect", 2, PROT_EXEC, VALUES(no_execution), "no new code" },
	{ "clone", 0, CLONE_VM | CLONE_THREAD | NAMESPACE_FLAGS, VALUES(thread_flags), "its thread" },
	{ "ioctl", 1, INT_MASK, VALUES(backing_requests), "what it is there for" },
	{ "prctl", 0, INT_MASK, VALUES(prctl_options), "names of threads" },
};

const struct filter_list filter_serving = {
	"the serving process", VALUES(serving_groups), VALUES(serving_limits),
};

const struct filter_list filter_stand_ins = {
	"the process for stand-ins", VALUES(stand_in_groups), VALUES(stand_in_limits),
};

const struct filter_number filter_numbers[] = {
	{ "fchmodat2", 452 },
};
const unsigned int filter_n_numbers = ARRAY_SIZE(filter_numbers);
