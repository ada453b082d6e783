-- What a job is when its owner has died: failed, in every look from then on,
-- however the owner died, and within 250 ms for who waits. How the page shows it is
-- tried in resty/page_spec.lua.

local child = require "child"
local fresh = require "fresh"
local owners = require "owners"
local pipeline = require "job_tracker.pipeline"
local process = require "process"
local status_server = require "status_server"
local store_file = require "store_file"
local wait_until = require "wait_until"
local wire = require "wire"
local JobTracker = require("job_tracker").JobTracker

local STEP, death_of, expect_code = owners.STEP, owners.death_of, owners.expect_code
local begin, await_running = owners.begin, owners.await_running

before_each(function() JobTracker.clear_jobs() end)

after_each(function()
  child.end_all()
  fresh.end_all()
  JobTracker.clear_jobs()
  store_file.clean()
end)

---Describes a behaviour for each kind of store.
---@param body fun(get: fun(): table, table, boolean) 'get' returns the owner's
---tracker, that of who looks, and whether that one may write
local function describe_each(what, body)
  owners.each_kind(function(kind, open)
    describe(what .. " (" .. kind .. ")", function()
      local owner, look, may_write, close
      before_each(function() owner, look, may_write, close = open() end)
      after_each(function()
        child.end_all()
        close()
      end)
      body(function() return owner, look, may_write end)
    end)
  end)
end

-- Kills nine times, with 'kill(round)' that returns after how many seconds it was seen.
-- A machine that is busy with something else may be late now and then.
local function expect_seen_in_time(kill)
  local seconds = {}
  for round = 1, 9 do
    seconds[round] = kill(round)
    assert.is_true(seconds[round] > 0)
  end
  table.sort(seconds)
  local shown = table.concat(seconds, " ")
  assert.is_true(seconds[5] < 0.25, shown)
  assert.is_true(seconds[9] < 1, shown)
end

local function find_job(jobs, id)
  for _, job in ipairs(jobs) do
    if job.task_id == id then return job end
  end
end

