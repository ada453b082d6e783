local cjson = require "cjson"
local job_tracker = require "job_tracker"
local process = require "process"
local child = require "child"
local nginx_server = require "nginx_server"
local store_file = require "store_file"
local textbook = require "textbook_run"
local wait_until = require "wait_until"

local UNKNOWN = "/jobs/textbook_00000000"

local function start(store)
  return nginx_server.start("nginx-readonly.conf", { JOB_STORE = store })
end

-- Whoever runs the specs, nginx's workers can reach the folder and read the file.
local function open_readable(path)
  assert(os.execute("chmod 711 '" .. path:match("^(.*)/") .. "'"))
  return assert(job_tracker.JobTracker.open(path, { mode = "0644", size = "8M" }))
end

local function assert_problem(status, title, response)
  assert.equal(status, response.status)
  assert.equal("application/problem+json", response.headers["content-type"])
  local problem = cjson.decode(response.body)
  assert.equal("about:blank", problem.type)
  assert.equal(status, problem.status)
  assert.equal(title, problem.title)
  assert.matches("^%u[^/]+%.$", problem.detail) -- a sentence, and no path
  assert.is_nil(response.body:find(".lua", 1, true))
  assert.is_nil(response.body:find("traceback", 1, true))
end

local function owner_of(pid) return store_file.stat("%U", "/proc/" .. pid) end

