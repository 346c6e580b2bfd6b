/*
 * io: read and write all that was asked for, whatever interrupts it.
 *
 * Functions return 0, or -1 with errno.
 */
#ifndef MAILBOX_IO_H
#define MAILBOX_IO_H

#include <stddef.h>
#include <stdint.h>

/* EIO: there is not so much. */
int	io_pread(int fd, void *data, size_t len, uint64_t offset);
int	io_pwrite(int fd, const void *data, size_t len, uint64_t offset);
int	io_write(int fd, const void *data, size_t len);

#endif