describe_each("when its owner is killed, a job", function(get)
  local tracker, look, may_write, id, before, pid

  before_each(function()
    tracker, look, may_write = get()
    id = assert(tracker.create_job("owned"))
    local owner = owners.start(tracker, id)
    before, pid = look.get_job(id), owner.pid
    assert.equal("running", before.status)
    owner:kill_dead()
  end)

  local function expect_dead(job)
    assert.equal("failed", job.status)
    assert.equal(death_of(pid), job.error)
    assert.is_true(job.version > before.version)
    assert.is_not_nil(job.finished_at)
    for _, field in ipairs({ "task_id", "task_type", "progress", "current_step", "created_at",
      "started_at" }) do
      assert.equal(before[field], job[field], field)
    end
    assert.same(before.meta, job.meta)
    assert.is_nil(job.result)
    if not may_write then
      assert.equal(before.version + 1, job.version)
      assert.equal(before.updated_at, job.updated_at)
      assert.equal(before.updated_at, job.finished_at)
    else
      assert.is_true(job.updated_at > before.updated_at)
      assert.equal(job.updated_at, job.finished_at)
    end
  end

  it("is failed for get_job, and stays the same", function()
    local job = look.get_job(id)
    expect_dead(job)
    assert.is_true(look.get_job(id) == job)
    assert.same(job:to_dict(), look.get_job(id):to_dict())
  end)

  it("is failed for get_json", function()
    local text, version = look.get_json(id)
    assert.matches('"status":"failed"', text, 1, true)
    assert.matches('"error":"' .. death_of(pid) .. '"', text, 1, true)
    assert.equal(look.get_job(id):to_json(), text)
    assert.equal(look.get_job(id).version, version)
  end)

  it("is failed for list_jobs, also by status", function()
    expect_dead(look.list_jobs({ status = "failed" })[1])
    assert.same({}, (look.list_jobs({ status = "running" })))
    expect_dead(look.list_jobs()[1])
  end)

  it("is failed for wait_job, which returns at once", function()
    local start = process.now()
    expect_dead(look.wait_job(id, { timeout = 10 }))
    expect_dead(look.wait_job(id, { after = before.version, timeout = 10 }))
    assert.is_true(process.now() - start < 5)
  end)

  it("is failed for list_changes", function()
    local jobs, version = look.list_changes(before.version)
    expect_dead(assert(find_job(jobs, id)))
    jobs = look.list_changes(version)
    if may_write then assert.is_nil(find_job(jobs, id))
    else expect_dead(assert(find_job(jobs, id))) end
  end)

  it("is failed for stats", function()
    local stats = look.stats()
    assert.same({ 0, 0, 0, 1 }, { stats.pending, stats.running, stats.completed, stats.failed })
    assert.equal(1, stats.jobs_used)
  end)

  it("shows in version: as a change, or as a dead owner", function()
    local version, dead = look.version()
    if may_write then
      assert.is_true(version > before.version)
      assert.equal(0, dead)
      expect_dead(look.get_job(id))
      assert.equal(version, (look.version()))
    else
      assert.same({ before.version, 1 }, { version, dead })
    end
  end)

  it("is failed for tostring", function()
    assert.matches("failed 25%", tostring(look.get_job(id)), 1, true)
  end)

  it("is as finished as any for who would change it", function()
    local function said(verb) return ('job "%s": a failed job cannot %s'):format(id, verb) end
    assert.equal(said("become completed"), expect_code("invalid_transition",
      tracker.update_job(id, { status = "completed" })))
    assert.equal(said("be claimed"), expect_code("invalid_transition", tracker.claim_job(id)))
    assert.equal(said("be cancelled"), expect_code("invalid_transition", tracker.cancel_job(id)))
    assert.equal(death_of(pid), look.get_job(id).error)
    assert.is_true(tracker.update_job(id, { meta = "noted" }))
    assert.equal("noted", look.get_job(id).meta)
    assert.equal(death_of(pid), look.get_job(id).error)
    assert.is_true(tracker.delete_job(id))
    assert.is_nil((look.get_job(id)))
  end)

  it("is the same for a read-only look before and after a writer has seen it", function()
    local first = look.get_job(id)
    local seen = tracker.get_job(id)
    local second = look.get_job(id)
    assert.is_true(second == seen)
    assert.equal(first.status, second.status)
    assert.equal(first.error, second.error)
    assert.is_true(second.version >= first.version)
    local version, dead = look.version()
    assert.is_true(version >= seen.version)
    assert.equal(0, dead)
  end)
end)

