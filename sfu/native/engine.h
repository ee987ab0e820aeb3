/* The forwarding engine: one UDP socket's media packets from publishers to listeners, without Python.
 *
 *   receive.c   datagrams from the socket, and what is left of them for the worker (control)
 *   ingress.c   authentication, replay, speaking right, limits, levels, pre-roll -> jobs
 *   egress.c    jobs -> one protected packet per listener -> sendmmsg, segmented where it pays
 *   members.c   transports, producers, slots, consumers: who listens to whom
 *   reports.c   RTCP in both directions
 *   wanted.c    what of a publisher's is missing, and asked for again
 *   thread.c    the loop, and the lock between it and the worker
 *
 * Numbers pass through at most three continuities: a producer's (it closes what was refused), a slot's (it
 * joins its occupants), a consumer's (it joins its sources). So a mute or a change of speaker touches one of
 * them, whatever the number of listeners.
 *
 * Nothing in here takes the lock or reads a clock, except thread.c and the entry points of binding.c (and
 * egress_flush, to measure itself): time is an argument, in nanoseconds of the monotonic clock. */
#ifndef FLYLIVE_ENGINE_H
#define FLYLIVE_ENGINE_H
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "address.h"
#include "continuity.h"
#include "rtp.h"
#include "srtp.h"
#include "table.h"
#include "wanted.h"

enum {
    CACHE_LINE = 64,
    RECEIVE_BATCH = 64,
    RECEIVE_BYTES = 2048,
    PACKET_ROOM = 1664, /* the largest protected packet, in whole cache lines */
    MAX_SEGMENTS = 32,  /* of one segmented send; the kernel takes 64 */
    MAX_SEGMENTED_BYTES = 60000,
    MAX_JOBS = 256,
    SWEEP_LISTENERS = 64, /* served before the socket is looked at again */
    PREROLL_PACKETS = 9,  /* 160 ms of 20 ms frames, and the one that is under way */
    SILENCE_FRAMES = 3,
    RETRANSMIT_PACKETS = 64,
    VOICE_LEVEL = 65,
    UNKNOWN_LEVEL = 50,
    FIRST_STREAM_INDEX = 0x10000,
    LATENCY_BUCKETS = 10,
    MAX_CNAME_BYTES = 255,
    SOURCE_BUCKETS = 16384,     /* of the limit per source of control datagrams */
    CONTROL_PER_SECOND = 200,   /* of one source, also its burst: a handshake with losses needs a tenth */
    MAX_RETIRED_STREAMS = 4096, /* of one transport, over its life: a hostile client must not grow us */
    MAX_REPORTERS = 64,
};

/* Generic cell rate algorithm: one number per bucket, full after a second without use. */
struct bucket {
    int64_t due_ns;
};

static inline bool bucket_take(struct bucket *bucket, int64_t now_ns, int64_t per_second)
{
    int64_t interval = 1000000000 / per_second, due = bucket->due_ns > now_ns ? bucket->due_ns : now_ns;
    if (due - now_ns > interval * (per_second - 1))
        return false;
    bucket->due_ns = due + interval;
    return true;
}

static const uint32_t NOTHING_PENDING = UINT32_MAX;

struct transport;
struct producer;
struct slot;
struct consumer;

/* What a listener can follow: the first member of a producer and of a slot. */
struct source {
    int64_t handle;
    bool is_slot;
    struct continuity continuity;
    struct consumer **listeners;
    size_t count, capacity;
};

struct reception { /* RFC 3550 appendix A */
    bool started, has_transit;
    int64_t base, highest; /* extended sequence numbers */
    uint64_t received, expected_before, received_before;
    uint32_t transit, report_ntp;
    double jitter;
    int64_t report_ns;
};

struct preroll_packet {
    struct place place;
    int64_t arrival_ns;
    uint8_t level;
    bool is_red, used;
    uint16_t bytes;
    uint8_t *payload;
};

struct producer {
    struct source source;
    struct transport *transport;
    struct producer *next; /* of the transport */
    struct slot **slots;
    size_t slot_count, slot_capacity;
    uint32_t ssrc;
    bool has_ssrc, allowed, takes_nack;
    uint8_t payload_type, red_payload_type, level_id, mid_id, mid[RTP_MAX_MID_BYTES];
    uint8_t mid_bytes;
    uint32_t packets_per_second, payload_bytes;
    struct bucket bucket;
    struct replay_window window;
    struct reception reception;
    struct wanted wanted;
    struct preroll_packet preroll[PREROLL_PACKETS];
    unsigned preroll_next;
    uint64_t heard, level_total, refused, over_limit, octets;
    uint8_t loudest;
};

struct slot {
    struct source source;
    struct producer *occupant;
};

struct kept_packet { /* for NACK: as it was sent, tag and all */
    uint16_t sequence, bytes, room;
    int64_t voice; /* whose: what may not be said any more is not said again */
    uint8_t *data;
};

