/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drives a fuzz target without libFuzzer, by the ordinary compiler: each file of
 * the corpus, then a fixed number of changes to it, from a fixed seed. So what a
 * fuzzer once found stays found, in every `make check`.
 *
 * Usage: TARGET CHANGES FOLDER...
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 4096

#pragma weak LLVMFuzzerCustomMutator

static uint32_t seed = 1;
static unsigned long files, changed;

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
	unsigned int n = 1 + fuzz_random(&seed) % 4;

	if (size < max && fuzz_random(&seed) % 4 == 0)
		data[size++] = (uint8_t)fuzz_random(&seed);
	while (size && n--)
		data[fuzz_random(&seed) % size] = (uint8_t)fuzz_random(&seed);
	if (size > 1 && fuzz_random(&seed) % 8 == 0)
		size = 1 + fuzz_random(&seed) % size;
	return size;
}

static size_t mutate(uint8_t *data, size_t size)
{
	if (LLVMFuzzerCustomMutator)
		return LLVMFuzzerCustomMutator(data, size, INPUT_MAX, fuzz_random(&seed));
	return LLVMFuzzerMutate(data, size, INPUT_MAX);
}

/* A copy of exactly the input's size, so that a sanitizer sees a byte too far. */
static void run_once(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_input(uint8_t *data, size_t size, unsigned int changes)
{
	run_once(data, size);
	files++;
	for (; changes--; changed++) {
		size = mutate(data, size);
		run_once(data, size);
	}
}

static int run_folder(const char *folder, unsigned int changes)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	if (!dir)
		return -1;
	while ((entry = readdir(dir))) {
		uint8_t data[INPUT_MAX];
		cleanup_close int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, data, sizeof(data));

		if (n >= 0)
			run_input(data, (size_t)n, changes);
	}
	closedir(dir);
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t empty[INPUT_MAX] = { 0 };

	for (int i = 2; i < argc; i++) {
		if (run_folder(argv[i], (unsigned int)atoi(argv[1]))) {
			fprintf(stderr, "%s: cannot read %s\n", argv[0], argv[i]);
			return 2;
		}
	}
	run_input(empty, 0, 100);
	printf("%lu inputs, %lu changes to them\n", files, changed);
	return files > 1 ? 0 : 1;
}
