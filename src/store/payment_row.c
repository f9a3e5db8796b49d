#include <stdlib.h>

#include "store/internal.h"

void record_free(struct record *record) {
    free(record->memory);
    record->memory = NULL;
}

/* Moves the optional texts into one allocation of the record's own. */
bool record_own_texts(struct record *record) {
    struct slice *texts[] = {&record->payment.description, &record->payment.reference,
                             &record->payment.metadata, &record->refund.reason};
    size_t bytes = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        bytes += texts[i]->len;
    }
    record->memory = malloc(bytes + 1);
    if (record->memory == NULL) {
        return false;
    }
    char *at = record->memory;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i]->data != NULL) {
            memcpy(at, texts[i]->data, texts[i]->len);
            texts[i]->data = at;
            at += texts[i]->len;
        }
    }
    return true;
}

bool record_copy(const struct record *from, struct record *to) {
    *to = *from;
    return record_own_texts(to);
}

struct slice text_at(const PGresult *result, int row, int column) {
    if (PQgetisnull(result, row, column)) {
        return (struct slice){NULL, 0};
    }
    return (struct slice){PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

int64_t number_at(const PGresult *result, int row, int column) {
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

bool payment_row_read(const PGresult *result, int row, int column, struct record *record) {
    struct slice id = text_at(result, row, column);
    struct payment *payment = &record->payment;
    *record = (struct record){.memory = NULL};
    if (id.data == NULL || !id_valid(ID_PAYMENT, id)) {
        return false;
    }
    memcpy(payment->id, id.data, id.len);
    payment->amount_minor = number_at(result, row, column + 1);
    payment->captured_minor = number_at(result, row, column + 2);
    payment->refunded_minor = number_at(result, row, column + 3);
    payment->currency = currency_find(text_at(result, row, column + 4));
    payment->status = (enum payment_status)number_at(result, row, column + 5);
    payment->livemode = PQgetvalue(result, row, column + 6)[0] == 't';
    payment->created_at_ms = id_time_ms(id);
    payment->description = text_at(result, row, column + 7);
    payment->reference = text_at(result, row, column + 8);
    payment->metadata = text_at(result, row, column + 9);
    return payment->currency != NULL && record_own_texts(record);
}
