/*
 * tls: the server's handshake.
 *
 * Runs in the worker, as worker-user, confined; touches the client's
 * connection, and through the provider the socket to the signer.
 */
#include <openssl/ssl.h>

#include "../privsep/log.h"
#include "provider.h"
#include "tls.h"
#include "tls_context.h"
#include "tls_transport.h"

/* Who signs in the one handshake that goes on. */
static struct {
	int		 has_signed;	/* or tried to */
	tls_sign	 sign;
	void		*arg;
} signer;

static int
sign_once(void *arg, uint32_t key, uint32_t scheme, const uint8_t *content,
    size_t content_len, uint8_t *signature, size_t *len)
{
	(void)arg;
	/* The signer would not take a second one kindly. */
	if (signer.has_signed)
		return -1;
	signer.has_signed = 1;
	if (signer.sign(signer.arg, key, scheme, content, content_len,
	    signature, len) == -1) {
		tls_transport_reason("not signed");
		return -1;
	}
	return 0;
}

enum wire_status
tls_accept(struct wire *w, int timeout_ms, tls_sign sign, void *arg)
{
	enum wire_status status;
	SSL *ssl;

	if (!tls_is_ready())
		bug("TLS without a certificate");
	ssl = tls_context_session();
	if (ssl != NULL)
		SSL_set_accept_state(ssl);
	signer.has_signed = 0;
	signer.sign = sign;
	signer.arg = arg;
	provider_sign_with(sign_once, NULL);
	status = tls_transport_start(w, ssl, timeout_ms, NULL);
	provider_sign_with(NULL, NULL);
	return status;
}
