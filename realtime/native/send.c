#include <sys/socket.h>

/* Sends the same bytes to many sockets, none of which is waited for.
 *
 * lines[i] is a socket, or negative for none; afterwards it is how many of the bytes that socket has taken,
 * 0 also when it failed. Returns how many sockets have not taken all of them. */
__attribute__((visibility("default"))) int send_each(int *lines, int count, const char *wire, int size)
{
    int behind = 0;

    for (int i = 0; i < count; i++) {
        ssize_t taken = -1;

        if (lines[i] >= 0)
            taken = send(lines[i], wire, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
        lines[i] = taken > 0 ? (int)taken : 0;
        behind += lines[i] < size;
    }
    return behind;
}
