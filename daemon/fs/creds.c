/* SPDX-License-Identifier: BSD-3-Clause */
/* In whose name the tree is changed; see creds.h. */
#include "daemon/fs/creds.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"

#define CAP_WORDS 2
#define CAP_BIT(cap) (1U << ((cap) & 31))
#define IDS_REMEMBERED 16u
#define ID_NONE UINT32_MAX	/* "no change" to the kernel; nobody's id */

/* What this thread may do with set-id bits. */
enum setid_state { SETID_UNKNOWN, SETID_POWERLESS, SETID_KEPT, SETID_DROPPED };

static bool creds_switch;	/* ids follow the caller; [I] */
static bool creds_detached;	/* capabilities do not follow ids; [I] */

/* This thread's ids and capabilities as the kernel has them, to spare asking. */
static __thread struct {
	bool known;
	uint32_t uid, gid;
	uint32_t own_uid, own_gid;
	/* Ids that the kernel took once, plus one, by their low bits: it will take them again. */
	uint32_t taken_uids[IDS_REMEMBERED], taken_gids[IDS_REMEMBERED];
	bool in_groups;		/* supplementary ones, of a caller's */
	bool foreign_known;
	uint32_t foreign_uid, foreign_gid;	/* the last ones that the kernel did not take for a change */
	enum setid_state setid;
	struct __user_cap_data_struct caps[CAP_WORDS];
} thread_creds;

bool creds_follow_callers(void)
{
	return creds_switch;
}

static int caps_read(struct __user_cap_data_struct *caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, caps) < 0 ? -errno : 0;
}

static int caps_write(const struct __user_cap_data_struct *caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capset, &header, caps) < 0 ? -errno : 0;
}

/* Both return the id before; an invalid id changes nothing, so it serves to ask. */
static uint32_t set_fsuid(uint32_t uid)
{
	return (uint32_t)syscall(SYS_setfsuid, uid);
}

static uint32_t set_fsgid(uint32_t gid)
{
	return (uint32_t)syscall(SYS_setfsgid, gid);
}

static void thread_learn(void)
{
	if (thread_creds.known)
		return;
	thread_creds.uid = set_fsuid(ID_NONE);
	thread_creds.gid = set_fsgid(ID_NONE);
	thread_creds.own_uid = geteuid();
	thread_creds.own_gid = getegid();
	thread_creds.known = true;
}

/* One call where the id was taken before, two else: the kernel does not say whether it took it. */
static void switch_id(uint32_t id, uint32_t (*set)(uint32_t), uint32_t *now, uint32_t *taken)
{
	uint32_t *place = &taken[id % IDS_REMEMBERED];

	if (*now == id)
		return;
	set(id);
	*now = id != ID_NONE && *place == id + 1 ? id : set(ID_NONE);
	if (*now == id)
		*place = id + 1;
}

/* The gid goes first: without detached capabilities the uid takes the right to change it away. */
static void thread_switch(uint32_t uid, uint32_t gid)
{
	switch_id(gid, set_fsgid, &thread_creds.gid, thread_creds.taken_gids);
	switch_id(uid, set_fsuid, &thread_creds.uid, thread_creds.taken_uids);
}

/* Raw, the call is for this thread alone. */
static int set_groups(const uint32_t *groups, uint32_t n)
{
	return syscall(SYS_setgroups, n, groups) < 0 ? -errno : 0;
}

static int drop_groups(void)
{
	int err = thread_creds.in_groups ? set_groups(NULL, 0) : 0;

	if (err)
		log_guest(LOG_LEVEL_ERROR, "cannot leave the groups of a caller: %s", strerror(-err));
	else
		thread_creds.in_groups = false;
	return err;
}

static void go_back(void)
{
	bool away = thread_creds.uid != thread_creds.own_uid;

	thread_switch(thread_creds.own_uid, thread_creds.own_gid);
	/* Going back to root raises the file system capabilities, where they are attached. */
	if (away && !creds_detached && thread_creds.setid == SETID_DROPPED)
		thread_creds.setid = SETID_KEPT;
}

static enum setid_state setid_learn(void)
{
	if (caps_read(thread_creds.caps) < 0)
		return SETID_POWERLESS;
	if (!(thread_creds.caps[0].permitted & CAP_BIT(CAP_FSETID)))
		return SETID_POWERLESS;
	return thread_creds.caps[0].effective & CAP_BIT(CAP_FSETID) ? SETID_KEPT : SETID_DROPPED;
}

