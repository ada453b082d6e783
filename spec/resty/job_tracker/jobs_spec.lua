-- GET jobs/<id>, on real nginx: at once, and after waiting for a change.

local cjson = require "cjson"
local child = require "child"
local process = require "process"
local status_server = require "status_server"
local store_file = require "store_file"
local wait_until = require "wait_until"
local wire = require "wire"
local JobTracker = require("job_tracker").JobTracker

local UNKNOWN = "/jobs/textbook_00000000"
local expect_problem = status_server.expect_problem

local path, jobs

local function start(setup, more)
  more = more or {}
  more.setup, more.store = setup, path
  return status_server.start(more)
end

before_each(function()
  path = store_file.path()
  jobs = assert(JobTracker.open(path, { size = "8M" }))
end)

after_each(function()
  wire.close_all()
  status_server.stop_all()
  child.end_all()
  jobs.close()
  store_file.clean()
end)

local function create(fields)
  local id = assert(jobs.create_job("textbook"))
  if fields then assert(jobs.update_job(id, fields)) end
  return id
end

local function etag_of(id) return ('"%d"'):format((select(2, jobs.get_json(id)))) end

local function if_none_match(etag) return "--header", "If-None-Match: " .. etag end

describe("GET jobs/<id>", function()
  it("answers with get_json's text, its version as ETag, and when to ask again", function()
    local server = start()
    local id = create { status = "running", progress = 0.25,
      current_step = 'Condensing "\195\156bung" <1/4>', meta = { pages = { 1, 2 } } }
    local response = server:request("/jobs/" .. id)
    assert.equal(200, response.status)
    assert.equal(jobs.get_json(id), response.body)
    assert.equal(etag_of(id), response.headers.etag)
    assert.equal("application/json", response.headers["content-type"])
    assert.equal("no-cache", response.headers["cache-control"])
    assert.equal("1", response.headers["retry-after"])
    assert.equal(tostring(#response.body), response.headers["content-length"])
    assert.is_nil(response.headers.vary) -- the page is off: nobody gets another answer
    assert(jobs.update_job(id, { status = "completed", meta = { status = "running" } }))
    response = server:request("/jobs/" .. id)
    assert.equal(jobs.get_json(id), response.body)
    assert.is_nil(response.headers["retry-after"])
  end)

  it("tells a finished job from one that only looks so", function()
    local server = start()
    local id = create { status = "running", current_step = '","status":"completed"',
      meta = { status = "failed" } }
    assert.equal("1", server:request("/jobs/" .. id).headers["retry-after"])
    assert(jobs.update_job(id, { status = "failed", error = '"status":"running"' }))
    assert.is_nil(server:request("/jobs/" .. id).headers["retry-after"])
  end)

  it("answers 304 to who has this version, in each way to say so", function()
    local server = start()
    local id = create()
    local tag = etag_of(id)
    for _, condition in ipairs({ tag, "W/" .. tag, '"0", ' .. tag, 'W/"0" ,W/' .. tag, "*" }) do
      local response = server:request("/jobs/" .. id, if_none_match(condition))
      assert.equal(304, response.status, condition)
      assert.equal("", response.body)
      assert.equal(tag, response.headers.etag)
      assert.equal("no-cache", response.headers["cache-control"])
    end
    for _, condition in ipairs({ '"0"', 'W/"0", "10"', '"' .. tag:sub(2, -2) .. '0"', "nonsense",
      tag:sub(2, -2), "" }) do
      assert.equal(200, server:request("/jobs/" .. id, if_none_match(condition)).status, condition)
    end
    assert(jobs.update_job(id, { progress = 0.5 }))
    assert.equal(200, server:request("/jobs/" .. id, if_none_match(tag)).status)
    expect_problem(404, server:request(UNKNOWN, if_none_match("*")))
  end)

  it("sends the same again only of a job that is the same, whatever the size of its text", function()
    local server = start(nil, { workers = 1 })
    local id = create()
    local function expect_as_it_is()
      for _ = 1, 2 do
        local response = server:request("/jobs/" .. id)
        assert.equal(jobs.get_json(id), response.body)
        assert.equal(etag_of(id), response.headers.etag)
        assert.equal(tostring(#response.body), response.headers["content-length"])
      end
    end
    expect_as_it_is()
    for _, size in ipairs({ 1, 100, 5000, 10 }) do
      assert(jobs.update_job(id, { status = "running", result = ("r"):rep(size) }))
      expect_as_it_is()
    end
    assert(jobs.cancel_job(id, "enough"))
    expect_as_it_is()
    assert(jobs.delete_job(id))
    assert.equal(404, server:request("/jobs/" .. id).status)
  end)

  -- 3,000 texts of 3.5 kB, and 100 of 100 kB, would be ten megabytes each.
  it("sends each its own text, of more and longer ones than it keeps", function()
    jobs.close()
    path = store_file.path()
    jobs = assert(JobTracker.open(path, { size = "64M" }))
    local server = start(nil, { workers = 1, server = [[
      location = /memory {
        content_by_lua_block {
          collectgarbage() collectgarbage()
          ngx.print(collectgarbage("count"))
        }
      }]] })
    local function memory() return tonumber(server:request("/memory").body) end -- KiB
    local function ask_all(count, size)
      local ids, before = {}, memory()
      for number = 1, count do ids[number] = create { result = number .. ("r"):rep(size) } end
      for _ = 1, 2 do
        for _, id in ipairs(ids) do
          local asked = wire.ask(server, "/jobs/" .. id)
          assert.equal(jobs.get_json(id), asked:read_body())
          asked:close()
        end
      end
      return memory() - before
    end
    assert.is_true(ask_all(3000, 3500) < 6000)
    assert.is_true(ask_all(100, 100000) < 3000)
  end)

  it("answers HEAD as GET, without a body", function()
    local server = start()
    local id = create()
    local whole = server:request("/jobs/" .. id)
    local head = server:request("/jobs/" .. id, "--head")
    assert.equal(200, head.status)
    assert.equal("", head.body)
    for _, name in ipairs({ "etag", "content-length", "content-type", "cache-control",
      "retry-after" }) do
      assert.equal(whole.headers[name], head.headers[name], name)
    end
    assert.equal(304, server:request("/jobs/" .. id, "--head",
      if_none_match(whole.headers.etag)).status)
    local missing = server:request(UNKNOWN, "--head")
    assert.equal(404, missing.status)
    assert.equal("", missing.body)
  end)

  it("is not led astray by conditions that are for changes, or for parts", function()
    local server = start()
    local workers = server:workers()
    local id = create()
    for _, condition in ipairs({ 'If-Match: "0"', "Range: bytes=0-3", 'If-Range: "0"',
      "If-Unmodified-Since: Sat, 29 Oct 1994 19:43:31 GMT",
      "If-Modified-Since: Sat, 29 Oct 2094 19:43:31 GMT" }) do
      local response = server:request("/jobs/" .. id, "--header", condition)
      assert.equal(200, response.status, condition)
      assert.equal(jobs.get_json(id), response.body)
    end
    status_server.expect_unharmed(server, workers)
  end)

  it("sees such conditions behind however many other headers", function()
    local server = start()
    local workers = server:workers()
    local id = create()
    local others = {}
    for number = 1, 300 do others[number] = ("X-%d: x\r\n"):format(number) end
    for _, condition in ipairs({ 'If-Match: "0"',
      "If-Unmodified-Since: Sat, 29 Oct 1994 19:43:31 GMT" }) do
      local connection = wire.connect(server)
      connection:send(("GET /jobs/%s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n"
        .. "Connection: close\r\n\r\n"):format(id, table.concat(others), condition))
      assert.is_true(connection:read_head(), condition)
      assert.equal(200, connection.status, condition)
      assert.equal(jobs.get_json(id), connection:read_body())
    end
    status_server.expect_unharmed(server, workers)
  end)

  it("refuses other methods with 405 and says which there are", function()
    local server = start()
    local id = create()
    for _, method in ipairs({ "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW" }) do
      for _, target in ipairs({ "/jobs/" .. id, UNKNOWN, "/jobs/" .. id .. "/events" }) do
        local response = server:request(target, "--request", method)
        expect_problem(405, response, method)
        assert.equal("GET, HEAD", response.headers.allow)
      end
    end
  end)

  it("answers 404 for what is no job, whatever it looks like", function()
    local server = start()
    local workers = server:workers()
    local id = create()
    for _, other in ipairs({ "textbook_00000000", "", "x", id .. "/", id .. "x", id:sub(1, -2),
      id:upper(), "%20" .. id, id .. "%0d%0aX-Injected:%201", "%ff%fe%c0%80", "\255\254",
      "%2e%2e", "a/b", "a%2fb/..%5c", "%25", "%E2%82%AC", "[1-3]{a,b}*", ("x"):rep(74),
      ("x"):rep(7000), id .. "/event", id .. "/events/", id .. "%2fevents/x" }) do
      local response = server:request("/jobs/" .. other)
      expect_problem(404, response, other)
      assert.is_nil(response.headers["x-injected"])
      assert.is_nil(response.headers.etag)
    end
    status_server.expect_unharmed(server, workers)
  end)

  it("lies below its base, and nothing lies elsewhere", function()
    local server = start('base = "/app/progress/", list = true')
    local id = create()
    assert.equal(200, server:request("/app/progress/jobs/" .. id).status)
    assert.equal(200, server:request("/app/progress/jobs").status)
    for _, target in ipairs({ "/jobs/" .. id, "/app/jobs/" .. id, "/app/progressjobs/" .. id,
      "/app/progress", "/app/progress/", "/" }) do
      expect_problem(404, server:request(target), target)
    end
  end)
end)

-- ----------------------------------------------------------------- long polls

describe("GET jobs/<id>?wait=", function()
  local function ask(server, target, headers)
    local asked = wire.connect(server)
    local lines = { "GET " .. target .. " HTTP/1.1", "Host: localhost" }
    for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value end
    asked:send(table.concat(lines, "\r\n") .. "\r\n\r\n")
    return asked
  end

  -- Long enough for nginx to have read the request; nothing may come in that time.
  local function expect_silence(connection) assert.is_false(connection:read_head(0.3)) end

  -- The worker itself changes the job between the two looks that a waiting request takes.
  it("sees a change that comes before it has begun to wait", function()
    local id = create { status = "running" }
    local server = start("", {
      init = ("JOBS = assert(require('job_tracker').JobTracker.open(%q))"):format(path),
      server = ([[ location = /between { content_by_lua_block {
      local source = require "resty.job_tracker.source"
      local get_json = source.get_json
      function source.get_json(asked)
        local json, version = get_json(asked)
        source.get_json = get_json
        assert(JOBS.update_job(asked, { status = "completed" }))
        return json, version
      end
      ngx.req.set_uri("/jobs/%s")
      ngx.req.set_uri_args("wait=20")
      require("resty.job_tracker").handle()
    } } ]]):format(id) })
    local began = process.now()
    local response = server:request("/between")
    assert.equal("completed", cjson.decode(response.body).status)
    assert.is_true(process.now() - began < 10)
  end)

  it("answers at the next change", function()
    local server = start()
    local id = create()
    local asked = ask(server, "/jobs/" .. id .. "?wait=20")
    expect_silence(asked)
    local changed_at = process.now()
    assert(jobs.update_job(id, { status = "running", progress = 0.5 }))
    assert.is_true(asked:read_head())
    assert.is_true(process.now() - changed_at < 0.5)
    assert.equal(200, asked.status)
    assert.equal(etag_of(id), asked.headers.etag)
    assert.equal(jobs.get_json(id), asked:read_body())
  end)

  it("takes the header Prefer for the same, where it makes sense", function()
    local server = start()
    local id = create()
    for _, value in ipairs({ "wait=20", "respond-async, wait=20", 'wait="20"', "Wait = 20",
      "respond-async; x=1, wait=20" }) do
      local asked = ask(server, "/jobs/" .. id, { Prefer = value })
      expect_silence(asked)
      assert(jobs.update_job(id, { current_step = value }))
      assert.is_true(asked:read_head())
      assert.equal(200, asked.status)
    end
    for _, value in ipairs({ "respond-async", "wait", "wait=", "wait=soon", "wait=-1",
      "await=20", "wait=99999999999999999999", "wait=0" }) do
      assert.equal(200, server:request("/jobs/" .. id, "--header", "Prefer: " .. value).status,
        value)
    end
  end)

  it("answers at once where If-None-Match names another version", function()
    local server = start()
    local id = create()
    local response = server:request("/jobs/" .. id .. "?wait=20", if_none_match('"1000000"'))
    assert.equal(200, response.status)
    assert.equal(jobs.get_json(id), response.body)
  end)

  it("waits where If-None-Match names this version, and answers 200 or 304", function()
    local server = start()
    local id = create()
    local asked = ask(server, "/jobs/" .. id .. "?wait=20", { ["If-None-Match"] = etag_of(id) })
    expect_silence(asked)
    assert(jobs.update_job(id, { progress = 0.5 }))
    assert.is_true(asked:read_head())
    assert.equal(200, asked.status)
    local began = process.now()
    local response = server:request("/jobs/" .. id .. "?wait=0.4", if_none_match(etag_of(id)))
    assert.equal(304, response.status)
    assert.is_true(process.now() - began >= 0.39)
  end)

  it("answers with the job as it is when the time is over", function()
    local server = start()
    local id = create()
    local began = process.now()
    local response = server:request("/jobs/" .. id .. "?wait=0.4")
    assert.is_true(process.now() - began >= 0.39)
    assert.equal(200, response.status)
    assert.equal(jobs.get_json(id), response.body)
  end)

  it("waits for 30 s at most, however long it is asked to", function()
    local server = start()
    local id = create()
    local began, asked = process.now(), {}
    for index, seconds in ipairs({ "31", "100000", "9999999999999999" }) do
      asked[index] = ask(server, "/jobs/" .. id .. "?wait=" .. seconds)
    end
    asked[#asked + 1] = ask(server, "/jobs/" .. id, { Prefer = "wait=999999999" })
    for _, one in ipairs(asked) do
      assert.is_true(one:read_head(35))
      assert.equal(200, one.status)
      local waited = process.now() - began
      assert.is_true(waited > 29.9 and waited < 34, waited)
    end
  end)

  it("does not wait for a finished job, nor for one that there is not", function()
    local server = start()
    local id = create { status = "completed", result = 1 }
    local began = process.now()
    assert.equal(200, server:request("/jobs/" .. id .. "?wait=20").status)
    local response = server:request("/jobs/" .. id .. "?wait=20", if_none_match(etag_of(id)))
    assert.equal(304, response.status)
    expect_problem(404, server:request(UNKNOWN .. "?wait=20"))
    assert.is_true(process.now() - began < 5)
  end)

  it("refuses a time that is none", function()
    local server = start()
    local workers = server:workers()
    local id = create()
    for _, text in ipairs({ "", "soon", "-1", "1e3", "0x10", "1..2", ".5", "nan", "inf", "1,5",
      "%31%00", ("9"):rep(17), ("9"):rep(3000), "20s", "+20" }) do
      expect_problem(400, server:request("/jobs/" .. id .. "?wait=" .. text), text)
    end
    expect_problem(400, server:request("/jobs/" .. id .. "?wait"))
    expect_problem(400, server:request("/jobs/" .. id .. "?" .. ("a&"):rep(120) .. "wait=1"))
    for _, query in ipairs({ "wait=0", "wait=0.1", "wait=0.1&wait=soon", "Wait=soon", "a=1&b" }) do
      assert.equal(200, server:request("/jobs/" .. id .. "?" .. query).status, query)
    end
    status_server.expect_unharmed(server, workers)
  end)

  it("answers 404 when the job is deleted meanwhile", function()
    local server = start()
    local id = create()
    local asked = ask(server, "/jobs/" .. id .. "?wait=20")
    expect_silence(asked)
    assert(jobs.delete_job(id))
    assert.is_true(asked:read_head())
    assert.equal(404, asked.status)
  end)

  it("is told of a death, on a store that nginx may not write", function()
    local server = start()
    local id = create()
    local owner = child.start(function()
      assert(jobs.claim_job(id))
      assert(jobs.update_job(id, { status = "running", current_step = "sections 3/7" }))
      jobs.wait_job(id)
    end)
    wait_until(function() return jobs.get_job(id).status == "running" end, "the owner")
    local asked = ask(server, "/jobs/" .. id .. "?wait=20")
    expect_silence(asked)
    local died_at = process.now()
    owner:kill_dead()
    assert.is_true(asked:read_head())
    assert.is_true(process.now() - died_at < 1)
    local job = cjson.decode(asked:read_body())
    assert.equal("failed", job.status)
    assert.equal(("the process working on this job (pid %d) died during: sections 3/7"):format(
      owner.pid), job.error)
  end)

  it("lets so many wait as max_streams says, and one that leaves makes room", function()
    local server = start("max_streams = 3", { workers = 1 })
    local workers = server:workers()
    local id, other = create(), create()
    local waiting = {}
    for index = 1, 3 do
      waiting[index] = ask(server, "/jobs/" .. (index == 3 and other or id) .. "?wait=30")
      expect_silence(waiting[index])
    end
    local refused = server:request("/jobs/" .. id .. "?wait=30")
    expect_problem(429, refused)
    assert.equal("1", refused.headers["retry-after"])
    assert.equal(200, server:request("/jobs/" .. id).status) -- who does not wait is answered
    for _, way in ipairs({ "close", "reset" }) do
      waiting[1][way](waiting[1])
      wait_until(function()
        waiting[1] = ask(server, "/jobs/" .. id .. "?wait=30")
        return not waiting[1]:read_head(0.3)
      end, "the place of one that has left", 5)
    end
    assert(jobs.update_job(id, { progress = 0.5 }))
    for index = 1, 2 do
      assert.is_true(waiting[index]:read_head())
      assert.equal(200, waiting[index].status)
    end
    status_server.expect_unharmed(server, workers)
  end)

  it("answers all who wait for a job, each once", function()
    local server = start()
    local id = create()
    local waiting = {}
    for index = 1, 100 do waiting[index] = ask(server, "/jobs/" .. id .. "?wait=30") end
    expect_silence(waiting[100])
    assert(jobs.update_job(id, { progress = 0.5 }))
    local json = jobs.get_json(id)
    for _, one in ipairs(waiting) do
      assert.is_true(one:read_head())
      assert.equal(json, one:read_body())
    end
  end)
end)
