#include "healthcheck.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char question[] = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
static const char answer[] = "HTTP/1.1 200 ";

/* Connects, asks, and reads the start of the answer. */
static bool ask(int fd, int64_t port) {
    const struct timeval limit = {.tv_sec = 2};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        send(fd, question, sizeof question - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof question - 1)) {
        return false;
    }
    char head[sizeof answer - 1];
    return recv(fd, head, sizeof head, MSG_WAITALL) == (ssize_t)sizeof head &&
           memcmp(head, answer, sizeof head) == 0;
}

int healthcheck_run(int64_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool healthy = fd >= 0 && ask(fd, port);
    if (fd >= 0) {
        close(fd);
    }
    if (!healthy) {
        fprintf(stderr, "payflow healthcheck: no 200 from http://127.0.0.1:%lld/health\n", (long long)port);
    }
    return healthy ? 0 : 1;
}
