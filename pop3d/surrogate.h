/*
 * surrogate: which messages a program that knows nothing of UTF-8 in headers
 * gets a stand-in for (RFC 6856, 2.1 and 4).
 *
 * A message that came by SMTPUTF8 is one of UTF-8 mode (RFC 6532).  A client
 * without that mode is sent, by RETR and TOP, the same message with a '?' for
 * each octet of its header that is not ASCII.  So it is as long as what LIST
 * said, without having been looked at before; its body is untouched; and no
 * letter is refused, since that one would keep the program from all others.
 * Other messages whose headers hold such octets break the rules anyway, and
 * are sent as they are, as everywhere.
 */
#ifndef POP3D_SURROGATE_H
#define POP3D_SURROGATE_H

#include <stddef.h>
#include <stdint.h>

/* So much of a message is looked at: its trace fields are at the top. */
#define SURROGATE_LOOK	8192

/*
 * These are the first octets of a message as it is stored, with LF or CR LF:
 * does the topmost Received field, of the host that delivered it, say that it
 * came "with UTF8SMTP" or "UTF8LMTP", or those with TLS and login (RFC 6531,
 * 4.3)?
 */
int	surrogate_is_needed(const uint8_t *header, size_t len);

#endif