describe("however its owner dies, a job is failed:", function()
  local path, look, reader

  before_each(function()
    path = store_file.path()
    look = assert(JobTracker.open(path, { size = "1M" }))
    reader = assert(JobTracker.open(path, { readonly = true }))
  end)

  local function close_both()
    look.close()
    reader.close()
  end

  after_each(close_both)

  -- Each runs in an interpreter of its own, with its job running.
  local DEATHS = {
    ["os.exit(0)"] = function() os.exit(0) end,
    ["os.exit(1) with the state closed"] = function() os.exit(1, true) end,
    ["an error with the state closed"] = function() error("out of ideas", 0) end,
    ["the end of the script"] = function() end,
    ["closing its tracker, then the end"] = function(tracker) tracker.close() end,
    ["a collected tracker, then the end"] = function(tracker)
      for name in pairs(tracker) do tracker[name] = nil end
      package.loaded.job_tracker = nil
      collectgarbage()
      collectgarbage()
    end,
    ["SIGTERM"] = function()
      local processes = require "process"
      processes.kill(processes.getpid(), "TERM")
      processes.sleep(60)
    end,
    ["SIGKILL"] = function()
      local processes = require "process"
      processes.kill(processes.getpid(), "KILL")
      processes.sleep(60)
    end,
    ["SIGSEGV"] = function()
      local processes = require "process"
      processes.limit("core", 0)
      processes.kill(processes.getpid(), "SEGV")
      processes.sleep(60)
    end,
  }

  for name, die in pairs(DEATHS) do
    it(name, function()
      local id = assert(look.create_job("owned"))
      local version = look.version()
      local owner = fresh.start(function(file, task_id, step, dump)
        local tracker = assert(require("job_tracker").JobTracker.open(file))
        assert(tracker.claim_job(task_id))
        assert(tracker.update_job(task_id, { status = "running", current_step = step }))
        local bytes = dump:gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)
        local last = assert((loadstring or load)(bytes)) -- luacheck: ignore 113
        last(tracker)
      end, path, id, STEP, (string.dump(die):gsub(".", function(byte)
        return ("%02x"):format(byte:byte())
      end)))
      local how, code, _, errors = owner:wait()
      assert.not_equal("timeout", how)
      assert.is_nil(errors:find("assertion", 1, true), how .. " " .. tostring(code) .. errors)
      assert.same({ "failed", death_of(owner.pid) },
        { reader.get_job(id).status, reader.get_job(id).error })
      assert.same({ "failed", death_of(owner.pid) },
        { look.get_job(id).status, look.get_job(id).error })
      assert.is_true(look.version() > version)
    end)
  end

  it("also before it was running, with the step it had", function()
    local id = assert(look.create_job("owned"))
    local owner = child.start(function() assert(look.claim_job(id)) end)
    owner:finish()
    assert.same({ "failed", death_of(owner.pid, "Initializing") },
      { reader.get_job(id).status, reader.get_job(id).error })
    assert.is_nil(look.get_job(id).started_at)
  end)

  it("with any bytes in its step, and without one where there is none", function()
    for step, tail in pairs({ [""] = " died", ["a\0\255"] = " died during: a\0\255",
      [("s"):rep(4096)] = " died during: " .. ("s"):rep(4096) }) do
      local id = assert(look.create_job("owned"))
      local owner = child.start(function()
        assert(look.claim_job(id))
        assert(look.update_job(id, { current_step = step }))
      end)
      owner:finish()
      local said = ("the process working on this job (pid %d)"):format(owner.pid) .. tail
      assert.equal(said, reader.get_job(id).error)
      assert.equal(said, look.get_job(id).error)
    end
  end)

  it("all of its jobs, and those of others stay", function()
    local ids, others = {}, {}
    for index = 1, 200 do ids[index] = assert(look.create_job("owned")) end
    for index = 1, 20 do others[index] = assert(look.create_job("owned")) end
    local living = child.start(function()
      for index = 1, 10 do begin(look, others[index]) end
      look.wait_job(others[1])
    end)
    local owner = child.start(function()
      for _, id in ipairs(ids) do begin(look, id) end
      assert(look.update_job(ids[200], { status = "completed" }))
    end)
    owner:finish()
    await_running(look, others[10])
    local version, dead = reader.version()
    assert.equal(1, dead) -- nobody has written them off
    for index = 1, 199 do assert.equal(death_of(owner.pid), reader.get_job(ids[index]).error) end
    assert.equal(199, #reader.list_jobs({ status = "failed" }))
    assert.equal(199, #reader.list_changes(version))
    assert.equal(199, reader.stats().failed)
    assert.equal("completed", reader.get_job(ids[200]).status)
    assert.equal(10, #reader.list_jobs({ status = "running" }))
    assert.equal(10, #look.list_jobs({ status = "pending" }))
    assert.equal(199, look.stats().failed)
    assert.equal(199, #look.list_changes(version))
    assert.is_nil(look.get_job(ids[200]).error)
    living:kill_dead()
    assert.equal(209, look.stats().failed)
  end)

  it("with nobody else there to see it, for who opens the file later", function()
    close_both()
    local id, pid = fresh.run(function(file)
      local tracker = assert(require("job_tracker").JobTracker.open(file))
      local task_id = assert(tracker.create_job("owned"))
      assert(tracker.claim_job(task_id))
      assert(tracker.update_job(task_id, { status = "running", current_step = "alone" }))
      io.write(task_id, " ", require("process").getpid())
    end, path):match("(%S+) (%d+)")
    reader = assert(JobTracker.open(path, { readonly = true }))
    assert.equal(death_of(tonumber(pid), "alone"), reader.get_job(id).error)
    look = assert(JobTracker.open(path))
    assert.equal(death_of(tonumber(pid), "alone"), look.get_job(id).error)
    assert.equal(1, look.stats().failed)
    assert.equal("failed", reader.get_job(id).status)
    assert.equal(look.get_job(id).version, reader.get_job(id).version)
  end)
end)

describe_each("wait_job, when the owner is killed", function(get)
  ---How long after the kill a waiting process was awake.
  local function seconds_until_awake(tracker, look, options)
    local id, notes = assert(tracker.create_job("owned")), store_file.path()
    local owner = owners.start(tracker, id)
    if options then options.after = look.get_job(id).version end
    local waiting = child.start(function()
      local job = look.wait_job(id, options)
      local awake = process.now()
      assert(job.status == "failed" and job.error == death_of(owner.pid), tostring(job))
      store_file.write(notes, ("%.6f"):format(awake))
    end)
    wait_until(function() return child.sleeps(waiting.pid) end, "a child to wait")
    local start = process.now()
    owner:kill_dead()
    waiting:finish(10)
    return tonumber(store_file.read(notes)) - start
  end

  it("returns within 250 ms", function()
    local tracker, look = get()
    expect_seen_in_time(function(round)
      return seconds_until_awake(tracker, look, round % 2 == 0 and {} or nil)
    end)
  end)
end)

describe("a pipeline that is killed in a section is seen failed within 250 ms", function()
  local path, jobs, server

  before_each(function()
    path = store_file.path()
    jobs = assert(JobTracker.open(path, { size = "1M" }))
    server = status_server.start { store = path, setup = "events = true" } -- read-only
  end)

  after_each(function()
    wire.close_all()
    status_server.stop_all()
    jobs.close()
  end)

  -- Forks one, and waits until it is in its section.
  local function start()
    local id = assert(jobs.create_job("chapter"))
    local worker = child.start(function()
      pipeline.new { task_type = "chapter", tracker = jobs, steps = { { name = "sections",
        each = function() return { "Fences", "Memory order" } end,
        run = function(_, step) step:pause(step.index == 2 and 600 or 0) end } } }
        :run(nil, { task_id = id })
    end)
    wait_until(function()
      return jobs.get_job(id).current_step == "sections 2/2: Memory order"
    end, "the second section")
    return worker, id
  end

  -- Not the pipeline's steps, which have a status each.
  local function says_failed(json) return json:find(',"status":"failed","progress"', 1, true) ~= nil end

  -- 'await(id)' begins to look, and returns a function that ends when the death is seen, with
  -- the job's JSON.
  local function expect_in_time(await)
    expect_seen_in_time(function()
      local worker, id = start()
      local is_seen = await(id)
      local began = process.now()
      worker:kill("KILL")
      local json = is_seen()
      local took = process.now() - began
      worker:wait()
      assert.is_true(says_failed(json), json)
      assert.truthy(json:find(death_of(worker.pid, "sections 2/2: Memory order"), 1, true), json)
      return took
    end)
  end

  it("by a poll", function()
    expect_in_time(function(id)
      return function()
        return wait_until(function()
          local asked = wire.ask(server, "/jobs/" .. id)
          local json = asked:read_body()
          asked:close()
          return says_failed(json) and json
        end, "the job to be failed")
      end
    end)
  end)

  it("by a long poll", function()
    expect_in_time(function(id)
      local _, version = jobs.get_json(id)
      local asked = wire.connect(server)
      asked:send(("GET /jobs/%s?wait=30 HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"%d\"\r\n\r\n")
        :format(id, version))
      return function()
        assert(asked:read_head())
        assert.equal(200, asked.status)
        return asked:read_body()
      end
    end)
  end)

  for _, kind in ipairs { "its stream", "the stream of all jobs" } do
    it("by " .. kind, function()
      expect_in_time(function(id)
        local one = kind == "its stream"
        local opened = wire.ask(server, one and "/jobs/" .. id .. "/events" or "/events")
        -- what comes first: how long to wait before connecting again, and the job or hello
        for _ = 1, 2 do assert(opened:next()) end
        return function()
          local message = assert(opened:read_until(function(message)
            return message.data and says_failed(message.data)
          end))
          opened:close()
          return message.data
        end
      end)
    end)
  end
end)
