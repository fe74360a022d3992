/* SPDX-License-Identifier: BSD-3-Clause */
/* Mappings: shared and private, and that they, read(2) and write(2) see one file. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/posix/check.h"
#include "tests/posix/pattern.h"
#include "tests/posix/steps.h"

#define SIZE 200000	/* 49 pages, the last one in part */

static sigjmp_buf after_fault;

static void on_fault(int signal)
{
	siglongjmp(after_fault, signal);
}

/* The signal that loading (or storing to) this byte raises; 0: none. */
static long touch(volatile char *at, bool store)
{
	struct sigaction action = { .sa_handler = on_fault }, old_bus, old_segv;
	long signal;

	sigaction(SIGBUS, &action, &old_bus);
	sigaction(SIGSEGV, &action, &old_segv);
	signal = sigsetjmp(after_fault, 1);
	if (!signal) {
		char byte = *at;

		if (store)
			*at = byte;
	}
	sigaction(SIGBUS, &old_bus, NULL);
	sigaction(SIGSEGV, &old_segv, NULL);
	return signal;
}

static char read_byte(int fd, long at)
{
	char byte = 0;

	return pread(fd, &byte, 1, at) == 1 ? byte : 0;
}

static void check_shared(const char *data)
{
	int fd = open("file", O_RDWR), other = open("file", O_RDWR);
	char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *second;

	check(map != MAP_FAILED, 1, "shared");
	if (map == MAP_FAILED)
		return;
	check(memcmp(map, data, SIZE), 0, "shared-content");
	check(pattern_is_zero(map + SIZE, 4096 - SIZE % 4096), 1, "shared-rest-of-page-is-zero");
	map[100] = 'S';
	check(read_byte(fd, 100), 'S', "store-seen-by-read");
	check(read_byte(other, 100), 'S', "store-seen-by-another-descriptor");
	check(rc(pwrite(fd, "W", 1, 5000)), 1, "write");
	check(map[5000], 'W', "write-seen-by-load");
	check(rc(pwrite(other, "O", 1, 5001)), 1, "write-by-another-descriptor");
	check(map[5001], 'O', "write-by-another-descriptor-seen");
	second = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, other, 0);
	map[9000] = 'T';
	check(second != MAP_FAILED && second[9000] == 'T', 1, "store-seen-by-second-mapping");
	if (second != MAP_FAILED)
		munmap(second, SIZE);
	check(rc(msync(map, SIZE, MS_SYNC)), 0, "msync");
	check(rc(msync(map, SIZE, MS_ASYNC)), 0, "msync-async");
	check(rc(fsync(fd)), 0, "fsync");
	close(fd);
	map[150000] = 'C';
	check(read_byte(other, 150000), 'C', "store-after-close");
	check(rc(munmap(map, SIZE)), 0, "munmap");
	check(read_byte(other, 150000), 'C', "store-stays-after-munmap");
	check(op_size("file", NULL, 0), SIZE, "mapping-does-not-grow");
	close(other);
	fd = open("file", O_RDONLY);
	check(read_byte(fd, 9000), 'T', "store-seen-by-later-open");
	close(fd);
}

static void check_private(const char *data)
{
	int fd = open("file", O_RDWR), ro = open("file", O_RDONLY);
	char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char *of_ro = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0);

	check(map != MAP_FAILED, 1, "private");
	check(of_ro != MAP_FAILED, 1, "private-of-read-only");
	if (map == MAP_FAILED || of_ro == MAP_FAILED)
		return;
	check(map[20000] == data[20000], 1, "private-content");
	map[20000] = (char)(data[20000] + 1);
	check(read_byte(fd, 20000) == data[20000], 1, "private-store-is-private");
	check(of_ro[20000] == data[20000], 1, "private-store-unseen-by-another");
	pwrite(fd, "W", 1, 60000);
	check(map[60000], 'W', "private-untouched-page-sees-write");
	pwrite(fd, "V", 1, 20001);
	check(map[20001] == data[20001], 1, "private-own-page-sees-no-write");
	of_ro[3] = 'x';
	check(of_ro[3], 'x', "private-of-read-only-stores");
	munmap(map, SIZE);
	munmap(of_ro, SIZE);
	close(fd);
	close(ro);
}

