/* Amounts: what is accepted is in its range and comes out as it went in. The first byte chooses the exponent.
 */
#include "core/json.h"
#include "core/money.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    unsigned exponent = data[0] % 5u;
    struct slice text = input_of(data + 1, size - 1);
    int64_t amount_minor = 0;
    enum money_error error = money_parse(text, exponent, &amount_minor);
    MUST(money_error_name(error) != NULL);
    if (error == MONEY_OK) {
        char printed[MONEY_TEXT_MAX];
        int64_t again = 0;
        MUST(amount_minor >= 1 && amount_minor <= MONEY_MINOR_MAX);
        MUST(json_number_len(text) == text.len);
        MUST(money_format(amount_minor, exponent, printed) < MONEY_TEXT_MAX);
        MUST(money_parse(slice_of(printed), exponent, &again) == MONEY_OK && again == amount_minor);
    } else if (error != MONEY_NOT_A_NUMBER) {
        MUST(json_number_len(text) == text.len);
    }
    return 0;
}
