-- What happens to requests that wait when nginx is reloaded, upgraded or loses a worker, and
-- when the store under it is damaged.

local cjson = require "cjson"
local child = require "child"
local nginx_server = require "nginx_server"
local owners = require "owners"
local process = require "process"
local status_server = require "status_server"
local store_file = require "store_file"
local wait_until = require "wait_until"
local wire = require "wire"
local JobTracker = require("job_tracker").JobTracker

local path, jobs

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

local function start(more)
  more = more or {}
  more.store = path
  more.setup = more.setup or "events = true, list = true, cancel = true"
  return status_server.start(more)
end

local function create()
  return assert(jobs.create_job("textbook"))
end

local function etag_of(id) return ('"%d"'):format((select(2, jobs.get_json(id)))) end

-- Streams of the job and of all jobs, and a long poll, enough for both workers to have some.
local function open_several(server, id)
  local opened = {}
  for index = 1, 8 do
    opened[#opened + 1] = wire.ask(server, "/jobs/" .. id .. "/events")
    opened[#opened + 1] = wire.ask(server, "/events")
    local asked = wire.connect(server)
    asked:send(("GET /jobs/%s?wait=30 HTTP/1.1\r\nHost: x\r\nIf-None-Match: %s\r\n\r\n"):format(id,
      etag_of(id)))
    opened[#opened + 1] = asked
    assert.is_not_nil(opened[3 * index])
  end
  return opened
end

-- Streams end, long polls are answered, within 2 s; nothing is cut off.
local function expect_ends(opened, began)
  for index, one in ipairs(opened) do
    local left = began + 2 - process.now()
    if index % 3 == 0 then
      assert.is_true(one:read_head(left))
      assert.equal(304, one.status)
    else
      one:read_until(function() return false end, left)
      assert.equal("end", one.ended)
    end
  end
end

-- A client that comes again with what it had last is told what has changed since.
local function expect_goes_on(server, id, last)
  assert(jobs.update_job(id, { progress = 0.75 }))
  for _, target in ipairs({ "/jobs/" .. id .. "/events", "/events" }) do
    local again = wire.ask(server, target, { ["Last-Event-ID"] = tostring(last) })
    assert(again:read_until(function(message) return message.data == jobs.get_json(id) end), target)
  end
end

local function last_version(id) return (select(2, jobs.get_json(id))) end

-- Until the old workers have gone: as long as they are there they may take a request.
local function reload_whole(server)
  local old = {}
  for _, pid in ipairs(server:workers()) do old[pid] = true end
  server:reload()
  wait_until(function()
    for _, pid in ipairs(server:workers()) do
      if old[pid] then return false end
    end
    return true
  end, "the old workers to end", 3)
end

describe("a reload", function()
  it("ends streams and long polls within 2 s, and they go on with the new workers", function()
    local server = start()
    local id = create()
    local opened, last, old = open_several(server, id), last_version(id), server:workers()
    local began = process.now()
    server:reload()
    assert.is_true(process.now() - began < 2)
    expect_ends(opened, began)
    expect_goes_on(server, id, last)
    wait_until(function() return #server:workers() == 2 end, "the old workers to end", 3)
    for _, pid in ipairs(server:workers()) do
      for _, gone in ipairs(old) do assert.not_equal(gone, pid) end
    end
    status_server.expect_unharmed(server, server:workers())
  end)

  it("does not wait for a client that does not read, with worker_shutdown_timeout", function()
    local server = start { main = "worker_shutdown_timeout 1s;" }
    local id = create()
    local slow = wire.ask(server, "/jobs/" .. id .. "/events")
    for _ = 1, 60 do
      assert(jobs.update_job(id, { meta = ("x"):rep(200000) }))
      process.sleep(0.02)
    end
    reload_whole(server)
    slow:close()
  end)

  it("keeps the jobs in memory, and their streams go on", function()
    local server = status_server.start { setup = [[
      events = true, on_create = function()
        local tracker = require("resty.job_tracker").tracker()
        return tracker.create_job("made")
      end, cancel = true]] }
    local response = server:request("/jobs", "--request", "POST")
    local job = cjson.decode(response.body)
    reload_whole(server)
    assert.equal(response.body, server:request("/jobs/" .. job.task_id).body)
    local opened = wire.ask(server, "/jobs/" .. job.task_id .. "/events")
    for _ = 1, 2 do assert(opened:next()) end
    assert.equal(202, server:request("/jobs/" .. job.task_id .. "/cancel", "--request",
      "POST").status)
    assert.equal("failed", cjson.decode(assert(opened:next()).data).status)
  end)

  it("again and again leaves no worker, and no stream untold", function()
    local server = start()
    local id = create()
    local last, opened = last_version(id), nil
    for step = 1, 8 do
      if not opened or opened.ended then
        opened = wire.ask(server, "/events", { ["Last-Event-ID"] = tostring(last) })
      end
      server:reload()
      assert(jobs.update_job(id, { current_step = tostring(step) }))
      wait_until(function()
        local message = opened:read_until(function(one)
          last = one.id or last
          return one.data == jobs.get_json(id)
        end, 2)
        if not message then
          opened = wire.ask(server, "/events", { ["Last-Event-ID"] = tostring(last) })
        end
        return message
      end, "the change")
    end
    wait_until(function() return #server:workers() == 2 end, "the old workers to end", 3)
  end)
end)

describe("a killed worker", function()
  it("breaks its own streams only; they go on with another", function()
    local server = start()
    local id = create()
    local opened, last = open_several(server, id), last_version(id)
    local victim = tonumber(opened[1].headers["x-worker"])
    server:kill_worker(victim)
    local broken, whole = 0, 0
    for index, one in ipairs(opened) do
      if index % 3 ~= 0 then
        local _, why = one:read_until(function() return false end, 0.05)
        assert.is_not_nil(why)
        local its = tonumber(one.headers["x-worker"])
        assert.equal(its == victim and "broken" or nil, one.ended)
        if its == victim then broken = broken + 1 else whole = whole + 1 end
      end
    end
    assert.is_true(broken > 0)
    expect_goes_on(server, id, last)
    for index, one in ipairs(opened) do
      if index % 3 ~= 0 and not one.ended then
        assert(one:read_until(function(message) return message.data == jobs.get_json(id) end))
        whole = whole - 1
      end
    end
    assert.equal(0, whole)
    assert.is_nil(server:log():find("[error]", 1, true))
  end)

  it("that owned a job fails it, and streams are told within a quarter of a second", function()
    local server = status_server.start { setup = [[
      events = true, on_create = function()
        local tracker = require("resty.job_tracker").tracker()
        local id = tracker.create_job("made")
        tracker.claim_job(id)
        tracker.update_job(id, { status = "running", current_step = "sections 3/7: Memory order" })
        return id
      end]] }
    local response = server:request("/jobs", "--request", "POST")
    local id, owner = cjson.decode(response.body).task_id, tonumber(response.headers["x-worker"])
    local others = {}
    wait_until(function()
      for _, target in ipairs({ "/jobs/" .. id .. "/events", "/events" }) do
        local opened = wire.ask(server, target)
        if tonumber(opened.headers["x-worker"]) ~= owner then others[target] = opened end
      end
      return others["/events"] and others["/jobs/" .. id .. "/events"]
    end, "streams of another worker")
    local died_at = process.now()
    assert(process.kill(owner, "KILL"))
    for target, opened in pairs(others) do
      local message = assert(opened:read_until(function(one)
        return one.data and cjson.decode(one.data).status == "failed"
      end), target)
      local took = process.now() - died_at
      assert.is_true(took < 0.25, took)
      assert.equal(owners.death_of(owner), cjson.decode(message.data).error)
    end
  end)
end)

describe("a binary upgrade", function()
  it("hands the store on: streams end, and go on with the new nginx", function()
    local server = start { daemon = true }
    local id = create()
    local opened, last = open_several(server, id), last_version(id)
    local began = process.now()
    server:upgrade()
    expect_ends(opened, began + 2) -- the new one starts first
    expect_goes_on(server, id, last)
    local pending = create()
    assert.equal(202, server:request("/jobs/" .. pending .. "/cancel", "--request", "POST").status)
    assert.equal("failed", jobs.get_job(pending).status)
    assert.equal(2, #nginx_server.children(server.pid))
  end)
end)

describe("a damaged store", function()
  -- Overwrites what 'id' is written as, wherever the file has it.
  local function damage(id)
    for _, at in ipairs(store_file.offsets(store_file.read(path), id)) do
      store_file.patch(path, at, ("\255"):rep(#id))
    end
  end

  it("is no reason for a worker to end, or to tell where it is", function()
    local server = start()
    local workers = server:workers()
    local id, well = create(), create()
    local opened = wire.ask(server, "/jobs/" .. id .. "/events")
    local all = wire.ask(server, "/events")
    damage(id)
    local damaged = server:request("/jobs/" .. id)
    assert.is_true(damaged.status == 500 or damaged.status == 404)
    status_server.expect_problem(damaged.status, damaged)
    assert(jobs.update_job(well, { progress = 0.5 }))
    assert.equal(200, server:request("/jobs/" .. well).status)
    assert(all:read_until(function(message) return message.data == jobs.get_json(well) end))
    opened:read_until(function() return false end, 1)
    local page = server:request("/jobs")
    assert.is_true(page.status == 200 or page.status == 500)
    local cancelled = server:request("/jobs/" .. id .. "/cancel", "--request", "POST")
    assert.is_true(cancelled.status == 500 or cancelled.status == 404)
    assert.same(workers, server:workers())
    assert.is_nil(server:log():find("signal", 1, true))
  end)

  it("answers whatever the bytes are", function()
    local server = start { setup = "events = true, list = true" }
    local workers = server:workers()
    local ids = {}
    for index = 1, 50 do ids[index] = create() end
    local streams = { wire.ask(server, "/events"),
      wire.ask(server, "/jobs/" .. ids[1] .. "/events") }
    local whole = store_file.read(path)
    local size = #whole
    for round = 1, 40 do
      store_file.patch(path, 8192 + (round * 104729) % (size - 8192 - 4096),
        ("\255\1\0\127"):rep(1024))
      for _, target in ipairs({ "/jobs", "/jobs/" .. ids[round], "/events" }) do
        local response = server:request(target, "--max-time", "0.1")
        assert.is_true(response.status == 200 or response.status == 404 or response.status == 500
          or response.status == 503, target .. " " .. response.status)
      end
    end
    assert.same(workers, server:workers())
    assert.is_nil(server:log():find("signal", 1, true))
    for _, one in ipairs(streams) do one:close() end
  end)
end)
