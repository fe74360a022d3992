/* SPDX-License-Identifier: BSD-3-Clause */
/* FIFOs, sockets and devices: they work, and are the guest's own, not the host's. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/posix/check.h"
#include "tests/posix/steps.h"

static const struct step steps[] = {
	{ "mkfifo", ME, op_mknod, "fifo", NULL, S_IFIFO | 0640, 0 },
	{ "fifo-type", ME, op_type, "fifo", NULL, 0, S_IFIFO },
	{ "fifo-mode", ME, op_mode, "fifo", NULL, 0, 0640 },
	{ "fifo-existing", ME, op_mknod, "fifo", NULL, S_IFIFO | 0640, -EEXIST },
	{ "fifo-no-reader", ME, op_open, "fifo", NULL, O_WRONLY | O_NONBLOCK, -ENXIO },
	{ "fifo-chmod", ME, op_chmod, "fifo", NULL, 0600, 0 },
	{ "fifo-rename", ME, op_rename, "fifo", "fifo2", 0, 0 },
	{ "fifo-rename-back", ME, op_rename, "fifo2", "fifo", 0, 0 },
	{ "mknod-file", ME, op_mknod, "plain", NULL, S_IFREG | 0604, 0 },
	{ "mknod-file-type", ME, op_type, "plain", NULL, 0, S_IFREG },
	{ "mknod-file-mode", ME, op_mode, "plain", NULL, 0, 0604 },
	{ "mknod-without-type", ME, op_mknod, "plain2", NULL, 0600, 0 },
	{ "mknod-without-type-type", ME, op_type, "plain2", NULL, 0, S_IFREG },
	{ "mknod-socket", ME, op_mknod, "sock", NULL, S_IFSOCK | 0600, 0 },
	{ "mknod-socket-type", ME, op_type, "sock", NULL, 0, S_IFSOCK },
	{ "open-socket", ME, op_open, "sock", NULL, O_RDONLY, -ENXIO },
	{ "mknod-dir", ME, op_mknod, "dir", NULL, S_IFDIR | 0700, -EPERM },
	{ "mknod-nonsense", ME, op_mknod, "odd", NULL, 0170000 | 0700, -EINVAL },
};

static void check_fifo(void)
{
	int reader = open("fifo", O_RDONLY | O_NONBLOCK), writer = open("fifo", O_WRONLY);
	struct pollfd poll_fd = { .fd = reader, .events = POLLIN };
	char buf[8] = "";

	check(reader >= 0, 1, "fifo-reader");
	check(writer >= 0, 1, "fifo-writer");
	check(rc(read(reader, buf, sizeof(buf))), -EAGAIN, "fifo-empty");
	check(rc(write(writer, "through", 7)), 7, "fifo-write");
	check(rc(poll(&poll_fd, 1, 0)), 1, "fifo-poll");
	check(rc(read(reader, buf, sizeof(buf))), 7, "fifo-read");
	check(memcmp(buf, "through", 7), 0, "fifo-content");
	check(rc(lseek(writer, 0, SEEK_SET)), -ESPIPE, "fifo-seek");
	close(writer);
	check(rc(read(reader, buf, sizeof(buf))), 0, "fifo-end");
	close(reader);
}

static void check_socket(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "listening" };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0), served;
	char byte = 0;

	check(rc(bind(listener, (void *)&address, sizeof(address))), 0, "bind");
	check(op_type("listening", NULL, 0), S_IFSOCK, "bound-type");
	check(rc(listen(listener, 1)), 0, "listen");
	check(rc(connect(client, (void *)&address, sizeof(address))), 0, "connect");
	served = accept(listener, NULL, NULL);
	check(rc(write(client, "s", 1)), 1, "socket-write");
	check(rc(read(served, &byte, 1)), 1, "socket-read");
	check(byte, 's', "socket-content");
	close(served);
	close(client);
	close(listener);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	check(rc(connect(client, (void *)&address, sizeof(address))), -ECONNREFUSED, "connect-refused");
	check(rc(bind(client, (void *)&address, sizeof(address))), -EADDRINUSE, "bind-in-use");
	unlink("listening");
	check(rc(connect(client, (void *)&address, sizeof(address))), -ENOENT, "connect-gone");
	close(client);
}

static void check_devices(void)
{
	struct stat st = { .st_rdev = 0 };
	int fd;

	check(rc(mknod("null", S_IFCHR | 0666, makedev(1, 3))), 0, "mknod-char");
	stat("null", &st);
	check(st.st_mode & S_IFMT, S_IFCHR, "char-type");
	check(st.st_rdev == makedev(1, 3), 1, "char-number");
	check(rc(mknod("block", S_IFBLK | 0600, makedev(259, 70000))), 0, "mknod-block");
	stat("block", &st);
	check(st.st_mode & S_IFMT, S_IFBLK, "block-type");
	check(st.st_rdev == makedev(259, 70000), 1, "block-large-number");
	check(rc(mknod("largest", S_IFCHR | 0600, makedev(4095, 1048575))), 0, "mknod-largest");
	stat("largest", &st);
	check(st.st_rdev == makedev(4095, 1048575), 1, "largest-number");
	check(rc(open("largest", O_RDONLY)), -ENXIO, "open-no-such-device");
	check(do_as(OTHER, op_mknod, "null2", NULL, S_IFCHR | 0600), -EPERM, "mknod-by-other");
	fd = open("null", O_RDWR);
	if (fd < 0) {
		check_skip("mounted without devices", "char-works");
		return;
	}
	check(rc(write(fd, "x", 1)), 1, "char-write");
	check(rc(read(fd, &st, 1)), 0, "char-read");
	close(fd);
}

static void run(void)
{
	RUN_STEPS(steps);
	check_fifo();
	check_socket();
	if (geteuid() == 0)
		check_devices();
	else
		check_skip("only root makes devices", "devices");
}

const struct subject subject_special = { "special", false, run };
