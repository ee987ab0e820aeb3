/* A player of datagrams that keeps time, and a sink for everything that comes back.
 *
 *   load SOCKET SERVER_ADDRESS SERVER_PORT FIRST_CAPTURED STEP SECONDS SENT_FILE CAPTURE_FILE < schedule
 *
 * SOCKET is an inherited UDP socket, bound to every loopback address: each client has a source address of its
 * own in 127.0.0.0/8, by which a server tells them apart, and one socket serves thousands of them.
 *
 * The schedule is a row of records: due time in nanoseconds (8 bytes, from the start), source address (4, in
 * network order), length (2), the datagram. Everything is in this machine's byte order. When it is played,
 * and what was on its way has arrived, the program ends.
 *
 * SENT_FILE gets the time at which each datagram really left (8 bytes each, 0: it did not). CAPTURE_FILE
 * gets what came to the address FIRST_CAPTURED and to every STEPth one behind it: time (8), address (4),
 * length (2), datagram. The time of arrival is the kernel's, so that a sink that is late does not count as
 * latency. The stamps cost the sender: after so many SECONDS nothing is captured or stamped any more. Once a
 * second a line of JSON says what was received so far: media and report packets, octets, and what is neither.
 * All times are those of the wall clock, in nanoseconds. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
    BATCH = 256,
    DATAGRAM_BYTES = 2048,
    PAUSE_NS = 200000, /* polling takes less of a shared machine than a wake-up per datagram */
    REPORT_NS = 1000000000,
    LAST_NS = 500000000,
};

static int descriptor;
static struct sockaddr_in server;
static uint32_t first_captured, capture_step;
static int64_t capture_ns;
static bool capturing;
static FILE *sent_file, *capture_file;
static atomic_bool finished;
static uint64_t media, reports, others, octets;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- playing ------------------------------------------------------------------------------------------- */

static bool send_from(const struct in_addr *source, const uint8_t *data, size_t bytes)
{
    union {
        struct cmsghdr header;
        uint8_t room[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } control;
    struct in_pktinfo info = {.ipi_spec_dst = *source};
    struct iovec vector = {(void *)data, bytes};
    struct msghdr message = {
        .msg_name = &server,
        .msg_namelen = sizeof server,
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    memset(&control, 0, sizeof control);
    control.header.cmsg_level = IPPROTO_IP;
    control.header.cmsg_type = IP_PKTINFO;
    control.header.cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(&control.header), &info, sizeof info);
    return sendmsg(descriptor, &message, 0) >= 0;
}

static bool read_record(int64_t *due, struct in_addr *source, uint8_t *data, uint16_t *bytes)
{
    return fread(due, sizeof *due, 1, stdin) == 1 && fread(source, sizeof *source, 1, stdin) == 1 &&
           fread(bytes, sizeof *bytes, 1, stdin) == 1 && *bytes <= DATAGRAM_BYTES &&
           fread(data, 1, *bytes, stdin) == *bytes;
}

static void *play(void *unused)
{
    uint8_t data[DATAGRAM_BYTES];
    int64_t started = now_ns(), due;
    struct in_addr source;
    uint16_t bytes;
    (void)unused;
    while (read_record(&due, &source, data, &bytes)) {
        due += started;
        struct timespec when = {due / 1000000000, due % 1000000000};
        while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &when, NULL) == EINTR)
            ;
        int64_t left = now_ns();
        if (!send_from(&source, data, bytes))
            left = 0;
        fwrite(&left, sizeof left, 1, sent_file);
    }
    struct timespec rest = {0, LAST_NS};
    nanosleep(&rest, NULL);
    atomic_store(&finished, true);
    return NULL;
}

/* --- sinking ------------------------------------------------------------------------------------------- */

struct sink {
    uint8_t data[BATCH][DATAGRAM_BYTES];
    uint8_t controls[BATCH][128];
    struct iovec vectors[BATCH];
    struct mmsghdr messages[BATCH];
};

struct arrival {
    struct in_addr address;
    int64_t at_ns;
};

