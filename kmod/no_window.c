/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Windows on a kernel without DAX for file systems: no device has one, whatever it offers.
 * No inode is S_DAX there, so the compiler drops the calls that only such inodes get
 * (cs_dax_read() and others), and nothing of them is here.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_fs.h>

#include "dax.h"
#include "device.h"

void cs_window_open(struct cs_window *window, struct cs_device *device)
{
	struct virtio_shm_region region;

	window->device = device;
	if (virtio_get_shm_region(device->vdev, &region, VIRTIO_FS_SHMCAP_ID_CACHE))
		dev_info(&device->vdev->dev, "its window is not used: this kernel is built without CONFIG_FS_DAX\n");
}

void cs_window_kill(struct cs_window *window)
{
}

void cs_window_close(struct cs_window *window)
{
}

void cs_window_free(struct cs_window *window)
{
}

void cs_window_wait_empty(struct cs_window *window)
{
}

ssize_t cs_window_show(struct cs_window *window, char *page)
{
	return sysfs_emit(page, "none\n");
}

void cs_dax_start(void)
{
}

bool cs_dax_wanted(const struct cs_session *session)
{
	return false;
}

void cs_dax_open(struct inode *inode)
{
}

void cs_dax_release(struct inode *inode)
{
}

void cs_dax_evict(struct inode *inode)
{
}

void cs_dax_revoke(struct cs_window *window)
{
}

int cs_dax_suspend(struct cs_window *window, unsigned long patience)
{
	return 0;
}

void cs_dax_resume(struct cs_window *window)
{
}
