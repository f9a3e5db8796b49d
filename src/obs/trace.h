/* Request ids and W3C Trace Context (level 1): taken from the caller if well-formed, else made. Pure but for
 * randomness. */
#ifndef PAYFLOW_OBS_TRACE_H
#define PAYFLOW_OBS_TRACE_H

#include "core/base.h"

#define REQUEST_ID_MAX 128 /* characters accepted from a caller: letters, digits and -._~:/+= */

struct trace {
    char request_id[REQUEST_ID_MAX +
                    1]; /* X-Request-Id as it came, or the trace id, or 32 random hex digits */
    char trace_id[33];  /* from traceparent, else X-Cloud-Trace-Context, else random */
    char span_id[17];   /* the caller's span, or "" */
    bool sampled;
};

/* Fills `trace` from the three headers (absent slices where there is none); malformed ones count as absent.
 */
void trace_read(struct slice request_id, struct slice traceparent, struct slice cloud_trace,
                struct trace *trace);

#endif
