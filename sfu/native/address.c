#include "address.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

bool address_parse(struct address *out, const char *host, unsigned port)
{
    memset(out, 0, sizeof *out);
    if (*host == 0) {
        out->stream = port;
        return true;
    }
    if (port > 65535)
        return false;
    if (inet_pton(AF_INET, host, &out->socket.v4.sin_addr) == 1) {
        out->socket.v4.sin_family = AF_INET;
        out->socket.v4.sin_port = htons((uint16_t)port);
        out->length = sizeof out->socket.v4;
        return true;
    }
    if (inet_pton(AF_INET6, host, &out->socket.v6.sin6_addr) == 1) {
        out->socket.v6.sin6_family = AF_INET6;
        out->socket.v6.sin6_port = htons((uint16_t)port);
        out->length = sizeof out->socket.v6;
        return true;
    }
    return false;
}

unsigned address_format(const struct address *address, char *host, size_t host_bytes)
{
    if (address->length == 0) {
        host[0] = 0;
        return address->stream;
    }
    if (address->socket.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->socket.v4.sin_addr, host, (socklen_t)host_bytes);
        return ntohs(address->socket.v4.sin_port);
    }
    inet_ntop(AF_INET6, &address->socket.v6.sin6_addr, host, (socklen_t)host_bytes);
    return ntohs(address->socket.v6.sin6_port);
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (a->length != b->length)
        return false;
    if (a->length == 0)
        return a->stream == b->stream;
    if (a->socket.any.sa_family == AF_INET)
        return a->socket.v4.sin_port == b->socket.v4.sin_port &&
               a->socket.v4.sin_addr.s_addr == b->socket.v4.sin_addr.s_addr;
    return a->socket.v6.sin6_port == b->socket.v6.sin6_port &&
           memcmp(&a->socket.v6.sin6_addr, &b->socket.v6.sin6_addr, 16) == 0;
}

static uint64_t mix(uint64_t state, uint64_t word)
{
    state = (state ^ word) * 0x9e3779b97f4a7c15ULL;
    return state ^ state >> 29;
}

uint32_t address_hash(const struct address *address, uint64_t seed)
{
    uint64_t words[2] = {0, 0}, port;
    if (address->length == 0) {
        port = (uint64_t)address->stream << 16;
    } else if (address->socket.any.sa_family == AF_INET) {
        words[0] = address->socket.v4.sin_addr.s_addr;
        port = address->socket.v4.sin_port;
    } else {
        memcpy(words, &address->socket.v6.sin6_addr, 16);
        port = address->socket.v6.sin6_port;
    }
    return (uint32_t)(mix(mix(mix(seed, words[0]), words[1]), port) >> 16);
}

static uint32_t home(const struct address_table *table, const struct address *address)
{
    return address_hash(address, table->seed) & (table->capacity - 1);
}

/* The entry of the address, or the free one where it belongs. */
static struct address_entry *probe(const struct address_table *table, const struct address *address)
{
    uint32_t at = home(table, address);
    while (table->entries[at].owner != NULL && !address_equal(&table->entries[at].address, address))
        at = (at + 1) & (table->capacity - 1);
    return &table->entries[at];
}

void *address_find(const struct address_table *table, const struct address *address)
{
    return table->capacity ? probe(table, address)->owner : NULL;
}

static bool grow(struct address_table *table)
{
    struct address_table larger = *table;
    larger.capacity = table->capacity ? table->capacity * 2 : 64;
    larger.entries = calloc(larger.capacity, sizeof *larger.entries);
    if (larger.entries == NULL)
        return false;
    for (uint32_t i = 0; i < table->capacity; i++)
        if (table->entries[i].owner != NULL)
            *probe(&larger, &table->entries[i].address) = table->entries[i];
    free(table->entries);
    *table = larger;
    return true;
}

bool address_claim(struct address_table *table, const struct address *address, void *owner)
{
    if ((table->count + 1) * 2 > table->capacity && !grow(table))
        return false;
    struct address_entry *entry = probe(table, address);
    table->count += entry->owner == NULL;
    entry->address = *address;
    entry->owner = owner;
    return true;
}

/* Linear probing allows no holes: what follows moves up, unless it would pass its home. */
static void remove_at(struct address_table *table, uint32_t hole)
{
    uint32_t mask = table->capacity - 1;
    for (uint32_t at = (hole + 1) & mask; table->entries[at].owner != NULL; at = (at + 1) & mask) {
        uint32_t distance = (at - home(table, &table->entries[at].address)) & mask;
        if (distance >= ((at - hole) & mask)) {
            table->entries[hole] = table->entries[at];
            hole = at;
        }
    }
    memset(&table->entries[hole], 0, sizeof *table->entries);
    table->count--;
}

void address_release(struct address_table *table, const struct address *address, const void *owner)
{
    if (address_find(table, address) == owner && owner != NULL)
        remove_at(table, (uint32_t)(probe(table, address) - table->entries));
}

void address_release_all(struct address_table *table, const void *owner)
{
    bool found = true;
    while (found) { /* a removal may move an entry behind the place that was looked at */
        found = false;
        for (uint32_t i = 0; i < table->capacity; i++) {
            while (table->entries[i].owner == owner) {
                remove_at(table, i);
                found = true;
            }
        }
    }
}