struct consumer { /* what every packet needs comes first, in as few cache lines as it takes */
    struct continuity continuity;
    struct transport *transport;
    struct kept_packet *kept; /* NULL: NACK was not negotiated */
    uint64_t packets, octets;
    uint32_t ssrc;
    uint8_t payload_type, red_payload_type;
    bool paused;
    struct rtp_extensions extensions;

    uint64_t late, retransmitted;
    struct source *source; /* what it follows, or NULL */
    size_t position;       /* among the listeners of that */
    int64_t handle;
    struct consumer *next; /* of the transport */
    double jitter_seconds, round_trip_seconds, fraction_lost;
    int64_t lost;
    uint8_t cname_bytes, cname[MAX_CNAME_BYTES];
};

struct retired_stream { /* an SSRC that was received before: its window outlives its producer */
    uint32_t ssrc;
    struct replay_window window;
};

struct pending { /* one packet for one listener */
    struct consumer *consumer;
    struct place place;
    uint32_t job, next;
};

struct transport {                       /* in the order of use, as above */
    uint32_t pending_head, pending_tail; /* in order of arrival; NOTHING_PENDING: not in the queue */
    struct transport *queued;            /* the next one to be served */
    bool has_keys, has_address;
    uint64_t packets_sent, bytes_sent;
    struct address selected;
    struct srtp_direction send, receive;

    int64_t handle;
    struct transport *previous, *next;
    struct producer *producers;
    struct consumer *consumers;
    uint32_t *sent_ssrcs;
    size_t sent_count, sent_capacity;
    struct retired_stream *retired;
    size_t retired_count, retired_capacity;
    struct retired_stream *reporters; /* SRTCP windows by sender */
    size_t reporter_count, reporter_capacity;
    uint32_t report_index;
    int64_t report_due_ns;
    struct bucket bucket; /* of packets that are sent again */
    uint64_t packets_received, bytes_received;
    uint64_t unprotect_failures, malformed, unknown_ssrc;
};

struct control { /* a datagram for the worker */
    struct control *next;
    struct address address;
    size_t bytes;
    uint8_t data[];
};

struct job { /* one packet of one source on its way to that source's listeners */
    struct source *source;
    int64_t voice;         /* the producer it began with, through whatever slots it comes */
    struct consumer *only; /* a pre-roll for one listener, or NULL */
    const struct transport *from;
    const uint8_t *payload; /* whoever pushes the job may forget it afterwards: it is copied */
    size_t bytes;
    struct place place;
    int64_t arrival_ns, started_ns; /* started: from when its latency counts */
    struct rtp_red red;
    bool is_red, newest; /* newest: the highest index of its source so far */
    uint8_t level;
};

struct stored_job {
    struct job job;
    uint32_t references; /* by pending packets; 0: free */
    uint8_t payload[RTP_MAX_BYTES];
};

struct outbox { /* one batch of sendmmsg, built in place */
    struct mmsghdr *messages;
    struct iovec *vectors;
    uint8_t (*controls)[CMSG_SPACE(sizeof(uint16_t))];
    uint16_t *packets;   /* per message */
    int64_t *started_ns; /* per message: of the packet that waited longest */
    uint8_t *memory;
    size_t memory_bytes, used;
    unsigned count, capacity;
};

struct engine_stats {
    uint64_t packets_received, packets_forwarded, empty, oversized, foreign, control_dropped, send_failures;
    uint64_t send_calls, segmented_sends, latency_counts[LATENCY_BUCKETS];
};

struct engine_options {
    unsigned batch_packets, control_backlog;
    int64_t hold_ns;
    bool segmentation;
    uint64_t seed;
    int64_t unix_offset_ns; /* of the wall clock against the monotonic one, for NTP times */
};

struct engine {
    int descriptor;
    const struct library *library;
    struct engine_options options;
    struct table table;
    struct address_table addresses;
    struct transport *transports;
    struct engine_stats stats;
    struct control *control_head, **control_tail;
    unsigned control_count;
    struct bucket *source_buckets;

    struct stored_job *jobs;
    unsigned next_job;
    struct pending *pending;
    size_t pending_count, pending_capacity;
    uint32_t free_pending;
    struct transport *queue_head, *queue_tail; /* of listeners who have packets pending */
    struct outbox outbox;
    bool segmentation; /* until the kernel refuses it */
    unsigned send_tries;
    int64_t held_ns; /* how long what is received now was kept waiting on purpose */
    uint8_t *red_scratch;

    struct mmsghdr *receive_messages;
    struct iovec *receive_vectors;
    struct address *receive_addresses;
    uint8_t *receive_memory;

    pthread_mutex_t lock, turn; /* turn: whoever waits comes next, so that a busy loop starves nobody */
    atomic_uint waiting;        /* for the lock */
    pthread_t thread;
    bool running;
    atomic_bool stopping;
    int wake_descriptor, ready_descriptor;
};

/* --- engine.c ----------------------------------------------------------------------------------------- */
struct engine *engine_open(int descriptor, const struct library *library,
                           const struct engine_options *options);
