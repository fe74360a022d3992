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
/* A call counts one in so many, none for more than OUTLIER limits; a poll in vain makes it IN_VAIN at once. */
#define WEIGHT 8
#define OUTLIER 4
#define IN_VAIN 2

static u64 limit(void)
{
	return min(READ_ONCE(poll_us), POLL_US_MOST) * NSEC_PER_USEC;
}

void cs_poll_start(struct cs_poll *poll, struct cs_queue *queue)
{
	u64 most = limit(), typical = READ_ONCE(queue->typical_ns);
	unsigned long flags;

	preempt_disable();
	*poll = (struct cs_poll){ .queue = queue, .start = local_clock() };
	if (typical >= most || !single_task_running())
		return;
	spin_lock_irqsave(&queue->lock, flags);
	if (!queue->dead) {
		poll->until = poll->start + most;
		queue->n_pollers++;
		virtqueue_disable_cb(queue->vq);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
}

void cs_poll_run(struct cs_poll *poll, struct cs_request *request)
{
	struct cs_queue *queue = poll->queue;
	unsigned long flags;

	if (poll->until) {
		while (READ_ONCE(request->wait) == CS_WAITING && local_clock() < poll->until &&
		       !need_resched() && single_task_running()) {
			cpu_relax();
			cs_queue_take(queue);
		}
		spin_lock_irqsave(&queue->lock, flags);
		queue->n_pollers--;
		queue->n_polled += request->wait != CS_WAITING;
		poll->in_vain = request->wait == CS_WAITING && !need_resched();
		spin_unlock_irqrestore(&queue->lock, flags);
		/* The last one asks for interrupts again, and looks whether it is too late for one. */
		cs_queue_take(queue);
	}
	preempt_enable();
}

void cs_poll_learn(const struct cs_poll *poll)
{
	struct cs_queue *queue = poll->queue;
	u64 most = limit() * OUTLIER, now = local_clock();
	/* Another processor's clock may be behind. */
	u64 took = now > poll->start ? min(now - poll->start, most) : 0;
	u64 typical = READ_ONCE(queue->typical_ns);

	typical += took / WEIGHT - typical / WEIGHT;
	if (poll->in_vain)
		typical = max(typical, limit() * IN_VAIN);
	WRITE_ONCE(queue->typical_ns, typical);
}
