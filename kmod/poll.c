/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Looking for a reply instead of sleeping until the interrupt; see poll.h. */
#include "poll.h"

#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/sched/stat.h>

#include "device.h"

static unsigned int poll_us = 200;
module_param(poll_us, uint, 0644);
MODULE_PARM_DESC(poll_us, "look for a reply for so many microseconds at most before sleeping; 0: never");

#define POLL_US_MOST 1000
/*
 * Calls that sleep at once after polls in vain; twice as many after the next ones. One alone
 * may have woken a daemon that polls now, too, and finds the next call's request at once.
 */
#define IN_VAIN_MOST 2
#define PAUSE_FIRST 8
#define PAUSE_MOST 256

/* Counts by whoever calls; a lost one does no harm. */
static bool is_wanted(struct cs_queue *queue)
{
	unsigned int pause = READ_ONCE(queue->poll_pause);

	if (pause)
		WRITE_ONCE(queue->poll_pause, pause - 1);
	return !pause && READ_ONCE(poll_us) && single_task_running();
}

static void learn(struct cs_queue *queue, bool in_vain)
{
	unsigned int n = in_vain ? READ_ONCE(queue->n_polls_in_vain) + 1 : 0;
	unsigned int pause = READ_ONCE(queue->poll_last_pause);

	WRITE_ONCE(queue->n_polls_in_vain, n % IN_VAIN_MOST);
	if (in_vain && n < IN_VAIN_MOST)
		return;
	pause = in_vain ? clamp(pause * 2, PAUSE_FIRST, PAUSE_MOST) : pause / 2;
	WRITE_ONCE(queue->poll_last_pause, pause);
	if (in_vain)
		WRITE_ONCE(queue->poll_pause, pause);
}

/* Nobody waits for a reply of it. Its lock held. */
static bool is_quiet(const struct cs_queue *queue)
{
	const struct cs_request *request;

	if (queue->polled || !list_empty(&queue->pending))
		return false;
	list_for_each_entry(request, &queue->in_flight, link)
		if (request->end)
			return false;
	return true;
}

/* Preemption off. */
static void begin(struct cs_poll *poll)
{
	struct cs_queue *queue = poll->queue;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	if (!queue->dead && !queue->paused) {
		poll->until = local_clock() + min(READ_ONCE(poll_us), POLL_US_MOST) * NSEC_PER_USEC;
		if (is_quiet(queue)) {
			queue->polled = poll->request;
			virtqueue_disable_cb(queue->vq);
		}
	}
	spin_unlock_irqrestore(&queue->lock, flags);
}

void cs_poll_start(struct cs_poll *poll, struct cs_queue *queue, const struct cs_request *request)
{
	*poll = (struct cs_poll){ .queue = queue, .request = request };
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		return;
	preempt_disable();
	if (is_wanted(queue))
		begin(poll);
	if (!poll->until)
		preempt_enable();
}

/* Look for it. True if it came. */
static bool look(const struct cs_poll *poll)
{
	bool came = false, in_time = true;

	while (!came && in_time && !need_resched() && single_task_running()) {
		cpu_relax();
		cs_queue_take(poll->queue);
		came = READ_ONCE(poll->request->wait) != CS_WAITING;
		in_time = local_clock() < poll->until;
	}
	if (came || !in_time)
		learn(poll->queue, !came);
	return came;
}

void cs_poll_run(struct cs_poll *poll)
{
	struct cs_queue *queue = poll->queue;
	unsigned long flags;
	bool came;

	if (!poll->until)
		return;
	came = look(poll);
	spin_lock_irqsave(&queue->lock, flags);
	if (queue->polled == poll->request)
		queue->polled = NULL;
	queue->n_polled += came;
	spin_unlock_irqrestore(&queue->lock, flags);
	/* It asks for interrupts again, and looks whether it is too late for one. */
	cs_queue_take(queue);
	preempt_enable();
}
