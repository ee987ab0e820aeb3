#include "library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

bool library_open(struct library *library, const char *path, char *error, size_t error_bytes)
{
    struct library found;
    const struct {
        void *place;
        const char *name;
    } symbols[] = {
        {&found.cipher_new, "EVP_CIPHER_CTX_new"},
        {&found.cipher_free, "EVP_CIPHER_CTX_free"},
        {&found.cipher_init, "EVP_CipherInit_ex"},
        {&found.cipher_update, "EVP_CipherUpdate"},
        {&found.cipher_final, "EVP_CipherFinal_ex"},
        {&found.cipher_control, "EVP_CIPHER_CTX_ctrl"},
        {&found.aes_128_gcm, "EVP_aes_128_gcm"},
        {&found.aes_256_gcm, "EVP_aes_256_gcm"},
        {&found.aes_128_ctr, "EVP_aes_128_ctr"},
        {&found.aes_256_ctr, "EVP_aes_256_ctr"},
        {&found.mac_new, "HMAC_CTX_new"},
        {&found.mac_free, "HMAC_CTX_free"},
        {&found.mac_init, "HMAC_Init_ex"},
        {&found.mac_update, "HMAC_Update"},
        {&found.mac_final, "HMAC_Final"},
        {&found.sha1, "EVP_sha1"},
        {&found.equal, "CRYPTO_memcmp"},
        {&found.cleanse, "OPENSSL_cleanse"},
    };
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) {
        snprintf(error, error_bytes, "%s", dlerror());
        return false;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *address = dlsym(object, symbols[i].name);
        if (address == NULL) {
            snprintf(error, error_bytes, "%s lacks %s", path ? path : "the process", symbols[i].name);
            dlclose(object);
            return false;
        }
        memcpy(symbols[i].place, &address, sizeof address); /* ISO C has no cast from object to function */
    }
    *library = found;
    return true;
}
