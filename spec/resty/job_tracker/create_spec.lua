-- POST jobs and POST jobs/<id>/cancel, on real nginx.

local cjson = require "cjson"
local process = require "process"
local status_server = require "status_server"
local store_file = require "store_file"
local wait_until = require "wait_until"
local wire = require "wire"
local JobTracker = require("job_tracker").JobTracker

local expect_problem = status_server.expect_problem

local path, jobs, server

after_each(function()
  wire.close_all()
  status_server.stop_all()
  if jobs then jobs.close() end
  store_file.clean()
end)

-- The application's part: what it does is told by the body.
local ON_CREATE = [[
  on_create = function(request)
    local tracker = require("job_tracker").JobTracker
    local wish = type(request.json) == "table" and request.json or {}
    if wish.raise then error("/srv/secret.lua is " .. wish.raise) end
    if wish.raise_table then error({ secret = true }) end
    if wish.sleep then ngx.sleep(wish.sleep) end
    if wish.refuse then return nil, wish.refuse, wish.code end
    if wish.give ~= nil then return wish.give end
    if wish.full then
      for _ = 1, 100000 do
        local id, message, code = tracker.create_job("filler")
        if not id then return nil, message, code end
        if not tracker.update_job(id, { status = "running", meta = ("x"):rep(5000) }) then
          return nil, "full", "full"
        end
      end
    end
    local id, message, code = tracker.create_job("made")
    if not id then return nil, message, code end
    tracker.update_job(id, { meta = { json = request.json, args = request.args,
      header = request.headers["x-test"], method = request.method } })
    return id
  end, list = true, cancel = true,
]]

local JSON = "Content-Type: application/json"

local function start(setup, more)
  more = more or {}
  more.setup = ON_CREATE .. (setup or "")
  server = status_server.start(more)
  return server
end

local function post(body, ...)
  return server:request("/jobs", "--header", JSON, "--data", body, ...)
end

local function expect_accepted(response)
  assert.equal(202, response.status)
  local job = cjson.decode(response.body)
  assert.equal("/jobs/" .. job.task_id, response.headers.location)
  assert.equal("application/json", response.headers["content-type"])
  assert.equal(('"%d"'):format(job.version), response.headers.etag)
  return job
end

local function count_jobs()
  local counts = cjson.decode(server:request("/jobs?limit=1").body).counts
  return counts.pending + counts.running + counts.completed + counts.failed
end

