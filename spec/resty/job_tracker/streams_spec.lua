-- GET jobs/<id>/events, on real nginx: one job as Server-Sent Events.

local cjson = require "cjson"
local child = require "child"
local owners = require "owners"
local process = require "process"
local status_server = require "status_server"
local store_file = require "store_file"
local wait_until = require "wait_until"
local wire = require "wire"
local JobTracker = require("job_tracker").JobTracker

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

local function version_of(id) return tostring((select(2, jobs.get_json(id)))) end

local function stream(server, id, headers)
  local opened = wire.ask(server, "/jobs/" .. id .. "/events", headers)
  assert.equal(200, opened.status)
  assert.same({ retry = "1000" }, opened:next())
  return opened
end

-- The next message is the job as it is now.
local function expect_job(opened, id)
  local message = assert(opened:next())
  assert.same({ id = version_of(id), data = (jobs.get_json(id)) }, message)
end

local function expect_end(opened, reason, id)
  assert.same({ event = "end", id = id, data = ('{"reason":"%s"}'):format(reason) }, opened:next())
  assert.same({ nil, "end" }, { opened:next(2) })
end

local function expect_silence(opened)
  local message, why = opened:next(0.3)
  assert.is_nil(message)
  assert.equal("timeout", why)
end

describe("GET jobs/<id>/events", function()
  it("sends the whole job first, then each change, then the end", function()
    local server = start()
    local id = create()
    local opened = stream(server, id)
    assert.equal("text/event-stream", opened.headers["content-type"])
    assert.equal("no-cache", opened.headers["cache-control"])
    assert.is_nil(opened.headers["content-length"])
    expect_job(opened, id)
    for _, fields in ipairs({ { status = "running" },
      { progress = 0.5, current_step = "a\nb\r\nc" },
      { meta = { text = "\226\128\168 \0 data: x\n\nevent: end\n\n" } } }) do
      assert(jobs.update_job(id, fields))
      expect_job(opened, id)
    end
    expect_silence(opened)
    assert(jobs.update_job(id, { status = "completed", result = { pages = 12 } }))
    expect_job(opened, id)
    expect_end(opened, "finished", version_of(id))
  end)

  it("sends a finished job once more to who does not have it, and ends", function()
    local server = start()
    local id = create { status = "failed", error = "out of paper" }
    for _, headers in ipairs({ {}, { ["Last-Event-ID"] = "0" }, { ["Last-Event-ID"] = "" } }) do
      local opened = stream(server, id, headers)
      expect_job(opened, id)
      expect_end(opened, "finished", version_of(id))
    end
  end)

  it("streams also by HTTP/1.0, as an nginx in between may ask", function()
    local server = start "events = true"
    local id = create()
    for _, target in ipairs { "/jobs/" .. id .. "/events", "/events?after=0" } do
      local answer = server:request(target, "--http1.0", "--no-buffer", "--max-time", "1")
      assert.equal(200, answer.status)
      assert.is_nil(answer.headers["content-length"])
      assert.matches("data: " .. jobs.get_json(id) .. "\n\n", answer.body, 1, true)
    end
  end)

  it("answers 204 to who has seen the end, so that an EventSource does not come again", function()
    local server = start()
    local workers = server:workers()
    local id = create { status = "completed" }
    local last = "Last-Event-ID: " .. version_of(id)
    local response = server:request("/jobs/" .. id .. "/events", "--header", last)
    assert.equal(204, response.status)
    assert.equal("", response.body)
    assert.equal(204, server:request("/jobs/" .. id .. "/events?after=" .. version_of(id)).status)
    assert(jobs.delete_job(id))
    expect_problem(404, server:request("/jobs/" .. id .. "/events", "--header", last))
    status_server.expect_unharmed(server, workers)
  end)

  it("goes on after Last-Event-ID", function()
    local server = start()
    local id = create { progress = 0.25 }
    local opened = stream(server, id, { ["Last-Event-ID"] = version_of(id) })
    expect_silence(opened)
    assert(jobs.update_job(id, { progress = 0.5 }))
    expect_job(opened, id)
    expect_job(stream(server, id, { ["Last-Event-ID"] = "1" }), id)
    -- Another store's:
    expect_job(stream(server, id, { ["Last-Event-ID"] = "9007199254740992" }), id)
  end)

  it("refuses a Last-Event-ID that is none", function()
    local server = start()
    local workers = server:workers()
    local id = create()
    for _, last in ipairs({ "x", "-1", "1.5", "1e3", "0x1", ("9"):rep(16), ("9"):rep(400),
      "\255", "1 2" }) do
      expect_problem(400, server:request("/jobs/" .. id .. "/events", "--header",
        "Last-Event-ID: " .. last), last)
    end
    expect_problem(400, server:request("/jobs/" .. id .. "/events?after=x"))
    status_server.expect_unharmed(server, workers)
  end)

  it("answers HEAD at once", function()
    local server = start("max_streams = 1", { workers = 1 })
    local id = create()
    for _ = 1, 3 do
      local response = server:request("/jobs/" .. id .. "/events", "--head")
      assert.equal(200, response.status)
      assert.equal("text/event-stream", response.headers["content-type"])
    end
  end)

  it("ends when the job is deleted", function()
    local server = start()
    local id = create()
    local opened = stream(server, id)
    expect_job(opened, id)
    local last = version_of(id)
    assert(jobs.delete_job(id))
    expect_end(opened, "deleted", last)
  end)

  it("just ends when the job is damaged: that is no deletion", function()
    local server = start()
    local workers = server:workers()
    local id, other = create(), create()
    local opened = stream(server, id)
    expect_job(opened, id)
    local asked = wire.connect(server)
    asked:send(("GET /jobs/%s?wait=30 HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"%s\"\r\n\r\n"):format(id,
      version_of(id)))
    expect_job(stream(server, id), id) -- the request before it waits by now
    store_file.damage_record(path, id)
    assert(jobs.update_job(other, { progress = 0.5 })) -- so that there is something to look at
    assert.same({ nil, "end" }, { opened:next(2) })
    assert.is_true(asked:read_head())
    assert.equal(500, asked.status)
    expect_problem(500, server:request("/jobs/" .. id .. "/events"))
    assert.same(workers, server:workers())
  end)

  it("tells a death within a quarter of a second, on a store that nginx may not write", function()
    local server = start()
    local id = create()
    local owner = owners.start(jobs, id)
    local opened = stream(server, id)
    expect_job(opened, id)
    owner:kill_dead()
    local died_at = process.now()
    local message = assert(opened:next())
    local took = process.now() - died_at
    assert.is_true(took < 0.25, took)
    local job = cjson.decode(message.data)
    assert.equal("failed", job.status)
    assert.equal(owners.death_of(owner.pid), job.error)
    expect_end(opened, "finished", message.id)
    assert.equal(204, server:request("/jobs/" .. id .. "/events?after=" .. message.id).status)
  end)

  it("says nothing for 15 s at most", function()
    local server = start("events = true")
    local opened = stream(server, create())
    local all = wire.ask(server, "/events")
    local began = process.now()
    for _, one in ipairs({ opened, all }) do
      assert(one:read_until(function(message) return message.comment end, 17))
      local took = process.now() - began
      assert.is_true(took > 14 and took < 16.5, took)
    end
  end)

  it("sends a slow client the latest when it reads again, never without the last", function()
    local server = start(nil, { workers = 1 })
    local id, other = create(), create()
    local slow, quick = stream(server, id), stream(server, id)
    local elsewhere = stream(server, other)
    expect_job(slow, id)
    expect_job(quick, id)
    expect_job(elsewhere, other)
    local filling = ("x"):rep(100000)
    local function read_quick()
      assert(quick:read_until(function(message) return message.id == version_of(id) end))
    end
    for step = 1, 200 do
      assert(jobs.update_job(id, { status = "running", progress = step / 200, meta = filling }))
      if step % 5 == 0 then read_quick() end -- not held up by the slow one
    end
    assert(jobs.update_job(other, { progress = 0.5 }))
    expect_job(elsewhere, other)
    assert(jobs.update_job(id, { status = "completed", result = 1 }))
    read_quick()
    local last, all = slow:read_until(function(message)
      return message.data and cjson.decode(message.data).status == "completed"
    end)
    assert.equal(jobs.get_json(id), last and last.data)
    assert.is_true(#all < 150, #all)
    local version = 0
    for _, message in ipairs(all) do
      assert.is_true(tonumber(message.id) > version)
      version = tonumber(message.id)
    end
    expect_end(slow, "finished", last.id)
  end)

  it("frees the place of a client that has vanished, read or unread", function()
    local server = start("max_streams = 1", { workers = 1 })
    local workers = server:workers()
    local id = create()
    for _, way in ipairs({ "close", "reset" }) do
      local opened = stream(server, id)
      expect_problem(429, server:request("/jobs/" .. id .. "/events"))
      opened[way](opened)
      wait_until(function()
        opened = wire.ask(server, "/jobs/" .. id .. "/events")
        return opened.status == 200
      end, "the place of the vanished client", 5)
      -- one that does not read, in the middle of what is sent to it
      for _ = 1, 60 do
        assert(jobs.update_job(id, { meta = ("x"):rep(200000) }))
        process.sleep(0.02)
      end
      opened[way](opened)
      wait_until(function()
        local again = wire.ask(server, "/jobs/" .. id .. "/events")
        again:close()
        return again.status == 200
      end, "the place of the one that did not read", 5)
      wait_until(function() -- of the one just closed
        local again = wire.ask(server, "/jobs/" .. id .. "?wait=1")
        again:close()
        return again.status == 200
      end, "the place of the last one", 5)
    end
    status_server.expect_unharmed(server, workers)
  end)

  it("frees the place also where the application has taken ngx.on_abort for itself", function()
    local server = start([[max_streams = 1, authorize = function()
      ngx.on_abort(function() ngx.exit(499) end)
      return true
    end]], { workers = 1, server = [[location = /collect {
      content_by_lua_block { collectgarbage() collectgarbage() } }]] })
    local id = create()
    for _ = 1, 3 do
      local opened = stream(server, id)
      expect_job(opened, id)
      opened:close()
      wait_until(function()
        server:request("/collect") -- it comes with Lua's collector, sooner or later
        local again = wire.ask(server, "/jobs/" .. id .. "?wait=1")
        again:close()
        return again.status == 200
      end, "the place", 5)
    end
  end)

  it("keeps nothing of those who have left", function()
    -- While one stays, the watch stays: all that the others leave in it would add up.
    local server = start(nil, { workers = 1, server = [[location = /memory { content_by_lua_block {
      collectgarbage() collectgarbage()
      ngx.print(collectgarbage("count"))
    } }]] })
    local id = create()
    local staying = stream(server, id)
    local function come_and_go(times)
      for _ = 1, times do
        local opened = stream(server, id)
        opened:next()
        opened:close()
      end
      assert(jobs.update_job(id, { progress = 0 }))
      return tonumber(server:request("/memory").body)
    end
    come_and_go(200)
    local before = come_and_go(10)
    local after = come_and_go(1000)
    assert.is_true(after - before < 100, ("%.0f KiB more"):format(after - before))
    staying:close()
  end)

  it("has one that comes and goes by the thousand not wake the others late", function()
    local server = start(nil, { workers = 1 })
    local id = create()
    local opened = stream(server, id)
    expect_job(opened, id)
    for _ = 1, 20 do
      local others = {}
      for index = 1, 20 do others[index] = stream(server, id) end
      assert(jobs.update_job(id, { progress = 0.5 }))
      for _, other in ipairs(others) do other:close() end -- in the middle of being woken
      expect_job(opened, id)
    end
  end)
end)
