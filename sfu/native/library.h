/* The cryptography library, found at run time: the interpreter's own libcrypto, or the one inside
 * pylibsrtp. Looked up by name, so that neither headers nor a linker flag are needed to build, and so that a
 * security update of that library reaches us without a rebuild. There is no cipher of our own anywhere. */
#ifndef FLYLIVE_LIBRARY_H
#define FLYLIVE_LIBRARY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cipher_context cipher_context; /* EVP_CIPHER_CTX */
typedef struct cipher_kind cipher_kind;       /* EVP_CIPHER */
typedef struct mac_context mac_context;       /* HMAC_CTX */
typedef struct digest_kind digest_kind;       /* EVP_MD */

struct library {
    cipher_context *(*cipher_new)(void);
    void (*cipher_free)(cipher_context *);
    int (*cipher_init)(cipher_context *, const cipher_kind *, void *engine, const uint8_t *key,
                       const uint8_t *iv, int encrypt);
    int (*cipher_update)(cipher_context *, uint8_t *out, int *written, const uint8_t *in, int bytes);
    int (*cipher_final)(cipher_context *, uint8_t *out, int *written);
    int (*cipher_control)(cipher_context *, int what, int bytes, void *data);
    const cipher_kind *(*aes_128_gcm)(void), *(*aes_256_gcm)(void);
    const cipher_kind *(*aes_128_ctr)(void), *(*aes_256_ctr)(void);
    mac_context *(*mac_new)(void);
    void (*mac_free)(mac_context *);
    int (*mac_init)(mac_context *, const void *key, int key_bytes, const digest_kind *, void *engine);
    int (*mac_update)(mac_context *, const uint8_t *data, size_t bytes);
    int (*mac_final)(mac_context *, uint8_t *out, unsigned *written);
    const digest_kind *(*sha1)(void);
    int (*equal)(const void *, const void *, size_t); /* 0 when equal, in constant time */
    void (*cleanse)(void *, size_t);
};

/* Fills *library from the shared object at path (NULL: what the process has loaded already).
 * Returns false with the reason in error. The object stays loaded for the life of the process. */
bool library_open(struct library *library, const char *path, char *error, size_t error_bytes);
#endif
