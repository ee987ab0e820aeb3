#include "wanted.h"

enum { ASKS = 4 };
static const int64_t ASK_AGAIN_NS = 80 * 1000000LL;

void wanted_restart(struct wanted *wanted)
{
    wanted->started = false;
    wanted->count = 0;
}

/* Of a full list the oldest goes. */
static void add(struct wanted *wanted, int64_t index, int64_t now_ns)
{
    if (wanted->count == WANTED_PACKETS) {
        wanted->count--;
        for (unsigned i = 0; i < wanted->count; i++)
            wanted->missing[i] = wanted->missing[i + 1];
    }
    wanted->missing[wanted->count++] = (struct missing_packet){index, now_ns, 0};
}

unsigned wanted_packet(struct wanted *wanted, int64_t index, int64_t now_ns,
                       uint16_t sequences[WANTED_PACKETS])
{
    if (!wanted->started || index > wanted->highest + WANTED_PACKETS) {
        wanted->started = true;
        wanted->highest = index;
        wanted->count = 0;
        return 0;
    }
    for (; wanted->highest < index; wanted->highest++)
        if (wanted->highest + 1 < index)
            add(wanted, wanted->highest + 1, now_ns);
    unsigned kept = 0, asked = 0;
    for (unsigned i = 0; i < wanted->count; i++) {
        struct missing_packet missing = wanted->missing[i];
        bool due = missing.due_ns <= now_ns;
        if (missing.index == index || (due && missing.asked == ASKS))
            continue;
        if (due) {
            missing.asked++;
            missing.due_ns = now_ns + ASK_AGAIN_NS;
            sequences[asked++] = (uint16_t)missing.index;
        }
        wanted->missing[kept++] = missing;
    }
    wanted->count = kept;
    wanted->asked_again += asked;
    return asked;
}
