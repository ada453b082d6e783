-- Clients that mean no good, on real nginx: whatever they send, no worker ends, nothing is
-- answered with 500, nothing of the machine is told, and the error log stays free of what is
-- the clients' fault.

local random = require "random"
local status_server = require "status_server"
local store_file = require "store_file"
local wire = require "wire"
local JobTracker = require("job_tracker").JobTracker

local SEED = 5
local path, jobs, server, workers, id

before_each(function()
  path = store_file.path()
  jobs = assert(JobTracker.open(path, { size = "8M" }))
  id = assert(jobs.create_job("textbook"))
  server = status_server.start { store = path, setup = [[
    list = true, events = true, cancel = true, max_body = 1000,
    on_create = function(request)
      return require("resty.job_tracker").tracker().create_job("made")
    end]] }
  workers = server:workers()
end)

after_each(function()
  wire.close_all()
  status_server.stop_all()
  jobs.close()
  store_file.clean()
end)

-- Sends the bytes; returns the statuses of all that is answered within the time, or until
-- nginx closes, and the whole text.
local function exchange(bytes, seconds)
  local connection = wire.connect(server)
  connection:send(bytes)
  local text, statuses = connection:read_raw(seconds), {}
  connection:close()
  for status in text:gmatch("HTTP/1%.%d (%d%d%d) ") do
    statuses[#statuses + 1] = tonumber(status)
  end
  return statuses, text
end

local function expect_no_harm(text, what)
  for _, leak in ipairs({ ".lua", "traceback", "/tmp/", path }) do
    assert.is_nil(text:find(leak, 1, true), what)
  end
end

local function expect_no_fault(bytes, what, seconds)
  local statuses, text = exchange(bytes, seconds or 0.2)
  for _, status in ipairs(statuses) do
    assert.is_true(status < 500 or status == 501 or status == 505, what .. ": " .. status)
  end
  expect_no_harm(text, what)
  return statuses
end

-- nginx closes after the answer, so that nobody waits for more.
local CLOSE = "Connection: close\r\n"

local function request(line, headers, body)
  return line .. "\r\nHost: x\r\n" .. (headers or CLOSE) .. "\r\n" .. (body or "")
end

local function get(target, headers) return request("GET " .. target .. " HTTP/1.1", headers) end

describe("a hostile client", function()
  after_each(function()
    status_server.expect_unharmed(server, workers)
    for _, response in pairs(server:request_from_each("/jobs/" .. id)) do
      assert.equal(200, response.status)
      assert.equal(jobs.get_json(id), response.body)
    end
  end)

  it("asks for odd ids everywhere", function()
    local odd = { ("x"):rep(7000), ("%41"):rep(2000), "%00", "a%00b", id .. "%00", "%ff%fe", "\255",
      "%c0%af", "%0d%0aSet-Cookie:%20a", "..%2f..%2fetc%2fpasswd", "%252e%252e", "%", "%zz",
      "'%20or%201=1", "<script>", "%3cscript%3e", "a;b", "a?b?c", "a#b", "\\", "|id", "${7*7}",
      "%25s%25n", "__index", "__gc", "constructor", "[1]", "*", "-1", "9999999999999999999" }
    for _, name in ipairs(odd) do
      for _, form in ipairs({ "/jobs/%s", "/jobs/%s/events", "/jobs/%s?wait=0.1", "/%s",
        "/jobs/%s/cancel", "/jobs/x/%s" }) do
        local target = form:gsub("%%s", function() return name end)
        local statuses = expect_no_fault(get(target), target, 5)
        assert.is_true(#statuses >= 1)
        expect_no_fault(request("POST " .. target .. " HTTP/1.1",
          "Content-Length: 0\r\n" .. CLOSE), target)
      end
    end
  end)

  it("uses odd methods and lines", function()
    for _, line in ipairs({ "get /jobs HTTP/1.1", "G\0T /jobs HTTP/1.1", "GET  /jobs  HTTP/1.1",
      "GET /jobs", "GET /jobs HTTP/9.9", "GET /jobs HTTP/1.1x", "GET http://x/jobs HTTP/1.1",
      "GET jobs HTTP/1.1", "OPTIONS * HTTP/1.1", "CONNECT x:80 HTTP/1.1", "PRI * HTTP/2.0",
      ("X"):rep(5000) .. " /jobs HTTP/1.1", "\22\3\1\2\0\1\0\1\252", "", "\r\n\r\n",
      "TRACE /jobs HTTP/1.1", "PROPFIND /jobs HTTP/1.1", "COPY /jobs HTTP/1.1",
      "LOCK /jobs HTTP/1.1", "HEAD /jobs/" .. id .. "/events HTTP/1.1",
      "DELETE /jobs/" .. id .. " HTTP/1.1", "PATCH /jobs/" .. id .. "/cancel HTTP/1.1" }) do
      expect_no_fault(request(line), line)
    end
    assert.equal("pending", jobs.get_job(id).status)
  end)

  it("floods with headers and arguments", function()
    local many = {}
    for index = 1, 200 do many[index] = ("X-%d: %s\r\n"):format(index, ("x"):rep(100)) end
    local floods = {
      table.concat(many), ("X: y\r\n"):rep(500), "X: " .. ("y"):rep(40000) .. "\r\n",
      ("Last-Event-ID: 1\r\n"):rep(100), "Last-Event-ID: " .. ("9"):rep(7000) .. "\r\n",
      "Last-Event-ID: 18446744073709551616\r\n", "Last-Event-ID: -1\r\n", "Last-Event-ID: \255\r\n",
      "If-None-Match: " .. ('"1",'):rep(1500) .. "\r\n",
      "If-None-Match: " .. ("W/"):rep(3000) .. "\r\n",
      "Prefer: " .. ("wait=1;"):rep(900) .. "\r\n", "Prefer: wait=" .. ("9"):rep(5000) .. "\r\n",
      "Accept: " .. ("text/html;q=0.1,"):rep(400) .. "\r\n",
      "Accept: text/html;q=" .. ("1"):rep(5000) .. "\r\n", "Accept: " .. (","):rep(7000) .. "\r\n",
      "Accept: \0\255\r\n",
      "X_Y: 1\r\n: empty\r\nno colon\r\n", "Content-Length: 1\r\nContent-Length: 2\r\n",
      "Expect: 200-ok\r\n", "Upgrade: h2c\r\nConnection: Upgrade\r\n",
      "Range: bytes=0-0,1-1,2-2\r\n",
    }
    for _, target in ipairs({ "/jobs", "/jobs/" .. id, "/jobs/" .. id .. "/events", "/events" }) do
      for _, headers in ipairs(floods) do
        expect_no_fault(get(target, headers .. CLOSE), target .. " " .. headers:sub(1, 40))
      end
      for _, query in ipairs({ ("a&"):rep(3000), ("after=1&"):rep(101), "%00=%00&wait=%00",
        ("&"):rep(5000), ("="):rep(5000), "%=%&%zz=%zz", "after=" .. ("9"):rep(5000),
        "wait=0.1&wait=0.1", "\255=\254" }) do
        expect_no_fault(get(target .. "?" .. query), target .. "?" .. query:sub(1, 40))
      end
    end
  end)

  it("lies about the length of bodies, and smuggles", function()
    local function post(headers, body)
      return request("POST /jobs HTTP/1.1", "Content-Type: application/json\r\n" .. headers, body)
    end
    local smuggled = get("/jobs/smuggled_00000000")
    expect_no_fault(post("Content-Length: 100\r\n", "{}"), "longer than it is")
    expect_no_fault(post("Content-Length: -1\r\n", "{}"), "negative")
    expect_no_fault(post("Content-Length: 99999999999999999999\r\n", "{}"), "overflow")
    expect_no_fault(post("Content-Length: 0x2\r\n", "{}"), "hexadecimal")
    expect_no_fault(post("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), "no size")
    expect_no_fault(post("Transfer-Encoding: chunked\r\n", "ffffffffffffffff1\r\n{}\r\n"),
      "huge chunk")
    expect_no_fault(post("Transfer-Encoding: chunked\r\n", "2\r\n{}"), "half a chunk")
    expect_no_fault(post("Transfer-Encoding: gzip\r\n", "{}"), "gzip")
    expect_no_fault(post("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"), "well")
    -- Two lengths: one of them hides a request. It is refused, or the rest is not a request.
    local lengths = ("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n"):format(5 + #smuggled)
    local statuses = expect_no_fault(post(lengths, "0\r\n\r\n" .. smuggled), "both lengths")
    assert.equal(400, statuses[1])
    assert.is_nil(statuses[2])
    lengths = ("Content-Length: 2\r\nContent-Length: %d\r\n"):format(2 + #smuggled)
    statuses = expect_no_fault(post(lengths, "{}" .. smuggled), "two lengths")
    assert.equal(400, statuses[1])
    assert.is_nil(statuses[2])
    -- A body where none is expected is read as a body, not as the next request.
    statuses = expect_no_fault(request("GET /jobs/" .. id .. " HTTP/1.1",
      ("Content-Length: %d\r\n"):format(#smuggled), smuggled), "GET with a body")
    assert.same({ 200 }, statuses)
    expect_no_fault(post("Content-Length: 2000\r\n", ("x"):rep(2000) .. get("/jobs")),
      "refused, then another")
  end)

  it("sends deep and broken JSON", function()
    for _, body in ipairs({ ("["):rep(999), ("["):rep(499) .. ("]"):rep(499), ('{"a":'):rep(190),
      '{"reason":"\\ud800"}', '{"reason":"\\u0000"}', '{"reason":"\255"}', "\239\187\191{}",
      '{"a":1e999}', '{"a":-0}', '{"__proto__":1}', '{"a":1,"a":2}', "\0", '"' .. ("\\"):rep(99),
      "1e", "-", "tru", "nul", "nan", "Infinity", '{"reason":1e308}' }) do
      for _, target in ipairs({ "/jobs", "/jobs/textbook_00000000/cancel" }) do
        expect_no_fault(request("POST " .. target .. " HTTP/1.1",
          ("Content-Type: application/json\r\nContent-Length: %d\r\n"):format(#body) .. CLOSE,
          body),
          target .. " " .. body:sub(1, 30))
      end
    end
  end)

  it("talks on where a stream is sent to it", function()
    for _, target in ipairs({ "/events", "/jobs/" .. id .. "/events" }) do
      local opened = wire.ask(server, target)
      for _ = 1, 20 do
        opened:send(get("/jobs/" .. id))
        opened:send(("\255"):rep(1000))
      end
      opened:close()
      opened = wire.ask(server, target)
      opened.socket:shutdown("send")
      opened:close()
    end
  end)

  it("opens connections and says nothing, or a byte at a time", function()
    local idle = {}
    for index = 1, 100 do idle[index] = wire.connect(server) end
    for index, one in ipairs(idle) do
      if index % 2 == 0 then one:send("GET /jobs/" .. ("x"):rep(index)) end
    end
    for _, one in ipairs(idle) do one:reset() end
  end)

  it("sends whatever bytes (seed " .. SEED .. ")", function()
    local chance = random.new(SEED)
    local whole = { get("/jobs/" .. id), get("/events?after=1"), get("/jobs/" .. id .. "/events",
      "Last-Event-ID: 3\r\nAccept: text/event-stream\r\n"), request("POST /jobs HTTP/1.1",
      "Content-Type: application/json\r\nContent-Length: 7\r\n", '{"a":1}'),
      get("/jobs?status=pending&limit=10&cursor=7", 'If-None-Match: W/"7"\r\nPrefer: wait=1\r\n') }
    for _ = 1, 300 do
      local bytes = chance:pick(whole)
      for _ = 1, chance:whole(1, 4) do
        local at = chance:whole(1, #bytes)
        local length = chance:whole(0, 3)
        bytes = bytes:sub(1, at - 1) .. chance:bytes(chance:whole(0, 4)) .. bytes:sub(at + length)
      end
      local statuses, text = exchange(bytes, 0.03)
      for _, status in ipairs(statuses) do
        assert.is_true(status < 500 or status == 501 or status == 505, ("%q"):format(bytes))
      end
      expect_no_harm(text, ("%q"):format(bytes))
    end
  end)
end)
