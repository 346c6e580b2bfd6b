/*
 * certificate: a host that has no certificate gets one on its first start.
 */
#ifndef PRIVSEP_CERTIFICATE_H
#define PRIVSEP_CERTIFICATE_H

#include "config.h"

/*
 * Runs in the master, as root, before it confines itself; needs the resolved
 * key-user, and that SIGCHLD is not ignored.  When neither tls-certificate nor
 * tls-key is there, both are made: ECDSA P-256, self-signed, for hostname.
 * When one of them is, it is an error.  0: both are there; -1: reported.
 */
int	certificate_prepare(const struct config *, config_report);

#endif
