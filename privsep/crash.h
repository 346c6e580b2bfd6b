/*
 * crash: did a process end by a fault of its code, or an attack on it?
 */
#ifndef PRIVSEP_CRASH_H
#define PRIVSEP_CRASH_H

/* Does this wait status tell of SEGV, BUS, ILL, ABRT, SYS, FPE, TRAP, XFSZ? */
int	is_crash(int status);

#endif
