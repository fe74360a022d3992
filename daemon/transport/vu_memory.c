/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user requests about guest memory. Descriptors are mapped and closed
 * here; the window's own mappings come this way too, one region each.
 */
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "daemon/transport/vu_session.h"

/*
 * The specification draws this payload with room for eight regions, of which the first `nregions`
 * count. QEMU cuts it after those; Linux's virtio_uml does not, and sends 72 bytes for one region.
 * What the room holds is not looked at.
 */
static bool table_fits(const struct vu_message *message, uint32_t n)
{
	const struct vhost_user_mem_table *table = &message->payload.mem_table;
	size_t regions = message->header.size - offsetof(struct vhost_user_mem_table, regions);

	return n <= VHOST_USER_MEM_REGIONS && message->n_fds == n && regions >= n * sizeof(table->regions[0]) &&
	       regions % sizeof(table->regions[0]) == 0;
}

int vu_set_mem_table(struct vu_session *session, struct vu_message *message)
{
	const struct vhost_user_mem_table *table = &message->payload.mem_table;
	uint32_t n = table->nregions;
	int err;

	if (!table_fits(message, n)) {
		log_error("SET_MEM_TABLE: %u regions with %u descriptors in %u bytes",
			  n, message->n_fds, message->header.size);
		return -EINVAL;
	}
	err = guest_mem_set(&session->mem, table->regions, message->fds, n);
	if (err)
		log_error("SET_MEM_TABLE: cannot map guest memory: %s; is it shared (share=on)?",
			  strerror(-err));
	return err;
}

int vu_get_max_mem_slots(struct vu_session *session, struct vu_message *message)
{
	(void)session;
	message->payload.u64 = GUEST_MEM_SLOTS;
	message->header.size = sizeof(uint64_t);
	return VU_REPLY;
}

int vu_add_mem_reg(struct vu_session *session, struct vu_message *message)
{
	int err;

	if (message->n_fds != 1)
		return -EINVAL;
	err = guest_mem_add(&session->mem, &message->payload.mem_region.region, message->fds[0]);
	if (err)
		log_error("ADD_MEM_REG: cannot map guest memory: %s", strerror(-err));
	return err;
}

/* Some front ends send the region's descriptor along; it is not needed. */
int vu_rem_mem_reg(struct vu_session *session, struct vu_message *message)
{
	return guest_mem_remove(&session->mem, &message->payload.mem_region.region);
}