static void keep_setid(bool keep)
{
	enum setid_state wanted = keep ? SETID_KEPT : SETID_DROPPED;

	if (thread_creds.setid == SETID_UNKNOWN)
		thread_creds.setid = setid_learn();
	if (thread_creds.setid == SETID_POWERLESS || thread_creds.setid == wanted)
		return;
	if (keep)
		thread_creds.caps[0].effective |= CAP_BIT(CAP_FSETID);
	else
		thread_creds.caps[0].effective &= ~CAP_BIT(CAP_FSETID);
	if (caps_write(thread_creds.caps) == 0)
		thread_creds.setid = wanted;
	else
		thread_creds.setid = SETID_UNKNOWN;
}

/* The ids are taken, or the thread has its own again. */
static int become(const struct creds_wanted *wanted)
{
	if (drop_groups())
		return -EPERM;
	if (wanted->n_groups)
		thread_creds.in_groups = set_groups(wanted->groups, wanted->n_groups) == 0;
	thread_switch(wanted->uid, wanted->gid);
	if (thread_creds.uid == wanted->uid && thread_creds.gid == wanted->gid)
		return 0;
	drop_groups();
	go_back();
	return -EPERM;
}

/* These ids mean nothing on this host: to ask again at each write would be dear. */
static bool known_foreign(const struct creds_wanted *wanted)
{
	return wanted->uid == ID_NONE || wanted->gid == ID_NONE ||
	       (thread_creds.foreign_known && wanted->uid == thread_creds.foreign_uid &&
		wanted->gid == thread_creds.foreign_gid);
}

static int become_for_change(const struct creds_wanted *wanted)
{
	if (creds_detached && !wanted->remote && !known_foreign(wanted)) {
		if (!become(wanted))
			return 0;
		thread_creds.foreign_uid = wanted->uid;
		thread_creds.foreign_gid = wanted->gid;
		thread_creds.foreign_known = true;
	}
	go_back();
	return drop_groups() ? -EPERM : 0;
}

int creds_take(struct creds *creds, const struct creds_wanted *wanted)
{
	if (wanted->setid != CREDS_SETID_ANY)
		keep_setid(wanted->setid == CREDS_SETID_KEEP);
	if (!creds_switch)
		return 0;
	thread_learn();
	if (wanted->use == CREDS_CHANGE)
		return become_for_change(wanted);
	*creds = (struct creds){ .made = true, .remote = wanted->remote };
	return become(wanted);
}

void creds_give(struct creds *creds)
{
	int saved = errno;

	if (!creds->made)
		return;
	creds->made = false;
	drop_groups();
	if (!creds_detached || creds->remote)
		go_back();
	errno = saved;
}

void creds_home(void)
{
	if (thread_creds.setid == SETID_DROPPED)
		keep_setid(true);
	if (!creds_switch || !thread_creds.known)
		return;
	drop_groups();
	go_back();
}

static bool caps_have(const struct __user_cap_data_struct *caps, unsigned int cap)
{
	return caps[cap / 32].effective & CAP_BIT(cap);
}

/* Keep the capabilities whatever the file system ids are. */
static bool caps_detach(const struct __user_cap_data_struct *caps)
{
	int bits = prctl(PR_GET_SECUREBITS);

	if (!caps_have(caps, CAP_DAC_OVERRIDE) || bits < 0)
		return false;
	return prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP) == 0;
}

int creds_setup(uint64_t stay)
{
	struct __user_cap_data_struct caps[CAP_WORDS];
	int err;

	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) < 0 && getgroups(0, NULL) != 0)
		return -errno;
	err = caps_read(caps);
	if (err)
		return err;
	for (unsigned int i = 0; i < CAP_WORDS; i++)
		caps[i].effective &= (uint32_t)(stay >> 32 * i);
	creds_switch = caps_have(caps, CAP_SETUID) && caps_have(caps, CAP_SETGID);
	if (!creds_switch) {
		log_info("new files will belong to root: this process may not change its ids");
		return 0;
	}
	creds_detached = caps_detach(caps);
	if (!creds_detached)
		log_warn("new files are made with the guest user's own rights on this host");
	return 0;
}
