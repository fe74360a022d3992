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

static unsigned int count(struct list_head *list)
{
	return list_count_nodes(list);
}

/* A line a queue: its name, then numbers by name. */
static ssize_t statistics_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct cs_device *device = of(dev);
	ssize_t len = 0;

	for (unsigned int i = 0; i < device->n_queues; i++) {
		struct cs_queue *queue = &device->queues[i];

		spin_lock_irq(&queue->lock);
		len += sysfs_emit_at(buf, len,
				     "%s sent=%llu returned=%llu waited=%llu polled=%llu bad=%llu in_flight=%u pending=%u orphans=%u\n",
				     queue->name, queue->n_sent, queue->n_returned, queue->n_waited, queue->n_polled,
				     queue->n_bad, count(&queue->in_flight), count(&queue->pending),
				     count(&queue->orphans));
		spin_unlock_irq(&queue->lock);
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