-- How many bytes of the file the process has mapped with these rights, map by map.
local function mapped_from(path, pid, rights)
  local sizes = {}
  for line in io.lines("/proc/" .. pid .. "/maps") do
    local from, to, how = line:match("^(%x+)%-(%x+) (%S+) ")
    if line:find(path, 1, true) and how == rights then
      sizes[#sizes + 1] = tonumber(to, 16) - tonumber(from, 16)
    end
  end
  return sizes
end

local function assert_unharmed(server, workers)
  assert.same(workers, server:workers())
  assert.is_nil(server:log():find("signal", 1, true))
  assert.is_nil(server:log():find("[error]", 1, true))
end

describe("nginx-readonly.conf: GET /jobs/<id>", function()
  local path, jobs

  before_each(function()
    path = store_file.path()
    jobs = assert(job_tracker.JobTracker.open(path, { size = "8M" }))
  end)

  after_each(function()
    nginx_server.stop_all()
    child.end_all()
    jobs.close()
    store_file.clean()
  end)

  it("answers with the job's JSON as it is, and its version as ETag", function()
    local id = jobs.create_job("textbook")
    assert(jobs.update_job(id, { status = "running", progress = 0.25,
      current_step = 'Condensing "\195\156bung" <1/4>', meta = { pages = { 1, 2 } } }))
    local response = start(path):request("/jobs/" .. id)
    local json, version = jobs.get_json(id)
    assert.equal(200, response.status)
    assert.equal(json, response.body)
    assert.equal(('"%d"'):format(version), response.headers.etag)
    assert.equal("application/json", response.headers["content-type"])
    assert.equal("no-cache", response.headers["cache-control"])
    assert.equal(tostring(#json), response.headers["content-length"])
  end)

  it("says when to ask again, as long as the job is not finished", function()
    local server = start(path)
    local id, other = jobs.create_job("textbook"), jobs.create_job("a.b~c-d_e")
    local function retry_after(of) return server:request("/jobs/" .. of).headers["retry-after"] end
    assert.equal("1", retry_after(id))
    assert(jobs.update_job(id, { status = "running", current_step = '","status":"completed"',
      meta = { status = "completed" } }))
    assert.equal("1", retry_after(id))
    assert(jobs.update_job(id, { status = "completed", meta = { status = "running" } }))
    assert.is_nil(retry_after(id))
    assert.equal("1", retry_after(other))
    assert(jobs.update_job(other, { status = "failed", error = "out of paper" }))
    assert.is_nil(retry_after(other))
  end)

  it("answers 304 to whoever has this version", function()
    local server = start(path)
    local id = jobs.create_job("textbook")
    local _, version = jobs.get_json(id)
    local tag = ('"%d"'):format(version)
    local function ask(condition)
      return server:request("/jobs/" .. id, "--header", "If-None-Match: " .. condition)
    end
    for _, condition in ipairs({ tag, "W/" .. tag, '"0", ' .. tag, 'W/"0" ,W/' .. tag, "*" }) do
      local response = ask(condition)
      assert.equal(304, response.status, condition)
      assert.equal("", response.body)
      assert.equal(tag, response.headers.etag)
      assert.equal("no-cache", response.headers["cache-control"])
      assert.equal("1", response.headers["retry-after"])
    end
    for _, condition in ipairs({ '"0"', 'W/"0", "10"', '"' .. version .. '0"', "nonsense" }) do
      assert.equal(200, ask(condition).status, condition)
    end
    assert(jobs.update_job(id, { progress = 0.5 }))
    assert.equal(200, ask(tag).status)
    assert.equal(404, server:request(UNKNOWN, "--header", "If-None-Match: *").status)
  end)

  it("answers HEAD as GET, without the JSON", function()
    local server = start(path)
    local id = jobs.create_job("textbook")
    local whole, head = server:request("/jobs/" .. id), server:request("/jobs/" .. id, "--head")
    assert.equal(200, head.status)
    assert.equal("", head.body)
    for _, name in ipairs({ "etag", "content-type", "content-length", "cache-control",
      "retry-after" }) do
      assert.is_string(head.headers[name])
      assert.equal(whole.headers[name], head.headers[name])
    end
    assert.equal(304, server:request("/jobs/" .. id, "--head", "--header",
      "If-None-Match: " .. whole.headers.etag).status)
    local missing = server:request(UNKNOWN, "--head")
    assert.equal(404, missing.status)
    assert.equal("", missing.body)
  end)

  it("is not led astray by preconditions of changes", function()
    local server = start(path)
    local workers = server:workers()
    local id = jobs.create_job("textbook")
    for _, condition in ipairs({ 'If-Match: "0"', "Range: bytes=0-3",
      "If-Unmodified-Since: Sat, 29 Oct 1994 19:43:31 GMT",
      "If-Modified-Since: Sat, 29 Oct 2094 19:43:31 GMT" }) do
      local response = server:request("/jobs/" .. id, "--header", condition)
      assert.equal(200, response.status, condition)
      assert.equal(jobs.get_json(id), response.body)
    end
    assert_unharmed(server, workers)
  end)

  it("sends large jobs whole", function()
    local id = jobs.create_job("textbook")
    assert(jobs.update_job(id, { result = { text = ("\0\"\\\195\164/<>"):rep(150000) },
      error = "\255\254 not UTF-8" }))
    local response = start(path):request("/jobs/" .. id)
    assert.equal(200, response.status)
    assert.is_true(response.body == jobs.get_json(id))
    assert.is_true(#response.body > 1000000)
  end)

  it("answers 404 for what is no job, whatever it looks like", function()
    local server = start(path)
    local workers = server:workers()
    local id = jobs.create_job("textbook")
    for _, other in ipairs({ "textbook_00000000", "", "x", id .. "/", id .. "x", id:sub(1, -2),
      id:upper(), "%20" .. id, id .. "%0d%0aX-Injected:%201", "%ff%fe%c0%80", "\255\254",
      "%2e%2e/x", "a/b", "a%2fb/..%5c", "%25", "%E2%82%AC", "[1-3]{a,b}*", ("x"):rep(74),
      ("x"):rep(7000) }) do
      local response = server:request("/jobs/" .. other)
      assert_problem(404, "Not Found", response)
      assert.is_nil(response.headers["x-injected"])
      assert.is_nil(response.headers.etag)
    end
    for _, elsewhere in ipairs({ "/x", "/job/" .. id, "/problem", "/jobs/../nginx.conf" }) do
      assert_problem(404, "Not Found", server:request(elsewhere))
    end
    assert(jobs.delete_job(id))
    assert_problem(404, "Not Found", server:request("/jobs/" .. id))
    assert_unharmed(server, workers)
  end)

  it("finds a job by its id however that is escaped, and whatever is asked besides", function()
    local server = start(path)
    local id = jobs.create_job("textbook")
    for _, form in ipairs({ "%74" .. id:sub(2), id .. "?a=1&b", "./" .. id, "x/../" .. id }) do
      assert.equal(200, server:request("/jobs/" .. form).status, form)
    end
  end)

  it("answers in kind what nginx itself refuses", function()
    local server = start(path)
    local workers = server:workers()
    for _, id in ipairs({ "%00", "x%00y", "%zz", "%4", "../../etc/passwd", "\1", "a b" }) do
      assert_problem(400, "Bad Request", server:request("/jobs/" .. id))
    end
    assert_problem(400, "Bad Request", server:request(UNKNOWN, "--header", "Host:"))
    local long = "X: " .. ("x"):rep(9000)
    assert_problem(400, "Bad Request", server:request(UNKNOWN, "--header", long))
    assert_problem(414, "URI Too Long", server:request("/jobs/" .. ("x"):rep(20000)))
    assert_unharmed(server, workers)
  end)

  it("refuses every method but GET and HEAD, and changes nothing", function()
    local server = start(path)
    local workers = server:workers()
    local id = jobs.create_job("textbook")
    local before = jobs.get_json(id)
    for _, method in ipairs({ "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND",
      "BREW" }) do
      for _, target in ipairs({ "/jobs/" .. id, UNKNOWN }) do
        local response = server:request(target, "--request", method)
        assert_problem(405, "Method Not Allowed", response)
        assert.equal("GET, HEAD", response.headers.allow)
      end
    end
    assert_problem(400, "Bad Request", server:request("/jobs/" .. id, "--request", "get"))
    assert_problem(405, "Method Not Allowed",
      server:request("/jobs/" .. id, "--data", '{"progress":1}'))
    assert_unharmed(server, workers)
    assert_problem(413, "Content Too Large", server:request("/jobs/" .. id, "--header",
      "Content-Length: 99999999", "--request", "POST"))
    assert.same(workers, server:workers())
    assert.equal(before, jobs.get_json(id))
  end)

  it("shows an unrelated process's updates to a client that polls", function()
    local server = start(path)
    local id = jobs.create_job("textbook")
    child.start(function()
      local writer = assert(job_tracker.JobTracker.open(path))
      for step = 1, 400 do
        assert(writer.update_job(id, { status = "running", progress = step / 400,
          current_step = "Step " .. step, meta = ("x"):rep(step * 10) }))
        process.sleep(0.002)
      end
      assert(writer.update_job(id, { status = "completed", result = { steps = 400 } }))
    end)
    local seen, progress, version, etag, job = 0, 0, 0, '"none"', nil
    wait_until(function()
      local response = server:request("/jobs/" .. id, "--header", "If-None-Match: " .. etag)
      if response.status == 304 then return false end
      assert.equal(200, response.status)
      job, etag, seen = cjson.decode(response.body), response.headers.etag, seen + 1
      assert.equal(etag, ('"%d"'):format(job.version))
      assert.is_true(job.version > version and job.progress >= progress)
      if job.status == "running" then -- one instant, not a mixture of two
        assert.equal("Step " .. math.floor(job.progress * 400 + 0.5), job.current_step)
        assert.equal(math.floor(job.progress * 400 + 0.5) * 10, #job.meta)
      end
      version, progress = job.version, job.progress
      return job.status == "completed"
    end, "the job's end", 30)
    assert.is_true(seen > 5)
    assert.equal(1, job.progress)
    assert.equal(400, job.result.steps)
  end)

  it("is answered by each worker, without the right to read the file or to change it", function()
    assert.equal("600", store_file.stat("%a", path))
    local server = start(path)
    local id = jobs.create_job("textbook")
    local me = owner_of(process.getpid())
    for pid, response in pairs(server:request_from_each("/jobs/" .. id)) do
      assert.equal(200, response.status)
      assert.equal(me == "root" and "nobody" or me, owner_of(pid))
      assert.same({ 8 * 1024 * 1024 }, mapped_from(path, pid, "r--s"))
      -- The page that waiters sleep on, where nothing of a job is, at most.
      for _, bytes in ipairs(mapped_from(path, pid, "rw-s")) do assert.equal(4096, bytes) end
    end
  end)
end)

describe("nginx-readonly.conf without a store that can be read", function()
  local path

  before_each(function()
    path = store_file.path()
    assert(os.execute("chmod 711 '" .. path:match("^(.*)/") .. "'"))
  end)

  after_each(function()
    textbook.end_all()
    nginx_server.stop_all()
    store_file.clean()
  end)

  local function assert_unavailable(response)
    assert_problem(503, "Service Unavailable", response)
    assert.equal("1", response.headers["retry-after"])
  end

  it("answers 503 until the pipeline has made it, then 200", function()
    local server = start(path)
    local workers = server:workers()
    for _, response in pairs(server:request_from_each(UNKNOWN)) do assert_unavailable(response) end
    assert.equal(503, server:request(UNKNOWN, "--head").status)
    assert.equal(405, server:request(UNKNOWN, "--request", "POST").status)
    local id = textbook.start({ "--pace", "3600", store = path }):id()
    wait_until(function()
      local served = 0
      for _, response in pairs(server:request_from_each("/jobs/" .. id)) do
        if response.status == 200 then served = served + 1 else assert_unavailable(response) end
      end
      return served == 2
    end, "each worker to find the store", 5)
    assert.matches("%[warn%].*No such file", server:log())
    assert_unharmed(server, workers)
  end)

  it("answers 503 for a file that is no store, and recovers", function()
    store_file.write(path, ("not a store "):rep(10000))
    assert(os.execute("chmod 644 '" .. path .. "'"))
    local server = start(path)
    assert_unavailable(server:request(UNKNOWN))
    assert(os.remove(path))
    local jobs = open_readable(path)
    local id = jobs.create_job("textbook")
    wait_until(function() return server:request("/jobs/" .. id).status == 200 end, "the store", 5)
    jobs.close()
  end)

  it("finds the jobs of a store that replaced the one it has open", function()
    local old = open_readable(path)
    local old_id = old.create_job("textbook")
    local server = start(path)
    local workers = server:workers()
    assert.equal(200, server:request("/jobs/" .. old_id).status)
    assert(os.remove(path))
    local new = open_readable(path)
    local id = new.create_job("textbook")
    wait_until(function() return server:request("/jobs/" .. id).status == 200 end, "the new job", 5)
    wait_until(function()
      return server:each_answers(404, "/jobs/" .. old_id)
    end, "the old jobs to be gone", 5)
    assert_unharmed(server, workers)
    old.close()
    new.close()
  end)

  it("needs to be told where the store is", function()
    local started, message = pcall(start, nil)
    assert.is_false(started)
    assert.matches("JOB_STORE is not set", tostring(message))
  end)
end)

-- The complete set-up. 'pace' is how long a chapter dwells on each of its steps.
local function start_complete(pace, store)
  return nginx_server.start("nginx.conf", { CHAPTER_PACE = tostring(pace), JOB_STORE = store })
end

local JSON = "Content-Type: application/json"

local function post(server, body)
  if not body then return server:request("/jobs", "--request", "POST") end
  return server:request("/jobs", "--header", JSON, "--data", body)
end

-- Where the new job is, and the worker that does it.
local function create(server, body)
  local response = post(server, body)
  assert.equal(202, response.status, response.body)
  assert.matches("^/jobs/textbook_%x%x%x%x%x%x%x%x$", response.headers.location)
  return response.headers.location, tonumber(response.headers["x-worker"])
end

local function job_at(server, location)
  local response = server:request(location)
  assert.equal(200, response.status)
  return cjson.decode(response.body)
end

local function await(server, location, status)
  return wait_until(function()
    local job = job_at(server, location)
    assert.is_true(job.status == status or job.status == "pending" or job.status == "running",
      tostring(job.error))
    return job.status == status and job
  end, location .. " to be " .. status, 30)
end

describe("nginx.conf: POST /jobs", function()
  after_each(function()
    nginx_server.stop_all()
    store_file.clean()
  end)

  it("makes a chapter, and shows it", function()
    local server = start_complete(0)
    local workers = server:workers()
    local location = create(server)
    local job = await(server, location, "completed")
    assert.equal("shared_memory.md", job.meta.source)
    assert.equal("/chapters/" .. job.task_id .. "/chapter.md", job.result.chapter)
    local chapter = server:request(job.result.chapter)
    assert.equal(200, chapter.status)
    assert.equal("text/plain; charset=utf-8", chapter.headers["content-type"])
    assert.matches("^# Memory that two processes share\n", chapter.body)
    local figure = server:request(job.result.figure)
    assert.equal("image/svg+xml", figure.headers["content-type"])
    assert.matches("^<svg .*</svg>\n$", figure.body)
    for _, shown in ipairs({ chapter, figure }) do
      assert.matches("sandbox", shown.headers["content-security-policy"])
      assert.equal("nosniff", shown.headers["x-content-type-options"])
    end
    assert_problem(404, "Not Found", server:request("/chapters/textbook_00000000/chapter.md"))
    assert_unharmed(server, workers)
  end)

  it("takes the text that it is sent, or the name of one that is there", function()
    local server = start_complete(0)
    local text = store_file.read("examples/textbook/shared_memory.md"):gsub("^# [^\n]*",
      "# A title")
    local sent = await(server, create(server, cjson.encode({ text = text })), "completed")
    assert.equal("A title", sent.meta.title)
    local named = await(server, create(server, '{"source":"shared_memory.md"}'), "completed")
    assert.equal("Memory that two processes share", named.meta.title)
    assert.not_equal(sent.result.chapter, named.result.chapter)
  end)

  it("refuses what is no text, and reads no other file", function()
    local server = start_complete(0)
    local workers = server:workers()
    for _, body in ipairs({ '""', "[]", "{}", "1", "null", '{"text":1}', '{"source":{}}',
      '{"text":"a","source":"shared_memory.md"}' }) do
      assert_problem(400, "Bad Request", post(server, body))
    end
    for _, source in ipairs({ "", "x.md", "main.lua", "../textbook/shared_memory.md",
      "/etc/hostname", "./shared_memory.md", "shared_memory.md\0", "__index" }) do
      assert_problem(422, "Unprocessable Content", post(server, cjson.encode({ source = source })))
    end
    for _, text in ipairs({ "", " \n", "a\0b" }) do
      assert_problem(422, "Unprocessable Content", post(server, cjson.encode({ text = text })))
    end
    assert_problem(413, "Content Too Large", post(server, '{"text":"' .. ("x"):rep(66000) .. '"}'))
    assert.equal(0, #cjson.decode(server:request("/jobs").body).jobs)
    assert_unharmed(server, workers)
  end)

  it("fails the job of a text that is too short", function()
    local server = start_complete(0)
    local workers = server:workers()
    local job = await(server, create(server, '{"text":"A sentence. Another one."}'), "failed")
    assert.matches("^division: the text is too short for a chapter", job.error)
    assert_unharmed(server, workers)
  end)

  local function chapters_of(server) return server.folder .. "/build/openresty/chapters" end

  it("leaves nothing behind where the chapter turns out to be of no use", function()
    local server = start_complete(0)
    local text = ("\232\168\152\230\134\182\233\171\148\227\128\130"):rep(2000)
    local job = await(server, create(server, cjson.encode({ text = text })), "failed")
    assert.equal("validation: the chapter is not valid: the glossary has no terms", job.error)
    assert.equal("", textbook.list(chapters_of(server)))
  end)

  it("tells nobody where on this machine it would write, but the log", function()
    local server = start_complete(0)
    local folder = chapters_of(server)
    assert(os.remove(folder))
    store_file.write(folder, "a file")
    local job = await(server, create(server), "failed")
    assert.equal("reading: cannot make the output folder", job.error)
    local told = "build/openresty/chapters: File exists"
    wait_until(function() return server:log():find(told, 1, true) end, "the log")
  end)

  it("can be cancelled, and leaves nothing behind", function()
    local server = start_complete(3600)
    local workers = server:workers()
    local location = create(server)
    await(server, location, "running")
    assert.equal(202, server:request(location .. "/cancel", "--header", JSON, "--data",
      '{"reason":"a typing error"}').status)
    assert.equal("cancelled: a typing error", await(server, location, "failed").error)
    assert_unharmed(server, workers)
  end)

  it("is refused for who waits behind too many", function()
    local server = start_complete(3600)
    local waiting, response = 0
    repeat
      response = post(server)
      waiting = waiting + (response.status == 202 and 1 or 0)
    until response.status ~= 202 or waiting > 100
    assert_problem(429, "Too Many Requests", response)
    assert.is_true(waiting >= 22) -- one worker runs 2 and lets 20 wait
  end)

  it("does its work in a store file, where there are jobs of other processes", function()
    local path = store_file.path()
    local jobs = assert(job_tracker.JobTracker.open(path, { size = "8M" }))
    finally(function() jobs.close() end)
    local server = start_complete(0, path)
    local other = jobs.create_job("textbook")
    local location = create(server)
    local job = await(server, location, "completed")
    assert.equal("completed", jobs.get_job(job.task_id).status)
    assert.equal("pending", job_at(server, "/jobs/" .. other).status)
    server:restart()
    assert.equal("completed", job_at(server, location).status)
  end)

  it("shows people its jobs, and lists them", function()
    local server = start_complete(0)
    local location = create(server)
    await(server, location, "completed")
    for _, path in ipairs({ "/", "/jobs", location }) do
      local page = server:request(path, "--header", "Accept: text/html")
      assert.equal("text/html; charset=utf-8", page.headers["content-type"])
    end
    local listed = cjson.decode(server:request("/jobs").body)
    assert.equal(location, "/jobs/" .. listed.jobs[1].task_id)
  end)
end)

describe("nginx.conf, its jobs in memory", function()
  local server

  before_each(function() server = start_complete(0.1) end)

  after_each(function()
    nginx_server.stop_all()
    store_file.clean()
  end)

  it("is answered by each worker alike, whichever does the job", function()
    local location, worker = create(server)
    assert.equal("1", server:request(location).headers["retry-after"])
    await(server, location, "running")
    local other = false
    for pid, response in pairs(server:request_from_each(location)) do
      assert.equal(200, response.status)
      other = other or pid ~= worker
    end
    assert.is_true(other)
    local job = await(server, location, "completed")
    assert.is_true(job.result.sections >= 5)
    local bodies = {}
    for _, response in pairs(server:request_from_each(location)) do
      assert.is_nil(response.headers["retry-after"])
      bodies[#bodies + 1] = response.body
    end
    assert.equal(2, #bodies)
    assert.equal(bodies[1], bodies[2])
  end)

  it("survives a reload, finished jobs and those under way", function()
    local finished = create(server)
    await(server, finished, "completed")
    local whole = server:request(finished).body
    local location = create(server)
    local before = await(server, location, "running")
    server:reload()
    assert.equal(whole, server:request(finished).body)
    local after = job_at(server, location)
    assert.equal("running", after.status)
    assert.is_true(after.version >= before.version)
    await(server, location, "completed") -- done by an old worker, which ends then
    server:reload()
    wait_until(function() return #server:workers() == 2 end, "the old workers to end")
    for _, response in pairs(server:request_from_each(finished)) do
      assert.equal(whole, response.body)
    end
    assert.equal("completed", job_at(server, location).status)
    assert.is_nil(server:log():find("[error]", 1, true))
  end)

  it("survives a worker killed with SIGKILL, whose job is failed", function()
    local finished = create(server)
    await(server, finished, "completed")
    local whole = server:request(finished).body
    local location, worker = create(server)
    await(server, location, "running")
    server:kill_worker(worker)
    for _, response in pairs(server:request_from_each(finished)) do
      assert.equal(whole, response.body)
    end
    for _, response in pairs(server:request_from_each(location)) do
      assert.equal("failed", cjson.decode(response.body).status)
    end
    local another, its_worker = create(server)
    for _, pid in ipairs(server:workers()) do
      if pid ~= its_worker then server:kill_worker(pid) end
    end
    await(server, another, "completed")
  end)
end)
