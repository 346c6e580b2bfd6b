/*
 * mbox_io: read and write all that was asked for.
 *
 * Runs in agents, as the user whose mail it is; touches what it is given.
 */
#include <errno.h>
#include <unistd.h>

#include "mbox_rewrite.h"

int
mbox_pread(int fd, void *data, size_t len, uint64_t offset)
{
	uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = pread(fd, p, len, (off_t)offset);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (n == 0) {
			errno = EIO;
			return -1;
		}
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int
mbox_pwrite(int fd, const void *data, size_t len, uint64_t offset)
{
	const uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = pwrite(fd, p, len, (off_t)offset);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}
