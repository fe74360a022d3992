/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * A virtio file system device (virtio 1.3 section 5.11) and its queues: how a
 * request gets to it and back. Devices are found by their tag.
 *
 * A device that was aborted or removed is dead: what was sent has ended with
 * -ECONNABORTED, what is sent ends with -ENOTCONN. Those who hold it may go on
 * holding it; its queues are then no longer touched.
 */
#ifndef CASEMENT_KMOD_DEVICE_H
#define CASEMENT_KMOD_DEVICE_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>

#include "request.h"
#include "window.h"

#define CS_TAG_MAX 36

/* How long a process that ends waits for a daemon that says nothing, in all; its killer may wait for it. */
#define CS_EXIT_PATIENCE (2 * HZ)

struct cs_queue {
	spinlock_t lock;		/* taken from the interrupt, too */
	struct virtqueue *vq;		/* [L:lock] not to be touched when dead or paused */
	struct cs_device *device;	/* [I] */
	unsigned int index;		/* [I] of the virtqueue */
	char name[16];			/* [I] */
	bool dead;			/* [L:lock] */
	bool paused;			/* [L:lock] from freeze to restore: what is sent waits */
	u64 last_unique;		/* [L:lock] */
	struct list_head in_flight;	/* [L:lock] with the device, waited for */
	struct list_head pending;	/* [L:lock] the ring had no room; oldest first */
	struct list_head orphans;	/* [L:lock] with the device, ended by abort */
	u64 n_sent;			/* [L:lock] */
	u64 n_returned;			/* [L:lock] */
	u64 n_waited;			/* [L:lock] sent late as the ring was full */
	u64 n_polled;			/* [L:lock] whose caller did not sleep */
	u64 n_bad;			/* [L:lock] replies that were none */
	/* [L:lock] whose caller looks for its reply, the only one waited for: no interrupts; or NULL */
	const struct cs_request *polled;
	unsigned int n_polls_in_vain;	/* [A] in a row */
	unsigned int poll_pause;	/* [A] calls that will not poll */
	unsigned int poll_last_pause;	/* [A] what that began with, less since */
} ____cacheline_aligned;

/* A device's session: none; one; one that has no tree any more, and whose DESTROY has not ended. */
enum cs_use { CS_FREE, CS_USED, CS_LEFT };

struct cs_device {
	struct kref refs;
	struct list_head link;		/* [L:devices_lock] */
	struct virtio_device *vdev;	/* [I] valid until it is dead */
	char tag[CS_TAG_MAX + 1];	/* [I] */
	unsigned int ring_size;		/* [I] entries of the smallest request ring */
	size_t piece_most;		/* [I] bytes of a scatter-list entry */
	struct cs_window window;
	int use;			/* [A] enum cs_use */
	unsigned int n_left;		/* [A] sessions that have ended */
	wait_queue_head_t left;		/* one has, or the device is dead */
	unsigned long timeout;		/* [I] while in use: seconds; 0: none */
	bool tells_suspend;		/* [I] while in use: the daemon wants to know of it */
	struct delayed_work look_work;	/* for requests that are late */
	struct work_struct broken_work;	/* to abort it: a ring cannot be used any more */
	wait_queue_head_t quiet;	/* a queue that is paused or dead has nothing under way */
	unsigned int n_queues;		/* [I] hiprio and request queues */
	struct cs_queue queues[];	/* [0] is hiprio */
};

/* The device with that tag, held; NULL if there is none. */
struct cs_device *cs_device_find(const char *tag);
void cs_device_get(struct cs_device *device);
void cs_device_put(struct cs_device *device);

/* At module load and end. */
int cs_devices_start(void);
void cs_devices_stop(void);

/* End all that is under way and let nothing in. Buffers stay until the device returns them. */
void cs_device_abort(struct cs_device *device);

/* It was aborted. */
static inline bool cs_device_is_dead(const struct cs_device *device)
{
	return READ_ONCE(device->queues[0].dead);
}

/* Of a device that is not ready: find its queues, 0 or -errno; of one that was reset: let go of them. */
int cs_device_find_queues(struct cs_device *device);
void cs_device_drop_queues(struct cs_device *device);

/* ---- suspend.c: as virtio_driver's ---- */

int cs_device_freeze(struct virtio_device *vdev);
int cs_device_restore(struct virtio_device *vdev);

/* Of each virtio device: prepare, before the first is frozen, and complete, after the last is restored. */
extern const struct dev_pm_ops cs_device_pm;

/* ---- timeout.c ---- */

/* Prepare; begin, unless `seconds` is 0; and end to abort the device when a reply is late. */
void cs_timeout_init(struct cs_device *device);
void cs_timeout_start(struct cs_device *device, u32 seconds);
void cs_timeout_stop(struct cs_device *device);

/* Attributes of a bound device: tag, queues, statistics, abort. */
extern const struct attribute_group *cs_device_groups[];

/* ---- queue.c ---- */

/* Prepare queue `index`; its virtqueue comes later. */
void cs_queue_init(struct cs_device *device, unsigned int index);

/* The virtqueue's callback: in interrupt context. */
void cs_queue_returned(struct virtqueue *vq);

/*
 * Take what the device returned, aborted requests as well. In the interrupt, or in a read-side section
 * of RCU, such as where preemption is off, since the queue was seen not to be dead: removal waits for both.
 */
void cs_queue_take(struct cs_queue *queue);

/* End all of its requests with -ECONNABORTED; -ENOTCONN for those to come. May not sleep. */
void cs_queue_abort(struct cs_queue *queue);

/* After the device's reset: let go of what it held, and of the virtqueue. */
void cs_queue_drop(struct cs_queue *queue);

/* Put nothing more into the ring, until cs_queue_resume(). */
void cs_queue_pause(struct cs_queue *queue);
void cs_queue_resume(struct cs_queue *queue);

/* Requests that are with the device and waited for. */
unsigned int cs_queue_under_way(struct cs_queue *queue);

/*
 * Send a request by this CPU's queue; end() follows, perhaps before the return. Any context
 * with no lock held that end() takes.
 */
void cs_device_send(struct cs_device *device, struct cs_request *request);

/* The same by the hiprio queue, which waits for no request. */
void cs_device_send_hiprio(struct cs_device *device, struct cs_request *request);

/*
 * Send and wait: 0 or -errno. -EINTR when the caller was killed meanwhile; the request
 * goes on, and undo() is called should it succeed. The caller still holds it.
 */
int cs_device_call(struct cs_device *device, struct cs_request *request);

/* How long an ending process may wait for the device, in jiffies, now that its oldest request has waited so long. */
unsigned long cs_device_patience(struct cs_device *device);

/*
 * The same for what may take for ever: a signal sends INTERRUPT, and the daemon ends the
 * request, with -EINTR or as it was to end.
 */
int cs_device_call_interruptible(struct cs_device *device, struct cs_request *request);

#endif