describe("POST jobs", function()
  it("has the application create a job, and answers with it", function()
    start()
    local workers = server:workers()
    local response = server:request("/jobs?a=1&b", "--header", JSON, "--header", "X-Test: yes",
      "--data", '{"chapter":[1,{"x":null}],"title":"\195\156"}')
    local job = expect_accepted(response)
    assert.equal("1", response.headers["retry-after"])
    assert.same({ json = { chapter = { 1, { x = cjson.null } }, title = "\195\156" },
      args = { a = "1", b = "" }, header = "yes", method = "POST" }, job.meta)
    assert.equal(response.body, server:request(response.headers.location).body)
    status_server.expect_unharmed(server, workers)
  end)

  it("needs no body", function()
    start()
    local job = expect_accepted(server:request("/jobs", "--request", "POST"))
    assert.is_nil(job.meta.json)
  end)

  it("takes any JSON, in all forms of its type", function()
    start()
    for _, body in ipairs({ "null", "false", "0", '"x"', "[]", " {} \n" }) do
      expect_accepted(post(body))
    end
    for _, kind in ipairs({ "Application/JSON", "application/json; charset=utf-8",
      "application/json ;x=1" }) do
      expect_accepted(server:request("/jobs", "--header", "Content-Type: " .. kind, "--data", "1"))
    end
  end)

  it("refuses a body that is not JSON", function()
    start()
    local workers = server:workers()
    for _, body in ipairs({ "{", "nonsense", '{"a":1}}', "[1,]", "{'a':1}", "NaN", "0x10", "\255",
      ("["):rep(20000), ('{"a":'):rep(5000), '"\\ud800"x' }) do
      expect_problem(400, post(body), body:sub(1, 20))
    end
    for _, kind in ipairs({ "text/plain", "application/x-www-form-urlencoded", "application/jsonx",
      "multipart/form-data; boundary=application/json", "" }) do
      expect_problem(415, server:request("/jobs", "--header", "Content-Type: " .. kind,
        "--data", "{}"), kind)
    end
    assert.equal(0, count_jobs())
    status_server.expect_unharmed(server, workers)
  end)

  it("refuses a body that is too large, however it comes", function()
    start("max_body = 20000, ")
    local workers = server:workers()
    local function json(size) return '"' .. ("x"):rep(size - 2) .. '"' end
    expect_accepted(post(json(20000))) -- more than nginx keeps in memory
    expect_problem(413, post(json(20001)))
    expect_problem(413, post(json(20001), "--header", "Transfer-Encoding: chunked"))
    expect_accepted(post(json(20000), "--header", "Transfer-Encoding: chunked"))
    local folder = store_file.folder()
    store_file.write(folder .. "/body", json(2 * 1024 * 1024)) -- more than nginx takes
    expect_problem(413, post("@" .. folder .. "/body"))
    expect_problem(413, post("@" .. folder .. "/body", "--header", "Transfer-Encoding: chunked"))
    assert.same(workers, server:workers())
  end)

  it("answers 500 when on_create raises: the log knows why, the client does not", function()
    start()
    local workers = server:workers()
    for _, body in ipairs({ '{"raise":"wrong"}', '{"raise_table":true}', '{"give":"made_00000000"}',
      '{"give":"a\\r\\nb: c"}', '{"give":""}' }) do
      local response = post(body)
      expect_problem(500, response, body)
      assert.is_nil(response.body:find("secret", 1, true))
      assert.is_nil(response.headers.location)
    end
    assert.matches("%[error%].*on_create: .*/srv/secret%.lua is wrong.*traceback", server:log())
    assert.same(workers, server:workers())
    expect_accepted(post("{}"))
  end)

  it("answers as on_create refuses", function()
    start()
    local workers = server:workers()
    local response = post('{"refuse":"No \\"chapter\\"\\u0000\\n."}')
    assert.equal(422, response.status)
    assert.equal('No "chapter"\0\n.', cjson.decode(response.body).detail)
    for code, status in pairs({ ["403"] = 403, ["404"] = 404, ["499"] = 499, ["200"] = 422,
      ["302"] = 422, ["500"] = 422, ["1e300"] = 422, ["404.5"] = 422, ['"oops"'] = 422 }) do
      expect_problem(status, post('{"refuse":"No such chapter.","code":' .. code .. "}"), code)
    end
    response = post('{"refuse":"The queue has 5 jobs.","code":"busy"}')
    expect_problem(429, response)
    assert.equal("1", response.headers["retry-after"])
    expect_problem(422, post('{"refuse":{"a":1}}'))
    expect_problem(422, post('{"give":false}'))
    assert.matches("%[warn%].*on_create returned neither a job's id nor a message, but boolean",
      server:log())
    status_server.expect_unharmed(server, workers)
  end)

  it("answers 503 when the store is full, and goes on when there is room", function()
    start(nil, { init = [[require("job_tracker").JobTracker.configure { size = "256K" }]] })
    local workers = server:workers()
    local response = post('{"full":true}')
    expect_problem(503, response)
    assert.equal("1", response.headers["retry-after"])
    expect_problem(503, post('{"full":true}'))
    assert.equal(200, server:request("/jobs?limit=200").status)
    status_server.expect_unharmed(server, workers)
  end)

  it("refuses a query of which on_create would not see all", function()
    start()
    expect_accepted(server:request("/jobs?" .. ("a=1&"):rep(99) .. "z=1", "--request", "POST"))
    expect_problem(400, server:request("/jobs?" .. ("a=1&"):rep(100) .. "z=1", "--request", "POST"))
    assert.equal(1, count_jobs())
  end)

  it("refuses pages of other sites", function()
    start()
    expect_problem(403, post("{}", "--header", "Sec-Fetch-Site: cross-site"))
    for _, site in ipairs({ "same-origin", "same-site", "none" }) do
      expect_accepted(post("{}", "--header", "Sec-Fetch-Site: " .. site))
    end
  end)

  -- Without TLS a browser sends no Sec-Fetch-Site.
  it("refuses what a page of another site can send unasked over plain http", function()
    start()
    local function send(origin, ...)
      return server:request("/jobs", "--request", "POST", "--header", "Origin: " .. origin, ...)
    end
    for _, origin in ipairs({ "http://evil.example", "null", "https://127.0.0.1",
      server.url .. ".evil.example" }) do
      expect_problem(403, send(origin), origin)
      expect_problem(403, send(origin, "--header", "Content-Type: text/plain"), origin)
      expect_accepted(send(origin, "--header", JSON)) -- asked for by OPTIONS, which is refused
    end
    expect_accepted(send(server.url))
    expect_accepted(send(server.url:upper()))
    expect_accepted(send("https://a.example", "--header", "Host: a.example"))
    expect_accepted(send("http://a.example", "--header", "Sec-Fetch-Site: same-origin"))
  end)

  it("takes a request of HTTP/2 without a body, also where ngx_lua reads none", function()
    path = store_file.folder()
    assert(os.execute("chmod 711 '" .. path .. "'"))
    start(nil, { server = ("listen unix:%s/socket http2;"):format(path), init = [[
      local read_body = ngx.req.read_body
      function ngx.req.read_body() -- as OpenResty 1.25.3's
        if ngx.req.http_version() >= 2 and not ngx.var.http_content_length then
          error("http2 requests are not supported without content-length header")
        end
        return read_body()
      end]] })
    local workers = server:workers()
    local function send(...)
      return server:request("/jobs", "--http2-prior-knowledge", "--unix-socket", path .. "/socket",
        "--request", "POST", ...)
    end
    expect_accepted(send())
    local job = expect_accepted(send("--header", JSON, "--data", '{"a":1}'))
    assert.same({ a = 1 }, job.meta.json)
    expect_problem(411, send("--header", JSON)) -- there might be one
    status_server.expect_unharmed(server, workers)
  end)
end)

