/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One of three parties that share a file by mmap(MAP_SHARED): store a word in
 * one's own slot, and wait until the others' words are there. With SECONDS they
 * then pass a ball round, each by one store, until party 0 has done so for that
 * long. Between machines that works only when all of them map the same memory:
 * nothing is written or read, no request is sent. A guest shows that: it counts
 * the interrupts of its virtio-fs devices, of which each answer needs one.
 *
 * Usage: three FILE SLOT WORD [SECONDS]. Each slot is 64 bytes; three slots, then
 * the ball. Exit status 0 when all words were seen, and the ball ended; 1 after
 * five minutes without.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PARTIES 3
#define PATIENCE_S 300	/* another guest may still be booting on a busy host */
#define OVER (1U << 31)

struct slot {
	atomic_int stored;	/* set last, release */
	char word[60];
};

struct shared {
	struct slot slots[PARTIES];
	atomic_uint ball;	/* passes so far: that of them modulo PARTIES has it; or OVER */
};

static int all_stored(struct shared *shared)
{
	for (int i = 0; i < PARTIES; i++)
		if (!atomic_load_explicit(&shared->slots[i].stored, memory_order_acquire))
			return 0;
	return 1;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* There is no event to wait for: a store in another machine wakes nothing here. */
static int wait_for_all(struct shared *shared)
{
	double end = now() + PATIENCE_S;

	while (!all_stored(shared)) {
		if (now() > end)
			return 0;
		sched_yield();
	}
	return 1;
}

/* Interrupts so far of the queues that carry FUSE requests, on all processors; -1 where none is listed. */
static long interrupts(void)
{
	FILE *file = fopen("/proc/interrupts", "re");
	char line[4096];
	long sum = 0;
	int found = 0;

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		char *at = strchr(line, ':'), *end;

		if (!at || !strstr(line, "request"))
			continue;
		for (at++; sum += strtol(at, &end, 10), end != at; at = end)
			;
		found = 1;
	}
	fclose(file);
	return found ? sum : -1;
}

/* Passes it on whenever it comes, until party 0's time is up. Returns how often, -1 when it never ended. */
static long pass_ball(struct shared *shared, unsigned int own, double seconds)
{
	double end = now() + (own == 0 ? seconds : PATIENCE_S);
	long passes = 0;

	for (;;) {
		unsigned int ball = atomic_load_explicit(&shared->ball, memory_order_acquire);
		int late = now() > end;

		if (ball & OVER)
			return passes;
		if (own != 0 && late)
			return -1;
		if (ball % PARTIES != own) {
			sched_yield();
			continue;
		}
		atomic_store_explicit(&shared->ball, own == 0 && late ? OVER : ball + 1, memory_order_release);
		passes++;
	}
}

static int play(struct shared *shared, unsigned int own, const char *name, double seconds)
{
	long before = interrupts(), passes = pass_ball(shared, own, seconds), after = interrupts();

	if (passes < 0) {
		fprintf(stderr, "%s: the ball stayed away\n", name);
		return 1;
	}
	if (own == 0)
		printf("%s: the ball went round %ld times in %.0f s\n", name, passes, seconds);
	else if (before < 0)
		printf("%s: passed the ball %ld times\n", name, passes);
	else
		printf("%s: passed the ball %ld times; interrupts from its shares meanwhile: %ld\n", name, passes,
		       after - before);
	return 0;
}

int main(int argc, char **argv)
{
	struct shared *shared;
	int fd, own;

	if ((argc != 4 && argc != 5) || (own = atoi(argv[2])) < 0 || own >= PARTIES) {
		fprintf(stderr, "usage: three FILE SLOT WORD [SECONDS]\n");
		return 2;
	}
	fd = open(argv[1], O_RDWR);
	shared = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED) {
		perror(argv[1]);
		return 1;
	}
	snprintf(shared->slots[own].word, sizeof(shared->slots[own].word), "%s", argv[3]);
	atomic_store_explicit(&shared->slots[own].stored, 1, memory_order_release);
	if (!wait_for_all(shared)) {
		fprintf(stderr, "%s: the others' stores did not appear\n", argv[3]);
		return 1;
	}
	printf("%s sees: %s, %s, %s\n", argv[3], shared->slots[0].word, shared->slots[1].word, shared->slots[2].word);
	return argc == 5 ? play(shared, own, argv[3], atof(argv[4])) : 0;
}
