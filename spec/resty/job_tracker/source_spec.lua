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

local YET, CANNOT = "There is no job store yet%.",
  "The job store cannot be opened; the server's error log says why%."

-- The targets of requests that need the store; "old" stands for a job's id.
local TARGETS = { "/jobs/old", "/jobs/old?wait=1", "/jobs/old/events", "/jobs", "/events" }

-- Each worker answers each of these with 503 and the sentence.
local function all_refuse(server, sentence, id)
  for _, target in ipairs(TARGETS) do
    target = target:gsub("old", id)
    for _, response in pairs(server:request_from_each(target, "--max-time", "2")) do
      if response.status ~= 503 then return false end
      expect_unavailable(response)
      if not response.body:find(sentence) then return false end
    end
  end
  return true
end

local function all_have(server, id) return server:each_answers(200, "/jobs/" .. id) end

-- A second later there is another attempt to open.
local function pass_a_second()
  local second = os.time()
  wait_until(function() return os.time() > second end, "the next second")
end

local function chmod(mode) assert(os.execute(("chmod %s '%s'"):format(mode, path))) end

-- Reads the first messages of a job's stream and of that of all jobs.
local function expect_begun(one, all)
  assert.truthy(one:next().retry and all:next().retry)
  assert.truthy(one:next().data)
  assert.equal("hello", all:next().event)
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
    assert.is_true(all_refuse(server, YET, "textbook_00000000"))
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
    chmod "644"
    local server = start()
    local workers = server:workers()
    assert.is_true(all_refuse(server, CANNOT, "textbook_00000000"))
    assert(os.remove(path))
    local jobs = open_readable()
    local id = jobs.create_job("textbook")
    wait_until(function() return all_have(server, id) end, "the store", 5)
    -- The master's line, and each worker's.
    assert.equal(3, count_lines(server, "%[error%][^\n]* is not a job_tracker store"))
    assert.same(workers, server:workers())
    jobs.close()
  end)

  it("that nginx's workers may not read is 503, and the log says so, once", function()
    local server = start()
    local jobs = assert(JobTracker.open(path, { size = "1M" }))
    local id = jobs.create_job("textbook")
    chmod "000" -- workers that are not nobody are its owner
    wait_until(function() return all_refuse(server, CANNOT, id) end, "each worker to look", 5)
    for _ = 1, 2 do
      pass_a_second()
      assert.is_true(all_refuse(server, CANNOT, id))
    end
    assert.equal(2, count_lines(server, "%[error%][^\n]*cannot open[^\n]*Permission denied"))
    assert.equal(2, count_lines(server, "%[error%]"))
    chmod "644"
    wait_until(function() return all_have(server, id) end, "each worker to open it", 5)
    jobs.close()
  end)

  it("that is empty is being made, unless it stays so", function()
    store_file.write(path, "")
    chmod "644"
    local server = status_server.start { store = path, setup = "list = true", workers = 1 }
    assert.equal(0, count_lines(server, "%[error%]"))
    wait_until(function() return server:request("/jobs").body:find(CANNOT) end, "a complaint", 5)
    assert.equal(1, count_lines(server, "%[error%][^\n]*is not ready: it is empty"))
    open_readable().close()
    wait_until(function() return server:request("/jobs").status == 200 end, "the store", 5)
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
    pass_a_second()
    server:request_from_each(UNKNOWN)
    assert.equal(200, server:request("/jobs/" .. old_id).status)
    local new = open_readable()
    local id = new.create_job("textbook")
    wait_until(function() return all_have(server, id) end, "each worker to find the new store", 5)
    for _, response in pairs(server:request_from_each("/jobs/" .. old_id)) do
      assert.equal(404, response.status)
    end
    local message = assert(waiting:next())
    assert.equal('{"reason":"deleted"}', message.data)
    status_server.expect_unharmed(server, workers)
    old.close()
    new.close()
  end)

  it("that takes the place of another is found, though only jobs of the old one are asked for", function()
    local old = open_readable()
    local id = old.create_job("textbook")
    local server = start()
    assert.is_true(all_have(server, id))
    assert(os.remove(path))
    local new = open_readable()
    wait_until(function()
      return server:each_answers(404, "/jobs/" .. id)
    end, "each worker to find the new store", 5)
    old.close()
    new.close()
  end)

  it("that takes the place of another and cannot be opened ends that one", function()
    local old = open_readable()
    local id = old.create_job("textbook")
    local server = start()
    local workers = server:workers()
    local one, all = wire.ask(server, "/jobs/" .. id .. "/events"), wire.ask(server, "/events")
    expect_begun(one, all)
    local poll = wire.connect(server)
    poll:send(("GET /jobs/%s?wait=30 HTTP/1.1\r\nHost: x\r\n\r\n"):format(id))
    store_file.write(path .. ".new", "")
    assert(os.execute(("chmod 000 '%s.new'"):format(path)))
    assert(os.rename(path .. ".new", path))
    assert.is_nil(one:next(5)) -- no "deleted"
    assert.is_nil(all:next(5))
    assert.same({ "end", "end" }, { one.ended, all.ended })
    assert.is_true(poll:read_head(5))
    assert.equal(503, poll.status)
    wait_until(function() return all_refuse(server, CANNOT, id) end, "each worker to look", 5)
    pass_a_second()
    assert.is_true(all_refuse(server, CANNOT, id))
    assert.equal(2, count_lines(server, "%[error%][^\n]*Permission denied"))
    assert.equal(2, count_lines(server, "%[error%]"))
    assert(os.remove(path))
    local new = open_readable()
    local new_id = new.create_job("textbook")
    wait_until(function() return all_have(server, new_id) end, "each worker to open it", 5)
    assert.equal(404, server:request("/jobs/" .. id).status)
    expect_begun(wire.ask(server, "/jobs/" .. new_id .. "/events"), wire.ask(server, "/events"))
    assert.same(workers, server:workers())
    old.close()
    new.close()
  end)

  it("that is removed is served until there is another, of which streams tell", function()
    local old = open_readable()
    local id = old.create_job("textbook")
    local server = start()
    local workers = server:workers()
    local one, all = wire.ask(server, "/jobs/" .. id .. "/events"), wire.ask(server, "/events")
    expect_begun(one, all)
    assert(os.remove(path))
    pass_a_second()
    pass_a_second()
    assert(old.update_job(id, { current_step = "by one who has it open" }))
    assert.matches("by one who has it open", one:next().data)
    assert.matches("by one who has it open", all:next().data)
    local new = open_readable()
    assert.equal("end", one:next().event)
    assert.equal("reset", all:next().event)
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
    local stream = wire.ask(server, "/jobs/" .. id .. "/events")
    assert.truthy(stream:next().retry)
    assert.matches('"old"', stream:next().data, 1, true)
    assert(os.rename(copy, path))
    wait_until(function()
      local found = 0
      for _, response in pairs(server:request_from_each("/jobs/" .. id)) do
        found = found + (response.body:find('"new"', 1, true) and 1 or 0)
      end
      return found == 2
    end, "each worker to send what the new store says", 5)
    assert.matches('"new"', stream:next().data, 1, true)
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
      return count_lines(server, "%[error%][^\n]* is another file now") == 2
    end, "each worker to notice", 5)
    assert.equal(old.get_json(old_id), server:request("/jobs/" .. old_id).body)
    server:reload()
    wait_until(function() return #server:workers() == 2 end, "the old workers to end")
    for _, response in pairs(server:request_from_each("/jobs/" .. id)) do
      assert.equal(new.get_json(id), response.body)
    end
    assert.equal(2, count_lines(server, "%[error%]"))
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
          -- Until it has been tried to open what is there.
          status_server.expect_problem(response.status == 500 and 500 or 503, response, target)
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
    local response = server:request("/metrics")
    status_server.expect_problem(response.status == 500 and 500 or 503, response)
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
