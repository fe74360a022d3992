/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine; see bench_run.h. A clock is read once a batch of answers, not
 * once a request: where answers come in batches, so would a guest see them.
 */
#include "cli/bench_run.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/bench_count.h"
#include "cli/bench_fault.h"
#include "cli/bench_stop.h"
#include "common/checked.h"
#include "common/clock.h"
#include "common/log.h"

#define BATCH_MAX 256u
#define LOCAL_ROUND 16u			/* operations between two looks at the clock */
#define COUNTED_NS 100000000u
#define COUNTED_TRIES 3
#define COUNTED_SLACK 20u		/* a counter that is read later than a twentieth of the run does not count */
#define LATEST 100u			/* a run without an operation ends after 100 times its length */
#define NAP_NS 50000000u

/* What a queue's thread knows. */
struct runner {
	struct bench_target *target;
	const struct bench_row *row;
	const struct bench_how *how;
	struct casement_queue *queue;
	struct bench_lane **lanes;	/* row->depth of them */
	unsigned int index;
	uint64_t begin, end;		/* [I] of what counts; CLOCK_MONOTONIC, ns */
	uint64_t until;			/* where that ends for this thread: `end`, or the first operation after it */
	uint64_t ops, bytes;		/* within it */
	struct bench_hist hist;
	int err;
	pthread_t thread;
	bool started;
};

static bool counts(const struct runner *runner, uint64_t now)
{
	return now >= runner->begin && now < runner->until;
}

/* On a busy host all of the time may pass without us: then the first operation counts, however late. */
static void wait_for_the_first(struct runner *runner, uint64_t now)
{
	if (now >= runner->until && !runner->ops && now < runner->begin + LATEST * runner->how->run_ns)
		runner->until = now + 1;
}

/* An answer came: account for it. */
static int take(struct runner *runner, struct bench_lane *lane, uint64_t now)
{
	const struct bench_work *work = runner->row->work;
	uint64_t bytes = lane->bytes;
	int n = work->take(lane);

	if (n < 0) {
		log_error("%s: %s: request %u of %s: %s", runner->target->socket, work->name,
			  lane->step, work->unit, strerror(-n));
		return n;
	}
	if (counts(runner, now)) {
		runner->ops += (unsigned int)n;
		runner->bytes += lane->bytes - bytes;
		if (work->each)
			hist_add(&runner->hist, now - lane->began, 1);
		else if (!lane->step && n)
			hist_add(&runner->hist, now - lane->began, 1);
	}
	if (!lane->step || work->each)
		lane->began = 0;
	lane->turn += !lane->step;
	if (!lane->forget)
		return 0;
	n = target_forget(runner->target, lane->forget);
	lane->forget = 0;
	if (n && n != -ECANCELED && !runner->err)
		log_error("%s: a node cannot be given back: %s", runner->target->socket, casement_error());
	return n;
}

/* Send the next request of each lane. */
static int send(struct runner *runner, struct casement_request **requests, unsigned int n, uint64_t now)
{
	for (unsigned int i = 0; i < n; i++) {
		struct bench_lane *lane = requests[i]->user;

		if (!lane->began)
			lane->began = now;
		runner->row->work->ask(lane);
	}
	if (casement_submit_each(runner->queue, requests, n) == (int)n)
		return 0;
	if (!runner->err)
		log_error("%s: the queue does not take %u requests", runner->target->socket, n);
	return runner->err ? runner->err : -EAGAIN;
}

/* At least one answer, at most how->batch. Their number, or -errno, logged. */
static int receive(struct runner *runner, struct casement_request **done)
{
	int n = casement_complete(runner->queue, done, runner->how->batch, -1);

	if (n < 0 && n != -ECANCELED)
		log_error("%s: no answer: %s", runner->target->socket, casement_error());
	return n;
}

static bool is_over(const struct runner *runner, uint64_t now)
{
	return now >= runner->until || runner->err ||
	       atomic_load_explicit(&runner->target->failed, memory_order_relaxed) ||
	       atomic_load_explicit(runner->how->stop, memory_order_relaxed);
}

/* Account for answers; keep, in place, those of lanes that are to go on. How many. */
static unsigned int take_all(struct runner *runner, struct casement_request **done, unsigned int n,
			     uint64_t now)
{
	unsigned int kept = 0;
	bool over;

	wait_for_the_first(runner, now);
	over = is_over(runner, now);
	for (unsigned int i = 0; i < n; i++) {
		struct bench_lane *lane = done[i]->user;
		int err = take(runner, lane, now);

		runner->err = runner->err ? runner->err : err;
		/* An operation that was begun is finished, so that it leaves nothing behind. */
		if (!err && (!over || lane->step))
			done[kept++] = done[i];
	}
	return kept;
}

