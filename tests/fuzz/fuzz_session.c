/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole vhost-user session with descriptors, guest memory and queue threads:
 * messages out of the input, then the end of the stream. The session must end,
 * answer in vhost-user's form, and leave no descriptor open.
 *
 * The input: how many messages (a byte); each message is a request number, a
 * byte of flags, a byte of descriptors (how many, and the first of PALETTE),
 * the payload's size, the payload. What is left fills guest memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/transport/sigbus.h"
#include "daemon/transport/vu_session.h"
#include "tests/fuzz/fds.h"
#include "tests/fuzz/fuzz.h"

#define MESSAGES_MAX 40
#define PAYLOAD_MAX 320
#define RAM 0x10000u
#define PALETTE 6u
#define TOUCHED_MAX 65536u

/* Descriptors that messages may carry: memory, a kick, a channel, and what is none of them. */
struct palette {
	int fds[PALETTE];
	int channel_peer;
};

static void palette_open(struct palette *p, const struct fuzz_bytes *rest)
{
	int pair[2];
	void *ram;

	p->fds[0] = memfd_create("ram", MFD_CLOEXEC);
	p->fds[1] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->fds[0] < 0 || ftruncate(p->fds[0], RAM) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	p->fds[2] = pair[0];
	p->channel_peer = pair[1];
	p->fds[3] = open("/dev/null", O_RDWR | O_CLOEXEC);
	p->fds[4] = memfd_create("small", MFD_CLOEXEC);
	p->fds[5] = open("/", O_PATH | O_CLOEXEC);
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, p->fds[0], 0);
	if (ram == MAP_FAILED)
		abort();
	memcpy(ram, rest->at, MIN(rest->left, RAM));
	munmap(ram, RAM);
}

static void palette_close(struct palette *p)
{
	for (unsigned int i = 0; i < PALETTE; i++)
		close_fd(&p->fds[i]);
	close_fd(&p->channel_peer);
}

/* One message of the input. */
struct told {
	struct vhost_user_header header;
	uint8_t payload[PAYLOAD_MAX];
	unsigned int n_fds, first_fd;
};

static void told_take(struct fuzz_bytes *bytes, struct told *told)
{
	uint8_t flags, fds;
	size_t size;

	told->header.request = fuzz_u8(bytes);
	flags = fuzz_u8(bytes);
	fds = fuzz_u8(bytes);
	size = fuzz_u16(bytes) % PAYLOAD_MAX;
	/* Mostly as they should be. */
	told->header.flags = flags ? flags : VHOST_USER_VERSION | VHOST_USER_NEED_REPLY;
	told->n_fds = fds % (VHOST_USER_MAX_FDS + 2);
	told->first_fd = fds / 16;
	told->header.size = (uint32_t)(flags & 0x80 ? size * 0x01010101u : size);
	memset(told->payload, 0, sizeof(told->payload));
	size = MIN(size, bytes->left);
	memcpy(told->payload, bytes->at, size);
	bytes->at += size;
	bytes->left -= size;
}

static void told_send(int sock, const struct told *told, const struct palette *p)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE((VHOST_USER_MAX_FDS + 2) * sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)&told->header, sizeof(told->header) },
		{ (void *)(uintptr_t)told->payload, MIN(told->header.size, PAYLOAD_MAX) },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	int fds[VHOST_USER_MAX_FDS + 2];

	for (unsigned int i = 0; i < told->n_fds; i++)
		fds[i] = p->fds[told->n_fds == 1 ? told->first_fd % PALETTE : (told->first_fd + i) % PALETTE];
	if (told->n_fds) {
		struct cmsghdr *cmsg = &control.align;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(told->n_fds * sizeof(int));
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(told->n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, told->n_fds * sizeof(int));
	}
	if (sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
		FUZZ_CHECK(0, "sendmsg: %m");
}

/* ---- what the session needs of the layers above ---- */

/* A request that waits: what it answers, and where. */
struct place {
	uint8_t first;
	bool detached;
	size_t room;
	struct iov_cursor out;
};

static int place_new(void *ctx, void **place)
{
	(void)ctx;
	*place = malloc(sizeof(struct place));
	return *place ? 0 : -ENOMEM;
}

static void place_free(void *place)
{
	free(place);
}

static long resume(void *arg, long what)
{
	struct place *place = arg;
	size_t room = place->room;

	(void)what;
	if (place->detached)
		return room ? (long)room : REQUEST_NO_REPLY;
	while (iov_cursor_write(&place->out, &place->first, 1))
		continue;
	return room ? (long)room : REQUEST_NO_REPLY;
}

static long refuse(void *place)
{
	return resume(place, 0);
}

static int detach(void *arg)
{
	struct place *place = arg;

	place->detached = true;
	return 0;
}

