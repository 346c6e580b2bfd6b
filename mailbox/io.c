/*
 * io: read and write all that was asked for.
 *
 * Runs in agents, as the user whose mail it is; touches what it is given.
 */
#include <errno.h>
#include <unistd.h>

#include "io.h"

int
io_pread(int fd, void *data, size_t len, uint64_t offset)
{
	uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = pread(fd, p, len, (off_t)offset);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (n == 0) {		/* there is less than was said */
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
io_pwrite(int fd, const void *data, size_t len, uint64_t offset)
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

int
io_write(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}
