/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a sleeping guest is notified, simulated: the policy as it is, a device that serves one request after
 * the other, and guests of three kinds on a processor of their own or on the device's. The policy is compared
 * with leads that do not change, of which the best differs from case to case.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/checked.h"
#include "daemon/transport/notify.h"

#define REQUESTS 3000u
#define NEVER UINT64_MAX
#define LEARN (-1)

enum guest {
	GUEST_EACH,		/* takes a reply, sends a request */
	GUEST_ALL,		/* takes all replies that are there, then sends as many requests */
	GUEST_POLLS,		/* as GUEST_EACH, but never sleeps */
};

enum place {
	PLACE_OWN,		/* each has a processor */
	PLACE_SHARED,		/* one processor; the guest runs once the device sleeps */
	PLACE_PUSHY,		/* one processor; the guest runs as soon as it is woken */
};

/* What is simulated. Times in ns. */
struct model {
	enum guest guest;
	enum place place;
	uint64_t serve;		/* a request, by the device */
	uint64_t take;		/* a reply and the next request, by the guest */
	uint64_t wake;		/* from the notification until the guest runs */
	unsigned int depth;
};

#define NOTIFY_COST 1000u	/* a notification, to the device */
#define KICK_COST 1000u		/* a kick, to the guest */
#define SWITCH_COST 1500u	/* from one to the other on one processor */
#define LOOK 60000u		/* the device looks at its ring for this long before it sleeps */

struct world {
	const struct model *model;
	struct notify notify;
	int lead;			/* of requests; LEARN: the policy's own */
	uint16_t avail, taken;		/* requests that the guest sent, and the device took */
	uint16_t used, reaped;		/* replies */
	uint16_t notified;		/* used when it was last judged */
	bool serving, looking, asleep;	/* the device: one of them, or free */
	uint64_t device, guest;		/* when each does its next step */
	uint64_t since;			/* when the device began to look or sleep */
	bool armed;			/* the guest sleeps until it is notified */
	unsigned int sending;		/* requests that the guest is about to send */
	uint32_t random;
};

/* Between a half and three halves of it. */
static uint64_t about(struct world *world, uint64_t time)
{
	world->random = world->random * 1664525u + 1013904223u;
	return time / 2 + time * (world->random >> 16) / 65536;
}

static void notify_guest(struct world *world)
{
	const struct model *model = world->model;

	world->notified = world->used;
	if (!world->armed)
		return;
	world->armed = false;
	world->device += NOTIFY_COST;
	notify_sent(&world->notify, world->avail, (uint16_t)(world->avail - world->taken));
	if (model->place == PLACE_OWN)
		world->guest = world->device + about(world, model->wake);
	else if (model->place == PLACE_PUSHY) {
		world->guest = world->device + SWITCH_COST;
		world->device = NEVER;
	}
}

/* The device has nothing to do. */
static void device_rests(struct world *world)
{
	const struct model *model = world->model;
	bool woken = world->armed && world->notified != world->used;

	if (woken)
		notify_guest(world);
	world->since = world->device;
	world->looking = model->place == PLACE_OWN;
	world->asleep = !world->looking;
	if (model->place == PLACE_SHARED && world->guest == NEVER && !world->armed)
		world->guest = world->device + SWITCH_COST;
	world->device = NEVER;
}

static void device_replies(struct world *world)
{
	unsigned int left;

	world->serving = false;
	world->used++;
	notify_served(&world->notify);
	left = (uint16_t)(world->avail - world->taken);
	if (world->lead != LEARN)
		world->notify.lead = 8 * (unsigned int)world->lead;
	if (left && world->armed && notify_is_due(&world->notify, left, world->device))
		notify_guest(world);
	if (world->model->guest == GUEST_POLLS && world->guest == NEVER)
		world->guest = world->device + 100;
}

static void device_step(struct world *world)
{
	if (world->serving) {
		device_replies(world);
		return;
	}
	notify_learn(&world->notify, world->avail, (uint16_t)(world->avail - world->taken));
	if (world->avail == world->taken) {
		device_rests(world);
		return;
	}
	world->taken++;
	world->serving = true;
	world->device += about(world, world->model->serve);
}

/* The guest has sent: a device that rests goes on. */
static void rouse_device(struct world *world)
{
	bool own = world->model->place == PLACE_OWN;

	if (world->looking && world->guest - world->since < LOOK) {
		world->device = world->guest + 100;
	} else if (world->looking || world->asleep) {
		world->guest += KICK_COST;
		world->device = own ? world->guest + about(world, world->model->wake) : NEVER;
	}
	if (own || world->model->guest != GUEST_POLLS)
		world->looking = world->asleep = false;
}

/* Nothing to take: the guest sleeps, and a device on its processor has that. */
static void guest_rests(struct world *world)
{
	uint64_t now = world->guest;

	world->armed = world->model->guest != GUEST_POLLS;
	world->guest = NEVER;
	if (world->model->place != PLACE_OWN && world->device == NEVER)
		world->device = now + SWITCH_COST;
}