static long fetch(void *arg, struct iov_cursor *out, long written)
{
	struct place *place = arg;

	if (!place->detached)
		return written;
	iov_cursor_limit(out, TOUCHED_MAX);
	while (iov_cursor_write(out, &place->first, 1))
		continue;
	return written;
}

static uint64_t key(void *arg)
{
	const struct place *place = arg;

	return place->first;
}

/*
 * Touches what it is given, as far as a FUSE request would go (behind a file that
 * is too short each page costs a signal); what it does then, the request says.
 */
static long handle(void *arg, struct iov_cursor *in, struct iov_cursor *out)
{
	struct place *place = arg;
	uint8_t byte;

	iov_cursor_limit(in, TOUCHED_MAX);
	iov_cursor_limit(out, TOUCHED_MAX);
	*place = (struct place){ .room = out->left, .out = *out };
	iov_cursor_read(in, &place->first, 1);
	while (iov_cursor_read(in, &byte, 1))
		continue;
	if (place->first == 1)
		return REQUEST_WAITS_DISK;
	if (place->first == 2)
		return REQUEST_WAITS_LOCK;
	if (place->first == 3)
		return REQUEST_WAITS_OTHERS;
	return resume(place, 0);
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static void no_reset(void *ctx, bool left)
{
	(void)ctx;
	(void)left;
}

/* Every answer is one of ours: version 1, a reply, as long as it says. */
static void check_answers(int sock)
{
	struct vhost_user_header header;
	char payload[sizeof(union vhost_user_payload)];
	ssize_t n;

	while ((n = recv(sock, &header, sizeof(header), MSG_WAITALL | MSG_DONTWAIT)) > 0) {
		FUZZ_CHECK(n == sizeof(header), "%zd", n);
		FUZZ_CHECK(header.flags == (VHOST_USER_VERSION | VHOST_USER_REPLY), "flags %#x", header.flags);
		FUZZ_CHECK(header.size <= sizeof(payload), "size %u", header.size);
		n = header.size ? recv(sock, payload, header.size, MSG_WAITALL | MSG_DONTWAIT) : 0;
		FUZZ_CHECK(n == (ssize_t)header.size, "%zd of %u", n, header.size);
	}
}

static void run_session(int sock)
{
	static struct vu_device device = { .has_config = true, .shmem = { .nregions = 1, .sizes = { 2u << 20 } } };
	static const struct job_pool_limits limits = {
		.threads = 2, .threads_per_key = 1, .jobs = 8, .what = "nothing",
	};
	static struct request_ops ops = {
		.place_new = place_new, .place_free = place_free, .handle = handle, .resume = resume,
		.refuse = refuse, .detach = detach, .fetch = fetch, .key = key,
		.reset = no_reset, .wake = nothing, .pool_threads = 1,
	};
	static const struct vu_bystander nobody = { .fd = -1 };
	struct vu_backend backend;
	struct vu_session *session;

	vu_backend_init(&backend);
	if (!ops.locks && (job_pool_new(&ops, &limits, &ops.locks) || job_pool_new(&ops, &limits, &ops.others)))
		abort();
	if (vu_session_new(&device, &ops, &backend, sock, &session))
		abort();
	(void)vu_session_run(session, -1, &nobody);
	vu_session_free(session);
	vu_backend_destroy(&backend);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int buffer = 1 << 20;
	struct told told[MESSAGES_MAX];
	struct fuzz_bytes bytes = { data, size };
	unsigned int n = fuzz_u8(&bytes) % MESSAGES_MAX, open_before;
	struct palette palette;
	int pair[2];

	log_setup("fuzz_session", LOG_LEVEL_OFF);
	sigbus_setup();
	open_before = count_fds();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	for (unsigned int i = 0; i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	for (unsigned int i = 0; i < n; i++)
		told_take(&bytes, &told[i]);
	palette_open(&palette, &bytes);
	for (unsigned int i = 0; i < n; i++)
		told_send(pair[0], &told[i], &palette);
	palette_close(&palette);
	shutdown(pair[0], SHUT_WR);
	run_session(pair[1]);
	close(pair[1]);
	check_answers(pair[0]);
	close(pair[0]);
	FUZZ_CHECK(count_fds() == open_before, "%u descriptors, %u before", count_fds(), open_before);
	return 0;
}

/* ---- mutation ---- */

#define HEAD 5		/* bytes of a message before its payload */

/* Messages of an honest front end; `fds` counts to one (modulo 10) with the palette's number above. */
struct honest {
	uint8_t request, fds;
	uint16_t size;
	uint64_t payload[5];
};

#define STATE(index, num) { (uint64_t)(num) << 32 | (index) }

static const struct honest honest[] = {
	{ VHOST_USER_SET_OWNER, 0, 0, { 0 } },
	{ VHOST_USER_GET_FEATURES, 0, 0, { 0 } },
	{ VHOST_USER_SET_FEATURES, 0, 8, { 1ull << 32 | 1u << 28 | 1u << 29 | 1u << 30 } },
	{ VHOST_USER_GET_PROTOCOL_FEATURES, 0, 0, { 0 } },
	{ VHOST_USER_SET_PROTOCOL_FEATURES, 0, 8, { 1u << 0 | 1u << 3 | 1u << 5 | 1u << 9 | 1u << 15 | 1u << 22 } },
	{ VHOST_USER_GET_QUEUE_NUM, 0, 0, { 0 } },
	{ VHOST_USER_SET_BACKEND_REQ_FD, 41, 0, { 0 } },
	{ VHOST_USER_ADD_MEM_REG, 1, 40, { 0, 0, RAM, 0x100000, 0 } },
	{ VHOST_USER_REM_MEM_REG, 0, 40, { 0, 0, RAM, 0x100000, 0 } },
	{ VHOST_USER_SET_MEM_TABLE, 1, 40, { 1, 0, RAM, 0x100000, 0 } },
	{ VHOST_USER_SET_VRING_NUM, 0, 8, STATE(1, 16) },
	{ VHOST_USER_SET_VRING_BASE, 0, 8, STATE(1, 0) },
	{ VHOST_USER_SET_VRING_ADDR, 0, 40, { 1, 0x100000, 0x100140, 0x100100, 0 } },
	{ VHOST_USER_SET_VRING_KICK, 21, 8, { 1 } },
	{ VHOST_USER_SET_VRING_CALL, 21, 8, { 1 } },
	{ VHOST_USER_SET_VRING_ERR, 21, 8, { 1 } },
	{ VHOST_USER_SET_VRING_ENABLE, 0, 8, STATE(1, 1) },
	{ VHOST_USER_GET_VRING_BASE, 0, 8, STATE(1, 0) },
	{ VHOST_USER_GET_CONFIG, 0, 12 + 40, { 40ull << 32, 0 } },
	{ VHOST_USER_GET_SHMEM_CONFIG, 0, 0, { 0 } },
	{ VHOST_USER_RESET_DEVICE, 0, 0, { 0 } },
};

static size_t write_honest(uint8_t *at, const struct honest *h)
{
	at[0] = h->request;
	at[1] = 0;
	at[2] = h->fds;
	at[3] = (uint8_t)h->size;
	at[4] = 0;
	memset(at + HEAD, 0, h->size);
	memcpy(at + HEAD, h->payload, MIN(h->size, sizeof(h->payload)));
	return HEAD + (size_t)h->size;
}

/* All honest messages in order, and a ring with one request in guest memory. */
static size_t write_session(uint8_t *data, size_t max)
{
	static const struct {
		struct {
			uint64_t addr;
			uint32_t len;
			uint16_t flags, next;
		} desc[16];
		struct {
			uint16_t flags, idx, ring[16];
		} avail;
	} ring = { { { 0x200, 56, 1, 1 }, { 0x300, 256, 2, 0 } }, { 0, 1, { 0 } } };
	size_t at = 1;

	if (max < 2048)
		return 0;
	data[0] = ARRAY_SIZE(honest) - 1;
	for (size_t i = 0; i < ARRAY_SIZE(honest) - 1; i++)
		at += write_honest(data + at, &honest[i]);
	memcpy(data + at, &ring, sizeof(ring));
	return at + sizeof(ring);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	size_t starts[MESSAGES_MAX + 1], at = 1, n = 0, where;
	uint8_t message[HEAD + 64];
	uint32_t random = seed;
	size_t length;

	if (size < 8 || fuzz_random(&random) % 64 == 0)
		return size < 8 && max >= 2048 ? write_session(data, max) : LLVMFuzzerMutate(data, size, max);
	while (n < data[0] % MESSAGES_MAX && at + HEAD <= size) {
		starts[n++] = at;
		at += HEAD + (data[at + 3] | data[at + 4] << 8) % PAYLOAD_MAX;
	}
	starts[n] = MIN(at, size);
	where = starts[fuzz_random(&random) % (n + 1)];
	switch (fuzz_random(&random) % 4) {
	case 0:
		length = write_honest(message, &honest[fuzz_random(&random) % ARRAY_SIZE(honest)]);
		if (n + 1 >= MESSAGES_MAX || length > max - size)
			break;
		memmove(data + where + length, data + where, size - where);
		memcpy(data + where, message, length);
		data[0] = (uint8_t)(n + 1);
		return size + length;
	case 1:	/* inside one message or, at the end, guest memory */
		length = MIN(fuzz_random(&random) % 64 + 1, size - MIN(where, size));
		if (length)
			LLVMFuzzerMutate(data + where, length, length);
		return size;
	}
	return LLVMFuzzerMutate(data, size, max);
}
