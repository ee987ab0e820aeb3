/* Which packets of a publisher to ask for again (RFC 4585): those that are missing, at once and a few times.
 * Every packet that arrives is the moment to look, so no timer is needed. As sfu/wanted.py. */
#ifndef FLYLIVE_WANTED_H
#define FLYLIVE_WANTED_H
#include <stdbool.h>
#include <stdint.h>

enum { WANTED_PACKETS = 32 }; /* a longer gap is a jump, not a loss */

struct wanted {
    bool started;
    int64_t highest;
    uint64_t asked_again;
    unsigned count;
    struct missing_packet {
        int64_t index, due_ns;
        unsigned asked;
    } missing[WANTED_PACKETS];
};

/* What comes next is the beginning: nothing before it is missed. */
void wanted_restart(struct wanted *wanted);
/* A packet came; how many to ask for now, and their sequence numbers. */
unsigned wanted_packet(struct wanted *wanted, int64_t index, int64_t now_ns,
                       uint16_t sequences[WANTED_PACKETS]);
#endif