static void run_requests(struct runner *runner)
{
	struct casement_request *batch[BATCH_MAX];
	unsigned int flying = runner->row->depth, n = flying;
	uint64_t now = clock_ns();

	for (unsigned int i = 0; i < n; i++)
		batch[i] = &runner->lanes[i]->request;
	while (flying) {
		int err = send(runner, batch, n, now), got = err ? err : receive(runner, batch);

		if (got < 0) {
			runner->err = got;
			return;
		}
		stop_grant();
		now = clock_ns();
		n = take_all(runner, batch, (unsigned int)got, now);
		flying -= (unsigned int)got - n;
	}
}

static void touch_all(void *arg)
{
	struct runner *runner = arg;
	struct bench_lane *lane = runner->lanes[0];
	uint64_t before = clock_ns(), now = before;

	while (!is_over(runner, now)) {
		uint64_t bytes = 0;

		for (unsigned int i = 0; i < LOCAL_ROUND; i++)
			bytes += runner->row->work->touch(lane);
		now = clock_ns();
		wait_for_the_first(runner, now);
		if (counts(runner, now)) {
			hist_add(&runner->hist, (now - before) / LOCAL_ROUND, LOCAL_ROUND);
			runner->ops += LOCAL_ROUND;
			runner->bytes += bytes;
		}
		before = now;
	}
}

static void run_touches(struct runner *runner)
{
	const struct bench_tree *tree = &runner->target->tree;

	if (fault_try(tree->window, tree->window_size, touch_all, runner))
		return;
	log_error("%s: %s: a load from the window failed: its file was cut, or the range is not mapped",
		  runner->target->socket, runner->row->work->name);
	runner->err = -EIO;
}

