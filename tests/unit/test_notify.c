/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a guest is notified, simulated: the code as it is, a device that serves one request after the other, and
 * guests of four kinds on a processor of their own or on the device's. It is compared with leads that do not
 * change, of which the best differs from case to case.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "common/checked.h"
#include "daemon/transport/notify.h"

#define NEVER UINT64_MAX
#define AS_IT_IS (-1)
/* Requests of a run; half of them before it counts. A lead that does not change needs no time to be found. */
#define REQUESTS (40 * NOTIFY_ROUND)
#define REQUESTS_FIXED 4000u

enum guest {
	GUEST_EACH,		/* takes a reply, sends a request */
	GUEST_ALL,		/* takes all replies that are there, then sends as many requests */
	GUEST_INTERRUPTED,	/* an interrupt takes all replies, whatever the guest does; then it sends request by request */
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
	uint64_t notify;	/* a notification, to the device */
	uint64_t interrupt;	/* and to GUEST_INTERRUPTED */
	uint64_t wake;		/* from the notification until the guest runs */
	unsigned int depth;
};

#define KICK_COST 1000u		/* a kick, to the guest */
#define SWITCH_COST 1500u	/* from one to the other on one processor */
#define LOOK 60000u		/* the device looks at its ring for this long before it sleeps */

static uint64_t simulated;	/* the time that notify.c sees, ns */

int __wrap_clock_gettime(clockid_t clock, struct timespec *at);
int __wrap_clock_gettime(clockid_t clock, struct timespec *at)
{
	(void)clock;
	at->tv_sec = (time_t)(simulated / 1000000000u);
	at->tv_nsec = (long)(simulated % 1000000000u);
	return 0;
}

