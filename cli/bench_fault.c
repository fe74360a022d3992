/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults of the window; see bench_fault.h. A fault comes to the thread that loads, so all here is its own. */
#include "cli/bench_fault.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>

struct attempt {
	sigjmp_buf back;
	uintptr_t base;
	size_t size;
};

static __thread struct attempt *attempt;	/* NULL: none is under way */

static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (attempt && (uintptr_t)info->si_addr - attempt->base < attempt->size)
		siglongjmp(attempt->back, 1);
	signal(number, SIG_DFL);	/* returning runs the faulting instruction again */
}

int fault_catch(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) || sigaction(SIGSEGV, &action, NULL) ? -errno : 0;
}

bool fault_try(const void *base, size_t size, void (*touch)(void *arg), void *arg)
{
	struct attempt here = { .base = (uintptr_t)base, .size = size };
	bool whole = !sigsetjmp(here.back, 1);

	if (whole) {
		attempt = &here;
		touch(arg);
	}
	attempt = NULL;
	return whole;
}
