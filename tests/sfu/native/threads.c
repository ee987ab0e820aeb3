/* The engine's thread and the worker's calls at the same time, built with ThreadSanitizer: packets by real
 * sockets, while slots change, rights come and go, and control is read.
 *
 *   threads LIBCRYPTO TURNS
 *
 * What the engine says it forwarded must arrive, but for what overflows the sockets of a busy machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bytes.h"
#include "engine.h"

enum { CLIENTS = 8, SLOTS = 3, OPUS = 111, PACKET_BYTES = 150, REST_US = 300 };

static struct engine *engine;
static int sockets[CLIENTS];
static struct producer *producers[CLIENTS];
static struct slot *slots[SLOTS];
static struct sockaddr_in engine_name;
static uint64_t received;

static int open_socket(struct sockaddr_in *name)
{
    socklen_t bytes = sizeof *name;
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    memset(name, 0, sizeof *name);
    name->sin_family = AF_INET;
    name->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(descriptor, (struct sockaddr *)name, bytes) != 0 ||
        getsockname(descriptor, (struct sockaddr *)name, &bytes) != 0)
        abort();
    return descriptor;
}

static void add_client(unsigned number)
{
    struct sockaddr_in name;
    struct address address;
    sockets[number] = open_socket(&name);
    address_parse(&address, "127.0.0.1", ntohs(name.sin_port));
    struct producer_spec spec = {.has_ssrc = true,
                                 .ssrc = 100 + number,
                                 .payload_type = OPUS,
                                 .packets_per_second = 100000,
                                 .payload_bytes = 1200};
    engine_lock(engine);
    struct transport *transport = transport_add(engine);
    transport_set_keys(engine, transport, SRTP_PLAIN, NULL, 0, NULL, 0, clock_ns());
    transport_claim(engine, transport, &address);
    transport_select(transport, &address);
    producers[number] = producer_add(engine, transport, &spec);
    producer_allow(engine, producers[number], true, clock_ns());
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        struct consumer_spec listener = {.ssrc = 1000 + slot, .payload_type = OPUS, .nack = true};
        consumer_add(engine, transport, &slots[slot]->source, &listener);
    }
    engine_unlock(engine);
}

static void drain(unsigned number)
{
    char data[2048];
    while (recv(sockets[number], data, sizeof data, 0) > 0)
        received++;
}

static void read_control(void)
{
    engine_lock(engine);
    struct control *control = control_take(engine);
    engine_unlock(engine);
    for (struct control *next; control != NULL; control = next) {
        next = control->next;
        free(control);
    }
}

static void call(unsigned turn)
{
    unsigned number = turn % CLIENTS;
    if (turn % 50 == 0) {
        struct slot *slot = slots[turn / 50 % SLOTS];
        engine_lock(engine);
        slot_occupy(slot, producers[number]);
        preroll_slot(engine, slot, clock_ns());
        engine_unlock(engine);
    }
    if (turn % 97 == 0) {
        engine_lock(engine);
        producer_allow(engine, producers[number], !producers[number]->allowed, clock_ns());
        engine_unlock(engine);
    }
    if (turn % 500 == 0)
        read_control();
}

static void send_packet(unsigned turn)
{
    static const uint8_t stun[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
    uint8_t packet[PACKET_BYTES] = {0x80, OPUS};
    unsigned number = turn % CLIENTS;
    put16(packet + 2, turn / CLIENTS);
    put32(packet + 4, turn / CLIENTS * 960);
    put32(packet + 8, 100 + number);
    const struct sockaddr *to = (const struct sockaddr *)&engine_name;
    sendto(sockets[number], packet, sizeof packet, 0, to, sizeof engine_name);
    if (turn % 40 == 0)
        sendto(sockets[number], stun, sizeof stun, 0, to, sizeof engine_name);
}

int main(int count, char **words)
{
    struct library library;
    char reason[256];
    struct engine_options options = {
        .batch_packets = 16, .control_backlog = 100, .segmentation = true, .hold_ns = 1000000, .seed = 3};
    if (count != 3 || !library_open(&library, words[1], reason, sizeof reason))
        return 2;
    engine = engine_open(open_socket(&engine_name), &library, &options);
    for (unsigned slot = 0; slot < SLOTS; slot++)
        slots[slot] = slot_add(engine);
    engine_start(engine);
    for (unsigned number = 0; number < CLIENTS; number++)
        add_client(number);
    for (unsigned turn = 0, turns = (unsigned)atoi(words[2]); turn < turns; turn++) {
        send_packet(turn);
        drain(turn * 3 % CLIENTS);
        call(turn);
        if (turn % 20 == 0)
            usleep(REST_US);
    }
    engine_stop(engine);
    for (unsigned number = 0; number < CLIENTS; number++)
        drain(number);
    uint64_t forwarded = engine->stats.packets_forwarded;
    printf("%llu forwarded, %llu received\n", (unsigned long long)forwarded, (unsigned long long)received);
    engine_close(engine);
    return forwarded > 1000 && received <= forwarded && received > forwarded / 2 ? 0 : 1;
}