static bool capture(int on)
{
    capturing = on;
    return setsockopt(descriptor, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) == 0 &&
           setsockopt(descriptor, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0;
}

static struct arrival arrival_of(struct msghdr *message)
{
    struct arrival found = {{0}, 0};
    struct in_pktinfo info;
    struct timespec stamp;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item != NULL; item = CMSG_NXTHDR(message, item)) {
        if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
            memcpy(&info, CMSG_DATA(item), sizeof info);
            found.address = info.ipi_addr;
        } else if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SO_TIMESTAMPNS) {
            memcpy(&stamp, CMSG_DATA(item), sizeof stamp);
            found.at_ns = (int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec;
        }
    }
    return found;
}

static void take(struct sink *sink, unsigned at)
{
    const uint8_t *data = sink->data[at];
    uint16_t bytes = (uint16_t)sink->messages[at].msg_len;
    if (bytes < 12 || data[0] >> 6 != 2)
        others++;
    else if ((data[1] & 0x7f) >= 64 && (data[1] & 0x7f) < 96)
        reports++;
    else
        media++;
    octets += bytes;
    if (!capturing)
        return;
    struct arrival arrival = arrival_of(&sink->messages[at].msg_hdr);
    uint32_t number = ntohl(arrival.address.s_addr) - first_captured;
    if (number % capture_step != 0)
        return;
    fwrite(&arrival.at_ns, sizeof arrival.at_ns, 1, capture_file);
    fwrite(&arrival.address, sizeof arrival.address, 1, capture_file);
    fwrite(&bytes, sizeof bytes, 1, capture_file);
    fwrite(data, 1, bytes, capture_file);
}

static void say(int64_t now)
{
    printf("{\"at_ns\": %lld, \"media\": %llu, \"reports\": %llu, \"others\": %llu, \"octets\": %llu}\n",
           (long long)now, (unsigned long long)media, (unsigned long long)reports, (unsigned long long)others,
           (unsigned long long)octets);
    fflush(stdout);
}

static void open_sink(struct sink *sink)
{
    for (unsigned i = 0; i < BATCH; i++) {
        sink->vectors[i] = (struct iovec){sink->data[i], DATAGRAM_BYTES};
        sink->messages[i].msg_hdr.msg_iov = &sink->vectors[i];
        sink->messages[i].msg_hdr.msg_iovlen = 1;
    }
}

static void drain(void)
{
    static struct sink sink;
    struct timespec pause = {0, PAUSE_NS};
    int64_t said = 0, captured_until = now_ns() + capture_ns;
    open_sink(&sink);
    while (!atomic_load(&finished)) {
        for (unsigned i = 0; i < BATCH; i++) {
            sink.messages[i].msg_hdr.msg_control = sink.controls[i];
            sink.messages[i].msg_hdr.msg_controllen = sizeof sink.controls[i];
        }
        int count = recvmmsg(descriptor, sink.messages, BATCH, MSG_DONTWAIT, NULL);
        int64_t now = now_ns();
        for (int i = 0; i < count; i++)
            take(&sink, (unsigned)i);
        if (capturing && now >= captured_until)
            capture(false);
        if (now - said >= REPORT_NS) {
            say(now);
            said = now;
        }
        if (count < BATCH)
            nanosleep(&pause, NULL);
    }
    say(now_ns());
}

int main(int count, char **words)
{
    struct in_addr first;
    if (count != 9 || inet_pton(AF_INET, words[2], &server.sin_addr) != 1 ||
        inet_pton(AF_INET, words[4], &first) != 1)
        return 2;
    descriptor = atoi(words[1]);
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(words[3]));
    first_captured = ntohl(first.s_addr);
    capture_step = (uint32_t)atoi(words[5]);
    capture_ns = atoi(words[6]) * 1000000000LL;
    sent_file = fopen(words[7], "wb");
    capture_file = fopen(words[8], "wb");
    if (capture_step == 0 || sent_file == NULL || capture_file == NULL || !capture(true))
        return 2;
    pthread_t player;
    if (pthread_create(&player, NULL, play, NULL) != 0)
        return 1;
    drain();
    pthread_join(player, NULL);
    fclose(sent_file);
    fclose(capture_file);
    return 0;
}
