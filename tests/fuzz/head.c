/* Heads of requests: what is accepted lies in the input, is one message to every reader, and is judged the
 * same when it comes in pieces. */
#include "http/head.h"
#include "fuzz.h"

static void check_accepted(const struct head *head, struct slice input) {
    struct slice parsed = {input.data, head->bytes};
    const struct slice fields[] = {
        head->query,         head->host,         head->length,           head->transfer_encoding,
        head->expect,        head->content_type, head->content_encoding, head->idempotency_key,
        head->authorization, head->request_id,   head->traceparent,      head->cloud_trace};
    MUST(head->bytes >= 4 && head->bytes <= input.len && head->bytes <= HTTP_HEAD_BYTES_MAX);
    MUST(memcmp(input.data + head->bytes - 4, "\r\n\r\n", 4) == 0);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        MUST(within(fields[i], parsed));
        MUST(fields[i].data == NULL || memchr(fields[i].data, '\n', fields[i].len) == NULL);
        MUST(fields[i].data == NULL || memchr(fields[i].data, '\0', fields[i].len) == NULL);
    }
    MUST(!(head->chunked && head->length.data != NULL)); /* two lengths: a smuggler's */
    MUST(head->version_1_0 || head->host.data != NULL);
    MUST(!(head->version_1_0 && head->chunked));
    if (!head->asterisk && !slice_equal(head->path, slice_of("/"))) { /* http://host has no "/" to point to */
        MUST(within(head->path, parsed) && head->path.len > 1 && head->path.data[0] == '/');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = input_of(data, size);
    struct head head;
    struct head again;
    struct problem problem;
    enum head_result result = head_parse(input.data, input.len, &head, &problem);
    if (result == HEAD_ACCEPTED) {
        check_accepted(&head, input);
        MUST(head_ready(input.data, input.len, 0));
        for (size_t len = 0; len < head.bytes; len += 1 + head.bytes / 16) {
            MUST(head_parse(input.data, len, &again, &problem) == HEAD_PARTIAL);
        }
    } else if (result == HEAD_PARTIAL) {
        MUST(size <= HTTP_HEAD_BYTES_MAX);
    }
    (void)head_media_is_json(input);
    return 0;
}
