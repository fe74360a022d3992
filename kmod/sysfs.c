/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * A bound device's own folder "casement" in sysfs: its tag, its queues, what went
 * through them, and `abort`: writing 1 ends every request and every wait.
 */
#include <linux/device.h>
#include <linux/sysfs.h>

#include "device.h"

static struct cs_device *of(struct device *dev)
{
	return dev_to_virtio(dev)->priv;
}

static ssize_t tag_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", of(dev)->tag);
}
static DEVICE_ATTR_RO(tag);

static ssize_t queues_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", of(dev)->n_queues - 1);
}
static DEVICE_ATTR_RO(queues);

struct statistics {
	u64 sent, returned, waited, polled, bad;
	size_t in_flight, pending, orphans;
};

static void add(struct statistics *sum, struct cs_queue *queue)
{
	spin_lock_irq(&queue->lock);
	sum->sent += queue->n_sent;
	sum->returned += queue->n_returned;
	sum->waited += queue->n_waited;
	sum->polled += queue->n_polled;
	sum->bad += queue->n_bad;
	sum->in_flight += list_count_nodes(&queue->in_flight);
	sum->pending += list_count_nodes(&queue->pending);
	sum->orphans += list_count_nodes(&queue->orphans);
	spin_unlock_irq(&queue->lock);
}

static int put_line(char *buf, int len, const struct cs_queue *queue, const struct statistics *sum)
{
	return sysfs_emit_at(buf, len,
			     "%s sent=%llu returned=%llu waited=%llu polled=%llu bad=%llu in_flight=%zu pending=%zu orphans=%zu\n",
			     queue->name, sum->sent, sum->returned, sum->waited, sum->polled, sum->bad, sum->in_flight,
			     sum->pending, sum->orphans);
}

/* No line is longer: all numbers have 20 digits. */
#define LINE_MOST 256

/* A line a queue: its name, then numbers by name. The last line of a page is of all the queues that are left. */
static ssize_t statistics_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct cs_device *device = of(dev);
	int len = 0;

	for (unsigned int i = 0; i < device->n_queues;) {
		bool is_last = len + 2 * LINE_MOST > PAGE_SIZE;
		const struct cs_queue *first = &device->queues[i];
		struct statistics sum = {};

		do
			add(&sum, &device->queues[i++]);
		while (is_last && i < device->n_queues);
		len += put_line(buf, len, first, &sum);
	}
	return len;
}
static DEVICE_ATTR_RO(statistics);

/* What of the window is in use, and how often the daemon was asked to map and to unmap. */
static ssize_t window_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return cs_window_show(&of(dev)->window, buf);
}
static DEVICE_ATTR_RO(window);

static ssize_t abort_store(struct device *dev, struct device_attribute *attr, const char *buf,
			   size_t len)
{
	bool yes;
	int err = kstrtobool(buf, &yes);

	if (err || !yes)
		return err ?: -EINVAL;
	cs_device_abort(of(dev));
	return len;
}
static DEVICE_ATTR_WO(abort);

static struct attribute *attributes[] = {
	&dev_attr_tag.attr,
	&dev_attr_queues.attr,
	&dev_attr_statistics.attr,
	&dev_attr_window.attr,
	&dev_attr_abort.attr,
	NULL,
};

static const struct attribute_group group = {
	.name = "casement",
	.attrs = attributes,
};

const struct attribute_group *cs_device_groups[] = { &group, NULL };