struct world {
	const struct model *model;
	struct notify notify;
	int lead;			/* of requests; AS_IT_IS: what notify.c says */
	uint16_t avail, taken;		/* requests that the guest sent, and the device took */
	uint16_t used, reaped;		/* replies */
	uint16_t notified;		/* used when it was last judged */
	bool serving, looking, asleep;	/* the device: one of them, or free */
	uint64_t device, guest;		/* when each does its next step */
	uint64_t since;			/* when the device began to look or sleep */
	bool armed;			/* the guest wants to be notified: it sleeps, or is interrupted */
	bool interrupted;		/* it is about to take all replies */
	unsigned int todo;		/* replies that an interrupt took */
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
	world->device += model->notify;
	notify_sent(&world->notify);
	world->interrupted = model->guest == GUEST_INTERRUPTED;
	if (world->guest != NEVER)
		return;
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

static bool is_due(struct world *world, unsigned int left)
{
	return world->lead == AS_IT_IS ? notify_is_due(&world->notify, left) : left <= (unsigned int)world->lead;
}

static void device_replies(struct world *world)
{
	unsigned int left;

	world->serving = false;
	world->used++;
	notify_served(&world->notify);
	left = (uint16_t)(world->avail - world->taken);
	if (left && world->armed && is_due(world, left))
		notify_guest(world);
	if (!world->armed)
		notify_awake(&world->notify);
	if (world->model->guest == GUEST_POLLS && world->guest == NEVER)
		world->guest = world->device + 100;
}

static void device_step(struct world *world)
{
	if (world->serving) {
		device_replies(world);
		return;
	}
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

	world->armed = world->armed || world->model->guest != GUEST_POLLS;
	world->guest = NEVER;
	if (world->model->place != PLACE_OWN && world->device == NEVER)
		world->device = now + SWITCH_COST;
}

static void take_all(struct world *world)
{
	world->interrupted = false;
	world->guest += world->model->interrupt;
	world->todo += (uint16_t)(world->used - world->reaped);
	world->reaped = world->used;
	world->armed = true;
}

/* What the guest sends next: how many requests, from replies of its own taking or an interrupt's. */
static unsigned int next(struct world *world)
{
	unsigned int there = (uint16_t)(world->used - world->reaped);

	if (world->model->guest == GUEST_INTERRUPTED) {
		there = MIN(world->todo, 1u);
		world->todo -= there;
		return there;
	}
	if (world->model->guest != GUEST_ALL)
		there = MIN(there, 1u);
	world->reaped = (uint16_t)(world->reaped + there);
	return there;
}

static void guest_step(struct world *world)
{
	if (world->sending) {
		world->avail = (uint16_t)(world->avail + world->sending);
		world->sending = 0;
		rouse_device(world);
	} else if (world->interrupted) {
		take_all(world);
	} else {
		world->sending = next(world);
		world->guest += world->sending * world->model->take;
		if (!world->sending)
			guest_rests(world);
	}
}

/* Requests a second, in thousands. */
static double rate(const struct model *model, int lead)
{
	struct world world = { .model = model, .lead = lead, .guest = NEVER, .armed = model->guest != GUEST_POLLS,
			       .avail = (uint16_t)model->depth };
	unsigned int served = 0, all = lead == AS_IT_IS ? REQUESTS : REQUESTS_FIXED;
	uint64_t begun = 0;

	while (served < all) {
		uint16_t before = world.used;

		assert_true(world.device != NEVER || world.guest != NEVER);
		simulated = 1 + MIN(world.device, world.guest);
		if (world.device <= world.guest)
			device_step(&world);
		else
			guest_step(&world);
		served += (uint16_t)(world.used - before);
		if (!begun && served == all / 2)
			begun = simulated;
	}
	return all / 2 * 1e6 / (double)(simulated - begun);
}

#define EACH(array, i) (unsigned int i = 0; i < ARRAY_SIZE(array); i++)

static const uint64_t serves[] = { 500, 3000, 200000 };
static const uint64_t takes[] = { 200, 2000 };
static const uint64_t wakes[] = { 2000, 50000 };
static const unsigned int depths[] = { 2, 8, 64 };
/* A notification and an interrupt: cheap as an eventfd's, and dear as a signal's. */
static const uint64_t costs[][2] = { { 1000, 1000 }, { 10000, 15000 } };
static const int leads[] = { 0, 1, 2, 4, 8, 16, 32, 63 };

/* The worst case of the code as it is and of each lead, beside the best lead of the same case. */
struct worst {
	double as_it_is, fixed[ARRAY_SIZE(leads)];
};

static void compare(const struct model *model, struct worst *worst)
{
	double best = 0, rates[ARRAY_SIZE(leads)];

	for EACH(leads, i) {
		rates[i] = rate(model, leads[i]);
		best = MAX(best, rates[i]);
	}
	worst->as_it_is = MIN(worst->as_it_is, rate(model, AS_IT_IS) / best);
	for EACH(leads, i)
		worst->fixed[i] = MIN(worst->fixed[i], rates[i] / best);
}

static void in_all(enum guest guest, enum place place, struct worst *worst)
{
	for EACH(serves, s)
		for EACH(takes, t)
			for EACH(wakes, w)
				for EACH(depths, d)
					for EACH(costs, c) {
						struct model model = { guest, place, serves[s], takes[t], costs[c][0], costs[c][1],
								       wakes[w], depths[d] };

						compare(&model, worst);
					}
}

static void no_lead_is_much_better(void **state)
{
	struct worst worst = { .as_it_is = 1 };

	(void)state;
	for EACH(leads, i)
		worst.fixed[i] = 1;
	for (enum guest guest = GUEST_EACH; guest <= GUEST_INTERRUPTED; guest++)
		for (enum place place = PLACE_OWN; place <= PLACE_PUSHY; place++)
			in_all(guest, place, &worst);
	in_all(GUEST_POLLS, PLACE_OWN, &worst);
	print_message("at worst %.2f of the best lead\n", worst.as_it_is);
	for EACH(leads, i) {
		print_message("always %d: %.2f\n", leads[i], worst.fixed[i]);
		/* Else this would not be a test of anything. */
		assert_true(worst.fixed[i] < 0.5);
	}
	assert_true(worst.as_it_is > 0.7);
}

static void a_guest_waits_for_50_us_at_most(void **state)
{
	struct notify notify = { 0 };

	(void)state;
	simulated = 1000;
	assert_false(notify_is_due(&notify, 100));
	simulated += NOTIFY_LATEST_NS;
	assert_false(notify_is_due(&notify, 100));
	simulated++;
	assert_true(notify_is_due(&notify, 100));
	notify_awake(&notify);
	assert_false(notify_is_due(&notify, 100));
}

/* The guest has no requests for a second: that says nothing of the lead at hand. */
static void a_pause_does_not_count(void **state)
{
	struct notify notify = { 0 };
	unsigned int lead;

	(void)state;
	simulated = 1000;
	for (unsigned int i = 0; i < 10 * NOTIFY_ROUND; i++, simulated += 1000)
		notify_served(&notify);
	lead = notify.usual;
	simulated += 1000000000u;
	for (unsigned int i = 0; i < NOTIFY_ROUND; i++)
		notify_served(&notify);
	assert_int_equal(notify.usual, lead);
	assert_int_equal(notify.usual_ns, NOTIFY_ROUND * 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_waits_for_50_us_at_most), cmocka_unit_test(a_pause_does_not_count),
		cmocka_unit_test(no_lead_is_much_better),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
