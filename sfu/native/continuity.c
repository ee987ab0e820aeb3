#include "continuity.h"

#include <string.h>

enum { FRAME_TICKS = 960, FRAME_NS = 20 * 1000 * 1000 };

void continuity_start(struct continuity *state, int64_t index, uint32_t timestamp)
{
    memset(state, 0, sizeof *state);
    state->highest = index - 1;
    state->last_timestamp = timestamp;
}

static uint32_t next_timestamp(const struct continuity *state, uint32_t timestamp, uint64_t timeline,
                               int64_t now_ns)
{
    if (state->last_ns == 0)
        return state->last_timestamp;
    if (state->timeline != timeline) {
        int64_t frames = (now_ns - state->last_ns + FRAME_NS / 2) / FRAME_NS;
        return state->last_timestamp + (uint32_t)(frames < 1 ? 1 : frames) * FRAME_TICKS;
    }
    uint32_t ahead = timestamp + state->timestamp_offset - state->last_timestamp;
    /* not ahead: silence of our own went before the source's clock */
    return state->last_timestamp + (ahead == 0 || ahead >= 0x80000000u ? FRAME_TICKS : ahead);
}

static void follow_on(struct continuity *state, const struct place *in, uint64_t timeline, int64_t now_ns)
{
    state->first = state->highest + 1;
    state->offset = state->first - in->index;
    state->timestamp_offset = next_timestamp(state, in->timestamp, timeline, now_ns) - in->timestamp;
    state->timeline = timeline;
    state->synced = true;
}

bool continuity_map(struct continuity *state, const struct place *in, uint64_t timeline, int64_t now_ns,
                    struct place *out)
{
    bool resumed = !state->synced;
    if (resumed)
        follow_on(state, in, timeline, now_ns);
    int64_t mapped = in->index + state->offset;
    if (mapped < state->first || mapped >= (int64_t)1 << 48)
        return false;
    out->index = mapped;
    out->timestamp = in->timestamp + state->timestamp_offset;
    out->marker = in->marker || resumed;
    if (mapped > state->highest) {
        state->highest = mapped;
        state->last_timestamp = out->timestamp;
        state->last_ns = now_ns;
    }
    return true;
}

struct place continuity_append(struct continuity *state, uint32_t ticks, int64_t now_ns)
{
    state->highest++;
    state->last_timestamp += ticks;
    state->last_ns = now_ns;
    return (struct place){state->highest, state->last_timestamp, false};
}

bool replay_guess(const struct replay_window *window, uint16_t sequence, uint64_t *index)
{
    if (!window->started) {
        *index = sequence;
        return true;
    }
    int64_t base = (int64_t)(window->highest & ~(uint64_t)0xffff), guess = base + sequence;
    int64_t distance = guess - (int64_t)window->highest;
    if (distance > 0x8000 &&
        base > 0) /* before the first roll-over nothing can lie behind it: a leap ahead */
        guess -= 0x10000;
    else if (distance < -0x8000)
        guess += 0x10000;
    *index = (uint64_t)guess;
    return guess < (int64_t)1 << 48;
}

bool replay_is_fresh(const struct replay_window *window, uint64_t index)
{
    if (!window->started || index > window->highest)
        return true;
    uint64_t behind = window->highest - index;
    return behind < REPLAY_WINDOW_PACKETS && !(window->seen[behind / 64] >> (behind % 64) & 1);
}

/* The window moves up by whole words first, then by bits. */
static void shift(struct replay_window *window, uint64_t ahead)
{
    uint64_t words = ahead / 64, bits = ahead % 64;
    for (int64_t i = REPLAY_WORDS - 1; i >= 0; i--) {
        int64_t from = i - (int64_t)words;
        uint64_t low = from >= 1 && bits ? window->seen[from - 1] >> (64 - bits) : 0;
        window->seen[i] = from >= 0 ? window->seen[from] << bits | low : 0;
    }
}

void replay_mark(struct replay_window *window, uint64_t index)
{
    if (!window->started || index > window->highest) {
        uint64_t ahead = window->started ? index - window->highest : REPLAY_WINDOW_PACKETS;
        shift(window, ahead < REPLAY_WINDOW_PACKETS ? ahead : REPLAY_WINDOW_PACKETS);
        window->highest = index;
        window->started = true;
        window->seen[0] |= 1;
        return;
    }
    uint64_t behind = window->highest - index;
    window->seen[behind / 64] |= (uint64_t)1 << (behind % 64);
}
