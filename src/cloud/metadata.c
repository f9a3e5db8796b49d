#include "cloud/metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/json.h"
#include "sys/clock.h"

#define ANSWER_MAX 16384
#define LIFETIME_MAX_S 86400
#define PATH "/computeMetadata/v1/instance/service-accounts/default/token?scopes="

/* --- the answer --- */

/* True if a header line of that name has that value. */
static bool has_header(struct slice head, const char *name, const char *value) {
    size_t name_len = strlen(name);
    size_t value_len = strlen(value);
    while (head.len > 0) {
        const char *end = memmem(head.data, head.len, "\r\n", 2);
        size_t len = end == NULL ? head.len : (size_t)(end - head.data);
        if (len > name_len && strncasecmp(head.data, name, name_len) == 0 && head.data[name_len] == ':') {
            struct slice found = {head.data + name_len + 1, len - name_len - 1};
            while (found.len > 0 && (found.data[0] == ' ' || found.data[0] == '\t')) {
                found = (struct slice){found.data + 1, found.len - 1};
            }
            if (found.len == value_len && strncasecmp(found.data, value, value_len) == 0) {
                return true;
            }
        }
        len = end == NULL ? len : len + 2;
        head = (struct slice){head.data + len, head.len - len};
    }
    return false;
}

/* A token goes into a password: visible ASCII, and nothing that could end a string. */
static bool take_token(const struct json_member *member, struct token *token) {
    if (member == NULL || member->type != JSON_STRING || member->string_len == 0 ||
        member->string_len > TOKEN_MAX) {
        return false;
    }
    for (size_t i = 0; i < member->string_len; i++) {
        if (member->string[i] <= ' ' || member->string[i] > '~') {
            return false;
        }
    }
    memcpy(token->text, member->string, member->string_len + 1);
    return true;
}

static bool take_lifetime(const struct json_member *member, struct token *token) {
    if (member == NULL || member->type != JSON_NUMBER || member->raw.len > 9 || member->raw.data[0] == '-') {
        return false;
    }
    token->lifetime_s = 0;
    for (size_t i = 0; i < member->raw.len; i++) {
        if (member->raw.data[i] < '0' || member->raw.data[i] > '9') {
            return false;
        }
        token->lifetime_s = token->lifetime_s * 10 + (member->raw.data[i] - '0');
    }
    return token->lifetime_s > 0 && token->lifetime_s <= LIFETIME_MAX_S;
}

const char *metadata_read(struct slice answer, struct token *token) {
    const char *end = answer.len == 0 ? NULL : memmem(answer.data, answer.len, "\r\n\r\n", 4);
    if (end == NULL || answer.len < 12 || strncmp(answer.data, "HTTP/1.", 7) != 0) {
        return "its answer is not HTTP";
    }
    if (memcmp(answer.data + 8, " 200", 4) != 0) {
        return "its answer is not 200";
    }
    struct slice head = {answer.data, (size_t)(end + 2 - answer.data)};
    struct slice body = {end + 4, answer.len - head.len - 2};
    if (!has_header(head, "Metadata-Flavor", "Google")) {
        return "it is no metadata server";
    }
    char length[24];
    snprintf(length, sizeof length, "%zu", body.len);
    if (!has_header(head, "Content-Length", length)) {
        return "its answer is cut short or has no length";
    }
    struct json_object object;
    if (json_parse(body, &object) != JSON_OK) {
        return "its answer is not JSON";
    }
    bool good = take_token(json_find(&object, "access_token"), token) &&
                take_lifetime(json_find(&object, "expires_in"), token);
    for (size_t i = 0; i < object.count; i++) {
        if (object.members[i].string != NULL) {
            explicit_bzero(object.members[i].string, object.members[i].string_len);
        }
    }
    json_free(&object);
    return good ? NULL : "its answer holds no token";
}

/* --- the wire --- */

static int connect_to(const struct addrinfo *address, int64_t deadline_us) {
    int error = 0;
    socklen_t size = sizeof error;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0 ||
        (errno == EINPROGRESS && clock_wait_fd(fd, POLLOUT, deadline_us) &&
         getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)) {
        return fd;
    }
    close(fd);
    return -1;
}

static const char *open_wire(const char *server, int64_t deadline_us, int *fd) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[256];
    const char *colon = strrchr(server, ':');
    size_t host_len = colon == NULL ? strlen(server) : (size_t)(colon - server);
    if (host_len == 0 || host_len >= sizeof host) {
        return "METADATA_HOST is no host";
    }
    snprintf(host, sizeof host, "%.*s", (int)host_len, server);
    if (getaddrinfo(host, colon == NULL ? "80" : colon + 1, &hints, &found) != 0) {
        return "its name is not known";
    }
    *fd = -1;
    for (const struct addrinfo *at = found; at != NULL && *fd < 0; at = at->ai_next) {
        *fd = connect_to(at, deadline_us);
    }
    freeaddrinfo(found);
    return *fd < 0 ? "cannot connect to it" : NULL;
}

static bool send_all(int fd, const char *data, size_t len, int64_t deadline_us) {
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        if (sent > 0) {
            data += sent;
            len -= (size_t)sent;
        } else if ((errno != EAGAIN && errno != EINTR) || !clock_wait_fd(fd, POLLOUT, deadline_us)) {
            return false;
        }
    }
    return true;
}

/* Reads until the server closes. */
static const char *receive_all(int fd, char *buffer, size_t *len, int64_t deadline_us) {
    for (;;) {
        if (*len == ANSWER_MAX) {
            return "its answer is too long";
        }
        ssize_t got = recv(fd, buffer + *len, ANSWER_MAX - *len, 0);
        if (got == 0) {
            return NULL;
        }
        if (got > 0) {
            *len += (size_t)got;
        } else if ((errno != EAGAIN && errno != EINTR) || !clock_wait_fd(fd, POLLIN, deadline_us)) {
            return "it does not answer";
        }
    }
}

const char *metadata_token(const char *server, const char *scope, int64_t deadline_us, struct token *token) {
    char request[700];
    char answer[ANSWER_MAX];
    size_t answer_len = 0;
    int fd = -1;
    int len = snprintf(request, sizeof request,
                       "GET " PATH
                       "%s HTTP/1.1\r\nHost: %s\r\nMetadata-Flavor: Google\r\nConnection: close\r\n\r\n",
                       scope, server);
    const char *wrong = len < 0 || len >= (int)sizeof request ? "METADATA_HOST is too long"
                                                              : open_wire(server, deadline_us, &fd);
    if (wrong != NULL) {
        return wrong;
    }
    wrong = send_all(fd, request, (size_t)len, deadline_us)
                ? receive_all(fd, answer, &answer_len, deadline_us)
                : "it does not listen";
    close(fd);
    if (wrong == NULL) {
        wrong = metadata_read((struct slice){answer, answer_len}, token);
    }
    explicit_bzero(answer, answer_len);
    return wrong;
}