void engine_close(struct engine *engine); /* the thread has been stopped */

/* --- members.c: NULL or false where the arguments make no sense --------------------------------------- */
struct producer_spec {
    bool has_ssrc;
    uint32_t ssrc;
    unsigned payload_type, red_payload_type, level_id, mid_id;
    const uint8_t *mid;
    size_t mid_bytes;
    uint32_t packets_per_second, payload_bytes;
    bool takes_nack;
};

struct consumer_spec {
    uint32_t ssrc, first_timestamp;
    uint16_t first_sequence;
    unsigned payload_type, red_payload_type, level_id, mid_id;
    const uint8_t *mid, *cname;
    size_t mid_bytes, cname_bytes;
    bool nack, paused;
};

struct transport *transport_add(struct engine *engine);
void transport_remove(struct engine *engine, struct transport *transport);
bool transport_set_keys(struct engine *engine, struct transport *transport, enum srtp_suite suite,
                        const uint8_t *receive_key, size_t receive_bytes, const uint8_t *send_key,
                        size_t send_bytes, int64_t now_ns);
/* The peer may send from there; the newest claim wins. */
bool transport_claim(struct engine *engine, struct transport *transport, const struct address *address);
void transport_release(struct engine *engine, struct transport *transport, const struct address *address);
void transport_select(struct transport *transport, const struct address *address); /* NULL: nowhere */
struct producer *producer_find(const struct transport *transport, uint32_t ssrc);
struct producer *producer_add(struct engine *engine, struct transport *transport,
                              const struct producer_spec *spec);
void producer_remove(struct engine *engine, struct producer *producer);
/* A window for an SSRC that may have been received before; false when the transport has had too many. */
bool producer_bind(struct producer *producer, uint32_t ssrc);
/* What is known of an SSRC that no producer has now. */
const struct replay_window *retired_window(const struct transport *transport, uint32_t ssrc);
struct slot *slot_add(struct engine *engine);
void slot_remove(struct engine *engine, struct slot *slot);
bool slot_occupy(struct slot *slot, struct producer *producer);
struct consumer *consumer_find(const struct transport *transport, uint32_t ssrc);
struct consumer *consumer_add(struct engine *engine, struct transport *transport, struct source *source,
                              const struct consumer_spec *spec);
void consumer_remove(struct engine *engine, struct consumer *consumer);
bool consumer_follow(struct consumer *consumer, struct source *source);

/* --- ingress.c ---------------------------------------------------------------------------------------- */
void ingress_media(struct engine *engine, struct transport *transport, uint8_t *data, size_t bytes,
                   int64_t now_ns);
void producer_allow(struct engine *engine, struct producer *producer, bool allowed, int64_t now_ns);
/* The first syllable of a slot's new occupant, or (consumer) of the producer that it follows now. */
void preroll_slot(struct engine *engine, struct slot *slot, int64_t now_ns);
void preroll_consumer(struct engine *engine, struct consumer *consumer, struct producer *producer,
                      int64_t now_ns);

/* --- egress.c ----------------------------------------------------------------------------------------- */
void egress_push(struct engine *engine, const struct job *job); /* for every listener of its source */
bool egress_serve(struct engine *engine, unsigned listeners);   /* so many; false: nobody is left */
void egress_run(struct engine *engine);                         /* everybody, into the outbox */
void egress_flush(struct engine *engine);                       /* the outbox, into the kernel */
/* A finished packet, as it is: a report, or one that is sent again. */
void egress_send(struct engine *engine, struct transport *transport, const uint8_t *data, size_t bytes);

/* --- receive.c ---------------------------------------------------------------------------------------- */
void receive_datagram(struct engine *engine, uint8_t *data, size_t bytes, const struct address *address,
                      int64_t now_ns);
void receive_all(struct engine *engine, int64_t now_ns); /* what waits in the socket, and its fan-out */
void control_push(struct engine *engine, const uint8_t *data, size_t bytes, const struct address *address);
struct control *control_take(struct engine *engine);

/* --- reports.c ---------------------------------------------------------------------------------------- */
extern const int64_t REPORT_INTERVAL_NS;
void reception_packet(struct reception *reception, uint16_t sequence, uint32_t timestamp, int64_t now_ns);
int64_t reception_lost(const struct reception *reception);
void reports_read(struct engine *engine, struct transport *transport, const uint8_t *data, size_t bytes,
                  int64_t now_ns);
void reports_send(struct engine *engine, int64_t now_ns); /* to those whose time has come */
void reports_ask(struct engine *engine, struct transport *transport, uint32_t ssrc,
                 const uint16_t *sequences, unsigned count); /* for packets that are missing */

/* --- thread.c ----------------------------------------------------------------------------------------- */
int64_t clock_ns(void);
void engine_lock(struct engine *engine);
void engine_unlock(struct engine *engine);
bool engine_start(struct engine *engine);
void engine_stop(struct engine *engine);
#endif
