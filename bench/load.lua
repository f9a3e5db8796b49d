-- wrk's script: one kind of request, each payment with an Idempotency-Key of its own; prints the figures as JSON.
-- Arguments: create | replay | get ID... | list | health, and for create a prefix that no other run has.
-- What does not change from request to request is put together once, and no answer is looked at beyond its status, which wrk counts
-- itself: what the load costs is taken from who is measured.
local threads, make = {}, nil

function setup(thread)
    thread:set("number", #threads + 1)
    table.insert(threads, thread)
end

local function payment(headers, key)
    headers["Content-Type"] = "application/json"
    headers["Idempotency-Key"] = key
    return wrk.format("POST", "/api/v1/payments", headers, '{"amount": 49.99, "currency": "EUR"}')
end

function init(args)
    local kind, prefix, count, headers = args[1] or "health", args[2] or "", 0, {}
    if os.getenv("API_KEY") then headers["Authorization"] = "Bearer " .. os.getenv("API_KEY") end
    if kind == "create" then
        local before, after = payment(headers, "KEY"):match("^(.*)KEY(.*)$")
        before = before .. prefix .. "-" .. number .. "-"
        make = function()
            count = count + 1
            return before .. count .. after
        end
        return
    end
    local requests = {}
    if kind == "replay" then
        requests[1] = payment(headers, prefix)
    elseif kind == "get" then
        for i = 2, #args do requests[#requests + 1] = wrk.format("GET", "/api/v1/payments/" .. args[i], headers) end
    elseif kind == "list" then
        requests[1] = wrk.format("GET", "/api/v1/payments?limit=20", headers)
    else
        requests[1] = wrk.format("GET", "/health", headers)
    end
    make = function()
        count = count % #requests + 1
        return requests[count]
    end
end

function request()
    return make()
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format(
        '{"requests": %d, "seconds": %.3f, "p50_ms": %.3f, "p99_ms": %.3f, "failed": %d, "broken": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
        e.status, e.connect + e.read + e.write + e.timeout))
end
