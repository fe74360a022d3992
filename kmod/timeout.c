/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * The mount option timeout=: a device that leaves a request without a reply for that long
 * is aborted. One request alone cannot be given up: the device may write to its pages
 * whenever it likes, and they would be somebody else's by then.
 */
#include "device.h"

#include <linux/jiffies.h>

/* Of so many looks in the time, the last may come one late. */
#define LOOKS 4

/* The oldest request of a list that was sent `age` ago or earlier. Queue's lock held. */
static const struct cs_request *find_late(const struct list_head *requests, unsigned long age)
{
	const struct cs_request *request;

	list_for_each_entry(request, requests, link)
		if (!request->patient)
			return time_after_eq(jiffies, request->sent + age) ? request : NULL;
	return NULL;
}

/* The opcode of a request that is late, or 0. */
static u32 late_opcode(struct cs_queue *queue, unsigned long age)
{
	const struct cs_request *late;
	u32 opcode = 0;

	spin_lock_irq(&queue->lock);
	late = find_late(&queue->in_flight, age) ?: find_late(&queue->pending, age);
	if (late)
		opcode = late->in->opcode;
	spin_unlock_irq(&queue->lock);
	return opcode;
}

static void look(struct work_struct *work)
{
	struct cs_device *device = container_of(to_delayed_work(work), struct cs_device, look_work);
	unsigned long age = device->timeout * HZ;

	for (unsigned int i = 0; i < device->n_queues; i++) {
		u32 opcode = late_opcode(&device->queues[i], age);

		if (!opcode)
			continue;
		pr_err("casement: %s: no reply to opcode %u within %lu seconds: aborted; bind it again to use it\n",
		       device->tag, opcode, device->timeout);
		cs_device_abort(device);
		return;
	}
	schedule_delayed_work(&device->look_work, age / LOOKS);
}

void cs_timeout_init(struct cs_device *device)
{
	INIT_DELAYED_WORK(&device->look_work, look);
}

void cs_timeout_start(struct cs_device *device, u32 seconds)
{
	device->timeout = seconds;
	if (seconds)
		schedule_delayed_work(&device->look_work, seconds * HZ / LOOKS);
}

void cs_timeout_stop(struct cs_device *device)
{
	cancel_delayed_work_sync(&device->look_work);
}