static void pin(const struct bench_how *how, unsigned int index)
{
	cpu_set_t set;

	if (!how->n_cpus)
		return;
	CPU_ZERO(&set);
	CPU_SET(how->cpus[index % how->n_cpus], &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *runner_main(void *arg)
{
	struct runner *runner = arg;
	const struct bench_work *work = runner->row->work;

	pin(runner->how, runner->index);
	for (unsigned int i = 0; i < runner->row->depth; i++) {
		struct bench_lane *lane = runner->lanes[i];

		lane->work = work;
		lane->block = runner->row->block;
		lane->lanes = runner->target->queues * runner->row->depth;
		lane->step = 0;
		lane->began = 0;
		lane->request.user = lane;
		if (work->begin)
			work->begin(lane);
	}
	if (work->touch)
		run_touches(runner);
	else
		run_requests(runner);
	if (runner->err)
		atomic_store_explicit(&runner->target->failed, true, memory_order_relaxed);
	return NULL;
}

/* In naps, as a signal may come to any thread, and an error from any queue. */
static void sleep_until(const struct bench_how *how, struct bench_target *target, uint64_t when)
{
	while (!atomic_load(how->stop) && clock_ns() < when &&
	       !atomic_load_explicit(&target->failed, memory_order_relaxed)) {
		uint64_t nap = MIN(when, clock_ns() + NAP_NS);
		struct timespec ts = {
			.tv_sec = (time_t)(nap / 1000000000u), .tv_nsec = (long)(nap % 1000000000u),
		};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	}
}

static int start(struct runner *runners, struct bench_target *target, const struct bench_row *row,
		 const struct bench_how *how)
{
	uint64_t begin = clock_ns() + how->warm_ns;
	int err = 0;

	atomic_store_explicit(&target->failed, false, memory_order_relaxed);
	for (unsigned int i = 0; i < target->queues && !err; i++) {
		struct runner *runner = &runners[i];

		runner->target = target;
		runner->row = row;
		runner->how = how;
		runner->queue = casement_request_queue(target->client, i);
		runner->lanes = target->lanes + (size_t)i * target->depth_max;
		runner->index = i;
		runner->begin = begin;
		runner->end = runner->until = begin + how->run_ns;
		err = -pthread_create(&runner->thread, NULL, runner_main, runner);
		runner->started = !err;
	}
	if (err)
		atomic_store_explicit(&target->failed, true, memory_order_relaxed);
	return err;
}

/* Wait for all; put the sums, and the latest end, into the first. 0, or the first error. */
static int finish(struct runner *runners, unsigned int n, const struct bench_how *how)
{
	int err = 0;

	for (unsigned int i = 0; i < n && runners[i].started; i++) {
		pthread_join(runners[i].thread, NULL);
		err = err ? err : runners[i].err;
		if (!i)
			continue;
		runners[0].ops += runners[i].ops;
		runners[0].bytes += runners[i].bytes;
		runners[0].until = MAX(runners[0].until, runners[i].until);
		hist_merge(&runners[0].hist, &runners[i].hist);
	}
	return !err && atomic_load(how->stop) ? -ECANCELED : err;
}

int bench_run(struct bench_target *target, const struct bench_row *row,
	      const struct bench_how *how, struct bench_result *result)
{
	struct runner *runners = calloc(target->queues, sizeof(*runners));
	double seconds;
	uint64_t cpu;
	int err;

	if (!runners)
		return -ENOMEM;
	err = start(runners, target, row, how);
	sleep_until(how, target, runners[0].begin);
	cpu = count_cpu_ns(target->pid);
	sleep_until(how, target, runners[0].end);
	cpu = count_cpu_ns(target->pid) - cpu;
	err = finish(runners, target->queues, how) ?: err;
	seconds = (double)(runners->until - runners->begin) / 1e9;
	*result = (struct bench_result){
		.ops = (double)runners->ops / seconds,
		.mib = (double)runners->bytes / seconds / (1 << 20),
		.p50 = hist_percentile(&runners->hist, 0.5) / 1000,
		.p99 = hist_percentile(&runners->hist, 0.99) / 1000,
		.p999 = hist_percentile(&runners->hist, 0.999) / 1000,
		.calls = RUN_NOT_COUNTED,
		.cpu = runners->ops ? (double)cpu / 1000 / (double)runners->ops : 0,
	};
	free(runners);
	if (!err && !result->ops) {
		log_error("%s: %s: nothing done in the time given; give a longer --time",
			  target->socket, row->work->name);
		err = -ETIME;
	}
	return err;
}

int bench_run_local(struct bench_local *local, const struct bench_row *row,
		    const struct bench_how *how, struct bench_result *result)
{
	uint64_t begin = clock_ns() + how->warm_ns, end = begin + how->run_ns, first = 0, now, ops = 0;
	unsigned int rounds = row->block < 65536 ? LOCAL_ROUND : 1;
	const struct bench_work *work = row->work;

	if (!work->local)
		return -EOPNOTSUPP;
	pin(how, 0);
	local->block = row->block;
	local->offset = 0;
	while (((now = clock_ns()) < end || !first || !ops) && !atomic_load_explicit(how->stop, memory_order_relaxed)) {
		if (now >= begin && !first) {
			first = now;
			ops = 0;
		}
		/* What takes long, or does much at once, leaves no room for a round of it. */
		for (unsigned int i = 0, n = 0; i < rounds && n < 2; i++) {
			int done = work->local(local);

			if (done < 0) {
				log_error("%s on the host itself: %s", work->name, strerror(-done));
				return done;
			}
			n = (unsigned int)done;
			ops += n;
		}
	}
	*result = (struct bench_result){ .calls = RUN_NOT_COUNTED };
	result->ops = first && now > first ? (double)ops / ((double)(now - first) / 1e9) : 0;
	if (work->moves_blocks)
		result->mib = result->ops * (double)row->block / (1 << 20);
	return atomic_load(how->stop) ? -ECANCELED : 0;
}

/* What was to be done at `when` is done now: soon enough for a run of this length? */
static bool is_in_time(uint64_t when, const struct bench_how *how)
{
	return clock_ns() < when + how->run_ns / COUNTED_SLACK;
}

/* One run under `counter`. RUN_NOT_COUNTED when nothing got done in it, or the counter was read late. */
static double count_once(struct bench_target *target, const struct bench_row *row,
			 const struct bench_how *how, const struct bench_counter *counter)
{
	struct runner *runners = calloc(target->queues, sizeof(*runners));
	double calls = RUN_NOT_COUNTED;
	uint64_t before, after;
	bool in_time;

	if (!runners)
		return calls;
	start(runners, target, row, how);
	sleep_until(how, target, runners[0].begin);
	before = count_read(counter);
	in_time = is_in_time(runners[0].begin, how);
	sleep_until(how, target, runners[0].end);
	after = count_read(counter);
	in_time = in_time && is_in_time(runners[0].end, how);
	if (!finish(runners, target->queues, how) && runners->ops && in_time && runners->until == runners->end)
		calls = (double)(after - before) / (double)runners->ops;
	free(runners);
	return calls;
}

double bench_run_counted(struct bench_target *target, const struct bench_row *row,
			 const struct bench_how *how)
{
	struct bench_how longer = *how;
	struct bench_counter counter;
	double calls = RUN_NOT_COUNTED;

	if (row->work->touch || !target->pid || count_open(&counter, target->pid))
		return RUN_NOT_COUNTED;
	longer.run_ns = COUNTED_NS;
	/* On a busy host a short time may pass without us. */
	for (int i = 0; i < COUNTED_TRIES && calls == RUN_NOT_COUNTED; i++, longer.run_ns *= 4)
		calls = count_once(target, row, &longer, &counter);
	count_close(&counter);
	return calls;
}
