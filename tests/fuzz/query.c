/* Query strings: each pair is text without NUL, and every string comes to its end. */
#include "core/query.h"
#include "core/json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice rest = input_of(data, size);
    struct query_pair pair;
    for (size_t pairs = 0; query_next(&rest, &pair) == QUERY_PAIR; pairs++) {
        MUST(pairs <= size);
        MUST(memchr(pair.name, '\0', sizeof pair.name) != NULL &&
             memchr(pair.value, '\0', sizeof pair.value) != NULL);
        MUST(utf8_valid(slice_of(pair.name)) && utf8_valid(slice_of(pair.value)));
        MUST(within(rest, input_of(data, size)));
    }
    return 0;
}
