/* Cursors and times: what is accepted is what we would write ourselves, so that no place has two names. */
#include "core/cursor.h"
#include "core/timestamp.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = input_of(data, size);
    char id[ID_SIZE];
    char printed[CURSOR_TEXT_MAX];
    struct feed_place place;
    int64_t time_ms = 0;
    uint32_t hash = cursor_hash(CURSOR_HASH_SEED, slice_of("1 0 0   "));
    if (cursor_parse(text, ID_PAYMENT, hash, id)) {
        MUST(id_valid(ID_PAYMENT, slice_of(id)));
        cursor_format(id, hash, printed);
        MUST(slice_equal(slice_of(printed), text));
    }
    if (feed_cursor_parse(text, &place)) {
        feed_cursor_format(place, printed);
        MUST(slice_equal(slice_of(printed), text));
    }
    if (timestamp_parse(text, &time_ms)) {
        char time[TIMESTAMP_SIZE];
        int64_t again = 0;
        timestamp_format(time_ms, time);
        MUST(timestamp_parse(slice_of(time), &again));
        MUST(again == time_ms || time_ms < 0);
    }
    return 0;
}
