/*
 * syslog: lines to the host's syslog that can never make the master wait.
 */
#ifndef PRIVSEP_SYSLOG_H
#define PRIVSEP_SYSLOG_H

/* ident stays the caller's. Nothing is fatal: a host may lack a syslog. */
void	syslog_begin(const char *ident);
/* Close it; what is said after that opens it again. */
void	syslog_end(void);
/*
 * One line, LOG_MAIL at this level.  What the socket does not take at once is
 * dropped, and counted in a line of its own when it takes lines again.
 */
void	syslog_line(int level, const char *line);

#endif
