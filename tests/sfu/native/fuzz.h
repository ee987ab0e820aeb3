/* The fuzzer's stand-ins for what the core calls: a cipher that is cheap and checks every initialisation
 * vector, and a kernel that checks every datagram. */
#ifndef FLYLIVE_FUZZ_H
#define FLYLIVE_FUZZ_H
#include "engine.h"

enum { CLIENTS = 6, TAG_BYTES = 16, MARK_BYTES = 6, MAX_QUEUED = 48 };

uint32_t any(void);             /* the next number of the seeded sequence */
uint32_t below(uint32_t bound); /* bound > 0 */
bool one_in(uint32_t count);
void fuzz_seed(uint64_t seed);
void fail(const char *what); /* ends the run and says where the sequence stood */

extern const struct library stand_in;    /* for the engine: repeated vectors fail */
extern const struct library client_side; /* for the peers that send to it: they may repeat themselves */
void forget_vectors(void);

/* A well-formed payload begins with a mark: who spoke. The kernel stand-in checks that this user may be
 * heard at this moment, and not by itself. */
extern bool may_be_heard[CLIENTS];
extern struct address client_addresses[CLIENTS];
void write_mark(uint8_t *payload, unsigned client);

void queue_datagram(const uint8_t *data, size_t bytes, const struct address *from); /* for recvmmsg */
extern uint64_t datagrams_seen, segmented_seen;
#endif
