/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Suspend and resume (virtio_driver.freeze and .restore). The device loses its queues and
 * what is mapped in its window, but the daemon keeps the session: files stay open, locks
 * held. What was sent ends before; what is sent meanwhile waits in its queue. Files have
 * their ranges in the window again when they are next used.
 */
#include "device.h"

#include <linux/suspend.h>
#include <linux/virtio_config.h>
#include <linux/wait.h>

#include "dax.h"
#include "fuse_extension.h"

/* For the daemon to reply to what it has. Those who called are frozen, most of them without a request. */
#define PATIENCE (10 * HZ)

/* ---- the queues ---- */

static void resume(struct cs_device *device)
{
	for (unsigned int i = 0; i < device->n_queues; i++)
		cs_queue_resume(&device->queues[i]);
}

/* Of the queues from `first` on. */
static unsigned int count_under_way(struct cs_device *device, unsigned int first)
{
	unsigned int n = 0;

	for (unsigned int i = first; i < device->n_queues; i++)
		n += cs_queue_under_way(&device->queues[i]);
	return n;
}

/* Those from `first` on, until nothing of them is under way. */
static int pause(struct cs_device *device, unsigned int first)
{
	for (unsigned int i = first; i < device->n_queues; i++)
		cs_queue_pause(&device->queues[i]);
	if (wait_event_timeout(device->quiet, !count_under_way(device, first), PATIENCE))
		return 0;
	dev_err(&device->vdev->dev, "\"%s\" cannot be suspended: %u requests without a reply\n", device->tag,
		count_under_way(device, first));
	return -EBUSY;
}

static void told(struct cs_request *request)
{
	complete(&request->done);
}

/* By the hiprio queue: nothing that ends the announcement is to follow it. */
static int tell(struct cs_device *device)
{
	struct cs_request *request = cs_request_new(FUSE_SUSPEND, FUSE_ROOT_ID, 0, 0, GFP_KERNEL);
	int err;

	if (!request)
		return -ENOMEM;
	request->end = told;
	cs_device_send_hiprio(device, request);
	err = wait_for_completion_timeout(&request->done, PATIENCE) ? request->error : -ETIMEDOUT;
	cs_request_put(request);
	if (err)
		dev_err(&device->vdev->dev, "\"%s\" cannot be suspended: its daemon was told, and says %d\n",
			device->tag, err);
	return err;
}

static int pause_all(struct cs_device *device)
{
	int err = pause(device, 1);

	if (!err && READ_ONCE(device->use) && device->tells_suspend && !cs_device_is_dead(device))
		err = tell(device);
	err = err ?: pause(device, 0);
	if (err)
		resume(device);
	else
		/* Who saw a queue that was not paused is done with it after this. */
		synchronize_rcu();
	return err;
}

/* ---- all devices, before the first of them is suspended ---- */

/*
 * No device is to have anything in its window when any device stops: a VMM may tell each back end of
 * the mappings of all windows, and QEMU 11.1.3 dies when one of them went while a device was stopped
 * that had been told of it. Processes are frozen. (dev_pm_ops.prepare)
 */
static int prepare(struct device *dev)
{
	struct cs_device *device = dev_to_virtio(dev)->priv;
	int err;

	/* The image of a hibernated machine outlives the daemon, which alone knows what its nodes are. */
	if (READ_ONCE(device->use) && pm_suspend_target_state == PM_SUSPEND_ON) {
		dev_err(dev, "\"%s\" is mounted: a hibernated guest would not find its files again\n", device->tag);
		return -EOPNOTSUPP;
	}
	err = cs_dax_suspend(&device->window, PATIENCE);
	if (err)
		dev_err(dev, "\"%s\" cannot be suspended: its window is in use\n", device->tag);
	return err;
}

/* After all have resumed, or could not be suspended. (dev_pm_ops.complete) */
static void all_resumed(struct device *dev)
{
	struct cs_device *device = dev_to_virtio(dev)->priv;

	cs_dax_resume(&device->window);
}

const struct dev_pm_ops cs_device_pm = {
	.prepare = pm_sleep_ptr(prepare),
	.complete = pm_sleep_ptr(all_resumed),
};

/* ---- the device ---- */

int cs_device_freeze(struct virtio_device *vdev)
{
	struct cs_device *device = vdev->priv;
	int err = pause_all(device);

	if (err)
		return err;
	cs_timeout_stop(device);
	virtio_reset_device(vdev);
	cs_device_drop_queues(device);
	return 0;
}

int cs_device_restore(struct virtio_device *vdev)
{
	struct cs_device *device = vdev->priv;
	unsigned int ring_size = device->ring_size;
	int err = cs_device_find_queues(device);

	/* Requests are made for the rings that there were. */
	if (!err && device->ring_size < ring_size)
		err = -EINVAL;
	if (err) {
		dev_err(&vdev->dev, "\"%s\" does not come back: %d\n", device->tag, err);
		cs_device_abort(device);
		return err;
	}
	virtio_device_ready(vdev);
	resume(device);
	if (READ_ONCE(device->use))
		cs_timeout_start(device, device->timeout);
	return 0;
}
