/* LINK: wire/tls_client wire/tls_transport wire/tls_policy wire/tls_rehearse wire/wire privsep/log privsep/message */
/* LIBS: -lssl -lcrypto */
/*
 * fuzz_tls_connect: whatever a host may send instead of a handshake, or as one.
 * It never agrees and nobody is verified, the end is always reached, and
 * nothing goes out in the clear afterwards.
 */
#include <sys/socket.h>

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "wire/tls_client.h"
#include "wire/wire.h"

int	LLVMFuzzerInitialize(int *, char ***);
int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	tls_client_warm("/nonexistent");
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct wire w;
	static char text[TLS_TEXT_MAX];
	int fds[2];

	if (size > 65536 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds) == -1)
		return 0;
	if (size > 0 && send(fds[1], data, size, 0) != (ssize_t)size)
		abort();
	shutdown(fds[1], SHUT_WR);
	wire_init(&w, fds[0], 1000);
	if (tls_connect(&w, "mx.example.org", size % 2 == 0, 1000) == WIRE_OK)
		abort();	/* nobody knows the key of a Finished */
	if (tls_error()[0] == '\0' || tls_is_verified())
		abort();
	tls_describe(&w, text);
	wire_put(&w, "secret", 6);
	if (text[0] != '\0' || wire_flush(&w) == WIRE_OK)
		abort();
	close(fds[0]);
	close(fds[1]);
	return 0;
}
