/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the process that serves ends when it is told to: in order, if it can, and
 * in any case soon. Its main thread may be waiting for a VMM, a disk or a file
 * system that never answers, so a thread of its own reads the signals: it says
 * that it is time, and a while later, or at a second signal, ends the process.
 */
#ifndef CASEMENT_DAEMON_ENDING_H
#define CASEMENT_DAEMON_ENDING_H

#define ENDING_GRACE_MS 1500

/*
 * From here on `signal_fd`'s signals are taken. `stop_fd`, an eventfd, becomes readable
 * with the first, and stays so; both are the caller's. `last` is called, on that thread,
 * before the process is ended over everybody's head. Once a process, by the main thread,
 * when it is confined: 0 or -errno.
 */
int ending_start(int signal_fd, int stop_fd, void (*last)(void *ctx), void *ctx);

/* All that may wait has ended: so does the thread. After ending_start() was 0, by the main thread. */
void ending_finish(void);

#endif