static void check_rights(void)
{
	int ro = open("file", O_RDONLY), wo = open("file", O_WRONLY), rw = open("file", O_RDWR);
	char *map;

	check(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, ro, 0) == MAP_FAILED ? -errno : 0, -EACCES,
	      "writable-of-read-only");
	check(mmap(NULL, 4096, PROT_READ, MAP_SHARED, wo, 0) == MAP_FAILED ? -errno : 0, -EACCES,
	      "of-write-only");
	check(mmap(NULL, 4096, PROT_READ, MAP_SHARED, rw, 123) == MAP_FAILED ? -errno : 0, -EINVAL,
	      "odd-offset");
	check(mmap(NULL, 0, PROT_READ, MAP_SHARED, rw, 0) == MAP_FAILED ? -errno : 0, -EINVAL, "empty");
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, ro, 0);
	check(map != MAP_FAILED, 1, "read-only");
	if (map == MAP_FAILED)
		return;
	check(touch(map, true), SIGSEGV, "read-only-store");
	check(rc(mprotect(map, 4096, PROT_READ | PROT_WRITE)), -EACCES, "read-only-mprotect");
	munmap(map, 4096);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, rw, 0);
	check(rc(mprotect(map, 4096, PROT_READ | PROT_WRITE)), 0, "read-write-mprotect");
	map[0] = 'M';
	check(read_byte(rw, 0), 'M', "read-write-mprotect-store");
	munmap(map, 4096);
	close(ro);
	close(wo);
	close(rw);
}

/* Past the file's end is SIGBUS; the rest of its last page is not. */
static void check_end(void)
{
	int fd = open("ends", O_CREAT | O_RDWR, 0600);
	char *map;

	pwrite(fd, "0123456789", 10, 0);
	map = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		check(rc(-1), 0, "end");
		return;
	}
	check(touch(map + 9, false), 0, "end-last-byte");
	check(touch(map + 4095, false), 0, "end-rest-of-page");
	check(touch(map + 4096, false), SIGBUS, "end-next-page");
	check(touch(map + 4096, true), SIGBUS, "end-next-page-store");
	map[4000] = 'x';
	ftruncate(fd, 8192);
	check(touch(map + 4096, true), 0, "grown-next-page");
	check(read_byte(fd, 4000), 0, "grown-hides-what-was-stored-past-the-end");
	check(touch(map + 8192, false), SIGBUS, "grown-page-after");
	ftruncate(fd, 100);
	check(touch(map + 4096, false), SIGBUS, "cut-next-page");
	check(touch(map, true), 0, "cut-first-page");
	pwrite(fd, "E", 1, 9000);
	check(map[9000], 'E', "write-grows-under-mapping");
	munmap(map, 3 * 4096);
	close(fd);
}

/* Two processes and one file in memory. */
static void check_processes(void)
{
	int fd = open("file", O_RDWR), status = -1;
	char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t pid;

	if (map == MAP_FAILED)
		return;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int own = open("file", O_RDWR);
		char *again = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);

		again[70000] = 'P';
		_exit(pwrite(own, "Q", 1, 70001) != 1);
	}
	waitpid(pid, &status, 0);
	check(status, 0, "process");
	check(map[70000], 'P', "process-store-seen");
	check(map[70001], 'Q', "process-write-seen");
	check(read_byte(fd, 70000), 'P', "process-store-read");
	munmap(map, SIZE);
	close(fd);
}

/* Reading a file into its own mapping, and a hole that is stored into. */
static void check_oddities(void)
{
	int fd = open("odd", O_CREAT | O_RDWR, 0600);
	char *map;

	ftruncate(fd, 3 << 20);
	map = mmap(NULL, 3 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return;
	check(pattern_is_zero(map, 3 << 20), 1, "hole-is-zero");
	map[2 << 20] = 'H';
	check(read_byte(fd, 2 << 20), 'H', "hole-store");
	check(rc(pread(fd, map, 4096, 2 << 20)), 4096, "read-into-own-mapping");
	check(map[0], 'H', "read-into-own-mapping-content");
	check(rc(pwrite(fd, map, 4096, 1 << 20)), 4096, "write-from-own-mapping");
	check(map[1 << 20], 'H', "write-from-own-mapping-content");
	check(rc(madvise(map, 3 << 20, MADV_DONTNEED)), 0, "dontneed");
	check(map[2 << 20], 'H', "dontneed-keeps-shared");
	unlink("odd");
	map[12345] = 'U';
	check(read_byte(fd, 12345), 'U', "unlinked-store");
	munmap(map, 3 << 20);
	close(fd);
}

static void run(void)
{
	static char data[SIZE];
	int fd = open("file", O_CREAT | O_RDWR, 0600);

	pattern_fill(data, SIZE, 2);
	check(rc(write(fd, data, SIZE)), SIZE, "file");
	close(fd);
	check_shared(data);
	check_private(data);
	check_rights();
	check_end();
	check_processes();
	check_oddities();
}

const struct subject subject_mmap = { "mmap", false, run };
