-- The store behind the requests, on real nginx: a file that comes later, is none, is replaced,
-- or may be read by root alone.

local job_tracker = require "job_tracker"
local status_server = require "status_server"
local store_file = require "store_file"
local wait_until = require "wait_until"
local wire = require "wire"

local UNKNOWN = "/jobs/textbook_00000000"
local JobTracker = job_tracker.JobTracker

local path

before_each(function()
  path = store_file.path()
  assert(os.execute("chmod 711 '" .. path:match("^(.*)/") .. "'"))
end)

after_each(function()
  wire.close_all()
  status_server.stop_all()
  store_file.clean()
end)

local function start()
  return status_server.start { store = path, setup = "list = true, events = true" }
end

-- nginx's workers, which may be nobody, can read it.
local function open_readable()
  return assert(JobTracker.open(path, { mode = "0644", size = "1M" }))
end

local function expect_unavailable(response)
  status_server.expect_problem(503, response)
  assert.equal("1", response.headers["retry-after"])
end

local function count_lines(server, words)
  local _, count = server:log():gsub(words, "")
  return count
end

describe("a store file", function()
  it("that is not there yet is 503, and 200 once the pipeline has made it", function()
    local server = start()
    local workers = server:workers()
    for _, target in ipairs({ UNKNOWN, UNKNOWN .. "?wait=1", UNKNOWN .. "/events", "/jobs",
      "/events" }) do
      for _, response in pairs(server:request_from_each(target)) do expect_unavailable(response) end
    end
    assert.equal(503, server:request(UNKNOWN, "--head").status)
    local jobs = open_readable()
    local id = jobs.create_job("textbook")
    wait_until(function()
      local served = 0
      for _, response in pairs(server:request_from_each("/jobs/" .. id)) do
        if response.status == 200 then served = served + 1 else expect_unavailable(response) end
      end
      return served == 2
    end, "each worker to find the store", 5)
    -- The master's line, and each worker's.
    assert.equal(3, count_lines(server, "%[warn%][^\n]*No such file"))
    status_server.expect_unharmed(server, workers)
    jobs.close()
  end)

  it("that is no store is 503, until a store takes its place", function()
    store_file.write(path, ("not a store "):rep(10000))
    assert(os.execute("chmod 644 '" .. path .. "'"))
    local server = start()
    local workers = server:workers()
    expect_unavailable(server:request(UNKNOWN))
    assert(os.remove(path))
    local jobs = open_readable()
    local id = jobs.create_job("textbook")
    wait_until(function() return server:request("/jobs/" .. id).status == 200 end, "the store", 5)
    status_server.expect_unharmed(server, workers)
    jobs.close()
  end)

  it("that root alone may read is read by workers that are nobody", function()
    local jobs = assert(JobTracker.open(path, { size = "1M" }))
    local id = jobs.create_job("textbook")
    local server = start()
    local workers = server:workers()
    for _ = 1, 3 do
      for _, response in pairs(server:request_from_each(UNKNOWN)) do
        assert.equal(404, response.status) -- looks for another store, in vain
      end
      for _, response in pairs(server:request_from_each("/jobs/" .. id)) do
        assert.equal(jobs.get_json(id), response.body)
      end
    end
    assert.equal("", server:log())
    status_server.expect_unharmed(server, workers)
    jobs.close()
  end)

  it("that takes the place of another is found, by who asks and by who waits", function()
    local old = open_readable()
    local old_id = old.create_job("textbook")
    local server = start()
    local workers = server:workers()
    local waiting = wire.ask(server, "/jobs/" .. old_id .. "/events")
    waiting:next()
    waiting:next()
    assert(os.remove(path))
    for _, response in pairs(server:request_from_each(UNKNOWN)) do
      assert.equal(404, response.status) -- none is there: the old one stays
    end
    assert.equal(200, server:request("/jobs/" .. old_id).status)
    local new = open_readable()
    local id = new.create_job("textbook")
    wait_until(function()
      local found = 0
      for _, response in pairs(server:request_from_each("/jobs/" .. id)) do
        found = found + (response.status == 200 and 1 or 0)
      end
      return found == 2
    end, "each worker to find the new store", 5)
    for _, response in pairs(server:request_from_each("/jobs/" .. old_id)) do
      assert.equal(404, response.status)
    end
    local message = assert(waiting:next())
    assert.equal('{"reason":"deleted"}', message.data)
    status_server.expect_unharmed(server, workers)
    old.close()
    new.close()
  end)

  -- What a worker has sent of the one is not what it has to send of the other.
  it("that takes the place of another is believed, though ids and versions are the same", function()
    local old = open_readable()
    local id = old.create_job("textbook")
    local copy = path .. ".copy"
    assert(os.execute("cp '" .. path .. "' '" .. copy .. "'"))
    local new = assert(JobTracker.open(copy))
    assert(old.update_job(id, { current_step = "old" }))
    assert(new.update_job(id, { current_step = "new" }))
    assert.equal(select(2, old.get_json(id)), (select(2, new.get_json(id))))
    local server = start()
    for _, response in pairs(server:request_from_each("/jobs/" .. id)) do
      assert.matches('"old"', response.body, 1, true)
    end
    assert(os.rename(copy, path))
    wait_until(function()
      local found = 0
      server:request_from_each(UNKNOWN) -- has them look for another
      for _, response in pairs(server:request_from_each("/jobs/" .. id)) do
        found = found + (response.body:find('"new"', 1, true) and 1 or 0)
      end
      return found == 2
    end, "each worker to send what the new store says", 5)
    old.close()
    new.close()
  end)

  it("that nginx writes is kept until a reload, and the log says that there is another", function()
    local old = open_readable()
    local old_id = old.create_job("textbook")
    local server = status_server.start { store = path, setup = "cancel = true" }
    assert(os.remove(path))
    server:request_from_each(UNKNOWN)
    assert.equal("", server:log())
    local new = open_readable()
    local id = new.create_job("textbook")
    wait_until(function()
      for _, response in pairs(server:request_from_each("/jobs/" .. id)) do
        assert.equal(404, response.status)
      end
      return count_lines(server, "%[warn%][^\n]* is another file now") == 2
    end, "each worker to notice", 5)
    assert.equal(old.get_json(old_id), server:request("/jobs/" .. old_id).body)
    server:reload()
    wait_until(function() return #server:workers() == 2 end, "the old workers to end")
    for _, response in pairs(server:request_from_each("/jobs/" .. id)) do
      assert.equal(new.get_json(id), response.body)
    end
    assert.equal(2, count_lines(server, "%[warn%]"))
    old.close()
    new.close()
  end)

  it("that is truncated costs no worker, and is served again when it is a store again", function()
    local jobs = open_readable()
    local id = jobs.create_job("textbook")
    local server = start()
    local workers = server:workers()
    local stream = wire.ask(server, "/jobs/" .. id .. "/events")
    jobs.close()
    for _, how in ipairs({ "rewritten", "replaced" }) do
      assert(io.open(path, "w")):close()
      for _, target in ipairs({ "/jobs/" .. id, "/jobs", "/jobs/" .. id .. "?wait=0.1" }) do
        for _, response in pairs(server:request_from_each(target)) do
          status_server.expect_problem(500, response, target)
        end
      end
      if how == "replaced" then assert(os.remove(path)) end
      jobs = open_readable()
      id = jobs.create_job("textbook")
      jobs.close()
      for _, target in ipairs({ "/jobs/" .. id, "/jobs" }) do
        wait_until(function()
          for _, response in pairs(server:request_from_each(target)) do
            if response.status ~= 200 then return false end
          end
          return true
        end, target .. " of a store that was " .. how)
      end
    end
    stream:close()
    assert.same(workers, server:workers())
    assert.equal(0, count_lines(server, "signal"))
  end)

  it("that is truncated has no metrics, rather than those of an empty store", function()
    open_readable().close()
    local server = status_server.start { store = path, setup = "metrics = true" }
    assert(io.open(path, "w")):close()
    status_server.expect_problem(500, server:request("/metrics"))
    local jobs = open_readable()
    jobs.create_job("textbook")
    jobs.close()
    local wanted = 'job_tracker_jobs{task_type="textbook",status="pending"} 1'
    wait_until(function() return server:request("/metrics").body:find(wanted, 1, true) end,
      "the metrics of the new store")
  end)

  it("that is the same as before is not opened again for each id that is none", function()
    local jobs = open_readable()
    local server = start()
    local function maps()
      local texts = {}
      for index, pid in ipairs(server:workers()) do
        for line in io.lines("/proc/" .. pid .. "/maps") do
          if line:find(path, 1, true) then texts[#texts + 1] = index .. line end
        end
      end
      return texts
    end
    local before = maps()
    for _ = 1, 3 do
      server:request_from_each(UNKNOWN)
      local second = os.time()
      wait_until(function() return os.time() > second end, "the next second")
    end
    assert.same(before, maps())
    assert.is_true(#before > 0)
    jobs.close()
  end)
end)
