/* Peer addresses, and the table that finds the transport of a datagram. Only addresses that ICE has validated
 * enter the table; the hash is seeded all the same, so that nobody can choose ports that collide. */
#ifndef FLYLIVE_ADDRESS_H
#define FLYLIVE_ADDRESS_H
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } socket;
    socklen_t length; /* 0: a stream connection, known by its number only */
    uint32_t stream;
};

bool address_parse(struct address *out, const char *host, unsigned port);
/* host has room for INET6_ADDRSTRLEN; "" for a stream. Returns the port, or the stream's number. */
unsigned address_format(const struct address *address, char *host, size_t host_bytes);
bool address_equal(const struct address *a, const struct address *b);
uint32_t address_hash(const struct address *address, uint64_t seed);

struct address_entry {
    struct address address;
    void *owner; /* NULL: free */
};

struct address_table {
    struct address_entry *entries;
    uint32_t capacity, count; /* capacity is a power of two */
    uint64_t seed;
};

void *address_find(const struct address_table *table, const struct address *address);
bool address_claim(struct address_table *table, const struct address *address, void *owner);
void address_release(struct address_table *table, const struct address *address, const void *owner);
void address_release_all(struct address_table *table, const void *owner);
#endif
