/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting for the guest; see queue_wait.h. A kick is an edge of the eventfd, so
 * it is never read: a wake-up is one system call.
 */
#include "daemon/transport/queue_wait.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/stop_token.h"
#include "daemon/transport/virtqueue.h"

#define BLIND_MS 1
/* The first look after a sleep that was short. */
#define LOOK_MIN_NS 16000u
/* A look that took a break of this length was put off its processor ... */
#define BREAK_NS 30000u
/* ... and there is no other for this time. */
#define BARRED_NS 10000000u
/* So many looks in vain, one after the other, and there is none for a time that doubles, up to ... */
#define VAIN_MAX 4
#define VAIN_BARRED_MAX_NS (16 * BARRED_NS)
/* Looks at the ring between two looks at the clock. */
#define LOOKS 16

/* Threads that look now, and how many may [A] relaxed: a hint, not a lock. */
static atomic_int looking;
static int looking_max;
static pthread_once_t looking_once = PTHREAD_ONCE_INIT;

static void count_processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	looking_max = CPU_COUNT(&set) - 1;
	/* Who was given one of several has it for himself, as a rule; looks in vain tell if not. */
	if (!looking_max && sysconf(_SC_NPROCESSORS_ONLN) > 1)
		looking_max = 1;
}

static int watch(int epoll_fd, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int queue_waker_open(struct queue_waker *waker)
{
	atomic_init(&waker->wanted, false);
	atomic_init(&waker->asleep, false);
	waker->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return waker->event_fd < 0 ? -errno : 0;
}

void queue_waker_close(struct queue_waker *waker)
{
	close_fd(&waker->event_fd);
}

void queue_waker_wake(struct queue_waker *waker)
{
	atomic_store(&waker->wanted, true);
	if (atomic_load(&waker->asleep))
		eventfd_write(waker->event_fd, 1);
}

bool queue_waker_take(struct queue_waker *waker)
{
	return atomic_load_explicit(&waker->wanted, memory_order_relaxed) &&
	       atomic_exchange(&waker->wanted, false);
}

/* Announce the sleep. False when somebody was quicker. */
static bool waker_lie_down(struct queue_waker *waker)
{
	atomic_store(&waker->asleep, true);
	if (!atomic_load(&waker->wanted))
		return true;
	atomic_store(&waker->asleep, false);
	return false;
}

void queue_waker_wait(struct queue_waker *waker)
{
	struct pollfd fd = { .fd = waker->event_fd, .events = POLLIN };
	eventfd_t value;

	/* What woke an earlier sleep was never read. */
	eventfd_read(waker->event_fd, &value);
	if (!waker_lie_down(waker))
		return;
	poll(&fd, 1, -1);
	atomic_store(&waker->asleep, false);
}

int queue_wait_open(struct queue_wait *wait, int kick_fd, const struct stop_token *stop,
		    struct queue_waker *waker, uint64_t max_ns)
{
	cleanup_close int fd = epoll_create1(EPOLL_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	pthread_once(&looking_once, count_processors);
	err = watch(fd, stop->event_fd, EPOLLIN);
	if (!err)
		err = watch(fd, waker->event_fd, EPOLLIN | EPOLLET);
	if (err)
		return err;
	/* A descriptor that cannot be waited for (a file) will not kick. */
	if (kick_fd >= 0 && watch(fd, kick_fd, EPOLLIN | EPOLLET))
		kick_fd = -1;
	*wait = (struct queue_wait){
		.epoll_fd = take_fd(&fd), .stop = stop, .waker = waker, .kick_fd = kick_fd,
		.max_ns = max_ns, .vain_barred_ns = BARRED_NS,
	};
	return 0;
}

void queue_wait_close(struct queue_wait *wait)
{
	close_fd(&wait->epoll_fd);
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

static bool has_work(const struct queue_wait *wait, const struct virtqueue *vq)
{
	return virtqueue_pending(vq) ||
	       atomic_load_explicit(&wait->stop->fired, memory_order_relaxed) ||
	       atomic_load_explicit(&wait->waker->wanted, memory_order_relaxed);
}

static bool look(struct queue_wait *wait, const struct virtqueue *vq)
{
	uint64_t until = wait->began + wait->look_ns, now = wait->began;

	while (now < until) {
		uint64_t before = now;

		for (int i = 0; i < LOOKS; i++) {
			if (has_work(wait, vq))
				return true;
			cpu_relax();
		}
		now = clock_ns();
		if (now - before > BREAK_NS) {
			wait->barred_until = now + BARRED_NS;
			wait->look_ns = 0;
			break;
		}
	}
	return has_work(wait, vq);
}

/*
 * What a look was good for. Where the guest needs the very processor we look
 * on, it can do nothing while we look, and sends soon after we sleep: that
 * seems to say "look for longer", for ever and at the price of every look.
 */
static void judge(struct queue_wait *wait, bool found)
{
	if (found) {
		wait->vain = 0;
		wait->vain_barred_ns = BARRED_NS;
		return;
	}
	if (++wait->vain < VAIN_MAX)
		return;
	wait->vain = 0;
	wait->look_ns = 0;
	wait->barred_until = MAX(wait->barred_until, clock_ns() + wait->vain_barred_ns);
	wait->vain_barred_ns = MIN(2 * wait->vain_barred_ns, (uint64_t)VAIN_BARRED_MAX_NS);
}

bool queue_wait_look(struct queue_wait *wait, const struct virtqueue *vq)
{
	bool found = false;

	if (!wait->max_ns)
		return false;
	wait->began = clock_ns();
	if (!wait->look_ns || wait->began < wait->barred_until)
		return false;
	if (atomic_fetch_add_explicit(&looking, 1, memory_order_relaxed) < looking_max) {
		found = look(wait, vq);
		judge(wait, found);
	}
	atomic_fetch_sub_explicit(&looking, 1, memory_order_relaxed);
	return found;
}

/* What the sleep that just ended says about the next look. */
static void adapt(struct queue_wait *wait)
{
	uint64_t waited = clock_ns() - wait->began;

	if (waited > wait->max_ns)
		wait->look_ns = 0;
	else
		wait->look_ns = MIN(wait->max_ns, MAX(2 * wait->look_ns, (uint64_t)LOOK_MIN_NS));
}

void queue_wait_sleep(struct queue_wait *wait)
{
	struct epoll_event events[3];
	int n;

	if (!waker_lie_down(wait->waker))
		return;
	n = epoll_wait(wait->epoll_fd, events, 3, wait->kick_fd < 0 ? BLIND_MS : -1);
	atomic_store(&wait->waker->asleep, false);
	for (int i = 0; i < n; i++) {
		if (events[i].data.fd != wait->kick_fd || !(events[i].events & ~(uint32_t)EPOLLIN))
			continue;
		/* It will never kick again, and must not wake us for ever: look by ourselves. */
		epoll_ctl(wait->epoll_fd, EPOLL_CTL_DEL, wait->kick_fd, NULL);
		wait->kick_fd = -1;
	}
	if (wait->max_ns)
		adapt(wait);
}
