/* SPDX-License-Identifier: BSD-3-Clause */
/* SIGBUS in guest memory; see sigbus.h. The handler only reads atomics and calls mmap(2). */
#include "daemon/transport/sigbus.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Two tables of GUEST_MEM_SLOTS regions may be alive at once during a change. */
#define SIGBUS_RANGES 1024

struct sigbus_range {
	atomic_uintptr_t start;	/* [A] 0 = free; set last, release, paired with the handler's acquire */
	atomic_size_t len;	/* [A] */
};

static struct sigbus_range ranges[SIGBUS_RANGES];
static uintptr_t page_mask;	/* [I] */

static int range_holds(uintptr_t addr)
{
	for (int i = 0; i < SIGBUS_RANGES; i++) {
		uintptr_t start = atomic_load_explicit(&ranges[i].start, memory_order_acquire);

		if (start && addr - start < atomic_load_explicit(&ranges[i].len, memory_order_relaxed))
			return 1;
	}
	return 0;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	uintptr_t addr = (uintptr_t)info->si_addr;
	int saved = errno;

	(void)context;
	if (range_holds(addr) &&
	    mmap((void *)(addr & page_mask), ~page_mask + 1, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
		errno = saved;
		return;
	}
	signal(sig, SIG_DFL);	/* returning runs the faulting instruction again */
}

int sigbus_setup(void)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	page_mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) ? -errno : 0;
}

bool sigbus_guard(const void *base, size_t len)
{
	for (int i = 0; i < SIGBUS_RANGES; i++) {
		uintptr_t empty = 0;

		/* 1 marks the slot as taken; no address is below it, so the handler skips it. */
		if (!atomic_compare_exchange_strong(&ranges[i].start, &empty, 1))
			continue;
		atomic_store_explicit(&ranges[i].len, len, memory_order_relaxed);
		atomic_store_explicit(&ranges[i].start, (uintptr_t)base, memory_order_release);
		return true;
	}
	return false;
}

void sigbus_unguard(const void *base, size_t len)
{
	(void)len;
	for (int i = 0; i < SIGBUS_RANGES; i++) {
		if (atomic_load(&ranges[i].start) != (uintptr_t)base)
			continue;
		atomic_store_explicit(&ranges[i].len, 0, memory_order_relaxed);
		atomic_store_explicit(&ranges[i].start, 0, memory_order_release);
		return;
	}
}
