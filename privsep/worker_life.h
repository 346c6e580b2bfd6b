/*
 * worker_life: one worker from fork to exit, called by the spawner.
 */
#ifndef PRIVSEP_WORKER_LIFE_H
#define PRIVSEP_WORKER_LIFE_H

#include "config.h"
#include "sandbox.h"

/* channel: to the master.  Does not return. */
void	worker_life(int channel, const struct config *,
	    const struct sandbox_filter *) __attribute__((noreturn));

#endif
