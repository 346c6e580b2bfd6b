/*
 * notify: tell the service manager how it goes (sd_notify(3), without
 * libsystemd).  Nothing here fails: without a manager, or with one that does
 * not listen, nobody is told.
 */
#ifndef PRIVSEP_NOTIFY_H
#define PRIVSEP_NOTIFY_H

#include <stddef.h>
#include <stdint.h>

/* Read NOTIFY_SOCKET, remove it from the environment, make the socket. */
void	notify_open(void);
/* Sessions can be served: at the start, and after each notify_reloading(). */
void	notify_ready(void);
void	notify_reloading(void);
void	notify_stopping(void);
/* Figures for the status line; sent when they changed, now and then. */
void	notify_status(int64_t now, size_t sessions, uint64_t served);

#endif
