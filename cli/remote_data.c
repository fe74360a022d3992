/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * File data to and from a share, several requests in flight; see remote.h. The
 * blocks form a ring: they are sent and used in order, whatever completes first.
 */
#include "cli/remote.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/checked.h"

struct block {
	struct casement_request request;
	union {
		struct fuse_read_in read;
		struct fuse_write_in write;
	} body;
	struct fuse_write_out written;
	struct iovec in[2], out;
	bool done;
};

struct remote_stream {
	struct remote *remote;
	uint64_t node, fh;
	struct block blocks[REMOTE_BLOCKS];
	unsigned int first, n;		/* those in flight, in the order of their offsets */
};

int remote_stream_new(struct remote *remote)
{
	remote->stream = calloc(1, sizeof(*remote->stream));
	return remote->stream ? 0 : -ENOMEM;
}

void remote_stream_free(struct remote *remote)
{
	free(remote->stream);
}

static struct remote_stream *begin(struct remote *remote, uint64_t node, uint64_t fh)
{
	struct remote_stream *stream = remote->stream;

	*stream = (struct remote_stream){ .remote = remote, .node = node, .fh = fh };
	return stream;
}

static int send_block(struct remote_stream *stream, struct block *block)
{
	int taken;

	block->done = false;
	block->request.user = block;
	taken = casement_submit(stream->remote->queue, &block->request, 1);
	if (taken <= 0)
		return taken ? taken : -EBUSY;
	stream->n++;
	return 0;
}

static int send_read(struct remote_stream *stream, uint64_t offset)
{
	unsigned int i = (stream->first + stream->n) % REMOTE_BLOCKS;
	struct block *block = &stream->blocks[i];
	uint32_t size = stream->remote->max_read;

	block->body.read = (struct fuse_read_in){ .fh = stream->fh, .offset = offset, .size = size };
	block->in[0] = (struct iovec){ &block->body.read, sizeof(block->body.read) };
	block->out = (struct iovec){ stream->remote->blocks[i], size };
	block->request = (struct casement_request){
		.opcode = FUSE_READ, .nodeid = stream->node,
		.in = block->in, .n_in = 1, .out = &block->out, .n_out = 1,
	};
	return send_block(stream, block);
}

/* `size` bytes are in the next block. */
static int send_write(struct remote_stream *stream, uint64_t offset, size_t size)
{
	unsigned int i = (stream->first + stream->n) % REMOTE_BLOCKS;
	struct block *block = &stream->blocks[i];

	block->body.write = (struct fuse_write_in){ .fh = stream->fh, .offset = offset,
						    .size = (uint32_t)size };
	block->in[0] = (struct iovec){ &block->body.write, sizeof(block->body.write) };
	block->in[1] = (struct iovec){ stream->remote->blocks[i], size };
	block->out = (struct iovec){ &block->written, sizeof(block->written) };
	block->request = (struct casement_request){
		.opcode = FUSE_WRITE, .nodeid = stream->node,
		.in = block->in, .n_in = 2, .out = &block->out, .n_out = 1,
	};
	return send_block(stream, block);
}

/* Wait for the first block in order; it leaves the ring. Its result is in *result. */
static int take_first(struct remote_stream *stream, struct block **block, ssize_t *result)
{
	struct casement_request *done[REMOTE_BLOCKS];

	*block = &stream->blocks[stream->first];
	while (!(*block)->done) {
		int n = casement_complete(stream->remote->queue, done, REMOTE_BLOCKS, -1);

		if (n < 0)
			return n;
		for (int i = 0; i < n; i++)
			((struct block *)done[i]->user)->done = true;
	}
	*result = (*block)->request.result;
	stream->first = (stream->first + 1) % REMOTE_BLOCKS;
	stream->n--;
	return 0;
}

/*
 * The next stream begins with nothing in flight: where something stays there the connection has ended,
 * and nothing is read into these blocks, or believed of them, any more.
 */
static int drain(struct remote_stream *stream, int err)
{
	struct block *block;
	ssize_t result;

	while (stream->n && !take_first(stream, &block, &result))
		;
	return err;
}

int remote_read_all(struct remote *remote, uint64_t node, uint64_t fh, remote_sink sink,
		    void *user)
{
	struct remote_stream *stream = begin(remote, node, fh);
	unsigned int ahead = 1;		/* most files end in their first block */
	uint64_t asked = 0, offset = 0;
	ssize_t n = remote->max_read;
	struct block *block;
	int err = 0;

	for (; !err && n == (ssize_t)remote->max_read; ahead = REMOTE_BLOCKS) {
		for (; !err && stream->n < ahead; asked += remote->max_read)
			err = send_read(stream, asked);
		if (!err)
			err = take_first(stream, &block, &n);
		if (!err && n < 0)
			err = (int)n;
		if (!err && n)
			err = sink(user, offset, block->out.iov_base, (size_t)n);
		offset += n > 0 ? (uint64_t)n : 0;
	}
	return drain(stream, err);
}

/* What a WRITE left over, as on a disk that is nearly full. */
static int write_rest(struct remote_stream *stream, const struct block *block, size_t done)
{
	const char *data = block->in[1].iov_base;

	while (done < block->body.write.size) {
		ssize_t n = casement_write(stream->remote->queue, stream->node, stream->fh,
					   block->body.write.offset + done, data + done,
					   block->body.write.size - done);

		if (n <= 0)
			return n ? (int)n : -EIO;
		done += (size_t)n;
	}
	return 0;
}

static int take_write(struct remote_stream *stream)
{
	struct block *block;
	ssize_t result;
	int err = take_first(stream, &block, &result);

	if (err)
		return err;
	if (result < 0)
		return (int)result;
	if (result != sizeof(block->written) || block->written.size > block->body.write.size)
		return -EPROTO;
	return write_rest(stream, block, block->written.size);
}

int remote_write_all(struct remote *remote, uint64_t node, uint64_t fh, remote_source source,
		     void *user)
{
	struct remote_stream *stream = begin(remote, node, fh);
	uint64_t offset = 0;
	ssize_t n = 1;
	int err = 0;

	while (!err && n) {
		if (stream->n == REMOTE_BLOCKS)
			err = take_write(stream);
		if (err)
			break;
		n = source(user, offset, remote->blocks[(stream->first + stream->n) % REMOTE_BLOCKS],
			   remote->max_write);
		if (n < 0)
			err = (int)n;
		else if (n)
			err = send_write(stream, offset, (size_t)n);
		offset += n > 0 ? (uint64_t)n : 0;
	}
	while (!err && stream->n)
		err = take_write(stream);
	return drain(stream, err);
}
