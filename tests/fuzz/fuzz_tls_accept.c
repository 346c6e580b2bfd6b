/* LINK: wire/tls wire/tls_transport wire/tls_policy wire/tls_context wire/tls_rehearse wire/provider wire/provider_key wire/provider_sign wire/wire privsep/signer_content privsep/log privsep/message */
/* LIBS: -lssl -lcrypto */
/*
 * fuzz_tls_accept: whatever a client may send instead of a handshake, or as
 * one.  At most one signature is asked for, the end is always reached, and
 * nothing goes out in the clear afterwards.
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/tls_peer.h"
#include "wire/tls.h"
#include "wire/wire.h"

int	LLVMFuzzerInitialize(int *, char ***);
int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	peer_make_ring();
	tls_warm(&peer_ring, "pop3");
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
	peer_asked.calls = 0;
	if (tls_accept(&w, 1000, peer_sign, NULL) == WIRE_OK)
		abort();	/* nobody knows the key of a Finished */
	if (peer_asked.calls > 1 || tls_error()[0] == '\0')
		abort();
	tls_describe(&w, text);
	wire_put(&w, "secret", 6);
	if (text[0] != '\0' || wire_flush(&w) == WIRE_OK)
		abort();
	close(fds[0]);
	close(fds[1]);
	return 0;
}
