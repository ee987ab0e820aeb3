/* Continuity of one outgoing stream, and the replay window of one incoming one.
 *
 * An input index (SRTP: roll-over counter and sequence number, 48 bits) is moved by a constant offset as
 * long as the source stays the same. After a pause or a change of source the next index follows the highest
 * one that was given out, and nothing older than that is let through: so one output index never belongs to
 * two packets. That is what the listener's jitter buffer wants, and what AES-GCM demands, where a repeated
 * index under one key gives the key stream away. Uniqueness holds only while the input does not repeat
 * itself; therefore the replay window is kept for unencrypted publishers too. */
#ifndef FLYLIVE_CONTINUITY_H
#define FLYLIVE_CONTINUITY_H
#include <stdbool.h>
#include <stdint.h>

struct continuity {
    int64_t offset, first, highest; /* first: the lowest index that may still be given out */
    uint32_t timestamp_offset, last_timestamp;
    uint64_t timeline; /* whose clock the timestamp offset belongs to */
    int64_t last_ns;   /* when the highest index was given out; 0: never */
    bool synced;
};

/* The stream's first packet gets this index and timestamp. */
void continuity_start(struct continuity *state, int64_t index, uint32_t timestamp);

struct place { /* of one packet in a stream */
    int64_t index;
    uint32_t timestamp;
    bool marker; /* set on the first packet after a change or a pause */
};

/* Timestamps keep real time over a change of timeline, and the source's own time within one.
 * False: late, the packet belongs to the time before the last change. */
bool continuity_map(struct continuity *state, const struct place *in, uint64_t timeline, int64_t now_ns,
                    struct place *out);

/* The next place for a packet of our own. */
struct place continuity_append(struct continuity *state, uint32_t ticks, int64_t now_ns);

enum { REPLAY_WORDS = 4, REPLAY_WINDOW_PACKETS = 64 * REPLAY_WORDS };

struct replay_window {
    uint64_t highest;
    uint64_t seen[REPLAY_WORDS]; /* bit n: highest - n has arrived */
    bool started;
};

/* The index that RFC 3711 section 3.3.1 guesses; false when the stream's indexes are used up. */
bool replay_guess(const struct replay_window *window, uint16_t sequence, uint64_t *index);
bool replay_is_fresh(const struct replay_window *window, uint64_t index);
void replay_mark(struct replay_window *window, uint64_t index); /* only after authentication */
#endif
