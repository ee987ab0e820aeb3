#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

enum { TICK_MS = 100 };
static const int64_t CLOSED_PAUSE_NS = 10000000;
static const int64_t TICK_NS = TICK_MS * 1000000LL, LOAD_WINDOW_NS = 200000000;

int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void engine_lock(struct engine *engine)
{
    atomic_fetch_add(&engine->waiting, 1);
    pthread_mutex_lock(&engine->turn);
    pthread_mutex_lock(&engine->lock);
    pthread_mutex_unlock(&engine->turn);
    atomic_fetch_sub(&engine->waiting, 1);
}

void engine_unlock(struct engine *engine)
{
    pthread_mutex_unlock(&engine->lock);
}

/* How long packets wait for others to the same listener, so that they leave as one segmented send: not at all
 * while there is time to send them one by one, nor where so few come to each listener that hardly two would
 * meet; else until the wait and the sending itself take together what the options allow. So a large room, whose
 * sending takes that long anyway, never waits: its batches form by themselves. */
struct load {
    int64_t window_start_ns, busy_ns;
    uint64_t window_packets;
    double share, batch_ns; /* of batches that had somebody to go to: a silent speaker's cost next to nothing */
    double packets_per_ns;  /* to one listener */
};

static void load_add(struct load *load, int64_t from_ns, int64_t to_ns, uint64_t packets)
{
    if (packets)
        load->batch_ns += ((double)(to_ns - from_ns) - load->batch_ns) / 8;
    load->busy_ns += to_ns - from_ns;
    load->window_packets += packets;
}

static void load_turn(struct load *load, int64_t now_ns, uint32_t listeners)
{
    int64_t window_ns = now_ns - load->window_start_ns;
    if (window_ns < LOAD_WINDOW_NS)
        return;
    load->share = (double)load->busy_ns / (double)window_ns;
    load->packets_per_ns = (double)load->window_packets / (double)window_ns / (listeners ? listeners : 1);
    load->window_start_ns = now_ns;
    load->busy_ns = 0;
    load->window_packets = 0;
}

static double ramp(double value, double from, double to)
{
    double part = (value - from) / (to - from);
    return part < 0 ? 0 : part > 1 ? 1 : part;
}

/* The share at which holding begins and is whole: it lowers the share, which therefore stays about there. */
static const double HOLD_FROM = 0.44, HOLD_WHOLLY = 0.48;
/* The packets that come to one listener within the limit: 0.75 of three slots, 2 where all eight are heard. */
static const double HARDLY_TWO = 0.75, SURELY_TWO = 1.75;

static int64_t hold_ns(const struct engine *engine, const struct load *load)
{
    double limit = (double)engine->options.hold_ns, left = limit - load->batch_ns;
    if (!engine->segmentation || left <= 0)
        return 0;
    return (int64_t)(left * ramp(load->share, HOLD_FROM, HOLD_WHOLLY) *
                     ramp(load->packets_per_ns * limit, HARDLY_TWO, SURELY_TWO));
}

static void wait_ns(int64_t duration_ns)
{
    struct timespec duration = {duration_ns / 1000000000, duration_ns % 1000000000};
    while (nanosleep(&duration, &duration) != 0 && errno == EINTR)
        ;
}

static void *loop(void *argument)
{
    struct engine *engine = argument;
    struct load load = {.window_start_ns = clock_ns()};
    int64_t tick_ns = load.window_start_ns;
    while (!atomic_load(&engine->stopping)) {
        struct pollfd events[2] = {{engine->descriptor, POLLIN, 0}, {engine->wake_descriptor, POLLIN, 0}};
        if (poll(events, 2, TICK_MS) < 0)
            continue;
        bool has_packets = events[0].revents & (POLLIN | POLLERR); /* an error is cleared by receiving */
        if (events[0].revents & POLLNVAL)                          /* the socket was closed before us */
            wait_ns(CLOSED_PAUSE_NS);
        int64_t hold = has_packets ? hold_ns(engine, &load) : 0;
        if (hold)
            wait_ns(hold);
        int64_t now_ns = clock_ns();
        engine_lock(engine);
        uint64_t sent_before = engine->stats.packets_forwarded;
        engine->held_ns = hold;
        if (has_packets)
            receive_all(engine, now_ns);
        if (now_ns - tick_ns >= TICK_NS) {
            reports_send(engine, now_ns);
            tick_ns = now_ns;
        }
        uint64_t sent = engine->stats.packets_forwarded - sent_before;
        uint32_t listeners = engine->addresses.count;
        engine_unlock(engine);
        int64_t done_ns = clock_ns();
        load_add(&load, now_ns, done_ns, sent);
        load_turn(&load, done_ns, listeners);
    }
    return NULL;
}

bool engine_start(struct engine *engine)
{
    engine->wake_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (engine->wake_descriptor < 0)
        return false;
    sigset_t all, before;
    sigfillset(&all); /* signals are the interpreter's business */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    engine->running = pthread_create(&engine->thread, NULL, loop, engine) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!engine->running) {
        close(engine->wake_descriptor);
        engine->wake_descriptor = -1;
    }
    return engine->running;
}

void engine_stop(struct engine *engine)
{
    if (!engine->running)
        return;
    atomic_store(&engine->stopping, true);
    uint64_t one = 1;
    /* if this could fail, the loop would still see the flag at its next tick */
    ssize_t written = write(engine->wake_descriptor, &one, sizeof one);
    (void)written;
    pthread_join(engine->thread, NULL);
    engine->running = false;
    close(engine->wake_descriptor);
    engine->wake_descriptor = -1;
}
