/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One of three parties that share a file by mmap(MAP_SHARED): store a word in
 * one's own slot, and wait until the others' words are there. Between machines
 * that works only when all of them map the same memory: nothing is written or
 * read, no request is sent.
 *
 * Usage: three FILE SLOT WORD. Each slot is 64 bytes; three slots. Exit status
 * 0 when all words were seen, 1 after a minute without.
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

struct slot {
	atomic_int stored;	/* set last, release */
	char word[60];
};

static int all_stored(struct slot *slots)
{
	for (int i = 0; i < PARTIES; i++)
		if (!atomic_load_explicit(&slots[i].stored, memory_order_acquire))
			return 0;
	return 1;
}

/* There is no event to wait for: a store in another machine wakes nobody. */
static int wait_for_all(struct slot *slots)
{
	time_t end = time(NULL) + PATIENCE_S;

	while (!all_stored(slots)) {
		if (time(NULL) > end)
			return 0;
		sched_yield();
	}
	return 1;
}

int main(int argc, char **argv)
{
	struct slot *slots;
	int fd, own;

	if (argc != 4 || (own = atoi(argv[2])) < 0 || own >= PARTIES) {
		fprintf(stderr, "usage: three FILE SLOT WORD\n");
		return 2;
	}
	fd = open(argv[1], O_RDWR);
	slots = fd < 0 ? MAP_FAILED : mmap(NULL, PARTIES * sizeof(*slots), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (slots == MAP_FAILED) {
		perror(argv[1]);
		return 1;
	}
	snprintf(slots[own].word, sizeof(slots[own].word), "%s", argv[3]);
	atomic_store_explicit(&slots[own].stored, 1, memory_order_release);
	if (!wait_for_all(slots)) {
		fprintf(stderr, "%s: the others' stores did not appear\n", argv[3]);
		return 1;
	}
	printf("%s sees: %s, %s, %s\n", argv[3], slots[0].word, slots[1].word, slots[2].word);
	return 0;
}
