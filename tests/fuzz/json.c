/* JSON in: what is accepted is valid, its members lie in the input and differ, and its texts are what
 * PostgreSQL takes. */
#include "core/json.h"
#include "fuzz.h"

static void check_member(const struct json_object *object, const struct json_member *member,
                         struct slice input) {
    MUST(within(member->raw, input) && member->raw.len > 0);
    MUST(json_find(object, member->name) == member);
    MUST(utf8_valid(slice_of(member->name)));
    if (member->type == JSON_STRING) {
        MUST(member->string != NULL && strlen(member->string) == member->string_len);
        MUST(utf8_valid((struct slice){member->string, member->string_len}));
        MUST(utf8_chars((struct slice){member->string, member->string_len}) == member->string_chars);
    }
    if (member->type == JSON_NUMBER) {
        MUST(json_number_len(member->raw) == member->raw.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = input_of(data, size);
    struct json_object object;
    enum json_error error = json_parse(input, &object);
    MUST(json_error_name(error) != NULL && json_error_text(error) != NULL);
    if (error != JSON_OK) {
        MUST(object.error_offset <= size);
        return 0;
    }
    MUST(object.count <= JSON_MEMBERS_MAX);
    for (size_t i = 0; i < object.count; i++) {
        check_member(&object, &object.members[i], input);
        for (size_t j = 0; j < i; j++) {
            MUST(strcmp(object.members[i].name, object.members[j].name) != 0);
        }
    }
    json_free(&object);
    return 0;
}
