#include "store/array.h"

#define ARRAY_BYTES_MAX (16u << 20) /* 1024 rows of the largest metadata that a body can hold */
#define HEADER_BYTES 20             /* dimensions, null flag, type, length, lower bound */
#define EPOCH_2000_MS INT64_C(946684800000)

static void put_be(char *out, uint64_t value, size_t bytes) {
    for (size_t i = bytes; i > 0; i--) {
        out[i - 1] = (char)(value & 0xff);
        value >>= 8;
    }
}

void array_begin(struct array *array, enum array_type type) {
    static const char header[HEADER_BYTES];
    if (array->bytes.limit == 0) {
        text_init(&array->bytes, NULL, 0, ARRAY_BYTES_MAX);
    }
    text_clear(&array->bytes);
    text_add(&array->bytes, header, sizeof header);
    array->type = type;
    array->count = 0;
    array->has_null = false;
}

void array_free(struct array *array) {
    text_free(&array->bytes);
}

static void add_number(struct array *array, uint64_t value, size_t bytes) {
    char element[12];
    put_be(element, bytes, 4);
    put_be(element + 4, value, bytes);
    text_add(&array->bytes, element, 4 + bytes);
    array->count++;
}

void array_add_bool(struct array *array, bool value) {
    add_number(array, value ? 1 : 0, 1);
}

void array_add_int2(struct array *array, int16_t value) {
    add_number(array, (uint64_t)(int64_t)value, 2);
}

void array_add_int4(struct array *array, int32_t value) {
    add_number(array, (uint64_t)(int64_t)value, 4);
}

void array_add_int8(struct array *array, int64_t value) {
    add_number(array, (uint64_t)value, 8);
}

void array_add_time(struct array *array, int64_t time_ms) {
    add_number(array, (uint64_t)((time_ms - EPOCH_2000_MS) * 1000), 8);
}

void array_add_bytes(struct array *array, struct slice value) {
    char length[4];
    if (value.data == NULL) {
        put_be(length, UINT32_MAX, 4);
        text_add(&array->bytes, length, 4);
        array->has_null = true;
    } else {
        put_be(length, value.len, 4);
        text_add(&array->bytes, length, 4);
        text_add(&array->bytes, value.data, value.len);
    }
    array->count++;
}

bool arrays_bind(struct array *arrays, int count, struct pg_parameters *parameters) {
    parameters->count = count;
    for (int i = 0; i < count; i++) {
        struct array *array = &arrays[i];
        if (array->bytes.failed) {
            return false;
        }
        char *header = array->bytes.data;
        put_be(header, 1, 4);
        put_be(header + 4, array->has_null ? 1 : 0, 4);
        put_be(header + 8, (uint64_t)array->type, 4);
        put_be(header + 12, (uint64_t)array->count, 4);
        put_be(header + 16, 1, 4);
        parameters->values[i] = array->bytes.data;
        parameters->lengths[i] = (int)array->bytes.len;
        parameters->formats[i] = 1;
    }
    return true;
}
