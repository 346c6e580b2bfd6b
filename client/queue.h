/*
 * queue: "postern queue".
 */
#ifndef CLIENT_QUEUE_H
#define CLIENT_QUEUE_H

/* argv[0] is "queue"; an exit code. */
int	queue_main(int argc, char **argv);

#endif
