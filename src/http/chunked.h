/* A chunked body (RFC 9112, section 7.1), decoded strictly: sizes are one to eight hexadecimal digits, lines
 * end in CR LF, extensions and trailers are bounded and dropped. CivetWeb's own decoder is not used: it takes
 * bare CRs, unbounded extensions and unchecked trailers. Pure; thread-safe. */
#ifndef PAYFLOW_HTTP_CHUNKED_H
#define PAYFLOW_HTTP_CHUNKED_H

#include "core/text.h"

#define CHUNKED_EXTRA_BYTES_MAX 4096 /* of extensions and trailers in one body */

enum chunked_state {
    CHUNKED_SIZE,       /* in the digits of a chunk's size */
    CHUNKED_SIZE_SPACE, /* spaces after them: only an extension may follow */
    CHUNKED_EXTENSION,  /* after a semicolon */
    CHUNKED_SIZE_LF,    /* the size line's CR was seen */
    CHUNKED_DATA,
    CHUNKED_DATA_CR, /* the chunk is whole, its CR LF must follow */
    CHUNKED_DATA_LF,
    CHUNKED_TRAILER, /* at the start of a trailer line, or of the last empty line */
    CHUNKED_TRAILER_NAME,
    CHUNKED_TRAILER_VALUE,
    CHUNKED_TRAILER_LF,
    CHUNKED_LAST_LF, /* the last line's CR was seen */
};

/* Where the decoder stands; all zero at first. */
struct chunked {
    enum chunked_state state;
    size_t digits; /* of the size so far */
    size_t left;   /* bytes of the chunk that are still to come */
    size_t extra;  /* bytes of extensions and trailers so far */
};

enum chunked_result {
    CHUNKED_MORE,      /* all was used; more must come */
    CHUNKED_DONE,      /* the body is complete; *used says where it ends */
    CHUNKED_BAD,       /* not a chunked body */
    CHUNKED_TOO_LARGE, /* more than `out` may hold */
};

/* Decodes the next `len` bytes and appends the body's to `out`, whose limit bounds the body. *used is how
 * many bytes belong to the body; what follows is the next request's. */
MUST_CHECK enum chunked_result chunked_decode(struct chunked *chunked, const char *data, size_t len,
                                              size_t *used, struct text *out);

#endif