static void guest_step(struct world *world)
{
	unsigned int there = (uint16_t)(world->used - world->reaped);

	if (world->sending) {
		world->avail = (uint16_t)(world->avail + world->sending);
		world->sending = 0;
		rouse_device(world);
	} else if (there) {
		world->sending = world->model->guest == GUEST_ALL ? there : 1;
		world->reaped = (uint16_t)(world->reaped + world->sending);
		world->guest += world->sending * world->model->take;
	} else {
		guest_rests(world);
	}
}

/* Requests a second, in thousands. */
static double rate(const struct model *model, int lead)
{
	struct world world = { .model = model, .lead = lead, .guest = NEVER, .armed = model->guest != GUEST_POLLS,
			       .avail = (uint16_t)model->depth };
	uint64_t begun = 0;
	unsigned int steps = 0;

	while (world.used < REQUESTS) {
		assert_true(world.device != NEVER || world.guest != NEVER);
		assert_in_range(++steps, 1, 20 * REQUESTS);
		if (!begun && world.used == REQUESTS / 2)
			begun = world.device == NEVER ? world.guest : world.device;
		if (world.device <= world.guest)
			device_step(&world);
		else
			guest_step(&world);
	}
	return REQUESTS / 2 * 1e6 / (double)((world.device == NEVER ? world.guest : world.device) - begun);
}

#define EACH(array, i) (unsigned int i = 0; i < ARRAY_SIZE(array); i++)

static const uint64_t serves[] = { 500, 1000, 3000, 20000, 200000 };
static const uint64_t takes[] = { 200, 600, 2000 };
static const uint64_t wakes[] = { 2000, 18000, 50000 };
static const unsigned int depths[] = { 1, 2, 8, 64 };
static const int leads[] = { 0, 1, 2, 4, 8, 16, 32, 63 };

/* The worst of the policy and of each lead, against the best lead of each case. */
struct worst {
	double policy, fixed[ARRAY_SIZE(leads)];
};

static void compare(const struct model *model, struct worst *worst)
{
	double best = 0, rates[ARRAY_SIZE(leads)], own = rate(model, LEARN);

	for EACH(leads, i) {
		rates[i] = rate(model, leads[i]);
		best = MAX(best, rates[i]);
	}
	worst->policy = MIN(worst->policy, own / best);
	for EACH(leads, i)
		worst->fixed[i] = MIN(worst->fixed[i], rates[i] / best);
}

static void in_all(enum guest guest, enum place place, struct worst *worst)
{
	for EACH(serves, s)
		for EACH(takes, t)
			for EACH(wakes, w)
				for EACH(depths, d) {
					struct model model = { guest, place, serves[s], takes[t], wakes[w], depths[d] };

					compare(&model, worst);
				}
}

static void no_lead_is_much_better(void **state)
{
	struct worst worst = { .policy = 1 };

	(void)state;
	for EACH(leads, i)
		worst.fixed[i] = 1;
	for (enum guest guest = GUEST_EACH; guest <= GUEST_ALL; guest++)
		for (enum place place = PLACE_OWN; place <= PLACE_PUSHY; place++)
			in_all(guest, place, &worst);
	in_all(GUEST_POLLS, PLACE_OWN, &worst);
	print_message("learned: at worst %.2f of the best lead\n", worst.policy);
	for EACH(leads, i) {
		print_message("always %d: %.2f\n", leads[i], worst.fixed[i]);
		/* Else this would not be a test of anything. */
		assert_true(worst.fixed[i] < 0.5);
	}
	assert_true(worst.policy > 0.85);
}

/* Each is notified when all is served, so each is late. */
static void be_late(struct notify *notify, unsigned int times)
{
	while (times--)
		notify_sent(notify, 0, 0);
}

static void a_guest_waits_for_50_us_at_most(void **state)
{
	struct notify notify = { 0 };

	(void)state;
	assert_false(notify_is_due(&notify, 100, 1000));
	assert_false(notify_is_due(&notify, 100, 1000 + NOTIFY_LATEST_NS));
	assert_true(notify_is_due(&notify, 100, 1001 + NOTIFY_LATEST_NS));
	notify_awake(&notify);
	assert_false(notify_is_due(&notify, 100, 1001 + NOTIFY_LATEST_NS));
}

static void a_late_guest_is_notified_sooner(void **state)
{
	struct notify notify = { 0 };

	(void)state;
	be_late(&notify, 1);
	assert_true(notify_is_due(&notify, 1, 1));
	assert_false(notify_is_due(&notify, 2, 1));
	be_late(&notify, 100);
	assert_true(notify_is_due(&notify, 1024, 1));
}

static void an_answer_at_once_is_remembered(void **state)
{
	struct notify notify = { 0 };

	(void)state;
	for (int i = 0; i < 8; i++) {
		be_late(&notify, 1);
		notify_sent(&notify, 5, 1);
		notify_learn(&notify, 6, 2);
	}
	be_late(&notify, 60);
	assert_int_equal(notify.lead, 0);
	be_late(&notify, 10);
	assert_true(notify_is_due(&notify, 1, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_waits_for_50_us_at_most), cmocka_unit_test(a_late_guest_is_notified_sooner),
		cmocka_unit_test(an_answer_at_once_is_remembered), cmocka_unit_test(no_lead_is_much_better),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
