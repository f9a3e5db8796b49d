-- wrk's script: one kind of request, each payment with an Idempotency-Key of its own; prints the figures as JSON.
-- Arguments: create | get ID... | health, and for create a prefix that no other run has.
local kind, threads = "health", {}

function setup(thread)
    thread:set("number", #threads + 1)
    table.insert(threads, thread)
end

function init(args)
    kind = args[1] or "health"
    headers = {["Content-Type"] = "application/json"}
    if os.getenv("API_KEY") then headers["Authorization"] = "Bearer " .. os.getenv("API_KEY") end
    prefix, count, ids = args[2] or "", 0, args
    failures = 0
end

function request()
    count = count + 1
    if kind == "create" then
        headers["Idempotency-Key"] = prefix .. "-" .. number .. "-" .. count
        return wrk.format("POST", "/api/v1/payments", headers, '{"amount": 49.99, "currency": "EUR"}')
    elseif kind == "replay" then
        headers["Idempotency-Key"] = prefix
        return wrk.format("POST", "/api/v1/payments", headers, '{"amount": 49.99, "currency": "EUR"}')
    elseif kind == "get" then
        return wrk.format("GET", "/api/v1/payments/" .. ids[2 + count % (#ids - 1)], headers)
    elseif kind == "list" then
        return wrk.format("GET", "/api/v1/payments?limit=20", headers)
    end
    return wrk.format("GET", "/health", headers)
end

function response(status)
    if status >= 300 then failures = failures + 1 end
end

function done(summary, latency)
    local failed = 0
    for _, thread in ipairs(threads) do failed = failed + thread:get("failures") end
    local e = summary.errors
    io.write(string.format(
        '{"requests": %d, "seconds": %.3f, "p50_ms": %.3f, "p99_ms": %.3f, "failed": %d, "broken": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
        failed, e.connect + e.read + e.write + e.timeout))
end