describe("POST jobs with an Idempotency-Key", function()
  local function post_as(key, body, ...)
    return post(body, "--header", "Idempotency-Key: " .. key, ...)
  end

  it("gives the same job again, by any worker", function()
    start()
    local job = expect_accepted(post_as('"a-1"', "{}"))
    for _ = 1, 10 do assert.equal(job.task_id, expect_accepted(post_as('"a-1"', "{}")).task_id) end
    for _, response in pairs(server:request_from_each("/jobs", "--header", JSON, "--data", "{}",
      "--header", 'Idempotency-Key: "a-1"')) do
      assert.equal(job.task_id, expect_accepted(response).task_id)
    end
    assert.equal(1, count_jobs())
    assert.not_equal(job.task_id, expect_accepted(post_as('"a-2"', "{}")).task_id)
    assert.not_equal(job.task_id, expect_accepted(post_as('"a-1"', "{}", "--header",
      "Authorization: Bearer another")).task_id) -- another's key is another key
  end)

  it("refuses it with another query: the application gets that, too", function()
    start()
    local function send(query)
      return server:request("/jobs" .. query, "--request", "POST", "--header", "Idempotency-Key: k")
    end
    local job = expect_accepted(send("?kind=a"))
    expect_problem(422, send("?kind=b"))
    expect_problem(422, send(""))
    assert.equal(job.task_id, expect_accepted(send("?kind=a")).task_id)
  end)

  it("refuses it with another body, of any size", function()
    start("max_body = 1000000, ")
    expect_accepted(post_as("k", '{"a":1}'))
    expect_problem(422, post_as("k", '{"a":2}'))
    expect_accepted(post_as("large", '"' .. ("x"):rep(100000) .. '"'))
    expect_problem(422, post_as("large", '"' .. ("y"):rep(100000) .. '"'))
    assert.equal(2, count_jobs())
  end)

  local function send_slowly(key)
    local sender = wire.connect(server)
    local body = '{"sleep":1}'
    sender:send(("POST /jobs HTTP/1.1\r\nHost: x\r\n%s\r\nIdempotency-Key: %s\r\n"
      .. "Content-Length: %d\r\n\r\n%s"):format(JSON, key, #body, body))
    return sender, body
  end

  it("answers 409 while the first one is under way", function()
    start()
    local sender, body = send_slowly("k")
    wait_until(function() return post_as("k", body).status == 409 end, "the first to be under way")
    expect_problem(409, post_as("k", body))
    assert.is_true(sender:read_head())
    assert.equal(202, sender.status)
    local job = cjson.decode(sender:read_body())
    assert.equal(job.task_id, expect_accepted(post_as("k", body)).task_id)
    assert.equal(1, count_jobs())
  end)

  it("goes on with what a client has begun that left", function()
    start()
    local sender, body = send_slowly("k")
    wait_until(function() return post_as("k", body).status == 409 end, "the first to be under way")
    sender:close()
    local job = wait_until(function()
      local response = post_as("k", body)
      return response.status == 202 and cjson.decode(response.body)
    end, "its job", 5)
    assert.equal(1, count_jobs())
    assert.equal(job.task_id, expect_accepted(post_as("k", body)).task_id)
  end)

  it("forgets a key whose job was not created", function()
    start()
    expect_problem(422, post_as("k", '{"refuse":"No such chapter."}'))
    expect_accepted(post_as("k", "{}"))
    expect_problem(500, post_as("l", '{"raise":"wrong"}'))
    expect_problem(500, post_as("l", '{"raise":"wrong"}'))
  end)

  it("refuses a key that is none", function()
    start()
    local workers = server:workers()
    for _, key in ipairs({ ("x"):rep(256), "\255", "a\tb", "\195\156" }) do
      expect_problem(400, post_as(key, "{}"))
    end
    expect_accepted(post_as(("x"):rep(255), "{}"))
    status_server.expect_unharmed(server, workers)
  end)
end)

describe("POST jobs/<id>/cancel", function()
  before_each(function()
    path = store_file.path()
    jobs = assert(JobTracker.open(path, { size = "8M" }))
    server = status_server.start { setup = "cancel = true", store = path }
  end)

  after_each(function() jobs = nil end)

  local function cancel(id, ...) return server:request("/jobs/" .. id .. "/cancel", ...) end
  local function cancel_as(id, body) return cancel(id, "--header", JSON, "--data", body) end

  it("asks a running job to stop, and fails a pending one", function()
    local id, pending = jobs.create_job("textbook"), jobs.create_job("textbook")
    assert(jobs.claim_job(id))
    assert(jobs.update_job(id, { status = "running" }))
    local job = expect_accepted(cancel_as(id, '{"reason":"too \\"slow\\""}'))
    assert.equal("running", job.status)
    assert.equal('too "slow"', job.cancel_requested)
    assert.equal('too "slow"', jobs.get_job(id).cancel_requested)
    local response = cancel(pending, "--request", "POST")
    job = expect_accepted(response)
    assert.equal("failed", job.status)
    assert.is_nil(response.headers["retry-after"])
    assert(jobs.update_job(id, { status = "completed" }))
  end)

  it("answers 409 for a finished job, 404 for none", function()
    local id = jobs.create_job("textbook")
    assert(jobs.update_job(id, { status = "completed" }))
    expect_problem(409, cancel(id, "--request", "POST"))
    for _, other in ipairs({ "textbook_00000000", "x", "%ff", ("x"):rep(5000), "%0d%0a" }) do
      expect_problem(404, cancel(other, "--request", "POST"), other)
    end
  end)

  it("takes a reason, or none", function()
    local workers = server:workers()
    for _, body in ipairs({ "{}", '{"reason":null}', '{"reason":""}', '{"other":1}',
      '{"reason":"' .. ("x"):rep(4096) .. '"}', '{"reason":"\255\254"}',
      '{"reason":"a\\u0000b"}' }) do
      expect_accepted(cancel_as(jobs.create_job("textbook"), body))
    end
    local id = jobs.create_job("textbook")
    for _, body in ipairs({ "null", "false", "1", '"late"', '{"reason":1}', '{"reason":[]}',
      '{"reason":false}', '{"reason":"' .. ("x"):rep(4097) .. '"}', "{", "NaN" }) do
      expect_problem(400, cancel_as(id, body), body:sub(1, 40))
    end
    expect_problem(415, cancel(id, "--data", "reason=late"))
    expect_problem(413, cancel_as(id, '"' .. ("x"):rep(65536) .. '"'))
    expect_problem(403, cancel(id, "--request", "POST", "--header", "Sec-Fetch-Site: cross-site"))
    assert.equal("pending", jobs.get_job(id).status)
    status_server.expect_unharmed(server, workers)
  end)

  it("is told to those who wait", function()
    local id = jobs.create_job("textbook")
    local waiting = wire.ask(server, "/jobs/" .. id .. "/events")
    waiting:next()
    waiting:next()
    local began = process.now()
    expect_accepted(cancel(id, "--request", "POST"))
    local message = assert(waiting:next())
    assert.is_true(process.now() - began < 0.5)
    assert.equal("failed", cjson.decode(message.data).status)
  end)

  it("is asked for by POST alone", function()
    local response = cancel(jobs.create_job("textbook"))
    expect_problem(405, response)
    assert.equal("POST", response.headers.allow)
  end)
end)
