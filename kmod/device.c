/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * The virtio driver: takes the devices of id 26 that no other driver has, reads
 * their tag, sets up their queues, and lets go of all of it when one is removed.
 */
#include "device.h"

#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>

#include "compat.h"
#include "dax.h"

static DEFINE_MUTEX(devices_lock);
static LIST_HEAD(devices);	/* [L:devices_lock] */

static void device_free(struct kref *refs)
{
	struct cs_device *device = container_of(refs, struct cs_device, refs);

	cs_window_free(&device->window);
	kvfree(device);
}

void cs_device_get(struct cs_device *device)
{
	kref_get(&device->refs);
}

void cs_device_put(struct cs_device *device)
{
	kref_put(&device->refs, device_free);
}

/* devices_lock held. */
static struct cs_device *find(const char *tag)
{
	struct cs_device *device;

	list_for_each_entry(device, &devices, link)
		if (!strcmp(device->tag, tag))
			return device;
	return NULL;
}

struct cs_device *cs_device_find(const char *tag)
{
	struct cs_device *device;

	mutex_lock(&devices_lock);
	device = find(tag);
	if (device)
		kref_get(&device->refs);
	mutex_unlock(&devices_lock);
	return device;
}

void cs_device_abort(struct cs_device *device)
{
	for (unsigned int i = 0; i < device->n_queues; i++)
		cs_queue_abort(&device->queues[i]);
	wake_up_all(&device->left);
}

/* As many request queues as the device has, and at most one for each CPU. */
static unsigned int count_queues(struct virtio_device *vdev)
{
	u32 n = 0;

	virtio_cread_le(vdev, struct virtio_fs_config, num_request_queues, &n);
	return n ? 1 + min_t(u32, n, nr_cpu_ids) : 0;
}

int cs_device_find_queues(struct cs_device *device)
{
	unsigned int n = device->n_queues;
	struct virtqueue_info *infos = kcalloc(n, sizeof(*infos), GFP_KERNEL);
	struct virtqueue **vqs = kcalloc(n, sizeof(*vqs), GFP_KERNEL);
	int err = -ENOMEM;

	if (infos && vqs) {
		for (unsigned int i = 0; i < n; i++) {
			infos[i].name = device->queues[i].name;
			infos[i].callback = cs_queue_returned;
		}
		err = virtio_find_vqs(device->vdev, n, vqs, infos, NULL);
	}
	device->ring_size = UINT_MAX;
	for (unsigned int i = 0; !err && i < n; i++) {
		device->queues[i].vq = vqs[i];
		if (i)
			device->ring_size = min(device->ring_size, virtqueue_get_vring_size(vqs[i]));
	}
	kfree(infos);
	kfree(vqs);
	return err;
}

void cs_device_drop_queues(struct cs_device *device)
{
	for (unsigned int i = 0; i < device->n_queues; i++)
		cs_queue_drop(&device->queues[i]);
	device->vdev->config->del_vqs(device->vdev);
}

static void give_up(struct work_struct *work)
{
	struct cs_device *device = container_of(work, struct cs_device, broken_work);

	pr_err("casement: %s: its ring is broken: aborted; bind it again to use it\n", device->tag);
	cs_device_abort(device);
}

/* The least ring for a request of two headers and a page, with room to spare. */
#define RING_MIN 8

static int publish(struct cs_device *device)
{
	int err = 0;

	mutex_lock(&devices_lock);
	if (find(device->tag))
		err = -EEXIST;
	else
		list_add_tail(&device->link, &devices);
	mutex_unlock(&devices_lock);
	return err;
}

static int probe(struct virtio_device *vdev)
{
	unsigned int n = count_queues(vdev);
	struct cs_device *device;
	int err;

	if (!n)
		return -EINVAL;
	device = kvzalloc(struct_size(device, queues, n), GFP_KERNEL);
	if (!device)
		return -ENOMEM;
	kref_init(&device->refs);
	init_waitqueue_head(&device->quiet);
	init_waitqueue_head(&device->left);
	INIT_WORK(&device->broken_work, give_up);
	device->vdev = vdev;
	device->n_queues = n;
	device->piece_most = virtio_max_dma_size(vdev);
	vdev->priv = device;
	cs_timeout_init(device);
	virtio_cread_bytes(vdev, offsetof(struct virtio_fs_config, tag), device->tag, CS_TAG_MAX);
	for (unsigned int i = 0; i < n; i++)
		cs_queue_init(device, i);
	err = device->tag[0] ? cs_device_find_queues(device) : -EINVAL;
	if (err)
		goto free;
	cs_window_open(&device->window, device);
	virtio_device_ready(vdev);
	err = device->ring_size < RING_MIN ? -EINVAL : publish(device);
	if (err)
		goto reset;
	return 0;
reset:
	dev_err(&vdev->dev, "tag \"%s\" cannot be used: %d\n", device->tag, err);
	virtio_reset_device(vdev);
	cs_window_kill(&device->window);
	cs_window_close(&device->window);
	vdev->config->del_vqs(vdev);
free:
	vdev->priv = NULL;
	cs_device_put(device);
	return err;
}

static void remove(struct virtio_device *vdev)
{
	struct cs_device *device = vdev->priv;

	mutex_lock(&devices_lock);
	list_del(&device->link);
	mutex_unlock(&devices_lock);
	cs_device_abort(device);
	/* A sender that saw the queues alive has notified after this. */
	synchronize_rcu();
	cs_window_kill(&device->window);
	cs_dax_revoke(&device->window);
	cs_window_close(&device->window);
	virtio_reset_device(vdev);
	cs_device_drop_queues(device);
	cancel_work_sync(&device->broken_work);
	cs_requests_drain();
	vdev->priv = NULL;
	cs_device_put(device);
}

static const struct virtio_device_id ids[] = {
	{ VIRTIO_ID_FS, VIRTIO_DEV_ANY_ID },
	{ },
};
MODULE_DEVICE_TABLE(virtio, ids);

static struct virtio_driver driver = {
	.driver.name = "casement",
	.driver.dev_groups = cs_device_groups,
	.driver.pm = pm_sleep_ptr(&cs_device_pm),
	.id_table = ids,
	.probe = probe,
	.remove = remove,
	.freeze = pm_sleep_ptr(cs_device_freeze),
	.restore = pm_sleep_ptr(cs_device_restore),
};

int cs_devices_start(void)
{
	return register_virtio_driver(&driver);
}

void cs_devices_stop(void)
{
	unregister_virtio_driver(&driver);
}
