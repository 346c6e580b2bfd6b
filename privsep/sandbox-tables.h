/*
 * sandbox-tables: the system-call tables as libseccomp filters.
 */
#ifndef PRIVSEP_SANDBOX_TABLES_H
#define PRIVSEP_SANDBOX_TABLES_H

#include <seccomp.h>

#include "sandbox.h"

#define SANDBOX_MARK	1200		/* errno of the probe, plus the table */
#define SANDBOX_PROBE	0x706f7374	/* getcpu's unused third argument */

/* The caller releases it. fatal() when it can't be built. */
scmp_filter_ctx sandbox_table_build(enum sandbox_table, uint16_t mark);

#endif
