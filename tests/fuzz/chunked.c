/* Chunked bodies: in one piece or in many, the same body, the same end, the same refusal. The first byte says
 * how long the pieces are. */
#include "http/chunked.h"
#include "fuzz.h"

#define BODY_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    size_t piece = 1 + data[0] % 7u;
    struct slice input = input_of(data + 1, size - 1);
    struct chunked whole = {.state = CHUNKED_SIZE};
    struct chunked parts = {.state = CHUNKED_SIZE};
    struct text first;
    struct text second;
    size_t used = 0;
    size_t at = 0;
    text_init(&first, NULL, 0, BODY_MAX);
    text_init(&second, NULL, 0, BODY_MAX);
    enum chunked_result result = chunked_decode(&whole, input.data, input.len, &used, &first);
    enum chunked_result later = CHUNKED_MORE;
    while (later == CHUNKED_MORE && at < input.len) {
        size_t used_now = 0;
        size_t len = input.len - at < piece ? input.len - at : piece;
        later = chunked_decode(&parts, input.data + at, len, &used_now, &second);
        MUST(used_now <= len);
        at += used_now;
    }
    MUST(used <= input.len && first.len <= BODY_MAX);
    MUST(result == later);
    if (result == CHUNKED_DONE || result == CHUNKED_MORE) {
        MUST(at == used && first.len == second.len);
        MUST(first.len == 0 || memcmp(first.data, second.data, first.len) == 0);
    }
    text_free(&first);
    text_free(&second);
    return 0;
}
