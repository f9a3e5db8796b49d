/* Idempotency keys, forwarded addresses and trace headers: what is accepted is short, printable, and means
 * itself. */
#include "api/access.h"
#include "core/fingerprint.h"
#include "fuzz.h"
#include "obs/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice header = input_of(data, size);
    char key[IDEMPOTENCY_KEY_MAX + 1];
    if (idempotency_key_parse(header, key)) {
        size_t len = strlen(key);
        MUST(len >= 1 && len <= IDEMPOTENCY_KEY_MAX && len <= size);
        for (size_t i = 0; i < len; i++) {
            MUST(key[i] >= ' ' && key[i] <= '~');
        }
    }
    for (int64_t hops = 0; hops < 4; hops++) {
        char address[64];
        client_address(header, "192.0.2.1", hops, address, sizeof address);
        MUST(strlen(address) > 0);
        MUST(hops > 0 || strcmp(address, "192.0.2.1") == 0);
    }
    struct trace trace;
    trace_read(header, header, header, &trace);
    MUST(strlen(trace.request_id) > 0 && strlen(trace.trace_id) == 32);
    for (const char *c = trace.request_id; *c != '\0'; c++) {
        MUST(*c > ' ' && *c <= '~');
    }
    return 0;
}
